"""Any small central system coupled collectively to classes of identical sites: the general model.

`CentralSpinModel` is one instance; other central systems, sites and couplings are written down here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .central_spin import PAULI, SIGMA_MINUS, SIGMA_PLUS, CentralSpinModel
from .checks import (
    density_matrix,
    hermitian_matrix,
    is_operator,
    real_number,
    sequence,
    short,
    site_count,
    square_matrix,
)


class Correlated:
    """A state of a central system and its sites together; what a method held when it had come to the end."""


@dataclass(frozen=True, kw_only=True, eq=False)
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
        (non-Markovian generators); whether the dynamics stays physical is then yours to know. What happens between
        two output times is seen if it lasts at least a hundredth of the time between them; name the times of shorter
        pulses in `t_stops` of `evolve`.
    couplings : sequence of pairs (A, B)
        Adds :math:`N^{-z} (A ⊗ \sum_k B^{(k)} + h.c.)` to the Hamiltonian for every pair, N being the number of all
        sites, so that splitting a class changes nothing; the h.c. is left out if A and B are both Hermitian.
    interactions : sequence of pairs (A, B)
        Adds the Hermitian part of :math:`N_c^{-1} \sum_k A^{(k)} \sum_l B^{(l)}` for every pair.
    initial : d×d density matrix or ket, optional
        The initial state of every site; by default the stationary state of its own Lindbladian.
    share : float, optional
        N_c/N where `count` is infinite; infinite classes share equally what is left.

    Examples
    --------
    >>> from centralspin import SIGMA_MINUS, SIGMA_PLUS, Sites
    >>> Sites(
    ...     count=100,
    ...     hamiltonian=[[0.5, 0], [0, -0.5]],
    ...     jumps=[SIGMA_MINUS],
    ...     couplings=[(SIGMA_PLUS, SIGMA_MINUS)],
    ... ).dimension
    2
    """

    count: float
    hamiltonian: Any
    jumps: Sequence[Any] = ()
    rates: Sequence[Any] | None = None
    couplings: Sequence[tuple[Any, Any]] = ()
    interactions: Sequence[tuple[Any, Any]] = ()
    initial: Any = None
    share: float | None = None

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "count", site_count("count", self.count))
        H = hermitian_matrix("hamiltonian", self.hamiltonian)
        d = len(H)
        set_(self, "hamiltonian", H)
        jumps = tuple(square_matrix(f"jumps[{i}]", J, d) for i, J in enumerate(sequence("jumps", self.jumps)))
        set_(self, "jumps", jumps)
        rates = [None] * len(jumps) if self.rates is None else sequence("rates", self.rates)
        if len(rates) != len(jumps):
            raise ArgumentError(
                "rates", f"have one entry for each of the {len(jumps)} jumps", f"of length {len(rates)}"
            )
        checked = [
            rate if rate is None or callable(rate) else real_number(f"rates[{i}]", rate)
            for i, rate in enumerate(rates)
        ]
        set_(self, "rates", None if self.rates is None else tuple(checked))
        pairs = [
            _pair(f"couplings[{i}]", pair) for i, pair in enumerate(sequence("couplings", self.couplings))
        ]
        couplings = [
            (square_matrix(f"couplings[{i}][0]", A), square_matrix(f"couplings[{i}][1]", B, d))
            for i, (A, B) in enumerate(pairs)
        ]
        set_(self, "couplings", tuple(couplings))
        pairs = [
            _pair(f"interactions[{i}]", pair)
            for i, pair in enumerate(sequence("interactions", self.interactions))
        ]
        interactions = [
            (square_matrix(f"interactions[{i}][0]", A, d), square_matrix(f"interactions[{i}][1]", B, d))
            for i, (A, B) in enumerate(pairs)
        ]
        set_(self, "interactions", tuple(interactions))
        if self.initial is not None:
            set_(self, "initial", density_matrix("initial", self.initial, d))
        if self.share is not None:
            if self.count < float("inf"):
                raise ArgumentError("share", "be left out for a class of finite `count`", short(self.share))
            set_(self, "share", real_number("share", self.share, minimum=0, maximum=1))

    @property
    def dimension(self) -> int:
        """The number d of levels."""
        return len(self.hamiltonian)


@dataclass(frozen=True, kw_only=True, eq=False)
class CollectiveModel:
    """A central system coupled to classes of identical sites.

    Parameters
    ----------
    hamiltonian : Hermitian operator
        Hamiltonian of the central system; its dimension is that of the central system.
    jumps : sequence of operators
        Jump operators of the central system, with the square roots of their rates.
    sites : Sites or sequence of Sites
        The classes of sites.
    scaling : float
        The exponent z of all couplings.
    initial : density matrix, ket or State, optional
        Initial state of the central system (needed by `evolve` only), or a `State` of central system and sites
        together; the initial states of the sites are then ignored.

    Raises
    ------
    ArgumentError
        If an operator has the wrong shape or is not Hermitian where it must be.

    Examples
    --------
    A driven, decaying spin coupled to ten sites that decay:

    >>> import numpy as np
    >>> from centralspin import SIGMA_MINUS, SIGMA_PLUS, CollectiveModel, Moment, Sites, steady_state
    >>> sites = Sites(
    ...     count=10,
    ...     hamiltonian=np.zeros((2, 2)),
    ...     jumps=[SIGMA_MINUS],
    ...     couplings=[(2 * SIGMA_PLUS, SIGMA_MINUS)],
    ... )
    >>> model = CollectiveModel(hamiltonian=[[0, 1], [1, 0]], jumps=[SIGMA_MINUS], sites=sites)
    >>> up = np.diag([1, 0])
    >>> asked = {"central": up, "sites": Moment(site=up, scaling=1, about="zero")}
    >>> found = steady_state(model, asked)
    >>> found["central"], found["sites"]
    (0.0156937, 0.0230425)
    """

    hamiltonian: Any
    jumps: Sequence[Any] = ()
    sites: Any = ()
    scaling: float = 0.5
    initial: Any = None

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        H = hermitian_matrix("hamiltonian", self.hamiltonian)
        d = len(H)
        set_(self, "hamiltonian", H)
        jumps = tuple(square_matrix(f"jumps[{i}]", J, d) for i, J in enumerate(sequence("jumps", self.jumps)))
        set_(self, "jumps", jumps)
        sites = (self.sites,) if isinstance(self.sites, Sites) else tuple(sequence("sites", self.sites))
        if not sites or not all(isinstance(s, Sites) for s in sites):
            raise ArgumentError("sites", "be one `Sites` or a non-empty sequence of them", short(self.sites))
        for of_class in sites:
            for i, (A, _) in enumerate(of_class.couplings):
                square_matrix(f"couplings[{i}][0]", A, d)
        set_(self, "sites", sites)
        set_(self, "scaling", real_number("scaling", self.scaling, minimum=0))
        if self.initial is not None and not isinstance(self.initial, Correlated):
            set_(self, "initial", density_matrix("initial", self.initial, d))

    def replace(self, **changes: Any) -> CollectiveModel:
        """Return a copy with the given parameters changed."""
        return replace(self, **changes)


def collective_model(
    model: CentralSpinModel, central_state: Any = "up", bath_bloch: Any = None
) -> CollectiveModel:
    """Write a `CentralSpinModel` with its initial product state as a `CollectiveModel`.

    `bath_bloch` = None leaves the initial state of the sites to be their stationary one.
    """
    initial = None
    if bath_bloch is not None:
        initial = (np.eye(2) + np.tensordot(model.initial_bath_bloch(bath_bloch), PAULI, axes=1)) / 2
    return CollectiveModel(
        hamiltonian=model.central_hamiltonian(),
        jumps=model.central_jumps(),
        sites=Sites(
            count=model.N,
            hamiltonian=model.bath_hamiltonian(),
            jumps=model.bath_jumps(),
            couplings=[(model.g0 * SIGMA_PLUS, SIGMA_MINUS)] if model.g0 else [],
            initial=initial,
        ),
        scaling=model.scaling,
        initial=model.central_density_matrix(central_state),
    )


def top_levels(model: CollectiveModel) -> list[np.ndarray]:
    """Projectors on the highest level of every oscillator in the central system, found by its annihilation operator.

    A jump or coupling operator that is c·1 ⊗ a ⊗ 1 with a of three levels or more tells an oscillator.
    """
    found: dict[tuple[int, int], np.ndarray] = {}
    operators = [*model.jumps, *(A for s in model.sites for A, _ in s.couplings)]
    d = len(model.hamiltonian)
    for left in (n for n in range(1, d + 1) if d % n == 0):
        for levels in (n for n in range(3, d // left + 1) if (d // left) % n == 0):
            right = d // left // levels
            lower = np.kron(np.kron(np.eye(left), np.diag(np.sqrt(np.arange(1.0, levels)), 1)), np.eye(right))
            for A in operators:
                for ladder in (A, A.conj().T):
                    amplitude = np.vdot(lower, ladder) / np.vdot(lower, lower)
                    if amplitude and np.abs(ladder - amplitude * lower).max() <= 1e-9 * abs(amplitude):
                        top = np.diag(np.eye(levels)[-1])
                        found[left, levels] = np.kron(np.kron(np.eye(left), top), np.eye(right))
    return list(found.values())


def _pair(name: str, value: Any) -> tuple[Any, Any]:
    if not isinstance(value, (tuple, list)) or len(value) != 2 or is_operator(value):
        raise ArgumentError(name, "be a pair of operators", short(value))
    return value[0], value[1]
