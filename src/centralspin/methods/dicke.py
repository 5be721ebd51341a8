r"""Method "dicke": the permutation-invariant Dicke blocks |j, m⟩⟨j, m′|, an independent witness.

A permutation-invariant state of N spins-½ is block diagonal in the total spin j, and the same in each of the
d_j copies of a block. Write ρ = ⊕_j ρ_j ⊗ 1/d_j, with ρ_j on C^{2j+1} ⊗ C² (bath ⊗ central spin). A local
jump on every spin maps block j to j and j ± 1,

.. math:: \sum_k σ_α^{(k)} ρ σ_α^{(k)†} \big|_{j'} = \sum_j c_{j'j}\, T_{j'j} ρ_j T_{j'j}^† ,

with matrices T of Clebsch–Gordan type and coefficients c that depend on j and N only [Chase2008]_. They
follow from demanding that every |j, m⟩ loses exactly N/2 ± m excitations per unit of rate:

.. math::
    c_{jj} = \frac{N/2+1}{2j(j+1)},\quad c_{j-1,j} = \frac{N/2+j+1}{2j(2j+1)},\quad
    c_{j+1,j} = \frac{N/2-j}{2(j+1)(2j+1)}.

The number of unknowns, 4·(N+1)(N+2)(N+3)/6, is what makes this method slow at large N.

References
----------
.. [Chase2008] B. A. Chase and J. M. Geremia, Phys. Rev. A 78, 052101 (2008).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.sparse import block_array, csr_array, csr_matrix, diags_array, eye_array, hstack, kron, vstack

from ..errors import ArgumentError, ConvergenceError
from ..numerics.stationary import StationarySolver
from ..numerics.stepping import evolve_linear
from ..problem.central_spin import SIGMA_MINUS, SIGMA_PLUS, CentralSpinModel
from ..problem.observables import Raw, RawMoments

#: Beyond this many bath spins the blocks need several GB and many minutes.
LARGEST_N = 120
#: Up to this many bath spins the stationary state is solved for directly, beyond it is evolved to.
LARGEST_DIRECT_N = 16


class DickeBlocks:
    """Total-spin blocks of N spins-½, each tensored with the central spin.

    Parameters
    ----------
    N : int
        Number of bath spins.

    Attributes
    ----------
    spins : list of float
        The total spins j = N/2, N/2 − 1, …, 0 or ½.
    """

    def __init__(self, N: int) -> None:
        self.N = N
        self.spins = [N / 2 - k for k in range(N // 2 + 1)]
        self.dimensions = [round(2 * (2 * j + 1)) for j in self.spins]
        self.offsets = np.cumsum([0, *(d * d for d in self.dimensions)])

    def multiplicity(self, j: float) -> int:
        """d_j, the number of times spin j occurs among N spins-½."""
        k = round(self.N / 2 - j)
        return math.comb(self.N, k) - (math.comb(self.N, k - 1) if k else 0)

    def blocks(self, state: np.ndarray) -> list[np.ndarray]:
        """Cut a vector into its blocks, each a square matrix on C^{2j+1} ⊗ C²."""
        return [
            state[a:b].reshape(d, d)
            for a, b, d in zip(self.offsets[:-1], self.offsets[1:], self.dimensions, strict=True)
        ]

    @cached_property
    def ladder(self) -> list[csr_array]:
        """J_- in every block, in the basis m = j, j − 1, …, −j."""
        return [csr_array(transfer(j, j, -1)) for j in self.spins]

    def collective(self, axis: str) -> list[csr_array]:
        """J_x, J_y or J_z in every block."""
        if axis == "z":
            return [csr_array(diags_array(magnetic_numbers(j))) for j in self.spins]
        factor = 0.5 if axis == "x" else 0.5j
        return [csr_array(factor * (J + (1 if axis == "x" else -1) * J.T)) for J in self.ladder]

    def product_state(self, bloch: np.ndarray, central: np.ndarray) -> np.ndarray:
        """The state ω^{⊗N} ⊗ ρ_central as a vector; `bloch` is the Bloch vector of ω."""
        length = float(np.linalg.norm(bloch))
        axis = bloch / length if length > 0 else np.array([0.0, 0.0, 1.0])
        up, down = (1 + min(length, 1.0)) / 2, (1 - min(length, 1.0)) / 2
        parts = []
        for index, j in enumerate(self.spins):
            J = sum(axis[i] * self.collective(a)[index].toarray() for i, a in enumerate("xyz"))
            m, vectors = np.linalg.eigh(J)
            m = np.round(2 * m) / 2
            exponent = _times_log(self.N / 2 + m, up) + _times_log(self.N / 2 - m, down)
            weights = np.exp(math.log(self.multiplicity(j)) + exponent)
            parts.append(np.kron((vectors * weights) @ vectors.conj().T, central).ravel())
        return np.concatenate(parts)

    def readout(self, operators: Sequence[Any]) -> csr_matrix:
        """One row Tr(O ·) from the blocks of an operator."""
        return csr_matrix(hstack([csr_array(O.T.reshape(1, -1)) for O in operators]))


def evolve(
    model: CentralSpinModel,
    times: np.ndarray,
    raw: tuple[Raw, ...],
    central_state: Any,
    bath_bloch: Any,
    tolerance: float,
) -> tuple[RawMoments, dict[str, Any]]:
    """Raw moments in time from the Dicke blocks."""
    space = _space(model)
    L = lindbladian(model, space)
    v = space.product_state(model.initial_bath_bloch(bath_bloch), model.central_density_matrix(central_state))
    values = evolve_linear(L, v, times, _readout(space, raw), tolerance)
    return RawMoments(dict(zip(raw, values.real.T, strict=True))), {"unknowns": len(v)}


def steady_state(
    model: CentralSpinModel, raw: tuple[Raw, ...], tolerance: float
) -> tuple[RawMoments, dict[str, Any]]:
    """Raw moments at stationarity from the Dicke blocks."""
    space = _space(model)
    L = lindbladian(model, space)
    readout = _readout(space, raw)
    if space.N <= LARGEST_DIRECT_N:
        trace = space.readout([eye_array(d) for d in space.dimensions]).toarray()[0].real
        values = readout @ StationarySolver(L, trace).stationary()
    else:
        values = _relax(model, space, L, readout, tolerance)
    return RawMoments(dict(zip(raw, values.real, strict=True))), {"unknowns": L.shape[0]}


def lindbladian(model: CentralSpinModel, space: DickeBlocks) -> csr_matrix:
    """The Schrödinger-picture generator on the stacked blocks; its conjugate transpose is the Heisenberg one."""
    count = len(space.spins)
    grid: list[list[Any]] = [[None] * count for _ in range(count)]
    one = csr_array(np.eye(2))
    axes = {axis: space.collective(axis) for axis in "xyz"}
    for index, j in enumerate(space.spins):
        d = space.dimensions[index]
        J_minus, J_z = space.ladder[index], axes["z"][index]
        bath = sum(2 * h * axes[a][index] for a, h in zip("xyz", model.bath_field, strict=True))
        number = J_z + space.N / 2 * eye_array(d // 2)  # Σ_k σ+σ−
        # −i H_eff = −i H − ½ Σ J†J; the local jumps have Σ_k σ±σ∓ = N/2 ± J_z
        H = kron(csr_array(np.eye(d // 2)), csr_array(model.central_hamiltonian())) + kron(bath, one)
        H = H + model.coupling * (
            kron(J_minus, csr_array(SIGMA_PLUS)) + kron(J_minus.T, csr_array(SIGMA_MINUS))
        )
        loss = model.bath_decay * number + model.bath_pump * (space.N * eye_array(d // 2) - number)
        central = [kron(eye_array(d // 2), csr_array(c)) for c in model.central_jumps()]
        effective = csr_array(
            -1j * H - kron(loss, one) / 2 - sum((c.conj().T @ c for c in central), 0 * H) / 2
        )
        identity = eye_array(d)
        # row-major vectors: A ρ B† is (A ⊗ B*) vec ρ
        grid[index][index] = csr_array(kron(effective, identity) + kron(identity, effective.conj()))
        for c in central:
            grid[index][index] = grid[index][index] + kron(c, c.conj())
        for target, coefficient in transfer_coefficients(space.N, j).items():
            if not 0 <= target <= space.N / 2 or coefficient == 0:
                continue
            row = round(space.N / 2 - target)
            for rate, step in ((model.bath_decay, -1), (model.bath_pump, 1)):
                if rate:
                    T = kron(csr_array(transfer(j, target, step)), one)
                    term = rate * coefficient * kron(T, T)
                    grid[row][index] = term if grid[row][index] is None else grid[row][index] + term
    return csr_matrix(block_array(grid, format="csr"))


def magnetic_numbers(j: float) -> np.ndarray:
    """M = j, j − 1, …, −j."""
    return j - np.arange(round(2 * j) + 1)


def transfer(j: float, target: float, step: int) -> np.ndarray:
    """The matrix T with ⟨target, m + step| T |j, m⟩ of a local σ∓ (step ∓1), as in the module's docstring."""
    m = magnetic_numbers(j)
    if target == j:
        squared = (j - step * m) * (j + step * m + 1)
    elif target == j - 1:
        squared = (j - step * m) * (j - step * m - 1)
    else:
        squared = (j + step * m + 1) * (j + step * m + 2)
    rows = np.round(target - (m + step)).astype(int)
    inside = (rows >= 0) & (rows <= round(2 * target)) & (squared > 0)
    T = np.zeros((round(2 * target) + 1, len(m)))
    T[rows[inside], np.flatnonzero(inside)] = np.sqrt(squared[inside])
    return T


def transfer_coefficients(N: int, j: float) -> dict[float, float]:
    """c_{j'j} of the module's docstring, keyed by j'; block j = 0 only feeds j = 1."""
    up = (N / 2 - j) / (2 * (j + 1) * (2 * j + 1))
    if j == 0:
        return {1.0: up}
    return {j: (N / 2 + 1) / (2 * j * (j + 1)), j - 1: (N / 2 + j + 1) / (2 * j * (2 * j + 1)), j + 1: up}


def _space(model: CentralSpinModel) -> DickeBlocks:
    if not model.N <= LARGEST_N:
        raise ArgumentError("N", f'be at most {LARGEST_N} with method "dicke"', model.N)
    return DickeBlocks(int(model.N))


def _readout(space: DickeBlocks, raw: tuple[Raw, ...]) -> csr_matrix:
    sigma = {"x": np.array([[0, 1], [1, 0]]), "y": np.array([[0, -1j], [1j, 0]]), "z": np.diag([1, -1])}
    rows = []
    for kind, argument in raw:
        if kind == "tau":
            blocks = [kron(eye_array(d // 2), csr_array(sigma[argument])) for d in space.dimensions]
        else:
            axis, exponent = (argument, 1) if kind == "m" else (kind, argument)
            scale = 2 / (space.N if kind == "m" else math.sqrt(space.N))
            powers = []
            for J in space.collective(axis):
                power = eye_array(J.shape[0], format="csr")
                for _ in range(exponent):
                    power = power @ (scale * J)
                powers.append(power)
            blocks = [kron(P, eye_array(2)) for P in powers]
        rows.append(space.readout(blocks))
    return csr_matrix(vstack(rows))


def _relax(model: CentralSpinModel, space: DickeBlocks, L: Any, readout: Any, tolerance: float) -> np.ndarray:
    """Evolve to stationarity: double the time until the moments stop changing."""
    v = space.product_state(model.stationary_bath_bloch(), np.eye(2) / 2)
    span = 10 / max(model.bath_rate, 1e-300)
    times = np.array([span, 2 * span, 4 * span, 8 * span, 16 * span])
    values = evolve_linear(L, v, times, readout, tolerance)
    for before, after in pairwise(values):
        if np.abs(after - before).max() <= tolerance:
            return np.asarray(after)
    raise ConvergenceError(f"The Dicke blocks did not become stationary until t = {times[-1]:g}.")


def _times_log(count: np.ndarray, probability: float) -> np.ndarray:
    """Count · log(probability), with 0 · log 0 = 0."""
    if probability > 0:
        return np.asarray(count * math.log(probability))
    return np.where(count == 0, 0.0, -np.inf)
