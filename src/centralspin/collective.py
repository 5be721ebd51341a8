"""Any small central system coupled collectively to classes of identical sites: the general problem.

`CentralSpinModel` is one instance; other central systems, sites and couplings are written down here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.linalg import expm, null_space

from .errors import ArgumentError, density_matrix, hermitian_matrix, real_number, square_matrix
from .model import SIGMA_MINUS, SIGMA_PLUS, CentralSpinModel
from .site import OperatorBasis, hermitian_pairs


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
    couplings : sequence of pairs (A, B)
        Adds :math:`N_c^{-z} (A ⊗ \sum_k B^{(k)} + h.c.)` to the Hamiltonian for every pair; the h.c. is
        left out if A and B are both Hermitian.
    initial : d×d density matrix, optional
        The initial state of every site; by default the stationary state of its own Lindbladian.
    """

    count: float
    hamiltonian: Any
    jumps: Sequence[Any] = ()
    couplings: Sequence[tuple[Any, Any]] = ()
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
    """One validated class of sites: its Bloch equation ṙ = A r + c and its coupling superoperators."""

    def __init__(self, sites: Sites, central: OperatorBasis) -> None:
        count = sites.count
        if not (count == math.inf or (count >= 1 and float(count).is_integer())):
            raise ArgumentError("count", "be a positive integer or math.inf", repr(count))
        H = hermitian_matrix("hamiltonian", sites.hamiltonian)
        self.count = math.inf if count == math.inf else int(count)
        self.basis = basis = OperatorBasis(len(H))
        jumps = [_operator(f"jumps[{i}]", J, len(H)) for i, J in enumerate(sites.jumps)]
        self.lindbladian = basis.lindbladian(H, jumps)
        # −i[A⊗B, ·] = ½(−i[A,·])⊗{B,·} + ½{A,·}⊗(−i[B,·]) for Hermitian A, B
        central_parts, site_parts = [], []
        for i, (A, B) in enumerate(sites.couplings):
            central_part = _operator(f"couplings[{i}][0]", A, central.dimension)
            site_part = _operator(f"couplings[{i}][1]", B, len(H))
            for X, Y in hermitian_pairs(central_part, site_part):
                central_parts += [central.commutator(X) / 2, central.anticommutator(X) / 2]
                site_parts += [basis.anticommutator(Y), basis.commutator(Y)]
        self.central_parts = np.array(central_parts).reshape(-1, central.size, central.size)
        self.site_parts = np.array(site_parts).reshape(-1, basis.size, basis.size)
        self.initial = None
        if sites.initial is not None:
            self.initial = basis.coordinates(density_matrix("initial", sites.initial)).real[1:]

    @property
    def damping(self) -> np.ndarray:
        """A of the Bloch equation ṙ = A r + c."""
        return self.lindbladian[1:, 1:]

    @property
    def drive(self) -> np.ndarray:
        """C of the Bloch equation ṙ = A r + c (the identity is 1/d · d, so coordinate 0 is 1)."""
        return self.lindbladian[1:, 0]

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
        r = self.reference()
        return bool(
            np.abs(self.damping @ r + self.drive).max() > 1e-13 * max(1.0, np.abs(self.damping).max())
        )

    def reference_at(self, times: np.ndarray) -> np.ndarray:
        """Bloch vectors r(t) of the reference state at the given times, shape (times, D)."""
        r0 = self.reference()
        D = len(r0)
        augmented = np.zeros((D + 1, D + 1))
        augmented[1:, 1:], augmented[1:, 0] = self.damping, self.drive
        start = np.r_[1.0, r0]
        return np.array([(expm(augmented * t) @ start)[1:] for t in np.atleast_1d(times)])


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
