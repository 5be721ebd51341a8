r"""Operator norms behind Lemma 1 and the proof of Theorem 2, and the bounds those proofs give.

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

from collections.abc import Callable, Sequence
from functools import cached_property, reduce
from typing import Any

import numpy as np
from scipy.linalg import eigvalsh, expm
from scipy.sparse import block_array, csr_array, eye_array, kron

from .dicke import DickeBlocks, transfer, transfer_coefficients
from .errors import ArgumentError, hermitian_matrix, increasing_times, square_matrix
from .evolution import evolve_linear
from .model import PAULI, SIGMA_MINUS, SIGMA_PLUS, CentralSpinModel

#: Beyond this many unknowns one evolution takes many minutes.
LARGEST_SIZE = 2_000_000
#: A matrix counts as Hermitian if it differs from its adjoint by less than this.
ROUND_OFF = 1e-12
#: Gauss–Legendre nodes for an integral over [0, t] of exponentials; 24 reach round-off for Γ+t up to 20.
QUADRATURE = 24


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
        return self.store([np.kron(np.eye(d // self.local), operator) for d in self.dimensions])

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
        factors = [np.eye(2)] * site + [operator] + [np.eye(2)] * (self.sites - site)
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
        everything = csr_array(eye_array(len(vector)))
        return evolve_linear(self.generator, vector, times, everything, tolerance)


def deviation_norms(
    model: CentralSpinModel, times: Any, operator: Any, *, tolerance: float = 1e-8
) -> np.ndarray:
    r"""Return ‖e^{tL}[A] − e^{tL_bath}[A]‖, the left-hand side of Lemma 1, as a true operator norm.

    Parameters
    ----------
    model : CentralSpinModel
        The problem, at finite N. With a `bath_field` the free evolution L_bath holds H_bath too (Theorem 2).
    times : sequence of float
        Increasing times ≥ 0.
    operator : matrix
        A on one bath spin (2×2), two (4×4), …
    tolerance : float
        Absolute error that the integration may add to any matrix element.

    Returns
    -------
    ndarray, shape (times,)

    Raises
    ------
    ArgumentError
        If an argument is outside its domain or the blocks get too large.
    """
    when = increasing_times(times)
    A, sites = _local_operator(operator)
    space = HeisenbergBlocks(model, sites)
    free = bath_evolution(model, when, A)
    parts = []
    for part in _hermitian_parts(A):
        parts.append(
            space.evolve(space.lift(np.kron(part(A), np.eye(2))), when, tolerance)
            - [space.lift(np.kron(part(B), np.eye(2))) for B in free]
        )
    return np.array([space.norm(*vectors) for vectors in zip(*parts, strict=True)])


def average_deviation_norms(
    model: CentralSpinModel, times: Any, axis: str, power: int = 1, *, tolerance: float = 1e-8
) -> np.ndarray:
    r"""Return ‖e^{tL}[(m_α^N)^p] − e^{tL_bath}[(m_α^N)^p]‖ for p = 1 or 2, as a true operator norm.

    Without the central spin every bath spin evolves alone, σ_α → a·σ + c, hence m_α^N → a·m^N + c and

    .. math:: (m_α^N)^2 → (a·m^N + c)^2 + \frac1N \bigl( 1 - a^2 - c^2 - 2c\, a·m^N \bigr).
    """
    if axis not in ("x", "y", "z") or power not in (1, 2):
        raise ArgumentError("axis", 'be "x", "y" or "z" and `power` 1 or 2', f"{axis!r} and {power}")
    when = increasing_times(times)
    space = HeisenbergBlocks(model, 0)
    evolved = space.evolve(space.store(space.average(axis, power)), when, tolerance)
    m = {a: space.average(a) for a in "xyz"}
    norms = []
    for B, vector in zip(bath_evolution(model, when, PAULI["xyz".index(axis)]), evolved, strict=True):
        c, *a = (np.trace(P @ B).real / 2 for P in (np.eye(2), *PAULI))
        blocks = []
        for index, d in enumerate(space.dimensions):
            one = np.eye(d)
            drift = sum(x * m[axis][index] for x, axis in zip(a, "xyz", strict=True))
            free = drift + c * one
            if power == 2:
                free = free @ free + ((1 - np.dot(a, a) - c**2) * one - 2 * c * drift) / space.others.N
            blocks.append(free)
        norms.append(space.norm(vector - space.store(blocks)))
    return np.array(norms)


def central_deviation_norms(
    model: CentralSpinModel, times: Any, operator: Any, expected: Any, *, tolerance: float = 1e-8
) -> np.ndarray:
    """Return ‖e^{tL}[C] − C(t)‖ for Hermitian C and C(t) of the central spin, e.g. C(t) = Λ_{t,0}[C]."""
    when = increasing_times(times)
    space = HeisenbergBlocks(model, 0)
    evolved = space.evolve(space.lift(hermitian_matrix("operator", operator)), when, tolerance)
    return np.array([space.norm(v - space.lift(C)) for v, C in zip(evolved, expected, strict=True)])


def evolved_norms(
    model: CentralSpinModel, times: Any, operator: Any, *, tolerance: float = 1e-8
) -> np.ndarray:
    """Return ‖e^{tL}[B]‖ for a Hermitian B on n bath spins and (last factor) the central spin."""
    when = increasing_times(times)
    B, factors = _local_operator(hermitian_matrix("operator", operator))
    space = HeisenbergBlocks(model, factors - 1)
    return np.array([space.norm(v) for v in space.evolve(space.lift(B), when, tolerance)])


def bath_evolution(model: CentralSpinModel, times: Any, operator: Any) -> np.ndarray:
    r"""Return e^{tL_bath}[A] of an operator on n bath spins, shape (times, 2ⁿ, 2ⁿ).

    Without a bath field

    .. math:: e^{tD}[σ_±] = e^{-Γ_+t/2} σ_±, \qquad
        e^{tD}[σ_z] = e^{-Γ_+t} σ_z + (1 - e^{-Γ_+t})\, Γ_-/Γ_+ .
    """
    A, sites = _local_operator(operator)
    one, h = np.eye(2), model.bath_hamiltonian()
    G = 1j * (np.kron(h, one) - np.kron(one, h.T))  # on row-major vectors
    for J in model.bath_jumps():
        K = (J.T @ J).real / 2
        G = G + np.kron(J.T, J.T) - np.kron(K, one) - np.kron(one, K)
    evolved = []
    for t in times:
        X, step = A.reshape([2] * (2 * sites)), expm(G * t).reshape(2, 2, 2, 2)
        for k in range(sites):
            X = np.moveaxis(np.tensordot(step, X, axes=((2, 3), (k, sites + k))), (0, 1), (k, sites + k))
        evolved.append(X.reshape(A.shape))
    return np.array(evolved)


def exchange_commutator(operator: Any) -> np.ndarray:
    r"""Return i[H_int, A]/g = i[Σ_k (τ_+ σ_-^{(k)} + τ_- σ_+^{(k)}), A] on n spins and the central one."""
    A, sites = _local_operator(operator)
    h = np.zeros((2 ** (sites + 1),) * 2, dtype=complex)
    for k in range(sites):
        factors = [np.eye(2)] * sites
        factors[k] = SIGMA_MINUS
        h += reduce(np.kron, [*factors, SIGMA_PLUS])
    h, lifted = h + h.T, np.kron(A, np.eye(2))
    return np.asarray(1j * (h @ lifted - lifted @ h))


def lemma_bound(model: CentralSpinModel, times: Any, operator: Any) -> np.ndarray:
    r"""Return 4|g0| t |Λ| ‖A‖ / N^z, the bound of Lemma 1, for A that acts on each of its n = |Λ| spins."""
    A, sites = _local_operator(operator)
    return 4 * abs(model.coupling) * sites * float(np.linalg.norm(A, 2)) * np.asarray(times, dtype=float)


def uniform_bound(model: CentralSpinModel, times: Any, operator: Any) -> np.ndarray:
    r"""Return 4|g0| |Λ| ‖A‖ (1 − e^{−λt}) / (λN^z), the bound that holds for all times.

    λ = Γ+ if A is diagonal in the σz basis and no transverse bath field tilts it, Γ+/2 otherwise. The part
    of e^{uL_bath}[A] that is the identity on spin k commutes with the coupling to that spin. What is left
    there is at most e^{−λu} ‖A − ½Tr_k A‖ ≤ 3/2 e^{−λu} ‖A‖ (1 in place of 3/2 if A is diagonal), and with
    ‖τ+σ− + τ−σ+‖ = 1 the commutator in the proof is at most 3|g|‖A‖ e^{−λu} per spin.
    """
    A, _ = _local_operator(operator)
    diagonal = np.abs(A - np.diag(np.diag(A))).max() < ROUND_OFF and not any(model.bath_field[:2])
    rate = model.bath_rate * (1.0 if diagonal else 0.5)
    t = np.asarray(times, dtype=float)
    return lemma_bound(model, -np.expm1(-rate * t) / rate if rate > 0 else t, A)


def commutator_bound(model: CentralSpinModel, times: Any, operator: Any) -> np.ndarray:
    r"""Return ∫_0^t ‖[H_int, e^{uL_bath}[A]]‖ du: the proof of Lemma 1 with its commutator not estimated."""
    nodes, weights = np.polynomial.legendre.leggauss(QUADRATURE)
    bounds = []
    for t in times:
        operators = bath_evolution(model, t * (nodes + 1) / 2, operator)
        norms = [np.linalg.norm(exchange_commutator(B), 2) for B in operators]
        bounds.append(abs(model.coupling) * t / 2 * np.dot(weights, norms))
    return np.array(bounds)


def _local_operator(operator: Any) -> tuple[np.ndarray, int]:
    A = square_matrix("operator", operator)
    sites = len(A).bit_length() - 1
    if sites < 1 or len(A) != 2**sites:
        raise ArgumentError("operator", "act on spins-½: 2×2, 4×4, …", f"of shape {A.shape}")
    return A, sites


def _hermitian_parts(A: np.ndarray) -> list[Callable[[np.ndarray], np.ndarray]]:
    """Return what takes the Hermitian parts X₁ and X₂ of X₁ + iX₂; the first alone if A is Hermitian."""
    parts: list[Callable[[np.ndarray], np.ndarray]] = [
        lambda X: (X + X.conj().T) / 2,
        lambda X: (X - X.conj().T) / 2j,
    ]
    return parts[:1] if np.abs(A - A.conj().T).max() < ROUND_OFF else parts
