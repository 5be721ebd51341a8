"""What method "dicke_polynomials" is put together from: its first guess, what fits the memory, and its inverse."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import PAPER

from centralspin import PAULI, Moment, TruncationError, steady_state
from centralspin.methods import dicke_polynomials
from centralspin.methods.dicke_polynomials import BYTES, FILL, Resting
from centralspin.methods.polynomial_blocks import Equations, Inverse, Weight
from centralspin.numerics.banded import Banded
from centralspin.problem.collective import collective_model
from centralspin.problem.general import dimensionless


def problem(N: float = 200, **changes):
    return dimensionless(collective_model(PAPER.replace(N=N, **changes)))


@pytest.mark.parametrize("pump", [0.05, 0.2])
def test_the_first_guess_is_that_of_free_spins(pump) -> None:
    N = 2000
    resting = Resting(problem(N, g0=0.0, bath_pump=pump, bath_decay=2.0), [Moment()], 1e-6, None)
    model = PAPER.replace(N=N, g0=0.0, bath_pump=pump, bath_decay=2.0)
    found = steady_state(model, "tau_z", method="dicke_polynomials", tolerance=1e-6).details
    assert resting._at[0] == pytest.approx(N / 2 - found["mean_spin"], rel=1e-3)
    assert resting._at[1] == pytest.approx(found["variance"], rel=0.3)


@pytest.mark.parametrize(("band", "levels"), [(5, 2), (99, 2), (5, 3)])
def test_the_memory_is_that_of_the_unknowns(monkeypatch, band, levels) -> None:
    asked = problem(2000)
    asked = replace(asked, central=replace(asked.central, dimension=levels))
    resting = Resting(asked, [Moment()], 1e-6, None)
    unknowns = Banded(30, band, levels).size
    needed = 6 * BYTES * FILL * unknowns**2 / 30
    monkeypatch.setattr(dicke_polynomials, "LARGEST_MEMORY", 1.001 * needed)
    resting._fits(30, band, 6)
    monkeypatch.setattr(dicke_polynomials, "LARGEST_MEMORY", 0.999 * needed)
    with pytest.raises(TruncationError, match="the factors would take about"):
        resting._fits(30, band, 6)


def test_every_polynomial_is_told_what_those_before_it_give() -> None:
    """The second block row is solved exactly, and so is the first but for the trace."""
    space, random = Banded(6, 3, 2), np.random.default_rng(0)
    equations = Equations(problem(), space, Weight(40.0, 30.0, 3), [Moment()])
    inverse = Inverse()
    inverse.prepare(equations, 3, lambda: None)
    r = random.normal(size=(3, space.size))
    r[0] -= (space.trace @ r[0]) * inverse.state
    c = inverse(r.ravel(), space).reshape(3, -1)
    assert abs(space.trace @ c[0]) < 1e-10
    for k in (1, 2):
        given = equations.part(k, k - 1) @ c[k - 1] + equations.part(k, k) @ c[k]
        np.testing.assert_allclose(given, r[k], atol=1e-9)


@pytest.mark.parametrize(
    ("band", "few", "least", "most"), [(4, 28, 1e-3, 0.1), (29, 10, 1e-3, 0.1), (29, 28, 0, 1e-8)]
)
def test_coherences_and_levels_that_are_left_out_are_told(band, few, least, most) -> None:
    resting = Resting(problem(500), [Moment(site=PAULI[0], power=4)], 1e-6, None)
    equations, inverse = resting._equations(Banded(30, band, 2), 4), Inverse()
    inverse.prepare(equations, 1, lambda: None)
    x, _ = resting._solve(equations, inverse, 4, inverse.state)
    _, error, _ = resting._compared(equations, inverse, few, x, equations.rows(4) @ x, 0.0)
    assert least <= error <= most


def test_a_first_guess_of_more_levels_takes_one_factor_only(monkeypatch) -> None:
    """60 levels are tried, and 49 do: these have to fit the memory with all polynomials, those with one."""
    model = PAPER.replace(N=2000, bath_pump=0.006, bath_decay=0.03)

    def needed(levels: int, band: int) -> float:
        return 6 * BYTES * FILL * Banded(levels, band, 2).size ** 2 / levels

    monkeypatch.setattr(dicke_polynomials, "LARGEST_MEMORY", 0.9 * needed(60, 20))
    found = steady_state(model, "tau_z", method="dicke_polynomials", tolerance=1e-6)
    levels, band = found.details["cutoff"], found.details["band"]
    assert needed(levels, band) < 0.9 * needed(60, 20)
    monkeypatch.setattr(dicke_polynomials, "LARGEST_MEMORY", 0.9 * needed(levels, band))
    with pytest.raises(TruncationError, match="6 polynomials the factors would take"):
        steady_state(model, "tau_z", method="dicke_polynomials", tolerance=1e-6)
