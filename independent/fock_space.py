"""The model of Eq. (9) at rest: the numbers that claims of Fig. 2(d) and of non-gaussianity call independent.

The density matrix is written as ρ = S X S with S = diag(r^{n/2}), so that X has elements of order one down to the tail,
and one sparse linear system in Fock space gives it. NumPy and SciPy; nothing of `centralspin` is imported.

Run `python independent/fock_space.py`.
"""

import math

import numpy as np
import scipy.sparse as sp
from scipy.optimize import brentq
from scipy.sparse.linalg import splu

wx, wz, pump, decay, Pump, Decay = 1.0, 0.5, 0.8, 0.1, 0.2, 1.0  # the paper's Fig. 2
EPSILON = (Decay - Pump) / (Decay + Pump)
LOSS, GAIN = Decay + Pump + Pump / EPSILON, Pump / EPSILON  # κ↓ and κ↑ of Eq. (8)


def at_rest(g0, levels, ratio):
    """X and the diagonal of S, on spin ⊗ boson with |↑⟩ first."""
    a = sp.kron(sp.eye(2), sp.diags(np.sqrt(np.arange(1, levels)), 1), format="csr")
    minus = sp.kron([[0, 0], [1, 0]], sp.eye(levels), format="csr")
    z = minus.T @ minus - minus @ minus.T
    H = wx * (minus + minus.T) + wz * z + g0 * math.sqrt(EPSILON) * (minus @ a.T + minus.T @ a)
    s = np.tile(ratio ** (np.arange(levels) / 2), 2)
    S, T, one = sp.diags(s), sp.diags(1 / s), sp.eye(2 * levels)

    def both(A, B):  # X → (T A S) X (S B T), rows of X after one another
        return sp.kron(T @ A @ S, (S @ B @ T).T)

    L = -1j * (both(H, one) - both(one, H))
    for rate, J in ((decay, minus), (pump, minus.T), (LOSS, a), (GAIN, a.T)):
        K = J.T @ J
        L = L + rate * (both(J, J.T) - both(K, one) / 2 - both(one, K) / 2)
    L = L.tolil()
    L[0] = sp.csr_matrix(np.diag(s**2).ravel())  # one equation is redundant: the trace takes its place
    right = np.zeros(L.shape[0], dtype=complex)
    right[0] = 1
    return splu(L.tocsc()).solve(right).reshape(2 * levels, 2 * levels), s


def moments(g0, levels=60, ratio=0.42):
    """⟨Q²⟩ and ⟨Q⁴⟩, Q = q − ⟨q⟩."""
    X, s = at_rest(g0, levels, ratio)
    rho = (s[:, None] * X * s).reshape(2, levels, 2, levels).trace(axis1=0, axis2=2)
    big = levels + 4  # so that powers of q are right on all levels kept
    q = np.diag(np.sqrt(np.arange(1, big) / 2), 1)
    q = q + q.T
    q = q - np.trace(rho @ q[:levels, :levels]).real * np.eye(big)
    return [np.trace(rho @ np.linalg.matrix_power(q, k)[:levels, :levels]).real for k in (2, 4)]


def margin(g0, levels, ratio):
    """Smallest eigenvalue of the partial transpose, scaled to a unit diagonal, which keeps the signs."""
    X, _ = at_rest(g0, levels, ratio)
    kept = levels - 6  # the last levels feel the cutoff
    transpose = (
        X.reshape(2, levels, 2, levels).transpose(2, 1, 0, 3)[:, :kept, :, :kept].reshape(2 * kept, 2 * kept)
    )
    scale = 1 / np.sqrt(np.diag(transpose).real)
    return np.linalg.eigvalsh(scale[:, None] * transpose * scale)[0]


if __name__ == "__main__":
    for g0 in (0.5, 4.0, 32.0, 64.0, 128.0):
        second, fourth = moments(g0)
        print(
            f"g0 = {g0:5}: ⟨Q²⟩ = {second:.10f}, ⟨Q⁴⟩ = {fourth:.10f}, ratio {fourth / (3 * second**2):.10f}"
        )
    for levels in (24, 30, 36):
        lower = brentq(margin, 0.3, 0.6, args=(levels, 0.2), xtol=1e-9)
        upper = brentq(margin, 1.5, 1.6, args=(levels, 0.4), xtol=1e-9)
        print(f"entangled at rest for {lower:.5f} < g0 < {upper:.5f} ({levels} levels)")
