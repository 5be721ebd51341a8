"""Are exactly those modes kept that are reached or read, and none because of a number that happens to be 1?"""

import math

import numpy as np
import pytest
from scipy.linalg import expm

from centralspin import CentralSpinModel, CollectiveModel, Moment, Sites
from centralspin.problem.general import dimensionless
from centralspin.question import ask, prepare
from centralspin.symmetric.compile import compile_problem
from centralspin.symmetric.modes import indirect_weight, reach
from centralspin.symmetric.solver import Solver


def matrix(*places):
    M = np.zeros((4, 4), dtype=bool)
    for place in places:
        M[place] = True
    return M


NONE = np.zeros((4, 4), dtype=bool)


def test_a_pair_creates_only_if_both_its_parts_do():
    K, P = matrix((1, 0)), matrix((2, 3))
    reached, direct = reach(NONE, NONE, [(K, P)], NONE, True)
    assert not reached.any() and not direct.any()
    reached, direct = reach(NONE, NONE, [(K, matrix((2, 0)))], NONE, True)
    assert reached.tolist() == direct.tolist() == [True, True, False]


def test_a_pair_hops_where_its_first_part_does():
    created, K = matrix((1, 0)), matrix((2, 1))
    reached, direct = reach(NONE, created, [(K, NONE)], NONE, True)
    assert reached.tolist() == [True, True, False] and direct.tolist() == [True, False, False]
    assert reach(NONE, created, [(NONE, K)], NONE, True)[0].tolist() == [True, False, False]
    assert reach(NONE, created, [(NONE, K)], NONE, False)[0].tolist() == [True, True, False]


def test_chains_of_hops_are_followed_to_their_end():
    local = matrix((2, 1), (3, 2))
    reached, direct = reach(local, matrix((1, 0)), [], NONE, False)
    assert reached.all() and direct.tolist() == [True, False, False]
    reached, direct = reach(local, matrix((1, 0), (0, 3)), [], NONE, False)
    assert direct.tolist() == [True, False, True]


def test_weight_of_what_is_reached_through_two_modes():
    """½ ln N, at least 2, and no more than at N = 1e9."""
    assert [indirect_weight(N) for N in (2, 40, 10**3, 10**6, 10**9, math.inf)] == [2, 2, 3, 7, 10, 10]


SX, SY, SZ = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])
RESTING = CentralSpinModel(N=6, g0=1.0, bath_pump=0.2, bath_decay=1.0, central_decay=0.5)


def needed(model, *moments, **start):
    question = ask(model, {str(i): moment for i, moment in enumerate(moments)}, **start)
    solver = Solver(prepare(question, np.array([1.0]), 1e-6, "symmetric", {}, math.inf)[0])
    modes, power = solver.shape.needed, solver.shape.power
    return [m.tolist() for m in modes], power


@pytest.mark.parametrize(("axis", "B"), list(enumerate([SX, SY, SZ])))
def test_one_moment_needs_its_mode(axis, B):
    for power in (1, 2, 3):
        modes, quanta = needed(RESTING, Moment(site=B, power=power))
        # about the reference, σz = −2/3 there, products of σx or σy are 1 plus nothing, those of σz have σz again
        assert modes[0][axis] and quanta == power
    assert needed(RESTING, Moment(central=SZ)) == ([[False] * 3], 0)


def test_moments_need_what_any_of_them_needs():
    assert needed(RESTING, Moment(site=SX), Moment(site=SY)) == ([[True, True, False]], 1)
    modes, quanta = needed(RESTING, Moment(site=SX), Moment(site=SY, power=2))
    assert modes[0][:2] == [True, True] and quanta == 2


def test_moments_of_classes_that_are_rotated_need_the_quanta_of_the_largest_power() -> None:
    """Of all collective modes, whichever of them a moment reads."""
    lower = np.array([[0, 0], [1, 0]])
    sites = [
        Sites(count=50, hamiltonian=0 * SZ, jumps=[lower, 0.4 * lower.T], couplings=[(g * lower.T, lower)])
        for g in (1.0, 0.5)
    ]
    model = CollectiveModel(hamiltonian=SX, jumps=[lower], sites=sites, initial=np.diag([1, 0]))
    assert needed(model, Moment(central=SZ)) == ([[True] * 6], 0)
    for powers in ((1, 4), (4, 1), (2, 4, 3)):
        wanted = [Moment(site=SX, site_class=0, power=power) for power in powers]
        assert needed(model, *wanted, Moment(central=SZ)) == ([[True] * 6], 4)


def test_a_moving_reference_is_followed_to_round_off():
    """What moments are about is exact for every tolerance that may be asked for."""
    X, Z, lower = np.array([[0, 1], [1, 0]]), np.diag([1, -1]), np.array([[0, 0], [1, 0]])
    sites = Sites(
        count=10,
        hamiltonian=3 * X + Z,
        jumps=[0.3 * lower],
        couplings=[(lower.T, lower)],
        initial=np.diag([1, 0]),
    )
    model = CollectiveModel(hamiltonian=Z, sites=sites, initial=np.diag([1, 0]))
    (site,) = compile_problem(dimensionless(model)).sites
    times, equation = np.array([5.0, 60.0]), site.equation
    exact = [(expm(equation.parts.at(0.0) * t) @ np.r_[1.0, equation.initial()])[1:] for t in times]
    np.testing.assert_allclose(equation.at(times), exact, rtol=0, atol=5e-12)
