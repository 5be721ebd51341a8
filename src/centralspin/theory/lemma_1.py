r"""Operator norms behind Lemma 1 and the proof of Theorem 2, and the bounds those proofs give.

The norms are exact: they come from the total-spin blocks of `heisenberg`. Local operators are given as matrices
on the n bath spins they act on. L_bath is D_bath together with i[H_bath, ·] if the model has a bath field.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, reduce
from typing import Any

import numpy as np
from scipy.linalg import expm

from ..errors import ArgumentError
from ..problem.central_spin import PAULI, SIGMA_MINUS, SIGMA_PLUS, CentralSpinModel, paper_model
from ..problem.checks import (
    checked,
    hermitian_matrix,
    integer,
    number,
    output_times,
    real_array,
    sequence,
    short,
    square_matrix,
)
from .heisenberg import HeisenbergBlocks

#: A matrix counts as Hermitian or diagonal if it differs from one by less than this.
ROUND_OFF = 1e-12
#: Gauss–Legendre nodes for an integral over [0, t] of exponentials; 24 reach round-off for Γ+t up to 20.
QUADRATURE = 24


def _times(name: str, value: Any) -> np.ndarray:
    """Times of a bound or of the bath alone: any number of them, in any order."""
    times = np.atleast_1d(real_array(name, value, minimum=0))
    if times.ndim > 1:
        raise ArgumentError(name, "be a sequence of times", f"of shape {times.shape}")
    return times


def _of_central(name: str, value: Any) -> np.ndarray:
    return hermitian_matrix(name, value, 2)


@checked(model=paper_model, times=output_times, operator=square_matrix, tolerance=number(0, 1))
def deviation_norms(
    model: CentralSpinModel, times: Any, operator: Any, *, tolerance: float = 1e-8
) -> np.ndarray:
    r"""Return ‖e^{tL}[A] − e^{tL_bath}[A]‖, the left-hand side of Lemma 1, as a true operator norm.

    Parameters
    ----------
    model : CentralSpinModel
        The problem, at finite N. With a `bath_field` the free evolution L_bath holds H_bath too (Theorem 2).
    times : sequence of float
        Increasing times ≥ 0.
    operator : matrix
        A on one bath spin (2×2), two (4×4), …
    tolerance : float
        Absolute error that the integration may add to any matrix element.

    Returns
    -------
    ndarray, shape (times,)

    Raises
    ------
    ArgumentError
        If an argument is outside its domain or the blocks get too large.
    """
    A, sites = _local_operator(operator)
    space = _space(model, sites)
    free = bath_evolution(model, times, A)
    parts = []
    for part in _hermitian_parts(A):
        parts.append(
            space.evolve(space.lift(np.kron(part(A), np.eye(2))), times, tolerance)
            - [space.lift(np.kron(part(B), np.eye(2))) for B in free]
        )
    return np.array([space.norm(*vectors) for vectors in zip(*parts, strict=True)])


@checked(model=paper_model, times=output_times, tolerance=number(0, 1))
def average_deviation_norms(
    model: CentralSpinModel, times: Any, axis: str, power: int = 1, *, tolerance: float = 1e-8
) -> np.ndarray:
    r"""Return ‖e^{tL}[(m_α^N)^p] − e^{tL_bath}[(m_α^N)^p]‖ for p = 1 or 2, as a true operator norm.

    Without the central spin every bath spin evolves alone, σ_α → a·σ + c, hence m_α^N → a·m^N + c and

    .. math:: (m_α^N)^2 → (a·m^N + c)^2 + \frac1N \bigl( 1 - a^2 - c^2 - 2c\, a·m^N \bigr).
    """
    if not isinstance(axis, str) or axis not in ("x", "y", "z"):
        raise ArgumentError("axis", 'be "x", "y" or "z"', short(axis))
    power = integer("power", power, minimum=1, maximum=2)
    space = _space(model, 0)
    evolved = space.evolve(space.store(space.average(axis, power)), times, tolerance)
    m = {a: space.average(a) for a in "xyz"}
    norms = []
    for B, vector in zip(bath_evolution(model, times, PAULI["xyz".index(axis)]), evolved, strict=True):
        c, *a = (np.trace(P @ B).real / 2 for P in (np.eye(2), *PAULI))
        blocks = []
        for index, d in enumerate(space.dimensions):
            one = np.eye(d)
            drift = sum(x * m[axis][index] for x, axis in zip(a, "xyz", strict=True))
            free = drift + c * one
            if power == 2:
                free = free @ free + ((1 - np.dot(a, a) - c**2) * one - 2 * c * drift) / space.others.N
            blocks.append(free)
        norms.append(space.norm(vector - space.store(blocks)))
    return np.array(norms)


@checked(model=paper_model, times=output_times, operator=_of_central, tolerance=number(0, 1))
def central_deviation_norms(
    model: CentralSpinModel, times: Any, operator: Any, expected: Any, *, tolerance: float = 1e-8
) -> np.ndarray:
    """Return ‖e^{tL}[C] − C(t)‖ for Hermitian C and C(t) of the central spin, e.g. C(t) = Λ_{t,0}[C]."""
    space = _space(model, 0)
    operators = [_of_central(f"expected[{i}]", C) for i, C in enumerate(sequence("expected", expected))]
    if len(operators) != len(times):
        raise ArgumentError("expected", f"hold {len(times)} operators, one for each time", len(operators))
    evolved = space.evolve(space.lift(operator), times, tolerance)
    return np.array([space.norm(v - space.lift(C)) for v, C in zip(evolved, operators, strict=True)])


@checked(model=paper_model, times=output_times, operator=hermitian_matrix, tolerance=number(0, 1))
def evolved_norms(
    model: CentralSpinModel, times: Any, operator: Any, *, tolerance: float = 1e-8
) -> np.ndarray:
    """Return ‖e^{tL}[B]‖ for a Hermitian B on n bath spins and (last factor) the central spin."""
    B, factors = _local_operator(operator)
    space = _space(model, factors - 1)
    return np.array([space.norm(v) for v in space.evolve(space.lift(B), times, tolerance)])


@checked(model=paper_model, times=_times, operator=square_matrix)
def bath_evolution(model: CentralSpinModel, times: Any, operator: Any) -> np.ndarray:
    r"""Return e^{tL_bath}[A] of an operator on n bath spins, shape (times, 2ⁿ, 2ⁿ).

    Without a bath field

    .. math:: e^{tD}[σ_±] = e^{-Γ_+t/2} σ_±, \qquad
        e^{tD}[σ_z] = e^{-Γ_+t} σ_z + (1 - e^{-Γ_+t})\, Γ_-/Γ_+ .
    """
    A, sites = _local_operator(operator)
    one, h = np.eye(2), model.bath_hamiltonian()
    G = 1j * (np.kron(h, one) - np.kron(one, h.T))  # on row-major vectors
    for J in model.bath_jumps():
        K = (J.T @ J).real / 2
        G = G + np.kron(J.T, J.T) - np.kron(K, one) - np.kron(one, K)
    evolved = []
    for t in times:
        X, step = A.reshape([2] * (2 * sites)), expm(G * t).reshape(2, 2, 2, 2)
        for k in range(sites):
            X = np.moveaxis(np.tensordot(step, X, axes=((2, 3), (k, sites + k))), (0, 1), (k, sites + k))
        evolved.append(X.reshape(A.shape))
    return np.array(evolved)


@checked(operator=square_matrix)
def exchange_commutator(operator: Any) -> np.ndarray:
    r"""Return i[H_int, A]/g = i[Σ_k (τ_+ σ_-^{(k)} + τ_- σ_+^{(k)}), A] on n spins and the central one."""
    A, sites = _local_operator(operator)
    h = np.zeros((2 ** (sites + 1),) * 2, dtype=complex)
    for k in range(sites):
        factors = [np.eye(2)] * sites
        factors[k] = SIGMA_MINUS
        h += reduce(np.kron, [*factors, SIGMA_PLUS])
    h, lifted = h + h.T, np.kron(A, np.eye(2))
    return np.asarray(1j * (h @ lifted - lifted @ h))


@checked(model=paper_model, times=_times, operator=square_matrix)
def lemma_bound(model: CentralSpinModel, times: Any, operator: Any) -> np.ndarray:
    r"""Return 4|g0| t |Λ| ‖A‖ / N^z, the bound of Lemma 1, for A that acts on each of its n = |Λ| spins."""
    A, sites = _local_operator(operator)
    return 4 * abs(model.coupling) * sites * float(np.linalg.norm(A, 2)) * np.asarray(times, dtype=float)


@checked(model=paper_model, times=_times, operator=square_matrix)
def uniform_bound(model: CentralSpinModel, times: Any, operator: Any) -> np.ndarray:
    r"""Return 4|g0| |Λ| ‖A‖ (1 − e^{−λt}) / (λN^z), the bound that holds for all times.

    λ = Γ+ if A is diagonal in the σz basis and no transverse bath field tilts it, Γ+/2 otherwise. The part
    of e^{uL_bath}[A] that is the identity on spin k commutes with the coupling to that spin. What is left
    there is at most e^{−λu} ‖A − ½Tr_k A‖ ≤ 3/2 e^{−λu} ‖A‖ (1 in place of 3/2 if A is diagonal), and with
    ‖τ+σ− + τ−σ+‖ = 1 the commutator in the proof is at most 3|g|‖A‖ e^{−λu} per spin.
    """
    A, _ = _local_operator(operator)
    diagonal = np.abs(A - np.diag(np.diag(A))).max() < ROUND_OFF and not any(model.bath_field[:2])
    rate = model.bath_rate * (1.0 if diagonal else 0.5)
    t = np.asarray(times, dtype=float)
    return lemma_bound(model, -np.expm1(-rate * t) / rate if rate > 0 else t, A)


@checked(model=paper_model, times=_times, operator=square_matrix)
def commutator_bound(model: CentralSpinModel, times: Any, operator: Any) -> np.ndarray:
    r"""Return ∫_0^t ‖[H_int, e^{uL_bath}[A]]‖ du: the proof of Lemma 1 with its commutator not estimated."""
    nodes, weights = np.polynomial.legendre.leggauss(QUADRATURE)
    bounds = []
    for t in times:
        operators = bath_evolution(model, t * (nodes + 1) / 2, operator)
        norms = [np.linalg.norm(exchange_commutator(B), 2) for B in operators]
        bounds.append(abs(model.coupling) * t / 2 * np.dot(weights, norms))
    return np.array(bounds)


@lru_cache(maxsize=1)  # several operators are often asked of one model; at N = 60 a generator takes 100 MB
def _space(model: CentralSpinModel, sites: int) -> HeisenbergBlocks:
    return HeisenbergBlocks(model, sites)


def _local_operator(operator: Any) -> tuple[np.ndarray, int]:
    A = square_matrix("operator", operator)
    sites = len(A).bit_length() - 1
    if sites < 1 or len(A) != 2**sites:
        raise ArgumentError("operator", "act on spins-½: 2×2, 4×4, …", f"of shape {A.shape}")
    return A, sites


def _hermitian_parts(A: np.ndarray) -> list[Callable[[np.ndarray], np.ndarray]]:
    """Return what takes the Hermitian parts X₁ and X₂ of X₁ + iX₂; the first alone if A is Hermitian."""
    parts: list[Callable[[np.ndarray], np.ndarray]] = [
        lambda X: (X + X.conj().T) / 2,
        lambda X: (X - X.conj().T) / 2j,
    ]
    return parts[:1] if np.abs(A - A.conj().T).max() < ROUND_OFF else parts
