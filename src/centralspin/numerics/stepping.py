r"""Stepping v̇ = L v in time; nothing here knows what L describes. Rates are of order 1."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from numpy.polynomial.chebyshev import chebvander
from scipy.integrate import solve_ivp
from scipy.sparse import eye_array

from ..errors import ConvergenceError

try:
    from scipy.sparse._sparsetools import csr_matvec
except ImportError:  # a SciPy that has moved it
    csr_matvec = None

#: Degree of the Taylor polynomial of one step. Larger degrees take longer steps but lose digits: the terms
#: of a step grow to exp(h‖L‖) before they cancel, about 10⁴ at this degree.
DEGREE = 40
#: The share of the tolerance that all steps of a run together may use up.
RUN_SHARE = 0.05
#: Round-off of one floating-point operation, and the least error per step that is asked for.
EPSILON = np.finfo(float).eps
#: The share of the tolerance asked of each step of the Runge–Kutta method, whose own estimate is per step.
STEP_SHARE = 1e-3
#: A step's length is adapted until its Taylor series has a degree in this range: longer steps take more terms
#: than they save, and the terms grow before they cancel.
BEST_DEGREE = (30, 42)
#: A function of time is sampled at so many times to find out when it changes.
SAMPLES = 4000
#: The integration stops and starts afresh whenever a function has changed by this part of its range.
VARIATION = 0.5


#: Degree of the polynomials that stand for functions of time in a step, laid through Chebyshev's nodes, here on (0, 1),
#: and where they are compared with the functions beside the samples that lie in the step.
CURVE = 10
NODES = np.sort((1 - np.cos(np.pi * (np.arange(CURVE + 1) + 0.5) / (CURVE + 1))) / 2)
BETWEEN = (NODES[1:] + NODES[:-1]) / 2
#: The first of these places at the edge of a step, and at times that are named, where anything may happen close by.
EDGE, NEAR = np.zeros(1), 0.5 ** np.arange(2.0, 40.0)
#: From values at the nodes to coefficients of Chebyshev's polynomials, and from those to coefficients of powers: in two
#: steps, because the second matrix is large where the first coefficients are small.
TO_CHEBYSHEV = np.linalg.inv(chebvander(2 * NODES - 1, CURVE)).T
TO_POWERS = np.array(
    [
        np.pad(Chebyshev.basis(k, domain=(0, 1)).convert(kind=Polynomial).coef, (0, CURVE - k))
        for k in range(CURVE + 1)
    ]
)
#: The part of the error allowed to a run that one step over a jump may make, and the shortest step, as a part of the
#: whole time, that is tried after it; by how much the next step may be longer than one.
ACCIDENT, GRAIN, GROWTH = 1e-4, 1e-6, 1.5


class Stepper:
    r"""Steps V̇ = L V for a constant L and one or several columns, with a Taylor series in every step.

    With μ the mean of the diagonal, every step expands exp((L − μ) s) V, which takes fewer terms than exp(L s) V
    because a generator's spectrum lies to the left of 0. All output times inside the step are read from the same
    polynomial, so that dense output costs nothing. The step length follows from the size of the last terms, which are
    known before the step is taken, so no step is ever rejected; and from the size of the largest term, whose round-off
    a step adds.

    Parameters
    ----------
    L : sparse matrix, shape (n, n)
        The generator, real or complex.
    V : ndarray, shape (c, n)
        The columns, one after the other, at time 0.
    mask : ndarray of bool, shape (c, n), optional
        Column j evolves by L restricted to the rows and columns that its mask keeps.
    further : float
        The size of what else moves V.
    """

    def __init__(self, L: Any, V: np.ndarray, mask: np.ndarray | None = None, further: float = 0.0) -> None:
        self.V, self.time = V, 0.0
        self._mean = float(L.diagonal().sum().real / V.shape[1])
        self._shifted = (L - self._mean * eye_array(V.shape[1], format="csr")).tocsr()
        self._keep = [
            None if mask is None or row.all() else row.astype(float) for row in (V if mask is None else mask)
        ]
        # Terms are scaled by a unit of time of the order of a step so that they neither over- nor underflow.
        self._unit = 1 / max(float(abs(self._shifted).sum(axis=1).max()) + further, 1e-300)
        self._shifted = (self._unit * self._shifted).astype(np.result_type(L.dtype, V.dtype))
        self._terms = np.empty((len(V), DEGREE + 1, V.shape[1]), dtype=np.result_type(L.dtype, V.dtype))
        self.steps = 0

    def expand(self) -> None:
        """Compute the Taylor terms of the next step."""
        for terms, start, keep in zip(self._terms, self.V, self._keep, strict=True):
            terms[0] = start
            for k in range(DEGREE):  # one vector at a time: SciPy multiplies several at once more slowly
                multiply(self._shifted, terms[k], terms[k + 1])
                if keep is not None:
                    terms[k + 1] *= keep
                terms[k + 1] *= 1 / (k + 1)

    def length(self, rate: float, floor: float, longest: float) -> float:
        """The longest step of the expanded series whose error stays below `rate` per time, at most `longest`."""
        sizes = np.abs(self._terms).max(axis=(0, 2))
        tail = [(k, sizes[k]) for k in (DEGREE - 1, DEGREE) if sizes[k]]  # one alone may vanish by symmetry
        top = longest / self._unit
        length = top
        for _ in range(3):  # the allowed error depends on the length
            allowed = max(rate * length * self._unit, floor)
            length = min([top, *((allowed / size) ** (1 / k) for k, size in tail)])
        powers = np.arange(DEGREE + 1)
        own = 4 * EPSILON * sizes[0]  # the round-off of the state itself, which no shorter step makes smaller
        while length > 1 and EPSILON * (sizes * length**powers).max() > max(
            rate * length * self._unit, floor, own
        ):
            length *= 0.8
        return min(length * self._unit, longest)

    def at(self, offsets: np.ndarray, readout: Any) -> np.ndarray:
        """Readout @ V at times after the start of the step, shape (offsets, readouts, columns)."""
        s = offsets / self._unit
        polynomials = np.exp(self._mean * offsets)[:, None] * s[:, None] ** np.arange(DEGREE + 1)
        used = np.unique(readout.indices)  # few entries are read: gather them before anything is multiplied
        rows = self._terms[:, :, used] @ readout[:, used].toarray().T  # (c, k, r)
        return np.moveaxis(polynomials @ rows, 0, -1)

    def advance(self, length: float) -> None:
        """Take the step."""
        s = length / self._unit
        powers = math.exp(self._mean * length) * s ** np.arange(DEGREE + 1)
        self.V = np.einsum("k,ckn->cn", powers, self._terms)
        self.time += length
        self.steps += 1


def multiply(L: Any, x: np.ndarray, out: np.ndarray) -> None:
    """Write L @ x into `out`; all of one type. SciPy's checks take as long as the product of a small matrix."""
    if csr_matvec is None:
        out[:] = L @ x
        return
    out[:] = 0
    csr_matvec(*L.shape, L.indptr, L.indices, L.data, x, out)


def evolve_linear(
    L: Any,
    V: np.ndarray,
    times: np.ndarray,
    readout: Any,
    tolerance: float,
    mask: np.ndarray | None = None,
    settle: Callable[[Stepper], np.ndarray | None] | None = None,
    progress: Any = None,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return readout @ exp(L t) V at the given times, and V at the last of them.

    Parameters
    ----------
    L : sparse matrix, shape (n, n)
        The generator, real or complex.
    V : ndarray, shape (n,) or (n, c)
        The state, or several, at time 0.
    times : ndarray, shape (k,)
        Increasing output times ≥ 0.
    readout : sparse matrix, shape (m, n)
        One row per quantity.
    tolerance : float
        Absolute error of the states in the maximum norm, for the whole run, but for the round-off of large ones.
    mask : ndarray of bool, shape (n, c), optional
        See `Stepper`.
    settle : callable, optional
        Called after every step; returns the state from which the rest is read, once nothing changes any more.
    progress : callable, optional
        Told which fraction is done.

    Returns
    -------
    values : ndarray, shape (k, m) or (k, m, c)
    V : ndarray, of the shape of V
    """
    columns = np.ascontiguousarray(V.reshape(len(V), -1).T)
    stepper = Stepper(L, columns, None if mask is None else mask.T)
    span = float(times[-1])
    values = np.empty(
        (len(times), readout.shape[0], len(columns)), dtype=np.result_type(L.dtype, V.dtype, readout.dtype)
    )
    scale = max(1.0, float(np.abs(columns).max(initial=0)))
    rate = RUN_SHARE * tolerance * scale / max(span, 1e-300)
    floor = 4 * EPSILON * scale  # an error per step that cannot be improved on
    done, began = 0, 0.0 if progress is None else progress.seconds
    while done < len(times):
        stepper.expand()
        length = stepper.length(rate, floor, span - stepper.time)
        start, end = stepper.time, stepper.time + length
        if end >= span * (1 - 1e-15):
            end = span
        if end <= start < span:
            raise ConvergenceError(f"The time step at t = {start:g} fell below round-off.")
        last = done + int(np.searchsorted(times[done:], end, side="right"))
        if last > done:
            values[done:last] = stepper.at(times[done:last] - start, readout)
            done = last
        stepper.advance(end - start)
        stepper.time = end
        if progress is not None:
            if stepper.steps == 1 and end > 0:
                progress.expect(progress.seconds - began, span / end - 1, "evolution in time")
            progress(end / max(span, 1e-300), "evolution in time")
        if done < len(times) and settle is not None and (rest := settle(stepper)) is not None:
            values[done:] = readout @ rest.T
            stepper.V, done = rest, len(times)
    shape = (len(times), readout.shape[0], *V.shape[1:])
    return values.reshape(shape), stepper.V.T.reshape(V.shape)


class DrivenStepper(Stepper):
    r"""Steps V̇ = (L + Σ_i f_i(t) L_i) V with the Taylor series of a polynomial through every f_i.

    With :math:`f_i(t + s) = \sum_j a_{ij} s^j` the terms follow from
    :math:`(k + 1) V_{k+1} = L V_k + \sum_{ij} a_{ij} L_i V_{k-j}`; one product per matrix and term, as without drive.

    Parameters
    ----------
    L, V, mask
        As for `Stepper`.
    parts : sequence of (f, L_i)
        The functions of time and their matrices.
    span : float
        The functions are sampled from 0 to this time, and no polynomial passes a sample by.
    """

    def __init__(
        self,
        L: Any,
        parts: Sequence[tuple[Callable[[float], float], Any]],
        V: np.ndarray,
        span: float,
        mask: np.ndarray | None = None,
    ) -> None:
        self._functions = [f for f, _ in parts]
        self._grid = np.linspace(0, span, SAMPLES + 1)
        self._samples = np.array([[f(t) for t in self._grid.tolist()] for f in self._functions])
        self._sizes = np.array([float(abs(part).sum(axis=1).max()) for _, part in parts])
        super().__init__(L, V, mask, float(np.abs(self._samples).max(axis=1) @ self._sizes))
        self._driving = [(self._unit * part).astype(self._shifted.dtype) for _, part in parts]
        #: L_i V_k, the latest first.
        self._driven = np.empty((len(parts), DEGREE, V.shape[1]), dtype=self._terms.dtype)
        self._curves = np.zeros((len(parts), CURVE + 1))

    def fit(self, length: float, rate: float, accident: float, stops: np.ndarray) -> float:
        """Lay polynomials through the functions over a step as long as the error they make allows.

        Parameters
        ----------
        length : float
            The longest step.
        rate, accident : float
            What is allowed of the error per time, and of one step that contains a jump of a function.
        stops : ndarray
            Times at which a step ends, and a function may jump.
        """
        while length > 0:
            first, last = np.searchsorted(self._grid, [self.time, self.time + length])
            ends = self.time in stops, bool(np.isclose(self.time + length, stops, rtol=1e-15, atol=0).any())
            near = [
                NEAR if named else EDGE for named in ends
            ]  # at a named time both values of a jump are right
            places = self.time + length * np.r_[near[0], BETWEEN, 1 - near[1]]
            values, between = (
                np.array([[f(t) for t in where.tolist()] for f in self._functions])
                for where in (self.time + length * NODES, places)
            )
            places = np.r_[places, self._grid[first + 1 : last]]
            right = np.hstack([between, self._samples[:, first + 1 : last]])
            curves = values @ TO_CHEBYSHEV @ TO_POWERS
            powers = ((places - self.time) / length) ** np.arange(CURVE + 1)[:, None]
            missed = np.abs(curves @ powers - right).max(axis=1)
            slope = np.abs(np.diff(values) / np.diff(NODES)).max(axis=1) * self.time / length
            round_off = (
                100 * EPSILON * (np.abs(values).max(axis=1) + slope)
            )  # that of the time moves a steep function
            error = float(np.where(missed > round_off, missed, 0.0) @ self._sizes)
            self._curves = curves * (self._unit / length) ** np.arange(CURVE + 1)
            if error <= rate or error * length <= accident:
                break
            length /= 2
        return length

    def expand_over(self, length: float, floor: float) -> None:
        """Compute the Taylor terms of a step of the last `fit`; those that add less than `floor` to it are zero."""
        powers = (length / self._unit) ** np.arange(DEGREE + 1)
        for terms, start, keep in zip(self._terms, self.V, self._keep, strict=True):
            terms[0], small = start, 0
            for k in range(DEGREE):
                if small == 2:  # one alone may vanish by symmetry
                    terms[k + 1 :] = 0
                    break
                multiply(self._shifted, terms[k], terms[k + 1])
                latest, count = DEGREE - 1 - k, min(k, CURVE) + 1
                for part, driven, curve in zip(self._driving, self._driven, self._curves, strict=True):
                    multiply(part, terms[k], driven[latest])
                    terms[k + 1] += curve[:count] @ driven[latest : latest + count]
                if keep is not None:
                    terms[k + 1] *= keep
                terms[k + 1] *= 1 / (k + 1)
                small = small + 1 if np.abs(terms[k + 1]).max() * powers[k + 1] < floor else 0


def evolve_driven(
    L: Any,
    parts: Sequence[tuple[Callable[[float], float], Any]],
    V: np.ndarray,
    times: np.ndarray,
    readout: Any,
    tolerance: float,
    mask: np.ndarray | None = None,
    t_stops: Sequence[float] = (),
    progress: Any = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return readout @ V(t) of V̇ = (L + Σ_i f_i(t) L_i) V at the given times, and V at the last of them.

    Parameters
    ----------
    parts : sequence of (f, L_i)
        The functions of time and their matrices.
    t_stops : sequence of float
        Times at which a step ends.
    L, V, times, readout, tolerance, mask, progress
        As for `evolve_linear`.

    Returns
    -------
    values : ndarray, shape (k, m) or (k, m, c)
    V : ndarray, of the shape of V
    """
    columns = np.ascontiguousarray(V.reshape(len(V), -1).T)
    span = float(times[-1])
    stepper = DrivenStepper(L, parts, columns, span, None if mask is None else mask.T)
    stops = np.unique([0.0, *(t for t in t_stops if 0 < t < span), span])
    shape = (len(times), readout.shape[0], *V.shape[1:])
    values = np.empty(
        (len(times), readout.shape[0], len(columns)), np.result_type(L.dtype, V.dtype, readout.dtype)
    )
    scale = max(1.0, float(np.abs(columns).max(initial=0)))
    rate = RUN_SHARE * tolerance * scale / max(span, 1e-300)
    floor = 4 * EPSILON * scale  # an error per step that cannot be improved on
    done, length = 0, span
    while done < len(times):
        start = stepper.time
        stop = float(stops[min(int(np.searchsorted(stops, start, side="right")), len(stops) - 1)])
        fitted = stepper.fit(min(length, stop - start), rate, max(ACCIDENT * rate * span, floor), stops)
        stepper.expand_over(fitted, max(rate * fitted, floor) / 4)
        taken = stepper.length(rate, floor, fitted)
        end = stop if start + taken >= stop * (1 - 1e-15) else start + taken
        if end <= start < span:
            raise ConvergenceError(f"The time step at t = {start:g} fell below round-off.")
        last = done + int(np.searchsorted(times[done:], end, side="right"))
        if last > done:
            values[done:last] = stepper.at(times[done:last] - start, readout)
            done = last
        stepper.advance(end - start)
        if taken < min(length, stop - start):
            length = taken
        stepper.time, length = end, max(GROWTH * length, GRAIN * span)
        if progress is not None:
            progress(end / max(span, 1e-300), "evolution in time")
    return values.reshape(shape), stepper.V.T.reshape(V.shape)


def propagate(L: Any, v: np.ndarray, times: Sequence[float] | np.ndarray, tolerance: float) -> np.ndarray:
    """Return the states exp(L t) v at a few increasing times, shape (times, n).

    `Stepper` keeps every Taylor term, 41 copies of the state, to read out few numbers at many times. Here whole states
    are wanted: the series of L − μ keeps two terms, and a step takes as many as its length needs.

    Parameters
    ----------
    L : sparse matrix, shape (n, n)
        The generator.
    v : ndarray, shape (n,)
        The state at time 0.
    times : sequence of float
        Increasing times ≥ 0.
    tolerance : float
        Error relative to the largest entry of v, for the whole run.
    """
    mean = float(L.diagonal().sum().real / len(v))
    L = (L - mean * eye_array(len(v), format="csr")).tocsr()
    step = 8 / max(float(abs(L).sum(axis=1).max()), 1e-300)
    size = max(float(np.abs(v).max()), 1e-300)
    rate = RUN_SHARE * tolerance * size / max(float(times[-1]), 1e-300)
    states, now, state = [], 0.0, v
    for time in times:
        while now < time:
            length = min(step, time - now)
            target = max(rate * length, EPSILON * size / 16)
            term, total, degree, last, before = state, state.copy(), 0, math.inf, math.inf
            while last + before > target:  # both last terms: one alone may vanish by symmetry
                degree += 1
                term = L @ term
                term *= length / degree
                total += term
                before, last = last, float(np.abs(term).max())
            state, now = math.exp(mean * length) * total, now + length
            if length == step:  # not one cut short by an output time
                step *= 1.2 if degree < BEST_DEGREE[0] else 0.8 if degree > BEST_DEGREE[1] else 1.0
        states.append(state)
    return np.array(states)


def integrate(
    derivative: Callable[[float, np.ndarray], np.ndarray],
    v: np.ndarray,
    times: np.ndarray,
    tolerance: float,
    *,
    timed: bool = False,
    factors: Sequence[Callable[[float], float]] = (),
    t_stops: Sequence[float] = (),
    event: Callable[[float, np.ndarray], float] | None = None,
    progress: Any = None,
) -> np.ndarray:
    """Return the states v(t), shape (times, n), of v̇ = f(t, v) by an eighth-order Runge–Kutta method.

    Parameters
    ----------
    derivative : callable
        f(t, v).
    v : ndarray, shape (n,)
        The state at time 0.
    times : ndarray
        Increasing output times ≥ 0.
    tolerance : float
        Absolute error.
    timed : bool
        Whether f depends on t explicitly; without `factors` no step is then longer than the longest output interval.
    factors : sequence of callables
        The functions of time that f contains. They are sampled, and the integration starts afresh wherever they change.
    t_stops : sequence of float
        Further times at which it starts afresh.
    event : callable, optional
        Stops the integration where it vanishes, see `scipy.integrate.solve_ivp`.
    progress : callable, optional
        Told which fraction is done.
    """
    span = float(times[-1])
    accuracy = max(tolerance * STEP_SHARE, 1e-13)
    stops = np.unique(np.r_[0.0, breakpoints(factors, span), [t for t in t_stops if 0 < t < span], span])
    longest = float(np.diff(np.r_[0.0, times]).max()) if timed and not factors else math.inf
    values = np.empty((len(times), len(v)), dtype=np.result_type(v.dtype, float))
    values[times == 0] = v

    def told(t: float, y: np.ndarray) -> np.ndarray:
        if progress is not None:
            progress(t / span, "evolution in time")
        return derivative(t, y)

    for start, end in itertools.pairwise(stops):
        inside = (times > start) & (times <= end)
        # In the far tail of a pulse the error of a step may come out as 0/0; the step is then repeated.
        with np.errstate(invalid="ignore"):
            result = solve_ivp(
                told, (start, end), v, "DOP853", t_eval=np.unique(np.r_[times[inside], end]), rtol=accuracy,
                atol=accuracy, max_step=longest or math.inf, events=event,
            )  # fmt: skip
        if result.status == 1:
            raise StoppedError(float(result.t_events[0][0]))
        if not result.success or not np.isfinite(result.y).all():
            raise ConvergenceError(
                f"The integration in time stopped at t = {result.t[-1]:g}: {result.message}"
            )
        values[inside] = result.y.T[: inside.sum()]
        v = result.y[:, -1]
    return values


class StoppedError(ConvergenceError):
    """The event of an integration occurred at the time `time`."""

    def __init__(self, time: float) -> None:
        super().__init__(f"The integration in time was stopped at t = {time:.4g}.")
        self.time = time


def breakpoints(factors: Sequence[Callable[[float], float]], span: float) -> np.ndarray:
    """Times between which none of the functions changes by more than a part of its range."""
    found = [np.zeros(0)]
    for factor in factors:
        grid = np.linspace(0, span, SAMPLES + 1)
        samples = np.array([factor(t) for t in grid])
        spread = np.ptp(samples)
        if spread <= 1e-12 * np.abs(samples).max():
            continue
        way = np.cumsum(np.abs(np.diff(samples))) / (VARIATION * spread)
        found.append(grid[1:][np.diff(np.floor(np.r_[0.0, way])) > 0])
        found.append(grid[:-1][np.diff(np.floor(np.r_[0.0, way])) > 0])
    return np.unique(np.concatenate(found))
