"""One small system in plain matrices, as the other routes need it; shares nothing with `symmetric`.

Superoperators act on row-major vectors: A ρ B is (A ⊗ Bᵀ) vec ρ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.sparse import block_diag, csr_array

from ..errors import ArgumentError, ConvergenceError
from ..numerics.null_space import null_vector
from ..problem.central_spin import PAULI
from ..problem.general import Factor, Problem, SiteClass, System
from ..problem.moments import Moment

#: QuTiP's integration is followed in pieces of so many inverse norms of the generator, a few steps each.
PIECE = 10.0
#: Parts of an operator below this, relative to its largest entry, are round-off.
ROUND_OFF = 1e-12


def at(factor: Factor, time: float) -> float:
    """The value of a factor at a time."""
    return factor(time) if callable(factor) else factor


def hamiltonian(system: System, time: float = 0.0) -> np.ndarray:
    """Σ f H at a time."""
    nothing = np.zeros((system.dimension, system.dimension), dtype=complex)
    return sum((at(f, time) * H for H, f in system.hamiltonian), nothing)


def lindbladian(system: System, time: float = 0.0) -> np.ndarray:
    """The matrix of ρ ↦ −i[H, ρ] + Σ f (JρJ† − ½{J†J, ρ}) at a time, shape (d², d²)."""
    one = np.eye(system.dimension)
    H = hamiltonian(system, time)
    L = -1j * (np.kron(H, one) - np.kron(one, H.T))
    for J, f in system.jumps:
        loss = J.conj().T @ J / 2
        L = L + at(f, time) * (np.kron(J, J.conj()) - np.kron(loss, one) - np.kron(one, loss.T))
    return L


def initial_state(site: SiteClass) -> np.ndarray:
    """The initial density matrix of a site: the given one, or the only stationary one of its own Lindbladian."""
    return stationary_state(site) if site.initial is None else site.initial


def stationary_state(site: System) -> np.ndarray:
    """The stationary density matrix of a site at its rates of time 0, or raise if there are several."""
    try:
        v, _ = null_vector(lindbladian(site), np.eye(site.dimension).ravel())
    except ConvergenceError:
        raise ArgumentError(
            "jumps",
            "give every site one stationary state where it is needed (all local rates are zero?)",
            "giving several",
        ) from None
    rho = v.reshape(site.dimension, -1)
    return (rho + rho.conj().T) / 2


def central_state(problem: Problem) -> np.ndarray:
    """The initial density matrix of the central system, or raise if it is not given."""
    if problem.central.initial is None:
        raise ArgumentError("initial", "be given to evolve a model", None)
    return problem.central.initial


def cannot_start(problem: Problem) -> ArgumentError | None:
    """The refusal of a problem that has no initial state, if so."""
    try:
        central_state(problem)
        for site in problem.classes:
            initial_state(site)
    except ArgumentError as error:
        return error
    return None


def pauli(operator: np.ndarray) -> np.ndarray:
    """B of the 2×2 operator b_0 + b_x σ_x + b_y σ_y + b_z σ_z, shape (4,)."""
    return np.array([np.trace(operator), *(np.trace(sigma @ operator) for sigma in PAULI)]) / 2


def decay_and_pump(site: SiteClass, method: str) -> tuple[float, float]:
    """Γ↓ and Γ↑ of spins-½ whose jumps are constant and proportional to σ− and σ+, or raise."""
    if site.dimension != 2:
        raise ArgumentError("sites", f'be spins-½ with method "{method}"', f"of {site.dimension} levels")
    rates = [0.0, 0.0]
    for i, (J, f) in enumerate(site.jumps):
        size = np.abs(J).max()
        entries = J[1, 0], J[0, 1]  # amplitudes of σ− and σ+
        others = np.abs([J[0, 0], J[1, 1]]).max()
        if others > ROUND_OFF * size or min(map(abs, entries)) > ROUND_OFF * size:
            raise ArgumentError(
                f"jumps[{i}]", f'be proportional to σ− or σ+ with method "{method}"', "something else"
            )
        down = abs(entries[0]) >= abs(entries[1])
        rates[0 if down else 1] += at(f, 0.0) * abs(entries[0 if down else 1]) ** 2
    return rates[0], rates[1]


def require_constant(problem: Problem, method: str) -> None:
    """Raise if a part of the problem changes in time."""
    if not problem.constant:
        raise ArgumentError("model", f'not change in time with method "{method}"', "time-dependent")


def power_of(size: float, exponent: float) -> float:
    """N^exponent, also at N = ∞."""
    return float(size) ** exponent


def real_where_hermitian(values: np.ndarray, moments: Sequence[Moment]) -> np.ndarray:
    """Drop the round-off in the imaginary parts of moments that are real; all real if all are."""
    real = np.array([moment.hermitian for moment in moments])
    values = np.where(real, values.real, values)
    return np.asarray(values.real if real.all() else values)


def tell(progress: Any, fraction: float, what: str) -> None:
    """Say how far a computation is, if anybody listens."""
    if progress is not None:
        progress(fraction, what)


def followed(
    L: Any, rho: Any, times: np.ndarray, accuracy: float, told: Callable[[float, Any], None]
) -> list[Any]:
    """Density matrices at some times by QuTiP, with its constant generator; told every few steps where it is."""
    from ..optional import qutip

    options = {"atol": accuracy, "rtol": accuracy, "method": "vern9", "progress_bar": "", "nsteps": 1_000_000}
    solver = qutip.MESolver(L, options=options)
    solver.start(rho, 0.0)
    states = [rho] if times[0] == 0 else []
    # The state at the end of a piece is interpolated: the solver's own steps do not know of it.
    piece, now = PIECE / max(float(abs(sparse(L)).sum(axis=0).max()), 1e-300), 0.0
    for time in times[times > 0].tolist():
        while now < time:
            now = min(now + piece, time)
            try:
                rho = solver.step(now)
            except qutip.solver.integrator.IntegratorException as error:
                raise ConvergenceError(f"The integration in time stopped: {error}") from None
            told(now, rho)
        states.append(rho)
    return states


def sparse(operator: Any) -> Any:
    """The matrix of an operator of QuTiP."""
    return operator.to("CSR").data_as("csr_matrix")


def real_coordinates(dimensions: Sequence[int]) -> csr_array:
    """The unitary map from square blocks, one after the other, to real coordinates where they are Hermitian.

    Of every block these are the diagonal, and √2 times the real and the imaginary parts of what is above it.
    """
    parts, half = [], math.sqrt(0.5)
    for d in dimensions:
        a, b = np.triu_indices(d, 1)
        count, i = len(a), np.arange(d)
        j = d + np.arange(count)
        rows = np.concatenate([i, j, j, j + count, j + count])
        columns = np.concatenate([i * (d + 1), a * d + b, b * d + a, a * d + b, b * d + a])
        values = np.repeat([1.0, half, half, -1j * half, 1j * half], [d, count, count, count, count])
        parts.append(csr_array((values, (rows, columns)), shape=(d * d, d * d)))
    return csr_array(block_diag(parts, format="csr"))
