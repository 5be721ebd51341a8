r"""Several large classes of sites: the collective modes that the central system sees, and the dark ones.

The central system sees few combinations of the modes of classes with different couplings. Rotating all modes
into these *collective* combinations and a *dark* rest, which is reached with amplitudes of order 1/√N only,
makes the space nearly as small as for one class.

The square roots √(N_c − n_c) of the condensates are not polynomials in rotated modes. Another normalisation of
the basis states, that of Dyson, turns them into such,

.. math:: b_i^† b_0 → \sqrt{N_c}\, b_i^† (1 - \hat n_c/N_c), \qquad b_0^† b_j → \sqrt{N_c}\, b_j ,

with :math:`\hat n_c = \sum_l b_l^† b_l`; the component n = 0, the trace over the sites, stays what it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.linalg import block_diag, null_space, orth
from scipy.sparse import coo_matrix, csr_matrix, eye_array, kron
from scipy.sparse.csgraph import connected_components

from ..errors import ArgumentError
from .basis import dense
from .modes import Pattern, coupling_matrices, indirect_weight, local_matrices
from .readout import Readout, about_reference
from .sectors import Unknowns
from .site import Compiled
from .space import SymmetricSpace, box

#: Dyson's normalisation is well conditioned where no cut comes near the size of a class.
SMALLEST_CLASS = 40
#: Directions that the couplings contain with less than this weight are dark.
NEGLIGIBLE = 1e-12


def applies(compiled: Compiled) -> bool:
    """Whether there are several classes, all large, with nothing but couplings, and reference states at rest."""
    sites = compiled.sites
    large = all(s.count >= SMALLEST_CLASS for s in sites)
    simple = not any(len(s.equation.interactions) for s in sites) and not compiled.moving
    simple = simple and not compiled.problem.collective_jumps
    return len(sites) > 1 and large and simple


def rotation(
    compiled: Compiled, patterns: Sequence[Pattern], at_limit: bool
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return an orthogonal matrix O with new modes as rows, β = O b, and the weights of the new modes.

    Columns are the modes of all classes one after the other; modes that are never reached stay what they are, with
    weight 0.
    Collective modes span what the couplings take out of the condensates or put back into them, and what the
    sites' own dynamics makes of it. They have weight 1, the others that of indirect modes, or 0 at the limit N = ∞
    itself: its corrections in 1/N reach them.
    """
    kept = np.concatenate([p.weights for p in patterns]) > 0
    own, seen = [], []
    for site, known in zip(compiled.sites, patterns, strict=True):
        r = site.equation.initial()
        parts = coupling_matrices(site, r) * known.coupled
        central = np.array([dense(C).ravel() for C, *_ in site.couplings]).reshape(
            len(parts), compiled.basis.size**2
        )
        # What the central system sees of a mode, created or removed; √N_c N^{−z} goes by the share of the class.
        exchanged = [np.tensordot(side, central, axes=(0, 0)) for side in (parts[:, 1:, 0], parts[:, 0, 1:])]
        own.append(local_matrices(site, r).sum(axis=0)[1:, 1:])
        seen.append(math.sqrt(site.share) * np.hstack(exchanged))
    local, seen_by = block_diag(*own), np.concatenate(seen)
    seen_by[~kept] = 0
    linked = (local != 0) | (np.abs(seen_by) @ np.abs(seen_by.T) > 0)  # in either direction
    linked &= kept[:, None] & kept[None, :]
    dark = 0 if at_limit else indirect_weight(compiled.problem.size)
    rows, weights = [], []
    for label in np.unique((components := connected_components(linked)[1])[kept]):
        modes = np.flatnonzero(components == label)
        inside = local[np.ix_(modes, modes)]
        span = orth(seen_by[modes], rcond=NEGLIGIBLE)
        while span.size:
            wider = orth(np.hstack([span, inside @ span, inside.T @ span]), rcond=NEGLIGIBLE)
            if wider.shape[1] == span.shape[1]:
                break
            span = wider
        rest = null_space(span.T) if span.size else np.eye(len(modes))
        new = np.zeros((len(modes), len(kept)))
        new[:, modes] = np.hstack([span, rest]).T
        rows.append(new)
        weights += [1] * span.shape[1] + [dark] * rest.shape[1]
    rows.append(np.eye(len(kept))[~kept])
    return np.concatenate(rows), np.array(weights + [0] * int((~kept).sum()))


class RotatedLift:
    """The map from M to Σ_k M^{(k)} in Dyson's normalisation, on a set of occupations of the new modes.

    Parameters
    ----------
    compiled : Compiled
        The problem.
    modes : ndarray
        The orthogonal matrix of `rotation`.
    occupations : ndarray
        The set.
    """

    def __init__(self, compiled: Compiled, modes: np.ndarray, occupations: np.ndarray) -> None:
        self._compiled = compiled
        self.space = SymmetricSpace(occupations, np.zeros(len(modes), dtype=int))
        shape = (self.space.size, self.space.size)
        annihilators = []
        for mode in range(len(modes)):
            hop = self.space.hop(0, mode + 1)
            annihilators.append(coo_matrix((hop.amplitudes, (hop.rows, hop.columns)), shape=shape).tocsr())
        nothing = csr_matrix(shape)
        b = [sum((x * A for x, A in zip(o, annihilators, strict=True) if x), nothing) for o in modes.T]
        ends = np.cumsum([0, *(site.basis.size - 1 for site in compiled.sites)])
        #: b_1, …, b_D of every class, and its n̂.
        self._b = [b[ends[i] : ends[i + 1]] for i in range(len(compiled.sites))]
        self._n = [sum((x.T @ x for x in of_class), nothing) for of_class in self._b]
        self.one = csr_matrix(eye_array(self.space.size))

    def __call__(self, M: np.ndarray, site_class: int, scaling: float, order: int | None) -> csr_matrix:
        r"""Return N^{−z} Σ_k M^{(k)} of a class, or its coefficient of N^{−order/2}; N counts all sites."""
        b, n, total = self._b[site_class], self._n[site_class], csr_matrix(self.one.shape, dtype=M.dtype)
        created = sum((x * y.T for x, y in zip(M[1:, 0], b, strict=True) if x), total)
        annihilated = sum((x * y for x, y in zip(M[0, 1:], b, strict=True) if x), total)
        hops = -M[0, 0] * n
        for i in np.flatnonzero(M[1:, 1:].any(axis=1)):
            hops = hops + b[i].T @ sum(M[i + 1, j + 1] * b[j] for j in np.flatnonzero(M[i + 1, 1:]))
        by_power = {1.0: M[0, 0] * self.one, 0.5: created + annihilated, 0.0: hops, -0.5: -created @ n}
        share, size = self._compiled.sites[site_class].share, self._compiled.problem.size
        for power, operator in by_power.items():
            if order is None:
                total = total + share**power * float(size) ** (power - scaling) * operator
            elif abs(order - 2 * (scaling - power)) < 1e-12:
                total = total + share**power * operator
            elif scaling < power and abs(operator).max() > NEGLIGIBLE:
                raise ArgumentError("scaling", f"be at least {power:g} for the limit N = ∞ to exist", scaling)
        return total


class RotatedGenerator:
    """The Lindbladian of several large classes in rotated modes; what it offers is that of `Generator`.

    Parameters
    ----------
    compiled : Compiled
        The problem.
    modes : ndarray
        The orthogonal matrix of `rotation`.
    occupations : ndarray
        The set of occupations of the new modes.
    orders : sequence of int or None
        (None,), or (0, 1, …, l) for the coefficients of N^0, …, N^{−l/2}.
    """

    def __init__(
        self,
        compiled: Compiled,
        modes: np.ndarray,
        occupations: np.ndarray,
        orders: Sequence[int | None] = (None,),
    ) -> None:
        self.compiled = compiled
        infinite = compiled.problem.size == math.inf
        self._orders = [0 if order is None and infinite else order for order in orders]
        self._modes = modes
        self.lift = RotatedLift(compiled, modes, occupations)
        self.space = self.lift.space
        self.unknowns = Unknowns(self.space.occupations, self.space.find, compiled.basis.size, None)
        self.size = self.unknowns.size

    def matrices(
        self, references: Sequence[np.ndarray], time: float = 0.0, again: bool = False
    ) -> list[csr_matrix]:
        """The generator, or its coefficients, as real sparse matrices."""
        compiled, found = self.compiled, []
        for order in self._orders:
            L = csr_matrix((self.size, self.size))
            if not order:
                L = L + kron(self.lift.one, compiled.central.at(time))
            for index, (site, r) in enumerate(zip(compiled.sites, references, strict=True)):
                local = local_matrices(site, r).sum(axis=0)
                L = L + kron(self.lift(local, index, 0.0, order), eye_array(compiled.basis.size))
                for (C, *_), M in zip(site.couplings, coupling_matrices(site, r), strict=True):
                    L = L + kron(self.lift(M, index, compiled.problem.scaling, order), C)
            L = csr_matrix(L)
            L.data[np.abs(L.data) < NEGLIGIBLE * np.abs(L.data).max(initial=0)] = 0
            L.eliminate_zeros()
            found.append(L)
        return found

    def rows(self, readout: Readout, references: Sequence[np.ndarray]) -> list[csr_matrix]:
        """The rows R with Σ_i R_{k−i} v_i = the coefficient of order k of the moments.

        They are made where all modes have up to as many quanta as a moment multiplies: what is never reached still lies
        between two factors of a power.
        """
        power = max((m.power or 0 for m in readout.moments), default=0)
        occupations = box([np.ones(len(self._modes), dtype=int)], [math.inf], power)
        lift = RotatedLift(self.compiled, self._modes, occupations)
        position = self.space.find(occupations)
        inside = position >= 0
        start = [csr_matrix(np.eye(1, lift.space.size) * (not order)) for order in self._orders]
        found: list[list[np.ndarray]] = [[] for _ in self._orders]
        for moment, central in zip(readout.moments, readout.central, strict=True):
            series = start
            if moment.power:
                maps = {
                    index: about_reference(self.compiled.sites[index], left, references[index])
                    for index, left in readout.maps[moment.key()[2]].items()
                }
                lifts = [
                    sum(lift(M, index, moment.scaling, order) for index, M in maps.items())
                    for order in self._orders
                ]
                for _ in range(moment.power):
                    series = [
                        sum(series[i] @ lifts[order - i] for i in range(order + 1))
                        for order in range(len(series))
                    ]
            for of_order, row in zip(found, series, strict=True):
                bath = np.zeros(self.space.size, dtype=row.dtype)
                bath[position[inside]] = row.toarray()[0, inside]
                of_order.append(np.multiply.outer(bath, central).ravel())
        return [csr_matrix(np.array(of_order)) for of_order in found]

    def collective(self, maps: Mapping[int, np.ndarray], scaling: float) -> csr_matrix:
        """N^{−s} Σ_k M^{(k)} on the occupations, M by class."""
        order = self._orders[0]
        return sum((self.lift(M, index, scaling, order) for index, M in maps.items()), 0 * self.lift.one)

    def blocks(self) -> None:
        """No blocks of weakly connected states are known here."""

    def initial(self) -> np.ndarray:
        """The initial product state: the central state times n = 0."""
        return self.unknowns.product(self.compiled.initial())
