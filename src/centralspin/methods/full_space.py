"""Method "full_space": the 2^{N+1}-dimensional Lindblad equation by QuTiP; obviously right, and slow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import qutip

from ..errors import ArgumentError
from ..problem.central_spin import CentralSpinModel
from ..problem.observables import Raw, RawMoments

#: The Lindbladian has 4^{N+1} unknowns.
LARGEST_N = 6


def operators(model: CentralSpinModel) -> tuple[qutip.Qobj, list[qutip.Qobj], dict[str, list[qutip.Qobj]]]:
    """Return H, the jump operators, and σ_x, σ_y, σ_z of every spin (the central one first)."""
    if not model.N <= LARGEST_N:
        raise ArgumentError("N", f'be at most {LARGEST_N} with method "full_space"', model.N)
    count = int(model.N) + 1
    spin = {
        axis: [qutip.tensor([s if i == k else qutip.qeye(2) for i in range(count)]) for k in range(count)]
        for axis, s in (("x", qutip.sigmax()), ("y", qutip.sigmay()), ("z", qutip.sigmaz()))
    }
    lower = [(x - 1j * y) / 2 for x, y in zip(spin["x"], spin["y"], strict=True)]
    H = sum(w * spin[a][0] for a, w in zip("xyz", model.central_field, strict=True))
    for k in range(1, count):
        H += model.coupling * (lower[0].dag() * lower[k] + lower[0] * lower[k].dag())
        H += sum(h * spin[a][k] for a, h in zip("xyz", model.bath_field, strict=True))
    jumps = [math.sqrt(model.central_decay) * lower[0], math.sqrt(model.central_pump) * lower[0].dag()]
    for k in range(1, count):
        jumps += [math.sqrt(model.bath_decay) * lower[k], math.sqrt(model.bath_pump) * lower[k].dag()]
    return H, [J for J in jumps if J.norm() > 0], spin


def evolve(
    model: CentralSpinModel,
    times: np.ndarray,
    raw: tuple[Raw, ...],
    central_state: Any,
    bath_bloch: Any,
    tolerance: float,
) -> tuple[RawMoments, dict[str, Any]]:
    """Raw moments in time from the full density matrix."""
    H, jumps, spin = operators(model)
    site = qutip.Qobj(np.eye(2) / 2) + sum(
        r * s / 2
        for r, s in zip(
            model.initial_bath_bloch(bath_bloch),
            (qutip.sigmax(), qutip.sigmay(), qutip.sigmaz()),
            strict=True,
        )
    )
    rho = qutip.tensor(qutip.Qobj(model.central_density_matrix(central_state)), *[site] * int(model.N))
    grid = times if times[0] == 0 else np.r_[0.0, times]
    options = {
        "atol": max(tolerance * 1e-3, 1e-13),
        "rtol": max(tolerance * 1e-3, 1e-13),
        "method": "vern9",
        "progress_bar": "",
        "nsteps": 100_000,
    }
    result = qutip.mesolve(H, rho, grid, c_ops=jumps, e_ops=_moments(spin, raw), options=options)
    values = {key: np.real(v)[len(grid) - len(times) :] for key, v in zip(raw, result.expect, strict=True)}
    return RawMoments(values), {"unknowns": H.shape[0] ** 2}


def steady_state(
    model: CentralSpinModel, raw: tuple[Raw, ...], tolerance: float
) -> tuple[RawMoments, dict[str, Any]]:
    """Raw moments at stationarity from the full density matrix."""
    H, jumps, spin = operators(model)
    rho = (
        qutip.steadystate(H, jumps, method="power", tol=1e-14)
        if model.N == 6
        else qutip.steadystate(H, jumps)
    )
    values = {key: qutip.expect(O, rho) for key, O in zip(raw, _moments(spin, raw), strict=True)}
    return RawMoments(values), {"unknowns": H.shape[0] ** 2}


def _moments(spin: dict[str, list[qutip.Qobj]], raw: tuple[Raw, ...]) -> list[qutip.Qobj]:
    N = len(spin["x"]) - 1
    total = {axis: sum(spins[1:]) for axis, spins in spin.items()}
    result = []
    for kind, argument in raw:
        if kind == "tau":
            result.append(spin[argument][0])
        else:
            result.append(total[argument] / N if kind == "m" else (total[kind] / math.sqrt(N)) ** argument)
    return result
