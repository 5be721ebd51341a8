"""Other routes to the same numbers, `method="x"` being x.py, each with `refuses` and `run`.

The witnesses full_space, dicke and spin_boson import nothing of `symmetric`; models are not known here, only problems.
"""
