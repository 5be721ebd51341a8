r"""Collective jumps :math:`J = N^{-1/2} A ⊗ \sum_k B^{(k)}` as products of two collective superoperators.

In a Hermitian basis multiplication from the left by B is a complex matrix R + iI, that from the right by B† its
conjugate. With R', I' for B†, K for ρ ↦ AρA† and G for ρ ↦ A†Aρ,

.. math::
    ρ ↦ J ρ J^† - \tfrac12 \{J^†J, ρ\} = N^{-1} \bigl[ K ⊗ (\mathcal{RR} + \mathcal{II})
        - \mathrm{Re}\, G ⊗ (\mathcal{R'R} - \mathcal{I'I}) + \mathrm{Im}\, G ⊗ (\mathcal{R'I} + \mathcal{I'R}) \bigr],

calligraphic letters being sums over all sites. For A = 1 and B = B_1 + iB_2 with Hermitian B_1 and B_2 this is
:math:`N^{-1} (\mathcal C_1 \mathcal I - \mathcal C_2 \mathcal R)`, C being the map −i[B, ·].
Around the reference states, :math:`X = x + \tilde X` with :math:`\tilde X_{00} = 0`, a product is

.. math::
    N^{-1} \mathcal X \mathcal Y = N x y + \sum_k (y \tilde X + x \tilde Y)^{(k)}
        + N^{-1} \sum_k (\tilde X \tilde Y)^{(k)}
        + N^{-1} \sum \tilde X_{μν} \tilde Y_{αβ}\, b_μ^† b_α^† b_ν b_β .

In normal order nothing passes through occupations that a cut has left out. For A = 1 the first term vanishes, and the
second one is the mean field of the emission, which a single class of sites follows: it moves the reference state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import eye_array

from .basis import rounded
from .site import NOTHING, Compiled, alone, hermitian_parts

#: A collective superoperator by class of sites; two of them and the sign of their product; the classes of two hops.
Collective = dict[int, np.ndarray]
Product = tuple[float, Collective, Collective]
Classes = tuple[int, int]
#: A sum below this, relative to its terms, is round-off.
CANCELLED = 1e-13


@dataclass
class Coefficients:
    """What multiplies one operation on the central system.

    Attributes
    ----------
    growing : float
        x y, which N multiplies.
    local : dict
        Class → y X̃ + x Ỹ, without what moves the reference states.
    same : dict
        Class → X̃ Ỹ, over N.
    pairs : dict
        Classes (c ≤ c') → coefficients [μ, ν, α, β] of b_μ†b_α†b_νb_β, over N, every product once.
    hops : dict
        Class → where some X̃ or Ỹ is not zero.
    """

    growing: float
    local: Collective
    same: Collective
    pairs: dict[Classes, np.ndarray]
    hops: Collective

    def unbounded(self) -> bool:
        """Whether a part grows with N."""
        exchanged = [M[1:, 0].any() or M[0, 1:].any() for M in self.local.values()]
        return bool(self.growing) or any(exchanged)

    def entries(self, shares: Sequence[np.ndarray]) -> float:
        """About how many elements a row has, if of the hops of every class these shares find a quantum, or room."""
        return sum(
            float(np.einsum("mnab,mn,ab->", T != 0, shares[c], shares[other]))
            for (c, other), T in self.pairs.items()
        )

    def exchanged(self, site_class: int, at_limit: bool) -> np.ndarray:
        """Which hops b_μ†b_ν of a class they contain; at N = ∞ those that do not vanish."""
        one = self.local[site_class] != 0
        if not at_limit:
            one = one | (self.same[site_class] != 0)
        two = np.zeros_like(one)
        for (c, other), T in self.pairs.items():
            present = T != 0
            if at_limit:  # two condensates take part
                present &= sum((index == 0).astype(int) for index in np.indices(T.shape)) >= 2
            if c == site_class:
                two |= present.any(axis=(2, 3))
            if other == site_class:
                two |= present.any(axis=(0, 1))
            if (
                c == other == site_class
            ):  # where products are there once, either annihilator may be that of either hop
                two |= present.any(axis=(1, 2)) | present.any(axis=(0, 3)).T
        return one | (two & self.hops[site_class])

    def chosen(self, where: Coefficients, size: float) -> np.ndarray:
        """The numbers at the places where others are not zero, in the order of the parts."""
        found = [np.array([size * self.growing])] if where.growing else []
        for mine, others in ((self.local, where.local), (self.same, where.same), (self.pairs, where.pairs)):
            found += [mine[c][others[c] != 0] for c in others]  # type: ignore[index]
        return np.concatenate(found) if found else np.zeros(0)


class Dissipator:
    """The dissipator of one collective jump.

    Parameters
    ----------
    compiled : Compiled
        The problem.
    jump : int
        Which of its collective jumps.

    Attributes
    ----------
    central : list of ndarray
        The operations on the central system.
    """

    def __init__(self, compiled: Compiled, jump: int) -> None:
        self._sites = compiled.sites
        self._followed = compiled.follows(jump)
        A, by_class = compiled.problem.collective_jumps[jump]
        bases = {c: compiled.sites[c].basis for c in by_class}
        R, I, R_, I_ = (
            {c: rounded(part(bases[c].left(B.conj().T if adjoint else B))) for c, B in by_class.items()}
            for adjoint in (False, True)
            for part in (np.real, np.imag)
        )
        basis = compiled.basis
        self._products: list[list[Product]]
        if amplitude := alone(A):
            C1, C2 = (
                {c: rounded(bases[c].commutator(hermitian_parts(B)[i])) for c, B in by_class.items()}
                for i in (0, 1)
            )
            one = eye_array(basis.size, format="csr") if basis.sparse else np.eye(basis.size)
            self.central = [abs(amplitude) ** 2 * one]
            self._products = [[(1.0, C1, I), (-1.0, C2, R)]]
            return
        square = A.conj().T @ A
        G = basis.anticommutator(square) / 2, basis.commutator(square) / 2
        self.central = [rounded(M) for M in (basis.sandwich(A), *G)]
        self._products = [
            [(1.0, R, R), (1.0, I, I)],
            [(-1.0, R_, R), (1.0, I_, I)],
            [(1.0, R_, I), (1.0, I_, R)],
        ]

    def coefficients(self, references: Sequence[np.ndarray]) -> list[Coefficients]:
        """What multiplies every operation on the central system, around reference states."""
        return [self._coefficients(products, references) for products in self._products]

    def _coefficients(self, products: list[Product], references: Sequence[np.ndarray]) -> Coefficients:
        sizes = [site.basis.size for site in self._sites]
        growing, size = 0.0, 0.0  # x and y are real: a number, not a mode
        local: Collective = {c: np.zeros((n, n)) for c, n in enumerate(sizes)}
        same = dict(local)
        hops = {c: np.zeros((n, n), dtype=bool) for c, n in enumerate(sizes)}
        pairs: dict[Classes, np.ndarray] = {}
        for sign, left, right in products:
            (x, X), (y, Y) = (self._around(Z, references) for Z in (left, right))
            growing, size = growing + sign * x * y, size + abs(x * y)
            for c in X:
                local[c] = local[c] + sign * (y * X[c] + x * Y[c])
                same[c] = same[c] + sign * X[c] @ Y[c]
                hops[c] |= (X[c] != 0) | (Y[c] != 0)
                for other in Y:
                    T = sign * np.multiply.outer(X[c], Y[other])
                    T = T if c <= other else T.transpose(2, 3, 0, 1)
                    key = (min(c, other), max(c, other))
                    pairs[key] = pairs.get(key, 0.0) + T
        for (c, other), T in pairs.items():
            if c == other:  # b_μ† and b_α† commute, b_ν and b_β do: every product once
                T = T + T.transpose(2, 1, 0, 3)
                T = T + T.transpose(0, 3, 2, 1)
                once = np.triu(np.ones((sizes[c],) * 2)) - np.eye(sizes[c]) / 2
                T = T * once[:, None, :, None] * once[None, :, None, :]
            scale = max(float(np.abs(X).max() * np.abs(Y).max()) for X, Y in self._pairs(products, c, other))
            pairs[c, other] = np.where(np.abs(T) < CANCELLED * scale, 0.0, T)
        local, same = ({c: rounded(M) for c, M in part.items()} for part in (local, same))
        if self._followed:
            local[0][1:, 0] = 0  # the reference state obeys it
        return Coefficients(growing if abs(growing) > CANCELLED * size else 0.0, local, same, pairs, hops)

    @staticmethod
    def _pairs(products: list[Product], c: int, other: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(X[c], Y[other]) for _, X, Y in products]

    def _around(self, given: Collective, references: Sequence[np.ndarray]) -> tuple[float, Collective]:
        """The number x, and X̃ by class."""
        found, mean = {}, 0.0
        for c, M in given.items():
            X = self._sites[c].around(M, references[c])
            if abs(X[0, 0]) > 10 * NOTHING * np.abs(X).max(initial=0):
                mean += self._sites[c].share * float(X[0, 0].real)
            found[c] = rounded(X - X[0, 0] * np.eye(len(X)))
        return mean, found


def dissipators(compiled: Compiled) -> list[Dissipator]:
    """Those of all collective jumps."""
    return [Dissipator(compiled, jump) for jump in range(len(compiled.problem.collective_jumps))]


def exchanged(compiled: Compiled, site_class: int, at_limit: bool) -> np.ndarray:
    """Which hops of a class the collective jumps ever contain."""
    found = np.zeros((compiled.sites[site_class].basis.size,) * 2, dtype=bool)
    for dissipator in dissipators(compiled):
        for part in dissipator.coefficients(compiled.generic()):
            found |= part.exchanged(site_class, at_limit)
    return found


def unbounded(compiled: Compiled) -> bool:
    """Whether the collective jumps grow without bound as N → ∞."""
    generic = compiled.generic()
    return any(part.unbounded() for d in dissipators(compiled) for part in d.coefficients(generic))
