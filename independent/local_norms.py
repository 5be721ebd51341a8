"""Lemma 1's left-hand side, ‖e^{tL}[A] − e^{tD}[A]‖, from full matrices. Imports NumPy and SciPy only.

Nothing is assumed about symmetry: 2^{N+1} × 2^{N+1} matrices, the generator of Eqs. (1)–(2) as written, and the
largest singular value. Run as a script it prints the numbers that the book quotes.
"""

from functools import reduce

import numpy as np
from scipy.integrate import solve_ivp

UP = np.array([[0.0, 1.0], [0.0, 0.0]])  # σ+ in the basis ↑, ↓
SX, SY, SZ = UP + UP.T, -1j * (UP - UP.T), np.diag([1.0, -1.0])


def deviation_norms(N, times, A, g, field, central_rates, bath_rates):
    """Return the norms for A on the first spins of the bath.

    `field` is (w_x, w_y, w_z); `central_rates` and `bath_rates` are (pump, decay).
    """

    def at(operator, site):  # bath spins 0 … N − 1, then the central one
        return reduce(np.kron, [operator if k == site else np.eye(2) for k in range(N + 1)])

    H = at(sum(w * s for w, s in zip(field, (SX, SY, SZ), strict=True)), N).astype(complex)
    jumps = [(central_rates[0], at(UP, N)), (central_rates[1], at(UP.T, N))]
    for k in range(N):
        jumps += [(bath_rates[0], at(UP, k)), (bath_rates[1], at(UP.T, k))]
    exchange = sum(at(UP, N) @ at(UP.T, k) for k in range(N))
    X0 = np.kron(A, np.eye(2 ** (N + 1) // len(A))).astype(complex)

    def evolved(coupling):
        K = H + coupling * (exchange + exchange.T)

        def derivative(_, vector):
            X = vector.reshape(X0.shape)
            result = 1j * (K @ X - X @ K)
            for rate, J in jumps:
                result += rate * (J.T @ X @ J - (J.T @ J @ X + X @ (J.T @ J)) / 2)
            return result.ravel()

        span = (0.0, times[-1])
        options = {"method": "DOP853", "rtol": 1e-11, "atol": 1e-11}
        return solve_ivp(derivative, span, X0.ravel(), t_eval=times, **options).y.T

    pairs = zip(evolved(g), evolved(0.0), strict=True)
    return np.array([np.linalg.norm((a - b).reshape(X0.shape), 2) for a, b in pairs])


if __name__ == "__main__":
    moments = [0.1, 0.25, 0.5, 1.0, 2.0, 4.0]
    print(deviation_norms(5, moments, SZ, 4 / np.sqrt(5), (1.0, 0.0, 0.5), (0.8, 0.1), (0.2, 1.0)))
