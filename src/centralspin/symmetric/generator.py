r"""The Lindbladian in symmetric Liouville space.

A permutation-invariant state is the real vector v[n, a]: a runs over the central basis (1/d_c, e_1, …) of
`basis`, n over the occupations of `space`. Because the basis operators are Hermitian, everything is
real. The Schrödinger-picture generator is

.. math::
    L = 1 ⊗ L_c + \sum_k 1 ⊗ M^{(k)} + N^{-z} \sum_a C_a ⊗ \sum_k M_a^{(k)}
        + N_c^{-1} \sum_b 1 ⊗ \sum_k K_b^{(k)} \sum_l P_b^{(l)},

with L_c the Lindbladian of the central system, M that of a site,
−i[A⊗B, ·] = ½(−i[A, ·])⊗{B, ·} + ½{A, ·}⊗(−i[B, ·]) for every coupling, and for every interaction
−i[½{S_A, S_B}, ·] = (−i[S_A, ·]) ½{S_B, ·} + (−i[S_B, ·]) ½{S_A, ·}. The matrices of the site are
taken in the frame of its reference state ω(t), which obeys the equation of the sites without the central
system, so that M creates no excitation out of the condensate: M_{i0} = 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, eye_array

from .basis import ROUND_OFF, entries, rounded
from .jumps import dissipators
from .lift import Bath, Lift, pair_factor
from .modes import Pattern, coupling_matrices, local_matrices
from .readout import Readout
from .sectors import Unknowns
from .site import Compiled, Site
from .space import shared_space

#: Rows, columns and values.
Elements = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Coupled:
    """The couplings of one class, of which those at one hop and one element of the central matrices are added up.

    Attributes
    ----------
    hops : ndarray of int, shape (hops, 2)
        μ and ν of b_μ†b_ν.
    rows, columns : ndarray of int
        Of the elements of the central matrices.
    central : ndarray, shape (couplings, elements)
        Their values.
    kept : ndarray of bool, shape (hops, elements)
        Which sums are ever non-zero.
    """

    hops: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    central: np.ndarray
    kept: np.ndarray


class Generator:
    """The Lindbladian on a set of occupations, or its coefficients in N^{−1/2}.

    Parameters
    ----------
    compiled : Compiled
        The problem; with N = ∞ what does not vanish is kept.
    patterns : sequence of Pattern
        Which matrix elements of every class are ever non-zero.
    occupations : ndarray
        The set.
    orders : sequence of int or None
        (None,), or (0, 1, …, l) for the coefficients of N^0, …, N^{−l/2}.

    Attributes
    ----------
    space : SymmetricSpace
    unknowns : Unknowns
    size : int
        The number of unknowns (of every order).
    """

    def __init__(
        self,
        compiled: Compiled,
        patterns: Sequence[Pattern],
        occupations: np.ndarray,
        orders: Sequence[int | None] = (None,),
    ) -> None:
        self.compiled = compiled
        class_of = np.repeat(np.arange(len(patterns)), [len(p.weights) for p in patterns])
        self.space = shared_space(occupations, class_of)
        self.unknowns = Unknowns(self.space.occupations, self.space.find, compiled.basis.size, compiled.frame)
        self.size = self.unknowns.size
        self._patterns = patterns
        self._couplings = [
            self._coupled(site, known) for site, known in zip(compiled.sites, patterns, strict=True)
        ]
        self._orders = list(orders)
        self._dissipators = dissipators(compiled)
        generic = compiled.generic() if self._dissipators else []
        self._jumped = [dissipator.coefficients(generic) for dissipator in self._dissipators]
        self._assembled = [self._assemble(order) for order in self._orders]
        self._templates: list[tuple[csr_matrix, csr_matrix] | None] = [None] * len(self._orders)

    def _lift(self, site_class: int, scaling: float, order: int | None, growing: bool = False) -> Lift:
        bath = Bath(self.compiled.problem.size, self.compiled.sites[site_class].share, order)
        key = (bath, site_class, scaling, growing)
        if key not in self.space.lifts:
            self.space.lifts[key] = Lift(self.space, bath, scaling, site_class, growing)
        return self.space.lifts[key]

    def _coupled(self, site: Site, known: Pattern) -> Coupled:
        """The couplings of a class: which hops go with which elements of matrices on the central system."""
        sizes = self.compiled.basis.size
        of_each = [entries(C) for C, *_ in site.couplings]
        keys = [row * np.int64(sizes) + column for row, column, _ in of_each]
        union = np.unique(np.concatenate(keys)) if keys else np.zeros(0, dtype=np.int64)
        dtype = complex if self.compiled.basis.charged else float
        central = np.zeros((len(keys), len(union)), dtype=dtype)
        for row, key, (*_, values) in zip(central, keys, of_each, strict=True):
            row[np.searchsorted(union, key)] = values
        hops = np.argwhere(known.coupled.any(axis=0))
        M = coupling_matrices(site, site.equation.generic()) * known.coupled
        of_hops = M[:, hops[:, 0], hops[:, 1]]
        constant = np.array([not callable(f) for *_, f in site.couplings], dtype=bool)
        strengths = np.array([1.0 if callable(f) else f for *_, f in site.couplings])
        of_hops = of_hops * strengths[:, None]
        sums = [of_hops[constant].T @ central[constant]]
        sums += [np.multiply.outer(of_hops[a], central[a]) for a in np.flatnonzero(~constant)]
        sizes_ = np.abs(of_hops).T @ np.abs(central)
        kept = np.any([np.abs(part) > ROUND_OFF * sizes_ for part in sums], axis=0)
        return Coupled(hops, union // sizes, union % sizes, central, kept)

    def _assemble(self, order: int | None) -> tuple[Any, ...]:
        """Rows, columns and amplitudes of all elements, and the number of the coefficient that multiplies each."""
        compiled = self.compiled
        parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        number = 0

        def add(hop: Elements, central: Elements, numbers: Any = None) -> None:
            rows, columns, first, second = self.unknowns.products(hop[0], hop[1], central)
            of_each = np.full(len(rows), number) if numbers is None else (number + numbers)[second]
            parts.append((rows, columns, hop[2][first] * central[2][second], of_each))

        states, basis = np.arange(self.space.size), np.arange(compiled.basis.size)
        still = states, states, np.ones(len(states))
        identity = basis, basis, np.ones(len(basis))
        for matrix in compiled.central.matrices:
            if not order:  # the central Lindbladian does not depend on N
                add(still, entries(matrix))
            number += 1
        for index, known in enumerate(self._patterns):
            for to, source in np.argwhere(known.local).tolist():
                add(self._lift(index, 0.0, order).element(to, source), identity)
                number += 1
            coupled = self._couplings[index]
            lift = self._lift(index, compiled.problem.scaling, order)
            for (to, source), kept in zip(coupled.hops.tolist(), coupled.kept, strict=True):
                a, b = coupled.rows[kept], coupled.columns[kept]
                add(lift.element(to, source), (a, b, np.ones(len(a))), np.arange(len(a)))
                number += len(a)
        shares = [site.share for site in compiled.sites]
        for dissipator, coefficients in zip(self._dissipators, self._jumped, strict=True):
            for matrix, part in zip(dissipator.central, coefficients, strict=True):
                central = entries(matrix)
                if part.growing:
                    if order is None:
                        add(still, central)
                    number += 1
                for scaling, matrices in ((0.0, part.local), (1.0, part.same)):
                    for index, M in matrices.items():
                        for to, source in np.argwhere(M).tolist():
                            add(self._lift(index, scaling, order).element(to, source), central)
                            number += 1
                for (one, other), T in part.pairs.items():
                    for to, source, second, third in np.argwhere(T).tolist():
                        hop = self.space.pair(((one, to), (other, second)), ((one, source), (other, third)))
                        factor = pair_factor(compiled.problem.size, shares, order, hop.depleted)
                        add((hop.rows, hop.columns, hop.amplitudes * factor), central)
                        number += 1
        return *(np.concatenate(part) for part in zip(*parts, strict=True)), number

    def coefficients(
        self, references: Sequence[np.ndarray], value: Callable[[Callable[[float], float]], float]
    ) -> np.ndarray:
        """The numbers that multiply the elements, around one reference state for every class; `value` of a factor."""
        compiled = self.compiled
        numbers = [np.array([1.0, *map(value, compiled.central.factors)])]
        for site, known, coupled, r in zip(
            compiled.sites, self._patterns, self._couplings, references, strict=True
        ):
            factors = [1.0, *map(value, site.equation.parts.factors)]
            numbers.append(np.tensordot(factors, local_matrices(site, r), axes=1)[known.local])
            if site.couplings:
                of_time = np.array([value(f) if callable(f) else f for *_, f in site.couplings])
                M = coupling_matrices(site, r) * known.coupled
                M = of_time[:, None] * M[:, coupled.hops[:, 0], coupled.hops[:, 1]]
                numbers.append((M.T @ coupled.central)[coupled.kept])
        for dissipator, generic in zip(self._dissipators, self._jumped, strict=True):
            for part, where in zip(dissipator.coefficients(references), generic, strict=True):
                numbers.append(part.chosen(where, compiled.problem.size))
        return np.concatenate(numbers)

    def matrices(
        self, references: Sequence[np.ndarray], time: float = 0.0, again: bool = False
    ) -> list[csr_matrix]:
        """The generator, or its coefficients, as real sparse matrices.

        With `again` the pattern is sorted once and only the values change from call to call.
        """
        return self._filled(references, lambda f: f(time), again)

    def driven(self, references: Sequence[np.ndarray]) -> list[tuple[Any, list[csr_matrix]]]:
        """The generator taken apart: (None, what is constant), then every function of time with what it multiplies."""
        constant = self._filled(references, lambda _: 0.0)
        found: list[tuple[Any, list[csr_matrix]]] = [(None, constant)]
        for function in self.compiled.problem.functions:
            both = self._filled(references, lambda f, function=function: float(f is function))  # type: ignore[misc]
            parts = [csr_matrix(one - other) for one, other in zip(both, constant, strict=True)]
            for part in parts:
                part.eliminate_zeros()
            found.append((function, parts))
        return found

    def around(
        self, bases: Sequence[np.ndarray], moved: Sequence[Sequence[np.ndarray]]
    ) -> list[tuple[tuple[tuple[int, int], ...], list[csr_matrix]]]:
        r"""The generator around reference states :math:`r = r_0 + \sum_k g_k b_k`, as a polynomial in the g.

        Parameters
        ----------
        bases : sequence of ndarray
            r_0 of every class.
        moved : sequence of sequences of ndarray
            The b_k of every class.

        Returns
        -------
        list of (product, matrices)
            The numbers (class, k) of the g that are multiplied, none, one or two of a class, and what multiplies them.
        """

        def at(shift: Mapping[int, Any]) -> np.ndarray:
            return self.coefficients([r + shift.get(c, 0.0) for c, r in enumerate(bases)], lambda _: 0.0)

        first = at({})
        size = np.abs(first)
        found: list[tuple[Any, np.ndarray]] = []
        for c, directions in enumerate(moved):
            squares = []
            for k, b in enumerate(directions):
                up, down = at({c: b}), at({c: -b})
                size = size + np.abs(up)
                squares.append((up + down) / 2 - first)
                found += [(((c, k),), (up - down) / 2), (((c, k), (c, k)), squares[-1])]
            for k, l in itertools.combinations(range(len(directions)), 2):
                b, d = directions[k], directions[l]
                both = (at({c: b + d}) + at({c: -b - d})) / 2 - first
                found.append((((c, k), (c, l)), both - squares[k] - squares[l]))
        kept = [
            (product, np.where(np.abs(part) > 100 * ROUND_OFF * size, part, 0)) for product, part in found
        ]
        return [((), self._from(first, bases))] + [
            (product, self._from(part, bases)) for product, part in kept if part.any()
        ]

    def _filled(
        self,
        references: Sequence[np.ndarray],
        value: Callable[[Callable[[float], float]], float],
        again: bool = False,
    ) -> list[csr_matrix]:
        return self._from(self.coefficients(references, value), references, again)

    def _from(
        self, coefficients: np.ndarray, references: Sequence[np.ndarray], again: bool = False
    ) -> list[csr_matrix]:
        found = []
        for i, (rows, columns, amplitudes, numbers, count) in enumerate(self._assembled):
            if not again:
                values, shape = amplitudes * coefficients[numbers], (self.size, self.size)
                rows, columns, values, _ = self.unknowns.realified(rows, columns, values)
                matrix = coo_matrix((values, (rows, columns)), shape=shape).tocsr()
                # What cancels must vanish: a row that holds nothing but round-off would pass for a slow one.
                size = coo_matrix((np.abs(values), (rows, columns)), shape=shape).tocsr()
                matrix.data[np.abs(matrix.data) < ROUND_OFF * size.data] = 0
                matrix.eliminate_zeros()
            else:
                if (template := self._templates[i]) is None:
                    template = self._templates[i] = self._template(rows, columns, amplitudes, numbers, count)
                weights, matrix = template
                matrix.data = weights @ np.concatenate([coefficients.real, coefficients.imag])
            found.append(self._with_interactions(matrix, references, self._orders[i]))
        return found

    def _template(
        self, rows: np.ndarray, columns: np.ndarray, amplitudes: np.ndarray, numbers: np.ndarray, count: int
    ) -> tuple[csr_matrix, csr_matrix]:
        """From real and imaginary parts of the coefficients to the data of a matrix, and the empty matrix."""
        parts = []
        for unit, shift in ((1.0, 0), (1j, count)):
            if np.isrealobj(amplitudes) and shift and not self.compiled.basis.charged:
                continue  # all coefficients are real
            row, column, value, source = self.unknowns.realified(rows, columns, unit * amplitudes)
            parts.append((row * self.size + column, value, numbers[source] + shift))
        keys, values, which = (np.concatenate(part) for part in zip(*parts, strict=True))
        keys, position = np.unique(keys, return_inverse=True)
        indptr = np.searchsorted(keys // self.size, np.arange(self.size + 1))
        weights = coo_matrix((values.real, (position, which)), shape=(len(keys), 2 * count)).tocsr()
        empty = csr_matrix((np.zeros(len(keys)), keys % self.size, indptr), shape=(self.size, self.size))
        return weights, empty

    def _with_interactions(
        self, matrix: csr_matrix, references: Sequence[np.ndarray], order: int | None
    ) -> csr_matrix:
        """Add N_c^{−1} Σ_k K^{(k)} Σ_l P^{(l)} of every pair, without the part that moves the reference."""
        for index, (site, r) in enumerate(zip(self.compiled.sites, references, strict=True)):
            if not len(site.equation.interactions):
                continue
            order = 0 if order is None and site.count == np.inf else order

            def lifted(M: np.ndarray, scaling: float, order: int | None, index: int = index) -> csr_matrix:
                return self._lift(index, scaling, order, growing=True)(rounded(M))

            total = lifted(site.around(site.equation.exchange, r), 1.0, order)
            for K, P in site.around(site.equation.interactions, r):
                condensed = np.zeros_like(K)  # a site in the mean field of the others
                condensed[:, 0] = K[:, 0] * P[0, 0]
                total = total - site.share * lifted(condensed, 0.0, order)
                if order is None:
                    total = total + lifted(K, 0.0, None) @ lifted(P, 1.0, None)
                    continue
                for i in range(-1, order + 1):  # K is at most of order √N, P of order N
                    total = total + lifted(K, 0.0, i) @ lifted(P, 1.0, order - i)
            # 1/N_c is 1/N over the share; real, for it keeps adjoints
            identity = eye_array(self.compiled.basis.size)
            matrix = matrix + self.unknowns.matrix(total / site.share, identity).real
        return csr_matrix(matrix)

    def rows(self, readout: Readout, references: Sequence[np.ndarray]) -> list[csr_matrix]:
        """The rows R with Σ_i R_{k−i} v_i = the coefficient of order k of the moments."""
        position = self.space.find(readout.occupations)
        inside = position >= 0
        found = []
        for of_order in readout.series(references):
            read = [self.unknowns.row(position[inside], bath[inside], central) for bath, central in of_order]
            found.append(csr_matrix(self.unknowns.rows(read, real=not readout.complex)))
        return found

    def collective(self, maps: Mapping[int, np.ndarray], scaling: float) -> csr_matrix:
        """N^{−s} Σ_k M^{(k)} on the occupations, M by class."""
        return sum(
            (self._lift(index, scaling, None)(M) for index, M in maps.items()),
            csr_matrix((self.space.size,) * 2),
        )

    def blocks(self) -> np.ndarray:
        """Labels of the weakly connected blocks: occupations of the modes that the coupling does not reach directly."""
        indirect = np.concatenate([p.weights for p in self._patterns]) > 1
        labels = np.unique(self.space.occupations[:, indirect], axis=0, return_inverse=True)[1]
        return np.asarray(labels.ravel()[self.unknowns.bath])

    def initial(self) -> np.ndarray:
        """The initial product state: the central state times n = 0."""
        return self.unknowns.product(self.compiled.initial())
