r"""From a superoperator of one site to that of all sites, :math:`N^{-z} \sum_k M^{(k)} = N^{-z} \sum M_{μν} b_μ^†b_ν`.

N is the number of all sites. A class that holds the share s of them has the condensate factors
:math:`(sN - k)^{p/2}`, k being the excitations and p = 0, 1, 2 the number of condensate operators in b_μ†b_ν; these are
the only places where N enters, and they can be expanded in :math:`N^{-1/2}`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from ..errors import ArgumentError
from ..problem.checks import integer, is_real, real_number, short, truth
from .space import SymmetricSpace


@dataclass(frozen=True)
class Bath:
    """Sizes that the condensate factors depend on.

    Attributes
    ----------
    size : float
        N, the number of all sites; at infinity what does not vanish is kept.
    share : float
        The share of the class in it.
    order : int or None
        Take the coefficient of N^{−order/2} instead of the value at N.
    """

    size: float
    share: float = 1.0
    order: int | None = None

    def __post_init__(self) -> None:
        if not (is_real(self.size) and self.size > 0):
            raise ArgumentError("size", "be a positive number or math.inf", short(self.size))
        if not (is_real(self.share) and 0 < self.share <= 1):
            raise ArgumentError("share", "be above 0 and at most 1", short(self.share))
        if self.order is not None and not isinstance(self.order, int):
            raise ArgumentError("order", "be an integer or None", short(self.order))

    def factor(self, depleted: np.ndarray, power: int, scaling: float) -> np.ndarray:
        r"""The factor :math:`N^{-z} (sN - k)^{p/2}` for k = `depleted` and p = `power`.

        Its expansion is :math:`s^{p/2} N^{p/2-z} \sum_l \binom{p/2}{l} (-k/sN)^l`.
        """
        half = power / 2
        if self.order is None and self.size < math.inf:
            count = self.share * float(self.size)
            return float(self.size) ** (half - scaling) * self.share**half * (1 - depleted / count) ** half
        twice_l = (self.order or 0) + power - 2 * scaling  # l terms of the series leave N^{p/2 − z − l}
        l = round(twice_l / 2)
        if twice_l < -1e-12 or abs(twice_l - 2 * l) > 1e-12:
            return np.zeros(len(depleted))
        coefficient = math.prod((half - i) / (i + 1) for i in range(l))
        return coefficient * self.share ** (half - l) * (-depleted.astype(float)) ** l


class Lift:
    r"""The map from M to :math:`N^{-z} \sum_k M^{(k)}` on one class of sites.

    Parameters
    ----------
    space : SymmetricSpace
        The basis.
    bath : Bath
        N, the share of the class, and which order is meant.
    scaling : float
        The exponent z.
    site_class : int
        The class of sites it acts on.
    growing : bool
        Whether parts that grow with N are allowed beside the coefficient that is asked for.
    """

    def __init__(
        self,
        space: SymmetricSpace,
        bath: Bath,
        scaling: float = 0.0,
        site_class: int = 0,
        growing: bool = False,
    ) -> None:
        if not isinstance(space, SymmetricSpace):
            raise ArgumentError("space", "be a SymmetricSpace", short(space))
        if not isinstance(bath, Bath):
            raise ArgumentError("bath", "be a Bath", short(bath))
        self.space, self._bath, self._scaling = space, bath, real_number("scaling", scaling)
        self._class = integer("site_class", site_class, maximum=space.excited.shape[1] - 1)
        self._modes = 1 + int((space.class_of == self._class).sum())
        self._limited = not truth("growing", growing) and (bath.order is not None or bath.size == math.inf)
        self._elements: dict[tuple[int, int], tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def element(self, to: int, source: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, columns and values of :math:`N^{-z} b_μ^†b_ν`."""
        if (to, source) not in self._elements:
            hop = self.space.hop(to, source, self._class)
            half = hop.condensate / 2
            if self._limited and half > self._scaling + 1e-12:
                raise ArgumentError(
                    "scaling",
                    f"be at least {half:g} for the limit N = ∞ to exist (½ will do if the bath has ⟨σ±⟩ = 0, Eq. (3))",
                    f"{self._scaling:g}",
                )
            values = hop.amplitudes * self._bath.factor(hop.depleted, hop.condensate, self._scaling)
            self._elements[to, source] = hop.rows, hop.columns, values
        return self._elements[to, source]

    def __call__(self, M: np.ndarray) -> csr_matrix:
        """The collective superoperator as a sparse matrix; M is real or complex, in the basis (ω, e_1, …, e_D).

        Raises
        ------
        ArgumentError
            If N is infinite and the result would grow without bound.
        """
        square = isinstance(M, np.ndarray) and M.shape == (self._modes, self._modes)
        if not square or M.dtype.kind not in "iufc":
            raise ArgumentError("M", f"be an array of {self._modes}×{self._modes} numbers", short(M))
        parts = [(self.element(int(i), int(j)), M[i, j]) for i, j in zip(*np.nonzero(M), strict=True)]
        size = self.space.size
        if not parts:
            return csr_matrix((size, size), dtype=M.dtype)
        rows, columns, values = (
            np.concatenate(part)
            for part in zip(*((r, c, v * element) for (r, c, v), element in parts), strict=True)
        )
        return coo_matrix((values, (rows, columns)), shape=(size, size)).tocsr()

    def from_left(self, row: np.ndarray, M: np.ndarray) -> np.ndarray:
        """The row vector `row` times the collective superoperator."""
        total = np.zeros(self.space.size, dtype=np.result_type(row.dtype, M.dtype))
        for to, source in zip(*np.nonzero(M), strict=True):
            rows, columns, values = self.element(int(to), int(source))
            np.add.at(total, columns, row[rows] * values * M[to, source])
        return total


def pair_factor(
    size: float, shares: Sequence[float], order: int | None, depleted: Sequence[tuple[int, np.ndarray]]
) -> Any:
    r"""The factor :math:`N^{-1} \prod_i \sqrt{s_i N - k_i}` of a pair of hops, or its coefficient of N^{−order/2}.

    Parameters
    ----------
    size : float
        N; at infinity what does not vanish is kept.
    shares : sequence of float
        Of the classes in N.
    order : int or None
    depleted : sequence of (class, k)
    """
    power = len(depleted)
    root = math.prod(math.sqrt(shares[c]) for c, _ in depleted)
    if order is None and size < math.inf:
        factor: Any = float(size) ** (power / 2 - 1) * root
        for c, k in depleted:
            factor = factor * np.sqrt(np.maximum(1 - k / (shares[c] * float(size)), 0.0))
        return factor
    twice_l = (order or 0) + power - 2
    if twice_l < 0 or twice_l % 2:
        return 0.0
    series: list[Any] = [1.0] + [0.0] * (twice_l // 2)
    for c, k in depleted:  # √(1 − k/sN) = Σ binom(½, l) (−k/s)^l N^{−l}
        terms = [
            math.prod((0.5 - i) / (i + 1) for i in range(l)) * (-k / shares[c]) ** l
            for l in range(len(series))
        ]
        series = [sum(series[i] * terms[l - i] for i in range(l + 1)) for l in range(len(series))]
    return root * series[-1]
