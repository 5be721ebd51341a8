"""The Lindblad equation by Kronecker products; shares no code with the library."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
from scipy.linalg import svd
from scipy.sparse import csc_array, csr_array, diags_array, eye_array, kron
from scipy.sparse.linalg import expm_multiply, splu


class Whole:
    """All sites of a `CollectiveModel` written out."""

    def __init__(self, model: Any) -> None:
        self.sizes, self.owner = [model.dimension], [-1]
        for c, s in enumerate(model.sites):
            self.sizes += [s.dimension] * s.count
            self.owner += [c] * s.count
        self.N = len(self.sizes) - 1
        self.D = int(np.prod(self.sizes))
        #: Factors of time (None is 1) and what they multiply.
        self.parts: list[tuple[Any, Any]] = []
        for H, f in written(model.hamiltonian):
            self.parts.append((f, self.turning(self.at(H, 0))))
        for J, f in zip(model.jumps, model.rates or [None] * len(model.jumps), strict=True):
            self.parts.append((f, self.damping(self.at(J, 0))))
        for c, s in enumerate(model.sites):
            self.parts += [(f, self.turning(self.total(H, c))) for H, f in written(s.hamiltonian)]
            for A, B, *f in s.couplings:
                V = self.N**-model.scaling * self.at(A, 0) @ self.total(B, c)
                V = V if hermitian(A) and hermitian(B) else V + V.conj().T
                self.parts.append((f[0] if f else None, self.turning(V)))
            for A, B in s.interactions:
                V = self.total(A, c) @ self.total(B, c) / s.count
                self.parts.append((None, self.turning((V + V.conj().T) / 2)))
            for k in range(1, self.N + 1):
                if self.owner[k] == c:
                    self.parts += [(None, self.damping(self.at(J, k))) for J in s.jumps]
        for A, by_class in model.collective_jumps:
            J = sum(self.total(B, c) for c, B in enumerate(by_class)) / np.sqrt(self.N)
            self.parts.append((None, self.damping(J if A is None else self.at(A, 0) @ J)))
        self.L = csr_array(sum(part for f, part in self.parts if f is None))
        self.model = model

    def turning(self, H: np.ndarray) -> Any:
        """−i[H, ·] on stacked columns."""
        one = eye_array(self.D, format="csr")
        return -1j * (kron(one, csr_array(H)) - kron(csr_array(H.T), one))

    def damping(self, given: np.ndarray) -> Any:
        """The dissipator of a jump."""
        one, J = eye_array(self.D, format="csr"), csr_array(given)
        JJ = J.conj().T @ J
        return kron(J.conj(), J) - kron(one, JJ) / 2 - kron(JJ.T, one) / 2

    def moved(self, v: np.ndarray, span: float) -> np.ndarray:
        """The state after a time."""
        moving = [(f, csr_array(part)) for f, part in self.parts if f is not None]
        if not moving:
            return expm_multiply(self.L * span, v)
        if not span:
            return v
        from scipy.integrate import solve_ivp

        return solve_ivp(
            lambda t, y: self.L @ y + sum(f(t) * (part @ y) for f, part in moving), (0, span), v.astype(complex),
            "DOP853", rtol=1e-11, atol=1e-12, t_eval=[span], max_step=0.25,
        ).y[:, 0]  # fmt: skip

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


def written(hamiltonian: Any) -> list[tuple[np.ndarray, Any]]:
    """The terms of a Hamiltonian and their factors."""
    if isinstance(hamiltonian, tuple):
        return [(hamiltonian[0], None), *hamiltonian[1:]]
    return [(hamiltonian, None)]


def hermitian(A: np.ndarray) -> bool:
    return bool(np.abs(A - A.conj().T).max() <= 1e-9 * np.abs(A).max())


def alone(model: Any, c: int, times: Any) -> list[np.ndarray]:
    """States of a site of class c without the central system, with its interactions in the mean field.

    So is the emission of a single class by itself.
    """
    from scipy.integrate import solve_ivp

    s = model.sites[c]
    d = s.dimension
    emitted = [by_class[0] for A, by_class in model.collective_jumps if A is None and len(model.sites) == 1]

    def velocity(t: float, y: np.ndarray) -> np.ndarray:
        rho = y.reshape(d, d)
        H = sum(h * (1.0 if f is None else f(t)) for h, f in written(s.hamiltonian)).astype(complex)
        for B in emitted:
            mean = np.trace(B @ rho)
            H = H + 0.5j * (mean.conj() * B - mean * B.conj().T)
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
        state = whole.moved(v, t)
        for name, moment in wanted.items():
            found[name].append(whole.read(state, moment, {c: r[k] for c, r in enumerate(references)}))
    return {name: np.array(values) for name, values in found.items()}


def multiplied(whole: Whole, moment: Any, v: np.ndarray, side: str) -> np.ndarray:
    """A state with a moment's operator, about zero, on one of its sides; None leaves it as it is."""
    if moment is None:
        return v
    X = sum(whole.total(B, c) for c, B in moment.operators.items()) * float(whole.N) ** -moment.scaling
    A = np.eye(whole.D) if moment.central is None else whole.at(moment.central, 0)
    O = A @ np.linalg.matrix_power(X, moment.power) if moment.power else A
    rho = v.reshape(whole.D, whole.D, order="F")
    return (O @ rho if side == "left" else rho @ O).ravel(order="F")


def after_a_jump(
    model: Any, jump: np.ndarray, before: float, after: float, wanted: Any
) -> dict[str, complex]:
    """Moments, about zero, at a time after the central system has jumped."""
    whole = Whole(model)
    K = whole.at(jump, 0)
    rho = whole.moved(whole.start(), before).reshape(whole.D, whole.D, order="F")
    v = whole.moved((K @ rho @ K.conj().T).ravel(order="F"), after)
    return {name: whole.read(v, moment, {}) for name, moment in wanted.items()}


def correlation(model: Any, before: float, delay: float, operators: Any) -> tuple[complex, float]:
    """⟨A(0) B(τ) C(0)⟩ in the state at a time, all about zero, and the product of the operators' norms."""
    whole = Whole(model)
    A, B, C = operators
    one = np.eye(whole.D).ravel(order="F")
    v = whole.moved(whole.start(), before)
    v = whole.moved(multiplied(whole, A, multiplied(whole, C, v, "left"), "right"), delay)
    matrices = (multiplied(whole, m, one, "left").reshape(whole.D, whole.D) for m in operators)
    size = float(np.prod([np.linalg.norm(O, 2) for O in matrices]))
    return complex(one @ multiplied(whole, B, v, "left")), size


def single(model: Any, site: Any) -> Any:
    """A model of one site with its own Hamiltonian and jumps, and nothing else."""
    one = type(site)(count=1, hamiltonian=site.hamiltonian, jumps=site.jumps)
    return type(model)(hamiltonian=np.zeros((1, 1)), sites=[one])


def gap(model: Any) -> float:
    """The second smallest singular value of the Lindbladian on permutation-invariant operators, by the largest."""
    whole = Whole(model)
    basis = whole.symmetric()
    values = svd(basis.T @ (whole.L @ basis), compute_uv=False)
    return float(values[-2] / max(values[0], 1e-300)) if len(values) > 1 else 1.0  # 0 where nothing moves


def stationary(model: Any, wanted: Any) -> tuple[dict[str, complex], float]:
    """Moments in the permutation-invariant stationary state, and the second smallest singular value."""
    whole = Whole(model)
    basis = whole.symmetric()
    _, values, right = svd(basis.T @ (whole.L @ basis))
    v = basis @ right[-1].conj()
    v = v / np.trace(v.reshape(whole.D, whole.D))
    references = {}
    for c, s in enumerate(model.sites):
        alone_ = Whole(single(model, s))
        r = svd(alone_.L.toarray())[2][-1].conj().reshape(alone_.D, alone_.D, order="F")
        references[c] = r / np.trace(r)
    return {n: whole.read(v, m, references) for n, m in wanted.items()}, (
        float(values[-2] / values[0]) if len(values) > 1 else 1.0
    )


def boson(model: Any, levels: int, time: float | None = None) -> tuple[dict[str, float], float]:
    """Spin and boson at N = ∞, at rest or at a time, and what the highest Fock state holds."""
    epsilon, up = model.epsilon, model.bath_pump / model.epsilon
    a, one = diags_array(np.sqrt(np.arange(1.0, levels)), offsets=1), np.eye(2)
    X, Y, Z = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1.0, -1.0])
    raising = np.array([[0, 1], [0, 0]])
    exchange = model.g0 * np.sqrt(epsilon) * kron(a, raising)
    local = sum(h * P for h, P in zip(model.central_field, (X, Y, Z), strict=True))
    H = exchange + exchange.T + kron(eye_array(levels), local)
    jumps = [
        np.sqrt(model.bath_decay + model.bath_pump + up) * kron(a, one),
        np.sqrt(up) * kron(a.T, one),
        np.sqrt(model.central_pump) * kron(eye_array(levels), raising),
        np.sqrt(model.central_decay) * kron(eye_array(levels), raising.T),
    ]
    effective = csr_array(-1j * H - sum(J.T @ J for J in jumps) / 2)
    same = eye_array(2 * levels)
    L = kron(effective, same) + kron(same, effective.conj()) + sum(kron(J, J) for J in jumps)
    L = csc_array(L)
    if time is None:
        options = {
            "permc_spec": "MMD_AT_PLUS_A",
            "diag_pivot_thresh": 0.01,
            "options": {"SymmetricMode": True},
        }
        k = (
            0 if model.central_pump else 2 * levels + 1
        )  # no boson beside a spin that is up, or down: never empty
        others = np.delete(np.arange(L.shape[0]), k)
        rho = np.ones(L.shape[0], dtype=complex)
        rho[others] = splu(L[others][:, others], **options).solve(-L[others][:, [k]].toarray()[:, 0])
    else:
        weights = (up / (model.bath_decay + model.bath_pump + up)) ** np.arange(levels)
        start = np.kron(np.diag(weights / weights.sum()), np.diag([1.0, 0.0]))
        rho = expm_multiply(L * time, start.ravel().astype(complex))
    rho = rho.reshape(levels, 2, levels, 2)
    rho = rho / np.einsum("nana->", rho)
    spin, bath = np.einsum("nanb->ab", rho), np.einsum("nama->nm", rho)
    q = (a + a.T).toarray() / np.sqrt(2)
    values = {
        "tau_x": float(np.trace(spin @ X).real), "tau_z": float(np.trace(spin @ Z).real),
        "Q2": float((np.trace(bath @ q @ q) - np.trace(bath @ q) ** 2).real),
    }  # fmt: skip
    return values, float(abs(rho[-1, :, -1, :]).max())
