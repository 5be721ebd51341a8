"""Evolution in time: with a constant generator, with drives, around references that relax or move in any way."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, eye_array
from scipy.sparse.csgraph import connected_components

from ..errors import ConvergenceError
from ..numerics.stepping import EPSILON, RoundOffError, evolve_driven, evolve_linear, integrate
from .cut import Outcome
from .settling import Settling, columns
from .setup import INTEGRATION, Setup, rescaled, triangular
from .site import NOTHING, Equation, Relaxation

#: Reference states that relax with more exponentials than these are followed by a general method.
MOST_EXPONENTIALS = 3
#: Scales of unknowns from which on round-off may come to be read, so that a set that leaves nothing out, and has no
#: others to be compared with, is followed twice.
FAR = 1e4


class Evolution(Setup):
    """A task with times."""

    @property
    def _strict(self) -> bool:
        """Whether what round-off hides is refused: a given cut is used whatever the error."""
        return len(self.orders) == 1 and "cut" not in self.task.options

    def _steady(self, outer: np.ndarray, inner: np.ndarray) -> Outcome:
        """Evolve with a generator that does not change in time."""
        assert self.task.times is not None
        generator, mask = self._prepared(outer, inner)
        return self._constant(generator, mask, self.start(generator, mask), self.task.times, self.references)

    def _constant(
        self,
        generator: Any,
        mask: np.ndarray,
        start: np.ndarray,
        times: np.ndarray,
        references: list[np.ndarray],
    ) -> Outcome:
        task = self.task
        sizes = self._sizes(generator)
        L = rescaled(triangular(generator.matrices(references)), sizes)
        rows, tolerance = self._scaled_rows(triangular(generator.rows(self.readout, references)), sizes)
        used = np.unique(rows.indices)
        keep = self._masks(mask, start) & self._reached(L, start)[:, None]
        settling = Settling(L, rows, generator, keep, times, tolerance / INTEGRATION, task.progress)
        alone = columns(mask) == 1 and sizes.max() > FAR
        if alone:  # beside itself, to see round-off
            start, keep = np.hstack([start, start]), np.hstack([keep, keep])
        marks = self._marks(2 if alone else columns(mask), start)
        states, V = evolve_linear(
            L, start * marks / sizes[:, None], times, eye_array(len(start), format="csr")[used], tolerance,
            keep, settling if len(self.orders) == 1 else None, task.progress, strict=self._strict,
        )  # fmt: skip
        states, V = states / marks, V * sizes[:, None] / marks
        off = 0.0
        if alone:
            (states, other), (V, _) = np.split(states, 2, axis=-1), np.split(V, 2, axis=-1)
            apart = np.abs(states - other).max(axis=-1, initial=0)
            off = float((apart @ abs(rows[:, used]).T).max(initial=0))
            if self._strict and not off <= INTEGRATION * task.tolerance:
                raise RoundOffError(
                    f"Round-off in large coefficients hides what is asked for: it is off by about {off:.2g}."
                )
        self._keep(generator, V[:, 0])
        if len(self.orders) > 1 and EPSILON * (size := float(np.abs(V).max())) > task.tolerance:
            raise ConvergenceError(
                f"The coefficients are made of numbers up to {size:.2g}, whose round-off may exceed the tolerance "
                f"{task.tolerance:g}: nothing damps what they add up. A tolerance of {2 * EPSILON * size:.1g} will do."
            )
        end = generator, V, mask, references
        outcome = self._outcome(states, rows[:, used].toarray(), generator.size, end)
        return outcome if self._strict else replace(outcome, changes=np.maximum(outcome.changes, off))

    def _reached(self, L: csr_matrix, start: np.ndarray) -> np.ndarray:
        """Which unknowns can ever differ from 0.

        Where an excitation number, or its parity, is conserved L falls into blocks that do not know of each other, and
        a state that begins in some of them stays there.
        """
        pattern = csr_matrix((L.data != 0, L.indices, L.indptr), shape=L.shape, copy=True)
        pattern.eliminate_zeros()
        block = connected_components(pattern, directed=False)[1]
        reached = np.isin(block, np.unique(block[start.any(axis=1)]))
        self.share = float(reached.mean())
        return reached

    def _driven(self, outer: np.ndarray, inner: np.ndarray) -> Outcome:
        """Evolve around sites at rest with factors that change in time."""
        task = self.task
        assert task.times is not None
        generator, mask = self._prepared(outer, inner)
        start = self.start(generator, mask)
        marks = self._marks(columns(mask), start)
        (_, constant), *moving = generator.driven(self.references)
        rows = triangular(generator.rows(self.readout, self.references))
        used = np.unique(rows.indices)
        states, V = evolve_driven(
            triangular(constant), [(f, triangular(L)) for f, L in moving], start * marks, task.times,
            eye_array(len(start), format="csr")[used], INTEGRATION * self.precision, self._masks(mask, start),
            task.options.get("t_stops", ()), task.progress, self._strict,
        )  # fmt: skip
        return self._outcome(
            states / marks, rows[:, used].toarray(), generator.size,
            (generator, V / marks, mask, self.references),
        )  # fmt: skip

    def _relaxation(self) -> list[Any] | None:
        """How the reference states move, where that is a sum of exponentials and nothing else changes in time."""
        problem = self.compiled.problem
        motion = [site.equation.relaxation() for site in self.compiled.sites]
        if problem.functions or problem.collective_jumps or any(part is None for part in motion):
            return None
        return motion if all(len(part[1]) <= MOST_EXPONENTIALS for part in motion if part) else None

    def _relaxing(self, outer: np.ndarray, inner: np.ndarray) -> Outcome:
        """Evolve around reference states that relax: the generator is a polynomial in their exponentials."""
        task = self.task
        assert task.times is not None
        motion: Any = self._relaxation()
        generator, mask = self._prepared(outer, inner)
        start, rest = self.start(generator, mask), self.rest()
        marks = self._marks(columns(mask), start)
        (_, constant), *moving = generator.around(
            [base for base, _ in motion], [[b for _, b in parts] for _, parts in motion]
        )
        curves = [math.prod((motion[c][1][k][0] for c, k in p), start=Relaxation(())) for p, _ in moving]

        def references(time: float) -> list[np.ndarray]:
            return [
                base + sum((g(time) * b for g, b in parts), np.zeros_like(base)) for base, parts in motion
            ]

        early, late = task.times[task.times <= rest], task.times[task.times > rest]
        fixed = not any(moment.power for moment in task.moments)  # then the rows do not move
        of_time = [
            triangular(generator.rows(self.readout, references(t)))
            for t in (early[:1] if fixed else early).tolist()
        ]
        used = np.unique(np.concatenate([rows.indices for rows in of_time])) if of_time else np.zeros(0, int)
        when = np.r_[early, rest] if len(late) else early
        L, pick = triangular(constant), eye_array(len(start), format="csr")[used]
        tolerance, keep = INTEGRATION * self.precision, self._masks(mask, start)
        if moving:
            parts = [(f, triangular(of_f)) for f, (_, of_f) in zip(curves, moving, strict=True)]
            states, V = evolve_driven(
                L, parts, start * marks, when, pick, tolerance, keep, task.options.get("t_stops", ()),
                task.progress, self._strict,
            )  # fmt: skip
        else:  # what moves is not seen
            states, V = evolve_linear(
                L, start * marks, when, pick, tolerance, keep, None, task.progress, self._strict
            )
        states, V = states / marks, V / marks
        outcomes = []
        for i in range(len(early)):
            rows = of_time[0 if fixed else i][:, used].toarray()
            outcomes.append(self._outcome(states[i], rows, generator.size))
        return self._continued(outcomes, generator, mask, V, references(float(when[-1])), late - rest)

    def _moving(self, outer: np.ndarray, inner: np.ndarray) -> Outcome:
        """Evolve together with the reference states, or with factors that change in time."""
        task, compiled = self.task, self.compiled
        assert task.times is not None
        generator, mask = self._prepared(outer, inner)
        n = generator.size * len(self.orders)
        start, rest = self.start(generator, mask), self.rest()
        keep, marks = self._masks(mask, start), self._marks(columns(mask), start)
        c = keep.shape[1]
        ends = np.cumsum([c * n, *(len(r) for r in self.references)])[:-1]

        def derivative(time: float, y: np.ndarray) -> np.ndarray:
            state, *references = np.split(y, ends)
            moved = [
                site.equation.velocity(r, time) for site, r in zip(compiled.sites, references, strict=True)
            ]
            L = generator.matrices(references, time, again=True)
            v = np.split(state.reshape(n, c), len(L))
            changed = np.concatenate([sum(L[l - i] @ v[i] for i in range(l + 1)) for l in range(len(L))])
            return np.concatenate([(keep * changed).ravel(), *moved])

        early, late = task.times[task.times <= rest], task.times[task.times > rest]
        factors = task.problem.functions
        states = integrate(
            derivative, np.concatenate([(start * marks).ravel(), *self.references]),
            np.r_[early, rest] if len(late) else early, self.precision, timed=bool(factors), factors=factors,
            t_stops=task.options.get("t_stops", ()), progress=task.progress,
        )  # fmt: skip
        outcomes = []
        for y in states[: len(early)]:
            state, *references = np.split(y, ends)
            rows = triangular(generator.rows(self.readout, references))
            used = np.unique(rows.indices)
            state = (state.reshape(n, c) / marks)[used]
            outcomes.append(self._outcome(state, rows[:, used].toarray(), generator.size))
        state, *references = np.split(states[-1], ends)
        return self._continued(
            outcomes, generator, mask, state.reshape(n, c) / marks, references, late - rest
        )

    def _continued(
        self, outcomes: list[Outcome], generator: Any, mask: np.ndarray, V: np.ndarray, references: list[np.ndarray],
        late: np.ndarray,
    ) -> Outcome:  # fmt: skip
        """The outcome at all times: those while the references moved, and `late` ones, counted from the state V."""
        end = self._held(generator, V, mask, references)
        if len(late):  # nothing but the state changes any more
            outcomes = [*outcomes, self._constant(generator, mask, V, late, references)]
            end = outcomes[-1].end
        values, changes = (
            np.concatenate([np.atleast_2d(part) for part in parts])
            for parts in zip(*((outcome.values, outcome.changes) for outcome in outcomes), strict=True)
        )
        return Outcome(values, changes, generator.size, end)

    def rest(self) -> float:
        """When the reference states stand still; never where something changes in time explicitly."""
        equations = [site.equation for site in self.compiled.sites if site.equation.moves()]
        if self.task.problem.functions or self.task.times is None or not len(self.task.times):
            return math.inf
        span, time = float(self.task.times[-1]), 1 / max(equation.rate for equation in equations)
        while (time := 2 * time) < span / 2:
            if all(still(equation, equation.at(np.array([time]))[0]) for equation in equations):
                return time
        return math.inf


def still(equation: Equation, r: np.ndarray) -> bool:
    """Whether a reference state does not change any more."""
    return bool(np.abs(equation.velocity(r)).max(initial=0) <= 10 * NOTHING * equation.rate)
