"""What comes back: mappings from names to numbers that know how they were made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from .errors import ArgumentError, ConvergenceError
from .problem.checks import checked, short, site_count
from .travel import Saved, Travelling

#: What may differ between two results that are equal.
NOT_COMPARED = ("data", "problem", "details", "final", "state")


@dataclass(frozen=True, eq=False)
class Result(Travelling, Mapping[str, Any]):
    """Expectation values by name, and how they were made.

    A mapping: `dict(result)`, `result["Q4"]`, `result.items()`, `numpy.savez(file, **result)`.

    Attributes
    ----------
    data : dict
        One entry per observable; the result itself is a mapping with the same entries.
    problem : CentralSpinModel or CollectiveModel
        What was solved.
    method : str
        The method that was used.
    tolerance : float
        The error that was asked for.
    error : float or None
        The estimated error of the values: that of the moments behind them, times what these are multiplied with, and
        round-off; None where the method has no estimate.
    details : dict
        What the method reports of itself: its cut, number of unknowns, …
    """

    data: dict[str, Any]
    problem: Any = field(default=None, repr=False)
    method: str = ""
    tolerance: float | None = None
    error: float | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        try:
            return self.data[name]
        except (KeyError, TypeError):  # or of what cannot be a name
            raise UnknownNameError("name", f"be among {', '.join(self.data)}", short(name)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.data

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        mine, theirs = (
            [getattr(result, f.name) for f in fields(result) if f.name not in NOT_COMPARED]
            for result in (self, other)
        )
        same = set(self.data) == set(other.data) and all(
            np.array_equal(value, other.data[name], equal_nan=True) for name, value in self.data.items()
        )
        return same and all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))

    __hash__ = None  # type: ignore[assignment]

    #: Where the values are: "stationary", or the times.
    @property
    def when(self) -> str:
        """Where the values belong."""
        return "one state"

    def __repr__(self) -> str:
        known = dict(self.details)
        if self.error is not None:
            known = {"error": self.error, **known}
        details = ", ".join(f"{key} {_short(value)}" for key, value in known.items())
        lines = [f"{type(self).__name__} by {self.method!r} ({self.when}{'; ' + details if details else ''})"]
        lines += [f"  {name:>7}  {_summary(value)}" for name, value in self.data.items()]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class Trajectory(Result):
    """Expectation values in time; every value is an array of the shape of `times`.

    Attributes
    ----------
    times : ndarray, shape (k,)
        The output times in units of 1/γ.
    final : State or None
        The state at the last of them, with method "symmetric".
    """

    times: np.ndarray = field(default_factory=lambda: np.zeros(0))
    final: Any = None

    def __post_init__(self) -> None:
        _shaped(self.data, self.times.shape)

    @property
    def when(self) -> str:
        """Where the values belong."""
        return f"{len(self.times)} times, {self.times[0]:g} … {self.times[-1]:g}"


@dataclass(frozen=True, eq=False, repr=False)
class Stationary(Result):
    """Expectation values in the stationary state; every value is a number.

    Attributes
    ----------
    state : State or None
        The state itself, with method "symmetric".
    """

    state: Any = None

    def __post_init__(self) -> None:
        _shaped(self.data, ())

    @property
    def when(self) -> str:
        """Where the values belong."""
        return "stationary"


@dataclass(frozen=True)
class Expansion(Saved):
    r"""Expectation values at large N, :math:`⟨O⟩_N = ⟨O⟩_∞ + c/N + c_2/N^2 + …`.

    It can be unpacked: ``limit, coefficient = expand(…)``.

    Attributes
    ----------
    limit : Trajectory or Stationary
        ⟨O⟩_∞.
    coefficients : tuple of Trajectory or Stationary
        c, c₂, …, as many as were asked for.
    """

    limit: Any
    coefficients: tuple[Any, ...]

    @property
    def coefficient(self) -> Any:
        """The coefficient c of 1/N."""
        return self.coefficients[0]

    def __iter__(self) -> Iterator[Any]:
        return iter((self.limit, self.coefficient))

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        return (self.limit, self.coefficient)[index]

    def at(self, N: float) -> Any:
        """The sum of all that is known at bath size N; its error is of the next order in 1/N."""
        return _summed(self.limit, self.coefficients, N)


def _result(name: str, value: Any) -> Result:
    if not isinstance(value, Result):
        raise ArgumentError(name, "be a result of `expand`", short(value))
    return value


@checked(limit=_result, coefficient=_result)
def corrected(limit: Any, coefficient: Any, N: float) -> Any:
    """The corrected limit at bath size N: limit + coefficient/N, with an error of order 1/N²."""
    if missing := [name for name in limit if name not in coefficient]:
        raise ArgumentError(
            "coefficient", f"hold {', '.join(missing)} as `limit` does", ", ".join(coefficient)
        )
    return _summed(limit, (coefficient,), N)


def _summed(limit: Any, coefficients: tuple[Any, ...], N: Any) -> Any:
    N = site_count("N", N)
    data = {
        name: limit[name]
        + sum(c[name] / math.prod([float(N)] * k) for k, c in enumerate(coefficients, start=1))
        for name in limit
    }
    return replace(limit, data=data, method="expansion", details={"N": N, **limit.details}, error=None)


class Response(np.ndarray):
    """A correlation, a spectrum or eigenvalues: an array that knows what it belongs to.

    Attributes
    ----------
    problem : CentralSpinModel or CollectiveModel
        What was solved.
    tolerance : float
        The error that was asked for.
    details : dict
        What the method reports of itself.
    """

    problem: Any
    tolerance: float
    details: dict[str, Any]
    #: The values as they were returned, their axis and error: of an array that was made from them neither is known.
    _returned: tuple[np.ndarray, np.ndarray, float] | None

    @classmethod
    def of(
        cls,
        values: Any,
        axis: np.ndarray,
        problem: Any,
        tolerance: float,
        error: float,
        details: dict[str, Any],
    ) -> Response:
        """Make one, if all values are numbers."""
        found = np.array(values)
        if np.isnan(found).any() or math.isnan(error):
            raise ConvergenceError("What the method gives are not numbers.")
        return cls._holding(found, problem, tolerance, details, (found.copy(), axis, error))

    @classmethod
    def _holding(cls, values: np.ndarray, *parts: Any) -> Response:
        found = values.view(cls)
        found.problem, found.tolerance, found.details, found._returned = parts
        return found

    def __array_finalize__(self, other: Any) -> None:
        for name in ("problem", "tolerance", "details", "_returned"):
            setattr(self, name, getattr(other, name, None))

    def __reduce__(self) -> Any:
        parts = self.problem, self.tolerance, self.details, self._returned
        return Response._holding, (np.asarray(self), *parts)

    def _of_returned(self, what: str) -> tuple[np.ndarray, float]:
        """Axis and error, if the values are still those that were returned."""
        if self._returned is None or not np.array_equal(self, self._returned[0]):
            must = f"hold the values as they were returned, and all of them, to have {what}"
            raise ArgumentError("response", must, short(np.asarray(self)))
        return self._returned[1:]

    @property
    def axis(self) -> np.ndarray:
        """The times, frequencies or numbers of the values; refused where they are others than were returned."""
        return self._of_returned("an axis")[0]

    @property
    def error(self) -> float:
        """The estimated error of the values; refused where they are others than were returned."""
        return self._of_returned("an error")[1]

    @property
    def gap(self) -> float:
        """Of eigenvalues: the rate of the slowest decay, the stationary state aside."""
        axis = self._of_returned("a gap")[0]
        if (
            not np.issubdtype(axis.dtype, np.integer) or self.size < 2
        ):  # times and frequencies are no integers
            raise ArgumentError(
                "response", "be two or more `eigenvalues` to have a gap", short(np.asarray(self))
            )
        return float(-self[1].real)


def _shaped(data: Mapping[str, Any], shape: tuple[int, ...]) -> None:
    """Refuse values of another shape than they must have."""
    for name, value in data.items():
        if np.shape(value) != shape:
            raise ArgumentError("data", f"hold values of shape {shape}", f"{name!r} of {np.shape(value)}")


class UnknownNameError(ArgumentError, KeyError):
    """A result has no value of that name."""

    __str__ = ValueError.__str__


def _short(value: Any) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def _summary(value: Any) -> str:
    if np.ndim(value) == 0:
        return f"{value:.10g}"
    if np.iscomplexobj(value):
        return f"{value[0]:.8g} → {value[-1]:.8g}"
    return f"{value[0]:.8g} → {value[-1]:.8g}  (between {value.min():.8g} and {value.max():.8g})"
