"""Is the set large enough, and does the estimated error say how large it should have been?"""

import itertools
import math

import numpy as np
import pytest
from conftest import PAPER
from hypothesis import given
from hypothesis import strategies as st

from centralspin import PAULI, CentralSpinModel, Moment, TruncationError, evolve, expand, steady_state
from centralspin.numerics.stationary import NotUniqueError
from centralspin.numerics.stepping import RoundOffError
from centralspin.problem.moments import Arithmetic
from centralspin.symmetric import solver
from centralspin.symmetric.cut import (
    AIM,
    ALWAYS,
    FIRST_SLOPE,
    GROWTH,
    LEAST_SLOPE,
    SAFETY,
    Outcome,
    Shape,
    converge,
    following,
    lag,
    slope,
)

TIMES = np.linspace(0, 3, 4)
NAMES = ("tau_z", "q", "Q2", "Q4")

shapes = st.builds(
    lambda weights, sizes, needed, power: Shape(
        [np.array(w) for w in weights],
        sizes[: len(weights)],
        [np.array(need[: len(w)]) for w, need in zip(weights, needed, strict=False)],
        power,
    ),
    st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=2),
    st.lists(st.sampled_from([1, 2, 4, math.inf]), min_size=2, max_size=2),
    st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=2, max_size=2),
    st.integers(0, 4),
)


def rows(n):
    return {tuple(row) for row in n.tolist()}


@given(shapes, st.integers(0, 8))
def test_one_hop_leads_from_the_inner_set_to_the_outer_one_at_most(shape, cut):
    outer, inner = shape.sets(cut)
    everything, kept = rows(outer), np.flatnonzero(np.concatenate(shape.weights) > 0)
    sizes = np.repeat(shape.sizes, [len(w) for w in shape.weights])
    class_of = np.repeat(np.arange(len(shape.weights)), [len(w) for w in shape.weights])
    assert len(everything) == len(outer) == len(inner)
    assert not outer[:, np.concatenate(shape.weights) == 0].any()
    for n in outer[inner[:, 0]]:
        for mode in kept:
            more = n.copy()
            more[mode] += 1
            fits = more[class_of == class_of[mode]].sum() <= sizes[mode]
            assert (tuple(more) in everything) == fits
            if n[mode]:  # taking one away, or moving it to another mode, stays inside as well
                less = n.copy()
                less[mode] -= 1
                assert tuple(less) in rows(outer[inner[:, 0]])
                for other in kept:
                    moved = less.copy()
                    moved[other] += 1
                    if moved[class_of == class_of[other]].sum() <= sizes[other]:
                        assert tuple(moved) in everything


@given(shapes, st.integers(0, 8))
def test_a_set_holds_the_box_all_small_occupations_and_what_is_read(shape, cut):
    outer, inner = shape.sets(cut + 1)
    found = rows(shape.kept_at(cut))
    assert rows(outer[inner[:, 1]]) == (rows(outer) if inner.all() else found)
    assert rows(outer[inner[:, 0]]) == (rows(outer) if inner.all() else rows(shape.kept_at(cut + 1)))
    weights, needed = np.concatenate(shape.weights), np.concatenate(shape.needed)
    ends = np.cumsum([0, *(len(w) for w in shape.weights)])
    for n in itertools.product(range(5), repeat=len(weights)):
        n = np.array(n)
        if n[weights == 0].any():
            continue
        if any(n[a:b].sum() > size for a, b, size in zip(ends, ends[1:], shape.sizes, strict=False)):
            continue
        wanted = n @ weights <= cut or n.sum() <= 2 or (n.sum() <= shape.power and not n[~needed].any())
        assert wanted <= (tuple(n) in found)
        assert (tuple(n) in found) <= wanted


@given(shapes, st.integers(0, 12))
def test_states_are_counted_without_listing_them(shape, cut):
    true, counted = len(shape.sets(cut)[0]), shape.count(cut)
    heaviest = max(int(w.max()) for w in shape.weights)
    if cut >= heaviest * max(ALWAYS, shape.power):  # the box holds all that is kept
        assert counted == true
    assert true <= counted <= 3 * true


def test_a_heavy_mode_is_counted_once():
    """A light mode and a heavy one at cut 4: n_1 + 5 n_2 ≤ 4, or so after a heavy or a light quantum is taken away."""
    shape = Shape([np.array([1, 5, 0])], [math.inf], [np.array([True, False, False])], 0)
    always = {(a, b) for a in range(4) for b in range(4 - a)}
    everything = always | {(a, 0) for a in range(6)} | {(a, 1) for a in range(5)}
    assert rows(shape.sets(4)[0]) == {(a, b, 0) for a, b in everything}
    assert shape.count(4) == 6 + 5 + len(always)
    assert shape.count(10) == len(shape.sets(10)[0]) == 12 + 11 + 6 + 1


def test_nothing_is_left_out_of_a_small_bath():
    shape = Shape([np.array([1, 1, 2])], [3], [np.ones(3, dtype=bool)], 1)
    outer, inner = shape.sets(6)
    assert inner.all() and len(outer) == math.comb(3 + 3, 3)
    assert not shape.sets(5)[1].all()


def test_the_slope_is_that_of_the_logarithm():
    assert slope([]) == slope([(8, 1e-3)]) == FIRST_SLOPE
    assert slope([(8, 1e-2), (12, 1e-2 * math.exp(-2))]) == pytest.approx(0.5)
    assert slope([(8, math.inf), (10, 0.0), (12, 1e-2)]) == FIRST_SLOPE
    assert slope([(8, 1e-2), (12, 2e-2)]) == LEAST_SLOPE


def test_the_next_cut_is_where_the_error_should_be_small_enough():
    history = [(8, 1e-2), (10, 1e-2 * math.exp(-2))]
    tolerance = 1e-2 * math.exp(-6) / AIM
    assert following(history, tolerance) == 14
    assert following([(8, 1.0)], 1e-30) == math.ceil(8 * GROWTH[0])
    assert following([(1, 1.0)], 1e-30) == 5
    assert following([(8, 1.01e-8)], 1e-8) == 8 + 2  # at least two more
    assert following([(40, 1.01e-8)], 1e-8) == 45  # and an eighth
    assert following([(8, math.inf)], 1e-8) == 12


def test_a_slowly_falling_error_is_larger_than_the_difference():
    """What is left is a geometric series: with a ratio r per unit of cut, r²/(1 − r²) differences over two units."""
    assert lag([], 8, 1e-3) == 1.0
    for rate in (0.1, 0.3):
        r = math.exp(-2 * rate)
        assert lag([(8, 1.0)], 18, math.exp(-10 * rate)) == pytest.approx(r / (1 - r))
    assert lag([(8, 1.0)], 10, math.exp(-2 * 2.0)) == 1.0


class Falling:
    """Steps from k to k + 1 that are A r^k, whatever the sets are: what is left is a geometric series."""

    def __init__(self, A, r, multiplied=1.0):
        self.A, self.r, self.multiplied, self.cuts = A, r, multiplied, []

    def sets(self, cut):
        return np.zeros((2, 1)), np.array([[True, True], [False, False]])

    def run(self, cut, outer, inner):
        self.cuts.append(cut)
        difference = self.A * (self.r ** (cut - 1) + self.r**cut)
        return Outcome(np.zeros(2), np.array([1, 0.5]) * difference, 2, None, 1e-12, self.multiplied)

    def converge(self, tolerance, before=(), budget=math.inf):
        return converge(self, self.run, tolerance, 0.9, 8, None, lambda cut: float(cut), budget, before)


def test_errors_that_fall_more_slowly_than_nearby_are_not_taken_for_small():
    quick = Falling(1e3, 0.45).converge(1e-8)
    assert len(quick.history) > 1
    for A, r in ((4e-8, 0.95), (1e-4, 0.8), (1e2, 0.4), (1e-12, 0.9)):
        for tolerance in (1e-8, 1e-6):
            found = Falling(A, r).converge(tolerance, quick.history)
            assert A * r ** (found.cut + 1) / (1 - r) <= tolerance and found.error <= 0.9 * tolerance


def test_nothing_that_is_left_out_is_called_complete():
    """Also where both sets happen to agree."""
    found = Falling(0.0, 0.5).converge(1e-8)
    assert not found.complete and found.error == 0


def test_the_search_begins_near_the_last_cut_of_a_problem_nearby():
    for error, begin in ((2.7e-9, 20), (8e-9, 22), (2.7e-11, 18), (0.0, 20)):
        there = [(8, 2.7e-9 * math.e**12), (20, error)]
        falling = Falling(1e-20, 0.5)
        falling.converge(1e-8 / 0.9, there)
        assert abs(falling.cuts[0] - begin) <= (0 if error in (2.7e-9, 0.0) else 1)


def test_a_cut_beyond_the_budget_is_not_begun_with():
    falling = Falling(1e-20, 0.5)
    assert falling.converge(1e-8, [(8, 1.0), (30, 1e-9)], budget=20.0).cut == 8 and falling.cuts == [8]


def test_a_cut_aims_at_what_is_asked_for():
    """Where that multiplies the errors of what is read, these must be smaller, unless that needs too much memory."""
    plain, aimed = Falling(1e2, 0.4), Falling(1e2, 0.4, 50.0)
    first, second = plain.converge(1e-6), aimed.converge(1e-6)
    assert second.cut > first.cut and second.error * 50 <= 0.9e-6 < first.error * 50
    stopped = Falling(1e2, 0.4, 50.0).converge(1e-6, budget=first.cut)
    assert stopped.cut == first.cut and stopped.error <= 0.9e-6
    with pytest.raises(TruncationError, match=r"the next cut \d+ needs"):
        Falling(1e2, 0.4, 50.0).converge(1e-6, budget=first.cut - 1)


def test_every_value_has_an_error_of_its_own():
    found = Falling(1e2, 0.4).converge(1e-6)
    assert found.error == pytest.approx(SAFETY * 1e2 * (0.4 ** (found.cut - 1) + 0.4**found.cut))
    assert found.errors == pytest.approx(found.error * np.array([1, 0.5]) + 1e-12, rel=1e-9)


def test_what_a_wider_set_shows_may_be_in_any_value():
    """Of a small given cut the sets may agree on a value that is off."""

    def run(cut, outer, inner):
        return Outcome(np.array([0.0, 1.0 / (1 + cut)]), np.array([1e-9, 0.0]), 2)

    found = converge(Falling(1, 0.5), run, 1e-8, 0.9, 8, 2, lambda cut: 1.0, 2.0)
    assert found.cut == 2 and (found.errors >= 1 / 3 - 1 / 6).all()


@pytest.mark.parametrize(
    ("failure", "complete", "fixed", "cuts"),
    [
        (NotUniqueError, False, 8, [8]),
        (NotUniqueError, True, None, [8]),
        (NotUniqueError, False, None, [8, 16, 32]),
        (RoundOffError, False, None, [8, 16, 32, 64]),
    ],
)
def test_a_failure_is_taken_for_an_accident_of_a_small_cut_a_few_times(failure, complete, fixed, cuts):
    """Not where the cut is given, nor where nothing is left out."""
    tried = []

    def run(cut, outer, inner):
        tried.append(cut)
        raise failure("It is not found.")

    shape = Falling(1.0, 0.5)
    if complete:
        shape.sets = lambda cut: (np.zeros((2, 1)), np.ones((2, 2), dtype=bool))
    with pytest.raises(failure):
        converge(shape, run, 1e-8, 0.9, 8, fixed, float, math.inf)
    assert tried == cuts


# --- what the solver makes of it ---


def test_one_run_at_one_cut_does_for_what_multiplies_errors(monkeypatch):
    """Far from what it is about a moment is a sum of moments, and its error is larger than theirs."""
    runs = []
    run = solver.run
    monkeypatch.setattr(solver, "run", lambda task: runs.append(task) or run(task))
    evolve(PAPER.replace(N=math.inf), np.linspace(0, 4, 9), NAMES, tolerance=1e-8)
    assert len(runs) == 1
    asked = {"far": Moment(site=PAULI[2], power=3, about="zero")}
    found = evolve(PAPER.replace(N=80), np.linspace(0, 4, 9), asked, tolerance=1e-8)
    assert len(runs) == 2 and 5 * found.details["truncation_error"] < found.error <= 1e-8


def test_errors_that_fall_by_jerks_are_not_larger_than_told():
    """At some cuts all three sets are off to the same side, by more than they differ."""
    model = CentralSpinModel(
        N=math.inf, g0=3.646465165921943, central_field=(0, 0, 0), central_pump=0.29373074100202484,
        central_decay=0.31086584378092874, bath_pump=0.027751871991413393, bath_decay=0.13875935995706695,
    )  # fmt: skip
    times, names = [7.0522391523076315], ("tau_z", "Q2")
    right = evolve(model, times, names, method="spin_boson", tolerance=1e-7)
    cuts = [evolve(model, times, names, cut=cut) for cut in range(8, 27)]
    for found in [*cuts, evolve(model, times, names, tolerance=2.3e-4)]:
        off = max(abs(found[name] - right[name])[0] for name in names)
        assert off < found.error, found.details


@pytest.mark.parametrize("about", ["zero", "reference", "mean"])
@pytest.mark.parametrize("orders", [1, 3])
def test_the_error_of_a_moment_is_that_of_its_parts(about, orders):
    """None that small changes of these make is larger, and some are hardly smaller."""
    random = np.random.default_rng(3)
    z = np.diag([1.0, -1.0])
    asked = Moment(central=z, site=z, power=3, about=about)
    basic = [Moment(central=z), *(Moment(central=z, site=z, power=k) for k in (1, 2, 3)), Moment(site=z)]
    values = random.normal(size=(orders, 2, len(basic)))
    errors = 1e-7 * random.random(values.shape)
    shift = random.normal(size=(orders, 2))
    made = [Arithmetic(basic, values, "reference", lambda moment: shift, errors=errors)]
    changes = [random.choice([-1, 1], size=errors.shape) * errors for _ in range(2000)]
    made += [Arithmetic(basic, values + change, "reference", lambda moment: shift) for change in changes]
    right, told = made[0](asked), made[0].error(asked)
    off = np.array([np.abs(other(asked) - right) for other in made[1:]])
    assert (off <= told * (1 + 1e-5)).all() and (off.max(axis=0) > 0.4 * told).all()
    assert (made[0].round_off(asked) < 1e-12).all()


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8, 1e-10])
def test_the_cut_is_chosen_to_meet_the_tolerance(tolerance):
    model = PAPER.replace(N=80, g0=5.0)
    exact = evolve(model, TIMES, NAMES, tolerance=1e-12)
    result = evolve(model, TIMES, NAMES, tolerance=tolerance)
    off = max(np.abs(result[name] - exact[name]).max() for name in NAMES)
    assert off < result.error <= tolerance
    assert result.details["truncation_error"] <= result.error


@pytest.mark.parametrize("N", [60, math.inf])
def test_the_stationary_cut_is_chosen_to_meet_the_tolerance(N):
    model = PAPER.replace(N=N, g0=2.0)
    exact = steady_state(model, NAMES, tolerance=1e-11)
    for tolerance in (1e-4, 1e-7):
        result = steady_state(model, NAMES, tolerance=tolerance)
        assert max(abs(result[name] - exact[name]) for name in NAMES) < result.error <= tolerance


def test_a_fixed_cut_is_used_as_it_is_and_says_how_far_off_it_is():
    model = PAPER.replace(N=80)
    exact = evolve(model, TIMES, NAMES, tolerance=1e-10)
    for cut in (0, 2, 4, 6, 9):
        result = evolve(model, TIMES, NAMES, cut=cut)
        assert result.details["cut"] == cut and not result.details["exact"]
        off = max(np.abs(result[name] - exact[name]).max() for name in NAMES)
        assert off < result.error and 1e-8 < result.details["truncation_error"] <= result.error


def test_a_small_bath_is_exact():
    details = evolve(PAPER.replace(N=4), TIMES, NAMES).details
    assert details["exact"] and details["truncation_error"] == 0
    assert details["unknowns"] == 4 * math.comb(4 + 3, 3)


def slow_leak():
    """A four-level site whose slow levels are reached by a jump of rate 1e-6 (weights far beyond early cuts)."""
    from centralspin import CollectiveModel, Sites

    def jump(a, b, factor=1.0):
        return factor * np.outer(np.eye(4)[a], np.eye(4)[b])

    sites = Sites(
        count=2,
        hamiltonian=np.diag([0, 0.3, 0, 0.3]),
        jumps=[jump(0, 1), 1e-3 * (jump(2, 0) + jump(3, 1)), jump(0, 2, 0.5**0.5), jump(0, 3, 0.5**0.5)],
        couplings=[([[0, 1], [0, 0]], jump(0, 1))],
    )
    model = CollectiveModel(hamiltonian=[[1, 2], [2, -1]], jumps=[[[0, 0], [0.3, 0]]], sites=sites)
    return model, {"m": Moment(site=1e4 * (jump(2, 3) + jump(3, 2)), scaling=1.0, about="zero")}


@pytest.mark.parametrize("cut", [1, 3, 8])
def test_a_mode_that_is_left_out_shows(cut):
    """Whatever the cut keeps, the error that is reported is not smaller than the one that is made."""
    model, observables = slow_leak()
    right = steady_state(model, observables, method="full_space", tolerance=1e-6)["m"]
    found = steady_state(model, observables, cut=cut)
    assert abs(found["m"] - right) <= found.error
    assert found.details["exact"] or found.details["truncation_error"] > 0
    assert steady_state(model, observables)["m"] == pytest.approx(right, abs=1e-8)


@pytest.mark.parametrize("field", [3e-4, 3e-3])
@pytest.mark.parametrize("cut", [2, 4, 8, None])
def test_a_field_that_reaches_further_modes_shows(field, cut):
    P = {"g0": 4.0, "central_field": (1, 0, 0.5), "central_pump": 0.8, "central_decay": 0.1}
    model = CentralSpinModel(N=4, bath_pump=1.0, bath_decay=1.0, bath_field=(field, 0, 0), **P)
    right = evolve(model, [2.0], ("tau_z",), method="full_space")["tau_z"][0]
    found = evolve(model, [2.0], ("tau_z",), cut=cut)
    assert abs(found["tau_z"][0] - right) <= found.error


def test_a_request_beyond_the_memory_budget_is_refused_with_the_numbers():
    weak = PAPER.replace(N=1000, bath_pump=0.002, bath_decay=0.01)
    with pytest.raises(
        TruncationError, match=r"tolerance 1e-08 .* budget of 0.005 GB: the \w+ cut \d+ needs about"
    ):
        evolve(weak, TIMES, NAMES, memory_budget=5e6)
    with pytest.raises(TruncationError, match="the first cut 8 needs about"):
        evolve(PAPER.replace(N=1000), TIMES, NAMES, memory_budget=1e4)


def test_an_expansion_knows_its_error():
    exact, coarse = (expand(PAPER, TIMES, NAMES, tolerance=t) for t in (1e-10, 1e-5))
    for one, other in ((coarse.limit, exact.limit), (coarse.coefficient, exact.coefficient)):
        assert max(np.abs(one[name] - other[name]).max() for name in NAMES) < coarse.limit.error <= 1e-5
