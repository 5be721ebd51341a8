"""The method: symmetric Liouville space as bosons over a condensate."""
