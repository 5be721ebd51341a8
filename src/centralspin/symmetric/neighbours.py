r"""Stationary states of many problems that differ a little: each is found from those before it.

The combination of the states before that fits best is close where parameters change smoothly. And the factorisation A₀
of one problem is a good preconditioner for the next: of :math:`A_0^{-1} A` most eigenvalues are near 1, so that few
iterations do where a factorisation of A would take most of the time. It is made afresh where they do not do any more.
That a stationary state is unique is established as ever, at the first cut, which is small enough.
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

#: Below so many unknowns a problem is solved by itself, which also tells whether it has one solution; above so many
#: a factorisation, which fills in, takes longer than it saves.
LEAST, MOST = 700, 3500
#: Sets of occupations that states and factorisations are kept of.
KEPT = 6
#: States that a guess is combined of.
STATES = 6
#: Iterations after which a new factorisation is better.
ITERATIONS = 25
#: The part of the allowed error that iterations aim at, and the part that is accepted. Both are of the correction that
#: A₀ would make, which is too small for a mode of A that is slower than those of A₀.
AIM, ACCEPTED = 1e-3, 1e-2


class Neighbours:
    """Factorisations and states of the problems before this one, by the set of occupations."""

    def __init__(self) -> None:
        self._known: OrderedDict[Any, tuple[Any, list[np.ndarray]]] = OrderedDict()
        #: Cuts and errors, by what is asked; see `cut`.
        self.errors: dict[Any, list[tuple[int, float]]] = {}
        #: How often a factorisation was made, and how often one was used again.
        self.made, self.used = 0, 0

    def stationary(
        self, key: Any, L: csr_matrix, rows: Any, tolerance: float
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return v with L v = 0 and v_0 = 1, or None where another way is better; and a guess at it, if there is one.

        Parameters
        ----------
        key : hashable
            What two problems have in common whose matrices have one shape and meaning.
        L : sparse matrix
            The generator.
        rows : sparse matrix
            What is read.
        tolerance : float
            The error that is allowed in what is read.
        """
        n = L.shape[0]
        if n <= LEAST:
            return None, None
        trace = np.eye(1, n)[0]
        A, scale, _ = bordered(L, trace)
        b, rows = scale[0] * trace, abs(rows)
        lu, states = self._known.get(key, (None, []))
        guess = nearest(A, b, states) if states else None
        if n > MOST:
            return None, guess
        if lu is not None and guess is not None:
            v = improved(A, b, lu, guess, rows, tolerance)
            if v is not None:
                self.used += 1
                self.keep(key, v, lu)
                return v, guess
        try:
            lu = factorise(A)
        except ConvergenceError:  # the usual way finds out why
            return None, guess
        self.made += 1
        v = improved(A, b, lu, lu.solve(b), rows, tolerance)
        if v is not None:
            self.keep(key, v, lu)
        return v, guess

    def keep(self, key: Any, v: np.ndarray, lu: Any = None) -> None:
        """Keep a state, and the factorisation with which it was found, if any."""
        states = self._known.get(key, (None, []))[1]
        self._known[key] = lu, [*states[-STATES + 1 :], v]
        self._known.move_to_end(key)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)


def nearest(A: csr_matrix, b: np.ndarray, states: list[np.ndarray]) -> np.ndarray:
    """The combination v of states that minimises |A v − b|: where parameters change smoothly it is close."""
    if len(states) == 1:
        return states[0]
    Q = np.linalg.qr(np.column_stack(states))[0]
    return np.asarray(Q @ np.linalg.lstsq(A @ Q, b, rcond=None)[0])


def improved(
    A: csr_matrix, b: np.ndarray, lu: Any, v: np.ndarray, rows: Any, tolerance: float
) -> np.ndarray | None:
    """Solve A v = b from a guess, preconditioned by a factorisation; None where that does not converge."""
    n = len(b)
    correction = lu.solve(b - A @ v)
    operator = LinearOperator((n, n), matvec=lambda x: lu.solve(A @ x), dtype=float)
    aim = max(AIM * tolerance, 1e-14 * float(np.linalg.norm(v)))
    if np.linalg.norm(correction) > aim:
        change, _ = gmres(operator, correction, rtol=0.0, atol=aim, restart=ITERATIONS, maxiter=1)
        v = v + change
        correction = lu.solve(b - A @ v)
    v = v + correction
    missed = float((rows @ np.abs(correction)).max(initial=0))
    return v if missed <= ACCEPTED * tolerance else None


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
