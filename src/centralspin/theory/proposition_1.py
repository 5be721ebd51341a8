r"""Proposition 1 at finite N: the quantum central limit theorem for a_N = S−/√(εN) of Eq. (5) in Ω_SS.

Ω_SS is a product state and :math:`D_N(s) = e^{s a_N^† - s^* a_N}` a product of single-site SU(2) rotations,

.. math:: u(s) = \exp\frac{s σ_+ - s^* σ_-}{\sqrt{εN}} = \cos θ + \frac{s σ_+ - s^* σ_-}{|s|} \sin θ,
    \qquad θ = \frac{|s|}{\sqrt{εN}},

so that every expectation value of displacement operators is the N-th power of a 2×2 trace,
:math:`Ω_{SS}(D_N(s_1) ⋯ D_N(s_k)) = [\mathrm{Tr}\, ω u(s_1) ⋯ u(s_k)]^N`. All matrices below are kept as
u − 1, whose diagonal is of order 1/N, so that the N-th power and its distance to the limit keep their digits
up to N = 10⁷ and beyond.

Within one total-spin sector j, Ω_SS is diagonal in |j, m⟩ with weights ∝ (Γ↑/Γ↓)^m: the number of
excitations n = j + m is geometrically distributed, as in a thermal state, up to its cut at 2j.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import eval_laguerre, gammaln

from ..errors import ArgumentError
from ..problem.central_spin import CentralSpinModel, paper_model
from ..problem.checks import checked, complex_array, short, whole

#: Sums over all sectors and all their states hold about N²/4 numbers.
LARGEST_SUM = 20_000
#: Fock states, and sites whose total spins are listed, at most.
LARGEST_LEVELS, LARGEST_SPINS = 10_000, 20_000_000
#: Beyond it e^{−|s|²/2} and the Laguerre polynomials leave the range of numbers.
LARGEST_AMPLITUDE = 25.0


def _moderate(name: str, value: Any) -> np.ndarray:
    s = complex_array(name, value)
    if np.abs(s).max() > LARGEST_AMPLITUDE:
        raise ArgumentError(name, f"be at most {LARGEST_AMPLITUDE:g} in size", f"{np.abs(s).max():.3g}")
    return s


def _callable(name: str, value: Any) -> Any:
    if not callable(value):
        raise ArgumentError(name, "be a function f(j, n)", short(value))
    return value


def _amplitudes(name: str, value: Any) -> tuple[np.ndarray, ...]:
    """Displacements that broadcast against each other."""
    if not value:
        raise ArgumentError(name, "hold at least one displacement", "empty")
    arrays = [complex_array(name, s) for s in value]
    try:
        return tuple(np.broadcast_arrays(*arrays))
    except ValueError:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ArgumentError(name, "broadcast against each other", f"of the shapes {shapes}") from None


def _one_amplitude(name: str, value: Any) -> complex:
    s = complex_array(name, value)
    if s.size > 1:
        raise ArgumentError(name, "be one number", f"of shape {s.shape}")
    return complex(s.item())


@checked(model=paper_model, amplitudes=_amplitudes)
def displacement(model: CentralSpinModel, *amplitudes: Any) -> np.ndarray:
    r"""Return Ω_SS(D_N(s_1) ⋯ D_N(s_k)), exactly at finite N and in the limit of Proposition 1 at N = ∞.

    Parameters
    ----------
    model : CentralSpinModel
        Its N, Γ↑ and Γ↓ are used; at N = ∞ the value is
        :math:`e^{-|Σ s_i|^2/2ε} \prod_{i<j} e^{(s_i s_j^* - s_i^* s_j)/2}`.
    *amplitudes : complex or array_like
        The displacements s_1, …, s_k, which broadcast against each other.

    Returns
    -------
    ndarray
        Complex, of the common shape of the amplitudes.
    """
    epsilon = model.require_boson()
    s = amplitudes
    if math.isinf(model.N):
        phase = sum((s[i] * s[j].conj()).imag for j in range(len(s)) for i in range(j)) + 0 * s[0].real
        return np.asarray(np.exp(-(np.abs(sum(s)) ** 2) / (2 * epsilon) + 1j * phase))
    excess = _rotation(model, s[0])
    for amplitude in s[1:]:
        excess = _compose(excess, _rotation(model, amplitude))
    return _power(model, excess)


@checked(model=paper_model, amplitudes=_amplitudes)
def displacement_coefficient(model: CentralSpinModel, *amplitudes: Any) -> np.ndarray:
    r"""Return c of Ω_SS(D_N(s_1) ⋯ D_N(s_k)) = limit · (1 + c/N + O(N⁻²)).

    The single-site trace is 1 + A_2/N + A_4/N² + … (odd orders of a rotation have no diagonal), hence
    c = A_4 − A_2²/2. For one operator c = −|s|⁴/(12ε²).
    """
    epsilon = model.require_boson()
    p = (1 - epsilon) / 2
    series = None
    for s in amplitudes:
        X = np.zeros((*s.shape, 2, 2), dtype=complex)
        X[..., 0, 1], X[..., 1, 0] = s / math.sqrt(epsilon), -s.conj() / math.sqrt(epsilon)
        terms = [np.broadcast_to(np.eye(2), X.shape)]
        for k in range(1, 5):
            terms.append(terms[-1] @ X / k)
        series = (
            terms
            if series is None
            else [
                sum((series[i] @ terms[k - i] for i in range(k + 1)), start=np.zeros_like(X))
                for k in range(5)
            ]
        )
    assert series is not None
    A2, A4 = (p * series[k][..., 0, 0] + (1 - p) * series[k][..., 1, 1] for k in (2, 4))
    return np.asarray(A4 - A2**2 / 2)


@checked(model=paper_model, amplitude=_moderate, levels=whole(1, LARGEST_LEVELS))
def thermal_characteristic(model: CentralSpinModel, amplitude: Any, levels: int = 400) -> np.ndarray:
    r"""Return Tr(ρ_β D(s)) summed over Fock states, a route that knows nothing of spins.

    ⟨n|D(s)|n⟩ = e^{−|s|²/2} L_n(|s|²), and ρ_β has the weights (1 − x) xⁿ with x = e^{−βω} = Γ↑/Γ↓.
    """
    model.require_boson()
    x = model.bath_pump / model.bath_decay
    squared = np.abs(np.asarray(amplitude))[..., None] ** 2
    n = np.arange(levels)
    return np.asarray(((1 - x) * x**n * np.exp(-squared / 2) * eval_laguerre(n, squared)).sum(axis=-1))


@dataclass(frozen=True)
class CompositionDefect:
    r"""How large the remainder of Eq. (S1) is, in three senses.

    The remainder is :math:`R = D_N(s_1) D_N(s_2) - D_N(s_1+s_2) e^{-m_z (s_1 s_2^* - s_1^* s_2)/2ε}`.

    Attributes
    ----------
    norm : float
        The operator norm ‖R‖.
    root_mean_square : float
        √Ω_SS(R†R), its size on the state.
    mean : float
        |Ω_SS(R)|.
    """

    norm: float
    root_mean_square: float
    mean: float


@checked(model=paper_model, s1=_one_amplitude, s2=_one_amplitude)
def composition_defect(model: CentralSpinModel, s1: complex, s2: complex) -> CompositionDefect:
    """Return the exact size of the remainder of Eq. (S1) at finite N.

    R is a difference of two products of N equal rotations: with v the rotation by an angle α that leads
    from one to the other, ‖R‖ = max_k |e^{iα(N−2k)} − 1| and Ω_SS(R†R) = 2 − 2 Re [Tr(ω v)]^N.
    """
    epsilon = model.require_boson()
    N = _finite(model)
    a, b = s1, s2
    turn = (a * b.conjugate()).imag / (epsilon * N)  # the exponent is −i·turn·Σσz
    phase = np.diag([np.expm1(-1j * turn), np.expm1(1j * turn)])
    product = _compose(_rotation(model, np.asarray(a)), _rotation(model, np.asarray(b)))
    single = _compose(_rotation(model, np.asarray(a + b)), phase)
    v = _compose(single.conj().T, product)
    # α from the entries that do not cancel: v − 1 holds sin α in its off-diagonal and imaginary diagonal.
    sine = math.hypot(abs(v[0, 1]), v[0, 0].imag)
    alpha = math.asin(min(sine, 1.0)) if v[0, 0].real > -1 else math.pi - math.asin(min(sine, 1.0))
    k = np.arange(int(N) + 1) if N * alpha > math.pi else np.zeros(1)
    norm = float(np.abs(2 * np.sin(alpha * (N - 2 * k) / 2)).max())
    exponent = N * _log1p(np.asarray(-2 * math.sin(alpha / 2) ** 2 - 1j * epsilon * v[0, 0].imag))
    squared = -2 * (np.expm1(exponent.real) * np.cos(exponent.imag) - 2 * np.sin(exponent.imag / 2) ** 2)
    mean = abs(complex(_power(model, product) - _power(model, single)))
    return CompositionDefect(norm, math.sqrt(max(float(squared), 0.0)), mean)


@checked(model=paper_model)
def sectors(model: CentralSpinModel) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the total spins j of N spins and their probabilities P_j in Ω_SS.

    :math:`P_j = d_j\, p^{N/2-j} q^{N/2+j} \sum_{n=0}^{2j} x^n` with p = Γ↑/Γ+ = 1 − q, x = p/q, and
    :math:`d_j = \frac{2j+1}{N/2+j+1}\binom{N}{N/2-j}` copies of spin j.
    """
    epsilon, N = model.require_boson(), _finite(model)
    if N > LARGEST_SPINS:
        raise ArgumentError("N", f"be at most {LARGEST_SPINS:,} for a list of all total spins", model.N)
    p, q = (1 - epsilon) / 2, (1 + epsilon) / 2
    down = np.arange(int(N) // 2, -1, -1)  # N/2 − j
    j = N / 2 - down
    log_copies = (
        np.log((2 * j + 1) / (N / 2 + j + 1)) + gammaln(N + 1) - gammaln(down + 1) - gammaln(N - down + 1)
    )
    x = p / q
    with np.errstate(divide="ignore", invalid="ignore"):
        log_pumped = np.where(down == 0, 0.0, down * np.log(p))
    geometric = (1 - x ** (2 * j + 1)) / (1 - x)
    return j, np.exp(log_copies + log_pumped + (N - down) * math.log(q)) * geometric


@checked(model=paper_model, function=_callable)
def sector_average(
    model: CentralSpinModel, function: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> float:
    """Return the average over Ω_SS of a function f(j, n) of the total spin and the excitations n = j + m.

    The sum runs over all sectors and all their states: a†_N a_N is n(2j − n + 1)/(εN), m_z is 2(n − j)/N.
    """
    if _finite(model) > LARGEST_SUM:
        raise ArgumentError("N", f"be at most {LARGEST_SUM} for a sum over all states", model.N)
    j, probability = sectors(model)
    x = model.bath_pump / model.bath_decay
    total = 0.0
    for start in range(0, len(j), 256):  # in pieces, to bound the memory
        spins, weights = j[start : start + 256, None], probability[start : start + 256]
        n = np.arange(round(2 * float(spins.max())) + 1)
        inside = n <= 2 * spins
        geometric = np.where(inside, x**n, 0.0) * ((1 - x) / (1 - x ** (2 * spins + 1)))
        try:
            values = np.broadcast_to(np.asarray(function(spins, n), dtype=float), inside.shape)
        except Exception as error:
            raise ArgumentError(
                "function", "give a real number for every j and n", f"raising {error!r}"
            ) from None
        total += float(weights @ (geometric * np.where(inside, values, 0.0)).sum(axis=1))
    return total


@checked(model=paper_model)
def excitation_distance(model: CentralSpinModel) -> float:
    r"""Return the total-variation distance between n = j + m in Ω_SS and the occupation of ρ_β.

    With g(n) = (1 − x) xⁿ the difference of the two probabilities is
    :math:`g(n) [\sum_{2j ≥ n} P_j x^{2j+1}/(1-x^{2j+1}) - \sum_{2j<n} P_j]`, a sum without cancellation
    against 1; beyond the largest n = N only g is left.
    """
    j, probability = sectors(model)
    x, N = model.bath_pump / model.bath_decay, _finite(model)
    n = np.arange(int(N) + 1)
    first = np.searchsorted(2 * j, n)  # the first sector that holds n
    below = np.r_[0.0, np.cumsum(probability)][first]
    excess = probability * x ** (2 * j + 1) / (1 - x ** (2 * j + 1))
    above = np.r_[np.cumsum(excess[::-1])[::-1], 0.0][first]
    return float((np.abs((1 - x) * x**n * (above - below)).sum() + x ** (N + 1)) / 2)


def _finite(model: CentralSpinModel) -> float:
    if math.isinf(model.N):
        raise ArgumentError("N", "be finite here", model.N)
    return float(model.N)


def _rotation(model: CentralSpinModel, s: np.ndarray) -> np.ndarray:
    """Return the matrix u(s) − 1 of the module's docstring in the basis |↑⟩, |↓⟩; shape (…, 2, 2)."""
    scale = 1 / math.sqrt(model.require_boson() * _finite(model))
    theta = np.abs(s) * scale
    excess = np.empty((*s.shape, 2, 2), dtype=complex)
    excess[..., 0, 0] = excess[..., 1, 1] = -2 * np.sin(theta / 2) ** 2
    excess[..., 0, 1] = s * scale * np.sinc(theta / np.pi)
    excess[..., 1, 0] = -excess[..., 0, 1].conj()
    return excess


def _compose(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """(1 + A)(1 + B) − 1."""
    return np.asarray(A + B + A @ B)


def _power(model: CentralSpinModel, excess: np.ndarray) -> np.ndarray:
    """[Tr ω(1 + excess)]^N."""
    p = (1 - model.require_boson()) / 2
    exponent = _finite(model) * _log1p(p * excess[..., 0, 0] + (1 - p) * excess[..., 1, 1])
    return np.asarray(np.exp(exponent.real) * np.exp(1j * exponent.imag))


def _log1p(z: np.ndarray) -> np.ndarray:
    """log(1 + z) of complex z with a small real part kept; NumPy's own loses it."""
    z = np.asarray(z, dtype=complex)
    with np.errstate(divide="ignore"):
        modulus = np.log1p(2 * z.real + np.abs(z) ** 2) / 2
    return np.asarray(modulus + 1j * np.arctan2(z.imag, 1 + z.real))
