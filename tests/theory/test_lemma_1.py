"""Are the operator norms of Lemma 1 exact, and do its bound and the uniform one hold?"""

import inspect
import runpy
from functools import reduce
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import expm_multiply

from centralspin import ArgumentError, CentralSpinModel
from centralspin.problem.central_spin import PAULI, SIGMA_MINUS, SIGMA_PLUS
from centralspin.theory.heisenberg import HeisenbergBlocks
from centralspin.theory.lemma_1 import (
    average_deviation_norms,
    bath_evolution,
    central_deviation_norms,
    commutator_bound,
    deviation_norms,
    evolved_norms,
    exchange_commutator,
    lemma_bound,
    uniform_bound,
)

#: A script that shares nothing with the library.
INDEPENDENT = runpy.run_path(str(Path(__file__).parents[2] / "independent" / "local_norms.py"))
TIMES = np.array([0.1, 0.5, 1.0, 3.0])
SX, SY, SZ = PAULI
FIELDS = {"bath_field": (0.3, -0.2, 0.4), "central_field": (1.0, 0.7, 0.5)}


def paper(N: int, **changes: object) -> CentralSpinModel:
    model = CentralSpinModel(
        N=N,
        g0=4.0,
        central_field=(1.0, 0.0, 0.5),
        central_pump=0.8,
        central_decay=0.1,
        bath_pump=0.2,
        bath_decay=1.0,
    )
    return model.replace(**changes)


def at(operator: np.ndarray, site: int, count: int) -> np.ndarray:
    """Bath spins 0 … N − 1, then the central spin, so that a local operator is its kron with the identity."""
    return reduce(np.kron, [np.eye(2)] * site + [operator] + [np.eye(2)] * (count - site - 1))


def full_generator(model: CentralSpinModel, coupled: bool = True) -> np.ndarray:
    """The Heisenberg generator of Eqs. (1)–(2) on row-major vectors of 2^{N+1} × 2^{N+1} matrices."""
    N = int(model.N)
    H = at(model.central_hamiltonian(), N, N + 1).astype(complex)
    jumps = [at(c, N, N + 1) for c in model.central_jumps()]
    for k in range(N):
        H += at(model.bath_hamiltonian(), k, N + 1)
        exchange = at(SIGMA_PLUS, k, N + 1) @ at(SIGMA_MINUS, N, N + 1)
        H += coupled * model.coupling * (exchange + exchange.conj().T)
        jumps += [at(c, k, N + 1) for c in model.bath_jumps()]
    one = np.eye(len(H))
    L = 1j * (np.kron(H, one) - np.kron(one, H.T))
    for J in jumps:
        Jd = J.conj().T
        L += np.kron(Jd, J.T) - (np.kron(Jd @ J, one) + np.kron(one, (Jd @ J).T)) / 2
    return L


def evolved(L: np.ndarray, X: np.ndarray, times: np.ndarray) -> list[np.ndarray]:
    return [expm_multiply(L * t, X.ravel().astype(complex)).reshape(X.shape) for t in times]


def brute(model: CentralSpinModel, X: np.ndarray, times: np.ndarray) -> np.ndarray:
    pairs = zip(
        evolved(full_generator(model), X, times),
        evolved(full_generator(model, coupled=False), X, times),
        strict=True,
    )
    return np.array([np.linalg.norm(a - b, 2) for a, b in pairs])


@pytest.mark.parametrize("changes", [{}, FIELDS], ids=["paper", "fields"])
@pytest.mark.parametrize(
    "operator", [SZ, SX + 0.3j * SY, np.kron(SZ, SZ), np.kron(SX, SY)], ids=["z", "x+iy", "zz", "xy"]
)
def test_norms_are_those_of_the_full_space(operator, changes):
    model = paper(3, **changes)
    lifted = np.kron(operator, np.eye(2**4 // len(operator)))
    np.testing.assert_allclose(
        deviation_norms(model, TIMES, operator), brute(model, lifted, TIMES), atol=1e-8
    )


@pytest.mark.parametrize("operator", [SZ, np.kron(SX, SZ)], ids=["z", "xz"])
@pytest.mark.parametrize("changes", [{}, {"g0": -2.0, "central_field": (0.3, -0.8, 0.4), "bath_pump": 0.9}])
def test_norms_at_four_spins_are_those_of_the_independent_script(operator, changes):
    model = paper(4, **changes)
    expected = INDEPENDENT["deviation_norms"](
        4, TIMES, operator, model.coupling, model.central_field, (0.8, 0.1), (model.bath_pump, 1.0)
    )
    np.testing.assert_allclose(deviation_norms(model, TIMES, operator), expected, atol=1e-8)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_norms_of_average_operators_are_those_of_the_full_space(axis, power):
    model = paper(3, scaling=1.0, **FIELDS)
    m = sum(at(PAULI["xyz".index(axis)], k, 4) for k in range(3)) / 3
    expected = brute(model, np.linalg.matrix_power(m, power), TIMES)
    np.testing.assert_allclose(average_deviation_norms(model, TIMES, axis, power), expected, atol=1e-8)


def test_norms_of_evolved_operators_are_those_of_the_full_space():
    model, B = paper(3), exchange_commutator(SX)
    lifted = np.kron(np.eye(4), B)  # the spin next to the central one: all bath spins are alike
    expected = [np.linalg.norm(X, 2) for X in evolved(full_generator(model), lifted, TIMES)]
    np.testing.assert_allclose(evolved_norms(model, TIMES, B), expected, atol=1e-8)


@pytest.mark.parametrize("sites", [0, 1, 2])
def test_the_identity_stays_what_it_is(sites):
    space = HeisenbergBlocks(paper(12, **FIELDS), sites)
    assert np.abs(space.generator @ space.lift(np.eye(space.local))).max() < 1e-12


def test_free_evolution_has_the_closed_form():
    model = paper(1)
    for t, X in zip(TIMES, bath_evolution(model, TIMES, SZ), strict=True):
        p = np.exp(-1.2 * t)
        np.testing.assert_allclose(X, p * SZ - (1 - p) * (0.8 / 1.2) * np.eye(2), atol=1e-13)
    for t, X in zip(TIMES, bath_evolution(model, TIMES, SIGMA_MINUS), strict=True):
        np.testing.assert_allclose(X, np.exp(-0.6 * t) * SIGMA_MINUS, atol=1e-13)


def test_free_evolution_of_a_product_is_the_product():
    model = paper(1, **FIELDS)
    pairs = zip(*(bath_evolution(model, TIMES, A) for A in (SX, SY, np.kron(SX, SY))), strict=True)
    for X, Y, XY in pairs:
        np.testing.assert_allclose(np.kron(X, Y), XY, atol=1e-13)


def test_slopes_at_time_zero_are_those_of_the_commutators():
    """‖[H_int, σz]‖ = 2g and ‖[H_int, σx]‖ = g, one half and one quarter of the 4g of Lemma 1."""
    for operator, slope in ((SZ, 2.0), (SX, 1.0)):
        assert np.linalg.norm(exchange_commutator(operator), 2) == pytest.approx(slope, abs=1e-14)
        ratio = deviation_norms(paper(8), [1e-3], operator)[0] / (paper(8).coupling * 1e-3)
        assert ratio == pytest.approx(slope, rel=5e-3)  # the next order in t is about Γ+ t


def test_bounds_have_their_constants():
    """By hand, because the true norms leave room for a wrong constant below the bounds."""
    model = paper(4)  # g = 2
    np.testing.assert_allclose(
        lemma_bound(model, TIMES, 3 * np.kron(SZ, SX)), 4 * 2 * 2 * 3 * TIMES, rtol=1e-13
    )
    longitudinal, transverse = (1 - np.exp(-1.2 * TIMES)) / 1.2, (1 - np.exp(-0.6 * TIMES)) / 0.6
    np.testing.assert_allclose(uniform_bound(model, TIMES, SZ), 8 * longitudinal, rtol=1e-13)
    np.testing.assert_allclose(uniform_bound(model, TIMES, SX + SZ), 8 * np.sqrt(2) * transverse, rtol=1e-13)
    np.testing.assert_allclose(
        uniform_bound(paper(4, bath_field=(1, 0, 0)), TIMES, SZ), 8 * transverse, rtol=1e-13
    )
    np.testing.assert_allclose(commutator_bound(model, TIMES, SZ), 4 * longitudinal, rtol=1e-12)
    np.testing.assert_allclose(commutator_bound(model, TIMES, SX), 2 * transverse, rtol=1e-12)


operators = st.integers(0, 2**32 - 1).map(
    lambda seed: (lambda g: g.normal(size=(4, 4)) + 1j * g.normal(size=(4, 4)))(np.random.default_rng(seed))
)
rates = st.floats(0.0, 2.0)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    operator=operators, two=st.booleans(), g0=st.floats(-5, 5), scaling=st.sampled_from([0.25, 0.5, 1.0]),
    pump=rates, decay=rates, field=st.tuples(rates, rates, rates), N=st.integers(2, 4),
)  # fmt: skip
def test_bounds_hold_in_their_order(operator, two, g0, scaling, pump, decay, field, N):
    A = operator if two else operator[:2, :2]
    model = paper(N, g0=g0, scaling=scaling, bath_pump=pump, bath_decay=decay, bath_field=field)
    norms = deviation_norms(model, TIMES, A, tolerance=1e-9)
    chain = [norms, *(bound(model, TIMES, A) for bound in (commutator_bound, uniform_bound, lemma_bound))]
    for smaller, larger in pairwise(chain):
        assert (smaller <= larger * (1 + 1e-9) + 1e-7).all()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(operator=operators, field=st.tuples(rates, rates, rates))
def test_the_coupled_part_of_a_local_operator_decays(operator, field):
    """‖[H_int, e^{uL}[A]]‖ ≤ 3 e^{−Γ+u/2} ‖A‖ per spin, the step that makes the bound uniform."""
    model = paper(1, bath_field=field)
    u = np.array([0.0, 0.3, 1.0, 4.0])
    for A, sites in ((operator[:2, :2], 1), (operator, 2)):
        limit = 3 * sites * np.exp(-0.6 * u) * np.linalg.norm(A, 2)
        size = [np.linalg.norm(exchange_commutator(B), 2) for B in bath_evolution(model, u, A)]
        assert (size <= limit + 1e-12).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: deviation_norms(paper(1), [1.0], np.eye(4)), "N"),
        (lambda: deviation_norms(paper(4).replace(N=np.inf), [1.0], SZ), "N"),
        (lambda: deviation_norms(paper(120), [1.0], SZ), "unknowns"),
        (lambda: deviation_norms(paper(4), [1.0], np.eye(3)), "operator"),
        (lambda: average_deviation_norms(paper(4), [1.0], "z", 3), "power"),
        (lambda: evolved_norms(paper(4), [1.0], np.kron(SZ, SIGMA_PLUS)), "operator"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()


def test_every_norm_is_asked_for_to_the_same_accuracy():
    """Who names no tolerance gets what the library gives everywhere."""
    functions = (deviation_norms, average_deviation_norms, central_deviation_norms, evolved_norms)
    assert {inspect.signature(f).parameters["tolerance"].default for f in functions} == {1e-8}


def test_an_uncoupled_central_spin_keeps_to_itself():
    """With decay alone e^{tL}[τ_z] = e^{−γt} τ_z − (1 − e^{−γt})."""
    model = paper(2, g0=0.0, central_field=(0, 0, 0), central_pump=0.0, central_decay=0.7)
    left = np.exp(-0.7 * TIMES)[:, None, None]
    expected = left * SZ - (1 - left) * np.eye(2)
    assert central_deviation_norms(model, TIMES, SZ, expected).max() < 1e-8
    off = central_deviation_norms(model, TIMES, SZ, expected + 0.1 * SX)
    np.testing.assert_allclose(off, 0.1, atol=1e-8)
