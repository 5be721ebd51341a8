r"""Method "mean_field": all correlations neglected, ρ = ρ_τ ⊗ ω^{⊗N}.

The central spin feels the field of the averages, a bath spin that of the central spin,

.. math::
    H_τ^{mf} = H_τ + \frac{g_0}{2} N^{1-z} (m_x τ_x + m_y τ_y), \qquad
    H_σ^{mf} = \sum_α h_α σ_α + \frac{g_0}{2} N^{-z} (⟨τ_x⟩ σ_x + ⟨τ_y⟩ σ_y).

With m = r(t) + u/√N, where r(t) is a bath spin without the central one, u stays finite as N → ∞: for z = 1
it drops out and Theorem 2 remains; for z = ½ it is the classical amplitude of the bath, ⟨q⟩ without its
fluctuations, which is not what the exact theory gives.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from ..errors import ArgumentError, ConvergenceError
from ..problem.central_spin import CentralSpinModel
from ..problem.observables import Raw, RawMoments

#: Stationarity is sought for this long, in units of the slowest local relaxation time.
LONGEST_RELAXATION = 400.0


def equations(model: CentralSpinModel) -> Any:
    """Return f(t, y) of ẏ = f for y = (⟨τ⟩, r, u), nine real numbers."""
    A, c = model.bath_equation()
    wx, wy, wz = model.central_field
    pump, decay = model.central_pump, model.central_decay
    damping = (pump + decay) * np.array([0.5, 0.5, 1.0])
    N, z = float(model.N), model.scaling

    def power(exponent: float) -> float:
        if math.inf == N:
            return 1.0 if exponent == 0 else (0.0 if exponent < 0 else math.inf)
        return N**exponent

    mean, fluctuation, root = power(1 - z), power(0.5 - z), power(-0.5)
    if fluctuation == math.inf or (mean == math.inf and any(model.bath_field[:2])):
        raise ArgumentError("scaling", "be at least 0.5 at N = ∞", z)

    def derivative(_: float, y: np.ndarray) -> np.ndarray:
        tau, r, u = y[:3], y[3:6], y[6:]
        m = r + u * root
        straight = mean * r[:2] if mean != math.inf else np.zeros(2)
        field = np.array([wx, wy, wz])
        field[:2] += model.g0 / 2 * (straight + fluctuation * u[:2])
        tau_dot = 2 * np.cross(field, tau) - damping * tau + [0, 0, pump - decay]
        kick = model.g0 * fluctuation * np.cross([tau[0], tau[1], 0.0], m)
        return np.concatenate([tau_dot, A @ r + c, A @ u + kick])

    return derivative


def evolve(
    model: CentralSpinModel,
    times: np.ndarray,
    raw: tuple[Raw, ...],
    central_state: Any,
    bath_bloch: Any,
    tolerance: float,
) -> tuple[RawMoments, dict[str, Any]]:
    """Raw moments in time from the mean-field equations."""
    y0 = _initial(model, central_state, model.initial_bath_bloch(bath_bloch))
    result = _integrate(model, y0, times, tolerance)
    return _raw(model, raw, result), {"unknowns": 6}


def steady_state(
    model: CentralSpinModel, raw: tuple[Raw, ...], tolerance: float
) -> tuple[RawMoments, dict[str, Any]]:
    """Raw moments of the stationary state that the mean-field equations reach from an unpolarized central spin."""
    rate = min(
        r for r in (model.bath_rate / 2, (model.central_pump + model.central_decay) / 2 or math.inf) if r > 0
    )
    y0 = _initial(model, (0, 0, 0), model.stationary_bath_bloch())
    end = _integrate(model, y0, np.array([LONGEST_RELAXATION / rate]), tolerance)
    drift = np.abs(equations(model)(0.0, end[:, 0])).max()
    if drift > 100 * tolerance:
        raise ConvergenceError(
            f"The mean-field equations do not settle; the drift after {LONGEST_RELAXATION:g} relaxation times is "
            f"{drift:.2g}."
        )
    return _raw(model, raw, end[:, 0]), {"unknowns": 6}


def _initial(model: CentralSpinModel, central_state: Any, r: np.ndarray) -> np.ndarray:
    if math.inf == model.N and model.scaling < 1 and np.abs(r[:2]).max() > 1e-14:
        raise ArgumentError("bath_bloch", "have ⟨σx⟩ = ⟨σy⟩ = 0 at N = ∞ for z < 1, see Eq. (3)", tuple(r))
    rho = model.central_density_matrix(central_state)
    tau = [2 * rho[1, 0].real, 2 * rho[1, 0].imag, (rho[0, 0] - rho[1, 1]).real]
    return np.concatenate([tau, r, np.zeros(3)])


def _integrate(model: CentralSpinModel, y0: np.ndarray, times: np.ndarray, tolerance: float) -> np.ndarray:
    accuracy = max(tolerance * 1e-2, 1e-13)
    span = (0.0, max(float(times[-1]), 1e-300))
    result = solve_ivp(equations(model), span, y0, "DOP853", t_eval=times, rtol=accuracy, atol=accuracy)
    if not result.success:
        raise ConvergenceError(f"The integration in time stopped: {result.message}")
    return np.asarray(result.y)


def _raw(model: CentralSpinModel, raw: tuple[Raw, ...], y: np.ndarray) -> RawMoments:
    values: dict[Raw, Any] = {}
    for kind, argument in raw:
        if kind == "tau":
            values[kind, argument] = y["xyz".index(argument)]
        elif kind == "m":
            axis = "xyz".index(argument)
            values[kind, argument] = y[3 + axis] + y[6 + axis] / math.sqrt(model.N)
        elif argument > 1:
            raise ArgumentError(
                "observables",
                'be averages with method "mean_field", which neglects fluctuations',
                "a higher moment",
            )
        else:
            values[kind, argument] = y[6 + "xy".index(kind)]
    about = {a: np.where(np.abs(y[3 + i]) > 1e-14, y[3 + i], 0.0) for i, a in enumerate("xy")}
    return RawMoments(values, about)
