r"""Method "spin_boson": the emergent model of Eq. (9) in a truncated Fock space by QuTiP.

.. math::
    \tilde H = H_τ + g_0\sqrt{ε}(τ_- a^† + τ_+ a) + 2 h_z a^† a, \qquad
    \tilde D = γ_↓W[τ_-] + γ_↑W[τ_+] + κ_↓W[a] + κ_↑W[a^†],

with κ↓ = Γ+ + Γ↑/ε and κ↑ = Γ↑/ε, Eq. (8), and the boson initially in ρ_β of Proposition 1. (A bath field
along z turns S− at the rate 2h_z, hence the last term of the Hamiltonian.)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import qutip

from ..errors import ArgumentError, TruncationError
from ..problem.central_spin import CentralSpinModel
from ..problem.observables import Raw, RawMoments

#: First number of Fock states, factor by which it grows, and the largest that is tried.
FIRST_CUTOFF, GROWTH, LARGEST_CUTOFF = 24, 1.5, 200


def operators(model: CentralSpinModel, cutoff: int) -> tuple[qutip.Qobj, list[qutip.Qobj], qutip.Qobj]:
    """Return H̃, the jump operators and a, on spin ⊗ boson with `cutoff` Fock states."""
    _check(model)
    epsilon = model.require_boson()
    a = qutip.tensor(qutip.qeye(2), qutip.destroy(cutoff))
    tau_minus = qutip.tensor(qutip.sigmam(), qutip.qeye(cutoff))
    H = qutip.tensor(qutip.Qobj(model.central_hamiltonian()), qutip.qeye(cutoff))
    H += model.g0 * math.sqrt(epsilon) * (tau_minus * a.dag() + tau_minus.dag() * a)
    H += 2 * model.bath_field[2] * a.dag() * a
    rates = (
        (model.central_decay, tau_minus),
        (model.central_pump, tau_minus.dag()),
        (model.boson_loss, a),
        (model.boson_pump, a.dag()),
    )
    return H, [math.sqrt(rate) * J for rate, J in rates if rate > 0], a


def thermal_state(model: CentralSpinModel, cutoff: int) -> qutip.Qobj:
    """ρ_β of Proposition 1, normalised within the cutoff."""
    ratio = model.bath_pump / model.bath_decay  # e^{−βω}
    weights = ratio ** np.arange(cutoff)
    return qutip.Qobj(np.diag(weights / weights.sum()))


def states(
    model: CentralSpinModel,
    times: np.ndarray,
    central_state: Any = "up",
    cutoff: int = 40,
    tolerance: float = 1e-8,
) -> list[qutip.Qobj]:
    """Density matrices of spin ⊗ boson at the given times."""
    H, jumps, _ = operators(model, cutoff)
    return list(_run(model, H, jumps, times, central_state, cutoff, tolerance, None).states)


def stationary_density_matrix(model: CentralSpinModel, cutoff: int = 40) -> qutip.Qobj:
    """The stationary density matrix of spin ⊗ boson."""
    H, jumps, _ = operators(model, cutoff)
    return qutip.steadystate(H, jumps)


def evolve(
    model: CentralSpinModel,
    times: np.ndarray,
    raw: tuple[Raw, ...],
    central_state: Any,
    bath_bloch: Any,
    tolerance: float,
) -> tuple[RawMoments, dict[str, Any]]:
    """Raw moments in time; the cutoff grows until they agree within the tolerance."""
    if np.abs(model.initial_bath_bloch(bath_bloch) - model.stationary_bath_bloch()).max() > 1e-12:
        raise ArgumentError(
            "bath_bloch",
            'be None with method "spin_boson", whose boson starts in ρ_β',
            tuple(map(float, bath_bloch)),
        )

    def run(cutoff: int) -> np.ndarray:
        H, jumps, a = operators(model, cutoff)
        grid = times if times[0] == 0 else np.r_[0.0, times]
        result = _run(model, H, jumps, grid, central_state, cutoff, tolerance, _moments(model, a, raw))
        return np.real(np.array(result.expect)).T[len(grid) - len(times) :]

    values, details = _converge(run, tolerance)
    return RawMoments(dict(zip(raw, values.T, strict=True))), details


def steady_state(
    model: CentralSpinModel, raw: tuple[Raw, ...], tolerance: float
) -> tuple[RawMoments, dict[str, Any]]:
    """Raw moments at stationarity; the cutoff grows until they agree within the tolerance."""

    def run(cutoff: int) -> np.ndarray:
        rho = stationary_density_matrix(model, cutoff)
        a = qutip.tensor(qutip.qeye(2), qutip.destroy(cutoff))
        return np.array([np.real(qutip.expect(O, rho)) for O in _moments(model, a, raw)])

    values, details = _converge(run, tolerance)
    return RawMoments(dict(zip(raw, values, strict=True))), details


def _run(
    model: CentralSpinModel,
    H: Any,
    jumps: Any,
    times: Any,
    central_state: Any,
    cutoff: int,
    tolerance: float,
    e_ops: Any,
) -> Any:
    rho = qutip.tensor(qutip.Qobj(model.central_density_matrix(central_state)), thermal_state(model, cutoff))
    accuracy = max(tolerance * 1e-3, 1e-13)
    options = {"atol": accuracy, "rtol": accuracy, "method": "vern9", "progress_bar": "", "nsteps": 1_000_000}
    return qutip.mesolve(H, rho, times, c_ops=jumps, e_ops=e_ops, options=options)


def _moments(model: CentralSpinModel, a: qutip.Qobj, raw: tuple[Raw, ...]) -> list[qutip.Qobj]:
    cutoff = a.dims[0][1]
    sigma = {"x": qutip.sigmax(), "y": qutip.sigmay(), "z": qutip.sigmaz()}
    root = math.sqrt(model.require_boson())
    # S_- = √(εN) a, hence S_x = S_- + S_+ and S_y = i(S_- − S_+)
    bath = {"x": root * (a + a.dag()), "y": 1j * root * (a - a.dag())}
    result = []
    for kind, argument in raw:
        if kind == "tau":
            result.append(qutip.tensor(sigma[argument], qutip.qeye(cutoff)))
        elif kind == "m":  # averages do not fluctuate at N = ∞
            average = model.stationary_bath_bloch()["xyz".index(argument)]
            result.append(average * qutip.tensor(qutip.qeye(2), qutip.qeye(cutoff)))
        else:
            result.append(bath[kind] ** argument)
    return result


def _converge(run: Any, tolerance: float) -> tuple[np.ndarray, dict[str, Any]]:
    cutoff, previous, error = FIRST_CUTOFF, None, math.inf
    while cutoff <= LARGEST_CUTOFF:
        values = run(cutoff)
        if previous is not None:
            error = float(np.abs(values - previous).max())
            if error <= tolerance:
                return values, {"cutoff": cutoff, "truncation_error": error}
        previous = values
        cutoff = math.ceil(cutoff * GROWTH)
    raise TruncationError(
        f"The tolerance {tolerance:g} is not met with up to {LARGEST_CUTOFF} Fock states; the last change was "
        f"{error:.2g}."
    )


def _check(model: CentralSpinModel) -> None:
    if math.inf != model.N:
        raise ArgumentError("N", 'be math.inf with method "spin_boson", the limit of large baths', model.N)
    if model.scaling != 0.5:
        raise ArgumentError("scaling", 'be 0.5 with method "spin_boson"', model.scaling)
    if any(model.bath_field[:2]):
        raise ArgumentError(
            "bath_field", 'point along z with method "spin_boson" (otherwise ⟨σ±⟩ ≠ 0)', model.bath_field
        )
