r"""The equations of method "dicke_polynomials": Dicke blocks side by side, which hold almost the same state.

The formulas are in that module's docstring. Here are the weight with its polynomials, what happens in the block of a
real j, the equations for the coefficients c_k, and their approximate inverse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.sparse import csc_matrix, csr_array, csr_matrix, diags_array, eye_array, hstack, kron, vstack
from scipy.sparse.linalg import splu

from ..numerics.banded import Banded
from ..numerics.stationary import NotUniqueError
from ..problem.checks import is_hermitian
from ..problem.general import Problem
from ..problem.moments import Moment
from .small import ROUND_OFF, at, decay_and_pump, hamiltonian, pauli

#: Points of quadrature beyond the number of polynomials.
EXTRA = 4
#: The least p = 1 − v/λ.
WIDEST = -1.0
#: A place holds enough where no other holds so many times more.
UNEVEN = 100.0
#: A random vector is found again to this part where no second state is stationary.
PROBED = 1e-4


class Weight:
    """A distribution of l = 0, 1, … of given mean and variance, with its polynomials and points of quadrature."""

    def __init__(self, mean: float, variance: float, degrees: int = 1, extra: int = EXTRA) -> None:
        self.mean, self.variance, self.degrees = mean, variance, degrees
        count = degrees + extra
        # a binomial of few draws has few polynomials, a wide distribution of few points distant ones
        p = max(min(1 - variance / mean, mean / (2 * count)), WIDEST)
        k = np.arange(count + 1)
        self._diagonal, self._root = k * (1 - 2 * p), np.sqrt(k * (1 - p) * (mean - p * (k - 1)))
        distance, vectors = eigh_tridiagonal(self._diagonal[:count], self._root[1:count])
        self.points, self.weights = np.maximum(mean + distance, 0.0), vectors[0] ** 2
        self.values, down = self._polynomials(distance, 1)
        _, up = self._polynomials(distance, -1)
        #: p_m(l − Δ) − p_m(l)
        self.steps = {1: up, -1: down}

    def _polynomials(self, x: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
        """p_k(x), and p_k(x + step) − p_k(x) without cancellation, of shape (points, degrees)."""
        p, q = np.zeros((2, self.degrees + 1, len(x)))
        p[0] = 1.0
        for k in range(self.degrees):
            a, b, c = self._diagonal[k], self._root[k], self._root[k + 1]
            p[k + 1] = ((x - a) * p[k] - b * p[k - 1]) / c  # b = 0 for k = 0
            q[k + 1] = ((x + step - a) * q[k] + step * p[k] - b * q[k - 1]) / c
        return p[:-1].T, q[:-1].T

    def statistics(self, of_polynomials: np.ndarray) -> tuple[float, float]:
        """Mean and variance of l, from the traces of the c_k."""
        _, one, two = of_polynomials[:3]
        _, b, c = self._root[:3]
        return self.mean + b * one, b * (b + self._diagonal[1] * one + c * two) - (b * one) ** 2


class Block:
    """What happens in, and is read of, the block of a real j = N/2 − l."""

    def __init__(self, problem: Problem, space: Banded, l: float, moments: Sequence[Moment]) -> None:
        (site,) = problem.classes
        self._size, self._l, self._j, self._n = problem.size, l, problem.size / 2 - l, np.arange(space.cutoff)
        rates = decay_and_pump(site, "")
        self._polarisation = (rates[1] - rates[0]) / sum(rates)
        one, inner = csr_array(eye_array(space.levels)), csr_array(eye_array(space.cutoff))
        H = kron(self._total(hamiltonian(site)), one) + kron(inner, csr_array(hamiltonian(problem.central)))
        for A, B, factor in site.couplings:
            part = kron(self._total(B), csr_array(A)) * (at(factor, 0.0) * self._size**-problem.scaling)
            H = H + (part if is_hermitian(A) and is_hermitian(B) else part + part.conj().T)
        jumps = [(kron(inner, csr_array(J)), at(f, 0.0)) for J, f in problem.central.jumps]
        for A, by_class in problem.collective_jumps:
            jumps.append((kron(self._total(by_class[0]), csr_array(A)) * self._size**-0.5, 1.0))
        beside: dict[int, list[Any]] = {1: [], -1: []}
        for rate, step in zip(rates, (-1, 1), strict=True):
            for change in (-1, 0, 1) if rate else ():
                T = csr_array(kron(math.sqrt(rate) * self._jump(step, change), one))
                jumps.append((T, 1.0))
                if change:
                    beside[change].append((T, T))
        effective, terms = -1j * csr_array(H), []
        for J, f in jumps:
            effective = effective - f / 2 * (J.conj().T @ J)
            terms.append((f * J, J))
        identity = eye_array(space.dimension)
        self.within = space.map([*terms, (effective, identity), (identity, effective)])
        self.beside = {change: space.map(pairs) for change, pairs in beside.items()}
        self.rows = csr_matrix(vstack([self._row(space, moment) for moment in moments]))

    def _total(self, B: np.ndarray, about_reference: bool = False) -> csr_array:
        """Σ_k B^{(k)}, or without what the sites give by themselves."""
        b, n = pauli(B), self._n
        diagonal = 2 * b[3] * (n + self._l - self._size * (1 + self._polarisation) / 2)  # 2 J_z − N⟨σ_z⟩
        if not about_reference:
            diagonal = diagonal + self._size * (b[0] + b[3] * self._polarisation)
        root = np.sqrt(n[1:] * np.maximum(2 * self._j - n[1:] + 1, 0.0))
        return csr_array(diags_array([diagonal, B[1, 0] * root, B[0, 1] * root], offsets=[0, 1, -1]))

    def _jump(self, step: int, change: int) -> csr_array:
        """√c T of method "dicke": from n to n + step + change in the block j + change."""
        j, half, m = self._j, self._size / 2, self._n - self._j
        if change == 0:
            c, one, two = (half + 1) / (2 * j * (j + 1)), j - step * m, j + step * m + 1
        elif change == -1:
            c, one, two = (half + j + 1) / (2 * j * (2 * j + 1)), j - step * m, j - step * m - 1
        else:
            c, one, two = self._l / (2 * (j + 1) * (2 * j + 1)), j + step * m + 1, j + step * m + 2
        value = np.sqrt(c * np.maximum(one, 0.0) * np.maximum(two, 0.0))
        by = step + change
        kept = value[max(0, -by) : len(m) - max(0, by)]
        return csr_array(diags_array([kept], offsets=[-by], shape=(len(m), len(m))))

    def _row(self, space: Banded, moment: Moment) -> csr_matrix:
        """The row of ⟨A (N^{−s} Σ_k B^{(k)} − c)^p⟩."""
        A = csr_array(np.eye(space.levels) if moment.central is None else moment.central)
        power = csr_array(eye_array(space.cutoff, dtype=complex))
        for _ in range(moment.power or 0):
            power = power @ (self._size**-moment.scaling * self._total(moment.operators[0], True))
        return space.expectation(kron(power, A))


class Equations:
    """The equations of the module's docstring for the c_k, one after the other."""

    def __init__(self, problem: Problem, space: Banded, weight: Weight, moments: Sequence[Moment]) -> None:
        self.space, self.weight = space, weight
        self._blocks = [Block(problem, space, l, moments) for l in weight.points]
        parts = zip(weight.weights[:, None] * weight.values, self._blocks, strict=True)
        of_points = [[f * block.rows for f in factors] for factors, block in parts]
        self._rows = csr_matrix(hstack([sum(column) for column in zip(*of_points, strict=True)]))

    def part(self, m: int, k: int) -> csr_matrix:
        """What p_k does to p_m."""
        p, total = self.weight.values, csr_matrix((self.space.size, self.space.size))
        for i, (w, block) in enumerate(zip(self.weight.weights, self._blocks, strict=True)):
            total = total + w * p[i, m] * p[i, k] * block.within
            for change, B in block.beside.items():
                total = total + w * self.weight.steps[change][i, m] * p[i, k] * B
        return csr_matrix(total)

    def operator(self, x: np.ndarray) -> np.ndarray:
        """The left-hand side for the c_k in x."""
        c = x.reshape(-1, self.space.size)
        K, w = len(c), self.weight.weights[:, None]
        at_points = list(zip(self._blocks, self.weight.values[:, :K] @ c, strict=True))
        total = (w * self.weight.values[:, :K]).T @ np.array([block.within @ v for block, v in at_points])
        for change, steps in self.weight.steps.items():
            total += (w * steps[:, :K]).T @ np.array([block.beside[change] @ v for block, v in at_points])
        return np.asarray(total.ravel())

    def read(self) -> np.ndarray:
        """By how much a coordinate is read, at least 1."""
        size = abs(self._rows[:, : self.space.size]).max(axis=0).toarray().ravel()
        return np.asarray(np.maximum(size, 1.0))

    def rows(self, K: int) -> csr_matrix:
        """What is read of K polynomials."""
        return csr_matrix(self._rows[:, : K * self.space.size])


class Inverse:
    """Approximate solutions, from the equation of every p_k factorised by itself.

    That of p_0 has a stationary state; instead of one of its equations, which follow from each other, it is told that
    the solution has nothing at a place where the state has much.
    """

    def __init__(self, full: int = 0) -> None:
        self.full = full
        self._factors: list[Any] = []
        self._beside: list[Any] = []

    def prepare(self, equations: Equations, K: int, told: Any) -> None:
        """Factorise what is missing for K polynomials."""
        t = equations.space.trace
        places = np.flatnonzero(t)
        while (k := len(self._factors)) < K:
            told()
            L = equations.part(k, k)
            if k:
                self._beside.append(equations.part(k, k - 1))
                self._factors.append(_factorised(L))
                continue
            keep = np.ones(len(t))
            keep[places[self.full]] = 0.0
            lu = _factorised(diags_array(keep) @ L + diags_array(1 - keep))
            v = lu.solve(1 - keep)
            if not np.isfinite(v).all() or abs(t @ v) <= ROUND_OFF * np.linalg.norm(v):
                raise NotUniqueError("The stationary state is not unique.")
            fullest = int(np.argmax(np.abs(v[places])))
            if abs(v[places[fullest]]) > UNEVEN and fullest != self.full:
                self.full = fullest
                continue
            self._trace = t
            self.state, self._place = v / (t @ v), places[self.full]
            self._factors.append(lu)
            self._unique(equations)

    def __call__(self, r: np.ndarray, space: Banded, part: np.ndarray | None = None) -> np.ndarray:
        """Apply it; `part` tells which of the unknowns of what is factorised there are."""
        r = r.reshape(-1, space.size)
        full, state = r.copy(), self.state
        if part is not None:
            full = np.zeros((len(r), len(part)))
            full[:, part], state = r, state[part]
        full[0, self._place] = 0.0
        for k in range(len(full)):  # what is found passes on to the next
            if k:
                full[k] -= self._beside[k - 1] @ full[k - 1]
            full[k] = self._factors[k].solve(full[k])
            if not k:
                full[0] -= (self._trace @ full[0]) * self.state
        found = full if part is None else full[:, part]
        found[0] -= (space.trace @ found[0]) / (space.trace @ state) * state
        return np.asarray(found.ravel())

    def _unique(self, equations: Equations) -> None:
        """Raise if for p_0 by itself a random vector is not found again from its image."""
        space = equations.space
        probe = np.random.default_rng(0).normal(size=space.size)
        probe -= (space.trace @ probe) * self.state
        missed = float(np.linalg.norm(self(equations.operator(probe), space) - probe))
        if not missed <= PROBED * float(np.linalg.norm(probe)):
            raise NotUniqueError("The stationary state is not unique, or is reached too slowly to tell.")


def _factorised(L: Any) -> Any:
    try:
        return splu(csc_matrix(L), permc_spec="COLAMD")
    except RuntimeError as error:
        raise NotUniqueError(f"The stationary state is not unique ({error}).") from None
