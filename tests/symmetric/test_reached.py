"""Where a symmetry keeps the state within some of the unknowns, the others are left out, and nothing else changes."""

import math

import numpy as np
import pytest

from centralspin import (
    PAULI,
    SIGMA_MINUS,
    SIGMA_PLUS,
    CentralSpinModel,
    CollectiveModel,
    Moment,
    Sites,
    evolve,
)

X, Y, Z = PAULI


def cavity(N: float, drive: float = 0.0, initial: tuple = (0, 1, 0, 0)) -> CollectiveModel:
    a = np.diag(np.sqrt(np.arange(1.0, 4)), 1)
    sites = Sites(
        count=N,
        hamiltonian=0.3 * Z,
        jumps=[SIGMA_MINUS, 0.5 * SIGMA_PLUS, 0.3 * Z],
        couplings=[(a.T, SIGMA_MINUS)],
    )
    return CollectiveModel(
        hamiltonian=0.2 * a.T @ a + drive * (a + a.T), jumps=[0.7 * a], sites=sites, initial=np.array(initial)
    )


OBSERVABLES = {"n": np.diag([0, 1, 2, 3]), "z": Moment(site=Z, about="zero"), "x2": Moment(site=X, power=2)}


@pytest.mark.parametrize("drive", [0.0, 0.4])
@pytest.mark.parametrize("initial", [(0, 1, 0, 0), (0.6, 0.8, 0, 0), (0.6, 0, 0.8j, 0)])
def test_values_are_those_of_the_whole_space(drive: float, initial: tuple) -> None:
    model = cavity(2, drive, initial)
    found = evolve(model, [0.5, 1.5], OBSERVABLES)
    right = evolve(model, [0.5, 1.5], OBSERVABLES, method="full_space")
    for name in OBSERVABLES:
        np.testing.assert_allclose(found[name], right[name], atol=3e-8)
    assert ("symmetry" in found.details) == (drive == 0)


@pytest.mark.parametrize("N", [30, math.inf])
def test_one_charge_is_a_small_part_of_the_unknowns(N: float) -> None:
    found = evolve(cavity(N), [1.0], {"n": OBSERVABLES["n"]}).details["symmetry"]
    share, conserved = found.split("; ")
    assert share.startswith("keeps the state within ") and float(share.split()[-4]) <= 0.1
    assert conserved == "an excitation number is conserved, and operators of charge 0 are reached"


def test_a_field_breaks_it() -> None:
    assert "symmetry" not in evolve(CentralSpinModel.figure_2(20), [1.0]).details
    along_z = CentralSpinModel.figure_2(20, central_field=(0, 0, 0.5))
    assert "symmetry" in evolve(along_z, [1.0]).details
