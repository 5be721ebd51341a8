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
import math
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
#: Backward error of a solution; round-off leaves a few times 1e-16.
BACKWARD = 1e-12
#: Round-off times condition above which a matrix counts as singular.
SINGULAR = 1e-4
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
    readout : sparse matrix, shape (m, n), optional
        What is read of the solution. If it is given, errors are judged by what reaches it; and up to `DIRECT` unknowns
        it is established that the solution is unique, by the condition of the factorised matrix.
    progress : callable, optional
        Told which fraction is done.
    """

    def __init__(
        self, L: Any, trace: np.ndarray, tolerance: float, *, blocks: np.ndarray | None = None,
        slowest: float = 1.0, readout: Any = None, progress: Any = None,
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
        self._readout = readout
        if n <= DIRECT:
            self._lu = factorise(self._bordered)
            if readout is not None:
                self._establish()
        elif blocks is not None and (blocks == blocks[0]).all():  # two modes or one: nothing fills in
            self._lu = factorise(self._bordered)
        elif blocks is not None:
            inside = blocks[rows] == blocks[cols]
            part = coo_matrix((data[inside], (rows[inside], cols[inside])), shape=L.shape)
            with contextlib.suppress(
                ConvergenceError
            ):  # a block alone may be singular where the whole is not
                self._preconditioner = factorise(part)

    def _establish(self) -> None:
        """Raise if L has a second stationary state, or if round-off leaves fewer digits than the tolerance asks for."""
        A, solve = self._bordered, self._lu.solve
        inverse = LinearOperator(A.shape, matvec=solve, rmatvec=lambda x: self._lu.solve(x, "T"), dtype=float)
        with np.errstate(all="ignore"):
            size = float(onenormest(inverse))
        if not EPSILON * size * float(abs(A).sum(axis=0).max()) <= SINGULAR:
            raise NotUniqueError(
                "The stationary state is not unique, or is reached so slowly that round-off hides it (relaxation times "
                f"up to about {size:.2g})."
            )
        v = self.stationary()
        if not (error := self._forward_error(v, A @ v)) <= 10 * self._tolerance:
            raise NotUniqueError(
                f"The stationary state is ill conditioned: round-off leaves errors of {error:.2g} (relaxation times "
                f"up to about {size:.2g})."
            )

    def _forward_error(self, v: np.ndarray, right: np.ndarray) -> float:
        """What round-off leaves of error in the readouts: at most |R A⁻¹| (ε |A| |v| + |A v − b|)."""
        rows = self._readout.toarray()
        rows = np.concatenate([rows.real, rows.imag]) if np.iscomplexobj(rows) else rows
        A = self._bordered
        missed = EPSILON * (abs(A) @ np.abs(v) + np.abs(right)) + np.abs(A @ v - right)
        return max((float(np.abs(self._lu.solve(row, "T")) @ missed) for row in rows), default=0.0)

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
        """Solve with the factorised blocks as preconditioner; None where that does not converge."""
        inverse = LinearOperator(self._bordered.shape, matvec=self._preconditioner.solve, dtype=right.dtype)
        missing = right - self._bordered @ v
        for accuracy in RESIDUALS:  # the second pass refines the first to round-off
            restart, cycles = BLOCKWISE
            change, _ = gmres(
                self._bordered, missing, inverse @ missing, rtol=accuracy, atol=EPSILON, restart=restart,
                maxiter=cycles, M=inverse, callback=self._told("stationary state"), callback_type="pr_norm",
            )  # fmt: skip
            v = v + change
            missing = right - self._bordered @ v
            if self._backward_error(v, right) <= BACKWARD:
                return v
        return None

    def _backward_error(self, v: np.ndarray, right: np.ndarray) -> float:
        """By how much entries of the equations would have to change, relative to themselves, for v to be exact.

        High occupations may hold large numbers, beside which a residual means little by itself.
        """
        scale = abs(self._bordered) @ np.abs(v) + np.abs(right)
        residual = np.abs(self._bordered @ v - right)
        return float((residual / np.where(scale > 0, scale, 1.0)).max())

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
        residual = math.inf
        for _ in range(2):
            target = max(self._tolerance * 1e-2, 100 * EPSILON * float(np.linalg.norm(v)), 1e-13)
            v, _ = gmres(
                operator, right, v, rtol=0.0, atol=target, restart=restart, maxiter=cycles, callback=told,
                callback_type="pr_norm",
            )  # fmt: skip
            residual = float(np.linalg.norm(right - operator @ v))
            if residual <= max(self._tolerance, 10 * target):
                break
        if not residual <= 10 * self._tolerance:
            raise NotUniqueError(
                "No stationary state was found: it is not unique, is reached too slowly (rates below about "
                f"{1 / self._time / restart:.2g} of the largest), or round-off hides it (missed by {residual:.2g})."
            )
        return np.asarray(v)

    def _checked(self, v: np.ndarray, right: np.ndarray) -> np.ndarray:
        if self._backward_error(v, right) <= BACKWARD:
            return np.asarray(v)
        if self._readout is None or not (error := self._forward_error(v, right)) <= 10 * self._tolerance:
            off = "" if self._readout is None else f" (round-off leaves errors of {error:.2g})"
            raise NotUniqueError(f"The stationary state is not unique, or too ill conditioned{off}.")
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
