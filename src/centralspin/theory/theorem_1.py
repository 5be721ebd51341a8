r"""Theorem 1: the generator between monomials of spin and fluctuation operators.

The monomials of Eq. (S2) are :math:`P^μ = τ_{μ_1} (a_N^†)^{μ_2} a_N^{μ_3} (m_z^N)^{μ_4}`, with τ_0 = 1. The
theorem is about the numbers

.. math:: φ ⊗ Ω_{SS}\bigl( P^ν\, L[P^μ]\, P^η \bigr) = \mathrm{Tr}\bigl( L^*[P^η ρ P^ν]\, P^μ \bigr),
    \qquad ρ = φ ⊗ Ω_{SS}.

Multiplication of all sites' state by S± or S_z, from the left or the right, is a sum of single-site
superoperators, so it acts in the Fock space of `symmetric` by hops; Ω_SS is its vacuum n = 0, and k factors
reach |n| ≤ k at most. Every number above is therefore exact in a space of a few hundred states, at every N,
and so is its expansion in N^{−1/2}. The limit is computed by a second route, in the boson's Fock space.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from ..errors import ArgumentError
from ..problem.central_spin import PAULI, SIGMA_MINUS, SIGMA_PLUS, CentralSpinModel, paper_model
from ..problem.checks import checked, integer, optional, sequence, short, whole
from ..symmetric.basis import OperatorBasis, in_reference_basis
from ..symmetric.lift import Bath, Lift
from ..symmetric.space import SymmetricSpace, box

#: Exponents (μ2, μ3, μ4) of a†, a and m_z.
Exponents = tuple[int, int, int]
#: The central factors τ_0 = 1, τ_x, τ_y, τ_z.
CENTRAL = np.concatenate([np.eye(2)[None], PAULI])
#: What may stand between P^ν and P^η.
ACTIONS = ("generator", "dissipator", "product")
#: Beyond these the arrays of all matrix elements take gigabytes.
LARGEST_DEGREE, LARGEST_CUT, LARGEST_ORDER, LARGEST_EXPONENT = 6, 120, 20, 100


def _exponents(name: str, value: Any) -> Exponents:
    """Return `value` as three exponents (μ2, μ3, μ4)."""
    must = f"be three integers (μ2, μ3, μ4) from 0 to {LARGEST_EXPONENT}"
    try:
        r, l, m = (integer(name, k, maximum=LARGEST_EXPONENT) for k in sequence(name, value))
    except (ArgumentError, ValueError, TypeError):
        raise ArgumentError(name, must, short(value)) from None
    return r, l, m


def _check_action(action: Any) -> None:
    if not isinstance(action, str) or action not in ACTIONS:
        raise ArgumentError("action", f"be one of {', '.join(ACTIONS)}", short(action))


def _factors(name: str, value: Any) -> list[str]:
    found = sequence(name, value)
    if not all(isinstance(key, str) and key in ("a", "a†", "m") for key in found):
        raise ArgumentError(name, 'hold "a", "a†" and "m" only', short(value))
    return found


@checked(degree=whole(0, 100))
def bath_monomials(degree: int) -> list[Exponents]:
    """Return the exponents (μ2, μ3, μ4) of all bath monomials with μ2 + μ3 + μ4 ≤ `degree`."""
    found = [
        (r, l, degree_ - r - l)
        for degree_ in range(degree + 1)
        for r in range(degree_, -1, -1)
        for l in range(degree_ - r, -1, -1)
    ]
    return found


class BathSuperoperators:
    """Multiplication by a_N, a_N† and m_z^N, and D_bath, in symmetric Liouville space around Ω_SS.

    Parameters
    ----------
    model : CentralSpinModel
        Its N is used if `order` is None.
    cut : int
        The largest weighted number of excitations; n_z counts `weight_z`, the others 1.
    order : int, optional
        Make the coefficients of N^{−k/2} for k = 0 … `order` instead of the values at N.
    weight_z : int
        The weight of an excitation of σz.

    Attributes
    ----------
    left, right : dict of str to list of sparse matrices
        X ↦ AX and X ↦ XA for A = "a", "a†", "m"; one matrix per order (a single one at finite N).
    dissipator : list of sparse matrices
        The Schrödinger-picture D_bath.
    """

    @checked(
        model=paper_model,
        cut=whole(0, LARGEST_CUT),
        order=optional(whole(0, LARGEST_ORDER)),
        weight_z=whole(1, 100),
    )
    def __init__(
        self, model: CentralSpinModel, cut: int, order: int | None = None, weight_z: int = 1
    ) -> None:
        epsilon = model.require_boson()
        if math.isinf(model.N) and order is None:
            raise ArgumentError("N", "be finite unless an `order` of the expansion is asked for", model.N)
        if any(model.bath_field) or model.scaling != 0.5:
            raise ArgumentError("model", "have scaling ½ and no bath field, as in Theorem 1", model)
        self.orders: list[int | None] = [None] if order is None else list(range(order + 1))
        self._size = model.N if order is None else math.inf
        self.space = SymmetricSpace(box([[1, 1, weight_z]], [self._size], cut), [0, 0, 0])
        self._basis, self._r = OperatorBasis(2), np.array([0.0, 0.0, -epsilon])
        root = math.sqrt(epsilon)
        operators = {"a": (SIGMA_MINUS / root, 0.5), "a†": (SIGMA_PLUS / root, 0.5), "m": (PAULI[2], 1.0)}
        self.left, self.right = {}, {}
        for key, (A, z) in operators.items():
            self.left[key] = self._lift(self._map(A @ self._basis.elements), z)
            self.right[key] = self._lift(self._map(self._basis.elements @ A), z)
        local = sum(self._basis.dissipator(J) for J in model.bath_jumps())
        self.dissipator = self._lift(in_reference_basis(local, self._r), 0.0)

    def _map(self, images: np.ndarray) -> np.ndarray:
        """Matrix in (ω, e_i) of the map with these images; complex, as one-sided products are."""
        return in_reference_basis(np.array([self._basis.coordinates(X) for X in images]).T, self._r)

    def _lift(self, M: np.ndarray, scaling: float) -> list[csr_array]:
        """N^{−scaling} Σ_k M^{(k)} = N^{−scaling} Σ M_{μν} b_μ†b_ν, one matrix per order."""
        M = np.where(np.abs(M) > 1e-14, M, 0)
        baths = [Bath(self._size, 1.0, order) for order in self.orders]
        return [csr_array(Lift(self.space, bath, scaling)(M.astype(complex))) for bath in baths]

    def vacuum(self) -> list[np.ndarray]:
        """Ω_SS, which is also the row of the trace, as a series; shape (states, 1) each."""
        series = [np.zeros((self.space.size, 1), dtype=complex) for _ in self.orders]
        series[0][0] = 1
        return series

    @checked(nu=_exponents, eta=_exponents)
    def sandwich(self, nu: Exponents, eta: Exponents) -> list[np.ndarray]:
        """Return the operator B^η Ω_SS B^ν as a series of columns."""
        series = self.vacuum()
        for key in word(eta)[::-1]:  # the factor next to the state acts first
            series = multiply(self.left[key], series)
        for key in word(nu):
            series = multiply(self.right[key], series)
        return series

    @checked(word=_factors)
    def row(self, word: Sequence[str]) -> list[np.ndarray]:
        """Return X ↦ Tr(A_1 A_2 … X) for a product of "a", "a†", "m", as a series of columns."""
        series = self.vacuum()
        for key in word:
            series = multiply([A.T for A in self.left[key]], series)
        return series


def _orders(name: str, value: Any) -> list[Any]:
    arrays = isinstance(value, (list, tuple)) and all(np.ndim(getattr(A, "shape", 0)) == 1 for A in value)
    if not arrays or not value or len({A.shape for A in value}) > 1 or len(value[0].shape) != 2:
        raise ArgumentError(name, "be a list of equal matrices, one for every order", short(value))
    return list(value)


@checked(operator=_orders, series=_orders)
def multiply(operator: list[csr_array], series: list[np.ndarray]) -> list[np.ndarray]:
    """Multiply two series in N^{−1/2} (or two plain values)."""
    if len(operator) != len(series) or operator[0].shape[1] != series[0].shape[0]:
        must = f"have {len(operator)} orders of {operator[0].shape[1]} rows"
        raise ArgumentError("series", must, f"{len(series)} of {series[0].shape[0]}")
    return [sum(operator[k - i] @ series[i] for i in range(k + 1)) for k in range(len(series))]


@checked(model=paper_model, degree=whole(0, LARGEST_DEGREE), order=optional(whole(0, LARGEST_ORDER)))
def matrix_elements(
    model: CentralSpinModel,
    degree: int,
    central_state: Any = "up",
    *,
    action: str = "generator",
    order: int | None = None,
) -> np.ndarray:
    """Return φ⊗Ω_SS(P^ν X P^η) for all triples of monomials up to a degree, exactly.

    Parameters
    ----------
    model : CentralSpinModel
        The problem; N = ∞ gives the limit.
    degree : int
        The largest μ2 + μ3 + μ4 of each of the three monomials.
    central_state : str, sequence or matrix
        The state φ.
    action : {"generator", "dissipator", "product"}
        X = L[P^μ], D_bath[P^μ] or P^μ itself.
    order : int, optional
        Return the coefficient of N^{−order/2} instead of the value at N.

    Returns
    -------
    ndarray, shape (4, n, 4, n, 4, n)
        Indexed by (ν1, ν, μ1, μ, η1, η), with ν, μ, η in the order of `bath_monomials` and τ_0 = 1.
    """
    _check_action(action)
    order = 0 if math.isinf(model.N) and order is None else order
    bath = BathSuperoperators(model, 2 * degree + 1, order)
    columns = _sandwiches(bath, degree)

    def expectation(first: str, last: str, dissipate: bool = False) -> np.ndarray:
        """Ω_SS(B^ν X B^η) for all (ν, μ, η), where X is B^μ between a first and a last factor."""
        words = [[first] * bool(first) + word(mu) + [last] * bool(last) for mu in bath_monomials(degree)]
        rows = [np.hstack(parts) for parts in zip(*(bath.row(w) for w in words), strict=True)]
        if dissipate:
            rows = multiply([D.T for D in bath.dissipator], rows)
        pairs = zip(rows[::-1], columns, strict=True)
        return np.asarray(sum(np.einsum("sm,sen->nme", row, column) for row, column in pairs))

    return _join(model, model.central_density_matrix(central_state), action, expectation)


@checked(model=paper_model, degree=whole(0, LARGEST_DEGREE))
def boson_matrix_elements(
    model: CentralSpinModel, degree: int, central_state: Any = "up", *, action: str = "generator"
) -> np.ndarray:
    r"""Return φ⊗Ω̃_β(P^ν X̃ P^η), the right side of Eq. (S3), in the boson's Fock space.

    X̃ is L̃[P^μ] of Eq. (9), D̃[P^μ] of Eq. (8) or P^μ, with m_z^N replaced by −ε. The parameters and the
    indices are those of `matrix_elements`; nothing else is shared with it but the central spin's algebra.
    """
    _check_action(action)
    epsilon = model.require_boson()
    x = model.bath_pump / model.bath_decay
    weighted = 20 if x < 1e-3 else math.ceil((40 + 12 * degree) / -math.log(x))  # beyond, x^n is round-off
    margin = 2 * degree + 1
    n = np.arange(weighted + 2 * margin)
    exponents = bath_monomials(degree)
    pairs = sorted({e[:2] for e in exponents})
    ladders = [_ladder(n, *pair) for pair in pairs]
    weights = np.where(n < weighted, (1 - x) * x**n, 0.0)
    position = [pairs.index(e[:2]) for e in exponents]
    averages = np.array([(-epsilon) ** e[2] for e in exponents])

    def expectation(first: str, last: str, dissipate: bool = False) -> np.ndarray:
        letters = {"": _ladder(n, 0, 0), "a": _ladder(n, 0, 1), "a†": _ladder(n, 1, 0)}
        values = np.zeros((len(pairs),) * 3)
        for m, ladder in enumerate(ladders):
            X = _product(letters[first], _product(ladder, letters[last]))
            if dissipate:
                X = _dissipate(model, n, X)
            for e, eta in enumerate(ladders):
                shift, column = _product(X, (eta[0], eta[1] * weights))
                for k, (back, row) in enumerate(ladders):
                    if back + shift == 0:  # else the trace vanishes
                        values[k, m, e] = np.dot(_shifted(row, shift), column)
        values = values[np.ix_(position, position, position)].astype(complex)
        return np.asarray(values * averages[:, None, None] * averages[:, None] * averages)

    return _join(model, model.central_density_matrix(central_state), action, expectation)


#: An operator that moves |n⟩ to |n + shift⟩ with an amplitude for each n, as (shift, amplitudes).
Ladder = tuple[int, np.ndarray]


def _ladder(n: np.ndarray, raising: int, lowering: int) -> Ladder:
    """Return a†^raising a^lowering: √(n!/(n − q)!) √((n − q + p)!/(n − q)!), zero below n = q."""
    amplitude = np.ones(len(n))
    for i in range(lowering):
        amplitude = amplitude * np.sqrt(np.maximum(n - i, 0.0))
    for i in range(1, raising + 1):
        amplitude = amplitude * np.sqrt(np.maximum(n - lowering + i, 0.0))
    return raising - lowering, amplitude


def _shifted(values: np.ndarray, shift: int) -> np.ndarray:
    """Return n ↦ values[n + shift], zero outside."""
    result = np.zeros_like(values)
    size = len(values) - abs(shift)
    result[max(-shift, 0) :][:size] = values[max(shift, 0) :][:size]
    return result


def _product(A: Ladder, B: Ladder) -> Ladder:
    """Return AB: first B moves |n⟩, then A what is left of it."""
    return A[0] + B[0], _shifted(A[1], B[0]) * B[1]


def _dissipate(model: CentralSpinModel, n: np.ndarray, X: Ladder) -> Ladder:
    """Return D̃[X] of Eq. (8) from its jumps a and a†."""
    total = np.zeros(len(n))
    for rate, exponents in ((model.boson_loss, (0, 1)), (model.boson_pump, (1, 0))):
        J, Jd = _ladder(n, *exponents), _ladder(n, *exponents[::-1])
        decay = _product(Jd, J)
        total = total + rate * (
            _product(Jd, _product(X, J))[1] - (_product(decay, X)[1] + _product(X, decay)[1]) / 2
        )
    return X[0], total


@checked(exponents=_exponents)
def word(exponents: Exponents) -> list[str]:
    """Return the factors of B^μ from left to right."""
    return ["a†"] * exponents[0] + ["a"] * exponents[1] + ["m"] * exponents[2]


def _sandwiches(bath: BathSuperoperators, degree: int) -> list[np.ndarray]:
    """All B^η Ω_SS B^ν, shape (states, η, ν) per order."""
    etas = [bath.sandwich((0, 0, 0), eta) for eta in bath_monomials(degree)]
    block = [np.hstack(parts) for parts in zip(*etas, strict=True)]
    result = []
    for nu in bath_monomials(degree):
        series = block
        for key in word(nu):
            series = multiply(bath.right[key], series)
        result.append(series)
    return [np.stack(parts, axis=-1) for parts in zip(*result, strict=True)]


def _join(
    model: CentralSpinModel, rho: np.ndarray, action: str, expectation: Callable[..., np.ndarray]
) -> np.ndarray:
    """Combine bath expectations with traces of Pauli matrices: every part of L is a product of the two."""

    def joined(middle: np.ndarray, bath: np.ndarray) -> np.ndarray:
        traces = np.einsum("ij,ajk,bkl,cli->abc", rho, CENTRAL, middle, CENTRAL, optimize=True)
        return np.asarray(np.einsum("abc,nme->anbmce", traces, bath))

    if action == "product":
        return joined(CENTRAL, expectation("", ""))
    total = joined(CENTRAL, expectation("", "", dissipate=True))
    if action == "dissipator":
        return total
    H = model.central_hamiltonian()
    local = 1j * (H @ CENTRAL - CENTRAL @ H)
    for J in model.central_jumps():
        rate = J.conj().T @ J
        local = local + J.conj().T @ CENTRAL @ J - (rate @ CENTRAL + CENTRAL @ rate) / 2
    total += joined(local, expectation("", ""))
    g = model.g0 * math.sqrt(model.epsilon)
    for tau, key in ((SIGMA_PLUS, "a"), (SIGMA_MINUS, "a†")):  # Eqs. (S4) and (S5)
        total += 1j * g * joined(tau @ CENTRAL, expectation(key, ""))
        total -= 1j * g * joined(CENTRAL @ tau, expectation("", key))
    return total
