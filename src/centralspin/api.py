"""The front door: convert → check → dispatch → run → combine.

A model is checked once, made the general problem without units, and handed to a method; nothing behind this module
knows which kind of model it was.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import ArgumentError
from .problem.central_spin import CentralSpinModel
from .problem.checks import increasing_times, integer, is_operator, real_number, sequence, short
from .problem.collective import CollectiveModel, collective_model, top_levels
from .problem.general import Method, Problem, Task, dimensionless
from .problem.moments import Arithmetic, Moment, Reading, needed
from .problem.observables import named
from .progress import Progress
from .result import Expansion, Stationary, Trajectory
from .symmetric.basis import OperatorBasis
from .symmetric.solver import Solver, shift

#: Method → what it is; `methods/x.py` is method "x", but for the first.
METHODS: dict[str, str] = {
    "symmetric": "symmetric Liouville space, any N and N = ∞",
    "dicke": "permutation-invariant Dicke blocks, N up to about 100",
    "full_space": "every site written out, by QuTiP, a few sites",
    "spin_boson": "the emergent model of Eq. (9) in Fock space by QuTiP, N = ∞ and z = ½",
    "mean_field": "product states, no correlations",
    "cumulants": "moments closed by neglecting joint cumulants above an order, any N and N = ∞",
}
#: What `cut` of method "symmetric" and `order` of "cumulants" may be at most.
LARGEST_CUT, LARGEST_ORDER = 10_000, 12
#: Coefficients of 1/N^k that `expand` can compute.
LARGEST_EXPANSION = 3
#: A coefficient of N^{−1/2} below this many tolerances counts as absent.
ABSENT = 1e3


@dataclass(frozen=True)
class Question:
    """What is asked, whatever the kind of model: the problem, the moments, and how to combine them.

    `combine` takes a function that gives a moment's value. `tops` are the populations of the highest levels of
    oscillators in the central system, which tell whether it has enough of them.
    """

    model: Any
    problem: Problem
    moments: list[Moment]
    combine: Callable[[Callable[[Moment], Any]], dict[str, Any]]
    tops: tuple[Moment, ...] = ()


def evolve(
    model: CentralSpinModel | CollectiveModel,
    times: Sequence[float],
    observables: Any = ("tau_x", "tau_y", "tau_z"),
    *,
    central_state: Any = "up",
    bath_bloch: Any = None,
    method: str = "symmetric",
    tolerance: float = 1e-8,
    t_stops: Sequence[float] = (),
    time_budget: float = math.inf,
    **options: Any,
) -> Trajectory:
    """Evolve a product initial state and return expectation values.

    Parameters
    ----------
    model : CentralSpinModel or CollectiveModel
        The problem. A `CollectiveModel` carries its initial states itself.
    times : sequence of float
        Increasing times ≥ 0 in units of 1/γ; the initial state is that of time 0.
    observables : sequence of str, or mapping of names to central operators or `Moment`
        Names known to `centralspin.OBSERVABLES` ("tau_z", "q", "Q2", "Q4", …; for a `CentralSpinModel`), or your own.
    central_state : str, sequence or matrix
        "up", "down", a Bloch vector, a ket or a 2×2 density matrix (NumPy or QuTiP).
    bath_bloch : sequence of 3 floats, optional
        Initial Bloch vector of every bath spin; None is the stationary state of its own dynamics, Ω_SS.
    method : str
        "symmetric" (default), "dicke", "full_space", "spin_boson", "mean_field" or "cumulants".
    tolerance : float
        Largest absolute error of the moments behind the observables, for integration and truncation together.
    t_stops : sequence of float
        Times at which something happens that is shorter than a 4000th of the whole time.
    time_budget : float
        Seconds after which the computation stops with a `BudgetError`.
    **options
        Of method "symmetric": `cut` (use this cut whatever the error) and `memory_budget` (bytes); of "cumulants":
        `order`.

    Returns
    -------
    Trajectory

    Raises
    ------
    ArgumentError
        If an argument is outside its domain or the method cannot do what is asked.
    TruncationError
        If the tolerance cannot be met within the memory budget.
    """
    when = increasing_times(times)
    question = ask(model, observables, central_state, bath_bloch, when)
    stops = sorted(
        real_number("t_stops", t, minimum=0) * question.problem.unit for t in sequence("t_stops", t_stops)
    )
    task, chosen = prepare(question, when, tolerance, method, options, time_budget, stops)
    reading = chosen.run(task)
    values = combined(question, task, chosen.ABOUT, reading)
    shaped = {
        name: np.ascontiguousarray(np.broadcast_to(value, when.shape)) for name, value in values.items()
    }
    return Trajectory(shaped, model, method, task.tolerance, reading.error, reading.details, when)


def steady_state(
    model: CentralSpinModel | CollectiveModel,
    observables: Any = ("tau_x", "tau_y", "tau_z"),
    *,
    method: str = "symmetric",
    tolerance: float = 1e-8,
    time_budget: float = math.inf,
    **options: Any,
) -> Stationary:
    """Return expectation values in the stationary state; the parameters are those of `evolve`.

    Raises
    ------
    ConvergenceError
        If the stationary state is not unique.
    """
    question = ask(model, observables)
    task, chosen = prepare(question, None, tolerance, method, options, time_budget)
    reading = chosen.run(task)
    values = {name: _number(value) for name, value in combined(question, task, chosen.ABOUT, reading).items()}
    return Stationary(values, model, method, task.tolerance, reading.error, reading.details)


def expand(
    model: CentralSpinModel | CollectiveModel,
    times: Sequence[float] | None,
    observables: Any = ("tau_x", "tau_y", "tau_z"),
    *,
    central_state: Any = "up",
    bath_bloch: Any = None,
    terms: int = 1,
    tolerance: float = 1e-8,
    time_budget: float = math.inf,
    **options: Any,
) -> Expansion:
    r"""Return the limit N = ∞ and the coefficient of 1/N of expectation values.

    :math:`⟨O⟩_N = ⟨O⟩_∞ + c/N + O(N^{-2})`. In symmetric Liouville space N enters the generator only through condensate
    factors, so that :math:`L = L_0 + N^{-1/2} L_{1/2} + N^{-1} L_1 + …` with explicit coefficients; L_0 is the emergent
    model, and

    .. math:: \dot v_{1/2} = L_0 v_{1/2} + L_{1/2} v_0, \qquad \dot v_1 = L_0 v_1 + L_{1/2} v_{1/2} + L_1 v_0 .

    Parameters
    ----------
    model : CentralSpinModel or CollectiveModel
        The problem; its N is ignored. The limit must exist: z = ½ with ⟨σ±⟩ = 0 in the bath, or z ≥ 1,
        and 2z must be an integer. Of a `CollectiveModel` with several classes every class keeps its share of the sites.
    times : sequence of float, or None
        Increasing times ≥ 0; None expands the stationary state.
    observables, central_state, bath_bloch, tolerance, time_budget
        As for `evolve`.
    terms : int
        How many coefficients to compute: 1 for c of c/N, 2 for c₂ of c₂/N² as well, at most 3.
    **options
        `cut` and `memory_budget`, as for `evolve`.

    Returns
    -------
    Expansion
        With `.limit`, `.coefficient`, `.coefficients` and `.at(N)`.

    Raises
    ------
    ArgumentError
        If an argument is outside its domain, or if an observable approaches its limit more slowly than 1/N.
    """
    when = None if times is None else increasing_times(times)
    question = ask(at_infinity(model), observables, central_state, bath_bloch, when)
    z = question.problem.scaling
    if abs(2 * z - round(2 * z)) > 1e-12:
        raise ArgumentError("scaling", "be a multiple of ½ for an expansion in N^{−1/2}", f"{z:g}")
    task, _ = prepare(question, when, tolerance, "symmetric", options, time_budget)
    orders = range(2 * integer("terms", terms, minimum=1, maximum=LARGEST_EXPANSION) + 1)
    values, details, error = Solver(task, orders).solve()
    arithmetic = Arithmetic(task.moments, values, "reference", shift(task.problem, task.times, orders))
    found = question.combine(arithmetic)
    if any(np.abs(value[1::2]).max() > ABSENT * task.tolerance for value in found.values()):
        raise ArgumentError("observables", "approach their limits as 1/N", "one that does so as 1/√N")
    made = (model, "expansion", task.tolerance, error, details)
    results: list[Any] = []
    for k in orders[::2]:
        if when is None:
            results.append(Stationary({name: _number(value[k]) for name, value in found.items()}, *made))
        else:
            shaped = {n: np.ascontiguousarray(np.broadcast_to(v[k], when.shape)) for n, v in found.items()}
            results.append(Trajectory(shaped, *made, when))
    return Expansion(results[0], tuple(results[1:]))


def central_states(
    model: CentralSpinModel | CollectiveModel,
    times: Sequence[float],
    *,
    central_state: Any = "up",
    bath_bloch: Any = None,
    tolerance: float = 1e-8,
    **options: Any,
) -> np.ndarray:
    """Return the density matrices of the central system in time, shape (times, d, d).

    The parameters are those of `evolve`; `qutip.Qobj(states[k])` makes a QuTiP operator of one of them.
    """
    d = 2 if isinstance(model, CentralSpinModel) else _checked(model).dimension
    elements = OperatorBasis(d).elements
    observables = {str(i): Moment(central=e) for i, e in enumerate(elements)}
    options |= {"central_state": central_state, "bath_bloch": bath_bloch, "tolerance": tolerance}
    found = evolve(model, times, observables, **options)
    return d * np.einsum("it,iab->tab", np.array(list(found.values())), elements)


@dataclass(frozen=True)
class Liouvillian:
    """The generator of a problem in symmetric Liouville space, to look at or to use in ways of your own.

    Attributes
    ----------
    matrix : sparse matrix, shape (n, n)
        L of v̇ = L v, real; v[n, a] has the occupations n as its slow index and the central basis as its fast one.
    space : SymmetricSpace
        The occupations.
    initial : ndarray, shape (n,)
        The product state that `evolve` starts from.
    rows : sparse matrix, shape (observables, n)
        ⟨O⟩ = rows @ v, moments of the sites being about their reference states.
    """

    matrix: Any
    space: Any
    initial: np.ndarray
    rows: Any


def liouvillian(
    model: CentralSpinModel | CollectiveModel,
    cut: int,
    observables: Any = None,
    *,
    central_state: Any = "up",
    bath_bloch: Any = None,
) -> Liouvillian:
    """Return the generator on the occupations with Σ w_i n_i ≤ `cut` (and those that `evolve` adds, see `cut.Shape`).

    Parameters
    ----------
    model, central_state, bath_bloch
        As for `evolve`; the references of the sites must be at rest.
    cut : int
        The largest weighted number of excitations.
    observables : mapping of names to central operators or `Moment`, optional
        What `rows` reads; by default the trace.
    """
    given = {"trace": Moment()} if observables is None else observables
    question = ask(model, given, central_state, bath_bloch)
    task, _ = prepare(question, np.zeros(1), 1e-8, "symmetric", {"cut": cut}, math.inf)
    solver = Solver(task)
    if solver.compiled.moving:
        raise ArgumentError(
            "bath_bloch", "leave the sites at rest, so that their generator is constant", "moving them"
        )
    generator = solver.generator(solver.shape.sets(integer("cut", cut, maximum=LARGEST_CUT))[0])
    (matrix,), (rows,) = (
        generator.matrices(solver.references),
        generator.rows(solver.readout, solver.references),
    )
    return Liouvillian(matrix * question.problem.unit, generator.space, generator.initial(), rows)


# --- what the functions above have in common ---


def ask(
    model: Any, observables: Any, central_state: Any = "up", bath_bloch: Any = None, times: Any = None
) -> Question:
    """Check a model and what is asked of it."""
    general = _checked(model, central_state, bath_bloch)
    problem = dimensionless(general, 0.0 if times is None else float(times[-1]))
    if isinstance(model, CentralSpinModel) and not isinstance(observables, Mapping):
        chosen = named(observables, model)
        moments = [moment for observable in chosen.values() for _, moment in observable.terms]

        def combine(value: Callable[[Moment], Any]) -> dict[str, Any]:
            return {name: observable.combine(value, model) for name, observable in chosen.items()}
    else:
        given = read(observables)
        moments = list(given.values())

        def combine(value: Callable[[Moment], Any]) -> dict[str, Any]:
            return {name: value(moment) for name, moment in given.items()}

    for moment in moments:
        moment.check(problem.central.dimension, [c.dimension for c in problem.classes])
    tops = tuple(Moment(central=top) for top in top_levels(general))
    return Question(model, problem, moments, combine, tops)


def _checked(model: Any, central_state: Any = "up", bath_bloch: Any = None) -> CollectiveModel:
    if isinstance(model, CentralSpinModel):
        if bath_bloch is None:
            model.epsilon  # noqa: B018 - names the rates where no stationary state of the bath exists
        return collective_model(model, central_state, bath_bloch)
    if not isinstance(model, CollectiveModel):
        raise ArgumentError("model", "be a CentralSpinModel or a CollectiveModel", short(model))
    if bath_bloch is not None or not (isinstance(central_state, str) and central_state == "up"):
        raise ArgumentError(
            "central_state" if bath_bloch is None else "bath_bloch",
            "be left out for a CollectiveModel, which carries its initial states",
            short(central_state if bath_bloch is None else bath_bloch),
        )
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
    if not isinstance(method, str) or method not in METHODS:
        raise ArgumentError("method", f"be among {', '.join(METHODS)}", short(method))
    chosen: Any  # a module; only the one that is used is imported, for QuTiP is slow
    if method == "symmetric":
        from .symmetric import solver as chosen
    else:
        chosen = importlib.import_module(f".methods.{method}", __package__)
    checked = check_options(chosen.OPTIONS, method, options)
    if t_stops:
        checked["t_stops"] = tuple(t_stops)
    tolerance = real_number("tolerance", tolerance, minimum=1e-13, maximum=0.1)
    unlimited = isinstance(time_budget, float) and time_budget == math.inf
    budget = math.inf if unlimited else real_number("time_budget", time_budget, minimum=0)
    problem = question.problem
    scaled = None if times is None else times * problem.unit
    moments = tuple(needed([*question.moments, *question.tops], chosen.ABOUT))
    task = Task(problem, scaled, moments, tolerance, checked, Progress(budget))
    refusal = chosen.refuses(task)
    if refusal is not None:
        raise refusal
    return task, chosen


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
        checked["memory_budget"] = real_number("memory_budget", checked["memory_budget"], minimum=0)
    return checked


def combined(question: Question, task: Task, about: str, reading: Reading) -> dict[str, Any]:
    """What was asked for, from what the method read."""
    arithmetic = Arithmetic(
        task.moments,
        reading.values[None],
        about,
        shift(task.problem, task.times, (None,), task.options.get("t_stops", ())),
    )
    full = max((float(np.real(arithmetic(top)).max()) for top in question.tops), default=0.0)
    if full > task.tolerance:
        reading.details["warning"] = (
            f"the highest level of an oscillator in the central system holds up to {full:.2g}: give it more levels"
        )
    return {name: value[0] for name, value in question.combine(arithmetic).items()}


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
    from dataclasses import replace

    return replace(sites, count=math.inf, share=share)


def _number(value: Any) -> Any:
    return complex(value) if np.iscomplexobj(value) else float(value)
