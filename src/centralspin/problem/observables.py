r"""The named observables of the spin-½ model, as linear combinations of moments.

* ``tau_α = ⟨τ_α⟩`` and ``m_α = ⟨S_α⟩/N``;
* ``x = ⟨S_x⟩/√N`` and its central moments ``X2``, ``X3``, ``X4``; likewise y. They exist for every bath.
* :math:`q_N = (a_N + a_N^†)/\sqrt2 = S_x/\sqrt{2εN}` and
  :math:`p_N = (a_N − a_N^†)/(i\sqrt2) = −S_y/\sqrt{2εN}`, with a_N of Eq. (5), and their central
  moments ``Q2``, ``Q4``, ``P2``, …; they need ε > 0.
* ``number`` = :math:`⟨a_N^† a_N⟩ = ⟨S_+S_-⟩/(εN)`, with :math:`S_+S_- = (S_x^2 + S_y^2)/4 + S_z/2`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import ArgumentError
from .central_spin import PAULI, CentralSpinModel
from .checks import is_sequence, short
from .moments import Moment


@dataclass(frozen=True)
class Observable:
    r"""One named observable, :math:`(2ε)^{-e} \sum_i c_i ⟨\mathrm{moment}_i⟩`.

    Attributes
    ----------
    meaning : str
        What it is.
    terms : tuple of (float, Moment)
        c_i and the moments.
    exponent : float
        e; above 0 the observable belongs to the boson and needs ε > 0.
    """

    meaning: str
    terms: tuple[tuple[float, Moment], ...]
    exponent: float = 0.0

    def combine(self, value: Any, model: CentralSpinModel, absolute: bool = False) -> Any:
        """Add up, `value` giving the value of a moment; or errors, which have no sign."""
        factor = (2 * model.require_boson()) ** -self.exponent if self.exponent else 1.0
        return factor * sum((abs(c) if absolute else c) * value(moment) for c, moment in self.terms)


def _observables() -> dict[str, Observable]:
    known: dict[str, Observable] = {}
    axes = dict(zip("xyz", PAULI, strict=True))
    for axis, sigma in axes.items():
        known[f"tau_{axis}"] = Observable(f"⟨τ_{axis}⟩", ((1.0, Moment(central=sigma)),))
        average = Moment(site=sigma, scaling=1.0, about="zero")
        known[f"m_{axis}"] = Observable(f"⟨S_{axis}⟩/N", ((1.0, average),))
    for axis, letter, sign in (("x", "q", 1), ("y", "p", -1)):
        mean = Moment(site=axes[axis], about="zero")
        known[axis] = Observable(f"⟨S_{axis}⟩/√N", ((1.0, mean),))
        known[letter] = Observable(f"⟨{letter}_N⟩", ((sign, mean),), 0.5)
        for power in (2, 3, 4):
            central = Moment(site=axes[axis], power=power, about="mean")
            bath = f"⟨(S_{axis} − ⟨S_{axis}⟩)^{power}⟩/N^{power / 2:g}"
            boson = f"⟨({letter}_N − ⟨{letter}_N⟩)^{power}⟩"
            known[f"{axis.upper()}{power}"] = Observable(bath, ((1.0, central),))
            known[f"{letter.upper()}{power}"] = Observable(boson, ((sign**power, central),), power / 2)
    squares = tuple((0.5, Moment(site=axes[axis], power=2, about="zero")) for axis in "xy")
    known["number"] = Observable("⟨a_N† a_N⟩", (*squares, *known["m_z"].terms), 1.0)
    return known


#: Every observable that a `CentralSpinModel` can be asked for, by name.
OBSERVABLES: dict[str, Observable] = _observables()


def named(names: Any, model: CentralSpinModel) -> dict[str, Observable]:
    """Return the named observables, or refuse a name that is unknown or needs a boson that does not exist."""
    names = (names,) if isinstance(names, str) else names
    if not (is_sequence(names) or isinstance(names, (set, frozenset))):
        raise ArgumentError("observables", "be a sequence of names", short(names))
    names = tuple(names)
    if not names:
        raise ArgumentError("observables", "name at least one observable", "empty")
    for name in names:
        if not isinstance(name, str) or name not in OBSERVABLES:
            raise ArgumentError("observables", f"be among {', '.join(OBSERVABLES)}", short(name))
        if OBSERVABLES[name].exponent:
            model.require_boson()
    return {name: OBSERVABLES[name] for name in names}
