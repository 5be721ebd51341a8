"""The front door: convert → check → dispatch → run → combine; see `question` for the first three."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .errors import ArgumentError
from .problem.central_spin import CentralSpinModel
from .problem.checks import LARGEST_NUMBER, increasing_times, integer, real_number, sequence
from .problem.collective import CollectiveModel
from .problem.moments import Arithmetic, Moment
from .question import LARGEST_CUT, answer, ask, at_infinity, multiplied, number, prepare, told
from .result import Expansion, Stationary, Trajectory
from .state import State, check_trace
from .symmetric.basis import OperatorBasis
from .symmetric.solver import Solver, shift

#: Coefficients of 1/N^k that `expand` can compute.
LARGEST_EXPANSION = 3


def evolve(
    model: CentralSpinModel | CollectiveModel,
    times: Sequence[float],
    observables: Any = ("tau_x", "tau_y", "tau_z"),
    *,
    initial: State | None = None,
    central_state: Any = "up",
    bath_bloch: Any = None,
    method: str = "symmetric",
    tolerance: float = 1e-8,
    t_stops: Sequence[float] = (),
    time_budget: float = math.inf,
    **options: Any,
) -> Trajectory:
    """Evolve a state and return expectation values.

    Parameters
    ----------
    model : CentralSpinModel or CollectiveModel
        The problem. A `CollectiveModel` carries its initial states itself.
    times : sequence of float
        Increasing times ≥ 0 in units of 1/γ; the initial state is that of time 0.
    observables : sequence of str, or mapping of names to central operators or `Moment`
        Names known to `centralspin.OBSERVABLES` ("tau_z", "q", "Q2", "Q4", …; for a `CentralSpinModel`), or your own.
    initial : State, optional
        Go on from the end of an earlier run, `result.final`, or from a stationary state, `result.state`; also with
        another model of the same systems. Times then count from `initial.time`, and functions of time in the model go
        on: f(initial.time + t).
    central_state : str, sequence or matrix
        Of a product initial state: "up", "down", a Bloch vector, a ket or a 2×2 density matrix (NumPy or QuTiP).
    bath_bloch : sequence of 3 floats, optional
        Initial Bloch vector of every bath spin; None is the stationary state of its own dynamics, Ω_SS.
    method : str
        "symmetric" (default), "dicke", "full_space", "spin_boson", "mean_field" or "cumulants"; for stationary states
        also "dicke_polynomials".
    tolerance : float
        Largest absolute error of the values and of the moments behind them, for integration and truncation together.
        Where round-off of large moments leaves more, the result's `error` says so.
    t_stops : sequence of float
        Times at which something happens that is shorter than a 4000th of the whole time.
    time_budget : float
        Seconds after which the computation stops with a `BudgetError`.
    **options
        Of method "symmetric": `cut` (use this cut whatever the error) and `memory_budget` (bytes); of "cumulants":
        `order` (2).

    Returns
    -------
    Trajectory

    Raises
    ------
    ArgumentError
        If an argument is outside its domain or the method cannot do what is asked.
    TruncationError
        If the tolerance cannot be met within the memory budget.

    Examples
    --------
    >>> from centralspin import CentralSpinModel, evolve
    >>> found = evolve(CentralSpinModel.figure_2(N=80), [0, 1, 2], ("tau_z", "Q2"))
    >>> found["tau_z"]
    array([ 1.        , -0.06260596, -0.23529598])
    >>> found.error < 1e-8
    True
    """
    when = increasing_times(times)
    question = ask(model, observables, central_state, bath_bloch, initial, when)
    check_trace(question, "initial")
    stops = sorted(
        real_number("t_stops", t, minimum=0, maximum=LARGEST_NUMBER) * question.problem.unit
        for t in sequence("t_stops", t_stops)
    )
    values, task, reading = answer(question, when, tolerance, method, options, time_budget, stops)
    shaped = {
        name: np.ascontiguousarray(np.broadcast_to(value, when.shape)) for name, value in values.items()
    }
    began = 0.0 if question.start is None else question.start.time
    final = State.of(model, reading, began + float(when[-1]), task.tolerance)
    return Trajectory(shaped, model, method, task.tolerance, reading.error, reading.details, when, final)


def steady_state(
    model: CentralSpinModel | CollectiveModel,
    observables: Any = ("tau_x", "tau_y", "tau_z"),
    *,
    method: str | None = None,
    tolerance: float = 1e-8,
    time_budget: float = math.inf,
    **options: Any,
) -> Stationary:
    """Return expectation values in the stationary state; the parameters are those of `evolve`, but for `method`.

    Parameters
    ----------
    method : str, optional
        As for `evolve`. By default "symmetric", and another exact method where a weakly damped bath holds so many
        excitations that this one needs more unknowns, or that round-off hides the state from it: "dicke" for up to 99
        spins-½, "dicke_polynomials" for more, and "dicke" after it for up to 120, "spin_boson" at N = ∞. The result's
        `method` says which.

    Raises
    ------
    ConvergenceError
        If the stationary state is not unique.

    Examples
    --------
    >>> import math
    >>> from centralspin import CentralSpinModel, steady_state
    >>> steady_state(CentralSpinModel.figure_2(N=math.inf), "Q2")["Q2"]
    1.157347
    """
    question = ask(model, observables)
    found, task, reading = answer(question, None, tolerance, method, options, time_budget)
    values = {name: number(value) for name, value in found.items()}
    state = State.of(model, reading, 0.0, task.tolerance)
    return Stationary(
        values,
        model,
        reading.method or method or "symmetric",
        task.tolerance,
        reading.error,
        reading.details,
        state,
    )


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
        and 2z must be an integer, as must 2s of every `Moment`. Of a `CollectiveModel` with several classes every class
        keeps its share of the sites.
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
        If an argument is outside its domain, or if an observable approaches its limit more slowly than 1/N, with
        coefficients above the tolerance.
    ConvergenceError
        If round-off hides the coefficients, as it does where a weakly damped bath holds many excitations: no other
        method has them. `steady_state` at a few large N then tells how the limit is approached.

    Examples
    --------
    >>> from centralspin import CentralSpinModel, expand
    >>> series = expand(CentralSpinModel.figure_2(), None, "tau_z")
    >>> series.limit["tau_z"], series.coefficient["tau_z"]
    (-0.2753944, 0.0172307)
    >>> series.at(80)["tau_z"]
    -0.2751790
    """
    when = None if times is None else increasing_times(times)
    question = ask(at_infinity(model), observables, central_state, bath_bloch, None, when)
    if question.start is not None:
        raise ArgumentError("initial", "be a product state for an expansion", "a `State`")
    for z in (question.problem.scaling, *(m.scaling for m in question.moments if m.power)):
        if abs(2 * z - round(2 * z)) > 1e-12:
            raise ArgumentError("scaling", "be a multiple of ½ for an expansion in N^{−1/2}", f"{z:g}")
    task, _ = prepare(question, when, tolerance, "symmetric", options, time_budget)
    orders = range(2 * integer("terms", terms, minimum=1, maximum=LARGEST_EXPANSION) + 1)
    task = replace(task, multiplied=multiplied(question, task, "reference", orders))
    values, details, errors = Solver(task, orders).solve()
    about_reference = shift(task.problem, task.times, orders)
    arithmetic = Arithmetic(task.moments, values, "reference", about_reference, errors=errors)
    found, error = question.combine(arithmetic), told(question, arithmetic)
    # Parity makes those of N^{−1/2} that are absent zero; what is left out must not miss more than it may.
    if any(np.abs(value[1::2]).max() > task.tolerance for value in found.values()):
        raise ArgumentError("observables", "approach their limits as 1/N", "one that does so as 1/√N")
    made = (model, "expansion", task.tolerance, error, details)
    results: list[Any] = []
    for k in orders[::2]:
        if when is None:
            results.append(Stationary({name: number(value[k]) for name, value in found.items()}, *made))
        else:
            shaped = {n: np.ascontiguousarray(np.broadcast_to(v[k], when.shape)) for n, v in found.items()}
            results.append(Trajectory(shaped, *made, when))
    return Expansion(results[0], tuple(results[1:]))


def central_states(
    model: CentralSpinModel | CollectiveModel,
    times: Sequence[float],
    *,
    initial: State | None = None,
    central_state: Any = "up",
    bath_bloch: Any = None,
    tolerance: float = 1e-8,
    **options: Any,
) -> np.ndarray:
    """Return the density matrices of the central system in time, shape (times, d, d).

    The parameters are those of `evolve`; `qutip.Qobj(states[k])` makes a QuTiP operator of one of them.

    Examples
    --------
    >>> from centralspin import CentralSpinModel, central_states
    >>> states = central_states(CentralSpinModel.figure_2(N=80), [0, 1])
    >>> states.shape
    (2, 2, 2)
    >>> states[1, 0, 0].real
    0.468697
    """
    d = ask(model, {"trace": Moment()}, central_state, bath_bloch, initial).problem.central.dimension
    elements = OperatorBasis(d).elements
    observables = {str(i): Moment(central=e) for i, e in enumerate(elements)}
    options |= {
        "initial": initial,
        "central_state": central_state,
        "bath_bloch": bath_bloch,
        "tolerance": tolerance,
    }
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

    Examples
    --------
    >>> from centralspin import CentralSpinModel, liouvillian
    >>> L = liouvillian(CentralSpinModel.figure_2(N=80), cut=4)
    >>> L.matrix.shape[0] == len(L.initial) == 4 * L.space.size
    True
    >>> (L.rows @ L.initial)[0]
    1.0
    """
    given = {"trace": Moment()} if observables is None else observables
    question = ask(model, given, central_state, bath_bloch)
    task, _ = prepare(question, np.zeros(1), 1e-8, "symmetric", {"cut": cut}, math.inf)
    solver = Solver(task, whole=True)
    if solver.compiled.moving:
        raise ArgumentError(
            "bath_bloch", "leave the sites at rest, so that their generator is constant", "moving them"
        )
    solver.cut = integer("cut", cut, maximum=LARGEST_CUT)
    generator = solver.generator(solver.shape.sets(solver.cut)[0])
    (matrix,), (rows,) = (
        generator.matrices(solver.references),
        generator.rows(solver.readout, solver.references),
    )
    start = solver.start(generator, np.ones((generator.size, 2), dtype=bool))[:, 0]
    return Liouvillian(matrix * question.problem.unit, generator.space, start, rows)
