r"""Solving L v = s with the trace of v prescribed; nothing here knows what L describes. Rates are of order 1.

L conserves the trace, t L = 0. Three ways, from the quickest to the one that always fits into memory:

* the sparse LU factorisation of L with one row replaced by the trace;
* GMRES, preconditioned by the factorisation of weakly connected blocks alone;
* GMRES on :math:`1 - e^{τL} + |w⟩⟨t|` with t w = 1, whose product is an evolution over the time τ. Where s = 0 its
  solution is the stationary state, for any s that of L v = s follows with :math:`-\int_0^τ e^{Lu} s\, du` on the right.
  The spectrum of :math:`e^{τL}` clusters at 0 but for the few modes that are slower than τ, so that few iterations do.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import numpy as np
from scipy.sparse import bmat, coo_matrix, csc_matrix, csr_matrix, diags_array
from scipy.sparse.linalg import LinearOperator, MatrixRankWarning, gmres, onenormest, splu

from ..errors import ConvergenceError
from .stepping import EPSILON, propagate

#: Up to this many unknowns a direct factorisation is the quickest, and up to so many it is where blocks do not help;
#: beyond, it fills in.
DIRECT, DIRECT_AT_MOST = 2500, 8000
#: Krylov vectors of a GMRES cycle and cycles, with the factorised blocks and with the exponential.
BLOCKWISE, EXPONENTIAL = (60, 3), (60, 3)
#: Relative residuals asked of GMRES for the solution and for its refinement.
RESIDUALS = (1e-10, 1e-4)


class NotUniqueError(ConvergenceError):
    """There are several stationary states, or two that only a rate close to round-off tells apart."""


class StationarySolver:
    """Solves L v = s for one or several s, with the trace of v prescribed.

    Parameters
    ----------
    L : sparse matrix, shape (n, n)
        A generator that conserves the trace.
    trace : ndarray, shape (n,)
        The trace as a row: trace @ v.
    tolerance : float
        Absolute error of a solution of size 1.
    blocks : ndarray of int, shape (n,), optional
        Labels of weakly connected blocks.
    slowest : float
        A rate about as small as the slowest that matters.
    check : bool
        Whether to establish that the solution is unique (by the condition of the factorised matrix).
    progress : callable, optional
        Told which fraction is done.
    """

    def __init__(
        self, L: Any, trace: np.ndarray, tolerance: float, *, blocks: np.ndarray | None = None,
        slowest: float = 1.0, check: bool = False, progress: Any = None,
    ) -> None:  # fmt: skip
        self._L, self._trace, self._tolerance, self._progress = csr_matrix(L), trace, tolerance, progress
        self._time = 1.0 / max(slowest, 1e-12)
        n = L.shape[0]
        self._row = int(np.flatnonzero(trace)[0])
        coo = self._L.tocoo()
        keep = coo.row != self._row
        columns = np.flatnonzero(trace)
        data = np.r_[coo.data[keep], trace[columns]]
        rows, cols = np.r_[coo.row[keep], np.full(len(columns), self._row)], np.r_[coo.col[keep], columns]
        bordered = coo_matrix((data, (rows, cols)), shape=L.shape).tocsr()
        # Rows of very different size, such as a slow bath beside a fast central system, are made equally large: what
        # is slow is not ill conditioned by that.
        largest = abs(bordered).max(axis=1).toarray().ravel()
        self._scale = 1 / np.where(largest > 0, largest, 1.0)
        self._bordered = csr_matrix(diags_array(self._scale) @ bordered)
        data = data * self._scale[rows]
        self._lu: Any = None
        self._preconditioner: Any = None
        if n <= DIRECT or check:
            self._lu = factorise(self._bordered)
            if check:
                self._establish()
        elif blocks is not None:
            inside = blocks[rows] == blocks[cols]
            part = coo_matrix((data[inside], (rows[inside], cols[inside])), shape=L.shape)
            with contextlib.suppress(
                ConvergenceError
            ):  # a block alone may be singular where the whole is not
                self._preconditioner = factorise(part)

    def _establish(self) -> None:
        """Raise if L has a second stationary state within the digits that the tolerance asks for."""
        n = self._bordered.shape[0]
        inverse = LinearOperator(
            (n, n), matvec=self._lu.solve, rmatvec=lambda x: self._lu.solve(x, "T"), dtype=float
        )
        with np.errstate(all="ignore"):
            size = float(onenormest(inverse))
        error = EPSILON * size * float(abs(self._bordered).sum(axis=0).max())
        if not error <= max(self._tolerance, 1e-12):
            raise NotUniqueError(
                "The stationary state is not unique, or is reached so slowly that it cannot be told apart from others "
                f"at this tolerance (relaxation times up to about {size:.2g})."
            )

    def solve(self, source: np.ndarray, trace: float = 0.0, guess: np.ndarray | None = None) -> np.ndarray:
        """Return v with L v = source and the given trace."""
        right = np.array(source, dtype=np.result_type(source, self._bordered.dtype))
        right[self._row] = trace
        right = right * self._scale
        if self._lu is not None:
            v = self._lu.solve(right)
            for _ in range(2):  # iterative refinement
                v += self._lu.solve(right - self._bordered @ v)
            return self._checked(v, right)
        start = np.zeros_like(right) if guess is None else guess.astype(right.dtype)
        if self._preconditioner is not None:
            found = self._blockwise(right, start)
            if found is not None:
                return found
            self._preconditioner = None
        if len(right) <= DIRECT_AT_MOST:
            self._lu = factorise(self._bordered)
            return self.solve(source, trace)
        return self._exponential(source, trace, start)

    def stationary(self, guess: np.ndarray | None = None) -> np.ndarray:
        """Return v with L v = 0 and trace 1."""
        return self.solve(np.zeros(self._bordered.shape[0]), 1.0, guess)

    def _blockwise(self, right: np.ndarray, v: np.ndarray) -> np.ndarray | None:
        inverse = LinearOperator(self._bordered.shape, matvec=self._preconditioner.solve, dtype=right.dtype)
        missing = right - self._bordered @ v
        for accuracy in RESIDUALS:  # the second pass refines the first to round-off
            restart, cycles = BLOCKWISE
            change, failed = gmres(
                self._bordered, missing, inverse @ missing, rtol=accuracy, atol=EPSILON, restart=restart,
                maxiter=cycles, M=inverse, callback=self._told("stationary state"), callback_type="pr_norm",
            )  # fmt: skip
            if failed:
                return None
            v = v + change
            missing = right - self._bordered @ v
        return v

    def _exponential(self, source: np.ndarray, trace: float, v: np.ndarray) -> np.ndarray:
        n, t = len(v), self._trace
        w = np.zeros(n)
        w[self._row] = 1 / t[self._row]
        accuracy = max(self._tolerance * 1e-3, 1e-13)

        def evolved(x: np.ndarray) -> np.ndarray:
            return propagate(self._L, x, [self._time], accuracy)[0]

        right = trace * w
        if np.any(source):  # −∫ e^{Lu} s du from ẏ = L y + s
            extended = csr_matrix(bmat([[self._L, csr_matrix(source[:, None])], [None, csr_matrix((1, 1))]]))
            right = right - propagate(extended, np.r_[np.zeros(n), 1.0], [self._time], accuracy)[0][:n]
        told = self._told("stationary state")
        operator = LinearOperator((n, n), matvec=lambda x: x - evolved(x) + w * (t @ x), dtype=v.dtype)
        restart, cycles = EXPONENTIAL
        v, failed = gmres(
            operator, right, v, rtol=0.0, atol=max(self._tolerance * 1e-2, 1e-13), restart=restart, maxiter=cycles,
            callback=told, callback_type="pr_norm",
        )  # fmt: skip
        if failed:
            raise NotUniqueError(
                "No stationary state was found: it is not unique, or is reached too slowly (rates below about "
                f"{1 / self._time / restart:.2g} of the largest)."
            )
        return np.asarray(v)

    def _checked(self, v: np.ndarray, right: np.ndarray) -> np.ndarray:
        residual = np.abs(self._bordered @ v - right).max()
        size = max(1.0, np.abs(v).max())
        if not residual <= 1e-9 * size:
            raise NotUniqueError(
                f"The stationary state is not unique (a residual of {residual:.2g} remains)."
            )
        return np.asarray(v)

    def _told(self, what: str) -> Any:
        def callback(_: Any) -> None:
            if self._progress is not None:
                self._progress(0.5, what)

        return callback


def factorise(matrix: Any) -> Any:
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
        raise NotUniqueError(f"The stationary state is not unique ({error}).") from None
