"""A state that can be held: read from, acted on, and continued from."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .errors import TruncationError
from .problem.checks import real_number, square_matrix
from .problem.collective import Correlated
from .problem.general import Task
from .problem.moments import Arithmetic, Moment, Reading, needed
from .question import ask, number
from .result import Result
from .symmetric.basis import OperatorBasis
from .symmetric.solver import Solver, shift
from .symmetric.state import Held
from .travel import Saved


@dataclass(frozen=True, eq=False, repr=False)
class State(Saved, Correlated):
    r"""The state of a central system and its sites, at any N.

    `evolve(…).final` and `steady_state(…).state` are such; `evolve(…, initial=state)` goes on from one.

    Attributes
    ----------
    model : CentralSpinModel or CollectiveModel
        What it is a state of.
    time : float
        When, in units of 1/γ; 0 for a stationary state. Functions of time in a model go on from it.
    tolerance : float
        The accuracy that was asked for where it was made.
    error : float
        The error that the run which made it estimated for the moments it was asked for.
    held : Held
        Its coordinates, see `centralspin.symmetric.state`.
    """

    model: Any
    time: float
    tolerance: float
    error: float
    held: Held

    @classmethod
    def of(cls, model: Any, reading: Reading, time: float, tolerance: float) -> State | None:
        """The state that a method left, if it did."""
        if reading.state is None:
            return None
        return cls(model, time, tolerance, reading.error or 0.0, reading.state)

    @property
    def _basis(self) -> OperatorBasis:
        return OperatorBasis(math.isqrt(self.held.vectors.shape[1]))

    @property
    def central(self) -> np.ndarray:
        """The density matrix of the central system, shape (d, d); its trace is that of the state."""
        return np.asarray(np.tensordot(self.held.vectors[0, :, 0], self._basis.elements, axes=1))

    @property
    def trace(self) -> float:
        """The trace: 1, unless `apply` has changed it."""
        return float(self.held.vectors[0, 0, 0])

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
        left = basis.left(K)
        return replace(self, held=self.held.on_central(left, left.conj()))

    def normalized(self) -> State:
        """The state divided by its trace."""
        return replace(self, held=replace(self.held, vectors=self.held.vectors / self.trace))

    def at(self, time: float) -> State:
        """The same state with its clock set to another time, which only functions of time in a model can tell."""
        return replace(self, time=real_number("time", time))

    def expect(self, observables: Any, *, tolerance: float | None = None) -> Result:
        r"""Return the expectation values Tr(Oρ), by name.

        Parameters
        ----------
        observables : sequence of str, or mapping of names to central operators or `Moment`
            As for `evolve`.
        tolerance : float, optional
            The largest error; by default what was asked for where the state was made.

        Raises
        ------
        TruncationError
            If the state is not known well enough for what is asked: the run that made it looks at its own observables
            only.
        """
        question = ask(self.model, observables, initial=self)
        moments = tuple(needed([*question.moments, Moment()], "reference"))
        allowed = self.tolerance if tolerance is None else real_number("tolerance", tolerance, minimum=0)
        task = Task(question.problem, np.zeros(1), moments, allowed, start=self.held)
        solver = Solver(task)
        generator = solver.generator(self.held.occupations)
        (rows,) = generator.rows(solver.readout, solver.references)
        outer, inner = self.held.vectors.reshape(-1, 2).T
        error = float((abs(rows) @ np.abs(outer - inner)).max())
        if error > allowed:
            raise TruncationError(
                f"The state is known to {error:.2g} only for what is asked, not to {allowed:g}: name it among the "
                "observables of the run that makes the state, or give a `tolerance` here."
            )
        start = shift(task.problem, task.times, (None,))
        arithmetic = Arithmetic(moments, (rows @ outer)[None, None], "reference", start)
        values = {name: number(value[0, 0]) for name, value in question.combine(arithmetic).items()}
        return Result(values, self.model, "symmetric", allowed, error)

    def __repr__(self) -> str:
        return (
            f"State of a central system of {self._basis.dimension} levels with "
            f"{' + '.join(f'{count:g}' for count in self.held.counts)} sites at t = {self.time:g} "
            f"({self.held.vectors[..., 0].size} numbers, trace {self.trace:.10g})"
        )
