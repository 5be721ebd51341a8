r"""Permutation-invariant operators as bosons over a condensate.

A permutation-invariant operator on N sites is a vector in the Fock space of N bosons that occupy the
single-site operators (ω, e_1, …, e_D) of `basis`. Mode 0, the reference state ω, is macroscopically
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

from ..errors import ArgumentError, TruncationError
from ..problem.checks import integer_array

#: Keys of occupations are 64-bit numbers with a sign.
LARGEST_KEY = 2**63
#: How many sets of occupations are kept with their hops, and how large they may be.
SHARED, LARGEST_SHARED = 8, 5000
_SHARED: dict[Any, SymmetricSpace] = {}


@dataclass(frozen=True)
class Hop:
    """Matrix elements of b_μ†b_ν, without its condensate factor.

    The element from state `columns[i]` to `rows[i]` is `amplitudes[i]` times c(`depleted[i]`), where
    c(k) = N − k if μ = ν = 0, √(N − k) if one of them is 0, and 1 otherwise: `condensate` says which power
    of √(N − k) it is. What leads out of the space is left out.
    """

    rows: np.ndarray
    columns: np.ndarray
    amplitudes: np.ndarray
    depleted: np.ndarray
    condensate: int


@dataclass(frozen=True)
class PairHop:
    """Matrix elements of b_μ†b_α†b_νb_β, without their condensate factors.

    `depleted` has (c, k) for every condensate operator, whose factor is √(N_c − k).
    """

    rows: np.ndarray
    columns: np.ndarray
    amplitudes: np.ndarray
    depleted: list[tuple[int, np.ndarray]]


#: A class of sites and one of its modes, 0 being the condensate.
Mode = tuple[int, int]


class SymmetricSpace:
    """A set of occupations n of the modes above the condensates, in lexicographic order.

    Parameters
    ----------
    occupations : ndarray of int, shape (states, modes)
        The set, sorted and without repetition; n = 0 must be in it and comes first.
    class_of : sequence of int
        The class of sites that every mode belongs to.

    Attributes
    ----------
    occupations : ndarray, shape (size, modes)
        One row per basis state; row 0 is n = 0, the product of reference states.
    """

    def __init__(self, occupations: np.ndarray, class_of: Any) -> None:
        n = integer_array("occupations", occupations, 2).astype(np.int64)
        self.class_of = integer_array("class_of", class_of, 1).astype(np.intp)
        if len(self.class_of) != n.shape[1] or self.class_of.max(initial=0) > n.shape[1]:
            raise ArgumentError(
                "class_of", f"name the class of each of {n.shape[1]} modes", f"of {len(self.class_of)}"
            )
        self._keys, self._strides = keys_of(n)
        self._radix = n.max(axis=0, initial=0) + 2
        self.occupations = n
        self.size = len(self._keys)
        classes = self.class_of.max(initial=0) + 1
        #: |n| of every class, shape (size, classes).
        self.excited = np.stack(
            [self.occupations[:, self.class_of == c].sum(axis=1) for c in range(classes)], axis=1
        )
        self._hops: dict[tuple[int, int, int], Hop] = {}
        #: What others have made of the hops, kept as long as the space is.
        self.lifts: dict[Any, Any] = {}

    def find(self, occupations: np.ndarray) -> np.ndarray:
        """Indices of the given occupations, −1 for those that are not in the set."""
        inside = (occupations < self._radix).all(axis=1)
        keys = np.where(inside, occupations @ self._strides, -1)
        index = np.minimum(np.searchsorted(self._keys, keys), self.size - 1)
        return np.where(self._keys[index] == keys, index, -1)

    def hop(self, to: int, source: int, site_class: int = 0) -> Hop:
        """Matrix elements of b_μ†b_ν of one class, μ = `to`, ν = `source`, 0 being the condensate."""
        label = (to, source, site_class)
        if label not in self._hops:
            self._hops[label] = self._hop(*label)
        return self._hops[label]

    def _hop(self, to: int, source: int, site_class: int) -> Hop:
        n, depleted = self.occupations, self.excited[:, site_class]
        modes = np.flatnonzero(self.class_of == site_class)
        states = np.arange(self.size)
        if to == source == 0:
            return Hop(states, states, np.ones(self.size), depleted, 2)
        if to == source:
            return Hop(states, states, n[:, modes[to - 1]].astype(float), depleted, 0)
        squared, change = np.ones(self.size, dtype=np.int64), 0  # the square of the amplitude
        if source:
            squared *= n[:, modes[source - 1]]
            change -= self._strides[modes[source - 1]]
        if to:
            squared *= n[:, modes[to - 1]] + 1
            change += self._strides[modes[to - 1]]
        columns = states[squared > 0]
        keys = self._keys[columns] + change
        rows = np.minimum(np.searchsorted(self._keys, keys), self.size - 1)
        inside = self._keys[rows] == keys
        rows, columns = rows[inside], columns[inside]
        # b_0 acts on n_0 = N − |n|; b_0† makes n_0 + 1 = N − (|n| − 1).
        taken = depleted[columns] - (0 if to else 1)
        return Hop(rows, columns, np.sqrt(squared[columns]), taken, 0 if to and source else 1)

    def pair(self, to: Sequence[Mode], source: Sequence[Mode]) -> PairHop:
        """Matrix elements of b_μ†b_α†b_νb_β, the modes being given with their classes."""
        n, states = self.occupations, np.arange(self.size)
        squared, change = np.ones(self.size, dtype=np.int64), 0
        moved: dict[int, int] = {}  # by how much a mode's occupation has changed so far
        taken = dict.fromkeys(range(self.excited.shape[1]), 0)
        depleted: list[tuple[int, np.ndarray]] = []
        for modes, step in ((source, -1), (to, 1)):
            for site_class, mode in modes:
                if not mode:  # b_0 acts on n_0, b_0† makes n_0 + 1
                    depleted.append(
                        (site_class, self.excited[:, site_class] - taken[site_class] - (step > 0))
                    )
                    taken[site_class] += step
                    continue
                place = int(np.flatnonzero(self.class_of == site_class)[mode - 1])
                squared = squared * (n[:, place] + moved.get(place, 0) + (step > 0))
                moved[place] = moved.get(place, 0) + step
                change += step * int(self._strides[place])
        columns = states[squared > 0]
        keys = self._keys[columns] + change
        rows = np.minimum(np.searchsorted(self._keys, keys), self.size - 1)
        inside = self._keys[rows] == keys
        rows, columns = rows[inside], columns[inside]
        return PairHop(rows, columns, np.sqrt(squared[columns]), [(c, d[columns]) for c, d in depleted])


def shared_space(occupations: np.ndarray, class_of: Any) -> SymmetricSpace:
    """A space with its hops, which problems of one shape share: those of the last few sets are kept."""
    if len(occupations) > LARGEST_SHARED:
        return SymmetricSpace(occupations, class_of)
    key = (occupations.shape, occupations.tobytes(), tuple(np.asarray(class_of).tolist()))
    space = _SHARED.pop(key, None) or SymmetricSpace(occupations, class_of)
    _SHARED[key] = space  # the last one that was used is the last one to be dropped
    while len(_SHARED) > SHARED:
        _SHARED.pop(next(iter(_SHARED)), None)
    return space


def box(weights: Sequence[Any], sizes: Sequence[float], cut: float) -> np.ndarray:
    """All occupations with Σ w_i n_i ≤ `cut` and |n| of every class at most its size; weight 0 leaves a mode out.

    Parameters
    ----------
    weights : sequence of sequences of int
        For every class of sites, the weights w_i of its modes.
    sizes : sequence of int or math.inf
        Number of sites in every class.
    cut : int
        The largest weighted number of excitations.

    Returns
    -------
    ndarray of int, shape (states, modes)
    """
    class_of = np.repeat(np.arange(len(weights)), [len(w) for w in weights])
    flat = np.concatenate([np.asarray(w, dtype=np.int64) for w in weights])
    n = np.zeros((1, len(flat)), dtype=np.int64)
    for mode in np.flatnonzero(flat):  # append every allowed occupation of one mode after the other
        of_class = n[:, class_of == class_of[mode]].sum(axis=1)
        room = (int(cut) - n @ flat) // flat[mode]
        room = np.minimum(room, int(min(sizes[class_of[mode]], cut)) - of_class)
        n = np.repeat(n, (room + 1).astype(np.intp), axis=0)
        ends = np.cumsum(room + 1)
        n[:, mode] = np.arange(len(n)) - np.repeat(ends - room - 1, (room + 1).astype(np.intp))
    return n


def count_box(weights: Sequence[Any], sizes: Sequence[float], cut: int) -> int:
    """The number of states of `box`, counted without listing them."""
    total = np.eye(1, cut + 1)[0]  # by weighted occupation
    for of_class, size in zip(weights, sizes, strict=True):
        kept = [int(weight) for weight in of_class if 0 < weight <= cut]
        if kept and size * min(kept) < cut:
            ways = np.zeros((int(size) + 1, cut + 1))  # by occupation and weighted occupation
            ways[0] = total
            for weight in kept:
                for occupation in range(1, len(ways)):
                    ways[occupation, weight:] += ways[occupation - 1, : cut + 1 - weight]
            total = ways.sum(axis=0)
        else:  # the class is never full
            for weight in kept:
                for rest in range(weight):
                    total[rest::weight] = np.cumsum(total[rest::weight])
    return int(total.sum())


def count_charges(weights: np.ndarray, charges: np.ndarray, cut: int) -> np.ndarray:
    """How many occupations with Σ w_i n_i ≤ `cut` have the charge Σ q_i n_i = −M, …, M, by charge."""
    kept = np.flatnonzero(weights)
    largest = int(cut * np.abs(charges[kept] / weights[kept]).max(initial=0))
    ways = np.zeros((cut + 1, 2 * largest + 1))
    ways[0, largest] = 1
    for mode in kept:
        weight, charge = int(weights[mode]), int(charges[mode])
        for total in range(weight, cut + 1):
            ways[total] += np.roll(ways[total - weight], charge)  # what is rolled over is zero
    return np.asarray(ways.sum(axis=0))


def keys_of(n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One integer for every row of occupations, in lexicographic order, and the strides that make it.

    One more than what occurs fits into a key, so that a row that does not occur has no other row's key.

    Raises
    ------
    ArgumentError
        If there are too many modes, 39 of which may be occupied, to have keys at any cut.
    TruncationError
        If too many of them are occupied too often.
    """
    largest = n.max(axis=0, initial=0)
    radix = (largest + 2).tolist()
    if math.prod(radix) >= LARGEST_KEY:
        if largest.max() < 2:
            must = "have fewer levels, d² − 1 modes in every class, for a 64-bit number to name sets of occupied ones"
            raise ArgumentError("sites", must, f"of {n.shape[1]} modes in all")
        raise TruncationError(
            f"A 64-bit number cannot name the occupations of {n.shape[1]} modes by up to {largest.max()} quanta each: "
            "only a smaller cut, a lower power of a moment, or sites of fewer levels could be dealt with."
        )
    strides = np.array([math.prod(radix[i + 1 :]) for i in range(len(radix))], dtype=np.int64)
    return n @ strides, strides


def union(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The rows of several sets of occupations, sorted and without repetition."""
    if len(parts) == 1:
        return parts[0]
    n = np.concatenate(parts)
    return n[np.unique(keys_of(n)[0], return_index=True)[1]]


def grown(
    n: np.ndarray, kept: np.ndarray, class_of: np.ndarray, sizes: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """The occupations with at most one more quantum, in one of the modes `kept`, than one of the given ones.

    Returns
    -------
    larger : ndarray
        Sorted.
    inner : ndarray of bool
        Which of them are the given ones.
    """
    keys, strides = keys_of(n)
    largest = np.unique(np.concatenate([keys, *(keys + strides[mode] for mode in kept)]))
    radix = n.max(axis=0, initial=0) + 2
    larger = largest[:, None] // strides % radix
    inner = np.isin(largest, keys, assume_unique=True)
    for site_class, size in enumerate(sizes):
        excited = larger[:, class_of == site_class].sum(axis=1)
        if size < excited.max(initial=0):
            larger, inner = larger[excited <= size], inner[excited <= size]
    return larger, inner
