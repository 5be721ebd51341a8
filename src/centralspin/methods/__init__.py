"""Other routes to the same numbers, `method="x"` being x.py; the witnesses import nothing of `symmetric`."""
