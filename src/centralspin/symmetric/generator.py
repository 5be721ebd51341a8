r"""The Lindbladian of a `CollectiveModel` in symmetric Liouville space.

A permutation-invariant state is the real vector v[n, a]: a runs over the central basis (1/d_c, e_1, …) of
`site`, n over the occupations of `symmetric`. Because the basis operators are Hermitian, everything is
real. The Schrödinger-picture generator is

.. math::
    L = 1 ⊗ L_c + \sum_k 1 ⊗ M^{(k)} + N^{-z} \sum_a C_a ⊗ \sum_k M_a^{(k)}
        + N^{-1} \sum_b 1 ⊗ \sum_k K_b^{(k)} \sum_l P_b^{(l)},

with L_c the Lindbladian of the central system, M that of a site,
−i[A⊗B, ·] = ½(−i[A, ·])⊗{B, ·} + ½{A, ·}⊗(−i[B, ·]) for every coupling, and for every interaction
−i[½{S_A, S_B}, ·] = (−i[S_A, ·]) ½{S_B, ·} + (−i[S_B, ·]) ½{S_A, ·}. The matrices of the site are
taken in the frame of its reference state ω(t), which obeys the equation of the sites without the central
system, so that M creates no excitation out of the condensate: M_{i0} = 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, eye_array, kron

from ..errors import ArgumentError
from ..problem.collective import CollectiveModel, SiteClass
from .basis import in_reference_basis
from .space import Hop, Lift, SymmetricSpace, condensate_factor, diverges

#: Entries of a single-site matrix below this times its largest one are round-off.
ROUND_OFF = 1e-14


class Generator:
    """The Lindbladian on a cut symmetric Liouville space, for one cut.

    Parameters
    ----------
    model : CollectiveModel
        The problem; classes of infinite count are taken to their limit N = ∞.
    cut : int
        The largest weighted number of excitations.
    order : int, optional
        Take the coefficient of N^{−order/2} of the generator instead of its value at N, where N is the number
        of all sites and every class keeps its share of them.
    """

    def __init__(self, model: CollectiveModel, cut: int, order: int | None = None) -> None:
        self.model = model
        self.order = order
        self.references = [c.reference() for c in model.classes]
        self.moving = any(c.moves() for c in model.classes)
        self.timed = any(c.rates for c in model.classes)
        total = sum(c.count for c in model.classes)
        self.shares = [c.count / total if total < math.inf else 1.0 for c in model.classes]
        self._dc2 = model.central_basis.size
        self.weights, active = mode_weights(model)
        self.space = SymmetricSpace(self.weights, [c.count for c in model.classes], cut)
        self.size = self.space.size * self._dc2
        self._assemble(active)

    def _assemble(self, active: list[list[np.ndarray]]) -> None:
        dc2, states = self._dc2, np.arange(self.space.size)
        rows, columns, amplitudes, entries = [], [], [], []
        offset = 0

        def add(hop_rows, hop_columns, hop_amplitudes, a, b, entry) -> None:  # type: ignore[no-untyped-def]
            rows.append((hop_rows[:, None] * dc2 + a).ravel())
            columns.append((hop_columns[:, None] * dc2 + b).ravel())
            amplitudes.append(np.repeat(hop_amplitudes, len(a)))
            entries.append(np.tile(entry, len(hop_rows)))

        a, b = np.nonzero(self.model.central_lindbladian)
        if not self.order:  # the central Lindbladian does not depend on N
            add(states, states, np.ones(len(states)), a, b, a * dc2 + b)
        offset += dc2 * dc2
        diagonal = np.arange(dc2)
        for index, site_class in enumerate(self.model.classes):
            d2 = site_class.basis.size
            local, coupled = active[index]
            for to, source in zip(*np.nonzero(local), strict=True):
                hop, factor = self._hop(to, source, index, 0.0)
                entry = np.full(dc2, offset + to * d2 + source)
                add(hop.rows, hop.columns, hop.amplitudes * factor, diagonal, diagonal, entry)
            offset += d2 * d2
            for to, source in zip(*np.nonzero(coupled.any(axis=(2, 3))), strict=True):
                hop, factor = self._hop(to, source, index, self.model.scaling)
                a, b = np.nonzero(coupled[to, source])
                entry = offset + ((to * d2 + source) * dc2 + a) * dc2 + b
                add(hop.rows, hop.columns, hop.amplitudes * factor, a, b, entry)
            offset += d2 * d2 * dc2 * dc2
        self._rows, self._columns = (
            np.concatenate(rows or [states[:0]]),
            np.concatenate(columns or [states[:0]]),
        )
        self._amplitudes, self._entries = (
            np.concatenate(amplitudes or [np.zeros(0)]),
            np.concatenate(entries or [states[:0]]),
        )
        self._number_of_entries = offset
        self._template: tuple[csr_matrix, csr_matrix] | None = None
        self._lifts: dict[tuple[int, float, int | None], Lift] = {}

    def _hop(self, to: int, source: int, site_class: int, scaling: float) -> tuple[Hop, np.ndarray]:
        hop = self.space.hop(int(to), int(source), site_class)
        count = self.model.classes[site_class].count
        order = 0 if self.order is None and count == math.inf else self.order
        if order is not None and diverges(hop, scaling):
            raise ArgumentError(
                "scaling",
                "be large enough for the limit N = ∞ to exist (at ½ the bath must have ⟨σ±⟩ = 0)",
                scaling,
            )
        return hop, condensate_factor(hop, count, scaling, order) * self.shares[site_class] ** (
            -(order or 0) / 2
        )

    def coefficients(self, references: Sequence[np.ndarray], time: float = 0.0) -> np.ndarray:
        """Single-site matrix elements that multiply the hops, around one reference for every class."""
        parts = [self.model.central_lindbladian.ravel()]
        for site_class, r in zip(self.model.classes, references, strict=True):
            local, coupled = site_matrices(site_class, r, site_class.lindbladian_at(time))
            parts += [local.ravel(), coupled.ravel()]
        return np.concatenate(parts)

    def matrix(self, references: Sequence[np.ndarray] | None = None, time: float = 0.0) -> csr_matrix:
        """The generator as a real sparse matrix, around the given (by default the initial) references."""
        if references is None:
            values = self._amplitudes * self.coefficients(self.references)[self._entries]
            matrix = coo_matrix((values, (self._rows, self._columns)), shape=(self.size, self.size)).tocsr()
            return self._with_interactions(matrix, self.references)
        if self._template is None:  # the pattern is sorted once; only its values change in time
            keys, position = np.unique(self._rows * self.size + self._columns, return_inverse=True)
            indptr = np.searchsorted(keys // self.size, np.arange(self.size + 1))
            weights = coo_matrix(
                (self._amplitudes, (position, self._entries)), shape=(len(keys), self._number_of_entries)
            ).tocsr()
            empty = csr_matrix((np.zeros(len(keys)), keys % self.size, indptr), shape=(self.size, self.size))
            self._template = (weights, empty)
        weights, matrix = self._template
        matrix.data = weights @ self.coefficients(references, time)
        return self._with_interactions(matrix, references)

    def _with_interactions(self, matrix: csr_matrix, references: Sequence[np.ndarray]) -> csr_matrix:
        """Add N^{−1} Σ_k K^{(k)} Σ_l P^{(l)} of every pair, without the part that moves the reference."""
        for index, (site_class, r) in enumerate(zip(self.model.classes, references, strict=True)):
            if not len(site_class.interactions):
                continue
            order = 0 if self.order is None and site_class.count == math.inf else self.order

            total = self._lifted(index, in_reference_basis(site_class.exchange, r), 1.0, order)
            for K, P in in_reference_basis(site_class.interactions, r):
                condensed = np.zeros_like(K)  # a site in the mean field of the others
                condensed[:, 0] = K[:, 0] * P[0, 0]
                total = total - self._lifted(index, condensed, 0.0, order)
                if order is None:
                    total = total + self._lifted(index, K, 0.0, None) @ self._lifted(index, P, 1.0, None)
                    continue
                for i in range(-1, order + 1):  # K is at most of order √N, P of order N
                    total = total + self._lifted(index, K, 0.0, i) @ self._lifted(index, P, 1.0, order - i)
            total = total * self.shares[index] ** (-(order or 0) / 2)
            matrix = matrix + kron(total, eye_array(self._dc2), format="csr")
        return csr_matrix(matrix)

    def _lifted(self, site_class: int, M: np.ndarray, scaling: float, order: int | None) -> csr_matrix:
        key = (site_class, scaling, order)
        if key not in self._lifts:
            count = self.model.classes[site_class].count
            self._lifts[key] = Lift(self.space, count, scaling, site_class, order)
        return self._lifts[key](rounded(M))

    def blocks(self) -> np.ndarray:
        """Labels of the weakly connected blocks: occupations of the modes that the coupling does not reach directly."""
        indirect = np.concatenate(self.weights) > 1
        labels = np.unique(self.space.occupations[:, indirect], axis=0, return_inverse=True)[1]
        return np.repeat(labels.ravel(), self._dc2)

    def initial(self) -> np.ndarray:
        """The initial product state: the central state times n = 0."""
        if self.model.initial is None:
            raise ArgumentError("initial", "be given to evolve a `CollectiveModel`", None)
        v = np.zeros(self.size)
        v[: self._dc2] = self.model.central_basis.coordinates(self.model.initial).real
        return v


def site_matrices(
    site_class: SiteClass, r: np.ndarray, lindbladian: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Matrix of a site's Lindbladian (d², d²), and of its couplings (d², d², d_c², d_c²), around ω(r)."""
    local = in_reference_basis(lindbladian, r)
    local[:, 0] = 0  # ω obeys the site's own equation
    coupled = np.tensordot(
        in_reference_basis(site_class.site_parts, r), site_class.central_parts, axes=(0, 0)
    )
    return rounded(local), rounded(coupled)


def rounded(M: np.ndarray) -> np.ndarray:
    """The matrix with what is only round-off set to zero."""
    return np.where(np.abs(M) < ROUND_OFF * np.abs(M).max(initial=0), 0.0, M)


def mode_weights(model: CollectiveModel) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    """Weights of the modes of every class, and which matrix elements are ever non-zero.

    A mode that the coupling exchanges directly with the condensate has weight 1; one such excitation is worth
    about a factor 1/e. A mode i that only a site's own dynamics makes, at the rate A_ij out of mode j, holds
    A_ij/A_ii of what j holds, so that its weight is larger by ln(A_ii/A_ij), at least 1. The others are reached
    through two modes only, with an amplitude that is smaller by √N: weight ½ ln N, at least 2. A mode that is
    never reached has weight 0 and is left out, such as σz at N = ∞.
    """
    weights, active = [], []
    for site_class in model.classes:
        r = site_class.generic_reference()
        pairs = [site_matrices(site_class, r, part) for part in site_class.lindbladian_parts]
        local = np.any([p[0] != 0 for p in pairs], axis=0)
        coupled = np.any([p[1] != 0 for p in pairs], axis=0)
        if site_class.count == math.inf:
            keep = np.full(local.shape, 2.0)
            keep[0, 0], keep[1:, 1:] = 2, 0
            keep[0, 1:] = keep[1:, 0] = 1
            coupled[keep / 2 < model.scaling] = False  # vanishes as N → ∞
        exchanged = coupled.any(axis=(2, 3))
        created = exchanged[1:, 0].copy()
        reached = created.copy()
        hops = local[1:, 1:] | exchanged[1:, 1:]
        for K, P in rounded(in_reference_basis(site_class.interactions, r)):
            # Two excitations at once, or one out of the condensate while another one hops.
            K, P = K != 0, P != 0
            if K[1:, 0].any() and P[1:, 0].any():
                created |= K[1:, 0] | P[1:, 0]
                reached |= created
            elif site_class.count < math.inf:
                hops = hops | (K | P)[1:, 1:] | P[1:, :1] | K[1:, :1]
            hops = hops | K[1:, 1:]
        for _ in range(len(reached)):
            reached |= (hops & reached[None, :]).any(axis=1)
        direct = created | exchanged[0, 1:]
        weight = np.where(reached, np.where(direct, 1, indirect_weight(site_class.count)), 0)
        rates = np.abs([p[0][1:, 1:] for p in pairs]).max(axis=0)
        near = direct & reached
        while (front := (rates[:, near] > 0).any(axis=1) & ~near).any():
            for i in np.flatnonzero(front):
                j = np.flatnonzero(near)[rates[i, near].argmax()]
                weight[i] = weight[j] + max(1, round(math.log(max(rates[i, i] / rates[i, j], 1))))
            near |= front
        weights.append(weight)
        active.append([local, coupled])
    return weights, active


def indirect_weight(size: float) -> int:
    """Weight of a mode that is reached with an amplitude of order 1/√N, see `mode_weights`."""
    return max(2, round(math.log(min(size, 1e9)) / 2))
