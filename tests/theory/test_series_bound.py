"""Do the bounds behind Corollary 1 count what they say, and do they hold at every bath size?"""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln, logsumexp

from centralspin import ArgumentError, CentralSpinModel
from centralspin.theory.corollary_1 import BosonDynamics, BosonPolynomials, MonomialDynamics
from centralspin.theory.series_bound import (
    assignment_bound,
    assignment_weight,
    log_defect,
    number_weight,
    power_bound,
    rate_bound,
    series_bound,
)

TRIPLES = [
    ((0, 0, 0, 0), (0, 1, 1, 0), (0, 0, 0, 0)),
    ((1, 1, 0, 0), (2, 0, 1, 1), (3, 0, 1, 1)),
    ((2, 0, 1, 0), (1, 2, 0, 0), (1, 1, 0, 0)),
]
PHI = (0.36, -0.48, 0.64)


def model(N: float = math.inf, **changes) -> CentralSpinModel:
    parameters = {"g0": 4.0, "central_field": (1.0, 0.3, 0.5), "central_pump": 0.8, "central_decay": 0.1}
    return CentralSpinModel(N=N, **parameters | {"bath_pump": 0.2, "bath_decay": 1.0} | changes)


@pytest.mark.parametrize("N", [1, 2, 5])
def test_weights_are_coefficients_of_the_generating_function(N):
    """(e^{u+v} − u)^N multiplied out in exact fractions."""
    letters, averages = 6, 2
    site = {(i, k): Fraction(1, math.factorial(i) * math.factorial(k))
            for i in range(letters + 1) for k in range(averages + 1)}  # fmt: skip
    site[1, 0] -= 1
    power = {(0, 0): Fraction(1)}
    for _ in range(N):
        product: dict[tuple[int, int], Fraction] = {}
        for (i, k), a in power.items():
            for (j, m), b in site.items():
                if i + j <= letters and k + m <= averages:
                    product[i + j, k + m] = product.get((i + j, k + m), Fraction(0)) + a * b
        power = product
    for n in range(0, letters + 1, 2):
        for l in range(averages + 1):
            exact = power.get((n, l), Fraction(0)) * math.factorial(n) * math.factorial(l)
            assert assignment_weight(N, n, l) == exact / N ** (n // 2 + l)


def test_weights_have_a_limit_and_a_bound():
    """Pairings, (n − 1)!! of them, as N → ∞; never more than the bound."""
    assert float(assignment_weight(10**9, 6, 1)) == pytest.approx(15, rel=1e-6)
    for N in (1, 4, 50, 10**6):
        for n in range(0, 40, 2):
            for l in range(4):
                if weight := assignment_weight(N, n, l):
                    assert math.log(weight) <= assignment_bound(n, l) + 1e-12


@settings(max_examples=6, deadline=None)
@given(
    st.floats(0.0, 0.95), st.floats(-4, 4), st.tuples(*[st.floats(-1, 1)] * 3), st.sampled_from([1, 2, 5, 10**4])
)  # fmt: skip
def test_powers_are_bounded_at_every_size(pump, g0, field, N):
    m = model(N, bath_pump=pump, g0=g0, central_field=field)
    dynamics, count = MonomialDynamics(m, min(14, 2 * N)), 12
    for nu, mu, eta in TRIPLES:
        powers = np.abs(dynamics.powers(dynamics.start(nu, eta, PHI), [mu], count)[:, 0])
        assert (powers <= np.exp(power_bound(m, nu, mu, eta, count)) * (1 + 1e-9) + 1e-12).all()


def test_constants_of_the_bounds_by_hand():
    """k = 0 and 1 of the simplest triple, P^μ = a†a in Ω_SS: n = 2, l = 0, d = 2."""
    m = model()
    central, site = 2 * math.sqrt(1.34) + 1.8, 2.4
    A = [math.factorial(n) * (2 * math.e / n) ** (n / 2) for n in (2, 3)]
    expected = np.array([A[0], (central + 2 * site) * A[0] + 16 * A[1]]) / m.epsilon
    np.testing.assert_allclose(np.exp(power_bound(m, *TRIPLES[0], 1)), expected, rtol=1e-12)
    t = 0.1
    x = 16 * t * math.exp(site * t)
    by_hand = 2 / m.epsilon * math.exp(t * (central + 2 * site)) * (1 + x) * math.exp((1 + x) ** 2 + 2)
    assert math.exp(series_bound(m, *TRIPLES[0], [t])[0]) == pytest.approx(by_hand, rel=1e-12)
    y = 1 + 16 * t
    R = 0.5 * (1 + y**2 / 2) ** 2 * (2 + y**2) * math.exp(y**2 + 2 * y + 4)
    assert math.exp(log_defect(y, 1)) == pytest.approx(R, rel=1e-12)
    assert math.exp(rate_bound(m, *TRIPLES[0], [t])[0]) == pytest.approx(2 / m.epsilon * R, rel=1e-12)


def test_the_majorant_is_summable():
    m, k = model(), np.arange(1001)
    for triple in TRIPLES:
        log_b = power_bound(m, *triple, 1000)
        for t in (0.01, 0.1):
            assert logsumexp(log_b + k * math.log(t) - gammaln(k + 1)) <= series_bound(m, *triple, [t])[0]


def test_polynomials_are_the_fock_space():
    m = model()
    fock, exact = BosonDynamics(m, 40), BosonPolynomials(m)
    for nu, mu, eta in TRIPLES:
        expected = fock.powers(fock.start(nu, eta, PHI), [mu], 6)[:, 0]
        np.testing.assert_allclose(exact.powers(nu, mu, eta, 6, PHI), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("pump", [0.0, 0.2, 0.9])
def test_high_occupations_are_damped(pump):
    """The inequality level by level: on |n⟩ the largest value of its right side is c."""
    m = model(bath_pump=pump)
    x, c = number_weight(m)
    n = np.arange(10_000)
    side = m.boson_pump + 4 * np.sqrt(m.epsilon * (n + 1)) - (m.boson_loss / x - m.boson_pump) * n
    assert x > 1 and (pump == 0 or x < m.bath_decay / pump)
    assert ((x - 1) * side).max() <= c
    assert ((x - 1) * side).max() > 0.9 * c


def test_bad_input_is_refused():
    with pytest.raises(ArgumentError, match="`fluctuations` must be even"):
        assignment_weight(3, 1, 0)
    with pytest.raises(ArgumentError, match="`bath_pump`"):
        power_bound(model(bath_pump=1.0), *TRIPLES[0], 2)
