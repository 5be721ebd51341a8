"""Method "symmetric": exact evolution and stationary states in symmetric Liouville space."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.linalg import null_space
from scipy.sparse import bmat, csr_matrix, eye_array

from ..errors import ArgumentError
from ..numerics.stationary import NotUniqueError, StationarySolver
from ..numerics.stepping import evolve_linear, integrate
from ..problem.general import Problem, Task
from ..problem.moments import Moment, Reading
from . import dark_modes
from .cut import FIRST_CUT, Converged, Outcome, Shape, converge
from .generator import Generator
from .modes import align, pattern
from .readout import Readout
from .settling import Settling, columns, masks
from .site import NOTHING, Compiled, Equation
from .space import SymmetricSpace, count_box

ABOUT = "reference"
OPTIONS = frozenset({"cut", "memory_budget", "t_stops"})

#: Measured peak memory while assembling and stepping: per unknown (Taylor terms), and per entry of the generator.
BYTES_PER_UNKNOWN, BYTES_PER_ENTRY = 900, 115
#: Default for the memory that one run may take.
MEMORY_BUDGET = 2e9
#: The share of the tolerance that integration may use up; truncation has the rest.
INTEGRATION = 0.1
#: The scale of a mode is that of its occupations by at least so many quanta, to this power, as scales that make all
#: unknowns equally large make the generator less normal; and never larger than this.
ALONE, SCALED, LARGEST_SCALE = 4, 0.6, 4.0
#: Relative accuracy of the difference between the two sets.
DIFFERENCE = 0.1
#: Up to this many unknowns it is told what a degenerate stationary state conserves.
LARGEST_DENSE = 1500


def refuses(task: Task) -> ArgumentError | None:
    """Nothing but a stationary state of what does not stand still is refused."""
    if task.times is not None:
        return None
    if not task.problem.constant:
        return ArgumentError(
            "rates", "be constant in time where a stationary state is asked for", "a function of time"
        )
    if any(site.equation.moves() for site in Compiled(task.problem.stationary()).sites):
        return ArgumentError(
            "interactions",
            "leave the stationary state of the sites alone where one is asked for",
            "moving it",
        )
    return None


def run(task: Task) -> Reading:
    """Moments in time or at stationarity."""
    values, details, error = Solver(task).solve()
    return Reading(values[0], error, details)


class Solver:
    """One task, solved for values (orders = (None,)) or for coefficients in N^{−1/2} (orders = (0, 1, …, l))."""

    def __init__(self, task: Task, orders: Sequence[int | None] = (None,)) -> None:
        self.task, self.orders = task, tuple(orders)
        problem = task.problem if task.times is not None else task.problem.stationary()
        self.compiled = compile_problem(problem)
        self.references = self.compiled.references()
        at_limit = problem.size == math.inf and self.orders == (None,)
        self.patterns = [pattern(site, problem.scaling, at_limit) for site in self.compiled.sites]
        self.rotated = dark_modes.applies(self.compiled)
        self._last: tuple[SymmetricSpace, np.ndarray] | None = None
        self._scales: np.ndarray | None = None
        self.readout = Readout(self.compiled, task.moments, self.orders)
        if self.rotated:
            self._modes, rotated = dark_modes.rotation(self.compiled, self.patterns, at_limit)
            power = max((m.power or 0 for m in task.moments), default=0)
            self.shape = Shape([rotated], [math.inf], [rotated > 0], power)
        else:
            weights = [p.weights for p in self.patterns]
            self.shape = Shape(weights, [s.count for s in self.compiled.sites], *self._needed())

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
        total = float(np.count_nonzero(compiled.central.matrices)) / size
        for site, known in zip(compiled.sites, self.patterns, strict=True):
            part = {
                w: count_box(self.shape.weights, self.shape.sizes, cut - w) / whole if 0 < w <= cut else 0.0
                for w in np.unique(known.weights).tolist()
            }
            held = np.array([1.0, *(part[w] for w in known.weights.tolist())])
            share = np.where(np.arange(len(held)) == 0, held[:, None], held)  # (to, source)
            total += float((known.local * share).sum())
            for (C, *_), coupled in zip(site.couplings, known.coupled, strict=True):
                total += float((coupled * share).sum()) * np.count_nonzero(C) / size
        return total

    def solve(self) -> tuple[np.ndarray, dict[str, Any], float]:
        """Moments, shape (orders, …, moments), details, and the estimated error."""
        task, compiled = self.task, self.compiled
        regime = "mean field" if compiled.problem.scaling >= 1 else "fluctuations"

        def memory(cut: int) -> float:
            of_unknown = BYTES_PER_UNKNOWN + BYTES_PER_ENTRY * self.entries(cut)
            return self.shape.count(cut) * compiled.basis.size * of_unknown * len(self.orders)

        first, fixed = FIRST_CUT[regime], task.options.get("cut")
        if task.times is None and fixed is not None and fixed > first:
            self._stationary(*self.shape.sets(first))  # small enough to establish that the state is unique
        step: Callable[[np.ndarray, np.ndarray], Outcome]
        step = self._stationary if task.times is None else self._moving if compiled.moving else self._steady
        found: Converged = converge(
            self.shape,
            step,
            task.tolerance,
            1 - INTEGRATION,
            first,
            fixed,
            memory,
            task.options.get("memory_budget", MEMORY_BUDGET),
        )
        details = {
            "cut": found.cut,
            "unknowns": found.outcome.unknowns,
            "truncation_error": found.error,
            "exact": found.complete,
        }
        values = np.array(np.split(found.outcome.values, len(self.orders), axis=-1))
        return values, details, found.error + INTEGRATION * task.tolerance

    def _prepared(self, outer: np.ndarray, inner: np.ndarray) -> tuple[Any, np.ndarray]:
        """The generator on the outer set, and which unknowns of all orders belong to the inner one."""
        generator = self.generator(outer)
        mask = np.tile(np.repeat(inner, self.compiled.basis.size), len(self.orders))
        return generator, mask

    @staticmethod
    def _outcome(states: np.ndarray, rows: np.ndarray, unknowns: int) -> Outcome:
        """From states of the two sets, shape (…, components, 2 or 1 if they are the same), and readouts."""
        values = np.einsum("...ri,...i->...r", rows, states[..., 0])
        change = np.einsum("...ri,...i->...r", np.abs(rows), np.abs(states[..., 0] - states[..., -1]))
        return Outcome(values, float(change.max(initial=0)), unknowns)

    def _steady(self, outer: np.ndarray, inner: np.ndarray) -> Outcome:
        """Evolve with a generator that does not change in time."""
        assert self.task.times is not None
        generator, mask = self._prepared(outer, inner)
        start = np.zeros((len(mask), columns(mask)))
        start[: generator.size] = generator.initial()[:, None]
        return self._constant(generator, mask, start, self.task.times, self.references)

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
        states, end = evolve_linear(
            L, start / sizes[:, None], times, eye_array(len(start), format="csr")[used], tolerance, masks(mask),
            Settling(L, rows, generator, mask, times, tolerance / INTEGRATION) if len(self.orders) == 1 else None,
            task.progress,
        )  # fmt: skip
        self._keep(generator, end[:, 0] * sizes)
        return self._outcome(states, rows[:, used].toarray(), generator.size)

    def _sizes(self, generator: Any) -> np.ndarray:
        r"""How large the unknowns are expected to be: :math:`\prod_i α_i^{n_i}`, with α_i from the cut before.

        A state far from the reference state has large coefficients where many quanta are; without a scale of their own
        their round-off would drown the small ones, which are read.
        """
        if self._scales is None:
            return np.ones(generator.size * len(self.orders))
        sizes = np.exp(generator.space.occupations @ np.log(self._scales))
        return np.tile(np.repeat(sizes, self.compiled.basis.size), len(self.orders))

    def _scaled_rows(self, rows: csr_matrix, sizes: np.ndarray) -> tuple[csr_matrix, float]:
        """The rows that read scaled unknowns, and what these may be off by."""
        scaled = csr_matrix(rows.multiply(sizes))
        growth = abs(scaled).max() / max(abs(rows).max(), 1e-300) if rows.nnz else 1.0
        return scaled, INTEGRATION * self.task.tolerance / max(growth, 1.0)

    def _keep(self, generator: Any, state: np.ndarray) -> None:
        """Keep a state of the lowest order as a guess for the next cut, and the scale of every mode in it."""
        state = state[: generator.size]
        self._last = generator.space, state
        occupations = generator.space.occupations
        largest = np.abs(state.reshape(len(occupations), -1)).max(axis=1)
        quanta = occupations.sum(axis=1)
        self._scales = np.ones(occupations.shape[1])
        for mode in range(len(self._scales)):
            alone = (occupations[:, mode] == quanta) & (quanta >= ALONE)
            if alone.any():
                self._scales[mode] = np.clip(
                    (largest[alone] ** (SCALED / quanta[alone])).max(), 1.0, LARGEST_SCALE
                )

    def _moving(self, outer: np.ndarray, inner: np.ndarray) -> Outcome:
        """Evolve together with the reference states, or with factors that change in time."""
        task, compiled = self.task, self.compiled
        assert task.times is not None
        generator, mask = self._prepared(outer, inner)
        n = generator.size * len(self.orders)
        ends = np.cumsum([columns(mask) * n, *(len(r) for r in self.references)])[:-1]
        keep, c = masks(mask), columns(mask)

        def derivative(time: float, y: np.ndarray) -> np.ndarray:
            state, *references = np.split(y, ends)
            moved = [
                site.equation.velocity(r, time) for site, r in zip(compiled.sites, references, strict=True)
            ]
            L = generator.matrices(references, time, again=True)
            v = np.split(state.reshape(n, c), len(L))
            changed = np.concatenate([sum(L[l - i] @ v[i] for i in range(l + 1)) for l in range(len(L))])
            return np.concatenate([(keep * changed).ravel(), *moved])

        start = np.zeros((n, c))
        start[: generator.size] = generator.initial()[:, None]
        rest = self.rest()
        early, late = task.times[task.times <= rest], task.times[task.times > rest]
        factors = self.factors()
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
        if len(late):  # nothing but the state changes any more
            state, *references = np.split(states[-1], ends)
            outcomes.append(self._constant(generator, mask, state.reshape(n, c), late - rest, references))
        values = np.concatenate([np.atleast_2d(outcome.values) for outcome in outcomes])
        return Outcome(values, max(outcome.difference for outcome in outcomes), generator.size)

    def rest(self) -> float:
        """When the reference states stand still; never where something changes in time explicitly."""
        equations = [site.equation for site in self.compiled.sites if site.equation.moves()]
        if self.factors() or self.task.times is None or not len(self.task.times):
            return math.inf
        span, time = float(self.task.times[-1]), 1 / max(equation.rate for equation in equations)
        while (time := 2 * time) < span / 2:
            if all(still(equation, equation.at(np.array([time]))[0]) for equation in equations):
                return time
        return math.inf

    def factors(self) -> list[Callable[[float], float]]:
        """All functions of time in the problem."""
        compiled = self.compiled
        found = list(compiled.central.factors)
        for site in compiled.sites:
            found += site.equation.parts.factors
            found += [factor for *_, factor in site.couplings if callable(factor)]
        return found

    def _stationary(self, outer: np.ndarray, inner: np.ndarray) -> Outcome:
        """The stationary state, and its coefficients: L_0 v_l = −Σ_{i<l} L_{l−i} v_i, without trace."""
        task = self.task
        generator, mask = self._prepared(outer, inner)
        sizes = self._sizes(generator)
        of_one = sizes[: generator.size]
        matrices = [rescaled(matrix, of_one) for matrix in generator.matrices(self.references)]
        rows, tolerance = self._scaled_rows(triangular(generator.rows(self.readout, self.references)), sizes)
        found: list[np.ndarray] = []
        one_order = mask[: generator.size]
        for keep in masks(one_order).T:
            index = np.flatnonzero(keep)
            whole = len(index) == generator.size
            L = matrices if whole else [matrix[index][:, index] for matrix in matrices]
            blocks = generator.blocks()
            guess = found[0][: generator.size] if found else self._guess(generator, of_one)
            try:
                solver = StationarySolver(
                    L[0], np.eye(1, len(index))[0], tolerance, blocks=None if blocks is None else blocks[index],
                    slowest=self.slowest(), readout=rows[: len(task.moments), : generator.size][:, index],
                    progress=task.progress,
                )  # fmt: skip
                states = [
                    solver.stationary(None if guess is None else guess[index], DIFFERENCE if found else 0.0)
                ]
            except NotUniqueError as error:
                raise NotUniqueError(f"{error} {self.conserved(L[0])}".strip()) from None
            for l in range(1, len(self.orders)):
                source = -sum(L[l - i] @ states[i] for i in range(l))
                near = found[0][l * generator.size :][index] if found else None
                states.append(solver.solve(source, 0.0, near, DIFFERENCE if found else 0.0))
            full = np.zeros((len(states), generator.size))
            full[:, index] = states
            found.append(full.ravel())
        self._keep(generator, found[0] * sizes)
        used = np.unique(rows.indices)
        return self._outcome(np.column_stack(found)[used], rows[:, used].toarray(), generator.size)

    def _guess(self, generator: Any, sizes: np.ndarray) -> np.ndarray | None:
        """A guess at the scaled stationary state: that at the cut before."""
        if self._last is None:
            return None
        space, state = self._last
        position = space.find(generator.space.occupations)
        guess = np.zeros((generator.space.size, self.compiled.basis.size))
        guess[position >= 0] = state.reshape(space.size, -1)[position[position >= 0]]
        return np.asarray(guess.ravel() / sizes)

    def conserved(self, L: csr_matrix) -> str:
        """Say what is conserved beside the trace: a row w with w L = 0, if it can be told."""
        basis = self.compiled.basis
        if L.shape[0] > LARGEST_DENSE or basis.size == 1:
            return ""
        rows = null_space(L.toarray().T, rcond=1e-11)[: basis.size]  # their parts on the central system alone
        rows = rows[1:] if len(rows) else rows
        if not rows.size or np.abs(rows).max() < 1e-6:
            return "What is conserved involves the sites."
        w = np.linalg.svd(rows)[0][:, 0]
        Q = np.tensordot(w, basis.duals[1:], axes=1)
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
            damping = -np.linalg.eigvals(matrix).real
            rates += damping[damping > NOTHING * np.abs(matrix).max(initial=0)].tolist()
        return min(rates, default=1.0)


def compile_problem(problem: Problem) -> Compiled:
    """Write a problem as matrices, with modes chosen so that few of them are exchanged with a condensate."""
    compiled = Compiled(problem)
    for site in compiled.sites:
        align(site)
    return compiled


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
    compiled = Compiled(problem if times is not None else problem.stationary())
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
