"""Is mean field exact at z = 1, at the rate and with the coefficient the library gives, and wrong at z = ½?"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from centralspin import CentralSpinModel, evolve, expand, steady_state
from centralspin.methods import mean_field
from centralspin.problem.central_spin import PAULI
from centralspin.problem.collective import collective_model
from centralspin.problem.general import dimensionless
from centralspin.theory.lemma_1 import average_deviation_norms, central_deviation_norms, deviation_norms

TIMES = np.linspace(0, 3, 7)
NAMES = ("tau_x", "tau_y", "tau_z", "m_x", "m_y", "m_z")
START = {"central_state": (0.6, 0.0, 0.8), "bath_bloch": (0.8, 0.0, -0.3)}


def tilted(N: float, **changes: object) -> CentralSpinModel:
    model = CentralSpinModel(
        N=N, g0=4.0, scaling=1.0, central_field=(1.0, 0.2, 0.5), central_pump=0.8, central_decay=0.1, bath_pump=0.2,
        bath_decay=1.0, bath_field=(0.3, -0.1, 0.5),
    )  # fmt: skip
    return model.replace(**changes)


def test_averages_obey_the_linear_equations_of_one_spin():
    model = tilted(math.inf)
    A, c = model.bath_equation()
    rest = np.linalg.solve(A, -c)
    closed = np.array([rest + expm(A * t) @ (START["bath_bloch"] - rest) for t in TIMES])
    for method in ("mean_field", "symmetric"):
        run = evolve(model, TIMES, NAMES, method=method, tolerance=1e-9, **START)
        np.testing.assert_allclose(np.array([run[n] for n in NAMES[3:]]).T, closed, atol=1e-8)


def test_the_limit_of_the_exact_dynamics_is_mean_field():
    exact = evolve(tilted(math.inf), TIMES, NAMES, **START)
    mean_field = evolve(tilted(math.inf), TIMES, NAMES, method="mean_field", **START)
    for name in NAMES:
        np.testing.assert_allclose(exact[name], mean_field[name], atol=1e-7)


def test_one_bath_excitation_gives_the_exact_coefficient():
    """N (⟨O⟩_N − limit) tends to c, with a distance that itself falls as 1/N."""
    limit, c = expand(tilted(math.inf), TIMES, NAMES, cut=1, **START)
    _, more = expand(tilted(math.inf), TIMES, NAMES, cut=4, **START)
    distance = []
    for N in (10**3, 10**4):
        run = evolve(tilted(N), TIMES, NAMES, cut=6, tolerance=1e-10, **START)
        distance.append(max(np.abs(N * (run[n] - limit[n]) - c[n]).max() for n in NAMES))
    assert max(np.abs(c[n] - more[n]).max() for n in NAMES) < 1e-7
    assert distance[1] == pytest.approx(distance[0] / 10, rel=0.05)


def test_the_mean_square_of_an_average_is_its_variance_in_a_product_state():
    run = evolve(tilted(10**6), TIMES, ("m_x", "m_y", "X2", "Y2"), cut=6, tolerance=1e-9, **START)
    mean_field = evolve(tilted(math.inf), TIMES, ("m_x", "m_y"), method="mean_field", **START)
    for axis in "xy":
        m = mean_field[f"m_{axis}"]
        spread = run[f"{axis.upper()}2"] + 1e6 * (run[f"m_{axis}"] - m) ** 2
        np.testing.assert_allclose(spread, 1 - m**2, atol=1e-4)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    g0=st.floats(-5, 5), N=st.integers(2, 4), axis=st.sampled_from("xyz"),
    field=st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1)),
)  # fmt: skip
def test_the_bounds_of_the_proof_hold(g0, N, axis, field):
    model, sigma = tilted(N, g0=g0, bath_field=field), PAULI["xyz".index(axis)]
    times = np.array([0.2, 1.0, 3.0])
    bound = 4 * abs(g0) * times / N + 1e-7
    assert (average_deviation_norms(model, times, axis) <= bound).all()
    assert (average_deviation_norms(model, times, axis, power=2) <= 2 * bound).all()
    assert (deviation_norms(model, times, np.kron(sigma, sigma)) <= 2 * bound).all()


def test_mean_field_does_not_hold_in_operator_norm():
    """‖e^{tL}[τz] − Λ_{t,0}[τz]‖ sees baths with another field, at every N."""
    times, corners = np.array([0.4]), [(0, 0, 1), (0, 0, -1), (1, 0, 0), (0, 1, 0)]
    up, down, x, y = (
        evolve(
            tilted(math.inf),
            times,
            ("tau_z",),
            method="mean_field",
            central_state=s,
            bath_bloch=(0.8, 0, -0.3),
        )["tau_z"][0]
        for s in corners
    )
    middle = (up + down) / 2
    expected = (
        middle * np.eye(2) + (x - middle) * PAULI[0] + (y - middle) * PAULI[1] + (up - down) / 2 * PAULI[2]
    )
    norms = [central_deviation_norms(tilted(N), times, PAULI[2], [expected])[0] for N in (4, 8, 16)]
    assert norms[0] < norms[1] < norms[2] < 2
    assert norms[0] > 1


def test_mean_field_stays_wrong_at_z_one_half():
    model = tilted(math.inf, scaling=0.5, bath_field=(0, 0, 0.5))
    late = evolve(model, np.linspace(50, 60, 51), ("tau_z",), method="mean_field")["tau_z"]
    exact = [steady_state(model.replace(N=N), ("tau_z",))["tau_z"] for N in (10**3, 10**7, math.inf)]
    assert np.ptp(exact) < 1e-3
    assert np.abs(late - exact[-1]).min() > 0.15


@pytest.mark.parametrize("N", [10, 10**6, math.inf])
def test_the_steps_to_the_stationary_state_grow_also_where_only_round_off_still_moves(N, monkeypatch):
    """From 0.1 to 10¹² of the fastest time, each 1.5 times the last: ln(10¹³)/ln(1.5) = 74 of them."""
    told = []
    monkeypatch.setattr(mean_field, "tell", lambda *_: told.append(None))
    steady_state(tilted(N), ("tau_z",), method="mean_field", tolerance=1e-9)
    assert len(told) < 80


@pytest.mark.parametrize(("N", "scaling"), [(20, 0.5), (20, 1.0), (math.inf, 1.0)])
def test_the_equations_of_nine_numbers_are_those_that_are_integrated(N, scaling) -> None:
    """(⟨τ⟩, r, u) in the units of the model: ⟨σ⟩ = r + u/√N."""
    model = tilted(N, scaling=scaling)
    start = np.concatenate([START["central_state"], START["bath_bloch"], np.zeros(3)])
    y = solve_ivp(
        mean_field.equations(model), (0, TIMES[-1]), start, "DOP853", t_eval=TIMES, rtol=1e-10, atol=1e-10
    ).y
    run = evolve(model, TIMES, NAMES, method="mean_field", tolerance=1e-9, **START)
    found = [*y[:3], *(y[3:6] + y[6:] / math.sqrt(N))]
    np.testing.assert_allclose(found, [run[name] for name in NAMES], atol=1e-8)


def test_the_derivative_along_directions_against_differences():
    exact = mean_field.Equations(dimensionless(collective_model(tilted(20), "up", (0.3, 0, 0.2))))
    random, step = np.random.default_rng(0), 1e-7
    y, directions = random.normal(size=12), random.normal(size=(12, 5))
    expected = np.array([(exact(0.0, y + step * e) - exact(0.0, y)) / step for e in directions.T]).T
    np.testing.assert_allclose(exact.derivative(y, directions), expected, atol=1e-5)
