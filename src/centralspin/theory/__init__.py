"""The paper's statements as numbers: norms, limits, matrix elements. No solver imports them."""
