"""Method "symmetric": exact evolution and stationary states in symmetric Liouville space."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..numerics.stepping import DEGREE
from ..problem.general import Problem, Task
from ..problem.moments import Moment, Reading
from . import jumps, neighbours
from .compile import as_written
from .cut import FIRST_CUT, Converged, Outcome, converge
from .evolution import Evolution
from .rest import Rest
from .settling import columns
from .setup import INTEGRATION
from .site import NOTHING
from .state import Held

ABOUT = "reference"
OPTIONS = frozenset({"cut", "memory_budget", "t_stops"})

#: Measured peak memory while assembling and stepping: per unknown (Taylor terms), and per entry of the generator.
BYTES_PER_UNKNOWN, BYTES_PER_ENTRY = 1200, 115
#: What the Taylor terms of every function of time take per unknown, see `DrivenStepper`.
BYTES_PER_FUNCTION = 8 * DEGREE
#: Default for the memory that one run may take.
MEMORY_BUDGET = 2e9


def refuses(task: Task) -> ArgumentError | None:
    """A stationary state of what does not stand still is refused, and collective jumps that have no limit N = ∞."""
    problem = task.problem
    if (
        problem.size == math.inf
        and problem.collective_jumps
        and jumps.unbounded(as_written(problem, task.times is None))
    ):
        must = "have ⟨B⟩ = 0 in the state of the sites where the limit N = ∞ is meant (but for A = None and one class)"
        return ArgumentError("collective_jumps", must, "one with ⟨B⟩ ≠ 0")
    if task.times is not None:
        return None
    if error := task.problem.never_rests():
        return error
    if any(site.equation.moves() for site in as_written(task.problem, True).sites):
        return ArgumentError(
            "interactions",
            "leave the stationary state of the sites alone where one is asked for",
            "moving it",
        )
    return None


def run(task: Task) -> Reading:
    """Moments in time or at stationarity."""
    solver = Solver(task)
    values, details, error = solver.solve()
    return Reading(values[0], error if np.ndim(error) == 0 else error[0], details, solver.end)


class Solver(Evolution, Rest):
    """One task, solved for values or for coefficients."""

    def solve(self) -> tuple[np.ndarray, dict[str, Any], Any]:
        """Moments, shape (orders, …, moments), details, and their estimated errors, or one for all."""
        task, compiled = self.task, self.compiled
        regime = "mean field" if compiled.problem.scaling >= 1 else "fluctuations"

        def memory(cut: int) -> float:
            of_unknown = BYTES_PER_UNKNOWN + BYTES_PER_ENTRY * self.entries(cut)
            of_unknown += BYTES_PER_FUNCTION * len(task.problem.functions)
            return self.shape.unknowns(cut, compiled.basis.size) * of_unknown * len(self.orders)

        first, fixed = FIRST_CUT[regime], task.options.get("cut")
        self.first = first = first if task.start is None else max(first, task.start.cut)
        step: Callable[[np.ndarray, np.ndarray], Outcome]
        step = self._steady if task.times is not None else self._stationary
        if task.times is not None and compiled.moving:
            at_rest = not any(site.equation.moves() for site in compiled.sites)
            step = self._driven if at_rest else self._moving
            if not at_rest and self._relaxation() is not None:
                step = self._relaxing

        def run(cut: int, outer: np.ndarray, inner: np.ndarray) -> Outcome:
            self.cut, self._no_state = cut, 0.0
            outcome = step(outer, inner)
            outcome = replace(outcome, integration=INTEGRATION * self.precision)
            if not inner.all():  # no larger cut makes a state of what negative rates have as a stationary one
                no_state = (
                    self._no_state if fixed is None or not self._no_state else math.inf
                )  # it is at least that
                outcome = replace(outcome, changes=np.maximum(outcome.changes, no_state))
            if task.multiplied is None or not outcome.difference < math.inf:
                return outcome
            values = self._by_order(outcome.values)
            self.multiplied = task.multiplied(values, np.ones(1))
            changes = self._by_order(np.broadcast_to(outcome.changes, outcome.values.shape))
            return replace(outcome, multiplied=task.multiplied(values, changes))

        known = neighbours.current()
        follows = known is not None and type(self) is Solver and fixed is None and task.start is None
        asked = self._asked()
        nearby = known.cuts(asked) if known is not None and follows else []
        found: Converged = converge(
            self.shape,
            run,
            task.tolerance,
            1 - INTEGRATION,
            first,
            fixed,
            memory,
            task.options.get("memory_budget", MEMORY_BUDGET),
            nearby,
            lambda cut: self.shape.unknowns(cut, compiled.basis.size) > task.outgrown,
        )
        if known is not None and follows:
            known.learn(asked, found.history)
        self.end = found.outcome.end
        details: dict[str, Any] = {
            "cut": found.cut,
            "unknowns": found.outcome.unknowns,
            "truncation_error": found.error,
            "exact": found.complete,
        }
        share = self.share * found.outcome.unknowns / (self.shape.count(found.cut) * compiled.basis.size)
        if share < 1 and (self.share < 1 or self.charges):
            details["symmetry"] = f"keeps the state within {share:.2g} of the unknowns{self._named()}"
        values = self._by_order(found.outcome.values)
        before = 0.0 if task.start is None else task.start.integration
        errors = found.errors + before
        return values, details, errors if np.ndim(errors) == 0 else self._by_order(errors)

    def _by_order(self, rows: np.ndarray) -> np.ndarray:
        """What belongs to every row, shape (…, orders · moments), by orders: shape (orders, …, moments)."""
        return np.array(np.split(rows, len(self.orders), axis=-1))

    def _asked(self) -> tuple[Any, ...]:
        """What two tasks have in common where the cut that one needs is likely to do for the other."""
        weights = tuple(tuple(w.tolist()) for w in self.shape.weights)
        times = None if self.task.times is None else len(self.task.times)
        sizes, asked = tuple(self.shape.sizes), len(self.task.moments)
        return weights, sizes, self.task.tolerance, self.orders, times, asked

    def start(self, generator: Any, mask: np.ndarray) -> np.ndarray:
        """The initial state, shape (unknowns of all orders, columns): for every set its real and its imaginary part."""
        held = self.task.start
        if held is None:
            start = np.zeros((len(mask), columns(mask)))
            start[: generator.size] = generator.initial()[:, None]
            return start
        held = at_cut(held, self.cut)
        vectors = np.zeros((generator.space.size, self.compiled.basis.size, 3), dtype=held.vectors.dtype)
        place = generator.space.find(held.occupations)
        vectors[place[place >= 0]] = held.vectors[place >= 0]
        gathered = generator.unknowns.gather(vectors)
        return np.asarray(gathered[:, : columns(mask) if held.exact else 3])

    def _occupied(self, cut: int) -> np.ndarray:
        """What the initial state has at a cut."""
        held = at_cut(self.task.start, cut)
        return held.occupations[held.within[:, int(cut < held.cut)]]


def at_cut(held: Held, cut: int) -> Held:
    """The state at a cut at least as large, made again if need be."""
    held = max([held, *held.better], key=lambda known: known.cut)
    if held.cut >= cut or held.exact:
        return held
    task = replace(held.task, options={**held.task.options, "cut": cut, "memory_budget": math.inf})
    solver = Solver(task)
    solver.solve()
    made = solver.end
    assert made is not None
    made = made if held.product is None else made.multiplied(held.product)
    held.better[:] = [made]
    return made


def shift(problem: Problem, times: np.ndarray | None, orders: Sequence[int | None], t_stops: Any = ()) -> Any:
    r"""From a moment to :math:`N^{-s} \sum_k ⟨B^{(k)}⟩` in the reference states, as a series, shape (orders, times)."""
    compiled = as_written(problem, times is None)
    when = np.zeros(1) if times is None else times
    states = [site.equation.at(when, t_stops) for site in compiled.sites]

    def of(moment: Moment) -> np.ndarray:
        total: Any = 0.0
        for index, B in moment.operators.items():
            row = compiled.sites[index].basis.expectation(B)
            value = row[0] + states[index] @ row[1:]
            size = np.abs(row).max(initial=0)
            total = total + compiled.sites[index].share * np.where(
                np.abs(value) <= 10 * NOTHING * size, 0.0, value
            )
        total = total if not moment.hermitian else np.real(total)
        series = np.zeros((len(orders), len(when)), dtype=np.asarray(total).dtype)
        order = 2 * (moment.scaling - 1)
        if orders[0] is None and problem.size < math.inf:
            series[0] = total * float(problem.size) ** (1 - moment.scaling)
        elif np.any(total != 0):
            if order < 0:
                raise ArgumentError(
                    "about",
                    'be "mean" or "reference" where ⟨B⟩ ≠ 0 and the limit N = ∞ is meant (with a tilted bath ⟨S⟩/√N '
                    "does not exist there)",
                    repr(moment.about),
                )
            if order < len(orders) and abs(order - round(order)) < 1e-12:
                series[round(order)] = total
        return series[:, 0] if times is None else series

    return of
