r"""Permutation-invariant operators as bosons over a condensate.

A permutation-invariant operator on N sites is a vector in the Fock space of N bosons that occupy the
single-site operators (ω, e_1, …, e_D) of `site`. Mode 0, the reference state ω, is macroscopically
occupied; a basis state is given by the occupations n = (n_1, …, n_D) of the others, and
n_0 = N − |n|. A single-site superoperator M acts on all sites as

.. math:: \sum_k M^{(k)} = \sum_{μν} M_{μν}\, b_μ^† b_ν .

With several classes of equivalent sites every class has its own condensate, and n runs over the modes of
all classes. `SymmetricSpace` holds the basis, `SymmetricSpace.hop` the matrix elements of b_μ†b_ν.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from ..errors import ArgumentError


@dataclass(frozen=True)
class Hop:
    """Matrix elements of b_μ†b_ν, without its condensate factor.

    The element from state `columns[i]` to `rows[i]` is `amplitudes[i]` times c(`depleted[i]`), where
    c(k) = N − k if μ = ν = 0, √(N − k) if one of them is 0, and 1 otherwise: `condensate` says which power
    of √(N − k) it is.
    """

    rows: np.ndarray
    columns: np.ndarray
    amplitudes: np.ndarray
    depleted: np.ndarray
    condensate: int


class SymmetricSpace:
    """Occupations n of the modes above the condensates, cut at Σ w_i n_i ≤ `cut`.

    Parameters
    ----------
    weights : sequence of sequences of int
        For every class of sites, the weights w_i ≥ 1 of its modes; 0 leaves a mode out.
    sizes : sequence of int or math.inf
        Number of sites in every class; |n| of a class never exceeds it.
    cut : int
        The largest weighted number of excitations.

    Attributes
    ----------
    occupations : ndarray, shape (size, number of modes)
        One row per basis state; row 0 is n = 0, the product of reference states.
    """

    def __init__(self, weights: Sequence[Any], sizes: Sequence[float], cut: int) -> None:
        self.cut = cut
        self.class_of = np.concatenate([[c] * len(w) for c, w in enumerate(weights)]).astype(int)
        self.first = np.cumsum([0, *(len(w) for w in weights)])
        self.weights = np.concatenate([np.asarray(w, dtype=np.int64) for w in weights])
        modes = len(self.weights)
        self._sizes = np.array([min(size, cut) for size in sizes], dtype=np.int64)
        largest = np.minimum(cut // np.maximum(self.weights, 1), self._sizes[self.class_of]) * (
            self.weights > 0
        )
        radix = [int(x) + 1 for x in largest]
        if math.prod(radix) >= 2**63:
            raise OverflowError(f"{modes} modes cut at {cut} have more states than a 64-bit key can name.")
        n = np.zeros((1, modes), dtype=np.int64)
        spent = np.zeros(1, dtype=np.int64)
        for mode in range(modes):  # append every allowed occupation of one mode after the other
            if self.weights[mode] == 0:
                continue
            of_class = n[:, self.class_of == self.class_of[mode]].sum(axis=1)
            room = (cut - spent) // self.weights[mode]
            size = sizes[self.class_of[mode]]
            if math.isfinite(size):
                room = np.minimum(room, int(size) - of_class)
            n = np.repeat(n, room + 1, axis=0)
            ends = np.cumsum(room + 1)
            n[:, mode] = np.arange(len(n)) - np.repeat(ends - room - 1, room + 1)
            spent = n @ self.weights
        # Keys order the states lexicographically, mode 0 slowest, exactly as they were made.
        self._strides = np.array([math.prod(radix[i + 1 :]) for i in range(modes)])
        self.occupations = n
        self._keys = n @ self._strides
        self.size = len(n)
        self._in_class = np.stack([n[:, self.class_of == c].sum(axis=1) for c in range(len(weights))], axis=1)
        self._kept = self.weights > 0

    @staticmethod
    def complete_cut(weights: Sequence[Any], sizes: Sequence[float]) -> float:
        """The smallest cut that leaves nothing out; infinite for an infinite class."""
        return sum(
            max(w, default=0) * size if max(w, default=0) else 0
            for w, size in zip(weights, sizes, strict=True)
        )

    def shell(self) -> np.ndarray:
        """Weighted number of excitations Σ w_i n_i of every state."""
        return self.occupations @ self.weights

    def find(self, occupations: np.ndarray) -> np.ndarray:
        """Indices of the given occupations, −1 where the cut leaves them out."""
        inside = (occupations @ self.weights <= self.cut) & ~(occupations[:, ~self._kept].any(axis=1))
        for site_class, size in enumerate(self._sizes):
            inside &= occupations[:, self.class_of == site_class].sum(axis=1) <= size
        keys = np.where(inside, occupations @ self._strides, 0)
        index = np.minimum(np.searchsorted(self._keys, keys), self.size - 1)
        return np.where(inside & (self._keys[index] == keys), index, -1)

    def hop(self, to: int, source: int, site_class: int = 0) -> Hop:
        """Matrix elements of b_μ†b_ν of one class, μ = `to`, ν = `source`, 0 being the condensate."""
        n, first = self.occupations, self.first[site_class]
        depleted = self._in_class[:, site_class]
        states = np.arange(self.size)
        if to == source == 0:
            return Hop(states, states, np.ones(self.size), depleted, 2)
        i, j = first + to - 1, first + source - 1
        if (to and not self._kept[i]) or (source and not self._kept[j]):
            return Hop(states[:0], states[:0], np.ones(0), depleted[:0], 0)
        if to == source:
            return Hop(states, states, n[:, i].astype(float), depleted, 0)
        key = self._keys.copy()
        squared = np.ones(self.size, dtype=np.int64)  # the square of the amplitude
        if source:
            squared *= n[:, j]
            key -= self._strides[j]
        if to:
            squared *= n[:, i] + 1
            key += self._strides[i]
        valid = squared > 0
        columns = states[valid]
        # A target beyond the cut, or in a class that is full, is dropped; its key may be that of another state.
        shell = self.shell()[valid]
        if source:
            shell = shell - self.weights[j]
        if to:
            shell = shell + self.weights[i]
        rows = np.searchsorted(self._keys, key[valid])
        room = depleted[valid] + (not source) <= self._sizes[site_class]
        inside = (shell <= self.cut) & room
        rows, columns = rows[inside], columns[inside]
        # b_0 acts on n_0 = N − |n|; b_0† makes n_0 + 1 = N − (|n| − 1).
        taken = depleted[columns] - (0 if to else 1)
        return Hop(rows, columns, np.sqrt(squared[columns]), taken, 0 if to and source else 1)


def condensate_factor(hop: Hop, size: float, scaling: float, order: int | None = None) -> np.ndarray:
    r"""The factor N^{−z} (N − k)^{p/2} of a hop, or one coefficient of its expansion in N^{−1/2}.

    Parameters
    ----------
    hop : Hop
        Gives k = `hop.depleted` and p = `hop.condensate`.
    size : float
        The number N of sites; ignored if `order` is given.
    scaling : float
        The exponent z.
    order : int, optional
        Return the coefficient of N^{−order/2} instead of the value at N. Order 0 is the limit N = ∞.

    Notes
    -----
    :math:`(N-k)^{p/2} = N^{p/2} \sum_l \binom{p/2}{l} (-k/N)^l`.
    """
    k, p = hop.depleted, hop.condensate
    if order is None:
        return float(size) ** (p / 2 - scaling) * (1 - k / float(size)) ** (p / 2)
    twice_l = order - 2 * scaling + p  # l terms of the binomial series leave N^{p/2 − z − l}
    l = round(twice_l / 2)
    if twice_l < 0 or abs(twice_l - 2 * l) > 1e-12:
        return np.zeros(len(k))
    coefficient = math.prod((p / 2 - i) / (i + 1) for i in range(l))
    return coefficient * (-k.astype(float)) ** l


def diverges(hop: Hop, scaling: float) -> bool:
    """Whether the factor of a hop grows without bound as N → ∞."""
    return hop.condensate / 2 > scaling


class Lift:
    r"""The map from a superoperator M of one site to the collective :math:`N^{-z} \sum_k M^{(k)}`.

    Parameters
    ----------
    space : SymmetricSpace
        The basis.
    size : int or math.inf
        The number N of sites; at `math.inf` what does not vanish as N → ∞ is kept.
    scaling : float
        The exponent z.
    site_class : int
        The class of sites it acts on.
    order : int, optional
        Take the coefficient of N^{−order/2} instead; it may be negative for what grows with N.
    """

    def __init__(
        self,
        space: SymmetricSpace,
        size: float,
        scaling: float = 0.0,
        site_class: int = 0,
        order: int | None = None,
    ) -> None:
        limit = order is None and size == math.inf
        self._size = space.size
        self._scaling = scaling
        d2 = int((space.class_of == site_class).sum()) + 1
        #: The power of N with which every matrix element grows, where there must be none.
        self._growth = np.zeros((d2, d2))
        rows, columns, values, entries = [], [], [], []
        for to in range(d2):
            for source in range(d2):
                hop = space.hop(to, source, site_class)
                if limit and diverges(hop, scaling):
                    self._growth[to, source] = hop.condensate / 2
                rows.append(hop.rows)
                columns.append(hop.columns)
                values.append(hop.amplitudes * condensate_factor(hop, size, scaling, 0 if limit else order))
                entries.append(np.full(len(hop.rows), to * d2 + source))
        self._rows, self._columns = np.concatenate(rows), np.concatenate(columns)
        self._values, self._entries = np.concatenate(values), np.concatenate(entries)

    def __call__(self, M: np.ndarray) -> csr_matrix:
        """The collective superoperator as a sparse matrix; M is real or complex, in the basis (ω, e_1, …, e_D).

        Raises
        ------
        ArgumentError
            If `size` is infinite and the result would grow without bound.
        """
        growth = self._growth[M != 0].max(initial=0)
        if growth:
            raise ArgumentError(
                "scaling", f"be at least {growth:g} for the limit N = ∞ to exist", self._scaling
            )
        factors = M.ravel()[self._entries]
        kept = factors != 0
        values = self._values[kept] * factors[kept]
        shape = (self._size, self._size)
        return coo_matrix((values, (self._rows[kept], self._columns[kept])), shape=shape).tocsr()


def lift(
    space: SymmetricSpace,
    M: np.ndarray,
    size: float,
    scaling: float = 0.0,
    site_class: int = 0,
    order: int | None = None,
) -> csr_matrix:
    """Return one collective superoperator; see `Lift` for the arguments."""
    return Lift(space, size, scaling, site_class, order)(M)
