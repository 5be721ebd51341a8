r"""Heisenberg-picture operators of a few bath spins and the central one, exact in total-spin blocks.

In the Heisenberg picture a strictly local operator A on n bath spins stays in the operators on the central
spin and those n spins, times the permutation-invariant operators on the other N − n,

.. math:: M_2 ⊗ M_2^{⊗n} ⊗ PI(N − n), \qquad X = \bigoplus_j X_j ⊗ 1_{d_j},

with one matrix X_j for every total spin j of the other spins. Its operator norm is therefore exact and cheap:
‖X‖ = max_j ‖X_j‖. With ρ_j the total weight of a state in the d_j copies of block j (see `dicke`) one has
Tr ρX = Σ_j Tr ρ_j X_j, so the Heisenberg generator is the plain adjoint of the Schrödinger one,

.. math:: \sum_k σ_α^{(k)†} X σ_α^{(k)} \big|_j = \sum_{j'} c_{j'j}\, T_{j'j}^† X_{j'} T_{j'j} .

*Layout.* A Hermitian X = S + iK, S symmetric and K antisymmetric, is stored as the real matrix R = S + K.
Jumps are real and act on R as on X; a Hamiltonian H = H_r + iH_i gives i[H, X] → [H_r, Rᵀ] − [H_i, R].
Everything is then real, at half the memory. An operator that is not Hermitian is evolved as its two Hermitian
parts. The factors are ordered others ⊗ n spins ⊗ central spin.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, reduce
from typing import Any

import numpy as np
from scipy.linalg import eigvalsh
from scipy.sparse import block_array, csr_array, eye_array, kron

from ..errors import ArgumentError
from ..methods.dicke import DickeBlocks, transfer, transfer_coefficients
from ..numerics.stepping import propagate
from ..problem.central_spin import SIGMA_MINUS, SIGMA_PLUS, CentralSpinModel, paper_model
from ..problem.checks import checked, hermitian_matrix, integer, square_matrix, whole

#: Beyond this many unknowns one evolution takes many minutes.
LARGEST_SIZE = 2_000_000


class HeisenbergBlocks:
    """The space M₂(central) ⊗ M₂^{⊗n} ⊗ PI(N − n) and the Heisenberg generator on it.

    Parameters
    ----------
    model : CentralSpinModel
        The problem, at finite N.
    sites : int
        The number n of bath spins that are kept apart; 0 is the space of the average operators.

    Raises
    ------
    ArgumentError
        If N is infinite, smaller than `sites`, or too large for the memory of one machine.
    """

    @checked(model=paper_model, sites=whole(0, 10))
    def __init__(self, model: CentralSpinModel, sites: int) -> None:
        self.model, self.sites, self.local = model, sites, 2 ** (sites + 1)
        if not sites <= model.N < np.inf:
            raise ArgumentError("N", f"be finite and at least {sites}, the number of spins kept", model.N)
        n = int(model.N) - sites
        if (size := (n + 1) * (n + 2) * (n + 3) // 6 * self.local**2) > LARGEST_SIZE:
            raise ArgumentError("N", f"give at most {LARGEST_SIZE:,} unknowns", f"{model.N} with {size:,}")
        self.others = DickeBlocks(n)
        self.dimensions = [round(2 * j + 1) * self.local for j in self.others.spins]
        self.offsets = np.cumsum([0, *(d * d for d in self.dimensions)])

    def lift(self, operator: np.ndarray) -> np.ndarray:
        """Store a Hermitian operator on the n spins and the central one."""
        X = hermitian_matrix("operator", operator, self.local)
        return self.store([np.kron(np.eye(d // self.local), X) for d in self.dimensions])

    def average(self, axis: str, power: int = 1) -> list[np.ndarray]:
        """Blocks of (m_α^N)^p, for a space that keeps no spin apart."""
        m = [2 / self.others.N * J.toarray() for J in self.others.collective(axis)]
        return [np.kron(np.linalg.matrix_power(block, power), np.eye(2)) for block in m]

    @staticmethod
    def store(blocks: Sequence[np.ndarray]) -> np.ndarray:
        """Write Hermitian blocks X = S + iK as one vector of the real entries of S + K."""
        return np.concatenate([(X.real + X.imag).ravel() for X in blocks])

    def norm(self, *vectors: np.ndarray) -> float:
        """Operator norm of X, or of X₁ + iX₂ with Hermitian parts X₁ and X₂: the largest of all blocks."""
        largest = 0.0
        for a, b, d in zip(self.offsets[:-1], self.offsets[1:], self.dimensions, strict=True):
            parts = [((1 + 1j) * R + (1 - 1j) * R.T) / 2 for R in (v[a:b].reshape(d, d) for v in vectors)]
            if len(parts) == 1:
                size = np.abs(eigvalsh(parts[0])[[0, -1]]).max()
            else:
                size = np.linalg.norm(parts[0] + 1j * parts[1], 2)
            largest = max(largest, float(size))
        return largest

    def embed(self, operator: np.ndarray, site: int) -> np.ndarray:
        """Embed an operator of one kept spin, or of the central one (`site` = n), among all n + 1."""
        one, X = np.eye(2), square_matrix("operator", operator, 2)
        factors = [
            X if k == integer("site", site, maximum=self.sites) else one for k in range(self.sites + 1)
        ]
        return reduce(np.kron, factors)

    @cached_property
    def generator(self) -> csr_array:
        """The Heisenberg generator L of Eq. (2) on stored operators, a real sparse matrix."""
        model, count, one = self.model, len(self.others.spins), csr_array(np.eye(self.local))
        tau_minus = csr_array(self.embed(SIGMA_MINUS, self.sites))
        H_local = self.embed(model.central_hamiltonian(), self.sites)
        jumps = [self.embed(c, self.sites) for c in model.central_jumps()]
        for k in range(self.sites):
            exchange = model.coupling * (self.embed(SIGMA_PLUS, k) @ tau_minus)
            H_local = H_local + exchange + exchange.T + self.embed(model.bath_hamiltonian(), k)
            jumps += [self.embed(c, k) for c in model.bath_jumps()]
        decay_local = sum((c.conj().T @ c for c in jumps), np.zeros((self.local, self.local))) / 2
        axes = {axis: self.others.collective(axis) for axis in "xyz"}
        grid: list[list[Any]] = [[None] * count for _ in range(count)]
        for row, j in enumerate(self.others.spins):
            n, d = round(2 * j + 1), self.dimensions[row]
            inner, identity = eye_array(n), eye_array(d)
            J_minus, J_z = self.others.ladder[row], axes["z"][row]
            field = sum(2 * h * axes[a][row] for a, h in zip("xyz", model.bath_field, strict=True))
            exchange = model.coupling * kron(J_minus.T, tau_minus)
            H = csr_array(kron(inner, csr_array(H_local)) + kron(field, one) + exchange + exchange.T)
            # Σ_k σ±σ∓ = (N − n)/2 ± J_z over the other spins
            half = self.others.N / 2 * inner
            loss = model.bath_decay * (half + J_z) + model.bath_pump * (half - J_z)
            loss = csr_array(kron(loss, one) / 2 + kron(inner, csr_array(decay_local))).real
            # row-major vectors: A R B is (A ⊗ Bᵀ) vec R
            swap = np.arange(d * d).reshape(d, d).T.ravel()
            block = csr_array(kron(H.real, identity) - kron(identity, H.real)).tocsc()[:, swap]
            block = block - kron(H.imag + loss, identity) - kron(identity, loss + H.imag)
            for c in jumps:
                C = kron(inner, csr_array(c.conj().T.real))
                block = block + kron(C, C)
            grid[row][row] = csr_array(block)
            for target, coefficient in transfer_coefficients(self.others.N, j).items():
                if not 0 <= target <= self.others.N / 2 or coefficient == 0:
                    continue
                column = round(self.others.N / 2 - target)
                for rate, step in ((model.bath_decay, -1), (model.bath_pump, 1)):
                    if rate:
                        T = kron(csr_array(transfer(j, target, step).T), one)
                        term = rate * coefficient * kron(T, T)
                        grid[row][column] = term if grid[row][column] is None else grid[row][column] + term
        L = csr_array(block_array(grid, format="csr"))
        L.eliminate_zeros()
        return L

    def evolve(self, vector: np.ndarray, times: np.ndarray, tolerance: float) -> np.ndarray:
        """Return the stored e^{tL}[X] at the given times, shape (times, unknowns)."""
        return propagate(self.generator, vector, times, tolerance)
