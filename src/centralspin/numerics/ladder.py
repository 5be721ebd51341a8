r"""Stationary states where unknowns form a ladder of blocks that pass on to their neighbours only.

The blocks are factorised one by one, so that memory grows little faster than the number of unknowns, and GMRES does
the rest. Its preconditioner has two levels. The flow of probability between whole blocks, each in the state it would
have by itself, is solved for as a matrix of one row and column per block; a Gauss–Seidel sweep up and down the ladder
corrects the states within the blocks. Few steps do however slowly the blocks exchange what they hold.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.sparse import block_diag, csc_matrix, csr_matrix, eye_array

from ..errors import ConvergenceError
from .stationary import PROBED, NotUniqueError, corrected, factorise

#: Krylov vectors of a cycle, and cycles.
VECTORS, CYCLES = 40, 8
#: For more unknowns than these the preconditioner is in single precision.
SINGLE = 50_000
#: By how much the blocks are shifted, relative to the largest entry.
SHIFT = {np.float32: 1e-5, np.float64: 1e-10}
#: Steps of the inverse iteration for the state of a block by itself.
ALONE = 3
#: Residuals below this, relative to the solution, are round-off.
ROUND_OFF = 1e-13
#: If this part of the solution is round-off nothing is known of it.
HIDDEN = 1e-2


def ladder_null_vector(
    L: csr_matrix,
    trace: np.ndarray,
    offsets: Sequence[int] | np.ndarray,
    readout: Any,
    accuracy: float,
    told: Callable[[], None] = lambda: None,
) -> tuple[np.ndarray, float]:
    """Return v with L v = 0 and trace @ v = 1, and an estimate of the error of what is read of it.

    Parameters
    ----------
    L : sparse real matrix, shape (n, n)
        A generator with trace @ L = 0. Entries that lead further than to a neighbour's block are not used to find the
        solution, only to judge it.
    trace : ndarray, shape (n,)
    offsets : sequence of int
        Where the blocks begin, and n.
    readout : real matrix, shape (m, n)
        What is read of v.
    accuracy : float
        The largest error of that.
    told : callable
        Called now and then.

    Raises
    ------
    NotUniqueError
        If there are several such vectors, or round-off hides whether there are.
    ConvergenceError
        If none is found, or round-off leaves a larger error than asked for.
    """
    ladder = Ladder(L, trace, offsets, told)
    rows = csr_matrix(readout)
    v, error = ladder.solve(ladder.whole, accuracy, rows)
    v = v / (trace @ v)
    error += ladder.rounded * float(np.max(abs(rows) @ abs(v), initial=0.0))
    if not error <= accuracy:
        raise ConvergenceError(
            f"The stationary state is off by about {error:.2g}, where {accuracy:.2g} is asked for."
        )
    probe = np.random.default_rng(0).normal(size=len(v))
    size = float(np.linalg.norm(probe))
    back, _ = ladder.solve(ladder.operator(probe), PROBED[0] * size)
    if not float(np.linalg.norm(back - probe)) <= PROBED[1] * size:
        raise NotUniqueError("The stationary state is not unique, or is reached too slowly to tell.")
    return v, error


class Ladder:
    """Solves (L + w t) x = b, with the trace t and an approximate stationary state w; arguments as above."""

    def __init__(
        self, L: csr_matrix, trace: np.ndarray, offsets: Sequence[int] | np.ndarray, told: Callable[[], None]
    ) -> None:
        self._L, self._trace, self._told = L, trace, told
        ends = list(itertools.pairwise(offsets))
        self._parts = [slice(a, b) for a, b in ends]
        kind: Any = np.float32 if L.shape[0] > SINGLE else np.float64
        self._blocks: list[Any] = []
        size = SHIFT[kind] * (float(abs(L.diagonal()).max()) or 1.0)
        for a, b in ends:  # shifted, for what a block hardly loses is left to the flow between them
            told()
            self._blocks.append(factorise((L[a:b, a:b] - size * eye_array(b - a)).astype(kind)))
        self._kind = kind
        beside = list(itertools.pairwise(ends))
        self._down = [csr_matrix(L[c:d, a:b]) for (a, b), (c, d) in beside]
        self._up = [csr_matrix(L[a:b, c:d]) for (a, b), (c, d) in beside]
        alone = [self._alone(i) for i in range(len(ends))]
        self._spread = csr_matrix(block_diag([csc_matrix(u[:, None]) for u in alone]))
        self._gather = csr_matrix(block_diag([csr_matrix(trace[part][None]) for part in self._parts]))
        flow = (self._gather @ L @ self._spread).toarray()
        rates = np.sort(abs(np.linalg.eigvals(flow)))
        #: How far off the solution is, relative to its size, because of round-off in L where blocks exchange little.
        self.rounded = 0.0
        if len(rates) > 1:
            self.rounded = float(np.finfo(float).eps * abs(L).max() / max(rates[1], np.finfo(float).tiny))
        if not self.rounded < HIDDEN:
            raise NotUniqueError(
                "The stationary state is not unique, or is reached too slowly to tell: some blocks exchange nothing."
            )
        flow[0] = 1.0  # it conserves the trace
        self._flow = flow
        self.whole = self._spread @ self._between(np.eye(1, len(flow))[0])

    def _between(self, of_blocks: np.ndarray) -> np.ndarray:
        return np.linalg.solve(self._flow, of_blocks)

    def _inverse(self, i: int, x: np.ndarray) -> np.ndarray:
        return np.asarray(self._blocks[i].solve(x.astype(self._kind)), dtype=float)

    def _alone(self, i: int) -> np.ndarray:
        """The state, of trace 1, in which a block that loses little stays."""
        t = self._trace[self._parts[i]]
        u = t / (t @ t)
        for _ in range(ALONE):
            moved = self._inverse(i, u)
            if not np.isfinite(moved).all() or abs(t @ moved) <= 1e-3 * np.linalg.norm(moved):
                break
            u = moved / (t @ moved)
        return np.asarray(u)

    def operator(self, x: np.ndarray) -> np.ndarray:
        """(L + w t) x."""
        return np.asarray(self._L @ x + self.whole * (self._trace @ x))

    def preconditioned(self, r: np.ndarray) -> np.ndarray:
        """An approximate solution for r on the right."""
        self._told()
        c = self._trace @ r
        r = r - c * self.whole
        of_blocks = self._gather @ r
        of_blocks[0] = 0.0
        x = self._spread @ self._between(of_blocks)
        r = r - self._L @ x
        found: list[np.ndarray] = []
        for i, part in enumerate(self._parts):
            missing = r[part] - self._down[i - 1] @ found[-1] if i else r[part]
            found.append(self._inverse(i, missing))
        for i in range(len(found) - 2, -1, -1):
            found[i] = found[i] - self._inverse(i, self._up[i] @ found[i + 1])
        return np.asarray(x + np.concatenate(found) + c * self.whole)

    def solve(
        self, b: np.ndarray, accuracy: float, readout: csr_matrix | None = None
    ) -> tuple[np.ndarray, float]:
        """Return x, and an estimate of its error, or of that of what is read of it."""
        largest = 1.0 if readout is None else float(np.sqrt(readout.power(2).sum(axis=1).max())) or 1.0
        return corrected(
            lambda x: self.preconditioned(b - self.operator(x)), lambda y: self.preconditioned(self.operator(y)),
            self.preconditioned(b), accuracy, 1 / largest, ROUND_OFF, (VECTORS, CYCLES), self._told, readout,
        )  # fmt: skip
