r"""Method "spin_boson": the emergent model of Eq. (9) in a truncated Fock space by QuTiP.

Spins-½ with ⟨σ_z⟩ = −ε < 0 and ⟨σ_±⟩ = 0 become one boson at N = ∞ and z = ½: S_-/√N → √ε a. A coupling
A ⊗ ΣB with B = b_- σ_- + b_+ σ_+ gives

.. math::
    \tilde H = H_c + \sum \sqrt{ε}\, A (b_- a + b_+ a^†) + h.c. + 2 h_z a^† a, \qquad
    \tilde D = D_c + κ_↓W[a] + κ_↑W[a^†],

with κ↓ = Γ+ + Γ↑/ε and κ↑ = Γ↑/ε, Eq. (8), and the boson initially in ρ_β of Proposition 1. (A field
along z turns S− at the rate 2h_z, hence the last term of the Hamiltonian.)
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from ..errors import ArgumentError, TruncationError
from ..numerics.null_space import null_vector
from ..optional import qutip
from ..problem.central_spin import CentralSpinModel, paper_model
from ..problem.checks import checked, is_hermitian, number, optional, output_times, whole
from ..problem.collective import collective_model
from ..problem.general import Problem, Task, dimensionless
from ..problem.moments import Moment, Reading
from .small import (
    ROUND_OFF,
    at,
    central_state,
    decay_and_pump,
    followed,
    hamiltonian,
    pauli,
    real_coordinates,
    real_where_hermitian,
    require_constant,
    stationary_state,
    tell,
)

ABOUT = "reference"
OPTIONS: frozenset[str] = frozenset()

#: First number of Fock states, factor by which it grows, and the largest that is tried.
FIRST_CUTOFF, GROWTH, LARGEST_CUTOFF = 24, 1.5, 420
#: The least tolerance.
_LEAST = 1e-13
#: Coherences that add up to less than this part of the tolerance are neglected, and so are populations: integration
#: leaves about as much.
NEGLIGIBLE = 1e-3
#: So many of the highest Fock states must be empty; of two neighbours one may be so where quanta come in pairs.
_HIGHEST = 2
#: An evolution that puts so much into them is given up at once: more of them are needed, and the values are of no use.
_GIVEN_UP = 1e-2


@dataclass(frozen=True, eq=False)
class EmergentModel:
    """The model of the module's docstring for a problem at N = ∞, or a refusal of the problem.

    Attributes
    ----------
    problem : Problem
        The problem.
    epsilon, frequency : float
        ε and 2h_z.
    loss, pump : float
        κ↓ and κ↑.
    """

    problem: Problem
    epsilon: float
    frequency: float
    loss: float
    pump: float

    @classmethod
    def of(cls, problem: Problem) -> EmergentModel:
        """Find the boson of a problem, or raise if it has none."""
        method = "spin_boson"
        if problem.size != math.inf:
            raise ArgumentError(
                "N", f'be math.inf with method "{method}", the limit of large baths', problem.size
            )
        if problem.scaling != 0.5:
            raise ArgumentError("scaling", f'be 0.5 with method "{method}"', problem.scaling)
        if len(problem.classes) > 1:
            raise ArgumentError(
                "sites", f'be one class with method "{method}"', f"{len(problem.classes)} classes"
            )
        require_constant(problem, method)
        (site,) = problem.classes
        decay, pump = decay_and_pump(site, method)
        if site.interactions:
            must = f'be left out with method "{method}"'
            raise ArgumentError("interactions", must, f"{len(site.interactions)} pairs")
        field = pauli(hamiltonian(site)).real
        if np.abs(field[1:3]).max() > ROUND_OFF * np.abs(field).max():
            must = f'point along z with method "{method}" (otherwise ⟨σ±⟩ ≠ 0)'
            raise ArgumentError("bath_field", must, tuple(field[1:].tolist()))
        for i, (_, B, _) in enumerate(site.couplings):
            _amplitudes(f"couplings[{i}][1]", B)
        for i, (_, by_class) in enumerate(problem.collective_jumps):
            _amplitudes(f"collective_jumps[{i}][1]", by_class[0])
        for i, (_, f) in enumerate(problem.central.jumps):
            if at(f, 0.0) < 0:
                raise ArgumentError(f"rates[{i}]", f'not be negative with method "{method}"', at(f, 0.0))
        if not decay > pump >= 0:
            must = "be larger than the pump of the sites for the boson S−/√(εN) to exist"
            raise ArgumentError(
                "bath_decay", must, f"{decay:g} beside {pump:g} (in units of {problem.unit:g})"
            )
        if site.initial is not None and np.abs(site.initial - stationary_state(site)).max() > ROUND_OFF:
            must = f'be None (the stationary state) with method "{method}", whose boson starts in ρ_β'
            raise ArgumentError("bath_bloch", must, tuple((2 * pauli(site.initial)[1:].real).tolist()))
        epsilon = (decay - pump) / (decay + pump)
        return cls(problem, epsilon, 2 * field[3], decay + pump + pump / epsilon, pump / epsilon)

    def operators(self, cutoff: int) -> tuple[Any, list[Any], Any]:
        """Return H̃, the jump operators and a, on central system ⊗ boson with `cutoff` Fock states."""
        central = self.problem.central
        one, local = qutip.qeye(central.dimension), qutip.qeye(cutoff)
        a = qutip.tensor(one, qutip.destroy(cutoff))
        H = qutip.tensor(sparse(hamiltonian(central)), local) + self.frequency * a.dag() * a
        for A, B, f in self.problem.classes[0].couplings:
            part = at(f, 0.0) * qutip.tensor(sparse(A), local) * self.fluctuation(B, a)
            H += part if is_hermitian(A) and is_hermitian(B) else part + part.dag()
        rates = [(self.loss, a), (self.pump, a.dag())]
        rates += [(at(f, 0.0), qutip.tensor(sparse(J), local)) for J, f in central.jumps]
        jumps = [math.sqrt(rate) * J for rate, J in rates if rate > 0]
        for A, by_class in self.problem.collective_jumps:
            jumps.append(qutip.tensor(sparse(A), local) * self.fluctuation(by_class[0], a))
        return H, jumps, a

    def fluctuation(self, B: np.ndarray, a: Any) -> Any:
        """N^{−½} Σ_k B^{(k)} at N = ∞."""
        minus, plus = _amplitudes("site", B)
        return math.sqrt(self.epsilon) * (minus * a + plus * a.dag())

    def thermal_state(self, cutoff: int) -> Any:
        """ρ_β of Proposition 1, normalised within the cutoff."""
        weights = (self.pump / self.loss) ** np.arange(cutoff)  # e^{−βω} = Γ↑/Γ↓ = κ↑/κ↓
        return qutip.Qobj(np.diag(weights / weights.sum()))

    def moment(self, moment: Moment, a: Any) -> Any:
        """The operator A ⊗ (N^{−s} Σ_k B^{(k)} − c)^p at N = ∞; averages (s > ½) do not fluctuate."""
        d, cutoff = a.dims[0]
        A = qutip.Qobj(np.eye(d) if moment.central is None else moment.central)
        operator = qutip.tensor(A, qutip.qeye(cutoff))
        if not moment.power:
            return operator
        if moment.scaling > 0.5:
            return 0 * operator
        return operator * self.fluctuation(moment.operators[0], a) ** moment.power


@checked(model=paper_model, cutoff=whole(2, LARGEST_CUTOFF))
def operators(model: CentralSpinModel, cutoff: int) -> tuple[Any, list[Any], Any]:
    """Return H̃, the jump operators and a of the paper's model, on spin ⊗ boson with `cutoff` Fock states."""
    emergent, unit = _of_paper(model)
    H, jumps, a = emergent.operators(cutoff)
    return unit * H, [math.sqrt(unit) * J for J in jumps], a


def sparse(operator: np.ndarray) -> Any:
    """An operator of QuTiP that stays sparse beside the boson's; early versions make dense products of dense ones."""
    return qutip.Qobj(operator).to("csr")


@checked(model=paper_model, cutoff=whole(2, LARGEST_CUTOFF))
def thermal_state(model: CentralSpinModel, cutoff: int) -> Any:
    """ρ_β of Proposition 1, normalised within the cutoff."""
    return _of_paper(model)[0].thermal_state(cutoff)


@checked(
    model=paper_model,
    times=output_times,
    cutoff=optional(whole(2, LARGEST_CUTOFF)),
    tolerance=number(_LEAST, 1),
)
def states(
    model: CentralSpinModel,
    times: Sequence[float],
    central_state: Any = "up",
    cutoff: int | None = None,
    tolerance: float = 1e-8,
) -> list[Any]:
    """Density matrices of spin ⊗ boson at the given times.

    Parameters
    ----------
    model : CentralSpinModel
        The problem, at N = ∞.
    times : sequence of float
        Increasing times; the boson is in ρ_β at time 0, which need not be among them.
    central_state : str, sequence or matrix
        As for `evolve`.
    cutoff : int, optional
        The number of Fock states; by default it grows until the states agree within the tolerance. A warning tells
        where the highest of a given number are not empty.
    tolerance : float
        The largest absolute error of a matrix element.
    """
    emergent, unit = _of_paper(model, central_state)
    scaled = np.asarray(times) * unit
    if cutoff is not None:
        return _warned(*_evolve(emergent, cutoff, scaled, tolerance), tolerance)
    return _grow(lambda K: _evolve(emergent, K, scaled, tolerance, True), _states_differ, tolerance)[0]


@checked(model=paper_model, cutoff=optional(whole(2, LARGEST_CUTOFF)), tolerance=number(_LEAST, 1))
def stationary_density_matrix(
    model: CentralSpinModel, cutoff: int | None = None, tolerance: float = 1e-8
) -> Any:
    """The stationary density matrix of spin ⊗ boson; the parameters are those of `states`."""
    emergent, _ = _of_paper(model)
    if cutoff is not None:
        rho = _stationary(emergent, cutoff)[0]
        return _warned([rho], _highest(rho), tolerance)[0]
    resting = _Resting(emergent, tolerance)

    def resting_at(K: int) -> tuple[list[Any], float]:
        rho = resting(K)
        return [rho], _highest(rho)

    return _grow(resting_at, _states_differ, tolerance)[0][0]


def refuses(task: Task) -> ArgumentError | None:
    """Say why there is no boson, or why it cannot give a moment, if so."""
    try:
        EmergentModel.of(task.problem)
        for moment in task.moments:
            if moment.power and moment.scaling < 0.5:
                return ArgumentError(
                    "scaling", "be at least 0.5 for a moment to exist at N = ∞", moment.scaling
                )
            if moment.power and moment.scaling == 0.5:
                _amplitudes("site", moment.operators[0])
    except ArgumentError as error:
        return error
    return None


def run(task: Task) -> Reading:
    """Read moments off the Fock space; its cutoff grows until they agree within the tolerance."""
    emergent = EmergentModel.of(task.problem)
    resting = _Resting(emergent, task.tolerance, task.progress)
    rounded = 0.0

    def values(cutoff: int) -> tuple[np.ndarray, float]:
        nonlocal rounded
        what = f"{cutoff} Fock states"
        tell(task.progress, cutoff / LARGEST_CUTOFF, what)
        _, _, a = emergent.operators(cutoff)
        observables = [emergent.moment(moment, a) for moment in task.moments]
        weight = max((_weight(O) for O in observables), default=0.0)

        def read(highest: float) -> float:
            return weight * highest if highest > max(NEGLIGIBLE * task.tolerance, _LEAST) else 0.0

        if task.times is None:
            rho = resting(cutoff)
            held = abs(rho.full())
            rounded = resting.rounded * max(float((abs(O.full()) * held).sum()) for O in observables)
            return np.array([qutip.expect(O, rho) for O in observables]), read(_highest(rho))
        states, highest = _evolve(emergent, cutoff, task.times, task.tolerance, True, task.progress)
        return np.array([[complex((O * rho).tr()) for O in observables] for rho in states]), read(highest)

    found, cutoff, error = _grow(values, lambda a, b: float(np.abs(a - b).max()), task.tolerance)
    details = {"cutoff": cutoff, "truncation_error": error}
    return Reading(real_where_hermitian(found, task.moments), error + rounded, details)


def _of_paper(model: CentralSpinModel, central_state: Any = "up") -> tuple[EmergentModel, float]:
    model.require_boson()
    problem = dimensionless(collective_model(model, central_state))
    return EmergentModel.of(problem), problem.unit


def _amplitudes(name: str, B: np.ndarray) -> tuple[complex, complex]:
    """b_- and b_+ of B = b_- σ_- + b_+ σ_+, or raise."""
    if np.abs(np.diag(B)).max() > ROUND_OFF * np.abs(B).max():
        raise ArgumentError(name, 'be a combination of σ− and σ+ with method "spin_boson"', "not one")
    return B[1, 0], B[0, 1]


class _FullError(Exception):
    """The highest Fock states are not empty; the argument is their population."""


def _evolve(
    emergent: EmergentModel, cutoff: int, times: np.ndarray, tolerance: float, grows: bool = False,
    progress: Any = None,
) -> tuple[list[Any], float]:  # fmt: skip
    """The states at some times, and what the highest Fock states held on the way; too much ends it if `grows`."""
    H, jumps, _ = emergent.operators(cutoff)
    rho = qutip.tensor(qutip.Qobj(central_state(emergent.problem)), emergent.thermal_state(cutoff))
    largest, last = 0.0, max(float(times[-1]), 1e-300)

    def told(now: float, state: Any) -> None:
        nonlocal largest
        tell(progress, now / last, f"the evolution with {cutoff} Fock states")
        largest = max(largest, _highest(state))
        if grows and largest > _GIVEN_UP:
            raise _FullError(largest)

    told(0.0, rho)
    states = followed(qutip.liouvillian(H, jumps), rho, times, max(tolerance * 1e-3, _LEAST), told)
    return states, largest


def _highest(rho: Any) -> float:
    """The population of the highest Fock states."""
    populations = np.abs(rho.diag()).reshape(rho.dims[0])
    return float(populations[:, -_HIGHEST:].sum())


def _weight(operator: Any) -> float:
    """What an operator can make of one unit of population in the highest Fock states."""
    rows = np.abs(operator.full()).sum(axis=1).reshape(operator.dims[0])
    return float(rows[:, -_HIGHEST:].max())


def _warned(states: list[Any], highest: float, tolerance: float) -> list[Any]:
    """The states of a given cutoff, with a warning if that is too small."""
    if highest > tolerance:
        warnings.warn(
            f"The highest Fock states hold up to {highest:.2g}: a larger `cutoff` is needed.",
            UserWarning,
            stacklevel=4,
        )
    return states


class _Resting:
    """Stationary density matrices at growing cutoffs, of which only the coherences that matter are kept.

    A weakly damped boson holds many quanta, but may have few coherences between distant Fock states.

    Parameters
    ----------
    emergent : EmergentModel
    tolerance : float
        Coherences that add up to a thousandth of it are neglected.
    progress : Progress, optional
        Asked before every factorisation, which cannot be stopped, whether there is time for it.
    """

    def __init__(self, emergent: EmergentModel, tolerance: float, progress: Any = None) -> None:
        self._progress, self._taken, self._size = progress, 0.0, 1
        self._emergent, self._small = emergent, max(NEGLIGIBLE * tolerance, 1e-14)
        self._band: int | None = None
        #: How much of the last state, relative to it, may be round-off.
        self.rounded = 0.0

    def __call__(self, cutoff: int) -> Any:
        """The state with so many Fock states."""
        while True:
            band = cutoff if self._band is None else min(cutoff, self._band)
            if self._progress is not None:  # work grows at least as the unknowns do
                more = max(cutoff * band / self._size, 1.0)
                self._progress.expect(self._taken, more, f"the stationary state with {cutoff} Fock states")
            began = time.monotonic()
            rho, self.rounded = _stationary(self._emergent, cutoff, band)
            self._taken, self._size = time.monotonic() - began, cutoff * band
            size, n = np.abs(rho.full()), np.arange(rho.shape[0]) % cutoff
            held = np.bincount(np.abs(n[:, None] - n).ravel(), size.ravel())
            if band < cutoff and held[band - 1 : band + 1].max() > self._small:
                self._band = 2 * band
                continue
            self._band = int(1.5 * np.flatnonzero(held > self._small).max(initial=0)) + 8
            return rho


def _stationary(emergent: EmergentModel, cutoff: int, band: int | None = None) -> tuple[Any, float]:
    """The stationary state, without coherences between Fock states further apart than the band; its round-off."""
    H, jumps, a = emergent.operators(cutoff)
    L, d = qutip.liouvillian(H, jumps).to("CSR").data_as("csr_matrix"), H.shape[0]
    T, n = real_coordinates([d]), np.arange(d) % cutoff
    far = (np.abs(n[:, None] - n) > (cutoff if band is None else band)).ravel().astype(float)
    T = T[abs(T) @ far == 0]
    generator = csr_matrix((T @ L @ T.conj().T).real)
    generator.eliminate_zeros()
    v, off = null_vector(generator, (T @ np.eye(d).ravel()).real)
    rho = (T.conj().T @ v).reshape(d, d, order="F")  # QuTiP stacks columns
    rounded = off / (math.sqrt(len(v)) * float(np.linalg.norm(v)))
    return qutip.Qobj((rho + rho.conj().T) / 2, dims=a.dims), rounded


def _states_differ(one: Sequence[Any], other: Sequence[Any]) -> float:
    """The largest difference between states of two cutoffs, the missing Fock states being empty."""
    levels, few, many = one[0].dims[0][0], one[0].dims[0][1], other[0].dims[0][1]
    largest = 0.0
    for small, large in zip(one, other, strict=True):
        difference = large.full().reshape(levels, many, levels, many).copy()
        difference[:, :few, :, :few] -= small.full().reshape(levels, few, levels, few)
        largest = max(largest, float(np.abs(difference).max()))
    return largest


def _grow(
    run: Callable[[int], tuple[Any, float]], distance: Callable[[Any, Any], float], tolerance: float
) -> tuple[Any, int, float]:
    """Let the number of Fock states grow until two results agree within the tolerance, and the highest are empty.

    `run` gives a result and what its highest Fock states make of it. Where quanta pile up in them results may agree.
    """
    cutoff, previous, error, highest = FIRST_CUTOFF, None, math.inf, math.inf
    while cutoff <= LARGEST_CUTOFF:
        try:
            found, highest = run(cutoff)
        except _FullError as full:
            found, highest = None, float(full.args[0])
        if previous is not None and found is not None:
            error = distance(previous, found)
            if max(error, highest) <= tolerance:
                return found, cutoff, max(error, highest)
        previous, cutoff = found, math.ceil(cutoff * GROWTH)
    change = f"the last change was {error:.2g}, and " if error < math.inf else ""
    raise TruncationError(
        f"The tolerance {tolerance:g} is not met with up to {LARGEST_CUTOFF} Fock states; "
        f"{change}the highest ones hold {highest:.2g} of what is read."
    )
