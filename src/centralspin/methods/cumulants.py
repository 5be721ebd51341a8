r"""Method "cumulants": the hierarchy of moments, closed by neglecting all joint cumulants above a given order.

The unknowns are the moments of at most one operator of the central system and of fluctuations of distinct sites about
their reference state,

.. math:: u_a(n) = N^{|n|/2} \Bigl\langle f_a \prod_{k=1}^{|n|} f_{i_k}^{(k)} \Bigr\rangle, \qquad f_0 = 1,

with the operators f_i dual to the basis (ω, e_i) of a site; for a spin-½ they are σ_i − r_i. The sites are equal, so
that only the numbers n = (n_1, …, n_D) of the operators among the factors matter. Up to a factor u is the vector
v[n, a] of symmetric Liouville space,

.. math:: u_a(n) = N^{|n|/2} \sqrt{n_0! \prod_i n_i! / N!}\; v[n, a], \qquad n_0 = N − |n|,

so that its equation of motion is the generator's. Fluctuations about the reference have joint cumulants of degree ≥ 2
alone, and the factor keeps them of order 1: the equations have a limit at N = ∞.

The coupling takes the degree |n| + [a ≠ 0] up by one at most. The expansion of order M keeps the moments of
degree ≤ M; the missing ones follow from the generating function :math:`G = \sum_{a,n} u_a(n)\, t_a s^n/n!` with
t_0 = 1 and :math:`t_a t_b = 0` otherwise: log G generates the joint cumulants, and those above M are set to zero.
Order 1 is mean field. For M > N no moment is missing and the equations are exact.

Sources: R. Kubo, J. Phys. Soc. Jpn. 17, 1100 (1962); for central spins P. Fowler-Wright et al.,
Phys. Rev. Research 5, 033148 (2023).
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from scipy.integrate import Radau

from ..errors import ArgumentError, ConvergenceError
from ..numerics.stepping import EPSILON, StoppedError, integrate
from ..problem.general import Task
from ..problem.moments import Reading
from ..symmetric.generator import Generator
from ..symmetric.modes import Pattern, pattern
from ..symmetric.readout import Readout
from ..symmetric.site import NOTHING, Compiled
from ..symmetric.space import box
from .small import tell

ABOUT = "reference"
OPTIONS = frozenset({"order", "t_stops"})
DEFAULT_ORDER = 2
#: Beyond this size of any unknown the closed equations have diverged; exact moments are of order 1.
DIVERGED = 1e6
#: Stationarity is sought in steps of so many slowest local relaxation times, and for so many of them at most.
RELAXATION_STEP, LONGEST_RELAXATION = 10.0, 400.0
#: An implicit method takes such a step if it is longer than so many times the inverse of the largest rate; its relative
#: accuracy, for it only has to come close, and so many steps of its own it may take.
STIFF, ROUGHLY, IMPLICIT_STEPS = 3e3, 1e-6, 3000
#: Newton's method, with one inverse, finishes if its steps are shorter than this, and takes so many of them; otherwise
#: the slowest part relaxes before another attempt, of so many.
CLOSE, NEWTON, ROUNDS = 1e-3, 8, 4
#: An imaginary part whose square is nothing.
TINY = 1e-100


class DivergenceError(ConvergenceError):
    """The closed equations diverge at the time `time`."""

    def __init__(self, time: float) -> None:
        super().__init__(f"The cumulant expansion diverges at t = {time:.4g}.")
        self.time = time

    def __reduce__(self) -> tuple[type, tuple[float]]:
        return type(self), (self.time,)


class Closure:
    """From the moments up to an order to those above it, by joint cumulants that vanish.

    A table of moments has shape (S, A): one row per n, one column per central operator.

    Parameters
    ----------
    n : ndarray, shape (S, D)
        The numbers n.
    columns : int
        A.
    order : int
        Joint cumulants above this order are neglected.
    """

    def __init__(self, n: np.ndarray, columns: int, order: int) -> None:
        self.order = order
        self.degree = n.sum(axis=1)[:, None] + (np.arange(columns) > 0)
        self.kept = (self.degree > 0) & (self.degree <= order)
        self._factorials = np.array([math.prod(map(math.factorial, row)) for row in n.tolist()], dtype=float)[
            :, None
        ]
        self._n = n
        self._place = {tuple(row): i for i, row in enumerate(n.tolist())}
        self._products = [self._of_degree(d) for d in range(1, int(self.degree.max()) + 1)]

    def _of_degree(self, degree: int) -> tuple[np.ndarray, ...]:
        """Indices of u_a(n) of this degree and of the two factors of its products; share of the first in the degree."""
        found = []
        for out, a in np.argwhere(self.degree == degree).tolist():
            n = self._n[out].tolist()
            for left in itertools.product(*(range(k + 1) for k in n)):
                i, j = self._place[left], self._place[tuple(k - l for k, l in zip(n, left, strict=True))]
                for first, second in {(0, a), (a, 0)}:  # two central operators multiply to zero
                    share = self.degree[i, first] / degree
                    if 0 < share < 1:
                        found.append((out, a, i, first, j, second, share))
        *indices, shares = np.array(found).reshape(-1, 7).T
        pairs = np.array(indices, dtype=int).reshape(3, 2, -1)
        return *(np.ravel_multi_index(tuple(pair), self.degree.shape) for pair in pairs), shares

    def __call__(self, u: np.ndarray) -> np.ndarray:
        r"""Fill in the moments above the order, so that all joint cumulants above it vanish.

        In degree d, G = exp K reads :math:`d\,G_d = \sum_{j=1}^{d} j K_j G_{d-j}`: it gives K_d up to the order,
        and G_d above.
        """
        G = (u / self._factorials).ravel()
        K = np.zeros_like(G)
        for d, (out, left, right, share) in enumerate(self._products, start=1):
            here = (self.degree == d).ravel()
            rest = _summed(out, share * K[left] * G[right], len(G))
            if d <= self.order:
                K[here] = G[here] - rest[here]
            else:
                G[here] = rest[here]
        return G.reshape(u.shape) * self._factorials


def _summed(places: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Values added up at their places."""
    if np.iscomplexobj(values):
        return _summed(places, values.real, count) + 1j * _summed(places, values.imag, count)
    return np.bincount(places, values, minlength=count)


class Hierarchy:
    """The closed equations of motion.

    Parameters
    ----------
    task : Task
        The problem, with one class of sites, and what is read.
    order : int
        Joint cumulants above this order are neglected.
    """

    def __init__(self, task: Task, order: int) -> None:
        problem = task.problem if task.times is not None else task.problem.stationary()
        self.compiled = compiled = Compiled(problem)
        self.site = compiled.sites[0]
        found = pattern(self.site, problem.scaling, problem.size == math.inf)
        modes = np.ones_like(
            found.weights
        )  # all of them: the closure fills them whatever the dynamics reaches
        patterns = [Pattern(found.local, found.coupled, modes)]
        self._readout = Readout(compiled, task.moments)
        power = max((m.power or 0 for m in task.moments), default=0)
        occupations = box([modes], [self.site.count], max(order + 1, power))
        self._generator = Generator(compiled, patterns, occupations)
        self.closure = Closure(occupations, compiled.basis.size, order)
        self._scale = self._from_vector(occupations)
        self._fixed = None if compiled.moving else self._generator.matrices(compiled.references())[0].copy()
        #: About the largest rate, where nothing else moves.
        self.size = 0.0 if self._fixed is None else float(abs(self._fixed).max())

    def _from_vector(self, n: np.ndarray) -> np.ndarray:
        """The factors u/v, shape (S, 1)."""
        factors = np.array([math.prod(map(math.factorial, row)) for row in n.tolist()], dtype=float)
        if self.site.count < math.inf:  # N^{|n|} n_0!/N! = Π_{k<|n|} 1/(1 − k/N)
            N = float(self.site.count)
            factors /= np.array([math.prod(1 - k / N for k in range(int(m))) for m in n.sum(axis=1)])
        return np.sqrt(factors)[:, None]

    def derivative(self, time: float, y: np.ndarray) -> np.ndarray:
        """ẏ of y = (unknown moments, reference state)."""
        u, r = self.split(y)
        L = self._generator.matrices([r], time, again=True)[0] if self._fixed is None else self._fixed
        return np.concatenate([self._moved(L, u), self.site.equation.velocity(r, time)])

    def _moved(self, L: Any, u: np.ndarray) -> np.ndarray:
        changed = (L @ (self.closure(u) / self._scale).ravel()).reshape(u.shape) * self._scale
        return np.asarray(changed[self.closure.kept])

    def jacobian(self, y: np.ndarray) -> np.ndarray:
        """The derivative of the moments' equations by the moments, where nothing else moves.

        They are polynomials: an imaginary part that is small enough is multiplied by the derivative alone.
        """
        u, _ = self.split(y)
        columns = []
        for place in np.argwhere(self.closure.kept).tolist():
            moved = u.astype(complex)
            moved[tuple(place)] += 1j * TINY
            columns.append(self._moved(self._fixed, moved).imag / TINY)
        return np.array(columns).T

    def initial(self, central: np.ndarray) -> np.ndarray:
        """The vector y of a product state, in which nothing fluctuates jointly."""
        u = np.zeros(self.closure.degree.shape)
        u[0] = central
        return np.concatenate([u[self.closure.kept], self.compiled.references()[0]])

    def split(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The table of moments, zero above the order, and the reference state of y."""
        u = np.zeros(self.closure.degree.shape)
        u[0, 0] = 1.0
        count = int(self.closure.kept.sum())
        u[self.closure.kept] = y[:count]
        return u, y[count:]

    def read(self, y: np.ndarray) -> np.ndarray:
        """The moments that were asked for."""
        u, r = self.split(y)
        rows = self._generator.rows(self._readout, [r])[0]
        return np.asarray(rows @ (self.closure(u) / self._scale).ravel())


def refuses(task: Task) -> ArgumentError | None:
    """Several classes and interactions are refused, and what has no stationary state."""
    classes = task.problem.classes
    if len(classes) > 1:
        return ArgumentError("sites", 'be one class with method "cumulants"', f"{len(classes)} of them")
    if classes[0].interactions:
        return ArgumentError("interactions", 'be absent with method "cumulants"', "given")
    if task.problem.collective_jumps:
        return ArgumentError("collective_jumps", 'be left out with method "cumulants"', "given")
    return task.problem.never_rests() if task.times is None else None


def run(task: Task) -> Reading:
    """Moments in time, or of the state that is reached from an unpolarized central system.

    Raises
    ------
    DivergenceError
        If the closed equations diverge before the last time.
    ConvergenceError
        If they do not settle.
    """
    order = task.options.get("order", DEFAULT_ORDER)
    hierarchy = Hierarchy(task, order)
    details = {"order": order, "unknowns": int(hierarchy.closure.kept.sum())}
    if task.times is not None:
        start = hierarchy.initial(hierarchy.compiled.initial())
        states = _integrate(hierarchy, start, task.times, task)
        return Reading(np.array([hierarchy.read(y) for y in states]), None, details)
    mixed = np.eye(1, hierarchy.compiled.basis.size)[0]
    return Reading(_settle(hierarchy, hierarchy.initial(mixed), task), None, details)


def _settle(hierarchy: Hierarchy, y: np.ndarray, task: Task) -> np.ndarray:
    """What is read of the stationary state that the closed equations reach from y."""
    rates = []
    for matrix in (hierarchy.compiled.central.at(0.0), hierarchy.site.equation.parts.at(0.0)):
        damping = -np.linalg.eigvals(matrix).real
        rates += damping[damping > NOTHING * np.abs(matrix).max(initial=0)].tolist()
    step = RELAXATION_STEP / min(rates, default=1.0)
    stiff = step * hierarchy.size > STIFF
    drift = math.inf
    for attempt in range(round(LONGEST_RELAXATION / RELAXATION_STEP)):
        try:
            y = (
                _slowly(hierarchy, y, step, task)
                if stiff
                else _integrate(hierarchy, y, np.array([step]), task)[0]
            )
        except DivergenceError as error:
            raise DivergenceError(error.time + attempt * step / task.problem.unit) from None
        drift = float(np.abs(hierarchy.derivative(0.0, y)).max()) * step / RELAXATION_STEP
        if drift <= task.tolerance:
            break
    if drift <= CLOSE:
        return hierarchy.read(_at_rest(hierarchy, y, task))
    raise ConvergenceError(
        f"The cumulant expansion of order {hierarchy.closure.order} does not settle; after {LONGEST_RELAXATION:g} "
        f"relaxation times it still changes by {drift:.2g} in one of them."
    )


def _at_rest(hierarchy: Hierarchy, y: np.ndarray, task: Task) -> np.ndarray:
    """The stationary moments that are reached from y, where little changes: what is slow may still be far away."""
    count = int(hierarchy.closure.kept.sum())
    for _ in range(ROUNDS):
        J = hierarchy.jacobian(y)
        try:
            inverse = np.linalg.inv(J)
        except np.linalg.LinAlgError:
            inverse = np.full_like(J, math.inf)
        with np.errstate(invalid="ignore"):
            lost = float((np.abs(inverse) @ np.abs(J).sum(axis=1)).max(initial=0)) * EPSILON
        if not lost <= task.tolerance:
            raise ConvergenceError(
                f"The cumulant expansion of order {hierarchy.closure.order} has several stationary states, or one that "
                "is reached so slowly that round-off hides it."
            )
        found = y.copy()
        for _ in range(NEWTON):
            change = -inverse @ hierarchy.derivative(0.0, found)[:count]
            size = float(np.abs(change).max(initial=0))
            if not size <= CLOSE:
                break
            found[:count] += change
            if size <= max(CLOSE * task.tolerance, lost):
                return found
        slowest = float(np.abs(np.linalg.eigvals(J).real).min())
        y = _slowly(hierarchy, y, 4 * RELAXATION_STEP / max(slowest, 1e-300), task)
    raise ConvergenceError(
        f"The cumulant expansion of order {hierarchy.closure.order} does not settle: its slowest relaxation time is "
        f"about {1 / max(slowest, 1e-300):.2g} times the inverse of its largest rate."
    )


def _slowly(hierarchy: Hierarchy, y: np.ndarray, span: float, task: Task) -> np.ndarray:
    """The state after a time that is much longer than the shortest one, by an implicit method."""
    count = int(hierarchy.closure.kept.sum())

    def jacobian(_: float, moments: np.ndarray) -> np.ndarray:
        return hierarchy.jacobian(np.r_[moments, y[count:]])

    solver = Radau(
        lambda t, moments: hierarchy.derivative(t, np.r_[moments, y[count:]])[:count],
        0.0, y[:count], span, rtol=ROUGHLY, atol=ROUGHLY, jac=jacobian,
    )  # fmt: skip
    for _ in range(IMPLICIT_STEPS):
        solver.step()
        if solver.status == "failed" or np.abs(solver.y).max(initial=0) > DIVERGED:
            raise DivergenceError(solver.t / task.problem.unit)
        if solver.status == "finished":
            return np.r_[solver.y, y[count:]]
        tell(task.progress, solver.t / span, "evolution in time")
    raise ConvergenceError(
        f"The cumulant expansion of order {hierarchy.closure.order} does not settle in {IMPLICIT_STEPS} steps of time: "
        "what oscillates in it is damped too slowly."
    )


def _integrate(hierarchy: Hierarchy, y: np.ndarray, times: np.ndarray, task: Task) -> np.ndarray:
    """States at the given times."""

    def room(_: float, y: np.ndarray) -> float:
        return DIVERGED - float(np.abs(y).max())

    room.terminal = True  # type: ignore[attr-defined]
    factors = task.problem.functions
    try:
        return integrate(
            hierarchy.derivative, y, times, 10 * task.tolerance, factors=factors, event=room,
            timed=bool(factors), t_stops=task.options.get("t_stops", ()), progress=task.progress,
        )  # fmt: skip
    except StoppedError as error:
        raise DivergenceError(error.time / task.problem.unit) from None
