"""The Lindblad equation by Kronecker products; shares no code with the library."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
from scipy.linalg import svd
from scipy.sparse import csr_array, eye_array, kron
from scipy.sparse.linalg import expm_multiply


class Whole:
    """All sites of a `CollectiveModel` written out."""

    def __init__(self, model: Any) -> None:
        self.sizes, self.owner = [len(model.hamiltonian)], [-1]
        for c, s in enumerate(model.sites):
            self.sizes += [len(s.hamiltonian)] * s.count
            self.owner += [c] * s.count
        self.N = len(self.sizes) - 1
        self.D = int(np.prod(self.sizes))
        H = self.at(model.hamiltonian, 0)
        jumps = [self.at(J, 0) for J in model.jumps]
        for c, s in enumerate(model.sites):
            H = H + self.total(s.hamiltonian, c)
            for A, B in s.couplings:
                V = self.N**-model.scaling * self.at(A, 0) @ self.total(B, c)
                H = H + (V if hermitian(A) and hermitian(B) else V + V.conj().T)
            for A, B in s.interactions:
                V = self.total(A, c) @ self.total(B, c) / s.count
                H = H + (V + V.conj().T) / 2
            jumps += [self.at(J, k) for k in range(1, self.N + 1) if self.owner[k] == c for J in s.jumps]
        one = eye_array(self.D, format="csr")
        L = -1j * (kron(one, csr_array(H)) - kron(csr_array(H.T), one))
        for J in map(csr_array, jumps):
            JJ = J.conj().T @ J
            L = L + kron(J.conj(), J) - kron(one, JJ) / 2 - kron(JJ.T, one) / 2
        self.L, self.model = csr_array(L), model

    def at(self, operator: np.ndarray, k: int) -> np.ndarray:
        return reduce(np.kron, [operator if i == k else np.eye(d) for i, d in enumerate(self.sizes)])

    def total(self, B: np.ndarray, c: int) -> np.ndarray:
        return sum(
            (self.at(B, k) for k in range(1, self.N + 1) if self.owner[k] == c), np.zeros((self.D,) * 2)
        )

    def start(self) -> np.ndarray:
        states = [self.model.initial, *(self.model.sites[c].initial for c in self.owner[1:])]
        return reduce(np.kron, states).ravel(order="F")

    def symmetric(self) -> np.ndarray:
        """An orthonormal basis of the operators that no exchange of equal sites changes, as columns."""
        index = np.arange(self.D**2).reshape(
            [*self.sizes, *self.sizes]
        )  # row-major; the order does not matter here
        labels = np.arange(self.D**2)
        n = self.N + 1
        for a in range(1, n):
            for b in range(a + 1, n):
                if self.owner[a] == self.owner[b]:
                    swapped = index.swapaxes(a, b).swapaxes(n + a, n + b).ravel()
                    while (merged := np.minimum(labels, labels[swapped])).tolist() != labels.tolist():
                        labels = merged
        for _ in range(self.N):  # orbits of all exchanges together
            for a in range(1, n):
                for b in range(a + 1, n):
                    if self.owner[a] == self.owner[b]:
                        labels = np.minimum(
                            labels, labels[index.swapaxes(a, b).swapaxes(n + a, n + b).ravel()]
                        )
        _, orbit = np.unique(labels, return_inverse=True)
        basis = np.zeros((self.D**2, orbit.max() + 1))
        basis[np.arange(self.D**2), orbit] = 1
        rows = index.reshape(self.D, self.D).T.ravel()  # stacked columns
        return (basis / np.linalg.norm(basis, axis=0))[rows]

    def read(self, v: np.ndarray, moment: Any, reference: dict[int, np.ndarray]) -> complex:
        """The value of a moment; `reference` holds the state of a site of each class without the central system."""
        rho = v.reshape(self.D, self.D, order="F")
        X = sum(self.total(B, c) for c, B in moment.operators.items()) * float(self.N) ** -moment.scaling
        A = np.eye(self.D) if moment.central is None else self.at(moment.central, 0)
        shift = 0.0
        if moment.about == "mean":
            shift = np.trace(X @ rho)
        elif moment.about == "reference":
            shift = float(self.N) ** -moment.scaling * sum(
                self.owner.count(c) * np.trace(B @ reference[c]) for c, B in moment.operators.items()
            )
        X = X - shift * np.eye(self.D)
        return complex(np.trace(A @ np.linalg.matrix_power(X, moment.power) @ rho))


def hermitian(A: np.ndarray) -> bool:
    return bool(np.abs(A - A.conj().T).max() <= 1e-9 * np.abs(A).max())


def alone(model: Any, c: int, times: Any) -> list[np.ndarray]:
    """States of a site of class c without the central system, with its interactions in the mean field."""
    from scipy.integrate import solve_ivp

    s = model.sites[c]
    d = len(s.hamiltonian)

    def velocity(_: float, y: np.ndarray) -> np.ndarray:
        rho = y.reshape(d, d)
        H = s.hamiltonian.astype(complex)
        for A, B in s.interactions:
            term = np.trace(A @ rho) * B + A * np.trace(B @ rho)
            H = H + (term + term.conj().T) / 2
        out = -1j * (H @ rho - rho @ H)
        for J in s.jumps:
            JJ = J.conj().T @ J
            out = out + J @ rho @ J.conj().T - (JJ @ rho + rho @ JJ) / 2
        return out.ravel()

    grid = np.r_[0.0, times]
    solved = solve_ivp(velocity, (0, max(grid[-1], 1e-9)), s.initial.astype(complex).ravel(), "DOP853", np.unique(grid),
                       rtol=1e-12, atol=1e-13)  # fmt: skip
    place = np.searchsorted(np.unique(grid), times)
    return [solved.y[:, k].reshape(d, d) for k in place]


def in_time(model: Any, times: Any, wanted: Any) -> dict[str, np.ndarray]:
    """Moments at the given times."""
    whole = Whole(model)
    v = whole.start()
    references = [alone(model, c, times) for c in range(len(model.sites))]
    found: dict[str, list[complex]] = {name: [] for name in wanted}
    for k, t in enumerate(times):
        state = expm_multiply(whole.L * t, v)
        for name, moment in wanted.items():
            found[name].append(whole.read(state, moment, {c: r[k] for c, r in enumerate(references)}))
    return {name: np.array(values) for name, values in found.items()}


def gap(model: Any) -> float:
    """The second smallest singular value of the Lindbladian on permutation-invariant operators, by the largest."""
    whole = Whole(model)
    basis = whole.symmetric()
    values = svd(basis.T @ (whole.L @ basis), compute_uv=False)
    return float(values[-2] / values[0]) if len(values) > 1 else 1.0


def stationary(model: Any, wanted: Any) -> tuple[dict[str, complex], float]:
    """Moments in the permutation-invariant stationary state, and the second smallest singular value."""
    whole = Whole(model)
    basis = whole.symmetric()
    _, values, right = svd(basis.T @ (whole.L @ basis))
    v = basis @ right[-1].conj()
    v = v / np.trace(v.reshape(whole.D, whole.D))
    references = {}
    for c, s in enumerate(model.sites):
        single = type(model)(
            hamiltonian=np.zeros((1, 1)), sites=[type(s)(count=1, hamiltonian=s.hamiltonian, jumps=s.jumps)]
        )
        alone_ = Whole(single)
        r = svd(alone_.L.toarray())[2][-1].conj().reshape(alone_.D, alone_.D, order="F")
        references[c] = r / np.trace(r)
    return {n: whole.read(v, m, references) for n, m in wanted.items()}, (
        float(values[-2] / values[0]) if len(values) > 1 else 1.0
    )
