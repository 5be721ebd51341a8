"""The method: symmetric Liouville space as bosons over a condensate.

To be read in this order: basis, site, space, lift, modes, generator, readout, dark_modes, cut, settling, solver. Other
routes to the same numbers do not belong here, nor do the paper's statements.
"""
