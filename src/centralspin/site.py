r"""Operators and superoperators of one d-level site in a real, traceless-but-one basis.

Notation, used throughout the symmetric method:

* :math:`e_1, …, e_D` with D = d² − 1 are Hermitian, traceless and orthogonal,
  :math:`\mathrm{Tr}(e_i e_j) = δ_{ij}/d`; for spin-½ they are σx/2, σy/2, σz/2.
* A *reference state* is :math:`ω = 1/d + \sum_i r_i e_i`; r is its Bloch vector.
* In the basis (ω, e_1, …, e_D) the coordinates of a Hermitian operator are real, and coordinate 0 is its trace.
* A linear map on operators is a (D+1)×(D+1) matrix M; it is real if the map preserves Hermiticity.

The normalisation makes the maps {B, ·} as large from ω to e_i as from e_i to ω, which keeps the
symmetric representation well conditioned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np


class OperatorBasis:
    """The basis (1/d, e_1, …, e_D) of the operators on a d-level system.

    Parameters
    ----------
    dimension : int
        The number d of levels.
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.size = dimension**2

    @cached_property
    def elements(self) -> np.ndarray:
        """The d² basis operators, shape (d², d, d): 1/d, then generalised Gell-Mann matrices."""
        d = self.dimension
        elements = np.zeros((d * d, d, d), dtype=complex)
        elements[0] = np.eye(d) / d
        index = 1
        amplitude = np.sqrt(1 / (2 * d))
        for column in range(d):
            for row in range(column):
                elements[index, row, column] = elements[index, column, row] = amplitude
                elements[index + 1, row, column] = -1j * amplitude
                elements[index + 1, column, row] = 1j * amplitude
                index += 2
        for level in range(1, d):  # diagonal elements last: (1, …, 1, −level, 0, …)
            diagonal = np.r_[np.ones(level), -level, np.zeros(d - level - 1)]
            elements[index] = np.diag(diagonal) / np.linalg.norm(diagonal) / np.sqrt(d)
            index += 1
        return elements

    def coordinates(self, operator: np.ndarray) -> np.ndarray:
        """Coordinates of `operator` in (1/d, e_1, …): its trace, then d Tr(e_i X); real if X is Hermitian."""
        d = self.dimension
        traces = np.einsum("aij,ji->a", self.elements, operator)
        return np.r_[np.trace(operator), d * traces[1:]]

    def expectation(self, operator: np.ndarray) -> np.ndarray:
        """Row of expectation values: Tr(A ρ) = row · coordinates(ρ), real for Hermitian A."""
        return np.einsum("aij,ji->a", self.elements, operator)

    def superoperator(self, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Real matrix, in (1/d, e_1, …), of a map that preserves Hermiticity."""
        columns = [self.coordinates(function(element)) for element in self.elements]
        return np.array(columns).real.T

    def commutator(self, operator: np.ndarray) -> np.ndarray:
        """Matrix of X ↦ −i[A, X] for Hermitian A."""
        return self.superoperator(lambda X: -1j * (operator @ X - X @ operator))

    def anticommutator(self, operator: np.ndarray) -> np.ndarray:
        """Matrix of X ↦ {A, X} for Hermitian A."""
        return self.superoperator(lambda X: operator @ X + X @ operator)

    def lindbladian(self, hamiltonian: np.ndarray, jumps: Sequence[np.ndarray]) -> np.ndarray:
        """Matrix of X ↦ −i[H, X] + Σ (J X J† − ½{J†J, X}), the Schrödinger picture."""

        def apply(X: np.ndarray) -> np.ndarray:
            result = -1j * (hamiltonian @ X - X @ hamiltonian)
            for J in jumps:
                rate = J.conj().T @ J
                result = result + J @ X @ J.conj().T - (rate @ X + X @ rate) / 2
            return result

        return self.superoperator(apply)


def in_reference_basis(F: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Rewrite maps from the basis (1/d, e_i) to (ω, e_i), with ω = 1/d + Σ r_i e_i.

    Parameters
    ----------
    F : ndarray, shape (…, D+1, D+1)
        Matrices of the maps in (1/d, e_i).
    r : ndarray, shape (D,)
        Bloch vector of the reference state.
    """
    M = F.copy()
    M[..., :, 0] += F[..., :, 1:] @ r
    M[..., 1:, :] -= r[:, None] * M[..., :1, :]
    return M


def hermitian_pairs(A: np.ndarray, B: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split A⊗B + A†⊗B† into products of Hermitian operators (A⊗B itself if both are Hermitian, counted once)."""
    if np.allclose(A, A.conj().T, atol=1e-14, rtol=0) and np.allclose(B, B.conj().T, atol=1e-14, rtol=0):
        return [(A, B)]
    real = [(X + X.conj().T) / 2 for X in (A, B)]
    imaginary = [(X - X.conj().T) / 2j for X in (A, B)]
    pairs = [(2 * real[0], real[1]), (-2 * imaginary[0], imaginary[1])]
    return [(X, Y) for X, Y in pairs if np.abs(X).max() > 0 and np.abs(Y).max() > 0]
