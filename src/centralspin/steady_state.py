"""Solving L v = 0 with one linear functional fixed; nothing here knows what L describes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix
from scipy.sparse.linalg import MatrixRankWarning, splu

from .errors import ConvergenceError


class StationarySolver:
    r"""Solves L v = s for many s by one sparse LU factorisation, with the trace of v prescribed.

    L conserves the trace, so that its rows are linearly dependent and one of them can be replaced by the
    trace functional.

    Parameters
    ----------
    L : sparse matrix, shape (n, n)
        A generator that conserves the trace.
    trace : ndarray, shape (n,)
        The trace as a row: trace @ v.
    row : int
        A row of L that the others imply; its entry in `trace` must not vanish.
    """

    def __init__(self, L: Any, trace: np.ndarray, row: int = 0) -> None:
        L = L.tocoo()
        keep = L.row != row
        columns = np.flatnonzero(trace)
        data = np.r_[L.data[keep], trace[columns]]
        rows = np.r_[L.row[keep], np.full(len(columns), row)]
        self._matrix = csc_matrix(coo_matrix((data, (rows, np.r_[L.col[keep], columns])), shape=L.shape))
        self._row = row
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", MatrixRankWarning)
                self._lu = splu(self._matrix)
        except (RuntimeError, MatrixRankWarning) as error:
            raise ConvergenceError(f"The stationary state is not unique ({error}).") from None

    def solve(self, source: np.ndarray, trace: float = 0.0) -> np.ndarray:
        """Return v with L v = source and the given trace."""
        right = np.array(source, dtype=np.result_type(source, self._matrix.dtype))
        right[self._row] = trace
        v = self._lu.solve(right)
        v += self._lu.solve(right - self._matrix @ v)  # one step of iterative refinement
        residual = np.abs(self._matrix @ v - right).max()
        if not residual <= 1e-8 * max(1.0, np.abs(v).max()):
            raise ConvergenceError(f"The stationary state is not unique or too ill conditioned (residual {residual:.2g}).")
        return np.asarray(v)

    def stationary(self) -> np.ndarray:
        """Return v with L v = 0 and trace 1."""
        return self.solve(np.zeros(self._matrix.shape[0]), 1.0)
