r"""Bounds on the matrix elements of L^k that do not depend on N, and what they say about Corollary 1.

L^k[P^μ] is a sum of words in L_τ, D_bath and the four multiplications of i[H_int, ·]. Written out over sites,
a word is a sum over assignments of its letters σ± (from a_N, a_N† and H_int) and σ_z (from m_z^N) to sites. A
site that holds one letter σ± and nothing else has no expectation in Ω_SS, also after any number of
applications of D_bath. With the weights N^{−1/2} of a letter σ± and 1/N of a letter σ_z, the assignments that
are left have the generating function

.. math:: G_N(y, z) = (e^{u+v} - u)^N \le e^{y^2 + 2z}, \qquad u = y/\sqrt N,\; v = z/N,

at every N. All bounds below are logarithms, since they leave the range of floating-point numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.special import gammaln, logsumexp, xlogy

from ..errors import ArgumentError
from ..problem.central_spin import CentralSpinModel, paper_model
from ..problem.checks import checked, real_array, whole
from .corollary_1 import Monomial, exponents_of, monomial_rule

#: Sites, letters and powers of L up to which weights are counted in a moment.
LARGEST_N, LARGEST_LETTERS, LARGEST_POWER = 10**9, 400, 10_000
#: Largest exponent of what is squared afterwards.
LARGEST_EXPONENT = 150.0


def _not_negative(name: str, value: Any) -> np.ndarray:
    return real_array(name, value, minimum=0)


@checked(N=whole(1, LARGEST_N), fluctuations=whole(0, LARGEST_LETTERS), averages=whole(0, LARGEST_LETTERS))
def assignment_weight(N: int, fluctuations: int, averages: int) -> Fraction:
    r"""Return the weight of all assignments of letters to N sites that contribute in Ω_SS, exactly.

    .. math:: A_N(n, l) = N^{-n/2-l} \sum_{i=0}^n (-1)^i \binom ni (N)_i (N-i)^{n+l-i}

    counts the maps of n letters σ± and l letters σ_z to N sites in which no σ± is alone on its site
    (inclusion and exclusion; (N)_i is the falling factorial).

    Parameters
    ----------
    N : int
        The number of sites.
    fluctuations : int
        The number n of letters σ±, even; an odd number of them never contributes.
    averages : int
        The number l of letters σ_z.
    """
    if fluctuations % 2:
        raise ArgumentError("fluctuations", "be even", fluctuations)
    letters = fluctuations + averages
    count = sum(
        (-1) ** i * math.comb(fluctuations, i) * math.perm(N, i) * (N - i) ** (letters - i)
        for i in range(min(fluctuations, N) + 1)
    )
    return Fraction(count, N ** (fluctuations // 2 + averages))


@checked(fluctuations=_not_negative, averages=whole())
def assignment_bound(fluctuations: Any, averages: int) -> np.ndarray:
    r"""Return ln of a bound on A_N(n, l) that holds for every N.

    Coefficients of a series that is positive term by term obey c_{nl} ≤ G(y, z)/(y^n z^l) for all y, z > 0;
    the best, y² = n/2 and z = l/2, give A_N ≤ n! (2e/n)^{n/2} l! (2e/l)^l.
    """
    n = np.asarray(fluctuations, dtype=float)
    best = n / 2 * np.log(2 * math.e / np.maximum(n, 1)) + averages * math.log(2 * math.e / max(averages, 1))
    return np.asarray(gammaln(n + 1) + gammaln(averages + 1) + best)


@checked(
    model=paper_model, nu=monomial_rule, mu=monomial_rule, eta=monomial_rule, count=whole(0, LARGEST_POWER)
)
def power_bound(model: CentralSpinModel, nu: Monomial, mu: Monomial, eta: Monomial, count: int) -> np.ndarray:
    r"""Return ln b_k for k = 0 … `count`, where |φ⊗Ω_SS(P^ν L^k[P^μ] P^η)| ≤ b_k at every N.

    .. math:: b_k = ε^{-n/2} \sum_{j=0}^k \binom kj (4|g_0|)^j (ℓ + C(d + j))^{k-j} A(n + j, l)

    Here n and l count the letters of the three monomials, d is the degree of P^μ, ℓ = 2|w| + 2(γ↑ + γ↓)
    bounds ‖L_τ‖, C = 2Γ+ bounds ‖D‖ of one site, and A is `assignment_bound`.
    """
    n, l, d = _letters(nu, mu, eta)
    central, site = _norms(model)
    bounds = []
    for k in range(count + 1):
        j = np.arange(k + 1)
        choices = gammaln(k + 1) - gammaln(j + 1) - gammaln(k - j + 1)
        steps = xlogy(j, 4 * abs(model.g0)) + xlogy(k - j, central + site * (d + j))
        bounds.append(logsumexp(choices + steps + assignment_bound(n + j, l)))
    return np.array(bounds) - n / 2 * math.log(model.require_boson())


@checked(model=paper_model, nu=monomial_rule, mu=monomial_rule, eta=monomial_rule, times=_not_negative)
def series_bound(
    model: CentralSpinModel, nu: Monomial, mu: Monomial, eta: Monomial, times: Sequence[float]
) -> np.ndarray:
    r"""Return ln S(t), where Σ_k t^k b_k/k! ≤ S(t) < ∞ for all times: the series of (A1) and (A2) converge.

    .. math:: S(t) = ε^{-n/2}\, n!\, l!\; e^{t(ℓ + Cd)}\, (1 + x)\, e^{(1+x)^2 + 2}, \qquad x = 4|g_0|t\,e^{Ct}
    """
    n, l, d = _letters(nu, mu, eta)
    central, site = _norms(model)
    t = np.asarray(times, dtype=float)
    if site * t.max() > LARGEST_EXPONENT:
        raise ArgumentError(
            "times", f"be at most {LARGEST_EXPONENT / site:.3g}, where e^{{Ct}} overflows", t.max()
        )
    x = 4 * abs(model.g0) * t * np.exp(site * t)
    prefactor = gammaln(n + 1) + gammaln(l + 1) - n / 2 * math.log(model.require_boson())
    return np.asarray(prefactor + t * (central + site * d) + np.log1p(x) + (1 + x) ** 2 + 2)


@checked(model=paper_model, nu=monomial_rule, mu=monomial_rule, eta=monomial_rule, times=_not_negative)
def rate_bound(
    model: CentralSpinModel, nu: Monomial, mu: Monomial, eta: Monomial, times: Sequence[float]
) -> np.ndarray:
    r"""Return ln K(t) of |V_N(t) − V_∞(t)| ≤ K(t)/N, for the matrix elements V of Corollary 1 and every N ≥ 1.

    .. math:: K(t) = ε^{-n/2}\, n!\, l!\; R(1 + 4|g_0|t, 1), \qquad
        R(y, z) = \tfrac12 (z + \tfrac12 y^2)^2 (2 + y^2)\, e^{y^2 + 2y + 4z}

    This is the bound from the expansion in H_int, between whose steps e^{tL_τ} and e^{tD} contract.
    """
    n, l, _ = _letters(nu, mu, eta)
    y = 1 + 4 * abs(model.g0) * np.asarray(times, dtype=float)
    prefactor = gammaln(n + 1) + gammaln(l + 1) - n / 2 * math.log(model.require_boson())
    return np.asarray(prefactor + log_defect(y, 1.0))


@checked(y=_not_negative, z=_not_negative)
def log_defect(y: Any, z: Any) -> np.ndarray:
    """Return ln R(y, z) of `rate_bound`, where R/N bounds all that is not the limit in G_N(y, z)."""
    y, z = np.asarray(y, dtype=float), np.asarray(z, dtype=float)
    return np.asarray(2 * np.log(z + y**2 / 2) + np.log(1 + y**2 / 2) + y**2 + 2 * y + 4 * z)


@checked(model=paper_model)
def number_weight(model: CentralSpinModel) -> tuple[float, float]:
    r"""Return x > 1 and c with L̃[x^{a†a}] ≤ c x^{a†a}, which bounds high occupations for all times.

    .. math:: \tilde L[x^{\hat n}] \le (x - 1)\, x^{\hat n} \bigl[ κ_↑ + g_0\sqrt{ε(\hat n + 1)}
        - (κ_↓/x - κ_↑)\, \hat n \bigr]

    for 1 < x < κ↓/κ↑ = Γ↓/Γ↑; x is the geometric mean of the two ends, 2 without a pump. The same holds for
    a, a† cut at any number of quanta.
    """
    epsilon = model.require_boson()
    x = math.sqrt(model.bath_decay / model.bath_pump) if model.bath_pump > 0 else 2.0
    g, slope = abs(model.g0) * math.sqrt(epsilon), model.boson_loss / x - model.boson_pump
    # κ↑ + g√(n + 1) − slope·n is largest at √(n + 1) = g/(2 slope)
    return x, (x - 1) * (model.boson_pump + slope + g**2 / (4 * slope))


def _letters(nu: Monomial, mu: Monomial, eta: Monomial) -> tuple[int, int, int]:
    """The numbers of a and a†, of m_z, and the degree of P^μ."""
    exponents = [exponents_of(p) for p in (nu, mu, eta)]
    n = sum(raising + lowering for raising, lowering, _ in exponents)
    return n, sum(e[2] for e in exponents), sum(exponents[1])


def _norms(model: CentralSpinModel) -> tuple[float, float]:
    """Bounds on ‖L_τ‖ and on the dissipator of one site."""
    field = float(np.linalg.norm(model.central_hamiltonian(), 2))
    return 2 * field + 2 * (model.central_pump + model.central_decay), 2 * model.bath_rate
