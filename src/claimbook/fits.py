"""Fits of power laws, as chapters quote them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class PowerLaw:
    """A fit y = prefactor · x^exponent; `residual` is the root mean square of ln y − ln fit."""

    exponent: float
    prefactor: float
    residual: float

    def __str__(self) -> str:
        return f"slope {self.exponent:.5f}, rms residual of the logarithm {self.residual:.1e}"


def power_law(x: Any, y: Any) -> PowerLaw:
    """Fit ln |y| against ln x by a straight line; at least two points."""
    X, Y = np.log(np.asarray(x, dtype=float)), np.log(np.abs(np.asarray(y, dtype=float)))
    exponent, offset = np.polyfit(X, Y, 1)
    residual = float(np.sqrt(np.mean((Y - exponent * X - offset) ** 2)))
    return PowerLaw(float(exponent), float(np.exp(offset)), residual)
