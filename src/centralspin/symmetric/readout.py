r"""Reading moments of the bath and the central system out of a vector in symmetric Liouville space.

The trace over the bath is the component n = 0, because every e_i is traceless. A moment of a collective
operator is the trace after applying ½{B, ·} on all sites several times; as a row vector it starts at
n = 0 and reaches |n| ≤ p after p applications. The rows are made in a space of that size only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from ..problem.moments import Moment
from .basis import in_reference_basis
from .generator import Generator, rounded
from .space import SymmetricSpace, condensate_factor


class Readout:
    """Rows that read moments from the vectors of one `Generator`.

    Parameters
    ----------
    generator : Generator
        Its space and model are read from; with an `order`, the rows are coefficients of N^{−order/2}.
    moments : sequence of Moment
        What to read.
    """

    def __init__(self, generator: Generator, moments: Sequence[Moment]) -> None:
        self._generator = generator
        self._moments = list(moments)
        sizes = [c.count for c in generator.model.classes]
        # All modes, also those that the dynamics never reaches: rows pass through them.
        equal = [np.ones(len(w), dtype=int) for w in generator.weights]
        power = max((m.power for m in moments), default=0)
        self._small = small = SymmetricSpace(equal, sizes, power)
        position = generator.space.find(small.occupations)
        self._inside = position >= 0
        self._position = position[self._inside]
        kinds = {(index, m.scaling) for m in moments if m.power for index in m.per_class()}
        self._lifts = {kind: [self._lift(*kind, order) for order in self._orders()] for kind in kinds}

    def _orders(self) -> list[int | None]:
        order = self._generator.order
        return [None] if order is None else list(range(order + 1))

    def _lift(self, site_class: int, scaling: float, order: int | None) -> tuple[np.ndarray, ...]:
        """Triplets of every hop of a class in the small space, and the matrix element that multiplies each."""
        model_class = self._generator.model.classes[site_class]
        size = model_class.basis.size
        order = 0 if order is None and model_class.count == math.inf else order
        parts = []
        for to in range(size):
            for source in range(size):
                hop = self._small.hop(to, source, site_class)
                values = hop.amplitudes * condensate_factor(hop, model_class.count, scaling, order)
                values *= self._generator.shares[site_class] ** (-(order or 0) / 2)
                parts.append((hop.rows, hop.columns, values, np.full(len(values), to * size + source)))
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))

    def rows(self, references: Sequence[np.ndarray] | None = None) -> csr_matrix:
        """The rows R with R @ v = the moments, around the given (by default the initial) references."""
        generator = self._generator
        references = generator.references if references is None else references
        basis = generator.model.central_basis
        done: dict[Any, list[list[np.ndarray]]] = {}
        dense = np.zeros((len(self._moments), generator.space.size, basis.size))
        for index, m in enumerate(self._moments):
            central = np.eye(1, basis.size)[0] if m.central is None else basis.expectation(m.central).real
            bath = self._start()
            if m.power:
                key = (m.scaling, *((index, B.tobytes()) for index, B in m.per_class().items()))
                powers = done.setdefault(key, [bath])
                while len(powers) <= m.power:
                    powers.append(self._apply(m, references, powers[-1]))
                bath = powers[m.power]
            dense[index, self._position] = np.multiply.outer(bath[-1][self._inside], central)
        return csr_matrix(dense.reshape(len(self._moments), generator.size))

    def _start(self) -> list[np.ndarray]:
        """The trace over the bath, as a series in N^{−1/2} if orders are asked for."""
        series = [np.zeros(self._small.size) for _ in self._orders()]
        series[0][0] = 1.0
        return series

    def _apply(
        self, moment: Moment, references: Sequence[np.ndarray], series: list[np.ndarray]
    ) -> list[np.ndarray]:
        """Multiply rows by the lift of ½{B − b, ·}."""
        result = [np.zeros(self._small.size) for _ in series]
        for index, B in moment.per_class().items():
            M = self._generator.model.classes[index].basis.anticommutator(B) / 2
            M = in_reference_basis(M, references[index])
            M = rounded(M - M[0, 0] * np.eye(len(M)))
            lifts = self._lifts[index, moment.scaling]
            for order in range(len(series)):
                for i in range(order + 1):
                    rows, columns, values, entries = lifts[order - i]
                    weights = series[i][rows] * values * M.ravel()[entries]
                    result[order] += np.bincount(columns, weights, minlength=self._small.size)
        return result
