"""The one result type of all solvers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import ArgumentError


@dataclass(frozen=True)
class Trajectory:
    """Expectation values in time, or (with ``times = inf``) at stationarity.

    Attributes
    ----------
    times : ndarray, shape (k,), or inf
        The output times in units of 1/γ.
    values : dict of str to ndarray, shape (k,), or float
        One entry per observable; `trajectory["Q4"]` is short for `trajectory.values["Q4"]`.
    method : str
        The method that was used.
    details : dict
        What the method reports of itself: its cut, number of unknowns, estimated error, …
    """

    times: Any
    values: dict[str, Any]
    method: str
    details: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        try:
            return self.values[name]
        except KeyError:
            raise ArgumentError("name", f"be among {', '.join(self.values)}", repr(name)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        details = ", ".join(f"{key} {_short(value)}" for key, value in self.details.items())
        when = (
            "stationary"
            if np.ndim(self.times) == 0
            else f"{len(self.times)} times, {self.times[0]:g} … {self.times[-1]:g}"
        )
        lines = [f"Trajectory by {self.method!r} ({when}{'; ' + details if details else ''})"]
        for name, value in self.values.items():
            if np.ndim(value) == 0:
                lines.append(f"  {name:>7}  {value:.10g}")
            else:
                lines.append(
                    f"  {name:>7}  {value[0]:.8g} → {value[-1]:.8g}  (between {value.min():.8g} and {value.max():.8g})"
                )
        return "\n".join(lines)


def _short(value: Any) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)
