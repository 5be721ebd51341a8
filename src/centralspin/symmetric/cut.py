r"""How large the set of occupations must be, and how far off a result is.

The set of cut K keeps the occupations with Σ w_i n_i ≤ K, all those with at most two quanta in modes that are reached,
and all those that a readout needs. A run works with three sets at once: the *outer* one, which has one quantum more, in
any mode, than any of the set of cut K, and the *inner* ones, of cut K and K − 1. Whatever the dynamics of an inner set
drops therefore lies in the outer set: a mode that is reached but left out shows in the difference between the results,
whatever its weight. One difference would not do. Where quanta come and go in pairs every other step changes next to
nothing, and elsewhere every step takes back most of what the one before it has changed. The result is that of the outer
set, and its estimated error is its largest difference from the others, times a factor of safety: where errors fall
slowly, or not with every step, all three sets may be off to the same side by more than they differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import ConvergenceError, TruncationError
from ..numerics.stationary import NotUniqueError
from ..numerics.stepping import RoundOffError
from .sectors import Frame
from .space import box, count_box, count_charges, grown, keys_of, union

#: The first cut, in the fluctuation regime and where mean field holds.
FIRST_CUT = {"fluctuations": 8, "mean field": 3}
#: All occupations with so many quanta in modes that are reached are kept, whatever their weights.
ALWAYS = 2
#: How much smaller the error is assumed to get per unit of cut before that is known, as a natural logarithm.
FIRST_SLOPE = 1.0
#: It is never taken to fall more slowly than this, so that the next cut stays in sight.
LEAST_SLOPE = 0.05
#: Up to this factor above the first cut a degenerate stationary state may be an accident of the cut.
LARGEST_ACCIDENT = 2
#: So many cuts may be degenerate or unstable, where a smaller one was not or a larger one may not be.
FAILURES = 3
#: A set of more occupations than these that fails is the last one: larger ones take minutes, and mostly fail as well.
LARGE = 5000
#: A cut that is fixed below the first one is compared with one larger by so much: there one quantum more may show less
#: than what is missing.
FURTHER = 3
#: Errors are taken for so many times the difference, see above.
SAFETY = 2.0
#: The next cut aims at this part of the tolerance.
AIM = 0.3
#: The cut grows at most by these factors (and 4) after the first run and after the others: errors fall more and more
#: quickly, so that an extrapolation from small cuts aims too far.
GROWTH = (3.0, 1.5)


class OutgrownError(TruncationError):
    """The next cut has more unknowns than another method needs."""


@dataclass(frozen=True)
class Shape:
    """From a cut to the two sets.

    Attributes
    ----------
    weights : list of ndarray of int
        For every class its modes' weights, 0 for what is never reached.
    sizes : list of float
        Number of sites in every class.
    needed : list of ndarray of bool
        The modes that readouts need.
    power : int
        Up to how many quanta they need.
    start : callable, optional
        From a cut to the occupations that the initial state has at it, all of which are kept.
    frame : Frame, optional
        What is conserved: occupations that go with no central element are left out.
    """

    weights: list[np.ndarray]
    sizes: list[float]
    needed: list[np.ndarray]
    power: int
    start: Callable[[int], np.ndarray] | None = None
    frame: Frame | None = None

    @property
    def kept(self) -> np.ndarray:
        """Which modes are reached."""
        return np.concatenate(self.weights) > 0

    def sets(self, cut: int) -> tuple[np.ndarray, np.ndarray]:
        """The outer set, and which of its rows belong to the two inner ones; if all do nothing is left out."""
        class_of = np.repeat(np.arange(len(self.weights)), [len(w) for w in self.weights])
        outer, inner = grown(self.kept_at(cut), np.flatnonzero(self.kept), class_of, self.sizes)
        smaller = inner
        if not inner.all():
            keys, strides = keys_of(outer)
            smaller = np.isin(keys, self.kept_at(cut - 1) @ strides)
        if self.frame is not None:
            keeps = self.frame.keeps(outer)
            outer, inner, smaller = outer[keeps], inner[keeps], smaller[keeps]
        return outer, np.column_stack([inner, inner if inner.all() else smaller])

    def kept_at(self, cut: int) -> np.ndarray:
        """What is kept at a cut whatever lies beside it."""
        parts = [box(self.weights, self.sizes, cut)]
        parts += [box(modes, self.sizes, quanta) for modes, quanta in self._beyond(cut)]
        if self.start is not None:
            parts.append(self.start(cut))
        return union(parts)

    def unknowns(self, cut: int, elements: int) -> float:
        """How many unknowns the outer set has with so many central elements, counted without listing them.

        Where something is conserved the first number's charges are counted, and no class of sites ever is full.
        """
        whole = float(self.count(cut) * elements)
        if self.frame is None or self.frame.totals is None:
            return whole
        weights = np.concatenate(self.weights)
        boxes = [(weights, cut + int(weights.max(initial=0)))]
        boxes += [((weights > 0).astype(int), quanta + 1) for _, quanta in self._beyond(cut)]
        total = 0.0
        for weighed, largest in boxes:
            of_charges = count_charges(weighed, self.frame.first_modes, largest)
            total += float(of_charges @ self.frame.allowed_first(len(of_charges) // 2))
        return min(whole, total)

    def count(self, cut: int) -> int:
        """How many states the outer set has, counted without listing them.

        A state belongs to the box with one quantum more if it does so after one of its heaviest quanta is taken away:
        they are counted by what that quantum weighs. States that only the other parts hold are not told from those that
        two of them hold, so that the number is up to three times too large at cuts at which they matter.
        """
        if self.start is not None:
            return len(self.sets(cut)[0])
        total = 1
        for w in np.unique(np.concatenate(self.weights)[self.kept]).tolist():
            up_to_it, below = ([np.where(v < end, v, 0) for v in self.weights] for end in (w + 1, w))
            total += count_box(up_to_it, self.sizes, cut + w) - count_box(below, self.sizes, cut + w)
        for modes, quanta in self._beyond(cut):
            total += count_box(modes, self.sizes, quanta + 1)
            for c, (v, of_class) in enumerate(zip(self.weights, modes, strict=True)):
                others = int(np.count_nonzero(v)) - int(of_class.sum())  # one quantum in one of them
                room = [size - (i == c) for i, size in enumerate(self.sizes)]
                total += others * count_box(modes, room, quanta)
        return total

    def _beyond(self, cut: int) -> list[tuple[list[np.ndarray], int]]:
        """Modes, each of weight 1, and up to how many quanta in them are kept where the box does not hold them all."""
        ones = [(w > 0).astype(int) for w in self.weights]
        read = [(one * need).astype(int) for one, need in zip(ones, self.needed, strict=True)]
        heaviest = max((int(w.max(initial=0)) for w in self.weights), default=0)
        return [(m, quanta) for m, quanta in ((ones, ALWAYS), (read, self.power)) if heaviest * quanta > cut]


@dataclass(frozen=True)
class Outcome:
    """What a run at one cut gave.

    Attributes
    ----------
    values : ndarray
        By the outer set.
    changes : ndarray
        For every value the largest Σ |R_i| |v_i − v'_i|: states v, v' of the outer and an inner set, readouts R. Unlike
        the difference of the values it does not vanish by accident. May be one number for all.
    unknowns : int
    end : object
        The state at the end, to go on from.
    integration : float
        What integration may miss.
    multiplied : float
        By how much what is asked for multiplies the changes, where the values are only parts of it.
    """

    values: np.ndarray
    changes: Any
    unknowns: int
    end: Any = None
    integration: float = 0.0
    multiplied: float = 1.0

    @property
    def difference(self) -> float:
        """The largest change."""
        largest = float(np.max(self.changes, initial=0))
        return largest if math.isfinite(largest) else math.inf


@dataclass(frozen=True)
class Converged:
    """The outcome that met the tolerance, its cut, its error, whether nothing was left out; `before` for the next."""

    outcome: Outcome
    cut: int
    error: float
    complete: bool
    history: list[tuple[int, float]]

    @property
    def errors(self) -> Any:
        """The error of every value, or one number for all, integration included."""
        largest = self.outcome.difference
        known = 0 < largest < math.inf and self.error < math.inf
        of_values = self.outcome.changes * (self.error / largest) if known else self.error
        return of_values + self.outcome.integration


def converge(
    shape: Shape,
    run: Callable[[int, np.ndarray, np.ndarray], Outcome],
    tolerance: float,
    share: float,
    first: int,
    fixed: int | None,
    memory: Callable[[int], float],
    memory_budget: float,
    before: Sequence[tuple[int, float]] = (),
    outgrown: Callable[[int], bool] = lambda cut: False,
) -> Converged:
    """Run at growing cuts until the estimated error meets the tolerance.

    Parameters
    ----------
    shape : Shape
    run : callable
        From the cut, the outer set, and which of its states belong to the inner ones, to the outcome.
    tolerance : float
        What was asked for.
    share : float
        The share of it that truncation may use up.
    first : int
        The first cut.
    fixed : int or None
        Use this cut whatever the error.
    memory : callable
        From a cut to the bytes a run takes.
    memory_budget : float
        Bytes.
    before : sequence of (int, float), optional
        Cuts, in rising order, and errors there, as a problem nearby had them: the search begins where its ended.
    outgrown : callable, optional
        Whether another method should do what needs a cut; then an `OutgrownError` is raised.
    """
    begin = max(first, beginning(before, share * tolerance)) if before else first
    cut = begin if fixed is None else fixed
    history: list[tuple[int, float]] = []
    failures = 0
    good: Converged | None = None
    while True:
        if outgrown(cut):
            raise OutgrownError(f"The cut {cut} has more unknowns than another method.")
        needed = memory(cut)
        if needed > memory_budget and good is not None:
            return good
        if needed > memory_budget and cut == begin > first and fixed is None and not history:
            cut, begin, before = first, first, ()
            continue
        if needed > memory_budget:
            miss = (
                f", and the cut {history[-1][0]} before it is off by about {history[-1][1]:.2g}"
                if history and history[-1][1] < math.inf
                else ""
            )
            raise TruncationError(
                f"The tolerance {tolerance:g} is not met within the memory budget of {memory_budget / 1e9:.3g} GB: "
                f"the {'next' if history else 'first'} cut {cut} needs about {needed / 1e9:.3g} GB{miss}."
            )
        outer, inner = shape.sets(cut)
        complete = bool(inner.all())
        try:
            outcome = run(cut, outer, inner)
            complete = complete and outcome.difference == 0  # an initial state may be known at some cut only
        except (NotUniqueError, RoundOffError) as problem:  # perhaps by accident of a cut that is too small
            if good is not None:
                return good
            if cut == begin > first and fixed is None and not history:  # what was nearby does not help here
                cut, begin, before = first, first, ()
                continue
            failures += 1
            degenerate = (
                isinstance(problem, NotUniqueError) and not history and cut > LARGEST_ACCIDENT * first
            )
            if complete or fixed is not None or degenerate or failures > FAILURES or len(outer) > LARGE:
                raise
            cut = cut * 2 if not history else math.ceil(cut * GROWTH[1])
            continue
        if not np.isfinite(outcome.values).all():
            raise ConvergenceError(f"What the cut {cut} gives are not finite numbers.")
        error = SAFETY * outcome.difference * outcome.multiplied
        # Where another problem was nearby, as if errors fell half as quickly as they did there.
        error *= lagging(slope(before) / 2) if before and not history else lag(history, cut, error)
        if fixed is not None and fixed < first and not complete:
            further = max(cut, ALWAYS) + FURTHER
            if memory(further) <= memory_budget:
                seen = _seen_from(run(further, *shape.sets(further)), outcome)
                outcome = replace(outcome, changes=np.maximum(outcome.changes, seen / SAFETY))
                error = max(error, seen * outcome.multiplied)
        smaller = history or [known for known in before if known[0] < cut]
        of_values = error / outcome.multiplied
        found = Converged(outcome, cut, of_values, complete, [*smaller, (cut, error)])
        if complete or error <= share * tolerance or fixed is not None:
            return found
        if of_values <= share * tolerance:  # if what is asked for cannot be known so well
            good = found
        history.append((cut, error))
        cut = following(history, share * tolerance)
        if outcome.multiplied > 1 and memory(cut) > memory_budget:  # then for the values alone
            cut = following(history, share * tolerance * outcome.multiplied)


def _seen_from(wider: Outcome, outcome: Outcome) -> float:
    """The error of an outcome as one with a larger cut shows it."""
    off = float(np.abs(wider.values - outcome.values).max(initial=0)) + wider.difference
    return off if math.isfinite(off) else math.inf


def lag(history: Sequence[tuple[int, float]], cut: int, difference: float) -> float:
    """How many times the difference the error may be: 1 where it falls quickly, more where it falls slowly."""
    return lagging(slope([*history, (cut, difference)]))


def lagging(slope: float) -> float:
    """The same where the logarithm of the error falls by `slope` per unit of cut."""
    ratio = math.exp(-2 * slope)
    return max(1.0, ratio / (1 - ratio))


def slope(history: Sequence[tuple[int, float]]) -> float:
    """By how much the logarithm of the error falls per unit of cut, over all that is known."""
    known = [(cut, error) for cut, error in history if 0 < error < math.inf]
    if len(known) < 2:
        return FIRST_SLOPE
    (k1, e1), (k2, e2) = known[0], known[-1]
    return max(math.log(e1 / e2) / (k2 - k1), LEAST_SLOPE)


def beginning(before: Sequence[tuple[int, float]], tolerance: float) -> int:
    """The cut to begin with after a problem nearby: where that is as aimed at, but only half way down to it."""
    cut, error = before[-1]
    if not 0 < error < math.inf:
        return cut
    steps = math.log(error / (AIM * tolerance)) / slope(before)
    return cut + (min(math.ceil(steps), 2) if steps > 0 else math.ceil(steps / 2))


def following(history: Sequence[tuple[int, float]], tolerance: float) -> int:
    """The cut at which the error is expected to meet the tolerance."""
    cut, error = history[-1]
    most = max(cut + 4, math.ceil(cut * GROWTH[len(history) > 1]))
    if not error < math.inf:
        return max(cut + 4, math.ceil(1.5 * cut))
    steps = math.ceil(math.log(max(error / (AIM * tolerance), 1.0)) / slope(history))
    return min(cut + max(2, cut // 8, steps), most)
