r"""Excitation numbers that a problem conserves.

A diagonal operator :math:`Q = Q_c + \sum_k q^{(k)}`, q depending on the class of the site, generates a symmetry of the
Lindbladian if the Hamiltonian conserves it and every jump operator changes it by a definite amount. These are linear
equations for the charges of the levels; their solutions are all such numbers. An operator |i⟩⟨j| then has the charge
Q_i − Q_j, and the Lindbladian acts within operators of one charge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..problem.checks import is_hermitian
from ..problem.general import Problem
from ..problem.moments import Moment
from .sectors import encoded

#: So many of the numbers are used, and so large their charges may be.
MOST, LARGEST = 3, 64
#: What is smaller than this, relative to the largest entry, is zero.
NOTHING = 1e-14


@dataclass(frozen=True)
class Charges:
    """Conserved numbers, independent of each other.

    Attributes
    ----------
    central : ndarray of int, shape (numbers, d_c)
        The charge of every level of the central system, that of the first being 0.
    classes : list of ndarray of int, shape (numbers, d_s)
        Of every class of sites.
    """

    central: np.ndarray
    classes: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.central)

    def __getitem__(self, kept: Any) -> Charges:
        return Charges(self.central[kept], [of_class[kept] for of_class in self.classes])

    def shifts(self, moment: Moment) -> np.ndarray:
        """By how much a state's charge changes, as one integer for all numbers, where a moment multiplies it."""
        found = np.zeros(1, dtype=np.int64)
        if moment.central is not None:
            i, j = np.nonzero(moment.central)
            found = encoded(self.central[:, i] - self.central[:, j])
        if moment.power:
            changes = []
            for index, B in moment.operators.items():
                i, j = np.nonzero(B)
                changes.append(encoded(self.classes[index][:, i] - self.classes[index][:, j]))
            for _ in range(moment.power):
                found = np.add.outer(np.unique(found), np.concatenate(changes))
        return np.unique(found)


def conserved(problem: Problem) -> Charges | None:
    """The numbers that a problem conserves, or None; with interactions between sites they are not looked for."""
    if any(site.interactions for site in problem.classes):
        return None
    sizes = [problem.central.dimension, *(site.dimension for site in problem.classes)]
    starts = np.cumsum([0, *sizes])
    equations = [np.zeros((1, starts[-1]))]

    def change(pairs: list[tuple[Any, ...]]) -> np.ndarray:
        """By how much entries |i⟩⟨j| of several systems change the charge, as rows on those of the levels."""
        rows = np.zeros((len(pairs[0][1]), starts[-1]))
        number = np.arange(len(rows))
        for system, i, j in pairs:
            np.add.at(rows, (number, starts[system] + i), 1.0)
            np.add.at(rows, (number, starts[system] + j), -1.0)
        return rows

    for index, system in enumerate([problem.central, *problem.classes]):
        for H, _ in system.hamiltonian:
            equations.append(change([(index, *_entries(H))]))
        for J, _ in system.jumps:
            equations.append(_definite([change([(index, *_entries(J))])]))
        if index and system.initial is not None:  # the reference state is part of the frame
            equations.append(change([(index, *_entries(system.initial))]))
    for index, site in enumerate(problem.classes, start=1):
        sums: dict[Any, np.ndarray] = {}
        for A, B, factor in site.couplings:
            key = factor if callable(factor) else None
            product = np.multiply.outer(A, B) * (1 if key else factor)
            if not (is_hermitian(A) and is_hermitian(B)):
                product = product + np.multiply.outer(A.conj().T, B.conj().T)
            sums[key] = sums.get(key, 0) + product
        for T in sums.values():
            i, j, k, l = _entries(T)
            equations.append(change([(0, i, j), (index, k, l)]))
    for A, by_class in problem.collective_jumps:
        changes = []
        for c, B in by_class.items():
            (i, j), (k, l) = _entries(A), _entries(B)
            first, second = (index.ravel() for index in np.indices((len(i), len(k))))
            i, j, k, l = i[first], j[first], k[second], l[second]
            changes.append(change([(0, i, j), (c + 1, k, l)]))
        equations.append(_definite(changes))
    free = np.setdiff1d(np.arange(starts[-1]), starts[:-1])  # the first level of every system has no charge
    solutions = null_vectors(np.unique(np.concatenate(equations), axis=0)[:, free])[:MOST]
    if not len(solutions):
        return None
    levels = np.zeros((len(solutions), starts[-1]), dtype=np.int64)
    levels[:, free] = solutions
    central, *classes = np.split(levels, starts[1:-1], axis=1)
    return Charges(central, classes)


def _entries(M: np.ndarray) -> tuple[Any, ...]:
    return np.nonzero(np.abs(M) > NOTHING * np.abs(M).max(initial=0))


def _definite(changes: list[np.ndarray]) -> np.ndarray:
    """All entries of a jump operator change the charge alike."""
    rows = np.concatenate(changes)
    return rows - rows[:1]


def null_vectors(M: np.ndarray) -> np.ndarray:
    """Independent integer vectors x, as rows, with M x = 0 for a matrix of small integers."""
    A = M.T @ M
    pivots: list[int] = []
    for column in range(A.shape[1]):
        below = np.arange(len(pivots), len(A))
        row = below[np.abs(A[below, column]).argmax()] if len(below) else 0
        if not len(below) or abs(A[row, column]) < 1e-9:
            continue
        A[[len(pivots), row]] = A[[row, len(pivots)]]
        A[len(pivots)] /= A[len(pivots), column]
        others = np.arange(len(A)) != len(pivots)
        A[others] -= np.outer(A[others, column], A[len(pivots)])
        pivots.append(column)
    found = []
    for column in np.setdiff1d(np.arange(A.shape[1]), pivots):
        x = np.zeros(A.shape[1])
        x[column] = 1
        x[pivots] = -A[: len(pivots), column]
        parts = [Fraction(value).limit_denominator(LARGEST) for value in x.tolist()]
        scaled = np.array([float(part) for part in parts]) * math.lcm(*(part.denominator for part in parts))
        if np.abs(scaled).max() <= LARGEST * A.shape[1] and np.abs(M @ scaled).max(initial=0) < 1e-6:
            found.append(np.round(scaled).astype(np.int64))
    return np.array(found, dtype=np.int64).reshape(-1, A.shape[1])
