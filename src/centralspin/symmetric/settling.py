"""A long evolution ends where the state is stationary; the stationary state answers for the rest of the times."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ConvergenceError
from ..numerics.stationary import StationarySolver
from ..numerics.stepping import Stepper

#: After so many products of the generator with a vector, and with so many to go, the stationary state is sought, to
#: read the rest of the times from it.
SETTLE_AFTER, SETTLE_BEFORE = 2400, 8000
#: A state counts as stationary if it is that close to the stationary one, in units of the tolerance.
SETTLED = 1e-2


class Settling:
    """Finds out, in a long evolution, that the state has become stationary; `keep` has the unknowns of every column."""

    def __init__(
        self, L: Any, rows: Any, generator: Any, keep: np.ndarray, times: np.ndarray, tolerance: float,
        progress: Any = None,
    ) -> None:  # fmt: skip
        self._L, self._rows, self._generator, self._keep = L, rows, generator, keep
        self._tolerance, self._progress = tolerance, progress
        self._span = float(times[-1])
        self._rest: np.ndarray | None = None
        self._open = True

    def may(self, stepper: Stepper) -> bool:
        """Whether the state may still be found to have become stationary."""
        left = stepper.products * (self._span / stepper.time - 1) if stepper.time else math.inf
        return self._open and left >= SETTLE_BEFORE

    def __call__(self, stepper: Stepper) -> np.ndarray | None:
        """The state from which the rest is read, or None while it still changes."""
        if stepper.products < SETTLE_AFTER or not self.may(stepper):
            return None
        if self._rest is None:
            self._rest = self._stationary(stepper.V)
            if self._rest is None:
                self._open = False
                return None
        distance = float(np.abs(stepper.V - self._rest).max())
        return self._rest if distance <= SETTLED * self._tolerance else None

    def _stationary(self, V: np.ndarray) -> np.ndarray | None:
        """Every column's: of its own trace, which is the first of its unknowns."""
        found: list[np.ndarray] = []
        solved: dict[bytes, np.ndarray] = {}
        for column, keep in zip(V, self._keep.T, strict=True):
            if keep.tobytes() not in solved:
                index = np.flatnonzero(keep & self._generator.unknowns.neutral)
                rest = np.zeros(len(keep))
                if len(index):  # of what has a charge nothing is left
                    blocks = self._generator.blocks()
                    guess = column[index] / column[0] if column[0] else None
                    try:
                        solver = StationarySolver(
                            self._L[index][:, index], np.eye(1, len(index))[0], 1e-3 * self._tolerance,
                            blocks=None if blocks is None else blocks[index],
                            readout=self._rows[:, index], progress=self._progress,
                        )  # fmt: skip
                        rest[index] = solver.stationary(guess)
                    except ConvergenceError:
                        return None
                solved[keep.tobytes()] = rest
            found.append(column[0] * solved[keep.tobytes()])
        return np.array(found)


def masks(inner: np.ndarray) -> np.ndarray:
    """The sets that are worked with as columns: the outer one, and the inner ones if they are others."""
    whole = np.ones_like(inner[:, :1])
    return whole if inner.all() else np.column_stack([whole, inner])


def columns(inner: np.ndarray) -> int:
    """Their number."""
    return masks(inner).shape[1]
