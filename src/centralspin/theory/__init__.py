"""The paper's statements as numbers: norms, limits, matrix elements, emergent modes.

No solver imports them, and no solver belongs here.
"""
