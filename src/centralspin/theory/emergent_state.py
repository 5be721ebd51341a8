r"""The density matrix of the central system and the emergent boson, from a state in symmetric Liouville space.

At N = ∞ and z = ½ a state has coordinates v_n for the occupations n = (n_x, n_y) of the modes e_x = σx/2 and
e_y = σy/2. The Weyl characteristic function of the boson :math:`a = S_-/\sqrt{εN}` is then a polynomial times that of
ρ_β, for n excited sites are worth n factors of the displacement:

.. math::
    χ(α) = \mathrm{Tr}_b\, ρ\, e^{αa^† − α^*a}
         = e^{−|α|^2/2ε} \sum_n v_n \frac{(ix)^{n_x} (iy)^{n_y}}{\sqrt{n_x!\, n_y!}},
    \qquad α = \sqrt ε\,(y + ix) .

In A = α/√(2ε) and B = −α*/√(2ε) it is a sum of terms c_jk A^j B^k/√(j! k!), each of which is one diagonal of ρ in Fock
space, :math:`ρ = π^{−1}\int χ(α) e^{α^*a − αa^†} d^2α`. The boson of an inverted bath, ε < 0, is
:math:`S_+/\sqrt{|ε|N}`.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..problem.checks import checked, real_array, short, whole
from ..symmetric.state import Held

#: Below this |ε| the fluctuations commute, and there is no boson.
LEAST_POLARISATION = 1e-9
#: NumPy knows the nodes of Gauss and Laguerre for so many Fock states.
LARGEST_LEVELS = 150


def _held(name: str, state: Any) -> Held:
    """Return the coordinates of a state that has a boson, or raise."""
    held = getattr(state, "held", None)
    must = "be a `State` of infinitely many bath spins-½ with ⟨σ±⟩ = 0 and ⟨σz⟩ ≠ 0, at z = ½"
    if not isinstance(held, Held):
        raise ArgumentError(name, must, short(state))
    r, problem = held.references[0], held.task.problem
    if held.counts != [math.inf] or problem.scaling != 0.5 or len(r) != 3:
        raise ArgumentError(name, must, f"one of {len(held.counts)} classes at z = {problem.scaling:g}")
    if np.abs(r[:2]).max() > LEAST_POLARISATION or abs(r[2]) < LEAST_POLARISATION:
        raise ArgumentError(name, must, f"one with ⟨σ⟩ = {np.round(r, 12).tolist()}")
    return held


@checked(state=_held, levels=whole(2, LARGEST_LEVELS))
def bosonic_state(state: Any, levels: int) -> np.ndarray:
    r"""Return the density matrix of the central system and the lowest Fock states of the boson at N = ∞.

    The boson is :math:`a = S_-/\sqrt{εN}`, Eq. (9), with ε = −⟨σz⟩; that of an inverted bath is
    :math:`S_+/\sqrt{|ε|N}`. Purity, negativity and whatever else QuTiP reads from a density matrix are a call away.

    Parameters
    ----------
    state : State
        `steady_state(…).state` or `evolve(…).final`, at N = ∞. Its coordinates are those of the run that made it:
        ask for a tolerance, or observables, that need enough of them.
    levels : int
        The number of Fock states. What is above them is left out; the trace says how much that is.

    Returns
    -------
    ndarray, shape (d · levels, d · levels)
        As QuTiP orders a tensor product, the central system first.

    Raises
    ------
    ArgumentError
        If the state has no boson.

    Examples
    --------
    >>> import qutip
    >>> from centralspin import CentralSpinModel, bosonic_state, steady_state
    >>> state = steady_state(CentralSpinModel.figure_2(g0=1.0), ["X2", "X4"]).state
    >>> rho = qutip.Qobj(bosonic_state(state, 24), dims=[[2, 24], [2, 24]])
    >>> rho.purity(), qutip.negativity(rho, 0)
    (0.31725, 0.00970620)
    """
    held: Held = state
    epsilon = -float(held.references[0][2])
    c = _by_charge(held, math.copysign(1.0, epsilon))
    most = len(c) - 1
    diagonals = _diagonals(abs(epsilon), most, levels)
    elements = held.basis.elements
    d = held.basis.dimension
    rho = np.zeros((d, levels, d, levels), dtype=complex)
    low = np.arange(levels)
    for q in range(min(most, levels - 1) + 1):  # ⟨n + q| ρ |n⟩
        j = np.arange((most - q) // 2 + 1)
        values = np.tensordot(diagonals[q].T @ c[j, j + q], elements, axes=1)  # (n, d, d)
        rho[:, low[q:], :, low[: levels - q]] = values
        if q:
            rho[:, low[: levels - q], :, low[q:]] = values.conj().transpose(0, 2, 1)
    return rho.reshape(d * levels, d * levels)


@checked(state=_held, x=real_array, p=real_array)
def wigner(state: Any, x: Any, p: Any) -> np.ndarray:
    r"""Return the Wigner function of the boson at N = ∞, straight from the state's coordinates.

    With :math:`k = \sqrt{2ε}\,x`, :math:`l = \sqrt{2ε}\,p` and the normalised Hermite polynomials
    :math:`h_n = \mathrm{He}_n/\sqrt{n!}` it is

    .. math:: W(x, p) = \frac{ε}{π} e^{−(k^2 + l^2)/2} \sum_n (−1)^{n_y} v_n h_{n_x}(k)\, h_{n_y}(l) .

    Parameters
    ----------
    state : State
        As for `bosonic_state`.
    x, p : array of float
        The values of the quadratures, :math:`a = (x + ip)/\sqrt 2`.

    Returns
    -------
    ndarray, shape (len(p), len(x))
        That of ``qutip.wigner(rho, x, p)``; its integral over x and p is 1.

    Raises
    ------
    ArgumentError
        If the state has no boson.

    Examples
    --------
    >>> import numpy as np
    >>> from centralspin import CentralSpinModel, steady_state, wigner
    >>> state = steady_state(CentralSpinModel.figure_2(), ["X2", "X4"]).state
    >>> x = np.linspace(-6, 6, 61)
    >>> W = wigner(state, x, x)
    >>> round(float(W.sum() * 0.2**2), 6)
    1.0
    """
    held: Held = state
    epsilon = -float(held.references[0][2])
    sign, x, p = math.copysign(1.0, epsilon), np.ravel(x), np.ravel(p)
    c = _by_charge(held, sign)[..., 0]  # the trace over the central system
    of_x, of_p = (_hermite(math.sqrt(2 * abs(epsilon)) * values, len(c)) for values in (x, sign * p))
    total = np.zeros((len(p), len(x)))
    for quanta, rotation in enumerate(_rotations(len(c) - 1)):
        n_y = np.arange(quanta + 1)
        v = (-1j * sign) ** n_y * (rotation.T @ c[n_y, quanta - n_y])
        total += np.einsum("n,np,nx->px", ((-1.0) ** n_y * v).real, of_p[n_y], of_x[quanta - n_y])
    return abs(epsilon) / math.pi * total


def _hermite(k: np.ndarray, count: int) -> np.ndarray:
    """exp(−k²/2) He_n(k)/√n! for n < count, shape (count, len(k))."""
    h = np.zeros((count + 1, len(k)))
    h[0] = np.exp(-(k**2) / 2)
    for n in range(count - 1):
        h[n + 1] = (k * h[n] - math.sqrt(n) * h[n - 1]) / math.sqrt(n + 1)
    return h[:count]


def _by_charge(held: Held, sign: float) -> np.ndarray:
    """The coefficients c_jk of A^j B^k/√(j! k!), shape (K + 1, K + 1, d²): ix = (A + B)/√2, iy = ±i (A − B)/√2."""
    occupations, vectors = held.occupations, held.vectors[..., 0]
    most = int(occupations[:, :2].sum(axis=1).max(initial=0))
    c = np.zeros((most + 1, most + 1, vectors.shape[1]), dtype=complex)
    alone = occupations[:, 2] == 0
    if (
        held.pairs is not None
    ):  # of the modes (e_x ± i e_y)/√2 the first is B, the second A, or the other way round
        of_b, of_a = occupations[alone, :2].T if sign > 0 else occupations[alone, 1::-1].T
        c[of_a, of_b] = vectors[alone]
        return c
    for total, rotation in enumerate(_rotations(most)):
        here = (occupations[:, :2].sum(axis=1) == total) & alone
        n_y = occupations[here, 1]
        j = np.arange(total + 1)
        c[j, total - j] = rotation[:, n_y] @ ((1j * sign) ** n_y[:, None] * vectors[here])
    return c


@functools.lru_cache(maxsize=8)
def _rotations(most: int) -> list[np.ndarray]:
    """For every n_x + n_y = total the matrix from n_y to j, orthogonal: A and B are x and y turned by 45°."""
    found = [np.ones((1, 1))]
    for total in range(1, most + 1):
        before, R = found[-1], np.zeros((total + 1, total + 1))
        up, down = np.sqrt(np.arange(1, total + 1) / 2), np.sqrt(np.arange(total, 0, -1) / 2)
        for n_y in range(total + 1):  # one quantum more in x, or the last one in y
            sign, column, root = (1, n_y, total - n_y) if n_y < total else (-1, n_y - 1, n_y)
            R[1:, n_y] += up * before[:, column] / math.sqrt(root)
            R[:-1, n_y] += sign * down * before[:, column] / math.sqrt(root)
        found.append(R)
    return found


@functools.lru_cache(maxsize=8)
def _diagonals(epsilon: float, most: int, levels: int) -> list[np.ndarray]:
    r"""For every q the diagonals ⟨n + q| · |n⟩ of A^j B^{j+q}/√(j! (j+q)!), shape (j, n).

    They are :math:`(−1)^j \int_0^∞ e^{−w} w^{j+q/2}/\sqrt{j!(j+q)!}\; ψ_n^q(2εw)\, 2ε\, dw` with w = |α|²/2ε and
    :math:`ψ_n^q(u) = \sqrt{n!/(n+q)!}\, u^{q/2} e^{−u/2} L_n^{(q)}(u)`, which Gauss and Laguerre integrate exactly.
    """
    t, weights = np.polynomial.laguerre.laggauss((2 * levels + most) // 4 + 1)
    w = t / (1 + epsilon)  # e^{−w} e^{−εw} = e^{−t}
    u = 2 * epsilon * w
    found = []
    root = np.sqrt(weights * 2 * epsilon / (1 + epsilon))  # of the weight, on both factors: none overflows
    for q in range(min(most, levels - 1) + 1):
        size = (most - q) // 2 + 1
        of_bath = np.empty((size, len(t)))
        of_bath[0] = root * np.exp(0.5 * q * np.log(w) - 0.5 * math.lgamma(q + 1))
        for j in range(1, size):
            of_bath[j] = -of_bath[j - 1] * w / math.sqrt(j * (j + q))
        psi = np.empty((levels - q, len(t)))
        psi[0] = root * np.exp(0.5 * q * np.log(u) - 0.5 * math.lgamma(q + 1))
        if levels - q > 1:
            psi[1] = psi[0] * (1 + q - u) / math.sqrt(1 + q)
        for n in range(1, levels - q - 1):
            ahead, back = math.sqrt((n + 1) * (n + 1 + q)), math.sqrt(n * (n + q))
            psi[n + 1] = ((2 * n + 1 + q - u) * psi[n] - back * psi[n - 1]) / ahead
        found.append(of_bath @ psi.T)
    return found
