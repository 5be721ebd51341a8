r"""Whether a solution of the equations is a state: the uncertainty relation of what the sites are coupled by.

The equations for moments know the commutator of two operators but not that ⟨X†X⟩ ≥ 0. They may have another solution,
which is no state: for one boson that with −1, −2, … quanta in place of 0, 1, …. Where a set of occupations is too small
for the stationary state but large enough for that one, its stationary vector is that one, and a larger set confirms it.
With X_i the Hermitian parts of all collective operators, and 1, the matrix

.. math:: G_{ij} = ⟨X_i X_j⟩ = ½⟨\{X_i, X_j\}⟩ + ½⟨[X_i, X_j]⟩

has no negative eigenvalue in a state, nor has the central system's density matrix. A solution is off by at least as
much as its own matrices have.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..problem.moments import Moment
from .readout import Readout
from .site import Compiled, hermitian_parts

#: A negative eigenvalue counts if it is so many times what the sets differ by.
CLEARLY = 2.0
#: More operators than these are not looked at; those that the central system couples to come first.
MOST = 12
#: Of a larger central system the density matrix is not looked at.
MOST_LEVELS = 12

#: A sum of operators over all sites, by class.
Collective = Mapping[int, np.ndarray]


class Uncertainty:
    """The matrix of the collective operators of a problem, in the limit N = ∞ where `order` is 0."""

    def __init__(self, compiled: Compiled, order: int | None) -> None:
        self._compiled, self._scaling = compiled, max(compiled.problem.scaling, 0.5)
        self._operators = collective(compiled)[:MOST]
        s, operators = self._scaling, self._operators
        self._pairs = list(itertools.combinations(range(len(operators)), 2))
        moments = [Moment(site=X, scaling=s) for X in operators]
        moments += [Moment(site=X, power=2, scaling=s) for X in operators]
        moments += [
            Moment(site=_added(operators[i], operators[j]), power=2, scaling=s) for i, j in self._pairs
        ]
        commuting = np.zeros((compiled.problem.classes[0].dimension,) * 2)
        moments += [
            Moment(site=self._commutator(i, j) or {0: commuting}, scaling=2 * s) for i, j in self._pairs
        ]
        d = compiled.problem.central.dimension
        self._levels = d if d <= MOST_LEVELS else 0
        self._units = list(np.eye(d * d).reshape(-1, d, d)) if self._levels else []
        moments += [Moment(central=part) for E in self._units for part in (E + E.T, 1j * (E - E.T))]
        self._readout = Readout(compiled, moments, (order,))

    def _commutator(self, i: int, j: int) -> Collective:
        """C = i [X_i, X_j], Hermitian, by class; operators of two classes commute."""
        X, Y = self._operators[i], self._operators[j]
        return {c: 1j * (X[c] @ Y[c] - Y[c] @ X[c]) for c in X if c in Y}

    def missed(
        self, generator: Any, V: np.ndarray, references: Sequence[np.ndarray], tolerance: float
    ) -> float:
        """By how much the first column of V is negative, if clearly more than its distance from the others."""
        rows = generator.rows(self._readout, references)[0]
        found = 0.0
        for one, *others in zip(*(self._matrices(rows @ v, references) for v in V.T), strict=True):
            if not np.isfinite(one).all():
                return math.inf
            least = float(np.linalg.eigvalsh(one)[0])
            apart = max((float(np.linalg.norm(one - other, 2)) for other in others), default=0.0)
            if -least > CLEARLY * apart + tolerance * max(1.0, float(np.abs(one).max())):
                found = max(found, -least)
        return found

    def _matrices(self, values: np.ndarray, references: Sequence[np.ndarray]) -> list[np.ndarray]:
        """G, and the central system's density matrix if it is looked at."""
        m, pairs, d = len(self._operators), self._pairs, self._levels
        means, squares, of_sums, commutators, central = np.split(
            np.real(values), np.cumsum([m, m, len(pairs), len(pairs)]).tolist()
        )
        G = np.zeros((m + 1, m + 1), dtype=complex)
        G[0, 0] = 1
        G[0, 1:] = G[1:, 0] = means
        G[range(1, m + 1), range(1, m + 1)] = squares
        problem = self._compiled.problem
        for (i, j), of_sum, commutator in zip(pairs, of_sums, commutators, strict=True):
            mean = 0.0
            for c, C in self._commutator(i, j).items():
                site = self._compiled.sites[c]
                row = site.basis.expectation(C)
                mean += float(np.real(row[0] + references[c] @ row[1:])) * site.share
            at_rest = mean * float(problem.size) ** (1 - 2 * self._scaling) if self._scaling > 0.5 else mean
            G[i + 1, j + 1] = (of_sum - squares[i] - squares[j]) / 2 - 0.5j * (commutator + at_rest)
            G[j + 1, i + 1] = G[i + 1, j + 1].conj()
        if not d:
            return [G]
        x, y = central.reshape(d, d, 2).transpose(2, 0, 1)  # of E_ij: Tr ρ (E + E†) and i Tr ρ (E − E†)
        return [G, (x + 1j * y) / 2]


def _added(X: Collective, Y: Collective) -> dict[int, Any]:
    return {c: sum(Z[c] for Z in (X, Y) if c in Z) for c in sorted({*X, *Y})}


def collective(compiled: Compiled) -> list[Collective]:
    """Hermitian sums over all sites: what every operator of the central system is coupled to, then all parts of it."""
    given: list[Collective] = []
    coupled: dict[bytes, dict[int, np.ndarray]] = {}
    for c, site in enumerate(compiled.problem.classes):
        for A, B, factor in site.couplings:
            size = np.linalg.norm(A) or 1.0
            of_all = coupled.setdefault(np.round(A / size, 9).tobytes(), {})
            strength = size * (1.0 if callable(factor) else factor)
            of_all[c] = of_all.get(c, 0) + strength * B
    given += coupled.values()
    given += [dict(by_class) for _, by_class in compiled.problem.collective_jumps]
    for c, site in enumerate(compiled.problem.classes):
        given += [{c: B} for _, B, _ in site.couplings]
        given += [{c: B} for pair in site.interactions for B in pair]
    given += [{c: B} for _, by_class in compiled.problem.collective_jumps for c, B in by_class.items()]

    sizes = [site.dimension for site in compiled.problem.classes]
    found: list[Collective] = []
    known = [_stacked({c: np.eye(d)}, sizes) for c, d in enumerate(sizes)]
    for X in given:
        parts = {c: hermitian_parts(B) for c, B in X.items()}
        for k in range(2):
            size = max(float(np.linalg.norm(both[k], 2)) for both in parts.values())
            part = {c: both[k] / (size or 1.0) for c, both in parts.items()}
            further = [*known, _stacked(part, sizes)]
            if size and np.linalg.matrix_rank(np.array(further), tol=1e-9) > len(known):
                found.append(part)
                known = further
    return found


def _stacked(X: Collective, sizes: Sequence[int]) -> np.ndarray:
    return np.concatenate([np.ravel(X[c]) if c in X else np.zeros(d * d) for c, d in enumerate(sizes)])
