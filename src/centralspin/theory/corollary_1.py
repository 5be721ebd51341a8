r"""Corollary 1: matrix elements of e^{tL} between monomials, at finite N, in the limit, and to order 1/N.

Tr(ρ P^ν e^{tL}[P^μ] P^η) = Tr(e^{tL*}[P^η ρ P^ν] P^μ), so one evolution of P^η ρ P^ν answers for every μ.
That operator is neither Hermitian nor normalised, but permutation invariant: it lives in the symmetric
Liouville space of `monomials`, tensored with the central spin's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import block_array, csr_matrix, eye_array, kron

from ..errors import ArgumentError
from ..methods.spin_boson import operators, thermal_state
from ..numerics.stepping import evolve_linear
from ..optional import qutip
from ..problem.central_spin import SIGMA_MINUS, SIGMA_PLUS, CentralSpinModel, paper_model
from ..problem.checks import (
    checked,
    complex_array,
    integer,
    number,
    optional,
    output_times,
    sequence,
    short,
    whole,
)
from .theorem_1 import CENTRAL, LARGEST_CUT, LARGEST_ORDER, BathSuperoperators, Exponents, word

#: A monomial τ_{μ1} a†^{μ2} a^{μ3} m_z^{μ4} as (μ1, μ2, μ3, μ4), τ_0 = 1.
Monomial = tuple[int, int, int, int]
#: Applications of L, Fock states, and the exponents of a monomial, for which memory and digits last.
LARGEST_COUNT, LARGEST_LEVELS, LARGEST_EXPONENT = 100, 400, 40


def monomial_rule(name: str, value: Any) -> Monomial:
    """Return `value` as a monomial."""
    try:
        axis, *rest = (integer(name, k, maximum=LARGEST_EXPONENT) for k in sequence(name, value))
        raising, lowering, average = rest
        if axis > 3:
            raise ValueError
    except (ArgumentError, ValueError, TypeError):
        must = f"be (τ index 0–3, μ2, μ3, μ4) with exponents from 0 to {LARGEST_EXPONENT}"
        raise ArgumentError(name, must, short(value)) from None
    return axis, raising, lowering, average


def _monomials(name: str, value: Any) -> list[Monomial]:
    if not isinstance(value, (list, tuple)) or not value:
        raise ArgumentError(name, "be a list of monomials", short(value))
    return [monomial_rule(f"{name}[{i}]", mu) for i, mu in enumerate(value)]


class _Dynamics:
    """A Schrödinger-picture generator, and how to write operators and monomials as its vectors and rows."""

    generator: csr_matrix

    def start(self, nu: Monomial, eta: Monomial, central_state: Any = "up") -> np.ndarray:
        """Return the vector of P^η (φ⊗Ω) P^ν."""
        raise NotImplementedError

    def rows(self, mus: Sequence[Monomial]) -> csr_matrix:
        """Return the rows X ↦ Tr(P^μ X), one per monomial."""
        raise NotImplementedError

    @checked(mus=_monomials, times=output_times, tolerance=number(0, 1))
    def elements(
        self, start: np.ndarray, mus: Sequence[Monomial], times: Sequence[float], tolerance: float = 1e-10
    ) -> np.ndarray:
        """Return the matrix elements of e^{tL}[P^μ], shape (times, monomials)."""
        begin = self._vector(start)
        return evolve_linear(self.generator, begin, np.asarray(times), self.rows(mus), tolerance)[0]

    @checked(mus=_monomials, count=whole(0, LARGEST_COUNT))
    def powers(self, start: np.ndarray, mus: Sequence[Monomial], count: int) -> np.ndarray:
        """Return the matrix elements of L^k[P^μ] for k = 0 … `count`, shape (count + 1, monomials)."""
        readout, values, v = self.rows(mus), [], self._vector(start)
        for _ in range(count + 1):
            values.append(readout @ v)
            v = self.generator @ v
        return np.array(values)

    def _vector(self, start: Any) -> np.ndarray:
        v = complex_array("start", start)
        if v.shape != self.generator.shape[:1]:
            raise ArgumentError("start", f"have {self.generator.shape[0]} entries", f"of shape {v.shape}")
        return v


class MonomialDynamics(_Dynamics):
    """Corollary 1: φ⊗Ω_SS(P^ν e^{tL}[P^μ] P^η) at finite N or as a series in N^{−1/2}.

    Parameters
    ----------
    model : CentralSpinModel
        The problem.
    cut : int
        The cut of the symmetric space, with weight 2 for σz; 2N and more is complete.
    order : int, optional
        Give the coefficient of N^{−order/2} instead of the value at N.
    """

    @checked(model=paper_model, cut=whole(0, LARGEST_CUT), order=optional(whole(0, LARGEST_ORDER)))
    def __init__(self, model: CentralSpinModel, cut: int, order: int | None = None) -> None:
        self.model = model
        self.bath = bath = BathSuperoperators(model, cut, order, weight_z=2)
        one, count = eye_array(bath.space.size, format="csr"), len(bath.orders)
        basis = eye_array(2)
        g = model.g0 * math.sqrt(model.epsilon)
        central = -1j * model.central_hamiltonian() - sum(J.conj().T @ J for J in model.central_jumps()) / 2
        # row-major central operators: A X B is A ⊗ Bᵀ
        local = kron(central, basis) + kron(basis, central.conj())
        local = local + sum(kron(J, J.conj()) for J in model.central_jumps())
        parts = []
        for k in range(count):
            L = kron(bath.dissipator[k], eye_array(4))
            for tau, key in ((SIGMA_PLUS, "a"), (SIGMA_MINUS, "a†")):
                L = L - 1j * g * (
                    kron(bath.left[key][k], kron(tau, basis)) - kron(bath.right[key][k], kron(basis, tau.T))
                )
            parts.append(L + kron(one, local) if k == 0 else L)
        #: The Schrödinger-picture generator; with orders, the block-triangular matrix of their hierarchy.
        self.generator = csr_matrix(
            block_array(
                [[parts[i - j] if i >= j else None for j in range(count)] for i in range(count)], format="csr"
            )
        )

    @checked(nu=monomial_rule, eta=monomial_rule)
    def start(self, nu: Monomial, eta: Monomial, central_state: Any = "up") -> np.ndarray:
        """Return the vector of P^η (φ⊗Ω_SS) P^ν, with monomials (τ index, μ2, μ3, μ4)."""
        series = self.bath.sandwich(exponents_of(nu), exponents_of(eta))
        rho = self.model.central_density_matrix(central_state)
        central = (CENTRAL[eta[0]] @ rho @ CENTRAL[nu[0]]).ravel()
        return np.concatenate([np.kron(v[:, 0], central) for v in series])

    @checked(mus=_monomials)
    def rows(self, mus: Sequence[Monomial]) -> csr_matrix:
        """Return the rows X ↦ Tr(P^μ X), one per monomial."""
        rows = []
        for mu in mus:
            series = self.bath.row(word(exponents_of(mu)))[
                ::-1
            ]  # order k of the row meets order `order` − k of X
            rows.append(np.concatenate([np.kron(v[:, 0], CENTRAL[mu[0]].T.ravel()) for v in series]))
        return csr_matrix(np.array(rows))


class BosonDynamics(_Dynamics):
    """The right side of Corollary 1, φ⊗Ω̃_β(P^ν e^{tL̃}[P^μ] P^η), in the boson's Fock space.

    The Hamiltonian, the jump operators and ρ_β are those of `spin_boson`; m_z^N is −ε.

    Parameters
    ----------
    model : CentralSpinModel
        The problem; its N is ignored.
    levels : int
        The number of Fock states.
    """

    @checked(model=paper_model, levels=whole(2, LARGEST_LEVELS))
    def __init__(self, model: CentralSpinModel, levels: int = 40) -> None:
        self.model = model.replace(N=math.inf)
        H, jumps, self._a = operators(self.model, levels)
        self._levels = levels
        self.generator = csr_matrix(qutip.liouvillian(H, jumps).to("CSR").data_as("csr_matrix"))

    def _product(self, mu: Monomial) -> Any:
        raising, lowering, average = exponents_of(mu)
        central = qutip.tensor(qutip.Qobj(CENTRAL[mu[0]]), qutip.qeye(self._levels))
        return central * self._a.dag() ** raising * self._a**lowering * (-self.model.epsilon) ** average

    @checked(nu=monomial_rule, eta=monomial_rule)
    def start(self, nu: Monomial, eta: Monomial, central_state: Any = "up") -> np.ndarray:
        """Return the vector of P^η (φ⊗Ω̃_β) P^ν; QuTiP stacks columns."""
        phi = qutip.Qobj(self.model.central_density_matrix(central_state))
        rho = qutip.tensor(phi, thermal_state(self.model, self._levels))
        return np.asarray((self._product(eta) * rho * self._product(nu)).full().ravel(order="F"))

    @checked(mus=_monomials)
    def rows(self, mus: Sequence[Monomial]) -> csr_matrix:
        """Return the rows X ↦ Tr(P^μ X), one per monomial."""
        return csr_matrix(np.array([self._product(mu).full().ravel() for mu in mus]))


class BosonPolynomials:
    """L̃ of Eq. (9) on normal-ordered polynomials Σ X_{pq} a†^p a^q: no Fock space, and nothing is truncated.

    A polynomial is an array of 2×2 matrices X_{pq} of the central spin, shape (2, 2, size, size).

    Parameters
    ----------
    model : CentralSpinModel
        The problem; its N is ignored.
    """

    @checked(model=paper_model)
    def __init__(self, model: CentralSpinModel) -> None:
        self.model = model.replace(N=math.inf)
        self._coupling = model.g0 * math.sqrt(model.require_boson())

    @checked(nu=monomial_rule, mu=monomial_rule, eta=monomial_rule, count=whole(0, LARGEST_COUNT))
    def powers(
        self, nu: Monomial, mu: Monomial, eta: Monomial, count: int, central_state: Any = "up"
    ) -> np.ndarray:
        """Return φ⊗Ω̃_β(P^ν L̃^k[P^μ] P^η) for k = 0 … `count`."""
        phi = self.model.central_density_matrix(central_state)
        outer = [exponents_of(p) for p in (nu, eta)]
        size = count + sum(mu[1:3]) + sum(r + l for r, l, _ in outer) + 2
        X = np.zeros((2, 2, size, size), dtype=complex)
        X[:, :, mu[1], mu[2]] = CENTRAL[mu[0]]
        average = (-self.model.epsilon) ** (nu[3] + mu[3] + eta[3])
        p = np.arange(size)
        moments = np.cumprod(np.r_[1.0, p[1:] * self.model.thermal_occupation])  # ⟨a†^p a^p⟩ = p! n_β^p
        values = []
        for _ in range(count + 1):
            Y = X
            for key in word(outer[0])[: sum(outer[0][:2])][::-1]:  # the factor next to Y acts first
                Y = _times(key, Y)
            for key in word(outer[1])[: sum(outer[1][:2])]:
                Y = _times(key, Y, from_right=True)
            central = np.einsum("ijpp,p->ij", Y, moments)
            values.append(average * np.trace(phi @ CENTRAL[nu[0]] @ central @ CENTRAL[eta[0]]))
            X = self._generator(X)
        return np.array(values)

    def _generator(self, X: np.ndarray) -> np.ndarray:
        H, p = self.model.central_hamiltonian(), np.arange(X.shape[-1])
        result = 1j * (np.einsum("ij,jkpq->ikpq", H, X) - np.einsum("ijpq,jk->ikpq", X, H))
        for J in self.model.central_jumps():
            rate, Jd = J.conj().T @ J / 2, J.conj().T
            result += np.einsum("ij,jkpq,kl->ilpq", Jd, X, J)
            result -= np.einsum("ij,jkpq->ikpq", rate, X) + np.einsum("ijpq,jk->ikpq", X, rate)
        for tau, key in ((SIGMA_PLUS, "a"), (SIGMA_MINUS, "a†")):
            result += 1j * self._coupling * np.einsum("ij,jkpq->ikpq", tau, _times(key, X))
            result -= 1j * self._coupling * np.einsum("ijpq,jk->ikpq", _times(key, X, from_right=True), tau)
        result -= self.model.bath_rate / 2 * (p[:, None] + p) * X
        contracted = self.model.boson_pump * np.outer(p, p) * X  # κ↑ μ2 μ3 a†^{μ2−1} a^{μ3−1}
        result[:, :, :-1, :-1] += contracted[:, :, 1:, 1:]
        return np.asarray(result)


def _times(key: str, X: np.ndarray, from_right: bool = False) -> np.ndarray:
    """Multiply Σ X_{pq} a†^p a^q by a or a† and put it in normal order again."""
    result = np.zeros_like(X)
    if key == "a":
        result[..., 1:] = X[..., :-1]
    else:
        result[..., 1:, :] = X[..., :-1, :]
    p = np.arange(1, X.shape[-1])
    if key == "a" and not from_right:  # a a†^p = a†^p a + p a†^{p−1}
        result[..., :-1, :] += p[:, None] * X[..., 1:, :]
    if key == "a†" and from_right:  # a^q a† = a† a^q + q a^{q−1}
        result[..., :-1] += p * X[..., 1:]
    return result


def exponents_of(monomial: Monomial) -> Exponents:
    """Return (μ2, μ3, μ4) of a monomial."""
    return monomial_rule("monomial", monomial)[1:]
