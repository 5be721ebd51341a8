r"""Hermitian matrices on levels ⊗ a central system whose coherences reach over few levels only, in real coordinates.

Coordinates are the diagonal, and √2 times the real and the imaginary part of what is above it, in the order of the
matrix' rows, so that maps between neighbouring levels are banded. Fewer levels are a part of more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

HALF = math.sqrt(0.5)


class Banded:
    """Matrices on C^cutoff ⊗ C^levels with entries between levels n, n′ where |n − n′| ≤ band.

    Parameters
    ----------
    cutoff : int
        Levels n = 0, …, cutoff − 1.
    band : int
    levels : int
        Dimension of the central system.

    Attributes
    ----------
    size : int
        Real coordinates.
    dimension : int
        Of the matrices.
    trace : ndarray, shape (size,)
        The trace as a row.
    level, distance : ndarray of int, shape (size,)
        The higher of the two levels of a coordinate, and |n − n′|.
    """

    def __init__(self, cutoff: int, band: int, levels: int) -> None:
        self.cutoff, self.band, self.levels = cutoff, band, levels
        d = self.dimension = cutoff * levels
        n = np.arange(d) // levels
        a, b = np.triu_indices(d)
        near = n[b] - n[a] <= band
        self._a, self._b = a[near], b[near]
        self._diagonal = self._a == self._b
        self._place = np.full((d, d), -1, dtype=np.int32)
        self._place[self._a, self._b] = self._place[self._b, self._a] = np.arange(len(self._a))
        parts = np.where(self._diagonal, 1, 2)
        self._first = np.cumsum(parts) - parts
        self.size = int(parts.sum())
        self.trace = np.zeros(self.size)
        self.trace[self._first[self._diagonal]] = 1.0
        self.level = np.repeat(n[self._b], parts)
        self.distance = np.repeat(n[self._b] - n[self._a], parts)

    def map(self, terms: Sequence[tuple[Any, Any]]) -> csr_matrix:
        """The matrix of ρ ↦ Σ A ρ B†, which must leave ρ Hermitian, from pairs of sparse A, B."""
        rows, columns, values = [np.zeros(0, int)], [np.zeros(0, int)], [np.zeros(0)]
        for A, B in terms:
            left, right = _by_rows(A), _by_rows(B)
            for of_a, a in zip(*left, strict=True):
                for of_b, b in zip(*right, strict=True):
                    x, y = of_a[self._a], of_b[self._b]
                    v, source = a[self._a] * b[self._b].conj(), self._place[x, y]
                    kept = np.flatnonzero((v != 0) & (source >= 0))
                    sign = np.sign(y[kept] - x[kept])  # ρ_xy = (Re ± i Im)/√2
                    above = ~self._diagonal[kept]
                    v = v[kept] * np.where(above, 1 / HALF, 1.0) * np.where(sign == 0, 1.0, HALF)
                    to, of = self._first[kept], self._first[source[kept]]
                    for w, i, j, there in (
                        (v.real, to, of, True),
                        (-v.imag * sign, to, of + 1, True),
                        (v.imag, to + 1, of, above),
                        (v.real * sign, to + 1, of + 1, above),
                    ):
                        some = (w != 0) & there
                        rows.append(i[some])
                        columns.append(j[some])
                        values.append(w[some])
        entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
        return csr_matrix(coo_matrix(entries, shape=(self.size, self.size)))

    def expectation(self, operator: Any) -> csr_matrix:
        """The row ρ ↦ Tr(O ρ) of a sparse operator O."""
        entries = operator.tocoo()
        x, y, v = entries.col, entries.row, entries.data.astype(complex)
        kept = self._place[x, y] >= 0
        x, y, v = x[kept], y[kept], v[kept]
        sign, column = np.sign(y - x), self._first[self._place[x, y]]
        off = sign != 0
        columns = np.r_[column, column[off] + 1]
        values = np.r_[np.where(off, HALF, 1.0) * v, 1j * HALF * sign[off] * v[off]]
        return csr_matrix((values, (np.zeros_like(columns), columns)), shape=(1, self.size))


def _by_rows(A: Any) -> tuple[np.ndarray, np.ndarray]:
    """Columns and values of a sparse matrix' rows, filled up with zeros, each of shape (entries of a row, rows)."""
    A = csr_matrix(A)
    A.eliminate_zeros()
    counts = np.diff(A.indptr)
    row = np.repeat(np.arange(A.shape[0]), counts)
    place = np.arange(A.nnz) - A.indptr[row]
    index = np.zeros((int(counts.max(initial=0)), A.shape[0]), dtype=int)
    value = np.zeros(index.shape, dtype=complex)
    index[place, row], value[place, row] = A.indices, A.data
    return index, value
