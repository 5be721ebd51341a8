"""Solving L v = 0 with the trace prescribed; nothing here knows what L describes."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix
from scipy.sparse.linalg import LinearOperator, MatrixRankWarning, gmres, splu

from ..errors import ConvergenceError

#: Below this many unknowns a direct factorisation is cheaper than a preconditioned iteration.
DIRECT = 1200
#: Krylov vectors of a GMRES cycle, and cycles; where they are not enough, the direct factorisation takes over.
KRYLOV, CYCLES = 100, 4
#: Relative residuals asked of GMRES for the solution and for its refinement; what a solution may miss at most.
RESIDUALS, LARGEST_RESIDUAL = (1e-9, 1e-5), 1e-9
#: A residual that cannot be improved on, for solutions of order 1.
ROUND_OFF = 1e-15


class StationarySolver:
    r"""Solves L v = s for one or several s, with the trace of v prescribed.

    L conserves the trace, so that its rows are linearly dependent and one of them can be replaced by the
    trace functional. Where the unknowns fall into weakly coupled blocks, GMRES preconditioned by the sparse
    LU factorisation of the blocks alone saves most of the fill-in.

    Parameters
    ----------
    L : sparse matrix, shape (n, n)
        A generator that conserves the trace.
    trace : ndarray, shape (n,)
        The trace as a row: trace @ v.
    row : int
        A row of L that the others imply; its entry in `trace` must not vanish.
    blocks : ndarray of int, shape (n,), optional
        Labels of the weakly coupled blocks.
    """

    def __init__(self, L: Any, trace: np.ndarray, row: int = 0, blocks: np.ndarray | None = None) -> None:
        L = L.tocoo()
        keep = L.row != row
        columns = np.flatnonzero(trace)
        data = np.r_[L.data[keep], trace[columns]]
        rows, cols = np.r_[L.row[keep], np.full(len(columns), row)], np.r_[L.col[keep], columns]
        self._matrix = coo_matrix((data, (rows, cols)), shape=L.shape).tocsr()
        self._row = row
        self._preconditioner: Any = None
        self._lu: Any = None
        if blocks is not None and L.shape[0] > DIRECT:
            inside = blocks[rows] == blocks[cols]
            part = coo_matrix((data[inside], (rows[inside], cols[inside])), shape=L.shape)
            # A block alone may be singular where the whole is not.
            with contextlib.suppress(ConvergenceError):
                self._preconditioner = _factorise(part)

    def solve(self, source: np.ndarray, trace: float = 0.0) -> np.ndarray:
        """Return v with L v = source and the given trace."""
        right = np.array(source, dtype=np.result_type(source, self._matrix.dtype))
        right[self._row] = trace
        if self._preconditioner is not None:
            inverse = LinearOperator(self._matrix.shape, matvec=self._preconditioner.solve, dtype=right.dtype)
            v, missing, failed = np.zeros_like(right), right, 0
            for accuracy in RESIDUALS:  # the second pass refines the first to round-off
                change, failed = gmres(
                    self._matrix, missing, inverse @ missing,
                    rtol=accuracy, atol=ROUND_OFF, restart=KRYLOV, maxiter=CYCLES, M=inverse,
                )  # fmt: skip
                if failed:
                    break
                v += change
                missing = right - self._matrix @ v
            else:
                return v
            self._preconditioner = None
        if self._lu is None:
            self._lu = _factorise(self._matrix)
        v = self._lu.solve(right)
        v += self._lu.solve(right - self._matrix @ v)  # one step of iterative refinement
        residual = np.abs(self._matrix @ v - right).max()
        if not residual <= LARGEST_RESIDUAL * max(1.0, np.abs(v).max()):
            raise ConvergenceError(
                f"The stationary state is not unique, or too ill conditioned ({residual:.2g})."
            )
        return np.asarray(v)

    def stationary(self) -> np.ndarray:
        """Return v with L v = 0 and trace 1."""
        return self.solve(np.zeros(self._matrix.shape[0]), 1.0)


def _factorise(matrix: Any) -> Any:
    """Sparse LU with an ordering that profits from the almost symmetric pattern of our generators."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", MatrixRankWarning)
            return splu(
                csc_matrix(matrix),
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=0.01,
                options={"SymmetricMode": True},
            )
    except (RuntimeError, MatrixRankWarning) as error:
        raise ConvergenceError(f"The stationary state is not unique ({error}).") from None
