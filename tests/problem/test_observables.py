"""Is every named observable what its definition says, with operators written out in matrices?"""

import math
from functools import reduce

import numpy as np
import pytest
from conftest import PAPER

from centralspin import OBSERVABLES, evolve, steady_state

#: Two spins in tilted states around a tilted central one, where no moment vanishes by symmetry.
N, CENTRAL, BATH, TIMES = 2, (0.3, -0.5, 0.6), (0.4, 0.5, -0.3), [0.0, 0.8]
MODEL = PAPER.replace(N=N, central_field=(1.0, 0.3, 0.5), bath_field=(0.2, -0.3, 0.1), g0=1.7)
SIGMA = {"x": np.array([[0, 1], [1, 0]]), "y": np.array([[0, -1j], [1j, 0]]), "z": np.diag([1, -1])}
LOWER = np.array([[0, 0], [1, 0]])


def spin(operator, k):
    """An operator of the central spin (k = 0) or of a bath spin among the three."""
    return reduce(np.kron, [operator if i == k else np.eye(2) for i in range(N + 1)])


def generator():
    """The Lindbladian of Eqs. (1)–(2) on stacked rows, and the initial state."""
    lower = [spin(LOWER, k) for k in range(N + 1)]
    H = sum(w * spin(SIGMA[a], 0) for a, w in zip("xyz", MODEL.central_field, strict=True))
    for k in (1, 2):
        H = H + MODEL.g0 / math.sqrt(N) * (lower[0].T @ lower[k] + lower[k].T @ lower[0])
        H = H + sum(h * spin(SIGMA[a], k) for a, h in zip("xyz", MODEL.bath_field, strict=True))
    one = np.eye(len(H))
    L = -1j * (np.kron(H, one) - np.kron(one, H.T))
    rates = [(MODEL.central_decay, MODEL.central_pump), *[(MODEL.bath_decay, MODEL.bath_pump)] * N]
    for minus, (down, up) in zip(lower, rates, strict=True):
        for rate, J in ((down, minus), (up, minus.T)):
            JJ = J.T @ J
            L = L + rate * (np.kron(J, J) - np.kron(JJ, one) / 2 - np.kron(one, JJ) / 2)
    states = [
        (np.eye(2) + sum(r * s for r, s in zip(v, SIGMA.values(), strict=True))) / 2
        for v in (CENTRAL, BATH, BATH)
    ]
    return L, reduce(np.kron, states)


def by_definition(rho):
    """Every named observable of a density matrix of the three spins."""
    S = {a: spin(s, 1) + spin(s, 2) for a, s in SIGMA.items()}
    a = (spin(LOWER, 1) + spin(LOWER, 2)) / math.sqrt(N * (1 - 0.2) / (1 + 0.2))  # S−/√(εN), Eq. (5)
    variables = {
        "x": S["x"] / math.sqrt(N), "y": S["y"] / math.sqrt(N),
        "q": (a + a.T) / math.sqrt(2), "p": (a - a.T) / (1j * math.sqrt(2)),
    }  # fmt: skip

    def mean(O):
        return np.trace(O @ rho).real

    found = {"number": mean(a.T @ a)}
    for axis in "xyz":
        found[f"tau_{axis}"], found[f"m_{axis}"] = mean(spin(SIGMA[axis], 0)), mean(S[axis]) / N
    for name, X in variables.items():
        found[name] = mean(X)
        deviation = X - mean(X) * np.eye(len(rho))
        for power in (2, 3, 4):
            found[f"{name.upper()}{power}"] = mean(np.linalg.matrix_power(deviation, power))
    return found


@pytest.fixture(scope="module")
def expected():
    """In time, and in the stationary state."""
    L, rho = generator()
    values, vectors = np.linalg.eig(L)
    start = np.linalg.solve(vectors, rho.ravel())
    states = [(vectors @ (np.exp(values * t) * start)).reshape(rho.shape) for t in TIMES]
    rest = vectors[:, np.abs(values).argmin()].reshape(rho.shape)
    return [by_definition(state) for state in (*states, rest / np.trace(rest))]


@pytest.mark.parametrize("method", ["symmetric", "full_space", "dicke"])
def test_every_named_observable_is_what_it_is_called(method, expected):
    assert expected[0].keys() == OBSERVABLES.keys()
    assert all(abs(value) > 1e-3 for value in expected[1].values())  # a sign or a factor shows
    start = {"central_state": CENTRAL, "bath_bloch": BATH}
    found = evolve(MODEL, TIMES, tuple(OBSERVABLES), method=method, **start)
    rest = steady_state(MODEL, tuple(OBSERVABLES), method=method)
    for name in OBSERVABLES:
        np.testing.assert_allclose(found[name], [e[name] for e in expected[:2]], atol=2e-7, err_msg=name)
        assert rest[name] == pytest.approx(expected[2][name], abs=2e-7), name
