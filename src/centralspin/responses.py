"""Two-time correlations, spectra, and the rates at which a system forgets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .errors import ArgumentError
from .problem.central_spin import CentralSpinModel
from .problem.checks import (
    LARGEST_NUMBER,
    checked,
    increasing_times,
    integer,
    is_operator,
    real_number,
    sequence,
    short,
    truth,
)
from .problem.collective import CollectiveModel
from .problem.moments import Arithmetic, Moment, needed
from .question import Question, ask, prepare, told
from .result import Response
from .state import State
from .symmetric import response
from .symmetric.solver import Solver, shift

#: How many eigenvalues may be asked for.
LARGEST_COUNT = 200
#: Dimensionless eigenvalues closer than this differ by round-off.
RESOLVED = 1e-9
#: From one number to the next, relative to both, in which two operators are the same.
SAME = 1e-14


def correlation(
    model: CentralSpinModel | CollectiveModel,
    times: Sequence[float],
    operators: tuple[Any, Any, Any],
    *,
    state: State | str = "stationary",
    tolerance: float = 1e-8,
    time_budget: float = math.inf,
    **options: Any,
) -> Response:
    r"""Return the two-time correlation :math:`⟨A(0)\, B(τ)\, C(0)⟩`.

    By the quantum regression theorem it is :math:`\mathrm{Tr}\, B\, e^{Lτ}[C ρ A]`. With A None it is ⟨B(τ) C(0)⟩, with
    C None ⟨A(0) B(τ)⟩; :math:`g^{(2)}(τ) = ⟨a^†(0)\, a^†a(τ)\, a(0)⟩ / ⟨a^†a⟩^2`.

    Parameters
    ----------
    model : CentralSpinModel or CollectiveModel
        The problem.
    times : sequence of float
        Increasing τ ≥ 0 in units of 1/γ.
    operators : (A, B, C)
        Each of them None, an operator of the central system (NumPy or QuTiP, Hermitian or not), or a `Moment` whose
        `site` is summed over the sites: ``Moment(site=SIGMA_MINUS)`` is :math:`N^{-1/2} \sum_k σ_-^{(k)}` about its
        value in the reference states.
    state : State or "stationary"
        ρ, at τ = 0.
    tolerance : float
        Largest absolute error.
    time_budget, **options
        As for `evolve`.

    Returns
    -------
    Response
        A complex array, one value per time.

    Raises
    ------
    ArgumentError
        If an argument is outside its domain.
    ConvergenceError
        If the stationary state is not unique.
    TruncationError
        If the tolerance cannot be met within the memory budget.
    """
    when = increasing_times(times)
    given = sequence("operators", operators)
    if len(given) != 3:
        raise ArgumentError("operators", "be A, B, C of ⟨A(0) B(τ) C(0)⟩", f"{len(given)} operators")
    A, B, C = (_moment(f"operators[{i}]", given[i]) for i in range(3))
    start = None if isinstance(state, str) and state == "stationary" else state
    if start is not None and not isinstance(start, State):
        raise ArgumentError("state", 'be "stationary" or a `State`', short(state))
    question = ask(model, {"B": B}, initial=start)
    task = _task(question, when, tolerance, time_budget, options, start)
    now = replace(task, times=np.zeros(1))
    factors = [_factor(question, moment, start, now) for moment in (A, C)]
    solver = response.Response(task, factors[0], factors[1], start is None)
    values, details, error = solver.solve()
    found, error = _read(question, task, values, error, start)
    return Response.of(np.broadcast_to(found, when.shape), when, model, task.tolerance, error, details)


@checked(connected=truth)
def spectrum(
    model: CentralSpinModel | CollectiveModel,
    frequencies: Sequence[float],
    A: Any,
    B: Any,
    *,
    connected: bool = True,
    tolerance: float = 1e-6,
    time_budget: float = math.inf,
    **options: Any,
) -> Response:
    r"""Return the spectrum :math:`S(ω) = \int_{-∞}^{∞} e^{-iωτ} ⟨A(τ) B(0)⟩\, dτ` in the stationary state.

    The sign is that of QuTiP. With A = B† it is real and not negative, :math:`2\,\mathrm{Re} \int_0^∞`; for other pairs
    both halves of the integral are computed. The light of an emitter at the frequency ω_e that decays by σ− has its
    line at ω = ω_e with ``A = SIGMA_PLUS, B = SIGMA_MINUS``.

    Parameters
    ----------
    model : CentralSpinModel or CollectiveModel
        The problem.
    frequencies : sequence of float
        ω in units of γ; a thousand of them cost little more than one.
    A, B
        Operators of the central system or `Moment`, see `correlation`.
    connected : bool
        Leave out what does not decay, ⟨A⟩⟨B⟩. If it is kept it is infinite at ω = 0 and nothing elsewhere; its weight,
        the coefficient 2π⟨A⟩⟨B⟩ of δ(ω), is in `.details["coherent"]`.
    tolerance : float
        Largest absolute error, in units of the correlation over the largest rate of the model.
    time_budget, **options
        As for `evolve`.

    Returns
    -------
    Response
        An array, one value per frequency; real where A = B†.

    Raises
    ------
    ArgumentError, ConvergenceError, TruncationError
        As `correlation`.
    """
    given = sequence("frequencies", frequencies)
    if not given:
        raise ArgumentError("frequencies", "hold at least one frequency", "empty")
    left, right = _moment("A", A), _moment("B", B)
    question = ask(model, {"A": left, "B": right})
    unit = question.problem.unit
    most = LARGEST_NUMBER * unit
    omega = np.array([real_number("frequencies", w, minimum=-most, maximum=most) for w in given])
    total: Any = 0.0
    adjoint = _adjoint(left, right)
    error = 0.0
    details: dict[str, Any] = {}
    # ∫_{−∞}^0 is the conjugate of ∫_0^∞ where A = B†, and ∫_0^∞ e^{iωτ} ⟨A(0) B(τ)⟩ in general.
    for read, sign in ((left, 1.0),) if adjoint else ((left, 1.0), (right, -1.0)):
        asked = ask(model, {"X": read})
        task = _task(asked, np.zeros(1), tolerance, time_budget, options, None)
        other = _factor(asked, right if sign > 0 else left, None, task)
        A_, C_ = (None, other) if sign > 0 else (other, None)
        solver = response.Spectral(task, A_, C_, sign * omega / unit)
        values, details, missed = solver.solve()
        found, missed = _read(asked, task, values, missed)
        total, error = total + found, error + missed
    values = (2 * np.real(total) if adjoint else total) / unit
    means = _means(model, left, right, tolerance, options)
    details["coherent"] = 2 * math.pi * means[0] * means[1]
    if not connected and abs(details["coherent"]) > tolerance:
        values = np.where(omega == 0, math.inf, values)
    error = error * (2 if adjoint else 1) / unit
    return Response.of(values, omega, model, task.tolerance, error, details)


def eigenvalues(
    model: CentralSpinModel | CollectiveModel,
    k: int = 6,
    *,
    tolerance: float = 1e-6,
    time_budget: float = math.inf,
    **options: Any,
) -> Response:
    """Return the k slowest eigenvalues of the Lindbladian, those with the largest real parts; the first is 0.

    They are those of permutation-invariant states, and of modes that the central system reaches: those of which its
    own dynamics, or an observable, can tell. At N = ∞ the modes that decouple are left out.

    Parameters
    ----------
    model : CentralSpinModel or CollectiveModel
        The problem, constant in time.
    k : int
        How many.
    tolerance : float
        Largest absolute error, in units of the largest rate of the model.
    time_budget, **options
        As for `evolve`.

    Returns
    -------
    Response
        A complex array in descending order of the real parts, with `.gap`. Of a conjugate pair the one with a positive
        imaginary part comes first, and only it where k ends between them.

    Raises
    ------
    ArgumentError, TruncationError
        As `steady_state`.
    """
    count = integer("k", k, minimum=1, maximum=LARGEST_COUNT)
    question = ask(model, {"trace": Moment()})
    task, _ = prepare(question, None, tolerance, "symmetric", options, time_budget)
    values, details, error = response.Decay(task, count).solve()
    unit = question.problem.unit
    found = in_pairs(values.ravel(), task.tolerance) * unit
    return Response.of(found, np.arange(len(found)), model, task.tolerance, error * unit, details)


def gap(model: CentralSpinModel | CollectiveModel, **options: Any) -> float:
    """Return the rate at which the slowest deviation from the stationary state decays; arguments as `eigenvalues`.

    Raises
    ------
    ArgumentError
        As `eigenvalues`, and where there is no deviation: no second eigenvalue.
    """
    return eigenvalues(model, 4, **options).gap


def in_pairs(values: np.ndarray, tolerance: float) -> np.ndarray:
    """Bring eigenvalues of a real matrix, in descending order of real parts, into one that round-off leaves alone.

    Those of one real part are ordered by their distance from the real axis; of a pair the upper one comes first.
    """
    rest, found = values.tolist(), list[complex]()
    while rest:
        level = [value for value in rest if value.real > rest[0].real - RESOLVED]
        first = min(level, key=lambda value: abs(value.imag))
        rest.remove(first)
        upper = complex(first.real, abs(first.imag) if abs(first.imag) > RESOLVED else first.imag)
        found.append(upper)
        other = min(rest, key=lambda value: abs(value - first.conjugate()), default=math.inf)
        if upper.imag > RESOLVED and abs(other - first.conjugate()) <= tolerance:
            rest.remove(other)
            found.append(upper.conjugate())
    return np.array(found)


def _moment(name: str, operator: Any) -> Moment:
    if operator is None:
        return Moment()
    if isinstance(operator, Moment):
        return operator
    if not is_operator(operator):
        raise ArgumentError(name, "be None, an operator of the central system, or a Moment", short(operator))
    return Moment(central=operator)


def _task(
    question: Question, times: np.ndarray, tolerance: Any, budget: Any, options: Any, start: State | None
) -> Any:
    """The task of a response; where it starts from the stationary state, that there is one is checked."""
    task, method = prepare(question, times, tolerance, "symmetric", options, budget)
    task = replace(task, moments=tuple(needed([*task.moments, Moment()], method.ABOUT)))
    if start is None:
        refusal = method.refuses(replace(task, times=None))
        if refusal is not None:
            raise refusal
        task = replace(task, problem=task.problem.stationary())
    return task


def _factor(question: Question, moment: Moment, start: State | None, task: Any) -> Any:
    """An operator as a sum of those about the reference states."""
    if moment.central is None and not moment.power:
        return None
    problem = question.problem
    moment.check(problem.central.dimension, [c.dimension for c in problem.classes], problem.size)
    if not moment.power or moment.about == "reference":
        return [(1.0, moment)]
    if moment.about == "mean":
        c = -complex(_mean(moment, start, task)[0, 0])
    else:
        c = complex(np.ravel(shift(task.problem, np.zeros(1), (None,))(moment))[0])
    p = moment.power
    return [
        (math.comb(p, k) * c ** (p - k), replace(moment, power=k, about="reference")) for k in range(p + 1)
    ]


def _mean(moment: Moment, start: State | None, task: Any) -> np.ndarray:
    """⟨X⟩ about the reference states, shape (1, times): that of the state, whatever multiplies it in a correlation."""
    plain = replace(moment, central=None, power=1, about="reference")
    rest = {"times": None} if start is None else {"start": start.normalized().held}
    values = Solver(replace(task, moments=(plain,), **rest)).solve()[0]
    return values.reshape(1, -1)


def _read(
    question: Question, task: Any, values: np.ndarray, error: Any, start: State | None = None
) -> tuple[Any, Any]:
    """What was asked for, and its error."""
    arithmetic = Arithmetic(
        task.moments,
        values,
        "reference",
        shift(task.problem, task.times, (None,)),
        hermitian=False,
        mean=lambda moment: _mean(moment, start, task),
        errors=error,
    )
    (found,) = question.combine(arithmetic).values()
    return found[0], told(question, arithmetic)


def _adjoint(A: Moment, B: Moment) -> bool:
    """Whether A = B†."""

    def operators(moment: Moment, dagger: bool) -> list[Any]:
        found = [np.zeros(0) if moment.central is None else moment.central]
        found += [moment.operators[i] for i in moment.operators] if moment.power else []
        return [x.conj().T if dagger and x.ndim == 2 else x for x in found]

    same = (A.power, A.scaling, A.about, sorted(A.operators)) == (
        B.power,
        B.scaling,
        B.about,
        sorted(B.operators),
    )
    pairs = zip(operators(A, False), operators(B, True), strict=False)
    return same and all(
        x.shape == y.shape and bool((np.abs(x - y) <= SAME * np.abs(x)).all()) for x, y in pairs
    )


def _means(model: Any, A: Moment, B: Moment, tolerance: float, options: Any) -> tuple[complex, complex]:
    question = ask(model, {"A": A, "B": B})
    task, _ = prepare(question, None, tolerance, "symmetric", options, math.inf)
    values, *_ = Solver(task).solve()
    arithmetic = Arithmetic(task.moments, values, "reference", shift(task.problem, None, (None,)))
    found = question.combine(arithmetic)
    return complex(found["A"][0]), complex(found["B"][0])
