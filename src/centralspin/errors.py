"""The sentences in which the package refuses bad input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class ArgumentError(ValueError):
    """An argument is outside its domain; the message is one sentence that names it."""

    def __init__(self, name: str, must: str, value: Any) -> None:
        super().__init__(f"Argument `{name}` must {must}, but is {value}.")


class TruncationError(RuntimeError):
    """A truncated computation cannot reach the requested tolerance within its budget."""


class ConvergenceError(RuntimeError):
    """A solver did not find what it was asked for; the message says what was tried."""


def real_number(name: str, value: Any, *, minimum: float = -math.inf) -> float:
    """Return `value` as a finite float not below `minimum`, or raise `ArgumentError`."""
    kind = "a finite real number" if minimum == -math.inf else f"a finite number not below {minimum:g}"
    if isinstance(value, (bool, np.bool_, str, bytes)) or np.ndim(value) != 0 or value is None:
        raise ArgumentError(name, f"be {kind}", repr(value))
    if np.iscomplexobj(value) or not math.isfinite(value) or value < minimum:
        raise ArgumentError(name, f"be {kind}", value)
    return float(value)


def real_vector(name: str, value: Any) -> tuple[float, float, float]:
    """Return `value` as three finite floats, or raise `ArgumentError`."""
    try:
        array = np.asarray(value)
        valid = array.shape == (3,) and np.isrealobj(array) and np.isfinite(array.astype(float)).all()
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise ArgumentError(name, "be three finite real numbers (x, y, z)", repr(value))
    x, y, z = (float(component) for component in array)
    return x, y, z


def square_matrix(name: str, value: Any) -> np.ndarray:
    """Return `value`, an array or a QuTiP operator, as a finite square complex matrix."""
    full = getattr(value, "full", None)  # a QuTiP Qobj
    try:
        matrix = np.array(full() if callable(full) else value, dtype=complex)
    except (TypeError, ValueError):
        raise ArgumentError(name, "be a square matrix (NumPy array or QuTiP operator)", repr(value)) from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] < 1:
        raise ArgumentError(name, "be a square matrix", f"of shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ArgumentError(name, "have finite entries", "not finite everywhere")
    return matrix


def hermitian_matrix(name: str, value: Any) -> np.ndarray:
    """Return `value` as a Hermitian matrix, or raise `ArgumentError`."""
    matrix = square_matrix(name, value)
    asymmetry = np.abs(matrix - matrix.conj().T).max()
    if asymmetry > 1e-10 * max(1.0, np.abs(matrix).max()):
        raise ArgumentError(name, "be Hermitian", f"off by {asymmetry:.3g}")
    return (matrix + matrix.conj().T) / 2


def density_matrix(name: str, value: Any, *, slack: float = 1e-10) -> np.ndarray:
    """Return `value` (a density matrix, or a ket of QuTiP) as a density matrix, or raise `ArgumentError`.

    `slack` is by how much the trace may differ from 1 and an eigenvalue be negative.
    """
    if getattr(value, "isket", False):
        value = value.proj()
    matrix = hermitian_matrix(name, value)
    trace = np.trace(matrix).real
    if abs(trace - 1) > slack:
        raise ArgumentError(name, "have trace 1", f"of trace {trace:.12g}")
    smallest = np.linalg.eigvalsh(matrix)[0]
    if smallest < -slack:
        raise ArgumentError(name, "be positive semidefinite", f"with an eigenvalue {smallest:.6g}")
    return matrix


def increasing_times(value: Any) -> np.ndarray:
    """Return `value` as a one-dimensional array of increasing times ≥ 0, or raise `ArgumentError`."""
    try:
        times = np.array(value, dtype=float)
    except (TypeError, ValueError):
        raise ArgumentError("times", "be a sequence of real numbers", repr(value)) from None
    if times.ndim != 1 or times.size == 0:
        raise ArgumentError("times", "be a non-empty one-dimensional sequence", f"of shape {times.shape}")
    if not np.isfinite(times).all() or times[0] < 0:
        raise ArgumentError("times", "be finite and not below 0", f"{times.min():g} … {times.max():g}")
    if (np.diff(times) <= 0).any():
        where = int(np.argmax(np.diff(times) <= 0))
        raise ArgumentError(
            "times",
            "increase strictly",
            f"{times[where]:g} followed by {times[where + 1]:g} at index {where}",
        )
    return times
