"""Method "symmetric": exact evolution and stationary states in symmetric Liouville space."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.linalg import null_space
from scipy.sparse import bmat, csr_matrix, eye_array
from scipy.sparse.csgraph import connected_components

from ..errors import ArgumentError, ConvergenceError
from ..numerics.stationary import NotUniqueError, PartSolver, StationarySolver
from ..numerics.stepping import DEGREE, EPSILON, evolve_driven, evolve_linear, integrate
from ..problem.general import Problem, Task
from ..problem.moments import Moment, Reading
from . import dark_modes, jumps, neighbours
from .basis import entries
from .charges import Charges
from .compile import compile_problem
from .cut import FIRST_CUT, Converged, Outcome, Shape, converge
from .generator import Generator
from .modes import pattern
from .readout import Readout
from .sectors import Frame, Unknowns
from .settling import Settling, columns, masks
from .site import NOTHING, Compiled, Equation, Relaxation
from .space import SymmetricSpace, count_box
from .state import Held, reached

ABOUT = "reference"
OPTIONS = frozenset({"cut", "memory_budget", "t_stops"})

#: Measured peak memory while assembling and stepping: per unknown (Taylor terms), and per entry of the generator.
BYTES_PER_UNKNOWN, BYTES_PER_ENTRY = 900, 115
#: What the Taylor terms of every function of time take per unknown, see `DrivenStepper`.
BYTES_PER_FUNCTION = 8 * DEGREE
#: Default for the memory that one run may take.
MEMORY_BUDGET = 2e9
#: The share of the tolerance that integration may use up; truncation has the rest.
INTEGRATION = 0.1
#: The scale of a mode is that of its occupations by at least so many quanta, to this power, as scales that make all
#: unknowns equally large make the generator less normal; and never larger than this.
ALONE, SCALED, LARGEST_SCALE = 4, 0.6, 4.0
#: Reference states that relax with more exponentials than these are followed by a general method.
MOST_EXPONENTIALS = 3
#: Relative accuracy of the difference between the two sets.
DIFFERENCE = 0.1
#: Of larger matrices the diagonal is looked at in place of the eigenvalues.
LARGEST_DENSE_SITE = 100
#: Up to this many unknowns it is told what a degenerate stationary state conserves.
LARGEST_DENSE = 1500


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
    return Reading(values[0], error, details, solver.end)


class Solver:
    """One task, solved for values (orders = (None,)) or for coefficients in N^{−1/2} (orders = (0, 1, …, l)).

    `factors` are what multiplies the initial state, see `response`. Conserved numbers are used unless `whole`.
    """

    #: Whether the columns of `start` are real and imaginary parts by turns.
    complex = False

    def __init__(
        self,
        task: Task,
        orders: Sequence[int | None] = (None,),
        factors: Sequence[Moment | None] = (),
        whole: bool = False,
    ) -> None:
        self.task, self.orders, self.cut, self.share = task, tuple(orders), 0, 1.0
        start: Held | None = task.start
        problem = task.problem if task.times is not None else task.problem.stationary()
        self.compiled = compile_problem(problem, start, whole)
        self.charges, self.frame = self.compiled.charges, self.compiled.frame
        self.references = self.compiled.references()
        at_limit = problem.size == math.inf and self.orders == (None,)
        before = reached(self.compiled, factors)
        self.rotated = dark_modes.applies(self.compiled) and not any(matrix.any() for matrix in before)
        if start is not None:
            self.rotated = self.rotated and start.modes is not None
            before = (
                [a | b for a, b in zip(before, start.seeds(), strict=True)] if start.modes is None else before
            )
        self.patterns = [
            pattern(site, problem.scaling, at_limit, by | jumps.exchanged(self.compiled, c, at_limit))
            for c, (site, by) in enumerate(zip(self.compiled.sites, before, strict=True))
        ]
        self._last: tuple[SymmetricSpace, Unknowns, np.ndarray] | None = None
        self._scales: np.ndarray | None = None
        self.readout = Readout(self.compiled, task.moments, self.orders)
        occupied = None if start is None else self._occupied
        if self.rotated:
            self._modes, rotated = dark_modes.rotation(self.compiled, self.patterns, at_limit)
            power = max((m.power or 0 for m in task.moments), default=0)
            self.shape = Shape([rotated], [math.inf], [rotated > 0], power, occupied)
        else:
            weights = [p.weights for p in self.patterns]
            self.shape = Shape(
                weights, [s.count for s in self.compiled.sites], *self._needed(), occupied, self.frame
            )
        if self.frame is not None and self.charges is not None:
            self.frame.reach(self._totals(self.charges, self.frame, factors))
        if (start is not None and (start.modes is not None) != self.rotated) or (
            self.rotated and start is not None and not np.allclose(self._modes, np.asarray(start.modes))
        ):
            raise ArgumentError(
                "initial",
                "be continued with the couplings it was made with, and without collective operators in `correlation`, "
                f"where there are several classes of at least {dark_modes.SMALLEST_CLASS} sites",
                "continued with others",
            )

    def _totals(self, charges: Charges, frame: Frame, factors: Sequence[Moment | None]) -> np.ndarray:
        """The charges that the initial state and what multiplies it have."""
        start = self.task.start
        if self.task.problem.at_rest or self.task.times is None:
            totals = np.zeros(1, dtype=np.int64)
        elif start is None:
            totals = frame.central[np.abs(self.compiled.initial()) > NOTHING]
        else:
            n, a = np.nonzero(start.vectors.any(axis=-1))
            totals = frame.of(start.occupations)[n] + frame.central[a]
        for moment in factors:
            if moment is not None:
                totals = np.add.outer(totals, np.r_[0, charges.shifts(moment)])
        return np.unique(totals)

    def _needed(self) -> tuple[list[np.ndarray], int]:
        """Which modes the readouts reach, and up to how many quanta."""
        generic = [site.equation.generic() for site in self.compiled.sites]
        rows = np.array([bath for of_order in self.readout.series(generic) for bath, _ in of_order])
        read = np.count_nonzero(rows, axis=0) > 0
        used = self.readout.occupations[read]
        ends = np.cumsum([0, *(len(p.weights) for p in self.patterns)])
        modes = used.any(axis=0)
        return [modes[a:b] for a, b in itertools.pairwise(ends)], int(used.sum(axis=1).max(initial=0))

    def generator(self, occupations: np.ndarray) -> Any:
        """The representation that suits the problem."""
        if self.rotated:
            return dark_modes.RotatedGenerator(self.compiled, self._modes, occupations, self.orders)
        return Generator(self.compiled, self.patterns, occupations, self.orders)

    def entries(self, cut: int) -> float:
        """About how many entries a row of the generator has at a cut, before those at the same place are added.

        A quantum can only hop out of a mode that holds one, and into a mode that has room.
        """
        compiled, size = self.compiled, self.compiled.basis.size
        whole = count_box(self.shape.weights, self.shape.sizes, cut)
        total, shares = sum(len(entries(M)[2]) for M in compiled.central.matrices) / size, []
        for site, known in zip(compiled.sites, self.patterns, strict=True):
            part = {
                w: count_box(self.shape.weights, self.shape.sizes, cut - w) / whole if 0 < w <= cut else 0.0
                for w in np.unique(known.weights).tolist()
            }
            held = np.array([1.0, *(part[w] for w in known.weights.tolist())])
            share = np.where(np.arange(len(held)) == 0, held[:, None], held)  # (to, source)
            shares.append(share)
            total += float((known.local * share).sum())
            for (C, *_), coupled in zip(site.couplings, known.coupled, strict=True):
                total += float((coupled * share).sum()) * len(entries(C)[2]) / size
        generic = compiled.generic() if compiled.problem.collective_jumps else []
        for dissipator in jumps.dissipators(compiled):
            for operation, of in zip(dissipator.central, dissipator.coefficients(generic), strict=True):
                total += of.entries(shares) * len(entries(operation)[2]) / size
        return total

    def solve(self) -> tuple[np.ndarray, dict[str, Any], float]:
        """Moments, shape (orders, …, moments), details, and the estimated error."""
        task, compiled = self.task, self.compiled
        regime = "mean field" if compiled.problem.scaling >= 1 else "fluctuations"

        def memory(cut: int) -> float:
            of_unknown = BYTES_PER_UNKNOWN + BYTES_PER_ENTRY * self.entries(cut)
            of_unknown += BYTES_PER_FUNCTION * len(task.problem.functions)
            return self.shape.unknowns(cut, compiled.basis.size) * of_unknown * len(self.orders)

        first, fixed = FIRST_CUT[regime], task.options.get("cut")
        first = first if task.start is None else max(first, task.start.cut)
        if task.times is None and fixed is not None and fixed > first:
            self._stationary(*self.shape.sets(first))  # small enough to establish that the state is unique
        step: Callable[[np.ndarray, np.ndarray], Outcome]
        step = self._steady if task.times is not None else self._stationary
        if task.times is not None and compiled.moving:
            at_rest = not any(site.equation.moves() for site in compiled.sites)
            step = self._driven if at_rest else self._moving
            if not at_rest and self._relaxation() is not None:
                step = self._relaxing

        def run(cut: int, outer: np.ndarray, inner: np.ndarray) -> Outcome:
            self.cut = cut
            return step(outer, inner)

        found: Converged = converge(
            self.shape,
            run,
            task.tolerance,
            1 - INTEGRATION,
            first,
            fixed,
            memory,
            task.options.get("memory_budget", MEMORY_BUDGET),
        )
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
        values = np.array(np.split(found.outcome.values, len(self.orders), axis=-1))
        before = 0.0 if task.start is None else task.start.integration
        return values, details, found.error + INTEGRATION * task.tolerance + before

    def _named(self) -> str:
        """What is conserved."""
        if self.frame is None or not self.charges:
            return ""
        totals = self.frame.totals
        if len(self.charges) > 1 or totals is None:
            return f"; {len(self.charges)} excitation numbers are conserved"
        reached = ", ".join(f"±{c}" if c else "0" for c in totals[totals >= 0].tolist())
        return f"; an excitation number is conserved, and operators of charge {reached} are reached"

    def _prepared(self, outer: np.ndarray, inner: np.ndarray) -> tuple[Any, np.ndarray]:
        """The generator on the outer set, and which unknowns of all orders belong to the inner one."""
        generator = self.generator(outer)
        self._inner = inner
        return generator, np.tile(inner[generator.unknowns.bath], len(self.orders))

    def _outcome(
        self, states: np.ndarray, rows: np.ndarray, unknowns: int, end: tuple[Any, ...] | None = None
    ) -> Outcome:
        """From states, shape (…, components, columns), and readouts; `end` is the last state as `_held` takes it."""
        if self.complex:
            states = states[..., ::2] + 1j * states[..., 1::2]
        values = np.einsum("...ri,...i->...r", rows, states[..., 0])
        change = np.einsum("...ri,...i->...r", np.abs(rows), np.abs(states[..., 0] - states[..., -1]))
        return Outcome(values, float(change.max(initial=0)), unknowns, end and self._held(*end))

    def _held(
        self, generator: Any, V: np.ndarray, mask: np.ndarray, references: list[np.ndarray]
    ) -> Held | None:
        """The state that can be continued from, where there is one."""
        if self.orders != (None,) or self.complex:
            return None
        task = self.task
        before = 0.0 if task.start is None else task.start.integration
        return Held(
            generator.space.occupations, self._inner, generator.unknowns.spread(V)[..., [0, -1]], self.cut,
            references, [site.count for site in self.compiled.sites],
            [site.basis.mix for site in self.compiled.sites], self._modes if self.rotated else None,
            replace(task, progress=None), before + INTEGRATION * task.tolerance,
            pairs=None if self.frame is None else [site.pairs for site in self.compiled.sites],
        )  # fmt: skip

    def _steady(self, outer: np.ndarray, inner: np.ndarray) -> Outcome:
        """Evolve with a generator that does not change in time."""
        assert self.task.times is not None
        generator, mask = self._prepared(outer, inner)
        return self._constant(generator, mask, self.start(generator, mask), self.task.times, self.references)

    def start(self, generator: Any, mask: np.ndarray) -> np.ndarray:
        """The initial state, shape (unknowns of all orders, columns): for every set its real and its imaginary part."""
        held = self.task.start
        if held is None:
            start = np.zeros((len(mask), columns(mask)))
            start[: generator.size] = generator.initial()[:, None]
            return start
        held = at_cut(held, self.cut)
        vectors = np.zeros((generator.space.size, self.compiled.basis.size, 2), dtype=held.vectors.dtype)
        place = generator.space.find(held.occupations)
        vectors[place[place >= 0]] = held.vectors[place >= 0]
        gathered = generator.unknowns.gather(vectors)
        return np.asarray(gathered[:, : columns(mask) if held.exact else 2])

    def _occupied(self, cut: int) -> np.ndarray:
        """The inner set of the initial state at a cut."""
        held = at_cut(self.task.start, cut)
        return held.occupations[held.inner]

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
        settling = Settling(L, rows, generator, keep, times, tolerance / INTEGRATION)
        strict = len(self.orders) == 1 and "cut" not in task.options  # a given cut is used whatever the error
        states, V = evolve_linear(
            L, start / sizes[:, None], times, eye_array(len(start), format="csr")[used], tolerance,
            keep, settling if len(self.orders) == 1 else None, task.progress, strict=strict,
        )  # fmt: skip
        V = V * sizes[:, None]
        self._keep(generator, V[:, 0])
        if len(self.orders) > 1 and EPSILON * (size := float(np.abs(V).max())) > task.tolerance:
            raise ConvergenceError(
                f"The coefficients are made of numbers up to {size:.2g}, whose round-off may exceed the tolerance "
                f"{task.tolerance:g}: nothing damps what they add up. A tolerance of {2 * EPSILON * size:.1g} will do."
            )
        return self._outcome(
            states, rows[:, used].toarray(), generator.size, (generator, V, mask, references)
        )

    def _masks(self, mask: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Which unknowns every column of `start` has."""
        sets = masks(mask)
        return np.repeat(sets, start.shape[1] // sets.shape[1], axis=1)

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
        (_, constant), *moving = generator.driven(self.references)
        rows = triangular(generator.rows(self.readout, self.references))
        used = np.unique(rows.indices)
        states, V = evolve_driven(
            triangular(constant), [(f, triangular(L)) for f, L in moving], start, task.times,
            eye_array(len(start), format="csr")[used], INTEGRATION * task.tolerance, self._masks(mask, start),
            task.options.get("t_stops", ()), task.progress,
        )  # fmt: skip
        return self._outcome(
            states, rows[:, used].toarray(), generator.size, (generator, V, mask, self.references)
        )

    def _sizes(self, generator: Any) -> np.ndarray:
        r"""How large the unknowns are expected to be: :math:`\prod_i α_i^{n_i}`, with α_i from the cut before.

        A state far from the reference state has large coefficients where many quanta are; without a scale of their own
        their round-off would drown the small ones, which are read.
        """
        if self._scales is None:
            return np.ones(generator.size * len(self.orders))
        sizes = np.exp(generator.space.occupations @ np.log(self._scales))
        return np.tile(sizes[generator.unknowns.bath], len(self.orders))

    def _scaled_rows(self, rows: csr_matrix, sizes: np.ndarray) -> tuple[csr_matrix, float]:
        """The rows that read scaled unknowns, and what these may be off by."""
        scaled = csr_matrix(rows.multiply(sizes))
        growth = abs(scaled).max() / max(abs(rows).max(), 1e-300) if rows.nnz else 1.0
        return scaled, INTEGRATION * self.task.tolerance / max(growth, 1.0)

    def _keep(self, generator: Any, state: np.ndarray) -> None:
        """Keep a state of the lowest order as a guess for the next cut, and the scale of every mode in it."""
        state = state[: generator.size]
        self._last = generator.space, generator.unknowns, state
        occupations = generator.space.occupations
        largest = np.zeros(len(occupations))
        np.maximum.at(largest, generator.unknowns.bath, np.abs(state))
        quanta = occupations.sum(axis=1)
        modes = np.arange(occupations.shape[1])
        adjoint = modes if self.frame is None else self.frame.modes_adjoint
        self._scales = np.ones(len(modes))
        for mode in modes[modes <= adjoint]:  # the same for both of a pair
            pair = np.unique([mode, adjoint[mode]])
            alone = (occupations[:, pair].sum(axis=1) == quanta) & (quanta >= ALONE)
            if alone.any():
                found = (largest[alone] ** (SCALED / quanta[alone])).max()
                self._scales[pair] = np.clip(found, 1.0, LARGEST_SCALE)

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
        tolerance, keep = INTEGRATION * task.tolerance, self._masks(mask, start)
        if moving:
            parts = [(f, triangular(of_f)) for f, (_, of_f) in zip(curves, moving, strict=True)]
            states, V = evolve_driven(
                L, parts, start, when, pick, tolerance, keep, task.options.get("t_stops", ()), task.progress
            )
        else:  # what moves is not seen
            states, V = evolve_linear(L, start, when, pick, tolerance, keep, None, task.progress)
        outcomes = []
        for i in range(len(early)):
            rows = of_time[0 if fixed else i][:, used].toarray()
            outcomes.append(self._outcome(states[i], rows, generator.size))
        end = self._held(generator, V, mask, references(float(when[-1])))
        if len(late):
            outcomes.append(self._constant(generator, mask, V, late - rest, references(rest)))
            end = outcomes[-1].end
        values = np.concatenate([np.atleast_2d(outcome.values) for outcome in outcomes])
        return Outcome(values, max(outcome.difference for outcome in outcomes), generator.size, end)

    def _moving(self, outer: np.ndarray, inner: np.ndarray) -> Outcome:
        """Evolve together with the reference states, or with factors that change in time."""
        task, compiled = self.task, self.compiled
        assert task.times is not None
        generator, mask = self._prepared(outer, inner)
        n = generator.size * len(self.orders)
        start, rest = self.start(generator, mask), self.rest()
        keep = self._masks(mask, start)
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
            derivative, np.concatenate([start.ravel(), *self.references]), np.r_[early, rest] if len(late) else early,
            task.tolerance, timed=bool(factors), factors=factors, t_stops=task.options.get("t_stops", ()),
            progress=task.progress,
        )  # fmt: skip
        outcomes = []
        for y in states[: len(early)]:
            state, *references = np.split(y, ends)
            rows = triangular(generator.rows(self.readout, references))
            used = np.unique(rows.indices)
            outcomes.append(self._outcome(state.reshape(n, c)[used], rows[:, used].toarray(), generator.size))
        state, *references = np.split(states[-1], ends)
        end = self._held(generator, state.reshape(n, c), mask, references)
        if len(late):  # nothing but the state changes any more
            outcomes.append(self._constant(generator, mask, state.reshape(n, c), late - rest, references))
            end = outcomes[-1].end
        values = np.concatenate([np.atleast_2d(outcome.values) for outcome in outcomes])
        return Outcome(values, max(outcome.difference for outcome in outcomes), generator.size, end)

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

    def _stationary(self, outer: np.ndarray, inner: np.ndarray) -> Outcome:
        """The stationary state, or its coefficients."""
        generator, mask = self._prepared(outer, inner)
        rows = triangular(generator.rows(self.readout, self.references))
        V = self.rest_state(generator, mask, rows)
        used = np.unique(rows.indices)
        return self._outcome(
            V[used], rows[:, used].toarray(), generator.size, (generator, V, mask, self.references)
        )

    def rest_state(self, generator: Any, mask: np.ndarray, rows: csr_matrix) -> np.ndarray:
        """Stationary states by set, as columns; coefficients obey L_0 v_l = −Σ_{i<l} L_{l−i} v_i, without trace."""
        sizes = self._sizes(generator)
        of_one = sizes[: generator.size]
        matrices = [rescaled(matrix, of_one) for matrix in generator.matrices(self.references)]
        rows, tolerance = self._scaled_rows(rows, sizes)
        found: list[np.ndarray] = []
        whole: tuple[StationarySolver, np.ndarray] | None = None
        for keep in masks(mask[: generator.size]).T:
            # What is conserved turns stationary states into such. Those of charge 0 are all if they are one: a second
            # one, of any charge, would leave its blocks, or its mean over all turns, among them.
            index = np.flatnonzero(keep & generator.unknowns.neutral)
            all_of = len(index) == generator.size
            L = matrices if all_of else [matrix[index][:, index] for matrix in matrices]
            known = self._from_neighbour(generator, index, L, rows, of_one, tolerance)
            if known is not None:
                found.append(known)
                continue
            near = [part[index] for part in found[0].reshape(len(L), -1)] if found else []
            states = None if whole is None else self._part(*whole, index, L, near)
            if states is None:
                whole, states = self._whole(generator, index, L, rows, of_one, tolerance, near)
            full = np.zeros((len(states), generator.size))
            full[:, index] = states
            found.append(full.ravel())
        self._keep(generator, found[0] * sizes)
        return np.column_stack(found) * sizes[:, None]

    def _whole(
        self, generator: Any, index: np.ndarray, L: Sequence[csr_matrix], rows: csr_matrix, sizes: np.ndarray,
        tolerance: float, near: Sequence[np.ndarray],
    ) -> tuple[tuple[StationarySolver, np.ndarray], list[np.ndarray]]:  # fmt: skip
        """The stationary state on some of the unknowns, and all of its orders, with a solver of their own."""
        blocks, part = generator.blocks(), DIFFERENCE if near else 0.0
        guess = self._guess(generator, sizes)
        first = near[0] if near else None if guess is None else guess[index]
        try:
            solver = StationarySolver(
                L[0], np.eye(1, len(index))[0], tolerance, blocks=None if blocks is None else blocks[index],
                slowest=self.slowest(), readout=rows[: len(self.task.moments), : generator.size][:, index],
                progress=self.task.progress,
            )  # fmt: skip
            states = [solver.stationary(first, part)]
        except NotUniqueError as error:
            raise NotUniqueError(f"{error} {self.conserved(L[0], generator, index)}".strip()) from None
        for l in range(1, len(L)):
            states.append(solver.solve(_source(L, states), 0.0, near[l] if near else None, part))
        return (solver, index), states

    @staticmethod
    def _part(
        solver: StationarySolver, outer: np.ndarray, index: np.ndarray, L: Sequence[csr_matrix],
        near: Sequence[np.ndarray],
    ) -> list[np.ndarray] | None:  # fmt: skip
        """The same on fewer unknowns than a solver has, where its factorisation helps."""
        inner, states = PartSolver(solver, np.searchsorted(outer, index)), list[np.ndarray]()
        for l, guess in enumerate(near):
            source = _source(L, states) if states else np.zeros(len(index))
            state = inner.solve(source, float(l == 0), guess, DIFFERENCE)
            if state is None:
                return None
            states.append(state)
        return states

    def _from_neighbour(
        self, generator: Any, index: np.ndarray, L: Sequence[csr_matrix], rows: csr_matrix, sizes: np.ndarray,
        tolerance: float,
    ) -> np.ndarray | None:  # fmt: skip
        """The stationary state on part of the unknowns, where that of a problem nearby is known, see `neighbours`."""
        known = neighbours.current()
        if known is None or len(L) > 1:
            return None
        occupations = generator.space.occupations
        key = hash((occupations.tobytes(), occupations.shape, index.tobytes(), sizes.tobytes()))
        v = known.stationary(key, L[0], rows[:, index], tolerance)
        if v is None:
            return None
        full = np.zeros(generator.size)
        full[index] = v
        return full

    def _guess(self, generator: Any, sizes: np.ndarray) -> np.ndarray | None:
        """A guess at the scaled stationary state: that at the cut before."""
        if self._last is None:
            return None
        space, unknowns, state = self._last
        before = unknowns.spread(state)
        position = space.find(generator.space.occupations)
        guess = np.zeros((generator.space.size, self.compiled.basis.size), dtype=before.dtype)
        guess[position >= 0] = before[position[position >= 0]]
        return np.asarray(generator.unknowns.gather(guess) / sizes)

    def conserved(self, L: csr_matrix, generator: Any, index: np.ndarray) -> str:
        """Say what is conserved beside the trace: a row w with w L = 0, if it can be told; L acts on some unknowns."""
        basis = self.compiled.basis
        if L.shape[0] > LARGEST_DENSE or basis.size == 1:
            return ""
        rows = np.zeros((generator.size, 0))
        null = null_space(L.toarray().T, rcond=1e-11)
        rows = np.zeros((generator.size, null.shape[1]), dtype=null.dtype)
        rows[index] = null
        rows = generator.unknowns.spread(rows)[0, 1:]  # their parts on the central system alone
        if not rows.size or np.abs(rows).max() < 1e-6:
            return "What is conserved involves the sites."
        w = np.linalg.svd(rows)[0][:, 0]
        Q = np.tensordot(w.conj(), basis.duals[1:], axes=1)
        Q = np.round(Q / np.abs(Q).max(), 3) + 0.0
        if basis.dimension > 4:
            return "An operator of the central system is conserved."
        shown = np.real(Q) if np.abs(Q.imag).max() == 0 else Q
        return f"Conserved is the central operator {shown.tolist()}, perhaps with a part on the sites."

    def slowest(self) -> float:
        """The slowest relaxation of a site or of the central system by itself."""
        rates = []
        for matrix in [
            self.compiled.central.at(0.0),
            *(s.equation.parts.at(0.0) for s in self.compiled.sites),
        ]:
            small = len(matrix) <= LARGEST_DENSE_SITE
            damping = -(np.linalg.eigvals(matrix) if small else np.diag(matrix)).real  # about the same
            rates += damping[damping > NOTHING * np.abs(matrix).max(initial=0)].tolist()
        return min(rates, default=1.0)


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


@functools.lru_cache(maxsize=4)
def as_written(problem: Problem, stationary: bool) -> Compiled:
    """A problem, or that with its sites at rest, as matrices in the basis of `OperatorBasis`; not to be changed."""
    return Compiled(problem.stationary() if stationary else problem)


def _source(L: Sequence[csr_matrix], states: Sequence[np.ndarray]) -> np.ndarray:
    """−Σ_{i<l} L_{l−i} v_i, from which the coefficient of order l follows."""
    l = len(states)
    return np.asarray(-sum(L[l - i] @ states[i] for i in range(l)))


def still(equation: Equation, r: np.ndarray) -> bool:
    """Whether a reference state does not change any more."""
    return bool(np.abs(equation.velocity(r)).max(initial=0) <= 10 * NOTHING * equation.rate)


def rescaled(L: csr_matrix, sizes: np.ndarray) -> csr_matrix:
    """S⁻¹ L S with the diagonal matrix S of the sizes."""
    if (sizes == 1).all():
        return L
    data = L.data * sizes[L.indices] / np.repeat(sizes, np.diff(L.indptr))
    return csr_matrix((data, L.indices, L.indptr), shape=L.shape)


def triangular(blocks: list[csr_matrix]) -> csr_matrix:
    """The block Toeplitz matrix with blocks[0] on the diagonal, blocks[1] below it, …."""
    if len(blocks) == 1:
        return blocks[0]
    count = len(blocks)
    grid = [[blocks[i - j] if i >= j else None for j in range(count)] for i in range(count)]
    return csr_matrix(bmat(grid, format="csr"))


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
