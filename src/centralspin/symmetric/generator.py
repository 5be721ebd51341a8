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

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, eye_array, kron

from .basis import ROUND_OFF, in_reference_basis, rounded
from .jumps import dissipators
from .lift import Bath, Lift, pair_factor
from .modes import Pattern, coupling_matrices, local_matrices
from .readout import Readout
from .site import Compiled
from .space import shared_space


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
        self.size = self.space.size * compiled.basis.size
        self._patterns = patterns
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

    def _assemble(self, order: int | None) -> tuple[np.ndarray, ...]:
        """Rows, columns and amplitudes of all elements, and the number of the coefficient that multiplies each."""
        compiled, dc2 = self.compiled, self.compiled.basis.size
        parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        number = 0

        def add(
            rows: np.ndarray, columns: np.ndarray, values: np.ndarray, central: tuple[np.ndarray, ...]
        ) -> None:
            a, b, c = central
            parts.append(
                (
                    (rows[:, None] * dc2 + a).ravel(),
                    (columns[:, None] * dc2 + b).ravel(),
                    (values[:, None] * c).ravel(),
                    np.full(len(rows) * len(a), number, dtype=np.intp),
                )
            )

        states, basis = np.arange(self.space.size), np.arange(dc2)
        identity = (basis, basis, np.ones(dc2))
        for matrix in compiled.central.matrices:
            if not order:  # the central Lindbladian does not depend on N
                add(states, states, np.ones(len(states)), _elements(matrix))
            number += 1
        for index, (site, known) in enumerate(zip(compiled.sites, self._patterns, strict=True)):
            for to, source in zip(*np.nonzero(known.local), strict=True):
                add(*self._lift(index, 0.0, order).element(int(to), int(source)), identity)
                number += 1
            for (C, _, _), pattern in zip(site.couplings, known.coupled, strict=True):
                central = _elements(C)
                for to, source in zip(*np.nonzero(pattern), strict=True):
                    lift = self._lift(index, compiled.problem.scaling, order)
                    add(*lift.element(int(to), int(source)), central)
                    number += 1
        shares = [site.share for site in compiled.sites]
        for dissipator, coefficients in zip(self._dissipators, self._jumped, strict=True):
            for matrix, part in zip(dissipator.central, coefficients, strict=True):
                central = _elements(matrix)
                if part.growing:
                    if order is None:
                        add(states, states, np.ones(len(states)), central)
                    number += 1
                for scaling, matrices in ((0.0, part.local), (1.0, part.same)):
                    for index, M in matrices.items():
                        for to, source in zip(*np.nonzero(M), strict=True):
                            add(*self._lift(index, scaling, order).element(int(to), int(source)), central)
                            number += 1
                for (one, other), T in part.pairs.items():
                    for to, source, second, third in np.argwhere(T).tolist():
                        hop = self.space.pair(((one, to), (other, second)), ((one, source), (other, third)))
                        factor = pair_factor(compiled.problem.size, shares, order, hop.depleted)
                        add(hop.rows, hop.columns, hop.amplitudes * factor, central)
                        number += 1
        return *(np.concatenate(part) for part in zip(*parts, strict=True)), np.array(number)

    def coefficients(
        self, references: Sequence[np.ndarray], value: Callable[[Callable[[float], float]], float]
    ) -> np.ndarray:
        """The numbers that multiply the elements, around one reference state for every class; `value` of a factor."""
        compiled = self.compiled
        numbers = [np.array([1.0, *map(value, compiled.central.factors)])]
        for site, known, r in zip(compiled.sites, self._patterns, references, strict=True):
            factors = [1.0, *map(value, site.equation.parts.factors)]
            numbers.append(np.tensordot(factors, local_matrices(site, r), axes=1)[known.local])
            if site.couplings:
                M = coupling_matrices(site, r)
                of_time = [value(f) if callable(f) else f for *_, f in site.couplings]
                numbers += [f * M[a][known.coupled[a]] for a, f in enumerate(of_time)]
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

    def _filled(
        self,
        references: Sequence[np.ndarray],
        value: Callable[[Callable[[float], float]], float],
        again: bool = False,
    ) -> list[csr_matrix]:
        coefficients = self.coefficients(references, value)
        found = []
        for i, (rows, columns, amplitudes, numbers, count) in enumerate(self._assembled):
            if not again:
                values, shape = amplitudes * coefficients[numbers], (self.size, self.size)
                matrix = coo_matrix((values, (rows, columns)), shape=shape).tocsr()
                # What cancels must vanish: a row that holds nothing but round-off would pass for a slow one.
                size = coo_matrix((np.abs(values), (rows, columns)), shape=shape).tocsr()
                matrix.data[np.abs(matrix.data) < ROUND_OFF * size.data] = 0
            else:
                if (template := self._templates[i]) is None:
                    keys, position = np.unique(rows * self.size + columns, return_inverse=True)
                    indptr = np.searchsorted(keys // self.size, np.arange(self.size + 1))
                    weights = coo_matrix(
                        (amplitudes, (position, numbers)), shape=(len(keys), int(count))
                    ).tocsr()
                    empty = csr_matrix(
                        (np.zeros(len(keys)), keys % self.size, indptr), shape=(self.size, self.size)
                    )
                    self._templates[i] = template = (weights, empty)
                weights, matrix = template
                matrix.data = weights @ coefficients
            found.append(self._with_interactions(matrix, references, self._orders[i]))
        return found

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

            total = lifted(in_reference_basis(site.equation.exchange, r), 1.0, order)
            for K, P in in_reference_basis(site.equation.interactions, r):
                condensed = np.zeros_like(K)  # a site in the mean field of the others
                condensed[:, 0] = K[:, 0] * P[0, 0]
                total = total - site.share * lifted(condensed, 0.0, order)
                if order is None:
                    total = total + lifted(K, 0.0, None) @ lifted(P, 1.0, None)
                    continue
                for i in range(-1, order + 1):  # K is at most of order √N, P of order N
                    total = total + lifted(K, 0.0, i) @ lifted(P, 1.0, order - i)
            # 1/N_c is 1/N over the share
            matrix = matrix + kron(total / site.share, eye_array(self.compiled.basis.size), format="csr")
        return csr_matrix(matrix)

    def rows(self, readout: Readout, references: Sequence[np.ndarray]) -> list[csr_matrix]:
        """The rows R with Σ_i R_{k−i} v_i = the coefficient of order k of the moments."""
        position = self.space.find(readout.occupations)
        inside, dc2 = position >= 0, self.compiled.basis.size
        found = []
        for of_order in readout.series(references):
            dense = np.zeros(
                (len(of_order), self.space.size, dc2), dtype=complex if readout.complex else float
            )
            for i, (bath, central) in enumerate(of_order):
                dense[i, position[inside]] = np.multiply.outer(bath[inside], central)
            found.append(csr_matrix(dense.reshape(len(of_order), self.size)))
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
        return np.repeat(labels.ravel(), self.compiled.basis.size)

    def initial(self) -> np.ndarray:
        """The initial product state: the central state times n = 0."""
        v = np.zeros(self.size)
        v[: self.compiled.basis.size] = self.compiled.initial()
        return v


def _elements(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and values of what is not zero."""
    rows, columns = np.nonzero(matrix)
    return rows, columns, matrix[rows, columns]
