"""Is what would take too long refused by its true size?"""

import pytest

from centralspin import ArgumentError, CentralSpinModel
from centralspin.theory import heisenberg


@pytest.mark.parametrize(("N", "sites"), [(5, 0), (5, 1), (6, 2)])
def test_the_number_of_unknowns_of_the_heisenberg_picture(N, sites, monkeypatch):
    model = CentralSpinModel.figure_2(N)
    size = int(heisenberg.HeisenbergBlocks(model, sites).offsets[-1])
    monkeypatch.setattr(heisenberg, "LARGEST_SIZE", size)
    heisenberg.HeisenbergBlocks(model, sites)
    monkeypatch.setattr(heisenberg, "LARGEST_SIZE", size - 1)
    with pytest.raises(ArgumentError, match=f"with {size:,}"):
        heisenberg.HeisenbergBlocks(model, sites)
