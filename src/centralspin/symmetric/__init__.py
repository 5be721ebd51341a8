"""The method: symmetric Liouville space as bosons over a condensate; the paper's statements are in `theory`.

To be read in this order: basis, site, space, lift, modes, generator, readout, dark_modes, cut, solver.
"""
