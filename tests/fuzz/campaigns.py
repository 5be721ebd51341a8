"""The campaigns. Each takes a seed, draws a case, and returns a sentence if something is wrong with it."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from centralspin import (
    ArgumentError,
    BudgetError,
    CentralSpinModel,
    ConvergenceError,
    MissingPackageError,
    Moment,
    TruncationError,
    correlation,
    evolve,
    expand,
    steady_state,
)
from centralspin.symmetric.neighbours import Neighbours, starting_from

from . import calls, models, oracle

#: What the library may say instead of a number.
REFUSALS = (ArgumentError, BudgetError, ConvergenceError, MissingPackageError, TruncationError)
#: Seconds, unless said otherwise, and bytes that one call of the library may take.
SECONDS, BYTES = 20.0, 1e9


def close(found: Any, right: Any, allowed: float, what: str) -> str | None:
    """A sentence if two values differ by more than is allowed."""
    off = float(np.abs(np.asarray(found) - np.asarray(right)).max())
    return None if off <= allowed else f"{what}: {found} for {right}, off by {off:.2g}, allowed {allowed:.2g}"


def small_in_time(random: models.Draws) -> str | None:
    """Evolution of small models against matrix exponentials."""
    model = models.levels_model(random, drives=True)
    times = np.sort(random.uniform(0, 4, size=2))
    wanted = models.moments(random, model)
    tolerance = float(10.0 ** random.integers(-9, -4))
    found = evolve(model, times, wanted, tolerance=tolerance, time_budget=random.seconds)
    right = oracle.in_time(model, times, wanted)
    for name in wanted:
        size = max(1.0, float(np.abs(right[name]).max()))
        if wrong := close(found[name], right[name], 4 * tolerance * size, name):
            return wrong
    return None


def in_two_parts(random: models.Draws) -> str | None:
    """Evolution, a jump of the central system, and evolution, against matrix exponentials."""
    model = models.levels_model(random)
    before, after = random.uniform(0, 2, size=2)
    wanted = {name: replace(m, about="zero") for name, m in models.moments(random, model).items()}
    jump, tolerance = models.sparse(random, model.dimension), float(10.0 ** random.integers(-8, -4))
    limits = {"tolerance": tolerance, "time_budget": random.seconds}
    state = evolve(model, [before], wanted, **limits).final.apply(jump)
    found = evolve(model, [after], wanted, initial=state, **limits)
    right = oracle.after_a_jump(model, jump, before, after, wanted)
    scale = max(1.0, float(np.linalg.norm(jump, 2)) ** 2)
    for name in wanted:
        size = scale * max(1.0, float(np.abs(right[name]).max()))
        if wrong := close(found[name][0], right[name], 10 * tolerance * size, name):
            return wrong
    return None


def correlations(random: models.Draws) -> str | None:
    """Two-time correlations in a state on its way against matrix exponentials."""
    model = models.levels_model(random)
    before, delay = random.uniform(0, 2, size=2)
    drawn = list(models.moments(random, model).values())
    few = [replace(m, about="zero", power=min(m.power or 0, 2)) if m.power else m for m in drawn]
    operators = tuple(
        None if random.random() < 0.3 else few[int(random.integers(len(few)))] for _ in range(3)
    )
    tolerance = float(10.0 ** random.integers(-8, -4))
    limits = {"tolerance": tolerance, "time_budget": random.seconds}
    state = evolve(model, [before], {"one": few[0]}, **limits).final
    found = correlation(model, [delay], operators, state=state, **limits)
    right, size = oracle.correlation(model, before, delay, operators)
    return close(found[0], right, 10 * tolerance * max(1.0, size), f"correlation after {before:.3g}")


def small_stationary(random: models.Draws) -> str | None:
    """Stationary states of small models against the null space of the whole Lindbladian."""
    model = models.levels_model(random, 32, least=-1.3)  # what is slow can be told from what is conserved
    wanted = models.moments(random, model)
    try:
        found = steady_state(model, wanted, tolerance=1e-7, time_budget=random.seconds)
    except ConvergenceError as refusal:
        gap = oracle.gap(model)
        return None if gap < 1e-6 else f"refused ({refusal}) although the gap is {gap:.2g}"
    except ArgumentError as refusal:
        if "one stationary state" not in str(refusal):
            raise
        gap = min(oracle.gap(oracle.single(model, site)) for site in model.sites)
        return None if gap < 1e-6 else f"refused ({refusal}) although the gap of a site is {gap:.2g}"
    right, gap = oracle.stationary(model, wanted)
    if 1e-15 < gap < 1e-10:
        raise ConvergenceError("Whether the stationary state is unique is hidden by the oracle's round-off.")
    if gap <= 1e-15:
        return f"{dict(found)} although the stationary state is not unique"
    for name in wanted:
        size = max(1.0, abs(right[name]))
        if wrong := close(found[name], right[name], 1e-6 * size, name):
            return wrong
    return None


def spins_in_time(random: models.Draws) -> str | None:
    """Named observables of a few spins against the Dicke blocks."""
    model = models.spin_model(random, [1, 2, 3, 5, 8, 13])
    arguments = {"central_state": models.bloch(random), "bath_bloch": models.bloch(random)}
    times, tolerance = np.sort(random.uniform(0, 5, size=2)), float(10.0 ** random.integers(-8, -4))
    found = evolve(model, times, models.NAMES, tolerance=tolerance, time_budget=random.seconds, **arguments)
    right = evolve(model, times, models.NAMES, method="dicke", tolerance=1e-10, **arguments)
    for name in models.NAMES:
        if wrong := close(
            found[name], right[name], 10 * tolerance * max(1.0, np.abs(right[name]).max()), name
        ):
            return wrong
    return None


def spins_stationary(random: models.Draws) -> str | None:
    """Stationary states of a few spins against the Dicke blocks."""
    model = models.spin_model(random, [1, 2, 3, 5, 8])
    # Whether refusals are right is asked by `small_stationary`.
    found = steady_state(model, models.NAMES, tolerance=1e-7, time_budget=random.seconds)
    right = steady_state(model, models.NAMES, method="dicke", tolerance=1e-9)
    for name in models.NAMES:
        if wrong := close(found[name], right[name], 1e-6 * max(1.0, abs(right[name])), name):
            return wrong
    return None


def tolerance_is_met(random: models.Draws) -> str | None:
    """Larger baths: a run at a tolerance against one at a much tighter tolerance, and the estimate against both."""
    model = models.spin_model(random, [20, 100, 10**4, 10**7, math.inf], (0.5, 0.5, 1.0))
    times = np.sort(random.uniform(0, 5, size=3))
    tolerance = float(10.0 ** random.integers(-7, -3))
    names = ("tau_x", "tau_y", "tau_z", "x", "X2", "X4")
    ask: Callable[[float], Any]
    stationary = random.random() < 0.4

    def ask(tolerance: float) -> Any:
        limits = {"tolerance": tolerance, "time_budget": random.seconds, "memory_budget": BYTES}
        return steady_state(model, names, **limits) if stationary else evolve(model, times, names, **limits)

    loose = ask(tolerance)
    tight = ask(tolerance * 1e-4)
    for name in names:
        # A central moment of power 4 multiplies errors of the lower moments by the mean.
        size = max(1.0, *(float(np.abs(tight[n]).max()) for n in names))
        if wrong := close(
            loose[name], tight[name], 10 * tolerance * size, f"{name} (reported {loose.error:.2g})"
        ):
            return wrong
    return None


def one_after_another(random: models.Draws) -> str | None:
    """Problems that differ a little, or jump: each begun with what those before it have left, against it alone."""
    model = models.spin_model(random, [2, 5, 20, 60, math.inf], (0.5, 0.5, 1.0))
    names = ("tau_x", "tau_y", "tau_z", "x", "X2", "X4")
    tolerance, known = float(10.0 ** random.integers(-8, -3)), Neighbours()
    times = None if random.random() < 0.6 else np.sort(random.uniform(0, 4, size=2))

    def ask(model: CentralSpinModel, tolerance: float) -> Any:
        limits = {"tolerance": tolerance, "time_budget": random.seconds, "memory_budget": BYTES}
        if times is None:
            return steady_state(model, names, **limits)
        return evolve(model, times, names, **limits)

    for _ in range(6):
        by = 1 + (0.02 if random.random() < 0.8 else 0.9) * random.uniform(-1, 1, size=4)
        model = model.replace(
            g0=model.g0 * by[0] if random.random() < 0.9 else 0.0, bath_pump=model.bath_pump * by[1],
            central_pump=model.central_pump * by[2], central_decay=model.central_decay * by[3],
        )  # fmt: skip
        try:
            right = ask(model, tolerance * 1e-3)
        except REFUSALS:
            right = None
        try:
            with starting_from(known):
                found = ask(model, tolerance)
        except ConvergenceError as refusal:
            try:
                ask(model, tolerance)
            except REFUSALS:
                continue
            return f"refused ({refusal}) where a single call answers: {model}"
        except REFUSALS:
            continue
        if right is None:
            try:
                ask(model, tolerance)
            except REFUSALS as refusal:
                if "not unique" in str(refusal):
                    return f"answered where a single call refuses ({refusal}): {model}"
            continue
        size = max(1.0, *(float(np.abs(right[name]).max()) for name in names))
        for name in names:
            what = f"{name} of {model} (reported {found.error:.2g})"
            if wrong := close(found[name], right[name], 10 * tolerance * size, what):
                return wrong
    return None


def many_quanta(random: models.Draws) -> str | None:
    """A spin that fills a weakly damped boson, at rest or on its way, against Fock space."""
    model, tolerance = models.laser(random), float(10.0 ** random.uniform(-6, -1))
    time = None if random.random() < 0.7 else float(random.choice([1.0, 10.0, 30.0])) * random.random()
    if not model.epsilon > 0:
        raise ConvergenceError("There is no boson.")
    for levels in (30, 44, 60):
        right, empty = oracle.boson(model, levels, time)
        if empty < 1e-11:
            break
    else:
        raise ConvergenceError("More quanta than the oracle holds.")
    names, limits = list(right), {"tolerance": tolerance, "time_budget": random.seconds}
    if time is None:
        method = None if random.random() < 0.5 else "symmetric"
        found = dict(steady_state(model, names, method=method, **limits))
    else:
        found = {name: value[-1] for name, value in evolve(model, [time], names, **limits).items()}
    for name in names:
        if wrong := close(found[name], right[name], tolerance + 1e-7 * abs(right[name]), name):
            return f"at tolerance {tolerance:.2g}, time {time}: {wrong}"
    return None


def large_baths(random: models.Draws) -> str | None:
    """Polynomials over the Dicke blocks beside symmetric Liouville space."""
    bath = models.laser(random).replace(N=int(10 ** random.uniform(2, 5)))
    if random.random() < 0.3:  # polarised upwards
        bath = bath.replace(bath_pump=bath.bath_decay, bath_decay=bath.bath_pump)
    model = random.take(bath)
    tolerance = float(10 ** random.uniform(-7, -1.2))
    names, limits = ("tau_z", "tau_x", "X2", "m_z"), {"time_budget": random.seconds}
    right = steady_state(model, names, method="symmetric", tolerance=min(tolerance / 10, 1e-7), **limits)
    found = steady_state(model, names, method="dicke_polynomials", tolerance=tolerance, **limits)
    for name in names:
        if wrong := close(found[name], right[name], found.error + right.error, name):
            return f"at tolerance {tolerance:.2g}: {wrong}"
    # A budget may have ended what would do better, which is told.
    if found.error > tolerance and "warning" in found.details:
        found = steady_state(model, names, method="dicke_polynomials", tolerance=tolerance)
    return None if found.error <= tolerance else f"error {found.error} for {tolerance}"


def units(random: models.Draws) -> str | None:
    """All rates times s, times over s."""
    model = models.spin_model(random, [2, 5])
    s = float(10.0 ** random.integers(-15, 16))
    other = CentralSpinModel(
        N=model.N, scaling=model.scaling, g0=s * model.g0, central_field=[s * w for w in model.central_field],
        central_pump=s * model.central_pump, central_decay=s * model.central_decay, bath_pump=s * model.bath_pump,
        bath_decay=s * model.bath_decay, bath_field=[s * h for h in model.bath_field],
    )  # fmt: skip
    method = str(random.choice(["symmetric", "dicke", "full_space", "cumulants", "mean_field"]))
    names = models.NAMES[:6]
    start = {"bath_bloch": models.bloch(random), "method": method}
    one = evolve(model, [0.7, 2.0], names, **start)
    two = evolve(other, [0.7 / s, 2.0 / s], names, **start)
    for name in names:
        if wrong := close(two[name], one[name], 1e-6, f"{name} by {method}, s = {s:g}"):
            return wrong
    return None


def coefficients(random: models.Draws) -> str | None:
    """`expand` against two large baths."""
    model = models.spin_model(random, [math.inf], (0.5, 1.0))
    names = ("tau_x", "tau_y", "tau_z", "X2")
    times = np.sort(random.uniform(0, 3, size=2))
    limit, first = expand(model, times, names, tolerance=1e-9, time_budget=random.seconds)
    sizes = (10**4, 2 * 10**4)
    large = [
        evolve(model.replace(N=N), times, names, tolerance=1e-11, time_budget=random.seconds) for N in sizes
    ]
    for name in names:
        scaled = [N * (run[name] - limit[name]) for N, run in zip(sizes, large, strict=True)]
        right = 2 * scaled[1] - scaled[0]
        if wrong := close(first[name], right, 1e-3 + 1e-3 * np.abs(right).max(), f"coefficient of {name}"):
            return wrong
    return None


GARBAGE: tuple[Any, ...] = (
    None, True, "a", "", b"x", 1 + 2j, math.nan, math.inf, -math.inf, -1, -1.5, 0, 10**400, 10**18, 1e308, 1e-320, [],
    [1], [1, 2], [1, 2, 3], [[1, 2], [3, 4]], [[1, 2], [3]], np.array([]), np.ones((2, 2, 2)), np.array([np.nan] * 3),
    np.full((2, 2), np.nan), np.array([[0, 1], [0, 0]]), object(), lambda: 1, lambda t: "x", {"a": 1}, {1, 2}, (1, "b"),
    [None], [lambda t: t], np.eye(3), np.eye(2), ["tau_z"], ["nothing"], range(3), iter([1.0]), Ellipsis, slice(1),
    type, CentralSpinModel.figure_2(2), Moment(central=np.eye(2)), Moment(site=np.eye(3)),
    Moment(site=np.eye(2), site_class=4), {},
)  # fmt: skip


def bad_input(random: models.Draws) -> str | None:
    """One argument of one public callable is anything: an answer, or a sentence."""
    known = (*calls.solvers(), *calls.methods(), *calls.theory())
    call, arguments = known[int(random.integers(len(known)))]
    name = str(random.choice(list(arguments)))
    return replaced(call, arguments, name, GARBAGE[int(random.integers(len(GARBAGE)))])


def replaced(call: Callable[..., Any], arguments: dict[str, Any], name: str, value: Any) -> str | None:
    """A sentence if the callable with another value for an argument neither answers nor refuses in a sentence."""
    what = f"{call.__qualname__}({name} = {value!r:.80})"
    try:
        found = call(**arguments | {name: value})
    except REFUSALS as refusal:
        text = str(refusal)
        return None if 10 < len(text) < 700 and "\n" not in text else f"{what}: the sentence {text!r}"
    except Exception as error:
        return f"{what}: {type(error).__name__}: {error}"
    numbers = list(found.values()) if isinstance(found, Mapping) else [found]
    numbers = [np.asarray(n) for n in numbers if isinstance(n, (np.ndarray, float, complex))]
    return f"{what} gives {numbers}" if any(np.isnan(n).any() for n in numbers) else None


CAMPAIGNS: dict[str, Callable[[models.Draws], str | None]] = {
    campaign.__name__: campaign
    for campaign in (
        small_in_time, small_stationary, spins_in_time, spins_stationary, tolerance_is_met, units, coefficients,
        bad_input, in_two_parts, correlations, one_after_another,
        many_quanta, large_baths,
    )
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A case that was run.

    Attributes
    ----------
    campaign : str
    seed : int
    verdict : {"ok", "refused", "wrong"}
    why : str
        The sentence of the refusal, or of what is wrong.
    model, moments : object
        What was drawn, if a model was.
    without : list of str
        Terms that were left out of what the seed gives.
    """

    campaign: str
    seed: int
    verdict: str
    why: str = ""
    model: Any = None
    moments: Any = None
    without: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.campaign} {self.seed}: {self.why}"]
        if self.without:
            lines.append(f"  without {', '.join(self.without)} of what the seed gives")
        lines += [
            f"  {line}"
            for drawn in (self.model, self.moments)
            if drawn
            for line in spelled(drawn).splitlines()
        ]
        return "\n".join(lines)


def spelled(drawn: Any) -> str:
    """A model or moments to paste, as far as that goes."""
    with np.printoptions(precision=17, linewidth=110, threshold=10**6):
        return repr(drawn)


def case(name: str, seed: int, without: Sequence[str] = (), seconds: float = SECONDS) -> Case:
    """Run one case, whose calls of the library may take some seconds each."""
    random = models.Draws([list(CAMPAIGNS).index(name), seed], without, seconds)

    def found(verdict: str, why: str = "") -> Case:
        return Case(name, seed, verdict, why, random.model, random.moments, random.without)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            wrong = CAMPAIGNS[name](random)
    except REFUSALS as refusal:
        return found("refused", str(refusal))
    except Exception as error:
        return found("wrong", f"{type(error).__name__}: {error}")
    return found("wrong", wrong) if wrong else found("ok")


def smallest(wrong: Case, seconds: float = SECONDS, budget: float = SECONDS) -> Case:
    """The same violation with as few terms in the model as can be had in some seconds, one left out after the other."""
    end, tried = time.monotonic() + seconds, set[str]()
    while wrong.model is not None and time.monotonic() < end:
        names = [name for name in models.terms(wrong.model) if name not in tried]
        if not names:
            break
        shorter = case(wrong.campaign, wrong.seed, [*wrong.without, names[0]], budget)
        if shorter.verdict == "wrong":
            wrong = shorter
        else:
            tried.add(names[0])
    return wrong
