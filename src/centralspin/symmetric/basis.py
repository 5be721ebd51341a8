r"""Operators and superoperators of one d-level site in a real, traceless-but-one basis.

Notation, used throughout the symmetric method:

* :math:`e_1, …, e_D` with D = d² − 1 are Hermitian, traceless and orthogonal,
  :math:`\mathrm{Tr}(e_i e_j) = δ_{ij}/d`; for spin-½ they are σx/2, σy/2, σz/2. Larger sites may take other
  combinations of them, see `modes`.
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

#: Entries of a single-site matrix below this times its largest one are round-off.
ROUND_OFF = 1e-14


class OperatorBasis:
    """The basis (1/d, e_1, …, e_D) of the operators on a d-level system.

    Parameters
    ----------
    dimension : int
        The number d of levels.
    mix : ndarray, shape (D, D), optional
        Take Σ_i e_i mix[i, j] for e_j, as `modes.chain` gives it; the new elements need not be orthogonal.
    """

    def __init__(self, dimension: int, mix: np.ndarray | None = None) -> None:
        self.dimension = dimension
        self.size = dimension**2
        self.mix = mix

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
        if self.mix is not None:
            elements[1:] = np.tensordot(self.mix.T, elements[1:], axes=1)
        return elements

    @cached_property
    def duals(self) -> np.ndarray:
        """The operators f with Tr(f_i e_j) = δ_ij, f_0 the identity: d e_i where these are orthogonal."""
        duals = self.dimension * self.elements
        if self.mix is not None:  # e = mixᵀ e', hence f = mix⁻¹ f' with f' = d e' = d mix⁻ᵀ e
            duals[1:] = np.tensordot(np.linalg.inv(self.mix.T @ self.mix), duals[1:], axes=1)
        return duals

    def coordinates(self, operator: np.ndarray) -> np.ndarray:
        """Coordinates of `operator` in (1/d, e_1, …), the first being its trace; real if X is Hermitian."""
        return np.einsum("aij,ji->a", self.duals, operator)

    def expectation(self, operator: np.ndarray) -> np.ndarray:
        """Row of expectation values: Tr(A ρ) = row · coordinates(ρ), real for Hermitian A."""
        return np.einsum("aij,ji->a", self.elements, operator)

    def superoperator(self, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Real matrix, in (1/d, e_1, …), of a map that preserves Hermiticity."""
        columns = [self.coordinates(function(element)) for element in self.elements]
        return np.array(columns).real.T

    def left(self, operator: np.ndarray) -> np.ndarray:
        """Matrix of X ↦ A X, complex; its real part is that of ½{A, ·} if A is Hermitian."""
        return np.array([self.coordinates(operator @ element) for element in self.elements]).T

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


def rounded(M: np.ndarray) -> np.ndarray:
    """The matrix with what is only round-off set to zero."""
    return np.where(np.abs(M) < ROUND_OFF * np.abs(M).max(initial=0), 0.0, M)
