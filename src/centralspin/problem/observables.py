r"""The observables every method can be asked for, and how they follow from raw moments.

A solver returns *raw moments* only: ⟨τ_α⟩, ⟨S_α⟩/N, and the moments ⟨((S_α − N r_α)/√N)^k⟩ of S_x and
S_y about a value r_α of its choice (its reference state; 0 will do). Everything else is arithmetic:

* ``x = ⟨S_x⟩/√N`` and its central moments ``X2``, ``X3``, ``X4``; likewise y. They exist for every bath.
* :math:`q_N = (a_N + a_N^†)/\sqrt2 = S_x/\sqrt{2εN}` and
  :math:`p_N = (a_N − a_N^†)/(i\sqrt2) = −S_y/\sqrt{2εN}`, with a_N of Eq. (5), and their central
  moments ``Q2``, ``Q4``, ``P2``, …; they need ε > 0.
* ``number`` = :math:`⟨a_N^† a_N⟩ = ⟨S_+S_-⟩/(εN)`, with :math:`S_+S_- = (S_x^2 + S_y^2)/4 + S_z/2`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .central_spin import CentralSpinModel

#: A raw moment: ("tau", axis) for ⟨τ_axis⟩, ("m", axis) for ⟨S_axis⟩/N, ("x", k) and ("y", k) as above.
Raw = tuple[str, Any]


@dataclass
class RawMoments:
    """What a solver returns: raw moments, and the values r_x, r_y they are taken about."""

    values: dict[Raw, Any]
    about: dict[str, Any] = field(default_factory=lambda: {"x": 0.0, "y": 0.0})


@dataclass(frozen=True)
class Observable:
    """One named observable: the raw moments it needs and the arithmetic that makes it."""

    meaning: str
    needs: tuple[Raw, ...]
    combine: Callable[[RawMoments, CentralSpinModel], Any]
    needs_boson: bool = False


def _mean(raw: RawMoments, axis: str, model: CentralSpinModel) -> Any:
    shift = raw.about[axis]
    if not np.any(shift):
        return raw.values[axis, 1]
    if math.inf == model.N:
        name = "bath_bloch"
        raise ArgumentError(name, "have ⟨σx⟩ = ⟨σy⟩ = 0 for ⟨S⟩/√N to exist at N = ∞", "tilted")
    return raw.values[axis, 1] + math.sqrt(model.N) * shift


def _central(raw: RawMoments, axis: str, power: int) -> Any:
    M = [1.0, *(raw.values[axis, k] for k in range(1, power + 1))]
    return sum(math.comb(power, k) * (-M[1]) ** (power - k) * M[k] for k in range(power + 1))


def _number(raw: RawMoments, model: CentralSpinModel) -> Any:
    squares: Any = 0.0
    for axis in "xy":
        M1, M2, shift = raw.values[axis, 1], raw.values[axis, 2], raw.about[axis]
        squares = squares + M2
        if np.any(shift):
            root = math.sqrt(model.N)
            squares = squares + 2 * root * shift * M1 + (root * shift) ** 2
    return (squares / 4 + raw.values["m", "z"] / 2) / model.require_boson()


#: What turns raw moments into an observable.
Combine = Callable[[RawMoments, CentralSpinModel], Any]


def _value(key: Raw) -> Combine:
    return lambda raw, model: raw.values[key]


def _average(axis: str) -> Combine:
    return lambda raw, model: _mean(raw, axis, model)


def _moment(axis: str, power: int) -> Combine:
    return lambda raw, model: _central(raw, axis, power)


def _quadrature(combine: Combine, power: int, sign: int) -> Combine:
    """Rescale S/√N to a quadrature of the boson."""
    return lambda raw, model: (sign / math.sqrt(2 * model.require_boson())) ** power * combine(raw, model)


def _observables() -> dict[str, Observable]:
    known: dict[str, Observable] = {}
    for axis in "xyz":
        for name, symbol in (("tau", f"⟨τ_{axis}⟩"), ("m", f"⟨S_{axis}⟩/N")):
            known[f"{name}_{axis}"] = Observable(symbol, ((name, axis),), _value((name, axis)))
    for axis, letter, sign in (("x", "q", 1), ("y", "p", -1)):
        mean = _average(axis)
        known[axis] = Observable(f"⟨S_{axis}⟩/√N", ((axis, 1),), mean)
        known[letter] = Observable(f"⟨{letter}_N⟩", ((axis, 1),), _quadrature(mean, 1, sign), True)
        for power in (2, 3, 4):
            needs = tuple((axis, k) for k in range(1, power + 1))
            moment = _moment(axis, power)
            bath, boson = (
                f"⟨(S_{axis} − ⟨S_{axis}⟩)^{power}⟩/N^{power / 2:g}",
                f"⟨({letter}_N − ⟨{letter}_N⟩)^{power}⟩",
            )
            known[f"{axis.upper()}{power}"] = Observable(bath, needs, moment)
            known[f"{letter.upper()}{power}"] = Observable(
                boson, needs, _quadrature(moment, power, sign), True
            )
    squares: tuple[Raw, ...] = (("x", 1), ("x", 2), ("y", 1), ("y", 2), ("m", "z"))
    known["number"] = Observable("⟨a_N† a_N⟩", squares, _number, True)
    return known


#: Every observable that `evolve` and `steady_state` know, by name.
OBSERVABLES: dict[str, Observable] = _observables()


def check_observables(names: Any, model: CentralSpinModel) -> tuple[str, ...]:
    """Return the names as a tuple; raise `ArgumentError` if one is unknown or needs a boson that does not exist."""
    if isinstance(names, str):
        names = (names,)
    if not isinstance(names, Iterable):
        raise ArgumentError("observables", "be a sequence of names", repr(names))
    names = tuple(names)
    if not names:
        raise ArgumentError("observables", "name at least one observable", "empty")
    for name in names:
        if not isinstance(name, str) or name not in OBSERVABLES:
            raise ArgumentError("observables", f"be among {', '.join(OBSERVABLES)}", repr(name))
        if OBSERVABLES[name].needs_boson:
            model.require_boson()
    return names


def needed_raw(names: Iterable[str]) -> tuple[Raw, ...]:
    """The raw moments that the named observables need, without repetition."""
    return tuple(dict.fromkeys(raw for name in names for raw in OBSERVABLES[name].needs))


def combine(names: Iterable[str], raw: RawMoments, model: CentralSpinModel) -> dict[str, Any]:
    """Compute the named observables from raw moments."""
    return {name: OBSERVABLES[name].combine(raw, model) for name in names}
