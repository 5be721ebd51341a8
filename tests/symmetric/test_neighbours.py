"""Do problems of one shape share what they have in common, and only that?"""

import math

import numpy as np
import pytest
from conftest import PAPER
from scipy.sparse import csr_matrix

from centralspin import ConvergenceError, evolve, steady_state
from centralspin.symmetric import neighbours, space
from centralspin.symmetric.cut import FIRST_CUT, Shape
from centralspin.symmetric.neighbours import Neighbours, starting_from

MODEL = PAPER.replace(N=20)
NAMES = ("tau_z", "Q2", "Q4")


@pytest.fixture
def factorised(monkeypatch):
    """The sizes of what is factorised for neighbours."""
    sizes, factorise = [], neighbours.factorise

    def counted(matrix):
        sizes.append(matrix.shape[0])
        return factorise(matrix)

    monkeypatch.setattr(neighbours, "factorise", counted)
    return sizes


def test_states_nearby_need_few_factorisations_and_are_as_accurate(factorised) -> None:
    known, couplings = Neighbours(), np.linspace(2.0, 2.2, 15)
    with starting_from(known):
        found = [steady_state(MODEL.replace(g0=g0), NAMES, tolerance=1e-6) for g0 in couplings]
    assert min(factorised) > neighbours.LEAST and len(factorised) == known.made
    assert known.used >= 3 * known.made > 0, "most are found with a factorisation from before"
    for g0, state in zip(couplings, found, strict=True):
        single = steady_state(MODEL.replace(g0=g0), NAMES, tolerance=1e-6, cut=state.details["cut"])
        for name in NAMES:
            assert abs(state[name] - single[name]) < 1e-9


@pytest.fixture
def cuts(monkeypatch):
    """The cuts that are tried."""
    found, sets = [], Shape.sets
    monkeypatch.setattr(Shape, "sets", lambda self, cut: (found.append(cut), sets(self, cut))[1])
    return found


def test_the_cut_is_sought_where_it_was_found_for_a_problem_nearby(cuts) -> None:
    times = [1.0, 3.0]
    with starting_from(Neighbours()):
        first = evolve(MODEL.replace(g0=2.0), times, NAMES)
        assert len(cuts) > 1
        cuts.clear()
        second = evolve(MODEL.replace(g0=2.02), times, NAMES)
        assert cuts == [second.details["cut"]] and abs(cuts[0] - first.details["cut"]) <= 2
        cuts.clear()
        evolve(MODEL.replace(g0=2.02), times, NAMES, tolerance=1e-4)  # is asked for the first time
        assert len(cuts) > 1 or cuts[0] < first.details["cut"]


@pytest.mark.parametrize("size", [30, math.inf])
@pytest.mark.parametrize("solve", [steady_state, lambda *a, **b: evolve(a[0], [2.0], *a[1:], **b)])
def test_what_was_found_nearby_does_no_harm_where_the_next_problem_is_another_one(size, solve) -> None:
    """Couplings and temperatures that jump up and down: every error is below the tolerance, and cuts fall again."""
    used = []
    with starting_from(Neighbours()):
        for g0, pump in (
            (0.2, 0.02),
            (6.0, 0.6),
            (0.2, 0.02),
            (0.3, 0.02),
            (3.0, 0.7),
            (0.1, 0.0),
            (0.1, 0.0),
        ):
            model = PAPER.replace(N=size, g0=g0, bath_pump=pump)
            found, right = solve(model, NAMES, tolerance=1e-6), solve(model, NAMES, tolerance=1e-10)
            for name in NAMES:
                assert np.abs(found[name] - right[name]).max() < 1e-6 * max(1.0, np.abs(right[name]).max())
            used.append(found.details["cut"])
    assert used[1] > used[0] and used[-1] < used[1]


def test_a_guess_is_combined_of_the_last_states(monkeypatch) -> None:
    """Where parameters change smoothly every further one brings it closer."""
    nearest, sizes, off = neighbours.nearest, [], []

    def seen(A, b, states):
        guess = nearest(A, b, states)
        sizes.append(len(states))
        off.append(np.abs(A @ guess - b).sum())
        return guess

    monkeypatch.setattr(neighbours, "nearest", seen)
    random, known = np.random.default_rng(0), Neighbours()
    rates = random.uniform(0.5, 1.0, size=(2, 20, 20))
    for g in np.linspace(0, 0.2, neighbours.STATES + 3):
        L = rates[0] + g * rates[1]
        L = csr_matrix(np.vstack([np.zeros(20), (L - np.diag(L.sum(axis=0)))[1:]]))
        assert known.stationary("one", L, 1e-3, 1e-9) is not None
    assert sizes == [*range(1, neighbours.STATES), *[neighbours.STATES] * 3]
    assert off[4] < 1e-4 * off[0]


def test_a_jump_of_the_parameters_costs_a_factorisation_and_no_accuracy(factorised) -> None:
    known = Neighbours()
    far = MODEL.replace(g0=-3.0, central_pump=0.01, central_decay=2.0, bath_decay=0.6)
    with starting_from(known):
        steady_state(MODEL.replace(g0=2.0), NAMES, cut=14)
        before = len(factorised)
        found = steady_state(far, NAMES, cut=14)
    assert len(factorised) > before
    single = steady_state(far, NAMES, cut=14)
    assert max(abs(found[name] - single[name]) for name in NAMES) < 1e-11


def test_nothing_is_kept_outside() -> None:
    with starting_from(Neighbours()):
        assert neighbours.current() is not None
    assert neighbours.current() is None


def test_a_fixed_cut_says_nothing_about_the_next_one(cuts) -> None:
    with starting_from(Neighbours()):
        steady_state(MODEL, NAMES, cut=20, tolerance=1e-4)
        cuts.clear()
        steady_state(MODEL, NAMES, tolerance=1e-4)
    assert cuts[0] == FIRST_CUT["fluctuations"] and max(cuts) < 20


def test_a_cut_beyond_the_memory_budget_is_not_begun_with() -> None:
    budget = {"memory_budget": 5.5e6, "tolerance": 2e-9}  # what is needed, and hardly more
    model = PAPER.replace(N=60, g0=1.9)
    with starting_from(Neighbours()):
        found = [steady_state(model, "tau_z", **budget)["tau_z"] for _ in range(3)]
    assert max(found) - min(found) < 1e-8


def test_a_given_cut_teaches_nothing() -> None:
    known = Neighbours()
    with starting_from(known):
        steady_state(PAPER.replace(N=60), "tau_z", cut=5)
        assert not known._cuts
        steady_state(PAPER.replace(N=60), "tau_z")
        assert len(known._cuts) == 1


def test_only_so_much_is_kept() -> None:
    known = Neighbours()
    for asked in range(3 * neighbours.ASKED):
        known.learn(asked, [(8, 1e-9)])
    assert known.cuts(3 * neighbours.ASKED - 1) and not known.cuts(0) and len(known._cuts) == neighbours.ASKED


def test_a_state_that_is_not_unique_is_refused_after_one_that_is() -> None:
    degenerate = MODEL.replace(g0=0.0, central_pump=0.0, central_decay=0.0)
    known = Neighbours()
    with starting_from(known):
        steady_state(MODEL.replace(g0=2.0), NAMES, tolerance=1e-6)
        for _ in range(2):
            with pytest.raises(ConvergenceError, match="not unique"):
                steady_state(degenerate, NAMES, tolerance=1e-6)
        steady_state(MODEL.replace(g0=2.0), NAMES, tolerance=1e-6)


def test_spaces_of_one_shape_are_shared_and_no_others() -> None:
    n = np.array([[0, 0], [0, 1], [1, 0]])
    one, again = space.shared_space(n, [0, 0]), space.shared_space(n.copy(), [0, 0])
    assert one is again
    assert space.shared_space(n, [0, 1]) is not one
    other = space.shared_space(np.array([[0, 0], [0, 1], [2, 0]]), [0, 0])
    assert other is not one and other.occupations[2, 0] == 2
    for size in range(3, 3 + space.SHARED):
        space.shared_space(np.arange(size)[:, None], [0])
    assert len(space._SHARED) == space.SHARED and space.shared_space(n, [0, 0]) is not one


def test_condensates_of_different_size_share_no_elements() -> None:
    """What is kept with a space depends on N; a third problem must not get what the first one left."""
    first = steady_state(PAPER.replace(N=900), NAMES, cut=6)
    other = steady_state(PAPER.replace(N=1000), NAMES, cut=6)
    assert first.details["unknowns"] == other.details["unknowns"], "they have one shape"
    space._SHARED.clear()
    assert steady_state(PAPER.replace(N=1000), NAMES, cut=6) == other != first
