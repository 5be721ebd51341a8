"""Any small central system coupled collectively to classes of identical sites: the general problem.

`CentralSpinModel` is one instance; other central systems, sites and couplings are written down here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.linalg import null_space

from ..errors import ArgumentError, density_matrix, hermitian_matrix, real_number, square_matrix
from ..numerics.stepping import evolve_time_dependent, largest_step
from ..symmetric.basis import SAME_DIRECTION, OperatorBasis, chain, hermitian_pairs, in_reference_basis
from .central_spin import SIGMA_MINUS, SIGMA_PLUS, CentralSpinModel

#: Accuracy of the moving reference where it is followed for itself.
REFERENCE_TOLERANCE = 1e-9
#: Components of a Bloch vector, or of its velocity in units of the largest rate, below this are round-off.
NOTHING = 1e-14
#: Modes of a site are chosen by their weight in ω only if no level is emptier than this: it bounds their scales.
LEAST_POPULATION = 1e-6


@dataclass(frozen=True, kw_only=True)
class Sites:
    r"""A class of identical d-level sites and its coupling to the central system.

    Parameters
    ----------
    count : int or math.inf
        Number N_c of sites in the class.
    hamiltonian : Hermitian d×d operator
        Local Hamiltonian of every site.
    jumps : sequence of d×d operators
        Local jump operators of every site, with the square roots of their rates.
    rates : sequence of numbers, functions of time, or None, optional
        A factor f(t) for the dissipator of every jump (None is 1). A factor may be negative for some time
        (non-Markovian generators); whether the dynamics stays physical is then yours to know.
    couplings : sequence of pairs (A, B)
        Adds :math:`N_c^{-z} (A ⊗ \sum_k B^{(k)} + h.c.)` to the Hamiltonian for every pair; the h.c. is
        left out if A and B are both Hermitian.
    interactions : sequence of pairs (A, B)
        Adds the Hermitian part of :math:`N_c^{-1} \sum_k A^{(k)} \sum_l B^{(l)}` for every pair.
    initial : d×d density matrix, optional
        The initial state of every site; by default the stationary state of its own Lindbladian.
    """

    count: float
    hamiltonian: Any
    jumps: Sequence[Any] = ()
    rates: Sequence[Any] | None = None
    couplings: Sequence[tuple[Any, Any]] = ()
    interactions: Sequence[tuple[Any, Any]] = ()
    initial: Any = None


@dataclass(frozen=True, kw_only=True)
class CollectiveModel:
    """A central system coupled to classes of identical sites.

    Parameters
    ----------
    hamiltonian : Hermitian operator
        Hamiltonian of the central system; its dimension is that of the central system.
    jumps : sequence of operators
        Jump operators of the central system.
    sites : Sites or sequence of Sites
        The classes of sites.
    scaling : float
        The exponent z of all couplings.
    initial : density matrix or ket, optional
        Initial state of the central system (needed by `evolve` only).

    Raises
    ------
    ArgumentError
        If an operator has the wrong shape or is not Hermitian where it must be.
    """

    hamiltonian: Any
    jumps: Sequence[Any] = ()
    sites: Any = ()
    scaling: float = 0.5
    initial: Any = None
    #: Prepared by validation: bases and real superoperators.
    central_basis: OperatorBasis = field(init=False, repr=False)
    central_lindbladian: np.ndarray = field(init=False, repr=False)
    classes: tuple[SiteClass, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        H = hermitian_matrix("hamiltonian", self.hamiltonian)
        basis = OperatorBasis(len(H))
        jumps = [_operator(f"jumps[{i}]", J, len(H)) for i, J in enumerate(self.jumps)]
        sites = (self.sites,) if isinstance(self.sites, Sites) else tuple(self.sites)
        if not sites or not all(isinstance(s, Sites) for s in sites):
            raise ArgumentError("sites", "be one `Sites` or a non-empty sequence of them", repr(self.sites))
        set_ = object.__setattr__
        set_(self, "scaling", real_number("scaling", self.scaling, minimum=0))
        set_(self, "central_basis", basis)
        set_(self, "central_lindbladian", basis.lindbladian(H, jumps))
        set_(self, "classes", tuple(SiteClass(s, basis) for s in sites))
        if self.initial is not None:
            rho = density_matrix("initial", self.initial)
            if len(rho) != len(H):
                raise ArgumentError(
                    "initial", f"be {len(H)}×{len(H)} like `hamiltonian`", f"of shape {rho.shape}"
                )
            set_(self, "initial", rho)


class SiteClass:
    r"""One validated class of sites: its equation of motion without the central system, and its couplings.

    With ω = 1/d + Σ_i r_i e_i the equation is ṙ = A(t) r + c(t) + Σ_{(A,B)} (⟨B⟩ (−i[A, ω])_i + ⟨A⟩ (−i[B, ω])_i),
    the sum running over the pairs of `interactions`; its solution is the moving reference state.
    """

    def __init__(self, sites: Sites, central: OperatorBasis) -> None:
        count = sites.count
        if not (count == math.inf or (count >= 1 and float(count).is_integer())):
            raise ArgumentError("count", "be a positive integer or math.inf", repr(count))
        H = hermitian_matrix("hamiltonian", sites.hamiltonian)
        d = len(H)
        self.count = math.inf if count == math.inf else int(count)
        self.basis = basis = OperatorBasis(d)
        jumps = [_operator(f"jumps[{i}]", J, d) for i, J in enumerate(sites.jumps)]
        # −i[A⊗B, ·] = ½(−i[A,·])⊗{B,·} + ½{A,·}⊗(−i[B,·]) for Hermitian A, B
        central_parts, site_parts = [], []
        for i, (A, B) in enumerate(sites.couplings):
            central_part = _operator(f"couplings[{i}][0]", A, central.dimension)
            site_part = _operator(f"couplings[{i}][1]", B, d)
            for X, Y in hermitian_pairs(central_part, site_part):
                central_parts += [central.commutator(X) / 2, central.anticommutator(X) / 2]
                site_parts += [basis.anticommutator(Y), basis.commutator(Y)]
        self.central_parts = np.array(central_parts).reshape(-1, central.size, central.size)
        self.site_parts = np.array(site_parts).reshape(-1, basis.size, basis.size)
        # −i[½{S_A, S_B}, ·] = (−i[S_A, ·]) ½{S_B, ·} + (−i[S_B, ·]) ½{S_A, ·}; operators of one site that do not
        # commute leave a local Hamiltonian.
        pairs, local = [], np.zeros((d, d), dtype=complex)
        for i, (A, B) in enumerate(sites.interactions):
            A, B = _operator(f"interactions[{i}][0]", A, d), _operator(f"interactions[{i}][1]", B, d)
            for X, Y, sign in ((_real(A), _real(B), 1), (_imaginary(A), _imaginary(B), -1)):
                for Z, W in ((X, Y), (Y, X)):
                    pairs.append((sign * basis.commutator(Z), basis.anticommutator(W) / 2))
            local += 0.5j * (_real(A) @ _imaginary(B) - _imaginary(B) @ _real(A))
            local += 0.5j * (_imaginary(A) @ _real(B) - _real(B) @ _imaginary(A))
        self.interactions = np.array([p for p in pairs if np.abs(p[0]).max() * np.abs(p[1]).max() > 0])
        self.interactions = self.interactions.reshape(-1, 2, basis.size, basis.size)
        #: Of order 1/N_c beside the local Hamiltonian.
        self.exchange = basis.commutator(local)
        nothing = np.zeros((d, d))
        rates = [None] * len(jumps) if sites.rates is None else list(sites.rates)
        if len(rates) != len(jumps):
            raise ArgumentError("rates", f"have one entry for each of the {len(jumps)} jumps", len(rates))
        constant = basis.lindbladian(H, [])
        moving, self.rates = [], []
        for i, (J, rate) in enumerate(zip(jumps, rates, strict=True)):
            dissipator = basis.lindbladian(nothing, [J])
            if callable(rate):
                moving.append(dissipator)
                self.rates.append(rate)
            else:
                constant = constant + (1.0 if rate is None else real_number(f"rates[{i}]", rate)) * dissipator
        #: The part that does not change in time, then the dissipators that `rates` multiply.
        self.lindbladian_parts = np.array([constant, *moving])
        self.initial = None
        if sites.initial is not None:
            rho = density_matrix("initial", sites.initial)
            if len(rho) != d:
                raise ArgumentError("initial", f"be {d}×{d} like `hamiltonian`", f"of shape {rho.shape}")
            self.initial = basis.coordinates(rho).real[1:]
        self._align()

    def _align(self) -> None:
        r"""Choose the e_i so that as few of them as possible are exchanged with the condensate.

        The couplings create the directions ½{B, ω} and −i[B, ω]. With the metric in which the trace with B is
        the scalar product with ½{B, ω}, a basis that starts with those directions and is orthonormal leaves all
        other modes to the site's own dynamics, which reaches them one after the other. The three modes of a spin-½
        stay as they are: its coordinates are a Bloch vector.
        """
        basis = self.basis
        if basis.dimension == 2 or not len(self.site_parts) or self.rates or len(self.interactions):
            return
        try:
            if self.moves():
                return
        except ArgumentError:  # no stationary state, and none may be needed
            return
        r = self.reference()
        omega = basis.elements[0] + np.tensordot(r, basis.elements[1:], axes=1)
        if np.linalg.eigvalsh(omega)[0] < LEAST_POPULATION:
            return
        metric = np.linalg.inv(basis.anticommutator(omega) / 2)[1:, 1:] / basis.dimension
        parts = in_reference_basis(self.site_parts, r)
        parts[np.abs(parts) < SAME_DIRECTION * np.abs(parts).max()] = 0
        created, removed = parts[:, 1:, 0].T, parts[:, 0, 1:].T
        exchanged = np.hstack([created, np.linalg.solve(metric, removed)])
        mix, first = chain(exchanged[:, exchanged.any(axis=0)], self.lindbladian[1:, 1:], metric)
        if first < (created.any(axis=1) | removed.any(axis=1)).sum():
            self._change_basis(mix)

    def _change_basis(self, mix: np.ndarray) -> None:
        """Take e_j = Σ_i e_i mix[i, j] from now on."""
        self.basis = OperatorBasis(self.basis.dimension, mix)
        to, back = np.eye(self.basis.size), np.eye(self.basis.size)
        to[1:, 1:], back[1:, 1:] = np.linalg.inv(mix), mix
        self.site_parts = to @ self.site_parts @ back
        self.lindbladian_parts = to @ self.lindbladian_parts @ back
        self.exchange = to @ self.exchange @ back
        if self.initial is not None:
            self.initial = to[1:, 1:] @ self.initial

    def lindbladian_at(self, time: float) -> np.ndarray:
        """Matrix of one site's own Lindbladian at a time, without interactions."""
        factors = [real_number("rates", rate(time)) for rate in self.rates]
        return np.tensordot([1.0, *factors], self.lindbladian_parts, axes=1)

    @property
    def lindbladian(self) -> np.ndarray:
        """Matrix of one site's own Lindbladian at time 0."""
        return self.lindbladian_at(0.0)

    def velocity(self, r: np.ndarray, time: float = 0.0) -> np.ndarray:
        """The time derivative of the Bloch vector of the reference state."""
        r1 = np.r_[1.0, r]
        moved = self.lindbladian_at(time)[1:] @ r1
        for commutator, half in self.interactions:
            moved = moved + commutator[1:] @ r1 * (half[0] @ r1)
        return np.asarray(moved)

    def stationary(self) -> np.ndarray:
        """Bloch vector of the unique stationary state, or raise if there is none."""
        kernel = null_space(self.lindbladian, rcond=1e-12)
        if kernel.shape[1] != 1:
            raise ArgumentError(
                "jumps",
                "give every site one stationary state where it is needed (all local rates are zero?)",
                f"giving {kernel.shape[1]} of them",
            )
        return kernel[1:, 0] / kernel[0, 0]

    def reference(self) -> np.ndarray:
        """Initial Bloch vector r(0)."""
        return self.stationary() if self.initial is None else self.initial

    def moves(self) -> bool:
        """Whether the reference state changes in time."""
        scale = max(1.0, np.abs(self.lindbladian).max())
        return bool(self.rates) or bool(np.abs(self.velocity(self.reference())).max() > 1e-13 * scale)

    def generic_reference(self) -> np.ndarray:
        """A Bloch vector that vanishes only where r(t) vanishes for all times and all rates."""
        r = self.reference()
        if not self.moves():
            return r
        values = np.random.default_rng(0).uniform(0.1, 0.2, len(r))  # no two of them cancel
        reached = np.abs(r) > NOTHING
        scale = max(1.0, np.abs(self.lindbladian_parts).max(), np.abs(self.interactions).max(initial=0))
        while True:
            r1 = np.r_[1.0, np.where(reached, values, 0.0)]
            changes = [part[1:] @ r1 for part in self.lindbladian_parts]
            changes += [commutator[1:] @ r1 * (half[0] @ r1) for commutator, half in self.interactions]
            further = reached | (np.abs(changes) > NOTHING * scale).any(axis=0)
            if (further == reached).all():
                return r1[1:]
            reached = further

    def reference_at(self, times: np.ndarray) -> np.ndarray:
        """Bloch vectors r(t) of the reference state at the given times, shape (times, D)."""
        times, place = np.unique(np.atleast_1d(np.asarray(times, dtype=float)), return_inverse=True)
        step = largest_step(times) if self.rates else math.inf
        r0 = self.reference()
        return evolve_time_dependent(lambda t, r: self.velocity(r, t), r0, times, REFERENCE_TOLERANCE, step)[
            place
        ]


def collective_model(
    model: CentralSpinModel, central_state: Any = "up", bath_bloch: Any = None
) -> CollectiveModel:
    """Write a `CentralSpinModel` with its initial product state as a `CollectiveModel`."""
    r = model.initial_bath_bloch(bath_bloch)
    rho = np.eye(2) / 2 + OperatorBasis(2).elements[1:].transpose(1, 2, 0) @ r
    return CollectiveModel(
        hamiltonian=model.central_hamiltonian(),
        jumps=model.central_jumps(),
        sites=Sites(
            count=model.N,
            hamiltonian=model.bath_hamiltonian(),
            jumps=model.bath_jumps(),
            couplings=[(model.g0 * SIGMA_PLUS, SIGMA_MINUS)] if model.g0 else [],
            initial=rho,
        ),
        scaling=model.scaling,
        initial=model.central_density_matrix(central_state),
    )


def _operator(name: str, value: Any, dimension: int) -> np.ndarray:
    matrix = square_matrix(name, value)
    if len(matrix) != dimension:
        raise ArgumentError(name, f"be {dimension}×{dimension}", f"of shape {matrix.shape}")
    return matrix


def _real(A: np.ndarray) -> np.ndarray:
    return (A + A.conj().T) / 2


def _imaginary(A: np.ndarray) -> np.ndarray:
    return (A - A.conj().T) / 2j
