r"""A problem written as real matrices: the equation of motion of a site, and its couplings.

With ω = 1/d + Σ_i r_i e_i a site without the central system obeys

.. math:: \dot r = A(t) r + c(t) + \sum_{(A,B)} \bigl( ⟨B⟩ (−i[A, ω])_i + ⟨A⟩ (−i[B, ω])_i \bigr),

the sum running over the pairs of `interactions`; its solution is the moving reference state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.linalg import null_space
from scipy.sparse import csr_array, issparse

from ..errors import ArgumentError
from ..numerics.stepping import integrate
from ..problem.checks import is_hermitian
from ..problem.general import Factor, Problem, SiteClass, System
from .basis import ROUND_OFF, OperatorBasis, entries, in_reference_basis, rounded
from .charges import Charges
from .sectors import Frame

#: Accuracy of the moving reference where it is followed for itself.
REFERENCE_TOLERANCE = 1e-12
#: Components of a Bloch vector, or of its velocity relative to the site's own matrix, below this are round-off.
NOTHING = 1e-14
#: Superoperators of a central system of more levels than these are sparse.
LARGEST_DENSE = 6
#: Modes of a site's own motion that are more nearly parallel than this are not told apart.
LARGEST_CONDITION = 1e3
#: Singular values below this, relative to the largest, belong to stationary states.
NULL = 1e-13


class Parts:
    """A matrix Σ_i f_i(t) M_i: a constant part, then one for every factor that changes in time."""

    def __init__(self, terms: Sequence[tuple[Any, Factor]], nothing: Any) -> None:
        constant = nothing
        moving: list[Any] = []
        self.factors: list[Callable[[float], float]] = []
        for matrix, factor in terms:
            if callable(factor):
                moving.append(matrix)
                self.factors.append(factor)
            else:
                constant = constant + factor * matrix
        self.matrices: Any = [constant, *moving]  # an array of them, unless they are sparse
        if isinstance(constant, np.ndarray):
            self.matrices = np.array(self.matrices)

    def at(self, time: float) -> np.ndarray:
        """The matrix at a time, dense."""
        total = self.matrices[0]
        for f, matrix in zip(self.factors, self.matrices[1:], strict=True):
            total = total + f(time) * matrix
        return np.asarray(total.toarray() if issparse(total) else total)

    def transform(self, to: np.ndarray, back: np.ndarray) -> None:
        """Write all matrices in another basis."""
        self.matrices = to @ self.matrices @ back


def lindbladian_parts(system: System, basis: OperatorBasis) -> Parts:
    """The Lindbladian of the central system or of one site."""
    # Rounded: a row that holds nothing but round-off would pass for a slow one.
    terms = [(rounded(basis.commutator(H)), factor) for H, factor in system.hamiltonian]
    terms += [(rounded(basis.dissipator(J)), factor) for J, factor in system.jumps]
    shape = (basis.size, basis.size)
    return Parts(terms, csr_array(shape) if basis.sparse else np.zeros(shape))


class Equation:
    """The equation of motion of a site without the central system.

    Parameters
    ----------
    site : SiteClass
        The class of sites.
    basis : OperatorBasis
        The basis of their operators.
    """

    def __init__(self, site: SiteClass, basis: OperatorBasis) -> None:
        self.parts = lindbladian_parts(site, basis)
        # −i[½{S_A, S_B}, ·] = (−i[S_A, ·]) ½{S_B, ·} + (−i[S_B, ·]) ½{S_A, ·}; operators of one site that do not
        # commute leave a local Hamiltonian, of order 1/N_c.
        pairs, local = [], np.zeros((site.dimension,) * 2, dtype=complex)
        for A, B in site.interactions:
            (A1, A2), (B1, B2) = hermitian_parts(A), hermitian_parts(B)
            for X, Y, sign in ((A1, B1, 1), (A2, B2, -1)):
                for Z, W in ((X, Y), (Y, X)):
                    if Z.any() and W.any():
                        pairs.append((sign * basis.commutator(Z), basis.anticommutator(W) / 2))
            local += 0.5j * (A1 @ B2 - B2 @ A1) + 0.5j * (A2 @ B1 - B1 @ A2)
        #: Pairs (−i[A, ·], ½{B, ·}), shape (pairs, 2, d², d²), and −i[h, ·] of the local Hamiltonian N_c h.
        self.interactions = np.array(pairs).reshape(-1, 2, basis.size, basis.size)
        self.exchange = basis.commutator(local)
        #: Such pairs of the mean field of collective jumps.
        self.feedback = np.zeros((0, 2, basis.size, basis.size))
        self._rest: np.ndarray | None = None
        self.start = None if site.initial is None else basis.coordinates(site.initial).real[1:]

    def transform(self, mix: np.ndarray) -> None:
        """Take e_j = Σ_i e_i mix[i, j] from now on."""
        to, back = change_of_basis(mix)
        self.parts.transform(to, back)
        self._rest = None
        self.interactions = to @ self.interactions @ back
        self.exchange = to @ self.exchange @ back
        self.feedback = to @ self.feedback @ back
        if self.start is not None:
            self.start = to[1:, 1:] @ self.start

    def velocity(self, r: np.ndarray, time: float = 0.0) -> np.ndarray:
        """The time derivative of the Bloch vector of the reference state."""
        r1 = np.r_[1.0, r]
        moved = self.parts.at(time)[1:] @ r1
        for commutator, half in self._mean_fields():
            moved = moved + commutator[1:] @ r1 * (half[0] @ r1)
        return np.asarray(moved)

    def _mean_fields(self) -> np.ndarray:
        return np.concatenate([self.interactions, self.feedback])

    def stationary(self) -> np.ndarray:
        """Bloch vector of the unique stationary state, or raise if there is none."""
        if self._rest is not None:
            return self._rest
        kernel = null_space(self.parts.at(0.0), rcond=NULL)
        if kernel.shape[1] != 1:
            raise ArgumentError(
                "jumps",
                "give every site one stationary state where it is needed (all local rates are zero?)",
                f"giving {kernel.shape[1]} of them",
            )
        self._rest = np.asarray(kernel[1:, 0] / kernel[0, 0])
        return self._rest

    def initial(self) -> np.ndarray:
        """Initial Bloch vector r(0)."""
        return self.stationary() if self.start is None else self.start

    @property
    def rate(self) -> float:
        """The largest entry of the site's own matrices."""
        return float(max(np.abs(self.parts.matrices).max(), np.abs(self._mean_fields()).max(initial=0)))

    @property
    def timed(self) -> bool:
        """Whether a part changes in time explicitly."""
        return bool(self.parts.factors)

    def moves(self) -> bool:
        """Whether the reference state changes in time."""
        return self.timed or bool(
            np.abs(self.velocity(self.initial())).max(initial=0) > 10 * NOTHING * self.rate
        )

    def generic(self) -> np.ndarray:
        """A Bloch vector that vanishes only where r(t) vanishes for all times and all factors."""
        r = self.initial()
        if not self.moves():
            return r
        values = np.random.default_rng(0).uniform(0.1, 0.2, len(r))  # no two of them cancel
        reached = np.abs(r) > NOTHING
        while True:
            r1 = np.r_[1.0, np.where(reached, values, 0.0)]
            changes = [part[1:] @ r1 for part in self.parts.matrices]
            changes += [commutator[1:] @ r1 * (half[0] @ r1) for commutator, half in self._mean_fields()]
            further = reached | (np.abs(changes) > NOTHING * self.rate).any(axis=0)
            if (further == reached).all():
                return np.asarray(r1[1:])
            reached = further

    def relaxation(self) -> tuple[np.ndarray, list[tuple[Callable[[Any], Any], np.ndarray]]] | None:
        r"""Bloch vectors with :math:`r(t) = r_0 + \sum_k g_k(t)\, b_k`, the g exponentials, and the g and b.

        None where the equation is not linear with constant coefficients, or its modes are nearly parallel.
        """
        if self.timed or len(self._mean_fields()):
            return None
        values, vectors = np.linalg.eig(self.parts.at(0.0))
        if np.linalg.cond(vectors) > LARGEST_CONDITION:
            return None
        parts = (vectors * np.linalg.solve(vectors, np.r_[1.0, self.initial()].astype(complex)))[1:].T
        base = np.zeros(len(self.parts.at(0.0)) - 1)
        found: list[tuple[Callable[[Any], Any], np.ndarray]] = []
        for value, part in zip(values.tolist(), parts, strict=True):
            if abs(value) <= 100 * NOTHING * self.rate:
                base = base + part.real
            elif np.abs(part).max() > NOTHING and value.imag >= 0:
                sides = (
                    [(False, 2 * part.real), (True, -2 * part.imag)] if value.imag else [(False, part.real)]
                )
                found += [(Relaxation(((value, sine),)), b) for sine, b in sides]
        return base, found

    def at(self, times: np.ndarray, t_stops: Sequence[float] = ()) -> np.ndarray:
        """Bloch vectors r(t) of the reference state at the given times, shape (times, D)."""
        if not self.moves():
            return np.tile(self.initial(), (len(times), 1))
        if (motion := self.relaxation()) is not None:
            base, parts = motion
            shifts = [np.multiply.outer(g(np.asarray(times, dtype=float)), b) for g, b in parts]
            return np.asarray(base + sum(shifts, np.zeros((len(times), len(base)))))
        times, place = np.unique(np.asarray(times, dtype=float), return_inverse=True)
        solved = integrate(
            lambda t, r: self.velocity(r, t), self.initial(), times, REFERENCE_TOLERANCE,
            timed=self.timed, factors=self.parts.factors, t_stops=t_stops,
        )  # fmt: skip
        return np.asarray(solved[place.ravel()])


@dataclass(frozen=True)
class Relaxation:
    """A product of real or imaginary parts of exponentials exp(λt): `factors` has every λ, and which part is meant."""

    factors: tuple[tuple[complex, bool], ...]
    takes_arrays = True

    def __call__(self, time: Any) -> Any:
        """Its value at a time, or at all of an array."""
        total: Any = 1.0
        for value, imaginary in self.factors:
            part = np.exp(complex(value) * time)
            total = total * (part.imag if imaginary else part.real)
        return total

    def __mul__(self, other: Relaxation) -> Relaxation:
        return Relaxation(self.factors + other.factors)


@dataclass
class Site:
    """One class of sites as matrices.

    Attributes
    ----------
    count, share : float
        N_c and N_c/N.
    basis : OperatorBasis
    equation : Equation
        Without the central system.
    couplings : list of (central part, site part, factor)
        Each adds f(t) N^{−z} C ⊗ Σ_k M^{(k)} to the generator.
    pairs : ndarray of int, shape (pairs, 2)
        Pairs of modes in whose place (e_i ± i e_j)/√2 are counted, see `sectors`.
    """

    count: float
    share: float
    basis: OperatorBasis
    equation: Equation
    couplings: list[tuple[Any, np.ndarray, Factor]]
    pairs: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), dtype=int))

    def around(self, F: np.ndarray, r: np.ndarray) -> np.ndarray:
        """Maps in (1/d, e_i) written around the reference state of Bloch vector r, in the modes that are counted."""
        return self.turned(in_reference_basis(F, r))

    def turned(self, M: np.ndarray) -> np.ndarray:
        """Matrices in (ω, e_i) in the modes that are counted."""
        if not len(self.pairs):
            return M
        W = paired(self.pairs, self.basis.size)
        turned = W.conj().T @ M @ W
        size = ROUND_OFF * np.abs(M).max(axis=(-2, -1), keepdims=True, initial=0)
        turned.real[np.abs(turned.real) < size] = 0
        turned.imag[np.abs(turned.imag) < size] = 0
        return turned

    def transform(self, mix: np.ndarray) -> None:
        """Take e_j = Σ_i e_i mix[i, j] from now on."""
        to, back = change_of_basis(mix)
        self.basis = OperatorBasis(self.basis.dimension, mix)
        self.equation.transform(mix)
        self.couplings = [(C, to @ M @ back, factor) for C, M, factor in self.couplings]


class Compiled:
    """A problem as matrices.

    Attributes
    ----------
    problem : Problem
    basis : OperatorBasis
        Of the central system; charged if that was asked for.
    central : Parts
        Its Lindbladian.
    sites : list of Site
    charges : Charges or None
        The numbers that are conserved and used.
    frame : Frame or None
        The charges of elements and modes, where these are charged.
    """

    def __init__(self, problem: Problem, charged: bool = False) -> None:
        self.problem = problem
        self.charges: Charges | None = None
        self.frame: Frame | None = None
        levels = problem.central.dimension
        self.basis = OperatorBasis(levels, charged=charged, sparse=levels > LARGEST_DENSE)
        self.central = lindbladian_parts(problem.central, self.basis)
        self.sites = [self._site(site) for site in problem.classes]
        for jump, (A, by_class) in enumerate(problem.collective_jumps):
            if self.follows(jump):
                (site,), strength = self.sites, abs(alone(A)) ** 2
                basis, (B1, B2) = site.basis, hermitian_parts(by_class[0])
                pairs = [
                    (strength * basis.commutator(B1), basis.anticommutator(B2) / 2),
                    (-strength * basis.commutator(B2), basis.anticommutator(B1) / 2),
                ]
                site.equation.feedback = np.concatenate([site.equation.feedback, pairs])

    def _site(self, site: SiteClass) -> Site:
        basis = OperatorBasis(site.dimension)
        couplings: list[tuple[Any, np.ndarray, Factor]] = []
        for A, B, factor in site.couplings:
            # −i[A⊗B, ·] = ½(−i[A,·])⊗{B,·} + ½{A,·}⊗(−i[B,·]) for Hermitian A, B
            for X, Y in hermitian_pairs(A, B):
                couplings.append((rounded(self.basis.commutator(X)) / 2, basis.anticommutator(Y), factor))
                couplings.append((rounded(self.basis.anticommutator(X)) / 2, basis.commutator(Y), factor))
        couplings = [c for c in couplings if entries(c[0])[2].any() and c[1].any()]
        return Site(site.count, site.share, basis, Equation(site, basis), couplings)

    @property
    def moving(self) -> bool:
        """Whether the generator changes in time, explicitly or with a reference state."""
        return not self.problem.constant or any(site.equation.moves() for site in self.sites)

    def follows(self, jump: int) -> bool:
        """Whether the reference state follows the mean field of a collective jump: one class, the sites alone."""
        A, _ = self.problem.collective_jumps[jump]
        return bool(alone(A)) and len(self.problem.classes) == 1 and not self.problem.at_rest

    def generic(self) -> list[np.ndarray]:
        """A Bloch vector for every class that vanishes only where it always does."""
        return [site.equation.generic() for site in self.sites]

    def references(self) -> list[np.ndarray]:
        """The initial Bloch vector of every class."""
        return [site.equation.initial() for site in self.sites]

    def initial(self) -> np.ndarray:
        """Coordinates of the initial state of the central system."""
        if self.problem.central.initial is None:
            raise ArgumentError("initial", "be given to evolve a `CollectiveModel`", None)
        coordinates = self.basis.coordinates(self.problem.central.initial)
        return coordinates if self.basis.charged else coordinates.real


def paired(pairs: np.ndarray, size: int) -> np.ndarray:
    """The unitary matrix with the columns (e_i + i e_j)/√2, (e_i − i e_j)/√2 for every pair of modes i, j."""
    W = np.eye(size, dtype=complex)
    i, j = (pairs + 1).T
    W[i, i] = W[i, j] = np.sqrt(0.5)
    W[j, i], W[j, j] = 1j * np.sqrt(0.5), -1j * np.sqrt(0.5)
    return W


def change_of_basis(mix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The matrices T and T⁻¹ that take coordinates in (1/d, e_i) to those in (1/d, Σ_i e_i mix[i, j])."""
    size = len(mix) + 1
    to, back = np.eye(size), np.eye(size)
    to[1:, 1:], back[1:, 1:] = np.linalg.inv(mix), mix
    return to, back


def alone(A: np.ndarray) -> complex:
    """The number a if an operator of the central system is a times the identity, otherwise 0."""
    a = complex(np.trace(A)) / len(A)
    return a if np.abs(A - a * np.eye(len(A))).max() <= NOTHING * np.abs(A).max() else 0.0


def hermitian_parts(A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """X and Y, Hermitian, with A = X + iY; what is only round-off vanishes."""
    X, Y = (A + A.conj().T) / 2, (A - A.conj().T) / 2j
    size = NOTHING * np.abs(A).max()
    return np.where(np.abs(X) > size, X, 0), np.where(np.abs(Y) > size, Y, 0)


def hermitian_pairs(A: np.ndarray, B: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split A⊗B + A†⊗B† into products of Hermitian operators (A⊗B itself if both are Hermitian, counted once)."""
    if is_hermitian(A) and is_hermitian(B):
        return [(A, B)]
    (A1, A2), (B1, B2) = hermitian_parts(A), hermitian_parts(B)
    return [(X, Y) for X, Y in ((2 * A1, B1), (-2 * A2, B2)) if X.any() and Y.any()]
