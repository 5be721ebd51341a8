"""Do moments mean what they say, mixed, of any power, about any value, in every method?"""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import oracle
import pytest
from conftest import PAPER
from random_models import around, levels, matrix, reading, spins

from centralspin import (
    PAULI,
    ArgumentError,
    CentralSpinModel,
    CollectiveModel,
    ConvergenceError,
    Moment,
    Sites,
    evolve,
    steady_state,
)
from centralspin.problem.moments import ABOUT, product

TIMES = np.array([0.0, 0.7])


def by_hand(model, times, moment):
    """The moment about zero, the reference or the mean from density matrices, without binomials."""
    H, jumps, rho, central, total, N = oracle.build(model)
    D, L = len(H), oracle.liouvillian(H, jumps)
    if times is None:
        v = oracle.null_space(L, rcond=1e-12)[:, 0]
        states = [(v / np.trace(v.reshape(D, D))).reshape(D, D).T]
    else:
        states = [(oracle.expm(L * t) @ rho.ravel(order="F")).reshape(D, D).T for t in times]
    X = sum((N**-moment.scaling * total(B, c) for c, B in moment.operators.items()), np.zeros((D, D)))
    bare = model.replace(
        hamiltonian=0 * model.hamiltonian,
        jumps=model.jumps,
        sites=[replace(s, couplings=[]) for s in model.sites],
    )
    found = []
    for k, state in enumerate(states):
        if moment.about == "zero":
            c = 0.0
        elif moment.about == "mean":
            c = np.trace(X @ state)
        else:
            (c,) = by_hand(
                bare,
                None if times is None else times[k : k + 1],
                replace(moment, about="zero", central=None, power=1),
            )
        A = np.eye(D) if moment.central is None else central(moment.central)
        power = np.linalg.matrix_power(X - c * np.eye(D), moment.power)
        found.append(np.trace(A @ power @ state))
    return np.array(found)


@pytest.fixture(scope="module")
def model():
    """Two classes of different sites in tilted states, around a random central spin."""
    random = np.random.default_rng(3)
    return around(random, [spins(random, 2), levels(random, 1, 2, interactions=False)])


@pytest.mark.parametrize("power", range(5))
def test_mixed_moments_of_every_power(model, power):
    random = np.random.default_rng(power)
    A, B, C = matrix(random, 2, True), matrix(random, 2, True), matrix(random, 2, True)
    kinds = [
        Moment(central=A, site=[B, C], power=power),
        Moment(site={1: C}, power=power, scaling=0.7),
        Moment(central=matrix(random, 2), site=[B, None], power=power),
        Moment(central=A, site=[matrix(random, 2), matrix(random, 2)], power=power, scaling=0),
    ]
    moments = [replace(m, about=about) for m in kinds for about in ABOUT]
    for times in (TIMES, None):
        expected = np.array([by_hand(model, times, m) for m in moments]).T
        expected = expected if times is not None else expected[0]
        for method in ("symmetric", "full_space"):
            np.testing.assert_allclose(reading(method, model, times, moments), expected, atol=5e-8)


def test_the_value_is_real_only_where_operators_are_hermitian(model):
    up = np.array([[0, 1], [0, 0]])
    found = evolve(
        model, TIMES,
        {"plus": up, "minus": up.T, "x": Moment(central=up + up.T), "y": -1j * (up - up.T)},
    )  # fmt: skip
    assert np.iscomplexobj(found["plus"]) and np.abs(found["plus"].imag).max() > 0.01
    np.testing.assert_allclose(found["plus"], found["minus"].conj(), atol=1e-8)
    np.testing.assert_allclose(found["plus"] + found["minus"], found["x"], atol=1e-8)
    np.testing.assert_allclose(-1j * (found["plus"] - found["minus"]), found["y"], atol=1e-8)


def test_the_central_factor_is_not_forgotten(model):
    """⟨A X^p⟩ is not ⟨X^p⟩, and with A = 1 it is."""
    z = np.diag([1.0, -1.0])
    moments = {
        "with": Moment(central=z, site=z, power=2),
        "one": Moment(central=np.eye(2), site=z, power=2),
        "without": Moment(site=z, power=2),
    }
    found = evolve(model, TIMES, moments)
    np.testing.assert_allclose(found["one"], found["without"], atol=1e-9)
    assert np.abs(found["with"] - found["without"]).max() > 0.1


@pytest.mark.parametrize("method", ["symmetric", "dicke", "full_space", "cumulants"])
def test_the_number_of_a_tilted_bath(method):
    """⟨S+S−⟩/(εN) = (1 + m_z)/2ε + (N − 1)|m_−|²/ε in a product state, |m_−|² = (x² + y²)/4."""
    N, (x, y, z) = 3, (0.4, -0.5, 0.2)
    options = {"order": 4} if method == "cumulants" else {}
    found = evolve(
        PAPER.replace(N=N), [0.0], ("number", "m_z"), bath_bloch=(x, y, z), method=method, **options
    )
    expected = ((1 + z) / 2 + (N - 1) * (x**2 + y**2) / 4) / PAPER.epsilon
    assert found["number"][0] == pytest.approx(expected, abs=1e-9)
    assert found["m_z"][0] == pytest.approx(z, abs=1e-9)


@pytest.mark.parametrize("method", ["symmetric", "full_space"])
def test_moments_about_the_reference_and_about_zero_differ_by_the_reference(method):
    sites = Sites(
        count=3,
        hamiltonian=np.zeros((2, 2)),
        jumps=[[[0, 0], [1, 0]]],
        couplings=[([[0, 1], [0, 0]], [[0, 0], [1, 0]])],
    )
    model = CollectiveModel(hamiltonian=[[0, 1], [1, 0]], jumps=[[[0, 0], [1, 0]]], sites=sites)
    z = np.diag([1.0, -1.0])
    zero, reference = (Moment(site=z, about=about) for about in ("zero", "reference"))
    found = steady_state(model, {"zero": zero, "reference": reference}, method=method)
    assert found["reference"] - found["zero"] == pytest.approx(3 / math.sqrt(3), abs=1e-8)  # ⟨σz⟩ = −1 alone
    assert found["reference"] > 0.01


def test_a_series_is_multiplied_up_to_its_length():
    a, b = np.array([[1.0], [2.0], [3.0]]), np.array([[4.0], [5.0], [6.0]])
    np.testing.assert_array_equal(product(a, b)[:, 0], [4, 5 + 8, 6 + 10 + 12])


@pytest.mark.parametrize("N", [2, 3])
def test_what_cancels_adds_its_round_off_to_the_error(N: int) -> None:
    """Sites whose rates nearly cancel, which are no state: moments about zero are what is left of numbers up to 10⁷."""
    z, lower = np.diag([1.0, -1.0]), np.array([[0, 0], [1, 0]])
    sites = Sites(
        count=N,
        hamiltonian=0.3 * z,
        jumps=[lower, lower.T],
        rates=[1.0, -0.99],
        couplings=[(lower + lower.T, lower + lower.T)],
    )
    model = CollectiveModel(
        hamiltonian=0.5 * z + 0.2 * (lower + lower.T), jumps=[lower], sites=sites, initial=[1, 0]
    )
    asked = {"S3": Moment(site=z, power=3, about="zero")}
    found = evolve(model, [0.5], asked)
    # In extended precision, by a Taylor series in the whole space.
    right = {2: -440.31417157079085, 3: -5729938.915213129}[N]
    # About zero an error is multiplied by 3 ⟨B⟩²/N, about 10⁵.
    assert abs(found["S3"][0] - right) <= found.error < 1e-3
    with pytest.raises(ConvergenceError, match="may be off by"):
        evolve(model, [0.5], asked, method="full_space", tolerance=1e-12)


def test_the_error_holds_for_what_an_observable_makes_of_moments() -> None:
    model = CentralSpinModel(
        N=math.inf, g0=2.6194, central_field=(0, 0, 0.943197), central_pump=0.134284, central_decay=0.525898,
        bath_pump=0.00276409, bath_decay=0.00345511,
    )  # fmt: skip
    found, right = (
        steady_state(model, "number", tolerance=tolerance, method="symmetric") for tolerance in (2.9e-7, 1e-9)
    )
    # The moments alone to 2.9e-7 leave 8e-7, for 1/ε multiplies them.
    assert abs(found["number"] - right["number"]) <= found.error <= 2.9e-7
    names = ("tau_z", "q", "Q2", "Q4")
    assert evolve(CentralSpinModel.figure_2(80), [0, 1, 5], names).error < 1e-8


def test_the_error_holds_for_moments_beyond_double_precision() -> None:
    z, x = PAULI[2], PAULI[0]
    right = sum(math.comb(20, k) * (2 * k - 20) ** 40 for k in range(21)) / 2**20 / 20**20
    found = evolve(CentralSpinModel.figure_2(20), [0.0], {"b": Moment(site=x, power=40, about="zero")})
    assert 1 < abs(found["b"][0] - right) <= found.error < 1e-13 * right
    N, p = 10**12, Fraction(2, 3)
    asked = {"b": Moment(site=z, power=2, scaling=0, about="zero")}
    found = evolve(CentralSpinModel.figure_2(N), [0.0], asked)
    assert abs(Fraction(found["b"][0]) - (N * (1 - p**2) + (N * p) ** 2)) <= found.error < 1e-13 * N**2
    asked = {"b": Moment(site=z, power=2, scaling=0)}
    found = evolve(CentralSpinModel.figure_2(N), [0.0], asked)
    assert abs(Fraction(found["b"][0]) - N * (1 - p**2)) <= found.error
    assert 1e-16 * N < found.error < 1e-13 * N


def test_values_beyond_floating_point_are_refused() -> None:
    z = PAULI[2]
    for N, moment in (
        (10**300, Moment(site=z, power=2, scaling=0, about="zero")),
        (10**300, Moment(site=z, power=4, about="zero")),
        (3, Moment(site=z, power=2, scaling=-800)),
        (3, Moment(site=1e99 * z, power=40)),
    ):
        with pytest.raises(ArgumentError, match="`observables` must be of numbers"):
            evolve(CentralSpinModel.figure_2(N), [0.0], {"b": moment})
    assert evolve(CentralSpinModel.figure_2(10**300), [0.0], "Q4")["Q4"][0] == pytest.approx(27 / 16)


def test_an_error_above_the_tolerance_is_a_warning_in_the_result() -> None:
    """Of large moments round-off alone is larger."""
    asked = {"large": Moment(site=PAULI[2], power=6, about="zero"), "small": Moment(site=PAULI[2])}
    found = evolve(CentralSpinModel.figure_2(10**6), [0, 1.0], asked)
    assert found.error > 1e-8 and "more than the tolerance 1e-08" in found.details["warning"]
    assert found.error < 1e-10 * abs(found["large"]).max()
    assert "warning" not in evolve(CentralSpinModel.figure_2(10**6), [0, 1.0], "Q4").details
