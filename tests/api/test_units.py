"""Do results stay the same when all rates are multiplied by a factor and all times divided by it?"""

import math
from dataclasses import replace

import numpy as np
import pytest
from conftest import PAPER
from hypothesis import example, given, settings
from hypothesis import strategies as st
from random_models import around, levels, matrix, moments, reading, rescaled, spins, thermal

from centralspin import CentralSpinModel, Moment, central_states, evolve, expand, liouvillian, steady_state

TIMES = np.array([0.0, 0.5, 1.5])
FACTORS = st.floats(-15, 15).map(lambda x: 10.0**x)
RATES = ("g0", "central_pump", "central_decay", "bath_pump", "bath_decay", "central_field", "bath_field")


def scaled(model, s):
    """A `CentralSpinModel` with all rates and fields multiplied by s."""
    changes = {name: getattr(model, name) for name in RATES}
    return model.replace(
        **{n: tuple(s * w for w in v) if isinstance(v, tuple) else s * v for n, v in changes.items()}
    )


def everything(method, model, s, names, **options):
    """Evolution and, where there is one, stationary state."""
    model = scaled(model, s)
    found = [evolve(model, TIMES / s, names, method=method, **options)]
    if method != "expand":
        found.append(steady_state(model, names, method=method, **options))
    return np.concatenate([np.ravel(list(result.values())) for result in found])


METHODS = {
    "symmetric": ({"N": 8}, ("tau_z", "q", "Q2", "Q4"), {}),
    "dicke": ({"N": 4}, ("tau_z", "q", "Q2", "Q4"), {}),
    "full_space": ({"N": 2}, ("tau_z", "q", "Q2", "Q4"), {}),
    "spin_boson": ({"N": math.inf, "g0": 0.5}, ("tau_z", "q", "Q2"), {"tolerance": 1e-6}),
    "mean_field": ({"N": 100, "scaling": 1.0}, ("tau_z", "m_x", "m_z"), {}),
    "cumulants": ({"N": 30, "g0": 1.0}, ("tau_z", "q", "Q2"), {"order": 2}),
}


@pytest.mark.parametrize("s", [1e-15, 3e-8, 1e15])
@pytest.mark.parametrize("method", METHODS)
def test_no_method_depends_on_the_unit_of_time(method, s):
    changes, names, options = METHODS[method]
    model = PAPER.replace(**changes)
    expected = everything(method, model, 1.0, names, **options)
    np.testing.assert_allclose(everything(method, model, s, names, **options), expected, atol=2e-8)


@given(FACTORS, st.integers(0, 100))
@example(1e-15, 0)
@example(1e15, 1)
@settings(max_examples=4)
def test_random_models_do_not_depend_on_the_unit_of_time(s, seed):
    random = np.random.default_rng(seed)
    model = around(random, [spins(random, 2), levels(random, 1, 2, interactions=False)])
    wanted = moments(random, model)[:5]
    for times in (TIMES[:2], None):
        expected = reading("symmetric", model, times, wanted)
        other = reading("symmetric", rescaled(model, s), None if times is None else times / s, wanted)
        np.testing.assert_allclose(other, expected, atol=2e-8)


@pytest.mark.parametrize("s", [1e-15, 1e-6, 1e15])
@pytest.mark.parametrize("times", [TIMES, None])
def test_expansions_do_not_depend_on_the_unit_of_time(s, times):
    model, names = PAPER.replace(g0=1.0), ("tau_z", "q", "Q2")
    for one, other in zip(
        expand(model, times, names),
        expand(scaled(model, s), None if times is None else times / s, names),
        strict=True,
    ):
        for name in names:
            np.testing.assert_allclose(other[name], one[name], atol=2e-8)


@pytest.mark.parametrize("s", [1e-15])
def test_moving_references_and_rates_do_not_depend_on_the_unit_of_time(s):
    """Interactions, sites that are not at rest, and a rate that is a function of time."""
    random = np.random.default_rng(4)

    def pulse(t):
        return 0.3 + math.exp(-(((t - 0.6) / 0.2) ** 2))

    model = around(
        random,
        spins(random, 1, rates=[pulse, None, 0.2], interactions=[(matrix(random, 2), matrix(random, 2))]),
    )
    wanted = moments(random, model)[:4]
    expected = reading("symmetric", model, TIMES[:2], wanted, 1e-6)
    other = rescaled(model, s)
    other = other.replace(sites=replace(other.sites[0], rates=[lambda t: pulse(t * s), None, 0.2]))
    np.testing.assert_allclose(reading("symmetric", other, TIMES[:2] / s, wanted, 1e-6), expected, atol=2e-6)


@pytest.mark.parametrize("s", [1e-12, 1e9])
def test_the_generator_and_states_carry_the_unit(s):
    one, other = (liouvillian(m, 4).matrix for m in (PAPER.replace(N=5), scaled(PAPER.replace(N=5), s)))
    assert abs(other / s - one).max() < 1e-12 * abs(one).max()
    states = central_states(scaled(PAPER.replace(N=5), s), TIMES / s)
    np.testing.assert_allclose(states, central_states(PAPER.replace(N=5), TIMES), atol=2e-8)


def test_a_slow_bath_moves():
    slow = CentralSpinModel(N=2, g0=0, bath_decay=1e-14)
    assert evolve(slow, [3e14], ("m_z",), bath_bloch=(0, 0, 1))["m_z"][0] == pytest.approx(
        2 * math.exp(-3) - 1, abs=1e-8
    )


@pytest.mark.parametrize("method", ["symmetric", "dicke"])
def test_a_fast_central_spin_beside_a_slow_bath(method):
    """Rates that are 10⁸ apart; the central spin in its own stationary state acts on the bath as a field."""
    model = CentralSpinModel(
        N=2, g0=0.5, central_field=(1e7, 0, 3e7), central_decay=1e8, bath_pump=0.3, bath_decay=1.0
    )
    exact = steady_state(model, ("tau_z", "m_z", "X2"), method="full_space", tolerance=1e-5)
    found = steady_state(model, ("tau_z", "m_z", "X2"), method=method, tolerance=1e-7)
    for name in found:
        assert found[name] == pytest.approx(exact[name], abs=1e-7)
    assert exact["m_z"] == pytest.approx(-0.7 / 1.3, abs=1e-2)


def test_thermal_sites_at_infinity_do_not_depend_on_the_unit_of_time():
    random = np.random.default_rng(2)
    model = around(random, thermal(random, 2, math.inf))
    wanted = [Moment(central=np.diag([1, -1])), Moment(site=[[0, 1], [1, 0]], power=2)]
    expected = reading("symmetric", model, TIMES, wanted, 1e-6)
    for s in (1e-13, 1e13):
        np.testing.assert_allclose(
            reading("symmetric", rescaled(model, s), TIMES / s, wanted, 1e-6), expected, atol=2e-6
        )
