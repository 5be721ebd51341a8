"""The method: symmetric Liouville space as bosons over a condensate.

To be read in this order: basis, site, space, lift, modes, generator, readout, dark_modes, cut, settling, solver. No other
route to the same numbers belongs here, and none of the paper's statements.
"""
