r"""Several large classes of sites: the collective modes that the central system sees, and the dark ones.

The central system sees few combinations of the modes of classes with different couplings. Rotating all modes
into these *collective* combinations and a *dark* rest, which is reached with amplitudes of order 1/√N only,
makes the space nearly as small as for one class.

The square roots √(N_c − n_c) of the condensates are not polynomials in rotated modes. Another normalisation of
the basis states, that of Dyson, turns them into such,

.. math:: b_i^† b_0 → \sqrt{N_c}\, b_i^† (1 - \hat n_c/N_c), \qquad b_0^† b_j → \sqrt{N_c}\, b_j ,

with :math:`\hat n_c = \sum_l b_l^† b_l`; the component n = 0, the trace over the bath, stays what it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.linalg import block_diag, null_space, orth
from scipy.sparse import coo_matrix, csr_matrix, eye_array, kron
from scipy.sparse.csgraph import connected_components

from ..errors import ArgumentError
from ..problem.collective import CollectiveModel
from ..problem.moments import Moment
from .basis import in_reference_basis
from .generator import Generator, indirect_weight, mode_weights, rounded, site_matrices
from .readout import Readout
from .space import SymmetricSpace

#: Dyson's normalisation is well conditioned where no cut comes near the size of a class.
SMALLEST_CLASS = 40
#: Directions that the couplings contain with less than this weight are dark.
NEGLIGIBLE = 1e-12


def applies(model: CollectiveModel) -> bool:
    """Whether the model has several classes, all large, without interactions, with reference states at rest."""
    classes = model.classes
    large = all(SMALLEST_CLASS <= c.count < math.inf for c in classes) or all(
        c.count == math.inf for c in classes
    )
    simple = not any(len(c.interactions) or c.moves() for c in classes)
    return len(classes) > 1 and large and simple


def rotation(model: CollectiveModel) -> tuple[np.ndarray, np.ndarray]:
    r"""Return an orthogonal matrix O with new modes as rows, β = O b, and the weights of the new modes.

    Columns are the modes of all classes one after the other; columns of modes that are never reached vanish.
    Collective modes span what the couplings take out of the condensates or put back into them, and what the
    sites' own dynamics makes of it. They have weight 1, the others that of indirect modes, or 0 at N = ∞.
    """
    kept = np.concatenate(mode_weights(model)[0]) > 0
    own, seen = [], []
    for site_class in model.classes:
        local, coupled = site_matrices(site_class, site_class.reference(), site_class.lindbladian)
        # Relative strength of a class: √N_c N_c^{−z} from the condensate and the coupling.
        strength = site_class.count ** (0.5 - model.scaling) if site_class.count < math.inf else 1.0
        vectors = np.concatenate([coupled[1:, 0], coupled[0, 1:]], axis=1)  # (D, 2 d_c², d_c²)
        own.append(local[1:, 1:])
        seen.append(strength * vectors.reshape(len(vectors), -1))
    local, seen_by = block_diag(*own), np.concatenate(seen)
    seen_by[~kept] = 0
    linked = (local != 0) | (local.T != 0) | (np.abs(seen_by) @ np.abs(seen_by.T) > 0)
    linked &= kept[:, None] & kept[None, :]
    finite = all(c.count < math.inf for c in model.classes)
    dark = indirect_weight(sum(c.count for c in model.classes)) if finite else 0
    rows, weights = [], []
    for label in np.unique((components := connected_components(linked)[1])[kept]):
        modes = np.flatnonzero(components == label)
        inside = local[np.ix_(modes, modes)]
        span = orth(seen_by[modes], rcond=NEGLIGIBLE)
        while True:
            wider = orth(np.hstack([span, inside @ span, inside.T @ span]), rcond=NEGLIGIBLE)
            if wider.shape[1] == span.shape[1]:
                break
            span = wider
        rest = null_space(span.T) if span.size else np.eye(len(modes))
        new = np.zeros((len(modes), len(kept)))
        new[:, modes] = np.hstack([span, rest]).T
        rows.append(new)
        weights += [1] * span.shape[1] + [dark] * rest.shape[1]
    return np.concatenate(rows), np.array(weights)


class RotatedGenerator(Generator):
    """The Lindbladian of several large classes in rotated modes."""

    def __init__(self, model: CollectiveModel, cut: int, order: int | None = None) -> None:
        self.model = model
        self.order = 0 if order is None and any(c.count == math.inf for c in model.classes) else order
        self.references = [c.reference() for c in model.classes]
        self.moving = self.timed = False
        total = sum(c.count for c in model.classes)
        self.shares = [c.count / total if total < math.inf else 1.0 for c in model.classes]
        O, weights = rotation(model)
        self.weights = [weights]
        self.space = SymmetricSpace(self.weights, [math.inf], cut)
        self._dc2 = model.central_basis.size
        self.size = self.space.size * self._dc2
        shape = (self.space.size, self.space.size)
        annihilators = []
        for mode in range(len(weights)):
            hop = self.space.hop(0, mode + 1)
            annihilators.append(coo_matrix((hop.amplitudes, (hop.rows, hop.columns)), shape=shape).tocsr())
        nothing = csr_matrix(shape)
        b = [sum((x * A for x, A in zip(o, annihilators, strict=True) if x), nothing) for o in O.T]
        ends = np.cumsum([0, *(c.basis.size - 1 for c in model.classes)])
        #: b_1, …, b_D of every class, and its n̂.
        self._b = [b[ends[i] : ends[i + 1]] for i in range(len(model.classes))]
        self._n = [sum((x.T @ x for x in of_class), nothing) for of_class in self._b]
        self._one = csr_matrix(eye_array(self.space.size))

    def collective(self, M: np.ndarray, site_class: int, scaling: float, order: int | None) -> csr_matrix:
        r"""Return N^{−z} Σ_k M^{(k)} of a class, or its coefficient of N^{−order/2} (N being all sites)."""
        b, n, total = self._b[site_class], self._n[site_class], csr_matrix(self._one.shape)
        created = sum((x * y.T for x, y in zip(M[1:, 0], b, strict=True) if x), total)
        annihilated = sum((x * y for x, y in zip(M[0, 1:], b, strict=True) if x), total)
        hops = -M[0, 0] * n
        for i in np.flatnonzero(M[1:, 1:].any(axis=1)):
            hops = hops + b[i].T @ sum(M[i + 1, j + 1] * b[j] for j in np.flatnonzero(M[i + 1, 1:]))
        by_power = {1.0: M[0, 0] * self._one, 0.5: created + annihilated, 0.0: hops, -0.5: -created @ n}
        count = self.model.classes[site_class].count
        for power, operator in by_power.items():
            if order is None:
                total = total + float(count) ** (power - scaling) * operator
            elif abs(order - 2 * (scaling - power)) < 1e-12:
                total = total + self.shares[site_class] ** (power - scaling) * operator
            elif scaling < power and abs(operator).max() > NEGLIGIBLE:
                raise ArgumentError("scaling", f"be at least {power:g} for the limit N = ∞ to exist", scaling)
        return total

    def matrix(self, references: Sequence[np.ndarray] | None = None, time: float = 0.0) -> csr_matrix:
        """The generator as a real sparse matrix."""
        L = csr_matrix((self.size, self.size))
        if not self.order:
            L = L + kron(self._one, self.model.central_lindbladian)
        for index, (site_class, r) in enumerate(zip(self.model.classes, self.references, strict=True)):
            local, _ = site_matrices(site_class, r, site_class.lindbladian)
            L = L + kron(self.collective(local, index, 0.0, self.order), eye_array(self._dc2))
            parts = rounded(in_reference_basis(site_class.site_parts, r))
            for M, central in zip(parts, site_class.central_parts, strict=True):
                L = L + kron(self.collective(M, index, self.model.scaling, self.order), central)
        L = csr_matrix(L)
        L.data[np.abs(L.data) < NEGLIGIBLE * np.abs(L.data).max(initial=0)] = 0
        L.eliminate_zeros()
        return L


class RotatedReadout(Readout):
    """Rows that read moments from the vectors of a `RotatedGenerator`."""

    def __init__(self, generator: RotatedGenerator, moments: Sequence[Moment]) -> None:
        self._rotated, self._moments = generator, list(moments)

    def rows(self, references: Sequence[np.ndarray] | None = None) -> csr_matrix:
        """The rows R with R @ v = the moments."""
        generator = self._rotated
        basis = generator.model.central_basis
        orders = [None] if generator.order is None else list(range(generator.order + 1))
        rows = []
        for m in self._moments:
            central = np.eye(1, basis.size) if m.central is None else basis.expectation(m.central).real[None]
            series = [csr_matrix(np.eye(1, generator.space.size) * (not order)) for order in orders]
            if m.power:
                lifts = [self._multiplication(m, order) for order in orders]
                for _ in range(m.power):
                    series = [
                        sum(series[i] @ lifts[order - i] for i in range(order + 1))
                        for order in range(len(series))
                    ]
            rows.append(kron(series[-1], central).toarray()[0])
        return csr_matrix(np.array(rows))

    def _multiplication(self, moment: Moment, order: int | None) -> csr_matrix:
        """½{B − b, ·} of all classes that the moment contains."""
        generator = self._rotated
        total = csr_matrix((generator.space.size, generator.space.size))
        for index, B in moment.per_class().items():
            M = generator.model.classes[index].basis.anticommutator(B) / 2
            M = in_reference_basis(M, generator.references[index])
            M = rounded(M - M[0, 0] * np.eye(len(M)))
            total = total + generator.collective(M, index, moment.scaling, order)
        return total
