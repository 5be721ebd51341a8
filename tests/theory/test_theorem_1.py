"""Is the generator between monomials exact at finite N, and is its limit the emergent one?"""

import functools
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from centralspin import ArgumentError, CentralSpinModel
from centralspin.problem.central_spin import PAULI, SIGMA_MINUS, SIGMA_PLUS
from centralspin.theory.corollary_1 import BosonDynamics, MonomialDynamics
from centralspin.theory.theorem_1 import (
    ACTIONS,
    CENTRAL,
    BathSuperoperators,
    bath_monomials,
    boson_matrix_elements,
    matrix_elements,
)

PHI = (0.36, -0.48, 0.64)
PAIR = ((1, 1, 0, 1), (2, 0, 1, 0))
MUS = [(c, *w) for c in range(4) for w in bath_monomials(2)]


def model(N: float, **changes) -> CentralSpinModel:
    parameters = {"g0": 4.0, "central_field": (1.0, 0.3, 0.5), "central_pump": 0.8, "central_decay": 0.1}
    parameters |= {"bath_pump": 0.2, "bath_decay": 1.0, **changes}
    return CentralSpinModel(N=N, **parameters)


class Full:
    """The whole space of 1 + N spins: slow, and obviously right."""

    def __init__(self, m: CentralSpinModel) -> None:
        N, one = int(m.N), np.eye(2)

        def site(A, k):
            return functools.reduce(np.kron, [one, *(A if i == k else one for i in range(N))])

        S = {
            name: sum(site(A, k) for k in range(N))
            for name, A in (("-", SIGMA_MINUS), ("+", SIGMA_PLUS), ("z", PAULI[2]))
        }
        self.tau = [np.kron(c, np.eye(2**N)) for c in CENTRAL]
        root = math.sqrt(m.epsilon * N)
        self.letters = (S["+"] / root, S["-"] / root, S["z"] / N)
        up = np.kron(SIGMA_PLUS, np.eye(2**N))
        self.H = np.kron(m.central_hamiltonian(), np.eye(2**N)) + m.coupling * (up @ S["-"] + up.T @ S["+"])
        self.bath_jumps = [site(J, k) for k in range(N) for J in m.bath_jumps()]
        self.jumps = [np.kron(J, np.eye(2**N)) for J in m.central_jumps()] + self.bath_jumps
        omega = np.diag([(1 - m.epsilon) / 2, (1 + m.epsilon) / 2])
        self.rho = functools.reduce(np.kron, [m.central_density_matrix(PHI), *[omega] * N])

    def monomial(self, central, exponents):
        powers = [np.linalg.matrix_power(A, k) for A, k in zip(self.letters, exponents, strict=True)]
        return self.tau[central] @ powers[0] @ powers[1] @ powers[2]

    def heisenberg(self, X, action):
        jumps = self.bath_jumps if action == "dissipator" else self.jumps
        if action == "product":
            return X
        result = 0 if action == "dissipator" else 1j * (self.H @ X - X @ self.H)
        return result + sum(J.conj().T @ X @ J - (J.conj().T @ J @ X + X @ J.conj().T @ J) / 2 for J in jumps)


def test_monomials_are_all_those_of_a_degree_the_lowest_first() -> None:
    assert bath_monomials(1) == [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    for degree in range(5):
        found = bath_monomials(degree)
        every = {e for e in itertools.product(range(degree + 1), repeat=3) if sum(e) <= degree}
        assert set(found) == every and len(found) == len(every)
        assert found == sorted(found, key=lambda e: (sum(e), -e[0], -e[1]))


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("N", [1, 3])
def test_elements_agree_with_the_full_space(N, action):
    full, exact = Full(model(N)), matrix_elements(model(N), 2, PHI, action=action)
    rng = np.random.default_rng(5)
    exponents = bath_monomials(2)
    for _ in range(60):
        index = [(int(rng.integers(4)), int(rng.integers(len(exponents)))) for _ in range(3)]
        nu, mu, eta = (full.monomial(c, exponents[w]) for c, w in index)
        expected = np.trace(full.rho @ nu @ full.heisenberg(mu, action) @ eta)
        assert abs(exact[tuple(itertools.chain(*index))] - expected) < 1e-12


@settings(max_examples=5, deadline=None)
@given(st.floats(0.05, 0.5), st.floats(-3, 3), st.tuples(*[st.floats(-1, 1)] * 3), st.sampled_from(ACTIONS))
def test_every_limit_is_the_emergent_one_and_the_rate_is_exactly_one(rate, g0, field, action):
    m = model(math.inf, bath_pump=rate, g0=g0, central_field=field)
    limit, half, first = (matrix_elements(m, 2, PHI, action=action, order=k) for k in range(3))
    boson = boson_matrix_elements(m, 2, PHI, action=action)
    scale = np.abs(boson).max()
    assert np.abs(limit - boson).max() < 1e-11 * scale
    assert np.abs(half).max() == 0
    N = 10**6
    finite = matrix_elements(m.replace(N=N), 2, PHI, action=action)
    assert np.abs(N * (finite - limit) - first).max() < 1e-3 * max(np.abs(first).max(), scale)


def test_elements_are_polynomials_in_one_over_n():
    """Moments in a product state are: the expansion ends, and its sum is exact at N = 3."""
    total = sum(matrix_elements(model(3), 1, PHI, order=2 * k) / 3**k for k in range(7))
    np.testing.assert_allclose(total, matrix_elements(model(3), 1, PHI), atol=1e-12, rtol=0)
    assert np.abs(matrix_elements(model(3), 1, PHI, order=12)).max() < 1e-13


@pytest.mark.parametrize("N", [2, 10**7])
def test_dissipator_on_one_and_two_fluctuations_is_exact(N):
    """D[a] = −Γ+ a/2 and D[a†a] = −Γ+ a†a + Γ↑/ε on every permutation-invariant operator of the space."""
    m = model(N)
    bath = BathSuperoperators(m, 4)
    one, a, number = (bath.row(w)[0] for w in ([], ["a"], ["a†", "a"]))
    D = bath.dissipator[0].T
    np.testing.assert_allclose(D @ a, -m.bath_rate / 2 * a, atol=1e-12)
    np.testing.assert_allclose(D @ number, -m.bath_rate * number + m.boson_pump * one, atol=1e-12)


def test_evolved_elements_agree_with_the_full_space():
    full, dynamics = Full(model(3)), MonomialDynamics(model(3), cut=6)
    one = np.eye(16)
    L = -1j * (np.kron(full.H, one) - np.kron(one, full.H.T))
    for J in full.jumps:
        rate = J.conj().T @ J
        L += np.kron(J, J.conj()) - (np.kron(rate, one) + np.kron(one, rate.T)) / 2
    nu, eta = (full.monomial(p[0], p[1:]) for p in PAIR)
    state = (expm(0.7 * L) @ (eta @ full.rho @ nu).ravel()).reshape(16, 16)
    expected = [np.trace(state @ full.monomial(mu[0], mu[1:])) for mu in MUS]
    start = dynamics.start(*PAIR, PHI)
    np.testing.assert_allclose(dynamics.elements(start, MUS, np.array([0.7]))[0], expected, atol=1e-11)
    first = [
        np.trace(full.rho @ nu @ full.heisenberg(full.monomial(mu[0], mu[1:]), "generator") @ eta)
        for mu in MUS
    ]
    np.testing.assert_allclose(dynamics.powers(start, MUS, 1)[1], first, atol=1e-12)


def test_evolved_elements_converge_to_the_boson_at_the_exact_rate():
    times = np.array([0.3, 1.0])
    emergent = BosonDynamics(model(1))
    boson = emergent.elements(emergent.start(*PAIR, PHI), MUS, times)
    series = [MonomialDynamics(model(1), 22, order) for order in range(3)]
    limit, half, first = (s.elements(s.start(*PAIR, PHI), MUS, times) for s in series)
    assert np.abs(limit - boson).max() < 1e-8
    powers = [d.powers(d.start(*PAIR, PHI), MUS, 4) for d in (series[0], emergent)]
    np.testing.assert_allclose(powers[0], powers[1], atol=1e-11 * np.abs(powers[1]).max())
    assert np.abs(half).max() < 1e-12
    dynamics = MonomialDynamics(model(10**5), 22)
    finite = dynamics.elements(dynamics.start(*PAIR, PHI), MUS, times)
    assert np.abs(10**5 * (finite - limit) - first).max() < 1e-3
    assert np.abs(first).max() > 0.1


def test_refuses_what_the_theorem_does_not_cover():
    with pytest.raises(ArgumentError, match="scaling ½"):
        matrix_elements(model(5, scaling=1.0), 1)
    with pytest.raises(ArgumentError, match="`action` must be one of"):
        matrix_elements(model(5), 1, action="nothing")
    with pytest.raises(ArgumentError, match="`nu` must be"):
        MonomialDynamics(model(5), 4).start((4, 0, 0, 0), (0, 0, 0, 0))
    with pytest.raises(ArgumentError, match="`N` must be finite"):
        MonomialDynamics(model(math.inf), 4)
