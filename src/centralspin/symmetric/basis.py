r"""Operators and superoperators of one d-level system, in a basis of which only the first element has a trace.

Notation, used throughout the symmetric method:

* :math:`e_1, …, e_D` with D = d² − 1 are Hermitian, traceless and orthogonal,
  :math:`\mathrm{Tr}(e_i e_j) = δ_{ij}/d`; for spin-½ they are σx/2, σy/2, σz/2. Larger sites may take other
  combinations of them, see `modes`.
* A *reference state* is :math:`ω = 1/d + \sum_i r_i e_i`; r is its Bloch vector.
* In the basis (ω, e_1, …, e_D) the coordinates of a Hermitian operator are real, and coordinate 0 is its trace.
* A linear map on operators is a (D+1)×(D+1) matrix M; it is real if the map preserves Hermiticity.
* The *charged* basis has :math:`|i⟩⟨j|/\sqrt d` in place of the Hermitian elements made of it and its adjoint.
  Coordinates and matrices are complex there, see `sectors`.

The normalisation makes the maps {B, ·} as large from ω to e_i as from e_i to ω, which keeps the
symmetric representation well conditioned.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from scipy.sparse import coo_array, issparse, kron

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
    charged : bool
        Take |i⟩⟨j|/√d for i ≠ j instead of the Hermitian elements made of them. Coordinates are complex then.
    sparse : bool
        Superoperators are sparse matrices, for many levels, and only without `mix`.
    """

    def __init__(
        self, dimension: int, mix: np.ndarray | None = None, charged: bool = False, sparse: bool = False
    ) -> None:
        self.dimension = dimension
        self.size = dimension**2
        self.mix = mix
        self.charged = charged
        self.sparse = sparse

    @cached_property
    def columns(self) -> Any:
        """The elements, each a column of d² entries: 1/d, generalised Gell-Mann matrices, the diagonal ones last."""
        columns = gell_mann(self.dimension, self.charged)
        if self.sparse:
            return columns.tocsr()
        dense = columns.toarray()
        return dense if self.mix is None else np.hstack([dense[:, :1], dense[:, 1:] @ self.mix])

    @cached_property
    def rows(self) -> Any:
        """The operators f with Tr(f_i e_j) = δ_ij as rows, f_0 the identity: coordinates are rows @ X.ravel()."""
        if self.mix is None:
            return self.dimension * self.columns.conj().T
        plain = OperatorBasis(self.dimension).rows
        return np.vstack([plain[:1], np.linalg.inv(self.mix) @ plain[1:]])

    @property
    def elements(self) -> np.ndarray:
        """The d² basis operators, shape (d², d, d)."""
        return np.asarray(dense(self.columns).T.reshape(self.size, self.dimension, self.dimension))

    @property
    def duals(self) -> np.ndarray:
        """The operators f with Tr(f_i e_j) = δ_ij, shape (d², d, d)."""
        rows = dense(self.rows).reshape(self.size, self.dimension, self.dimension)
        return np.asarray(rows.transpose(0, 2, 1))

    def coordinates(self, operator: np.ndarray) -> np.ndarray:
        """Coordinates of `operator` in (1/d, e_1, …), the first being its trace; real if X is Hermitian."""
        return np.asarray(self.rows @ np.ravel(operator))

    def expectation(self, operator: np.ndarray) -> np.ndarray:
        """Row of expectation values: Tr(A ρ) = row · coordinates(ρ), real for Hermitian A."""
        return np.asarray(np.ravel(operator.T) @ self.columns)

    def charges(self, levels: np.ndarray) -> np.ndarray:
        """The charges of the elements, shape (numbers, d²), from those of the levels, where the basis is charged."""
        column, row = np.tril_indices(self.dimension, -1)
        found = np.zeros((len(levels), self.size), dtype=np.int64)
        ends = 1 + 2 * len(row)
        found[:, 1:ends:2] = levels[:, row] - levels[:, column]
        found[:, 2:ends:2] = levels[:, column] - levels[:, row]
        return found

    @property
    def adjoint(self) -> np.ndarray:
        """Which element is the adjoint of each."""
        found = np.arange(self.size)
        ends = 1 + self.dimension * (self.dimension - 1)
        found[1:ends:2], found[2:ends:2] = found[2:ends:2].copy(), found[1:ends:2].copy()
        return found if self.charged else np.arange(self.size)

    def represent(self, superoperator: Any) -> Any:
        """Matrix, in this basis, of a map in matrix units.

        It has no imaginary part if the map preserves Hermiticity and the elements are Hermitian.
        """
        return self.rows @ superoperator @ self.columns

    def _real(self, superoperator: Any) -> Any:
        matrix = self.represent(superoperator)
        return matrix if self.charged else matrix.real

    def left(self, operator: np.ndarray) -> Any:
        """Matrix of X ↦ A X, complex; its real part is that of ½{A, ·} if A is Hermitian."""
        return self.represent(self._left(operator))

    def right(self, operator: np.ndarray) -> Any:
        """Matrix of X ↦ X A, complex."""
        return self.represent(self._right(operator))

    def sandwich(self, operator: np.ndarray) -> Any:
        """Matrix of X ↦ A X A†."""
        return self._real(self._product(operator, operator.conj()))

    def commutator(self, operator: np.ndarray) -> Any:
        """Matrix of X ↦ −i[A, X] for Hermitian A."""
        return self._real(-1j * (self._left(operator) - self._right(operator)))

    def anticommutator(self, operator: np.ndarray) -> Any:
        """Matrix of X ↦ {A, X} for Hermitian A."""
        return self._real(self._left(operator) + self._right(operator))

    def dissipator(self, jump: np.ndarray) -> Any:
        """Matrix of X ↦ J X J† − ½{J†J, X}, the Schrödinger picture."""
        rate = jump.conj().T @ jump
        return self._real(self._product(jump, jump.conj()) - (self._left(rate) + self._right(rate)) / 2)

    def _product(self, A: np.ndarray, B: np.ndarray) -> Any:
        """A ⊗ B: the map X ↦ A X Bᵀ of the entries of X, row after row."""
        if self.sparse:
            return kron(coo_array(A), coo_array(B), format="csr")
        return np.einsum("ij,kl->ikjl", A, B).reshape(self.size, self.size)  # np.kron takes ten times as long

    def _left(self, A: np.ndarray) -> Any:
        return self._product(A, np.eye(len(A)))

    def _right(self, A: np.ndarray) -> Any:
        return self._product(np.eye(len(A)), A.T)


@lru_cache(maxsize=32)
def gell_mann(d: int, charged: bool) -> coo_array:
    """The elements of `OperatorBasis` without a mix, each a column of d² entries."""
    column, row = np.tril_indices(d, -1)
    index = 1 + 2 * np.arange(len(row))
    upper, lower = row * d + column, column * d + row
    levels = np.arange(1, d)
    # Those on the diagonal: (1, …, 1, −level, 0, …).
    diagonal = np.tril(np.ones((d - 1, d))) - np.diag(levels, 1)[: d - 1]
    diagonal /= np.sqrt(d * (levels + levels**2))[:, None]
    place, level = np.nonzero(diagonal.T)
    amplitude = np.sqrt(1 / (2 * d))
    one = np.full(len(row), amplitude)
    parts = [
        (np.arange(d) * (d + 1), np.zeros(d, dtype=int), np.full(d, 1 / d)),
        (place * (d + 1), d * d - d + 1 + level, diagonal[level, place]),
    ]
    if charged:
        parts += [(upper, index, np.sqrt(2) * one), (lower, index + 1, np.sqrt(2) * one)]
    else:
        parts += [(upper, index, one), (lower, index, one)]
        parts += [(upper, index + 1, -1j * one), (lower, index + 1, 1j * one)]
    rows, elements, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    return coo_array((values.astype(complex), (rows, elements)), shape=(d * d, d * d))


def dense(matrix: Any) -> np.ndarray:
    """A matrix that may be sparse as an array."""
    return np.asarray(matrix.toarray() if issparse(matrix) else matrix)


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


def rounded(M: Any) -> Any:
    """The matrix with what is only round-off set to zero."""
    if issparse(M):
        M.data[np.abs(M.data) < ROUND_OFF * np.abs(M.data).max(initial=0)] = 0
        M.eliminate_zeros()
        return M
    return np.where(np.abs(M) < ROUND_OFF * np.abs(M).max(initial=0), 0.0, M)


def entries(M: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and values of what is not zero."""
    if issparse(M):
        M = M.tocoo()
        return M.row, M.col, M.data
    rows, columns = np.nonzero(M)
    return rows, columns, M[rows, columns]
