"""The Lindblad equation by plain Kronecker products and matrix exponentials: twenty lines that nothing else shares."""

from functools import reduce

import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import expm, null_space


def embed(operator, k, sizes):
    return reduce(np.kron, [operator if i == k else np.eye(d) for i, d in enumerate(sizes)])


def hermitian(*operators):
    return all(np.allclose(X, X.conj().T) for X in operators)


def build(model):
    """H, jumps with their factors, the initial state and the collective operators of a model of numbers only."""
    sizes, owner = [len(model.hamiltonian)], [None]
    for c, s in enumerate(model.sites):
        sizes += [s.dimension] * s.count
        owner += [c] * s.count
    N = len(sizes) - 1

    def total(B, c):
        return sum(embed(B, k, sizes) for k in range(1, N + 1) if owner[k] == c)

    def central(A):
        return embed(A, 0, sizes)

    H = central(model.hamiltonian)
    jumps = [(central(J), 1.0) for J in model.jumps]
    for c, s in enumerate(model.sites):
        H = H + total(s.hamiltonian, c)
        for A, B in s.couplings:
            both = hermitian(A, B)
            V = N**-model.scaling * central(A) @ total(B, c)
            H = H + (V if both else V + V.conj().T)
        for A, B in s.interactions:
            V = total(A, c) @ total(B, c) / s.count
            H = H + (V + V.conj().T) / 2
        for k in range(1, N + 1):
            if owner[k] == c:
                rates = s.rates or [None] * len(s.jumps)
                jumps += [
                    (embed(J, k, sizes), 1.0 if f is None else f) for J, f in zip(s.jumps, rates, strict=True)
                ]
    start = [np.ones((1, 1)) if model.initial is None else model.initial]
    start += [model.sites[owner[k]].initial for k in range(1, N + 1)]
    rho = reduce(np.kron, start) if all(r is not None for r in start) else None
    return H, jumps, rho, central, total, N


def liouvillian(H, jumps):
    """Acts on vectors of stacked columns."""
    one = np.eye(len(H))
    L = -1j * (np.kron(one, H) - np.kron(H.T, one))
    for J, f in jumps:
        JJ = J.conj().T @ J
        L = L + f * (np.kron(J.conj(), J) - np.kron(one, JJ) / 2 - np.kron(JJ.T, one) / 2)
    return L


def values(model, times, wanted):
    """Moments about zero at the given times, or, for None, in the stationary state."""
    H, jumps, rho, *collective = build(model)
    D = len(H)
    L = liouvillian(H, jumps)
    if times is None:
        v = null_space(L, rcond=1e-12)
        assert v.shape[1] == 1
        return read([v[:, 0] / np.trace(v[:, 0].reshape(D, D))], wanted, *collective)[0]
    return read([expm(L * t) @ rho.ravel(order="F") for t in times], wanted, *collective)


def values_in_time(model, times, wanted):
    """The same for rates that change in time."""
    H, jumps, rho, *collective = build(model)
    still = liouvillian(H, [(J, f) for J, f in jumps if not callable(f)])
    moving = [(liouvillian(0 * H, [(J, 1.0)]), f) for J, f in jumps if callable(f)]
    result = solve_ivp(
        lambda t, v: still @ v + sum(f(t) * (L @ v) for L, f in moving), (0, times[-1]), rho.ravel(order="F"),
        "DOP853", times,
        rtol=1e-11, atol=1e-11, max_step=0.01,
    )  # fmt: skip
    return read(result.y.T, wanted, *collective)


def read(states, wanted, central, total, N):
    """Tr(O ρ) for every state and moment."""
    D = round(np.sqrt(len(states[0])))
    rows = []
    for m in wanted:
        O = np.eye(D) if m.central is None else central(m.central)
        for _ in range(m.power):
            O = O @ (N**-m.scaling * sum(total(B, c) for c, B in m.operators.items()))
        rows.append([np.trace(O @ state.reshape(D, D).T) for state in states])
    return np.array(rows).T
