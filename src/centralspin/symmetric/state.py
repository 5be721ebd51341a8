r"""A state as the method holds it, to read from it, to act on it, and to go on from it.

Acting with a central operator A and a collective one X on the left of a state is a product of two linear maps,
A on the central index and the lift of ρ ↦ Bρ on the occupations, and likewise on the right.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array, eye_array

from ..errors import ArgumentError
from ..problem.general import Problem, Task
from ..problem.moments import Moment
from ..travel import Saved
from .basis import OperatorBasis
from .readout import about_reference
from .site import Compiled


@dataclass(frozen=True, eq=False)
class Held(Saved):
    """A permutation-invariant state, by the sets of the run that made it, which can make it again at another cut.

    Attributes
    ----------
    occupations : ndarray of int, shape (states, modes)
        The outer set, in lexicographic order.
    within : ndarray of bool, shape (states, 2)
        Which of them belong to the inner sets: that of the cut, and that of the cut before.
    vectors : ndarray, shape (states, d_c², 3)
        The coordinates by the outer and by the inner sets.
    cut : int
        The cut of the sets.
    references : list of ndarray
        The Bloch vector of the reference state of every class.
    counts : list of float
        Their numbers of sites.
    mixes : list of ndarray or None
        The basis of every class, see `OperatorBasis`.
    modes : ndarray or None
        The rotation of the modes of several large classes, see `dark_modes`.
    task : Task
        What made it.
    integration : float
        What integration in time may have added to the error, here and before.
    product : ndarray or None
        The matrix that has multiplied the central coordinates since.
    pairs : list of ndarray or None
        The pairs of modes of every class, see `sectors`; None where the central basis and all modes are Hermitian.
    """

    occupations: np.ndarray
    within: np.ndarray
    vectors: np.ndarray
    cut: int
    references: list[np.ndarray]
    counts: list[float]
    mixes: list[np.ndarray | None]
    modes: np.ndarray | None
    task: Task
    integration: float = 0.0
    product: np.ndarray | None = None
    pairs: list[np.ndarray] | None = None
    #: The same state at the largest cut it was made again at.
    better: list[Held] = field(default_factory=list, repr=False)

    @property
    def basis(self) -> OperatorBasis:
        """That of the central system."""
        return OperatorBasis(math.isqrt(self.vectors.shape[1]), charged=self.pairs is not None)

    @property
    def exact(self) -> bool:
        """Whether all sets gave the same."""
        return bool((self.vectors[..., :1] == self.vectors).all())

    def placed(self, problem: Problem) -> Problem:
        """The problem with the sites started in the reference states, or raise if the state is of another system."""
        sizes = [OperatorBasis(c.dimension).size - 1 for c in problem.classes]
        if self.vectors.shape[1] != problem.central.dimension**2 or sizes != [
            len(r) for r in self.references
        ]:
            raise ArgumentError("initial", "be a state of the same central system and sites", "one of others")
        if self.counts != (counts := [c.count for c in problem.classes]):
            raise ArgumentError(
                "initial", f"be a state of {_listed(counts)} sites", f"of {_listed(self.counts)}"
            )
        classes = []
        for site, r, mix in zip(problem.classes, self.references, self.mixes, strict=True):
            elements = OperatorBasis(site.dimension, mix).elements
            classes.append(replace(site, initial=elements[0] + np.tensordot(r, elements[1:], axes=1)))
        return replace(problem, classes=tuple(classes))

    def seeds(self) -> list[np.ndarray]:
        """For every class the single-site matrix elements that would make what the state holds."""
        held = np.asarray(self.occupations.any(axis=0))
        ends = np.cumsum([0, *(len(r) for r in self.references)])
        found = []
        for a, b in itertools.pairwise(ends):
            matrix = np.zeros((b - a + 1, b - a + 1), dtype=bool)
            matrix[1:, 0] = held[a:b]
            found.append(matrix)
        return found

    def multiplied(self, product: np.ndarray) -> Held:
        """The central coordinates multiplied by a matrix."""
        vectors = np.einsum("ab,nbs->nas", product, self.vectors)
        before = np.eye(len(product)) if self.product is None else self.product
        integration = self.integration * float(np.linalg.norm(product, 2))
        return replace(self, vectors=vectors, product=product @ before, integration=integration, better=[])


def _listed(counts: Sequence[float]) -> str:
    return " + ".join(f"{count:g}" for count in counts)


def multiplication(
    compiled: Compiled, generator: Any, moment: Moment, references: Sequence[np.ndarray], side: str
) -> csr_array:
    """The matrix of ρ ↦ Aρ ("left") or ρ ↦ ρA ("right"), A = A_c (N^{−s} Σ_k (B^{(k)} − ⟨B⟩))^p."""

    def on(basis: OperatorBasis, operator: np.ndarray) -> Any:
        return basis.left(operator) if side == "left" else basis.right(operator)

    A = np.eye(compiled.basis.dimension) if moment.central is None else moment.central
    bath: Any = eye_array(generator.space.size)
    if moment.power:
        maps = {}
        for index, B in moment.operators.items():
            site = compiled.sites[index]
            maps[index] = about_reference(site, on(site.basis, B), references[index])
        X = generator.collective(maps, moment.scaling)
        for _ in range(moment.power):
            bath = X @ bath
    return generator.unknowns.matrix(bath, on(compiled.basis, A))


def reached(compiled: Compiled, moments: Sequence[Moment]) -> list[np.ndarray]:
    """For every class the single-site matrix elements of what multiplies a state."""
    found = [np.zeros((site.basis.size,) * 2, dtype=bool) for site in compiled.sites]
    for moment in moments:
        for index, B in moment.operators.items() if moment.power else ():
            site = compiled.sites[index]
            found[index] |= about_reference(site, site.basis.left(B), site.equation.generic()) != 0
    return found
