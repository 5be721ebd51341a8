r"""Whether a solution of the equations is a state: the uncertainty relation of what the sites are coupled by.

The equations for moments know the commutator of two operators but not that ⟨X†X⟩ ≥ 0. They may have another solution,
which is no state: for one boson that with −1, −2, … quanta in place of 0, 1, …. Where a set of occupations is too small
for the stationary state but large enough for that one, its stationary vector is that one, and a larger set confirms it.
With X_i the Hermitian parts of all collective operators, and 1, the matrix

.. math:: G_{ij} = ⟨X_i X_j⟩ = ½⟨\{X_i, X_j\}⟩ + ½⟨[X_i, X_j]⟩

has no negative eigenvalue in a state. A solution is off by at least as much as its own matrix has.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..problem.moments import Moment
from .readout import Readout
from .site import Compiled, hermitian_parts

#: A negative eigenvalue counts if it is so many times what the sets differ by.
CLEARLY = 2.0
#: Operators of more sites than these are not looked at.
MOST = 12
#: Of more modes than these occupations by two quanta have no names, and nothing is looked at.
MOST_MODES = 31


class Uncertainty:
    """The matrix of the collective operators of a problem, in the limit N = ∞ where `order` is 0."""

    def __init__(self, compiled: Compiled, order: int | None) -> None:
        self._compiled, self._scaling = compiled, max(compiled.problem.scaling, 0.5)
        modes = sum(site.basis.size - 1 for site in compiled.sites)
        self._operators = collective(compiled)[:MOST] if modes <= MOST_MODES else []
        s, operators = self._scaling, self._operators
        self._pairs = list(itertools.combinations(range(len(operators)), 2))
        moments = [Moment(site={c: B}, scaling=s) for c, B in operators]
        moments += [Moment(site={c: B}, power=2, scaling=s) for c, B in operators]
        for i, j in self._pairs:
            (c, B), (d, C) = operators[i], operators[j]
            moments.append(Moment(site={c: B + C} if c == d else {c: B, d: C}, power=2, scaling=s))
        for i, j in self._pairs:
            moments.append(Moment(site={operators[i][0]: self._commutator(i, j)}, scaling=2 * s))
        self._readout = Readout(compiled, moments, (order,))

    def _commutator(self, i: int, j: int) -> np.ndarray:
        """C = i [B_i, B_j], Hermitian; that of operators of two classes is 0."""
        (c, B), (d, C) = self._operators[i], self._operators[j]
        return 1j * (B @ C - C @ B) if c == d else np.zeros_like(B)

    def missed(
        self, generator: Any, V: np.ndarray, references: Sequence[np.ndarray], tolerance: float
    ) -> float:
        """By how much G of the first column of V is negative, if clearly more than its distance from the others."""
        if not self._operators:
            return 0.0
        rows = generator.rows(self._readout, references)[0]
        one, *others = (self._matrix(rows @ v, references) for v in V.T)
        if not np.isfinite(one).all():
            return math.inf
        least = float(np.linalg.eigvalsh(one)[0])
        apart = max((float(np.linalg.norm(one - other, 2)) for other in others), default=0.0)
        allowed = CLEARLY * apart + tolerance * max(1.0, float(np.abs(one).max()))
        return -least if -least > allowed else 0.0

    def _matrix(self, values: np.ndarray, references: Sequence[np.ndarray]) -> np.ndarray:
        m, pairs = len(self._operators), self._pairs
        means, squares, of_sums, commutators = np.split(
            np.real(values), np.cumsum([m, m, len(pairs)]).tolist()
        )
        G = np.zeros((m + 1, m + 1), dtype=complex)
        G[0, 0] = 1
        G[0, 1:] = G[1:, 0] = means
        G[range(1, m + 1), range(1, m + 1)] = squares
        problem = self._compiled.problem
        for (i, j), of_sum, commutator in zip(pairs, of_sums, commutators, strict=True):
            index = self._operators[i][0]
            site = self._compiled.sites[index]
            row = site.basis.expectation(self._commutator(i, j))
            mean = np.real(row[0] + references[index] @ row[1:]) * site.share
            at_rest = mean * float(problem.size) ** (1 - 2 * self._scaling) if self._scaling > 0.5 else mean
            G[i + 1, j + 1] = (of_sum - squares[i] - squares[j]) / 2 - 0.5j * (commutator + at_rest)
            G[j + 1, i + 1] = G[i + 1, j + 1].conj()
        return G


def collective(compiled: Compiled) -> list[tuple[int, np.ndarray]]:
    """The Hermitian parts of the sites' operators in couplings, interactions and collective jumps, with their class."""
    given = [
        (index, B)
        for index, site in enumerate(compiled.problem.classes)
        for B in (*(B for _, B, _ in site.couplings), *(B for pair in site.interactions for B in pair))
    ]
    given += [item for _, by_class in compiled.problem.collective_jumps for item in by_class.items()]
    found: list[tuple[int, np.ndarray]] = []
    for index, B in given:
        for part in hermitian_parts(B):
            of_class = np.array([C.ravel() for c, C in found if c == index] + [np.eye(len(part)).ravel()])
            if np.linalg.matrix_rank(np.vstack([of_class, part.ravel()]), tol=1e-9) > len(of_class):
                found.append((index, part / np.linalg.norm(part, 2)))
    return found
