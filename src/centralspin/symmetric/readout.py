r"""Reading moments of the sites and the central system out of a vector in symmetric Liouville space.

The trace over the sites is the component n = 0, because every e_i is traceless. A moment of a collective
operator is the trace after multiplying by it several times; as a row vector it starts at n = 0 and reaches
|n| ≤ p after p multiplications. The rows are made in a space of that size only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..problem.checks import is_hermitian
from ..problem.moments import Moment
from .basis import rounded
from .lift import Bath, Lift
from .site import Compiled, Site
from .space import SymmetricSpace, box


class Readout:
    """Rows that read moments about the reference states, as series in N^{−1/2} if orders are asked for.

    Parameters
    ----------
    compiled : Compiled
        The problem.
    moments : sequence of Moment
        What to read.
    orders : sequence of int or None
        (None,) for the values, (0, 1, …, l) for the coefficients of N^0, …, N^{−l/2}.

    Attributes
    ----------
    occupations : ndarray, shape (states, modes)
        The occupations that the rows reach.
    """

    def __init__(
        self, compiled: Compiled, moments: Sequence[Moment], orders: Sequence[int | None] = (None,)
    ) -> None:
        self._compiled, self.moments, self._orders = compiled, list(moments), list(orders)
        #: For every sum of site operators the matrices of X ↦ B X by class, real ones, of ½{B, ·}, for Hermitian B.
        self.maps = {
            m.key()[2]: {i: self._left(i, B) for i, B in m.operators.items()} for m in moments if m.power
        }
        power = max((m.power or 0 for m in moments), default=0)
        modes = [self._touched(index, power).astype(int) for index in range(len(compiled.sites))]
        occupations = box(modes, [site.count for site in compiled.sites], power)
        class_of = np.repeat(np.arange(len(modes)), [len(m) for m in modes])
        self._space = SymmetricSpace(occupations, class_of)
        self.occupations = self._space.occupations
        self._lifts: dict[Any, Lift] = {}
        self.central = [
            np.eye(1, compiled.basis.size)[0] if m.central is None else compiled.basis.expectation(m.central)
            for m in moments
        ]
        self.complex = not all(m.hermitian for m in moments)
        self._dtype = complex if self.complex or compiled.basis.charged else float
        if self._dtype is float:
            self.central = [row.real for row in self.central]

    def _left(self, site_class: int, B: np.ndarray) -> np.ndarray:
        left = self._compiled.sites[site_class].basis.left(B)
        return left.real if is_hermitian(B) else left

    def _touched(self, index: int, power: int) -> np.ndarray:
        """The modes of a class that up to `power` multiplications reach, around whatever reference state."""
        site = self._compiled.sites[index]
        anything = np.random.default_rng(0).uniform(0.1, 0.2, site.basis.size - 1)
        touched = np.zeros(site.basis.size, dtype=bool)
        for of_class in self.maps.values():
            if index in of_class:
                M = np.abs(about_reference(site, of_class[index], anything)) > 0
                reached = np.eye(1, len(M))[0] > 0
                for _ in range(power):
                    reached = reached | M[reached].any(axis=0)
                touched |= reached
        return touched[1:]

    def series(self, references: Sequence[np.ndarray]) -> list[list[tuple[np.ndarray, np.ndarray]]]:
        """For every order and moment the row on `occupations` and that on the central basis."""
        done: dict[Any, list[list[np.ndarray]]] = {}
        found = []
        for m in self.moments:
            bath = self._trace()
            if m.power:
                powers = done.setdefault(m.key()[2], [bath])
                while len(powers) <= m.power:
                    powers.append(self._multiply(m, references, powers[-1]))
                bath = powers[m.power]
            found.append(bath)
        return [
            [(bath[order], central) for bath, central in zip(found, self.central, strict=True)]
            for order in range(len(self._orders))
        ]

    def _trace(self) -> list[np.ndarray]:
        series = [np.zeros(self._space.size, dtype=self._dtype) for _ in self._orders]
        series[0][0] = 1.0
        return series

    def _multiply(
        self, moment: Moment, references: Sequence[np.ndarray], series: list[np.ndarray]
    ) -> list[np.ndarray]:
        """Multiply rows by N^{−s} Σ_k (B^{(k)} − ⟨B⟩)."""
        result = [np.zeros_like(row) for row in series]
        for index, left in self.maps[moment.key()[2]].items():
            M = about_reference(self._compiled.sites[index], left, references[index])
            for order in range(len(series)):
                for i in range(order + 1):
                    lift = self._lift(index, moment.scaling, self._orders[order - i])
                    result[order] = result[order] + lift.from_left(series[i], M)
        return result

    def _lift(self, site_class: int, scaling: float, order: int | None) -> Lift:
        key = (site_class, scaling, order)
        if key not in self._lifts:
            problem = self._compiled.problem
            bath = Bath(problem.size, self._compiled.sites[site_class].share, order)
            self._lifts[key] = Lift(self._space, bath, scaling, site_class)
        return self._lifts[key]


def about_reference(site: Site, left: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Multiplication by B − ⟨B⟩ in the modes that are counted."""
    M = site.around(left, r)
    return rounded(M - M[0, 0] * np.eye(len(M)))
