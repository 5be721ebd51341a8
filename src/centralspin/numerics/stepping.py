r"""Stepping v̇ = L v in time; nothing here knows what L describes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.sparse import eye_array

from ..errors import ConvergenceError

#: Degree of the Taylor polynomial of one step. Larger degrees take longer steps but lose digits: the terms
#: of a step grow to exp(h‖L‖) before they cancel, about 10⁴ at this degree.
DEGREE = 40
#: What one step may add to the error, as a fraction of the tolerance; a run takes tens to hundreds of steps.
STEP_SHARE = 1e-3


def evolve_linear(L: Any, v: np.ndarray, times: np.ndarray, readout: Any, tolerance: float) -> np.ndarray:
    r"""Return readout @ exp(L t) v at the given times, for a constant L.

    With μ the mean of the diagonal, every step expands exp((L − μ) s) v in its Taylor series, which takes fewer
    terms than exp(L s) v because a generator's spectrum lies to the left of 0. All output times inside the step
    are read from the same polynomial, so that dense output costs nothing. The step length follows from the size
    of the last terms, which are known before the step is taken, so no step is ever rejected.

    Parameters
    ----------
    L : sparse matrix, shape (n, n)
        The generator, real or complex.
    v : ndarray, shape (n,)
        The state at time 0.
    times : ndarray, shape (k,)
        Increasing output times ≥ 0.
    readout : sparse matrix, shape (m, n)
        One row per quantity.
    tolerance : float
        Absolute error of the state in the maximum norm.

    Returns
    -------
    ndarray, shape (k, m)
    """
    values = np.empty((len(times), readout.shape[0]), dtype=np.result_type(L.dtype, v.dtype, readout.dtype))
    terms = np.empty((DEGREE + 1, len(v)), dtype=np.result_type(L.dtype, v.dtype))
    terms[0] = v
    powers = np.arange(DEGREE + 1)
    mean = L.diagonal().sum().real / len(v)
    shifted = L - mean * eye_array(len(v), format="csr")
    # Terms are scaled by a unit of time of the order of a step so that they neither over- nor underflow.
    unit = 1 / max(float(abs(shifted).sum(axis=1).max()), 1e-300)
    # A Taylor polynomial and its error reach unit·exp(h‖L‖)·round-off; do not ask for less.
    target = max(tolerance * STEP_SHARE, 1e-14) * max(1.0, np.abs(v).max())
    start, done = 0.0, 0
    while done < len(times):
        for k in range(DEGREE):
            np.multiply(shifted @ terms[k], unit / (k + 1), out=terms[k + 1])
        tail = [np.abs(terms[k]).max() for k in (DEGREE - 1, DEGREE)]
        # Both last terms, since one alone may vanish by symmetry; exp(μ s) shrinks the error of a longer step.
        allowed = target
        for _ in range(2):
            steps = [
                (allowed / size) ** (1 / k)
                for size, k in zip(tail, (DEGREE - 1, DEGREE), strict=True)
                if size
            ]
            length = min([*steps, (times[-1] - start) / unit])  # in units of `unit`
            allowed = target * np.exp(-mean * unit * length) if mean < 0 else target
        end = start + length * unit
        last = done + int(np.searchsorted(times[done:], end * (1 + 1e-14), side="right"))
        if end <= start and steps and length == min(steps):
            raise ConvergenceError(f"The time step at t = {start:g} fell below round-off.")
        if last > done:
            offsets = (times[done:last] - start) / unit
            polynomials = np.exp(mean * unit * offsets)[:, None] * offsets[:, None] ** powers
            values[done:last] = polynomials @ (readout @ terms.T).T
            done = last
        terms[0] = np.exp(mean * unit * length) * (length**powers) @ terms
        start = end
    return values


def largest_step(times: np.ndarray) -> float:
    """The step that an integrator may take at most so that it sees what happens between the output times."""
    return float(np.diff(np.r_[0.0, times]).max()) or math.inf


def evolve_time_dependent(
    derivative: Callable[[float, np.ndarray], np.ndarray],
    v: np.ndarray,
    times: np.ndarray,
    tolerance: float,
    max_step: float = math.inf,
) -> np.ndarray:
    """Return the states v(t), shape (times, n), of v̇ = f(t, v) by an eighth-order Runge–Kutta method.

    An explicit function of time needs a `max_step`, or a short pulse may be stepped over.
    """
    accuracy = max(tolerance * STEP_SHARE, 1e-13)
    result = solve_ivp(
        derivative,
        (0.0, max(float(times[-1]), 1e-300)),
        v,
        method="DOP853",
        t_eval=times,
        rtol=accuracy,
        atol=accuracy,
        max_step=max_step,
    )
    if not result.success:
        raise ConvergenceError(f"The integration in time stopped: {result.message}")
    return np.asarray(result.y.T)
