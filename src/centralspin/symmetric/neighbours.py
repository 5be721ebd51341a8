r"""Stationary states of many problems that differ a little: each is found from those before it.

The combination of the states before that fits best is close where parameters change smoothly. And the factorisation A₀
of one problem is a good preconditioner for the next: of :math:`A_0^{-1} A` most eigenvalues are near 1, so that few
iterations do where a factorisation of A would take most of the time. It is made afresh where they do not do any more.

None of that can tell that a problem has two stationary states, nor see what is far slower in it than in those before.
So it is used only after the problem was solved by itself at a small cut: there its state was found to be unique, and
how much a residual matters to what is read. Residuals must be so small that they do not matter.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import LinearOperator, gmres

from ..errors import ConvergenceError
from ..numerics.stationary import bordered, factorise

#: Below so many unknowns a problem is solved by itself; above so many a factorisation, which fills in, takes longer
#: than it saves.
LEAST, MOST = 700, 3500
#: Sets of occupations that states and factorisations are kept of, and questions of which cuts are kept.
KEPT, ASKED = 6, 64
#: States that a guess is combined of.
STATES = 6
#: Iterations after which a new factorisation is better.
ITERATIONS = 25
#: The part of the tolerance that residuals may use up, if they matter this many times as much as at a small cut.
ACCEPTED, SAFETY = 0.1, 10.0
#: Iterations aim at this part of what is accepted.
AIM = 1e-2


class Neighbours:
    """Cuts, states and factorisations of the problems before this one."""

    def __init__(self) -> None:
        self._known: OrderedDict[Any, tuple[Any, list[np.ndarray]]] = OrderedDict()
        self._cuts: OrderedDict[Any, list[tuple[int, float]]] = OrderedDict()
        #: How often a factorisation was made, and how often one was used again.
        self.made, self.used = 0, 0

    def cuts(self, asked: Any) -> list[tuple[int, float]]:
        """Cuts and errors where the same was asked of a problem nearby, see `cut`."""
        return self._cuts.get(asked, [])

    def learn(self, asked: Any, cuts: list[tuple[int, float]]) -> None:
        """Keep cuts and errors."""
        keep(self._cuts, asked, cuts, ASKED)

    def stationary(self, key: Any, L: csr_matrix, sensitivity: float, tolerance: float) -> np.ndarray | None:
        """Return v with L v = 0 and v_0 = 1, or None where another way is better.

        Parameters
        ----------
        key : hashable
            What two problems have in common whose matrices have one shape and meaning.
        L : sparse matrix
            The generator.
        sensitivity : float
            By how much what is read changes per residual, see `StationarySolver`, at a small cut.
        tolerance : float
            The error that is allowed in what is read.
        """
        n = L.shape[0]
        trace = np.eye(1, n)[0]
        A, scale, _ = bordered(L, trace)
        b = scale[0] * trace
        allowed = ACCEPTED * tolerance / max(SAFETY * sensitivity, 1e-300)
        if key in self._known:
            lu, states = self._known[key]
            v = improved(A, b, lu, nearest(A, b, states), allowed)
            if v is not None:
                self.used += 1
                keep(self._known, key, (lu, [*states[1 - STATES :], v]), KEPT)
                return v
        try:
            lu = factorise(A)
        except ConvergenceError:  # the usual way finds out why
            return None
        self.made += 1
        v = improved(A, b, lu, lu.solve(b), allowed)
        if v is not None:
            keep(self._known, key, (lu, [v]), KEPT)
        return v


def keep(known: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    """Keep a value, and only the last ones that were kept."""
    known[key] = value
    known.move_to_end(key)
    while len(known) > most:
        known.popitem(last=False)


def nearest(A: csr_matrix, b: np.ndarray, states: list[np.ndarray]) -> np.ndarray:
    """The combination v of states that minimises |A v − b|: where parameters change smoothly it is close."""
    if len(states) == 1:
        return states[0]
    Q = np.linalg.qr(np.column_stack(states))[0]
    return np.asarray(Q @ np.linalg.lstsq(A @ Q, b, rcond=None)[0])


def improved(A: csr_matrix, b: np.ndarray, lu: Any, v: np.ndarray, allowed: float) -> np.ndarray | None:
    """Solve A v = b from a guess, preconditioned by a factorisation; None where |A v − b| remains above `allowed`."""
    missing = b - A @ v
    if np.abs(missing).sum() > allowed:
        operator = LinearOperator(A.shape, matvec=lambda x: lu.solve(A @ x), dtype=float)
        aim = max(AIM * allowed, 1e-15 * float(np.linalg.norm(v)))
        change, _ = gmres(operator, lu.solve(missing), rtol=0.0, atol=aim, restart=ITERATIONS, maxiter=1)
        v = v + change
        v = v + lu.solve(b - A @ v)
        missing = b - A @ v
    return v if np.abs(missing).sum() <= allowed else None


_CURRENT: ContextVar[Neighbours | None] = ContextVar("neighbours", default=None)


def current() -> Neighbours | None:
    """What is known of the problems before this one, where they are computed one after the other."""
    return _CURRENT.get()


@contextlib.contextmanager
def starting_from(neighbours: Neighbours) -> Iterator[None]:
    """Let stationary states inside start from those before them."""
    token = _CURRENT.set(neighbours)
    try:
        yield
    finally:
        _CURRENT.reset(token)
