"""Around sites that relax from another state: followed by exponentials, and left alone once they are at rest."""

import math

import numpy as np
from conftest import PAPER
from random_models import around, levels

from centralspin import evolve
from centralspin.problem.collective import collective_model
from centralspin.problem.general import Task, dimensionless
from centralspin.symmetric.evolution import MOST_EXPONENTIALS, still
from centralspin.symmetric.solver import Solver


def test_what_is_left_at_rest_goes_on_from_there() -> None:
    """Long after the sites are at rest the central spin still moves."""
    model = PAPER.replace(N=6, g0=0.02, central_field=(0.3, 0, 0.4), central_pump=0.005, central_decay=0.0)
    times = [0.3, 2.0, 90.0, 200.0]
    moved = {"bath_bloch": (0.5, 0.2, 0.7), "tolerance": 1e-7}
    found, right = (evolve(model, times, ("tau_z", "m_z"), method=m, **moved) for m in ("symmetric", "dicke"))
    assert abs(right["tau_z"][-1] - right["tau_z"][-2]) > 1e-2
    for name in found:
        np.testing.assert_allclose(found[name], right[name], atol=2e-7)


def test_sites_rest_when_they_do_not_move_any_more() -> None:
    problem = dimensionless(collective_model(PAPER.replace(N=6), bath_bloch=(0.5, 0.2, 0.7)))
    solver = Solver(Task(problem, np.array([1.0, 1e4]), (), 1e-8))
    (equation,) = (site.equation for site in solver.compiled.sites)
    rest = solver.rest()
    assert 5 < rest * equation.rate < 1e3
    assert still(equation, equation.at(np.array([rest]))[0])
    assert not still(equation, equation.at(np.array([rest / 20]))[0])
    assert Solver(Task(problem, np.array([1.0]), (), 1e-8)).rest() == math.inf


def test_few_exponentials_do_whatever_the_number_of_levels() -> None:
    """A site of three levels whose populations relax; more of them are followed by a general method."""
    lower = np.diag([1.0, 1.0], 1)
    random = np.random.default_rng(0)
    for initial, few in ((np.diag([0.2, 0.3, 0.5]), True), (np.full((3, 3), 1 / 3), False)):
        site = levels(
            random, 4, 3, interactions=False, hamiltonian=np.diag([0.0, 1.0, 2.5]), jumps=[lower, 0.5 * lower.T],
            initial=initial,
        )  # fmt: skip
        solver = Solver(Task(dimensionless(around(random, site)), np.array([1.0]), (), 1e-8))
        ((_, parts),) = (site.equation.relaxation() for site in solver.compiled.sites)
        assert (len(parts) <= MOST_EXPONENTIALS) is few
        assert (solver._relaxation() is not None) is few
