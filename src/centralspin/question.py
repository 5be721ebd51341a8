"""What is asked: a model checked once, made the general problem without units, and handed to a method.

Nothing behind this module knows which kind of model it was.
"""

from __future__ import annotations

import contextlib
import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .errors import ArgumentError, BudgetError, ConvergenceError, MissingPackageError, TruncationError
from .numerics.stationary import NotFoundError
from .problem.central_spin import CentralSpinModel
from .problem.checks import budget, integer, is_operator, real_number, short
from .problem.collective import CollectiveModel, Correlated, collective_model, top_levels
from .problem.general import Method, Problem, Task, dimensionless
from .problem.moments import Arithmetic, Moment, Reading, needed
from .problem.observables import named
from .progress import Progress
from .symmetric.cut import OutgrownError
from .symmetric.solver import shift

#: Method → what it is; `methods/x.py` is method "x", but for the first.
METHODS: dict[str, str] = {
    "symmetric": "symmetric Liouville space, any N and N = ∞",
    "dicke": "permutation-invariant Dicke blocks, N up to about 100",
    "dicke_polynomials": "stationary states of large baths, from a few polynomials over the Dicke blocks, N from 50",
    "full_space": "every site written out, by QuTiP, a few sites",
    "spin_boson": "the emergent model of Eq. (9) in Fock space by QuTiP, N = ∞ and z = ½",
    "mean_field": "product states, no correlations",
    "cumulants": "moments closed by neglecting joint cumulants above an order, any N and N = ∞",
}
#: What `cut` of method "symmetric" and `order` of "cumulants" may be at most.
LARGEST_CUT, LARGEST_ORDER = 10_000, 12
#: Where another exact method has a stationary state, "symmetric" leaves it to that if it needs more unknowns than
#: these, or than parts of those of Dicke blocks, few and many, which are the last resort for more sites than so many.
OUTGROWN = {"spin_boson": 8000, "dicke": 20_000, "dicke_polynomials": 12_000}
OUTGROWN_PARTS, LARGEST_BLOCKS = (1.3, 6.0), 99
#: The least tolerance, and the part of what would do that is asked for where errors turn out to be multiplied.
LEAST_TOLERANCE, SHARPER = 1e-13, 0.7
#: Up to so many unknowns there is nothing to gain.
FEW = 6000
#: A cut aims at errors that are smaller by this factor at most than what is asked for.
MOST_AIMED = 100.0


@dataclass(frozen=True)
class Question:
    """What is asked, whatever the kind of model: the problem, the moments, and how to combine them.

    `combine` takes a function that gives a moment's value, or its error if told so. `start` is the state to go on from,
    if any. `tops` are the populations of the highest levels of oscillators in the central system, which tell whether it
    has enough of them.
    """

    model: Any
    problem: Problem
    moments: list[Moment]
    combine: Callable[..., dict[str, Any]]
    tops: tuple[Moment, ...] = ()
    start: Any = None


def ask(
    model: Any,
    observables: Any,
    central_state: Any = "up",
    bath_bloch: Any = None,
    initial: Any = None,
    times: np.ndarray | None = None,
) -> Question:
    """Check a model and what is asked of it; `times` are those over which functions of time matter."""
    if initial is not None:
        if not isinstance(initial, Correlated):
            raise ArgumentError(
                "initial",
                "be a `State`, such as `result.final`; product states are given by `central_state` and `bath_bloch`, "
                "or with the CollectiveModel",
                short(initial),
            )
        left_out(central_state, bath_bloch, "beside `initial`")
    general = _checked(model, central_state, bath_bloch, initial is not None)
    start: Any = initial if initial is not None else general.initial
    correlated = isinstance(start, Correlated)
    span = np.zeros(1) if times is None else np.array([0.0, times[-1]])
    problem = dimensionless(general, span + (start.time if correlated else 0.0))
    if correlated:
        problem = start.held.placed(problem).later(start.time * problem.unit)
    else:
        start = None
    if isinstance(model, CentralSpinModel) and not isinstance(observables, Mapping):
        chosen = named(observables, model)
        moments = [moment for observable in chosen.values() for _, moment in observable.terms]

        def combine(value: Callable[[Moment], Any], absolute: bool = False) -> dict[str, Any]:
            return {name: observable.combine(value, model, absolute) for name, observable in chosen.items()}
    else:
        given = read(observables)
        moments = list(given.values())

        def combine(value: Callable[[Moment], Any], absolute: bool = False) -> dict[str, Any]:
            return {name: value(moment) for name, moment in given.items()}

    for moment in moments:
        moment.check(problem.central.dimension, [c.dimension for c in problem.classes], problem.size)
    tops = tuple(Moment(central=top) for top in top_levels(general))
    return Question(model, problem, moments, combine, tops, start)


def left_out(central_state: Any, bath_bloch: Any, where: str) -> None:
    """Refuse a product state where another initial state is given."""
    if bath_bloch is not None or not (isinstance(central_state, str) and central_state == "up"):
        name = "central_state" if bath_bloch is None else "bath_bloch"
        raise ArgumentError(
            name, f"be left out {where}", short(central_state if bath_bloch is None else bath_bloch)
        )


def _checked(
    model: Any, central_state: Any = "up", bath_bloch: Any = None, started: bool = False
) -> CollectiveModel:
    if isinstance(model, CentralSpinModel):
        if bath_bloch is None and not started:
            model.epsilon  # noqa: B018 - names the rates where no stationary state of the bath exists
        return collective_model(model, central_state, bath_bloch)
    if not isinstance(model, CollectiveModel):
        raise ArgumentError("model", "be a CentralSpinModel or a CollectiveModel", short(model))
    left_out(central_state, bath_bloch, "for a CollectiveModel, which carries its initial states")
    return model


def read(observables: Any) -> dict[str, Moment]:
    """Return a mapping of names to moments; a bare operator is one of the central system."""
    if not isinstance(observables, Mapping) or not observables:
        raise ArgumentError(
            "observables",
            "map names to central operators or Moments for a CollectiveModel",
            short(observables),
        )
    found = {}
    for name, value in observables.items():
        if not (isinstance(value, Moment) or is_operator(value)):
            raise ArgumentError(
                "observables", "map names to central operators or Moments", f"{name!r}: {short(value)}"
            )
        found[str(name)] = value if isinstance(value, Moment) else Moment(central=value)
    return found


def method_name(method: Any) -> str:
    """Return the name of a method, or refuse another one."""
    if not isinstance(method, str) or method not in METHODS:
        raise ArgumentError("method", f"be among {', '.join(METHODS)}", short(method))
    return method


def prepare(
    question: Question,
    times: np.ndarray | None,
    tolerance: Any,
    method: Any,
    options: Mapping[str, Any],
    time_budget: Any,
    t_stops: Sequence[float] = (),
) -> tuple[Task, Method]:
    """Make the task of a method, or refuse it."""
    method = method_name(method)
    chosen: Any  # a module; only the one that is used is imported, for QuTiP is slow
    if method == "symmetric":
        from .symmetric import solver as chosen
    else:
        chosen = importlib.import_module(f".methods.{method}", __package__)
    checked = check_options(chosen.OPTIONS, method, options)
    if t_stops:
        checked["t_stops"] = tuple(t_stops)
    tolerance = real_number("tolerance", tolerance, minimum=LEAST_TOLERANCE, maximum=0.1)
    seconds = budget("time_budget", time_budget)
    problem = question.problem
    scaled = None if times is None else times * problem.unit
    moments = tuple(needed([*question.moments, *question.tops], chosen.ABOUT))
    held = None
    if question.start is not None and times is not None:
        if method != "symmetric":
            raise ArgumentError("initial", f"be a product state with method {method!r}", "a `State`")
        held, moments = question.start.held, tuple(needed([*moments, Moment()], chosen.ABOUT))  # its trace
    task = Task(problem, scaled, moments, tolerance, checked, Progress(seconds), held)
    refusal = chosen.refuses(task)
    if refusal is not None:
        raise refusal
    return task, chosen


def answer(
    question: Question,
    times: np.ndarray | None,
    tolerance: Any,
    method: Any = None,
    options: Mapping[str, Any] | None = None,
    time_budget: Any = math.inf,
    t_stops: Sequence[float] = (),
) -> tuple[dict[str, Any], Task, Reading]:
    """Run a method: the values by name, its task, and its reading.

    Where `method` of a stationary state is None that is "symmetric", and another exact one if it does not find it, or
    needs many unknowns.
    """
    free = method is None and times is None
    task, chosen = prepare(
        question, times, tolerance, "symmetric" if free else method, options or {}, time_budget, t_stops
    )
    task = replace(task, multiplied=multiplied(question, task, chosen.ABOUT))
    others, limit = other_methods(question) if free and not options else ([], math.inf)
    try:
        reading = _within(chosen.run(replace(task, outgrown=limit)), task)
    except (ConvergenceError, TruncationError) as refusal:
        outgrown = isinstance(refusal, OutgrownError)
        if not (outgrown or isinstance(refusal, NotFoundError)):  # others would take long to find the same
            others = [name for name in others if _quick(name, question)]
        instead, reasons = _by_others(
            question, tolerance, others, outgrown, time_budget - task.progress.seconds
        )
        if instead is None and not outgrown:
            raise
        try:
            reading, task, chosen = instead or (_within(chosen.run(task), task), task, chosen)
        except (ConvergenceError, TruncationError) as failure:
            failure.args = (" ".join([str(failure), *reasons]),)
            raise
    values, error, least = combined(question, task, chosen.ABOUT, reading)
    if _bound(task) and error is not None and least <= task.tolerance / 2 and not error <= task.tolerance:
        # What is asked for multiplies errors of moments: by how much may be known from their values only.
        off = float(np.max(reading.error))
        sharper = replace(task, tolerance=max(SHARPER * off * task.tolerance / error, LEAST_TOLERANCE))
        with contextlib.suppress(
            BudgetError, ConvergenceError, TruncationError
        ):  # what is there is told as it is
            again = _within(replace(chosen.run(sharper), method=reading.method), sharper)
            found, smaller, _ = combined(question, task, chosen.ABOUT, again)
            if smaller is not None and smaller < error:
                values, error, reading = found, smaller, again
    if _bound(task) and error is not None and not error <= task.tolerance:
        _warn(reading, f"the values may be off by {error:.2g}, more than the tolerance {task.tolerance:g}")
    return values, task, replace(reading, error=error)


def _bound(task: Task) -> bool:
    """Whether errors are to be within the tolerance: with a given cut, or state to go on from, they may be larger."""
    return "cut" not in task.options and task.start is None


def _within(reading: Reading, task: Task) -> Reading:
    """The reading, if its error meets the tolerance."""
    if not np.isfinite(reading.values).all():
        raise ConvergenceError("What the method gives are not finite numbers.")
    if _bound(task) and reading.error is not None and not np.max(reading.error, initial=0) <= task.tolerance:
        raise ConvergenceError(
            f"The values may be off by {np.max(reading.error):.2g}, where a tolerance of {task.tolerance:g} is asked "
            "for."
        )
    return reading


def other_methods(question: Question) -> tuple[list[str], float]:
    """The other exact methods that may have a stationary state, and with how many unknowns they are to be preferred."""
    problem = question.problem
    if len(problem.classes) != 1 or problem.classes[0].dimension != 2:
        return [], math.inf
    if problem.size == math.inf:
        return (["spin_boson"], OUTGROWN["spin_boson"]) if problem.scaling == 0.5 else ([], math.inf)
    if problem.size > LARGEST_BLOCKS:
        return ["dicke_polynomials", "dicke"], OUTGROWN["dicke_polynomials"]
    few, many = (_blocks(question) / part for part in OUTGROWN_PARTS)
    return ["dicke"], max(min(few, OUTGROWN["dicke"]), many, FEW)


def _by_others(
    question: Question, tolerance: Any, others: Sequence[str], outgrown: bool, seconds: float
) -> tuple[tuple[Reading, Task, Method] | None, list[str]]:
    """What the first of these methods finds that finds anything, with its task, and why those before it did not.

    That there is no time left is raised if `outgrown`.
    """
    began, reasons = Progress(), list[str]()
    for name in others:
        try:
            task, chosen = prepare(question, None, tolerance, name, {}, max(seconds - began.seconds, 0.0))
            return (_within(replace(chosen.run(task), method=name), task), task, chosen), reasons
        except BudgetError:
            if outgrown:
                raise
            break
        except (ArgumentError, MissingPackageError):
            continue
        except (ConvergenceError, TruncationError) as failure:
            reasons.append(f"And method {name!r}: {failure}")
    return None, reasons


def _quick(name: str, question: Question) -> bool:
    """Whether another exact method finds out soon that there is no stationary state."""
    return name != "dicke" or _blocks(question) <= OUTGROWN["dicke"]


def _blocks(question: Question) -> float:
    """The unknowns of method "dicke"."""
    from .methods.dicke import unknowns

    return unknowns(question.problem.size, question.problem.central.dimension)


def check_options(known: frozenset[str], method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a method, or refuse one that it does not know."""
    offered = sorted(known - {"t_stops"})
    for name in options:
        if name not in offered:
            raise ArgumentError(
                "options", f"be {' or '.join(offered) or 'nothing'} with method {method!r}", repr(name)
            )
    checked = {name: value for name, value in options.items() if value is not None}
    for name, least, most in (("cut", 0, LARGEST_CUT), ("order", 1, LARGEST_ORDER)):
        if name in checked:
            checked[name] = integer(name, checked[name], minimum=least, maximum=most)
    if "memory_budget" in checked:
        checked["memory_budget"] = budget("memory_budget", checked["memory_budget"])
    return checked


def combined(
    question: Question, task: Task, about: str, reading: Reading
) -> tuple[dict[str, Any], float | None, float]:
    """What was asked for, from what the method read, its error, and the part of that which is round-off."""
    arithmetic = Arithmetic(
        task.moments,
        reading.values[None],
        about,
        shift(task.problem, task.times, (None,), task.options.get("t_stops", ())),
        errors=0.0 if reading.error is None else reading.error,
    )
    full = max((float(np.real(arithmetic(top)).max()) for top in question.tops), default=0.0)
    if full > task.tolerance:
        _warn(
            reading,
            f"the highest level of an oscillator in the central system holds up to {full:.2g}: give it more levels",
        )
    values = {name: value[0] for name, value in question.combine(arithmetic).items()}
    return values, None if reading.error is None else told(question, arithmetic), lost(question, arithmetic)


def _warn(reading: Reading, warning: str) -> None:
    known = reading.details.get("warning")
    reading.details["warning"] = f"{known}; {warning}" if known else warning


def told(question: Question, arithmetic: Arithmetic) -> float:
    """The error of what was asked for, at least that of the moments it is made of, and of round-off."""
    if not arithmetic.largest < math.inf:
        return math.inf
    return max(arithmetic.largest, _largest(question, arithmetic.error)) + lost(question, arithmetic)


def lost(question: Question, arithmetic: Arithmetic) -> float:
    """What round-off leaves unknown of what was asked for."""
    return _largest(question, arithmetic.round_off)


def _largest(question: Question, errors: Callable[[Moment], np.ndarray]) -> float:
    return max(float(np.max(of)) for of in question.combine(errors, absolute=True).values())


def multiplied(
    question: Question, task: Task, about: str, orders: Sequence[int | None] = (None,)
) -> Callable[[np.ndarray, np.ndarray], float]:
    """From moments and their errors to the factor by which the largest is multiplied in what is asked for.

    It is 1 where round-off leaves no hope that an aim would be met.
    """
    about_reference = shift(task.problem, task.times, orders, task.options.get("t_stops", ()))

    def factor(values: np.ndarray, errors: np.ndarray) -> float:
        arithmetic = Arithmetic(task.moments, values, about, about_reference, errors=errors)
        try:
            if not arithmetic.largest > 0 or not lost(question, arithmetic) <= task.tolerance / 2:
                return 1.0
            off = _largest(question, arithmetic.error)
        except ArgumentError:  # if the values at a larger cut are no better it is raised with them
            return 1.0
        return min(max(off / arithmetic.largest, 1.0), MOST_AIMED)

    return factor


def at_infinity(model: Any) -> Any:
    """The same model with infinitely many sites, every class keeping its share."""
    if isinstance(model, CentralSpinModel):
        return model.replace(N=math.inf)
    sites = _checked(model).sites
    size = sum(s.count for s in sites)
    if size == math.inf:
        return model
    return model.replace(sites=[_infinite(s, s.count / size) for s in sites])


def _infinite(sites: Any, share: float) -> Any:
    return replace(sites, count=math.inf, share=share)


def number(value: Any) -> Any:
    """A plain number, complex where the value is."""
    return complex(value) if np.iscomplexobj(value) else float(value)
