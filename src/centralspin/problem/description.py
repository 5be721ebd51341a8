"""A model as text and back: JSON that holds its numbers exactly, so that files need no pickles.

Every parameter of a model is a number, a sequence, a matrix, or a model in turn. Numbers are written so that they are
read as the same ones; a matrix is written as {"real": …, "imaginary": …}, an infinite number as {"number": "inf"}.
"""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .central_spin import CentralSpinModel
from .checks import short
from .collective import CollectiveModel, Sites

#: What a description may be of.
KINDS: dict[str, Any] = {kind.__name__: kind for kind in (CentralSpinModel, CollectiveModel, Sites)}


def describe(value: Any, name: str = "problem") -> Any:
    """Return a model as what JSON can hold.

    Raises
    ------
    ArgumentError
        If a part of it is a function, which has no description.
    """
    if type(value).__name__ in KINDS and is_dataclass(value):
        parts = {f.name: describe(getattr(value, f.name), f.name) for f in fields(value) if f.init}
        return {"kind": type(value).__name__, **parts}
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, np.ndarray):
        if np.iscomplexobj(value):
            return {"real": value.real.tolist(), "imaginary": value.imag.tolist()}
        return {"real": value.tolist()}
    if isinstance(value, np.generic):
        return describe(value.item(), name)
    if isinstance(value, float):
        return value if math.isfinite(value) else {"number": str(value)}
    if isinstance(value, complex):
        return {"real": value.real, "imaginary": value.imag}
    if isinstance(value, (tuple, list)):
        return [describe(part, name) for part in value]
    shown = f"the function `{getattr(value, '__name__', '?')}`" if callable(value) else short(value)
    raise ArgumentError(name, "consist of numbers and matrices where the problem is written down", shown)


def restore(description: Any) -> Any:
    """Return the model that was described."""
    if isinstance(description, list):
        return tuple(restore(part) for part in description)
    if not isinstance(description, dict):
        return description
    if "kind" in description:
        kind = description["kind"]
        if kind not in KINDS:
            raise ArgumentError("kind", f"be among {', '.join(KINDS)}", short(kind))
        return KINDS[kind](**{k: restore(v) for k, v in description.items() if k != "kind"})
    if "number" in description:
        return float(description["number"])
    if not isinstance(description["real"], list):
        return complex(description["real"], description["imaginary"])
    real = np.asarray(description["real"])
    if "imaginary" not in description:
        return real
    # Joined part by part: real + 1j·imaginary would turn −0 into 0.
    matrix = np.empty(real.shape, dtype=complex)
    matrix.real, matrix.imag = real, description["imaginary"]
    return matrix
