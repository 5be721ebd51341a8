"""Finite baths by counting spins: the numbers that claims of Fig. 2 and of the chapter ten-million call independent.

A permutation-invariant density matrix of N bath spins is fixed by how many of them are in |↑⟩⟨↑|, |↑⟩⟨↓|, |↓⟩⟨↑| and
|↓⟩⟨↓|: C(N + 3, 3) numbers for each of the four elements |i⟩⟨j| of the central spin. The master equation is written on
these counts, and NumPy and SciPy solve it. Nothing of `centralspin` is imported.

Run `python independent/finite_bath.py`.
"""

import math

import numpy as np
import qutip
import scipy.sparse as sp
from scipy.sparse.linalg import expm_multiply, splu

g0, wx, wz, pump, decay, Pump, Decay = 4.0, 1.0, 0.5, 0.8, 0.1, 0.2, 1.0  # the paper's Fig. 2
EPSILON = (Decay - Pump) / (Decay + Pump)
UP, DOWN = 0, 1


def generator(N):
    """The Schrödinger generator, and the position of each (a, b, c, d) = numbers of ↑↑, ↑↓, ↓↑, ↓↓."""
    counts = [
        (a, b, c, N - a - b - c) for a in range(N + 1) for b in range(N + 1 - a) for c in range(N + 1 - a - b)
    ]
    place = {count: k for k, count in enumerate(counts)}
    rows, columns, values = [], [], []

    def add(i, j, count, i_from, j_from, count_from, value):
        rows.append(4 * place[count] + 2 * i + j)
        columns.append(4 * place[count_from] + 2 * i_from + j_from)
        values.append(value)

    def moved(count, lose, gain):
        new = list(count)
        new[lose] -= 1
        new[gain] += 1
        return tuple(new)

    # An element of ρ is labelled by the *value* of ρ at any arrangement with these counts, so that a term that acts on
    # one spin is read off at that spin and summed over the spins of its kind.
    h = np.array([[wz, wx], [wx, -wz]])
    g = g0 / math.sqrt(N)
    for count in counts:
        a, b, c, d = count
        for i in (UP, DOWN):
            for j in (UP, DOWN):
                for k in (UP, DOWN):  # −i[H_τ, ρ]
                    add(i, j, count, k, j, count, -1j * h[i, k])
                    add(i, j, count, i, k, count, 1j * h[k, j])
                loss = sum(decay if s == UP else pump for s in (i, j)) / 2
                add(i, j, count, i, j, count, -loss)
                if i == j:
                    add(i, j, count, 1 - i, 1 - j, count, pump if i == UP else decay)
                # bath spins: populations jump, every spin loses half the rate of its ket and of its bra
                add(i, j, count, i, j, count, -a * Decay - d * Pump - (b + c) * (Decay + Pump) / 2)
                if a:
                    add(i, j, count, i, j, moved(count, 0, 3), a * Pump)
                if d:
                    add(i, j, count, i, j, moved(count, 3, 0), d * Decay)
                # −i[g(τ+S− + τ−S+), ρ]: the central ket i and one bath ket exchange ↑ and ↓, likewise the bras
                for kind, number in enumerate(count):
                    ket, bra = divmod(kind, 2)
                    if number and ket != i:
                        add(i, j, count, 1 - i, j, moved(count, kind, 2 * (1 - ket) + bra), -1j * g * number)
                    if number and bra != j:
                        add(i, j, count, i, 1 - j, moved(count, kind, 2 * ket + 1 - bra), 1j * g * number)
    size = 4 * len(counts)
    return sp.csc_matrix((values, (rows, columns)), shape=(size, size)), place


def readout(N, place):
    """Rows that take ⟨1⟩, ⟨τz⟩ and ⟨S_x^p⟩, p = 1 … 4, from the vector.

    A product of σx on k given spins flips them, so that its expectation value is a sum over arrangements with k spins
    in ↑↓ or ↓↑. S_x^p is a sum of such products: `occurs[p][k]` says how often k different spins are left.
    """
    pairs, triples = N * (N - 1), N * (N - 1) * (N - 2)
    occurs = {
        0: {0: 1},
        1: {1: N},
        2: {2: pairs, 0: N},
        3: {3: triples, 1: N * (3 * N - 2)},
        4: {4: triples * (N - 3), 2: pairs * (6 * N - 8), 0: N * (3 * N - 2)},
    }
    rows = np.zeros((6, 4 * len(place)), dtype=complex)
    for power, parts in occurs.items():
        for k, factor in parts.items():
            for up in range(min(k, N) + 1 if k <= N else 0):
                for total in range(N - k + 1):
                    weight = factor * math.comb(k, up) * math.comb(N - k, total)
                    start = 4 * place[total, up, k - up, N - k - total]
                    rows[power + (power > 0), start] += weight
                    rows[power + (power > 0), start + 3] += weight
                    if power == 0:
                        rows[1, start], rows[1, start + 3] = weight, -weight
    return rows


def observables(moments, N):
    """⟨τz⟩, ⟨q⟩, ⟨Q²⟩, ⟨Q⁴⟩ from the moments of S_x; q = S_x/√(2εN)."""
    one, tau_z, *S = np.real(moments)
    m = [1.0, *(x / math.sqrt(2 * EPSILON * N) ** (k + 1) for k, x in enumerate(S))]
    second = m[2] - m[1] ** 2
    fourth = m[4] - 4 * m[3] * m[1] + 6 * m[2] * m[1] ** 2 - 3 * m[1] ** 4
    assert abs(one - 1) < 1e-9, one
    return np.array([tau_z, m[1], second, fourth])


def initial(N, place):
    """The central spin up, every bath spin with ⟨σz⟩ = −ε."""
    v = np.zeros(4 * len(place), dtype=complex)
    up = (1 - EPSILON) / 2
    for (a, b, c, d), k in place.items():
        if b == c == 0:
            v[4 * k] = up**a * (1 - up) ** d
    return v


def in_time(N, times):
    """Return the observables at the given times, with the central spin up and the bath in Ω_SS at time 0."""
    L, place = generator(N)
    weight, rows = scaling(N, place), readout(N, place)
    S, T = sp.diags(weight), sp.diags(1 / weight)
    L = (S @ L @ T).tocsr()
    v, now, found = weight * initial(N, place), 0.0, []
    for t in times:
        v = expm_multiply((t - now) * L, v)
        now = t
        found.append(observables(rows @ (v / weight), N))
    return np.array(found)


def scaling(N, place):
    """Square roots of the numbers of arrangements, so that the vector's norm is that of ρ."""
    log = [math.lgamma(N + 1) - sum(math.lgamma(n + 1) for n in count) for count in place]
    return np.repeat(np.exp(np.array(log) / 2), 4)


def at_rest(N):
    """Return the observables in the stationary state."""
    L, place = generator(N)
    weight, rows = scaling(N, place), readout(N, place)
    L = (sp.diags(weight) @ L @ sp.diags(1 / weight)).tolil()
    L[0] = rows[0] / weight  # one equation is redundant: the trace takes its place
    right = np.zeros(len(weight), dtype=complex)
    right[0] = 1
    return observables(rows @ (splu(L.tocsc()).solve(right) / weight), N)


def emergent(levels=60):
    """⟨τz⟩ and the moments of q at rest in the model of Eq. (9)."""
    a, sm = (
        qutip.tensor(qutip.qeye(2), qutip.destroy(levels)),
        qutip.tensor(qutip.sigmam(), qutip.qeye(levels)),
    )
    H = (
        wx * (sm + sm.dag())
        + wz * (sm.dag() * sm - sm * sm.dag())
        + g0 * math.sqrt(EPSILON) * (sm * a.dag() + sm.dag() * a)
    )
    up, down = Pump / EPSILON, Pump + Decay + Pump / EPSILON
    jumps = [math.sqrt(decay) * sm, math.sqrt(pump) * sm.dag(), math.sqrt(down) * a, math.sqrt(up) * a.dag()]
    rho = qutip.steadystate(H, jumps)
    return qutip.expect(sm.dag() * sm - sm * sm.dag(), rho)


def coefficients(sizes):
    """Return c and c₂ of ⟨τz⟩_N = ⟨τz⟩_∞ + c/N + c₂/N² + … at rest, from as many sizes as powers of 1/N."""
    limit = emergent()
    values = [N * (at_rest(N)[0] - limit) for N in sizes]
    return np.linalg.solve([[N**-k for k in range(len(sizes))] for N in map(float, sizes)], values)[:2]


if __name__ == "__main__":
    np.set_printoptions(precision=10)
    print("N = 10 at t = 1 and 4: ⟨τz⟩, ⟨q⟩, ⟨Q²⟩, ⟨Q⁴⟩", *in_time(10, [1.0, 4.0]), sep="\n")
    print("N = 80 at t = 1 and 4 (a few minutes):", *in_time(80, [1.0, 4.0]), sep="\n")
    for sizes in ((12, 16, 20, 24, 28, 32, 36), (12, 16, 20, 24, 28, 32, 36, 40)):
        print("c and c₂ of the stationary ⟨τz⟩ from", sizes, coefficients(sizes))
