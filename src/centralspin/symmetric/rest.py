"""Stationary states, by all sets of occupations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import null_space
from scipy.sparse import csr_matrix

from ..numerics.stationary import DIRECT, NotUniqueError, PartSolver, StationarySolver
from . import neighbours
from .cut import Outcome
from .settling import masks
from .setup import Setup, rescaled, triangular
from .site import NOTHING
from .uncertainty import Uncertainty

#: Relative accuracy of the differences between the sets.
DIFFERENCE = 0.1
#: Of larger matrices the diagonal is looked at in place of the eigenvalues.
LARGEST_DENSE_SITE = 100
#: Up to this many unknowns it is told what a degenerate stationary state conserves.
LARGEST_DENSE = 1500


class Rest(Setup):
    """A task without times."""

    #: Whether it is known that the stationary state is unique, or was looked for at the first cut; and by how much what
    #: is read changes per residual.
    _unique = _looked = False
    _sensitivity: float | None = None
    #: By how much the last one is clearly no state.
    _no_state = 0.0

    def _stationary(self, outer: np.ndarray, inner: np.ndarray) -> Outcome:
        """The stationary state, or its coefficients."""
        generator, mask = self._prepared(outer, inner)
        rows = triangular(generator.rows(self.readout, self.references))
        V = self.rest_state(generator, mask, rows)
        used = np.unique(rows.indices)
        return self._outcome(
            V[used], rows[:, used].toarray(), generator.size, (generator, V, mask, self.references)
        )

    def rest_state(self, generator: Any, mask: np.ndarray, rows: csr_matrix) -> np.ndarray:
        """Stationary states by set, as columns; coefficients obey L_0 v_l = −Σ_{i<l} L_{l−i} v_i, without trace."""
        self._look_first(generator.size)
        sizes = self._sizes(generator)
        of_one = sizes[: generator.size]
        matrices = [rescaled(matrix, of_one) for matrix in generator.matrices(self.references)]
        rows, tolerance = self._scaled_rows(rows, sizes)
        found: list[np.ndarray] = []
        whole: tuple[StationarySolver, np.ndarray] | None = None
        for keep in masks(mask[: generator.size]).T:
            # What is conserved turns stationary states into such. Those of charge 0 are all if they are one: a second
            # one, of any charge, would leave its blocks, or its mean over all turns, among them.
            index = np.flatnonzero(keep & generator.unknowns.neutral)
            all_of = len(index) == generator.size
            L = matrices if all_of else [matrix[index][:, index] for matrix in matrices]
            near = [part[index] for part in found[0].reshape(len(L), -1)] if found else []
            states = self._from_neighbour(generator, index, L, of_one, tolerance)
            if states is None and whole is not None:
                states = self._part(*whole, index, L, near)
            if states is None:
                whole, states = self._whole(generator, index, L, rows, of_one, tolerance, near)
            full = np.zeros((len(states), generator.size))
            full[:, index] = states
            found.append(full.ravel())
        self._keep(generator, found[0] * sizes)
        V = np.column_stack(found) * sizes[:, None]
        self._no_state = self._judged(generator, V)
        return V

    def _judged(self, generator: Any, V: np.ndarray) -> float:
        """By how much stationary vectors by set, as columns, are clearly no states."""
        relation = Uncertainty(self.compiled, self.orders[0])
        return relation.missed(generator, V[: generator.size], self.references, self.task.tolerance)

    def _look_first(self, size: int) -> None:
        """Before a large set is relied on, find out at the first cut that the stationary state is unique, or raise."""
        if self.cut == self.first:
            self._looked = True
        alone = neighbours.current() is None or len(self.orders) > 1
        if self._unique or self._looked or size <= (DIRECT if alone else neighbours.LEAST):
            return
        before = self.cut, self._inner
        self.cut = self.first
        outer, _ = self.shape.sets(self.cut)
        generator, mask = self._prepared(outer, np.ones((len(outer), 2), dtype=bool))
        self.rest_state(generator, mask, triangular(generator.rows(self.readout, self.references)))
        self.cut, self._inner = before

    def _whole(
        self, generator: Any, index: np.ndarray, L: Sequence[csr_matrix], rows: csr_matrix, sizes: np.ndarray,
        tolerance: float, near: Sequence[np.ndarray],
    ) -> tuple[tuple[StationarySolver, np.ndarray], list[np.ndarray]]:  # fmt: skip
        """The stationary state on some of the unknowns, and all of its orders, with a solver of their own."""
        blocks, part = generator.blocks(), DIFFERENCE if near else 0.0
        guess = self._guess(generator, sizes)
        first = near[0] if near else None if guess is None else guess[index]
        try:
            solver = StationarySolver(
                L[0], np.eye(1, len(index))[0], tolerance, blocks=None if blocks is None else blocks[index],
                slowest=self.slowest, readout=rows[: len(self.task.moments), : generator.size][:, index],
                unique=bool(near) or (self._unique and len(index) > DIRECT), progress=self.task.progress,
            )  # fmt: skip
            states = [solver.stationary(first, part)]
        except NotUniqueError as error:
            raise type(error)(f"{error} {self.conserved(L[0], generator, index)}".strip()) from None
        if not near:
            self._unique = self._unique or solver.unique
            self._sensitivity = self._sensitivity or solver.sensitivity
        for l in range(1, len(L)):
            states.append(solver.solve(_source(L, states), 0.0, near[l] if near else None, part))
        return (solver, index), states

    @staticmethod
    def _part(
        solver: StationarySolver, outer: np.ndarray, index: np.ndarray, L: Sequence[csr_matrix],
        near: Sequence[np.ndarray],
    ) -> list[np.ndarray] | None:  # fmt: skip
        """The same on fewer unknowns than a solver has, where its factorisation helps."""
        inner, states = PartSolver(solver, np.searchsorted(outer, index)), list[np.ndarray]()
        for l, guess in enumerate(near):
            source = _source(L, states) if states else np.zeros(len(index))
            state = inner.solve(source, float(l == 0), guess, DIFFERENCE)
            if state is None:
                return None
            states.append(state)
        return states

    def _from_neighbour(
        self, generator: Any, index: np.ndarray, L: Sequence[csr_matrix], sizes: np.ndarray, tolerance: float
    ) -> list[np.ndarray] | None:
        """The stationary state on some of the unknowns, where those of problems nearby are known, see `neighbours`."""
        known, n = neighbours.current(), len(index)
        if known is None or len(L) > 1 or not self._unique or self._sensitivity is None:
            return None
        if not neighbours.LEAST < n <= neighbours.MOST:
            return None
        occupations = generator.space.occupations
        key = hash((occupations.tobytes(), occupations.shape, index.tobytes(), sizes.tobytes()))
        v = known.stationary(key, L[0], self._sensitivity, tolerance)
        return None if v is None else [v]

    def _guess(self, generator: Any, sizes: np.ndarray) -> np.ndarray | None:
        """A guess at the scaled stationary state: that at the cut before."""
        if self._last is None:
            return None
        space, unknowns, state = self._last
        before = unknowns.spread(state)
        position = space.find(generator.space.occupations)
        guess = np.zeros((generator.space.size, self.compiled.basis.size), dtype=before.dtype)
        guess[position >= 0] = before[position[position >= 0]]
        return np.asarray(generator.unknowns.gather(guess) / sizes)

    def conserved(self, L: csr_matrix, generator: Any, index: np.ndarray) -> str:
        """Say what is conserved beside the trace: a row w with w L = 0, if it can be told; L acts on some unknowns."""
        basis = self.compiled.basis
        far = (
            self._scales is not None and self._scales.max() > 1
        )  # round-off of large unknowns looks the same
        if far or L.shape[0] > LARGEST_DENSE or basis.size == 1:
            return ""
        null = null_space(L.toarray().T, rcond=1e-11)
        rows = np.zeros((generator.size, null.shape[1]), dtype=null.dtype)
        rows[index] = null
        rows = generator.unknowns.spread(rows)[0, 1:]  # their parts on the central system alone
        if not rows.size or np.abs(rows).max() < 1e-6:
            return "What is conserved involves the sites."
        w = np.linalg.svd(rows)[0][:, 0]
        Q = np.tensordot(w.conj(), basis.duals[1:], axes=1)
        Q = np.round(Q / np.abs(Q).max(), 3) + 0.0
        if basis.dimension > 4:
            return "An operator of the central system is conserved."
        shown = np.real(Q) if np.abs(Q.imag).max() == 0 else Q
        return f"Conserved is the central operator {shown.tolist()}, perhaps with a part on the sites."

    @cached_property
    def slowest(self) -> float:
        """The slowest relaxation of a site or of the central system by itself."""
        rates = []
        for matrix in [
            self.compiled.central.at(0.0),
            *(s.equation.parts.at(0.0) for s in self.compiled.sites),
        ]:
            small = len(matrix) <= LARGEST_DENSE_SITE
            damping = -(np.linalg.eigvals(matrix) if small else np.diag(matrix)).real  # about the same
            rates += damping[damping > NOTHING * np.abs(matrix).max(initial=0)].tolist()
        return min(rates, default=1.0)


def _source(L: Sequence[csr_matrix], states: Sequence[np.ndarray]) -> np.ndarray:
    """−Σ_{i<l} L_{l−i} v_i, from which the coefficient of order l follows."""
    l = len(states)
    return np.asarray(-sum(L[l - i] @ states[i] for i in range(l)))
