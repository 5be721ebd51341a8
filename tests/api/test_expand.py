"""Does the coefficient of 1/N leave an error of second order, wherever the limit exists?"""

import math
import re

import numpy as np
import pytest
from conftest import PAPER

from centralspin import ArgumentError, ConvergenceError, Moment, evolve, expand, steady_state

TIMES = np.linspace(0, 3, 4)
NAMES = ("tau_z", "q", "Q2", "Q4", "number")


def slope(sizes, errors):
    return np.polyfit(np.log(sizes), np.log(errors), 1)[0]


@pytest.mark.parametrize("N", [5, 60, math.inf])
def test_long_evolution_ends_in_the_stationary_state(N):
    model = PAPER.replace(N=N, g0=2.0)
    end, rest = evolve(model, [0, 40.0], NAMES), steady_state(model, NAMES)
    for name in NAMES:
        assert end[name][-1] == pytest.approx(rest[name], abs=1e-8)


@pytest.mark.parametrize("times", [TIMES, None])
def test_the_coefficient_of_1_over_N_leaves_an_error_of_second_order(times):
    model = PAPER.replace(g0=2.0)
    whole = expand(model, times, NAMES, tolerance=1e-11)
    sizes = np.array([300, 1000, 3000])
    plain, better = [], []
    for N in sizes:
        finite = model.replace(N=int(N))
        exact = (
            steady_state(finite, NAMES, tolerance=1e-11)
            if times is None
            else evolve(finite, times, NAMES, tolerance=1e-11)
        )
        theory = whole.at(int(N))
        plain.append(max(np.abs(whole.limit[name] - exact[name]).max() for name in NAMES))
        better.append(max(np.abs(theory[name] - exact[name]).max() for name in NAMES))
    assert slope(sizes, plain) == pytest.approx(-1, abs=0.02)
    assert slope(sizes, better) == pytest.approx(-2, abs=0.04)


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


@pytest.mark.parametrize("about", ["reference", "mean"])
def test_moments_of_every_kind_are_expanded(about):
    """Mixed, cubic and not Hermitian ones, in a bath that is not in its stationary state."""
    model, z = PAPER.replace(g0=2.0), np.diag([1.0, -1.0])
    lower = np.array([[0, 0], [1, 0]])
    moments = {
        "mixed": Moment(central=z, site=lower + lower.T, about=about),
        "cubic": Moment(site=lower + lower.T, power=3, about=about),
        "lower": Moment(site=lower, about=about),
        "square": Moment(central=lower, site=lower, power=2, about=about),
        "z": Moment(site=z, power=2, about=about),
    }
    bath = {"bath_bloch": (0, 0, 0.3)}
    limit, coefficient = expand(model, TIMES[:3], moments, tolerance=1e-9, **bath)
    distance = []
    for N in (1000, 4000):
        exact = evolve(model.replace(N=N), TIMES[:3], moments, tolerance=1e-10, **bath)
        distance.append([np.abs(N * (exact[n] - limit[n]) - coefficient[n]).max() for n in moments])
    for far, near in np.array(distance).T:
        assert near == pytest.approx(far / 4, rel=0.1, abs=1e-5)


def test_an_expansion_that_does_not_exist_is_refused():
    with pytest.raises(ArgumentError, match="`scaling` must be at least 1"):
        expand(PAPER, TIMES, NAMES, bath_bloch=(0.5, 0, 0))
    with pytest.raises(ArgumentError, match="`scaling` must be a multiple of ½"):
        expand(PAPER.replace(scaling=0.6), TIMES, NAMES)
    with pytest.raises(ArgumentError, match="approach their limits as 1/N"):
        expand(PAPER, TIMES, ("m_x",))


@pytest.mark.parametrize(("scaling", "power"), [(0.75, 1), (0.75, 2), (0.6, 2), (1.2, 1), (1.25, 1)])
@pytest.mark.parametrize("about", ["zero", "mean", "reference"])
def test_an_expansion_of_a_power_that_it_has_no_term_for_is_refused(scaling, power, about):
    """Its terms would all be zero, as if there was nothing."""
    asked = {"z": Moment(site=np.diag([1.0, -1.0]), power=power, scaling=scaling, about=about)}
    with pytest.raises(ArgumentError, match=f"`scaling` must be a multiple of ½ .* but is {scaling}"):
        expand(PAPER, None, asked)
    assert expand(PAPER, None, {"one": Moment(site=np.eye(2), power=0, scaling=0.6)}).limit["one"] == 1


@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-5, 1e-8, 1e-10])
@pytest.mark.parametrize("times", [TIMES[:2], None])
def test_whether_there_is_a_term_of_half_order_does_not_depend_on_the_tolerance(times, tolerance):
    tilted = PAPER.replace(scaling=1.0, bath_field=(0.3, 0.0, -0.2))
    for model, names, present in (
        (PAPER, ("tau_x", "tau_z", "q", "Q2", "number", "m_z", "X3"), "m_x"),
        (tilted, ("tau_x", "tau_z", "Q2", "m_x", "m_z"), "X3"),
    ):
        assert set(expand(model, times, names, tolerance=tolerance).limit) == set(names)
        with pytest.raises(ArgumentError, match="approach their limits as 1/N"):
            expand(model, times, present, tolerance=tolerance)


def test_what_an_expansion_leaves_out_is_within_the_tolerance():
    weak = PAPER.replace(g0=1e-5)
    assert abs(steady_state(weak.replace(N=80), "m_x", tolerance=1e-9)["m_x"]) > 1e-7
    with pytest.raises(ArgumentError, match="approach their limits as 1/N"):
        expand(weak, None, "m_x", tolerance=1e-7)
    assert expand(weak, None, "m_x", tolerance=1e-4).limit["m_x"] == 0


def test_coefficients_that_nothing_damps_grow_in_time():
    """Without bath dissipation at z = 1 they grow with t: at once, right, and refused where round-off counts."""
    model = PAPER.replace(scaling=1.0, bath_pump=0.0, bath_decay=0.0)
    start = {"bath_bloch": (0, 0, -1)}
    large = evolve(model.replace(N=10**6), [100.0], ("tau_z",), tolerance=1e-11, **start)
    for cut in (1, None):
        found = expand(model, [100.0], ("tau_z",), cut=cut, **start)
        difference = 1e6 * (large["tau_z"] - found.limit["tau_z"])
        assert found.coefficient["tau_z"][0] < -50
        assert found.coefficient["tau_z"][0] == pytest.approx(difference[0], rel=1e-3)
    with pytest.raises(ConvergenceError, match="round-off may exceed the tolerance 1e-08") as refusal:
        expand(model, [6e3], ("tau_z",), cut=1, **start)
    named = float(re.search(r"tolerance of (\S+) will do", str(refusal.value))[1])
    assert expand(model, [6e3], ("tau_z",), cut=1, tolerance=named, **start).limit.error <= named
