"""Any small central system coupled collectively to classes of identical sites: the general model.

`CentralSpinModel` is one instance; other central systems, sites and couplings are written down here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import ArgumentError
from . import terms
from .central_spin import PAULI, SIGMA_MINUS, SIGMA_PLUS, CentralSpinModel, paper_model
from .checks import (
    checked,
    density_matrix,
    real_number,
    sequence,
    short,
    site_count,
    square_matrix,
)

#: Of all sites, in a class of an infinite bath: condensate factors are powers of it, and quotients by it.
LEAST_SHARE = 1e-12


class Correlated:
    """A state of a central system and its sites together; what a method held when it had come to the end."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sites:
    r"""A class of identical d-level sites and its coupling to the central system.

    Parameters
    ----------
    count : int or math.inf
        Number N_c of sites in the class.
    hamiltonian : Hermitian d×d operator, list, or qutip.QobjEvo
        Local Hamiltonian of every site, d ≥ 2. A list :math:`[H_0, [H_1, f_1], …]`, as QuTiP writes it, is
        :math:`H_0 + \sum_i f_i(t) H_i` with Hermitian :math:`H_i` and real functions of time.
    jumps : sequence of d×d operators
        Local jump operators of every site, with the square roots of their rates.
    rates : sequence of numbers, functions of time, or None, optional
        A factor f(t) for the dissipator of every jump (None is 1). A factor may be negative for some time
        (non-Markovian generators); whether the dynamics stays physical is then yours to know.
    couplings : sequence of pairs (A, B) or triples (A, B, f)
        Adds :math:`f(t) N^{-z} (A ⊗ \sum_k B^{(k)} + h.c.)` to the Hamiltonian for every one, N being the number of
        all sites, so that splitting a class changes nothing; the h.c. is left out if A and B are both Hermitian. f is a
        number or a real function of time, and 1 where it is left out.
    interactions : sequence of pairs (A, B)
        Adds the Hermitian part of :math:`N_c^{-1} \sum_k A^{(k)} \sum_l B^{(l)}` for every pair.
    initial : d×d density matrix or ket, optional
        The initial state of every site; by default the stationary state of its own Lindbladian (that of time 0).
    share : float, optional
        N_c/N, at least 10⁻¹², where `count` is infinite; infinite classes share equally what is left.

    Notes
    -----
    All functions take the time in the model's own unit and return one real number. They are sampled 4000 times over an
    evolution, so that whatever lasts longer than that is seen; name the times at which shorter pulses begin and end in
    `t_stops` of `evolve`. A jump of a function is best named there, too.

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
    couplings: Sequence[tuple[Any, ...]] = ()
    interactions: Sequence[tuple[Any, Any]] = ()
    initial: Any = None
    share: float | None = None

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "count", site_count("count", self.count))
        set_(self, "hamiltonian", terms.hamiltonian("hamiltonian", self.hamiltonian))
        d = self.dimension
        if d < 2:  # it would have no modes above its condensate
            raise ArgumentError("hamiltonian", "be that of a site of at least two levels", f"{d}×{d}")
        jumps = tuple(square_matrix(f"jumps[{i}]", J, d) for i, J in enumerate(sequence("jumps", self.jumps)))
        set_(self, "jumps", jumps)
        set_(self, "rates", terms.rates(self.rates, len(jumps)))
        for name, parsed in (("couplings", terms.coupling), ("interactions", terms.interaction)):
            given = sequence(name, getattr(self, name))
            set_(self, name, tuple(parsed(f"{name}[{i}]", pair, d) for i, pair in enumerate(given)))
        if self.initial is not None:
            set_(self, "initial", density_matrix("initial", self.initial, d))
        if self.share is not None:
            if self.count < float("inf"):
                raise ArgumentError("share", "be left out for a class of finite `count`", short(self.share))
            set_(self, "share", real_number("share", self.share, minimum=LEAST_SHARE, maximum=1))

    @property
    def dimension(self) -> int:
        """The number d of levels."""
        return len(terms.split(self.hamiltonian)[0][0])


@dataclass(frozen=True, kw_only=True, eq=False)
class CollectiveModel:
    r"""A central system coupled to classes of identical sites.

    Parameters
    ----------
    hamiltonian : Hermitian operator, list, or qutip.QobjEvo
        Hamiltonian of the central system; its dimension is that of the central system. A list
        :math:`[H_0, [H_1, f_1], …]`, as QuTiP writes it, is :math:`H_0 + \sum_i f_i(t) H_i` with Hermitian :math:`H_i`
        and real functions of time, see `Sites`. (A drive :math:`f a + f^* a^†` with complex f is
        :math:`\mathrm{Re} f\, (a + a^†) + \mathrm{Im} f\, (i a - i a^†)`.)
    jumps : sequence of operators
        Jump operators of the central system, with the square roots of their rates.
    sites : Sites or sequence of Sites
        The classes of sites.
    scaling : float
        The exponent z of all couplings.
    initial : density matrix, ket or State, optional
        Initial state of the central system (needed by `evolve` only), or a `State` of central system and sites
        together; the initial states of the sites are then ignored.
    rates : sequence of numbers, functions of time, or None, optional
        A factor f(t) for the dissipator of every jump of the central system, as for `Sites`.
    collective_jumps : sequence of pairs (A, B)
        Adds the dissipator of one jump operator for every pair,

        .. math:: J = N^{-1/2} A ⊗ \sum_k B^{(k)}, \qquad \dot ρ = … + J ρ J^† - \tfrac12 \{J^†J, ρ\},

        A acting on the central system (None is the identity) and N being the number of all sites, whatever
        `scaling` is: a product A⊗B carries the square root of a rate. One B acts on the sites of all classes; a
        mapping names the classes by number, a sequence has one operator (or None) for each of them, and the sum runs
        over all.

    Raises
    ------
    ArgumentError
        If an operator has the wrong shape or is not Hermitian where it must be, or a function of time does not return
        a finite real number.

    Notes
    -----
    Emission of N identical atoms at the rate γ each into one common mode, :math:`γ W[S_-]`, is
    ``collective_jumps=[(None, np.sqrt(N * γ) * lower)]``. The limit N = ∞, in which the rate Nγ is kept, exists where
    ⟨B⟩ = 0 in the state of the sites without the central system; there :math:`B = \sqrt{Γ_c} σ_-` adds
    :math:`ε Γ_c` to the loss κ↓ of the emergent boson, Eq. (8). For A = None and one class it exists for any state:
    the sites then follow the mean field of their own emission.

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
    rates: Sequence[Any] | None = None
    collective_jumps: Sequence[tuple[Any, Any]] = ()

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "hamiltonian", terms.hamiltonian("hamiltonian", self.hamiltonian))
        d = self.dimension
        jumps = tuple(square_matrix(f"jumps[{i}]", J, d) for i, J in enumerate(sequence("jumps", self.jumps)))
        set_(self, "jumps", jumps)
        set_(self, "rates", terms.rates(self.rates, len(jumps)))
        sites = (self.sites,) if isinstance(self.sites, Sites) else tuple(sequence("sites", self.sites))
        if not sites or not all(isinstance(s, Sites) for s in sites):
            raise ArgumentError("sites", "be one `Sites` or a non-empty sequence of them", short(self.sites))
        for of_class in sites:
            for i, (A, *_) in enumerate(of_class.couplings):
                square_matrix(f"couplings[{i}][0]", A, d)
        set_(self, "sites", sites)
        dimensions = [of_class.dimension for of_class in sites]
        given = sequence("collective_jumps", self.collective_jumps)
        collective = [
            terms.collective_jump(f"collective_jumps[{i}]", pair, d, dimensions)
            for i, pair in enumerate(given)
        ]
        set_(self, "collective_jumps", tuple(collective))
        set_(self, "scaling", real_number("scaling", self.scaling, minimum=0))
        if self.initial is not None and not isinstance(self.initial, Correlated):
            set_(self, "initial", density_matrix("initial", self.initial, d))

    @property
    def dimension(self) -> int:
        """The dimension of the central system."""
        return len(terms.split(self.hamiltonian)[0][0])

    def replace(self, **changes: Any) -> CollectiveModel:
        """Return a copy with the given parameters changed."""
        return replace(self, **changes)


@checked(model=paper_model)
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
        hamiltonian=model.central_terms(),
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
    operators = [*model.jumps, *(A for s in model.sites for A, *_ in s.couplings)]
    operators += [A for A, _ in model.collective_jumps if A is not None]
    d = model.dimension
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
