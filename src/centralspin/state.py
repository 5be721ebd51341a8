"""A state that can be held: read from, acted on, and continued from."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .errors import ArgumentError
from .problem.checks import LARGEST_NUMBER, real_number, square_matrix
from .problem.collective import Correlated
from .problem.moments import Reading
from .question import Question, answer, ask, number
from .result import Result
from .symmetric.basis import OperatorBasis
from .travel import Saved


@dataclass(frozen=True, eq=False, repr=False)
class State(Saved, Correlated):
    r"""The state of a central system and its sites, at any N.

    `evolve(…).final` and `steady_state(…).state` are such; `evolve(…, initial=state)` goes on from one. A state is
    known as well as the observables of the run that made it asked for. Where more is needed later on, it is made again,
    better: errors are always those of the whole history.

    Attributes
    ----------
    model : CentralSpinModel or CollectiveModel
        What it is a state of.
    time : float
        When, in units of 1/γ; 0 for a stationary state. Functions of time in a model go on from it.
    tolerance : float
        The accuracy that was asked for where it was made.
    held : object
        Its coordinates, as the method holds them.
    """

    model: Any
    time: float
    tolerance: float
    held: Any  # symmetric.state.Held

    @classmethod
    def of(cls, model: Any, reading: Reading, time: float, tolerance: float) -> State | None:
        """The state that a method left, if it did."""
        return None if reading.state is None else cls(model, time, tolerance, reading.state)

    @property
    def _basis(self) -> OperatorBasis:  # of Hermitian elements, which are observables
        return OperatorBasis(math.isqrt(self.held.vectors.shape[1]))

    @property
    def central(self) -> np.ndarray:
        """The density matrix of the central system, shape (d, d); its trace is that of the state."""
        first, *others = self.held.vectors[0].T
        if np.abs(first - np.array(others)).max() <= self.tolerance:
            return np.asarray(np.tensordot(first, self.held.basis.elements, axes=1))
        d, elements = self._basis.dimension, self._basis.elements
        found = self.expect({str(i): e for i, e in enumerate(elements)})
        return np.asarray(d * np.tensordot([found[str(i)] for i in range(d * d)], elements, axes=1))

    @property
    def trace(self) -> float:
        """The trace: 1, unless `apply` has changed it."""
        return float(np.trace(self.central).real)

    def apply(self, operator: Any) -> State:
        r"""Return the state KρK† for an operator K on the central system: a π pulse, a projection, a jump.

        The trace is kept as it comes out.

        Parameters
        ----------
        operator : d×d operator
            K.
        """
        basis = self._basis
        K = square_matrix("operator", operator, basis.dimension)
        before = 1.0 if self.held.product is None else float(np.abs(self.held.product).max())
        if (size := float(np.abs(K).max()) * math.sqrt(before)) > (most := math.sqrt(LARGEST_NUMBER)):
            must = f"have entries that multiply with those before to {most:g} at most"
            raise ArgumentError("operator", must, f"one with {size:.3g}")
        return replace(self, held=self.held.multiplied(self.held.basis.sandwich(K)))

    def normalized(self) -> State:
        """The state divided by its trace, which must be above the tolerance: it may be what is left of nothing."""
        factor = np.eye(self._basis.size) / self.divisor("state")
        return replace(self, held=self.held.multiplied(factor))

    def divisor(self, name: str) -> float:
        """The trace, or a refusal of the argument `name` where it is not known well enough to divide by it."""
        scale = 1.0 if self.held.product is None else float(np.linalg.norm(self.held.product, 2))
        trace, least = self.trace, self.tolerance * scale
        if not trace > least:
            must = f"have a trace above {least:.2g}, to which it is known, where it is divided by"
            raise ArgumentError(name, must, f"one of {trace:.2g}")
        return trace

    def at(self, time: float) -> State:
        """The same state with its clock set to another time, which only functions of time in a model can tell."""
        return replace(self, time=real_number("time", time, minimum=-LARGEST_NUMBER, maximum=LARGEST_NUMBER))

    def expect(self, observables: Any, *, tolerance: float | None = None) -> Result:
        r"""Return the expectation values Tr(Oρ), by name.

        Parameters
        ----------
        observables : sequence of str, or mapping of names to central operators or `Moment`
            As for `evolve`.
        tolerance : float, optional
            The largest error; by default what was asked for where the state was made.
        """
        question = ask(self.model, observables, initial=self)
        check_trace(question, "state")
        asked = self.tolerance if tolerance is None else tolerance
        found, task, reading = answer(question, np.zeros(1), asked, "symmetric")
        values = {name: number(np.ravel(value)[0]) for name, value in found.items()}
        return Result(values, self.model, "symmetric", task.tolerance, reading.error, reading.details)

    def __repr__(self) -> str:
        return (
            f"State of a central system of {self._basis.dimension} levels with "
            f"{' + '.join(f'{count:g}' for count in self.held.counts)} sites at t = {self.time:g} "
            f"({self.held.vectors[..., 0].size} numbers)"
        )


def check_trace(question: Question, name: str) -> None:
    """Refuse moments about the mean in a state of no trace: a mean is divided by it."""
    if question.start is not None and any(m.power and m.about == "mean" for m in question.moments):
        question.start.divisor(name)
