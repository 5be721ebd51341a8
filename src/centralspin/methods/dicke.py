r"""Method "dicke": the permutation-invariant Dicke blocks |j, m⟩⟨j, m′|, an independent witness.

A permutation-invariant state of N spins-½ is block diagonal in the total spin j, and the same in each of the
d_j copies of a block. Write ρ = ⊕_j ρ_j ⊗ 1/d_j, with ρ_j on C^{2j+1} ⊗ C^{d_c} (bath ⊗ central system). A local
jump on every spin maps block j to j and j ± 1,

.. math:: \sum_k σ_α^{(k)} ρ σ_α^{(k)†} \big|_{j'} = \sum_j c_{j'j}\, T_{j'j} ρ_j T_{j'j}^† ,

with matrices T of Clebsch–Gordan type and coefficients c that depend on j and N only [Chase2008]_. They
follow from demanding that every |j, m⟩ loses exactly N/2 ± m excitations per unit of rate:

.. math::
    c_{jj} = \frac{N/2+1}{2j(j+1)},\quad c_{j-1,j} = \frac{N/2+j+1}{2j(2j+1)},\quad
    c_{j+1,j} = \frac{N/2-j}{2(j+1)(2j+1)}.

The number of unknowns, d_c²·(N+1)(N+2)(N+3)/6, is what makes this method slow at large N.

References
----------
.. [Chase2008] B. A. Chase and J. M. Geremia, Phys. Rev. A 78, 052101 (2008).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import (
    block_array,
    csr_array,
    csr_matrix,
    diags_array,
    eye_array,
    hstack,
    kron,
    vstack,
)

from ..errors import ArgumentError, ConvergenceError
from ..numerics.ladder import ladder_null_vector
from ..numerics.null_space import null_vector
from ..numerics.stepping import evolve_linear
from ..problem.checks import checked, is_hermitian, real_vector, square_matrix, whole
from ..problem.general import Problem, Task
from ..problem.moments import Moment, Reading
from .small import (
    at,
    cannot_start,
    central_state,
    decay_and_pump,
    hamiltonian,
    initial_state,
    pauli,
    real_coordinates,
    real_where_hermitian,
    require_constant,
    tell,
)

ABOUT = "zero"
OPTIONS: frozenset[str] = frozenset()

#: Beyond this many unknowns (N = 120 around a spin-½) the blocks need several GB and many minutes.
LARGEST_SIZE = 1_240_000
#: Up to this many unknowns the stationary state is solved for directly, beyond it block by block.
LARGEST_DIRECT_SIZE = 4000
#: More spins, or levels, than any other limit lets through.
LARGEST_COUNT = 10_000


class DickeBlocks:
    """Total-spin blocks of N spins-½, each tensored with the central system.

    Parameters
    ----------
    N : int
        Number of bath spins.
    levels : int
        Dimension of the central system.

    Attributes
    ----------
    spins : list of float
        The total spins j = N/2, N/2 − 1, …, 0 or ½.
    """

    @checked(N=whole(0, LARGEST_COUNT), levels=whole(1, LARGEST_COUNT))
    def __init__(self, N: int, levels: int = 2) -> None:
        self.N, self.levels = N, levels
        self.spins = [N / 2 - k for k in range(N // 2 + 1)]
        self.dimensions = [levels * round(2 * j + 1) for j in self.spins]
        self.offsets = np.cumsum([0, *(d * d for d in self.dimensions)])

    def multiplicity(self, j: float) -> int:
        """d_j, the number of times spin j occurs among N spins-½."""
        k = round(self.N / 2 - j)
        return math.comb(self.N, k) - (math.comb(self.N, k - 1) if k else 0)

    def blocks(self, state: np.ndarray) -> list[np.ndarray]:
        """Cut a vector into its blocks, each a square matrix on C^{2j+1} ⊗ C^levels."""
        return [
            state[a:b].reshape(d, d)
            for a, b, d in zip(self.offsets[:-1], self.offsets[1:], self.dimensions, strict=True)
        ]

    @cached_property
    def ladder(self) -> list[csr_array]:
        """J_- in every block, in the basis m = j, j − 1, …, −j."""
        return [csr_array(transfer(j, j, -1)) for j in self.spins]

    @cached_property
    def axes(self) -> dict[str, list[csr_array]]:
        """J_x, J_y and J_z in every block."""
        return {axis: self.collective(axis) for axis in "xyz"}

    def collective(self, axis: str) -> list[csr_array]:
        """J_x, J_y or J_z in every block."""
        if axis == "z":
            return [csr_array(diags_array(magnetic_numbers(j))) for j in self.spins]
        factor = 0.5 if axis == "x" else 0.5j
        return [csr_array(factor * (J + (1 if axis == "x" else -1) * J.T)) for J in self.ladder]

    def product_state(self, bloch: np.ndarray, central: np.ndarray) -> np.ndarray:
        """The state ω^{⊗N} ⊗ ρ_central as a vector; `bloch` is the Bloch vector of ω."""
        central, bloch = square_matrix("central", central, self.levels), np.array(real_vector("bloch", bloch))
        length = math.hypot(*bloch)
        axis = bloch / length if length > 0 else np.array([0.0, 0.0, 1.0])
        up, down = (1 + min(length, 1.0)) / 2, (1 - min(length, 1.0)) / 2
        parts = []
        for index, j in enumerate(self.spins):
            J = sum(axis[i] * self.axes[a][index].toarray() for i, a in enumerate("xyz"))
            m, vectors = np.linalg.eigh(J)
            m = np.round(2 * m) / 2
            exponent = _times_log(self.N / 2 + m, up) + _times_log(self.N / 2 - m, down)
            weights = np.exp(math.log(self.multiplicity(j)) + exponent)
            parts.append(np.kron((vectors * weights) @ vectors.conj().T, central).ravel())
        return np.concatenate(parts)

    def total(self, coefficients: np.ndarray, index: int) -> csr_array:
        """Σ_k (b_0 + b·σ^{(k)}) in a block."""
        J = self.axes
        n = J["z"][index].shape[0]
        parts = [b * 2 * J[axis][index] for b, axis in zip(coefficients[1:], "xyz", strict=True)]
        return csr_array(sum(parts, coefficients[0] * self.N * csr_array(eye_array(n))))

    def moment(self, moment: Moment) -> csr_matrix:
        """The row of ⟨A (N^{−s} Σ_k B^{(k)})^p⟩."""
        A = csr_array(np.eye(self.levels) if moment.central is None else moment.central)
        blocks = []
        for index, d in enumerate(self.dimensions):
            power = X = csr_array(eye_array(d // self.levels, dtype=complex))
            if moment.power:
                X = self.N**-moment.scaling * self.total(pauli(moment.operators[0]), index)
            for _ in range(moment.power or 0):
                power = power @ X
            blocks.append(csr_array(kron(power, A)))
        return self.readout(blocks)

    def readout(self, operators: Sequence[Any]) -> csr_matrix:
        """One row Tr(O ·) from the blocks of an operator."""
        return csr_matrix(hstack([csr_array(O.T.reshape(1, -1)) for O in operators]))


def refuses(task: Task) -> ArgumentError | None:
    """Say why the blocks cannot do a task, if so."""
    problem = task.problem
    if len(problem.classes) > 1:
        return ArgumentError("sites", 'be one class with method "dicke"', f"{len(problem.classes)} classes")
    (site,) = problem.classes
    try:
        require_constant(problem, "dicke")
        decay_and_pump(site, "dicke")
    except ArgumentError as error:
        return error
    if site.interactions:
        return ArgumentError(
            "interactions", 'be left out with method "dicke"', f"{len(site.interactions)} pairs"
        )
    levels = problem.central.dimension
    if not unknowns(problem.size, levels) <= LARGEST_SIZE:
        most = next((N for N in range(200, 0, -1) if unknowns(N, levels) <= LARGEST_SIZE), 0)
        must = f'be at most {most} with method "dicke" around a central system of {levels} levels'
        return ArgumentError("N", must, f"{problem.size:g}")
    return cannot_start(problem) if task.times is not None else None


def unknowns(N: float, levels: int) -> float:
    """The size of the blocks."""
    return levels**2 * (N + 1) * (N + 2) * (N + 3) / 6


def run(task: Task) -> Reading:
    """Read moments off the blocks."""
    problem = task.problem
    space = DickeBlocks(int(problem.size), problem.central.dimension)
    L = lindbladian(problem, space)
    readout = csr_matrix(vstack([space.moment(moment) for moment in task.moments]))
    error = task.tolerance
    if task.times is not None:
        v = space.product_state(_bloch(initial_state(problem.classes[0])), central_state(problem))
        values, _ = evolve_linear(L, v, task.times, readout, _accuracy(readout, task), progress=task.progress)
    else:
        error = math.inf
        if L.shape[0] <= LARGEST_DIRECT_SIZE:
            v, error = null_vector(L, np.concatenate([np.eye(d).ravel() for d in space.dimensions]))
            error *= float(np.sqrt(abs(readout).power(2).sum(axis=1).max()))
            values = readout @ v
        if not error <= task.tolerance:  # block by block, round-off leaves less
            values, error = _at_rest(problem, space, L, readout, task)
    values = real_where_hermitian(np.asarray(values), task.moments)
    return Reading(values, error, {"unknowns": L.shape[0]})


def lindbladian(problem: Problem, space: DickeBlocks) -> csr_matrix:
    """The Schrödinger-picture generator on the stacked blocks; its conjugate transpose is the Heisenberg one."""
    (site,) = problem.classes
    count = len(space.spins)
    decay, pump = decay_and_pump(site, "dicke")
    field = pauli(hamiltonian(site))
    jumps = [(csr_array(J), at(f, 0.0)) for J, f in problem.central.jumps]
    local = -1j * csr_array(hamiltonian(problem.central))
    for J, f in jumps:
        local = local - f / 2 * (J.conj().T @ J)
    grid: list[list[Any]] = [[None] * count for _ in range(count)]
    one = eye_array(space.levels)
    for index, j in enumerate(space.spins):
        n, d = round(2 * j + 1), space.dimensions[index]
        inner, identity = eye_array(n), eye_array(d)
        # −i H_eff = −i H − ½ Σ J†J; the local jumps have Σ_k σ±σ∓ = N/2 ± J_z
        H = csr_array(kron(space.total(field, index), one))
        for A, B, factor in site.couplings:
            part = kron(space.total(pauli(B), index), csr_array(A)) * (
                at(factor, 0.0) * space.N**-problem.scaling
            )
            H = H + (part if is_hermitian(A) and is_hermitian(B) else part + part.conj().T)
        J_z, half = csr_array(diags_array(magnetic_numbers(j))), space.N / 2 * inner
        loss = decay * (half + J_z) + pump * (half - J_z)
        effective = csr_array(-1j * H - kron(loss, one) / 2 + kron(inner, local))
        # row-major vectors: A ρ B† is (A ⊗ B*) vec ρ
        block = csr_array(kron(effective, identity) + kron(identity, effective.conj()))
        for J, f in jumps:
            lifted = kron(inner, J)
            block = block + f * kron(lifted, lifted.conj())
        for A, by_class in problem.collective_jumps:
            J = csr_array(kron(space.total(pauli(by_class[0]), index), csr_array(A))) * space.N**-0.5
            lost = J.conj().T @ J / 2
            block = block + kron(J, J.conj()) - kron(lost, identity) - kron(identity, lost.conj())
        grid[index][index] = block
        for target, coefficient in transfer_coefficients(space.N, j).items():
            if not 0 <= target <= space.N / 2 or coefficient == 0:
                continue
            row = round(space.N / 2 - target)
            for rate, step in ((decay, -1), (pump, 1)):
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


def _bloch(rho: np.ndarray) -> np.ndarray:
    return 2 * pauli(rho)[1:].real


def _accuracy(readout: Any, task: Task) -> float:
    """How accurately the state must be followed so that the largest entry of the readout does not matter."""
    return task.tolerance / max(1.0, float(abs(readout).max()))


def _at_rest(problem: Problem, space: DickeBlocks, L: csr_matrix, readout: csr_matrix, task: Task) -> Any:
    """What is read of the stationary state, and its error, by the ladder of blocks."""
    decay, pump = decay_and_pump(problem.classes[0], "dicke")
    if not decay + pump > 0:
        raise ConvergenceError("The stationary state is not unique: nothing relaxes the sites.")
    T = real_coordinates(space.dimensions)
    generator = csr_matrix((T @ L @ T.conj().T).real)
    generator.eliminate_zeros()
    trace = np.concatenate([np.repeat([1.0, 0.0], [d, d * d - d]) for d in space.dimensions])
    rows = csr_matrix(readout @ T.conj().T)
    x, error = ladder_null_vector(
        generator, trace, space.offsets, csr_matrix(vstack([rows.real, rows.imag])), task.tolerance,
        lambda: tell(task.progress, 0.5, "the stationary state"),
    )  # fmt: skip
    return rows @ x, error


def _times_log(count: np.ndarray, probability: float) -> np.ndarray:
    """Count · log(probability), with 0 · log 0 = 0."""
    if probability > 0:
        return np.asarray(count * math.log(probability))
    return np.where(count == 0, 0.0, -np.inf)
