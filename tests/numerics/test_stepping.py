"""Do the time stepper, the stationary solver, the cut and the expansion do what they promise?"""

import math

import numpy as np
import pytest
from conftest import PAPER
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.sparse import csr_matrix

from centralspin import (
    ArgumentError,
    ConvergenceError,
    TruncationError,
    corrected,
    evolve,
    expand,
    steady_state,
)
from centralspin.numerics.stationary import StationarySolver
from centralspin.numerics.stepping import evolve_linear, evolve_time_dependent

TIMES = np.linspace(0, 4, 9)
NAMES = ("tau_z", "q", "Q2", "Q4")


@given(st.integers(0, 10**6), st.booleans())
def test_taylor_steps_agree_with_the_matrix_exponential(seed, complex_valued):
    random = np.random.default_rng(seed)
    L = random.normal(size=(6, 6)) - 4 * np.eye(6)
    v = random.normal(size=6)
    if complex_valued:
        L, v = L + 1j * random.normal(size=(6, 6)), v + 1j * random.normal(size=6)
    times = np.sort(random.uniform(0, 3, size=5))
    values = evolve_linear(csr_matrix(L), v, times, csr_matrix(np.eye(6)), 1e-10)
    for t, value in zip(times, values, strict=True):
        np.testing.assert_allclose(value, expm(L * t) @ v, atol=1e-9)


def test_taylor_steps_meet_the_tolerance_they_are_given():
    L = csr_matrix(np.array([[-0.5, 30.0], [-30.0, -0.5]]))
    exact = np.exp(-0.5 * TIMES[-1]) * math.cos(30 * TIMES[-1])
    for tolerance in (1e-4, 1e-7, 1e-10):
        value = evolve_linear(L, np.array([1.0, 0.0]), TIMES, csr_matrix([[1.0, 0.0]]), tolerance)[-1, 0]
        assert abs(value - exact) < tolerance


def test_a_state_that_does_not_change_is_returned_at_all_times():
    values = evolve_linear(csr_matrix((2, 2)), np.array([1.0, 2.0]), TIMES, csr_matrix(np.eye(2)), 1e-8)
    np.testing.assert_array_equal(values, np.tile([1.0, 2.0], (len(TIMES), 1)))


def test_time_dependent_steps_agree_with_a_closed_form():
    states = evolve_time_dependent(lambda t, v: math.cos(t) * v, np.array([2.0]), TIMES, 1e-9)
    np.testing.assert_allclose(states[:, 0], 2 * np.exp(np.sin(TIMES)), atol=1e-9)


@pytest.mark.parametrize("N", [5, 60, math.inf])
def test_long_evolution_ends_in_the_stationary_state(N):
    model = PAPER.replace(N=N)
    end, rest = evolve(model, [0, 40.0], NAMES), steady_state(model, NAMES)
    for name in NAMES:
        assert end[name][-1] == pytest.approx(rest[name], abs=1e-8)


def test_an_iterative_and_a_direct_solution_agree():
    from centralspin.problem.collective import collective_model
    from centralspin.symmetric.generator import Generator

    generator = Generator(collective_model(PAPER.replace(N=80)), 16)
    trace = np.eye(1, generator.size)[0]
    iterative = StationarySolver(generator.matrix(), trace, blocks=generator.blocks()).stationary()
    direct = StationarySolver(generator.matrix(), trace).stationary()
    np.testing.assert_allclose(iterative, direct, atol=1e-12)
    assert np.abs(generator.matrix() @ direct).max() < 1e-12


def test_a_stationary_state_that_is_not_unique_is_refused():
    with pytest.raises(ConvergenceError, match="not unique"):
        StationarySolver(csr_matrix((3, 3)), np.array([1.0, 0, 0])).stationary()


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8, 1e-10])
def test_the_cut_is_chosen_to_meet_the_tolerance(tolerance):
    model = PAPER.replace(N=80, g0=6.0)
    exact = evolve(model, TIMES, NAMES, tolerance=1e-12)
    trajectory = evolve(model, TIMES, NAMES, tolerance=tolerance)
    assert max(np.abs(trajectory[name] - exact[name]).max() for name in NAMES) < tolerance
    assert trajectory.details["truncation_error"] <= tolerance


def test_a_fixed_cut_is_used_as_it_is():
    trajectory = evolve(PAPER.replace(N=80), TIMES, NAMES, cut=9)
    assert trajectory.details["cut"] == 9
    assert not trajectory.details["exact"]


def test_a_small_bath_is_exact():
    details = evolve(PAPER.replace(N=6), TIMES, NAMES).details
    assert details["exact"] and details["truncation_error"] == 0 and details["cut"] == 12


def test_a_request_beyond_the_memory_budget_is_refused_with_the_numbers():
    weak = PAPER.replace(N=1000, bath_pump=0.002, bath_decay=0.01)
    with pytest.raises(
        TruncationError, match=r"tolerance 1e-08 .* budget of 0.005 GB: the next cut \d+ needs about"
    ):
        evolve(weak, TIMES, NAMES, memory_budget=5e6)


def test_not_even_the_first_cut_may_exceed_the_memory_budget():
    with pytest.raises(TruncationError, match=r"the first cut 8 needs about .* unknowns\)\.$"):
        evolve(PAPER.replace(N=1000), TIMES, NAMES, memory_budget=1e4)


def slope(sizes, errors):
    return np.polyfit(np.log(sizes), np.log(errors), 1)[0]


@pytest.mark.parametrize("times", [TIMES, None])
def test_the_coefficient_of_1_over_N_leaves_an_error_of_second_order(times):
    limit, coefficient = expand(PAPER, times, NAMES, tolerance=1e-11)
    sizes = np.array([300, 1000, 3000, 10000])
    plain, better = [], []
    for N in sizes:
        model = PAPER.replace(N=int(N))
        exact = (
            steady_state(model, NAMES, tolerance=1e-12)
            if times is None
            else evolve(model, times, NAMES, tolerance=1e-12)
        )
        theory = corrected(limit, coefficient, N)
        plain.append(max(np.abs(limit[name] - exact[name]).max() for name in NAMES))
        better.append(max(np.abs(theory[name] - exact[name]).max() for name in NAMES))
    assert slope(sizes, plain) == pytest.approx(-1, abs=0.01)
    assert slope(sizes, better) == pytest.approx(-2, abs=0.02)


def test_the_coefficient_in_the_mean_field_regime():
    model = PAPER.replace(scaling=1.0, bath_field=(0.3, 0.0, -0.2))
    bath = {"bath_bloch": (0.6, 0.1, -0.5)}
    names = ("tau_x", "tau_y", "tau_z", "m_x", "m_z")
    limit, coefficient = expand(model, TIMES, names, **bath)
    errors = []
    sizes = np.array([1000, 10000])
    for N in sizes:
        exact = evolve(model.replace(N=int(N)), TIMES, names, tolerance=1e-10, **bath)
        errors.append(
            max(np.abs(N * (exact[name] - limit[name]) - coefficient[name]).max() for name in names)
        )
    assert slope(sizes, errors) == pytest.approx(-1, abs=0.05)


def test_an_expansion_that_does_not_exist_is_refused():
    with pytest.raises(ArgumentError, match="`scaling` must be large enough"):
        expand(PAPER, TIMES, NAMES, bath_bloch=(0.5, 0, 0))
    with pytest.raises(ArgumentError, match="`scaling` must be a multiple of ½"):
        expand(PAPER.replace(scaling=0.6), TIMES, NAMES)
    with pytest.raises(ArgumentError, match="approach their limits as 1/N"):
        expand(PAPER, TIMES, ("m_x",))
