"""Are the measures of non-Gaussianity, non-classicality and entanglement right where they are known in closed form?"""

import math

import numpy as np
import pytest
import qutip
from scipy.integrate import quad
from scipy.special import j0

from centralspin import ArgumentError
from centralspin.theory.non_gaussianity import (
    covariance,
    entanglement_margin,
    negativity,
    partial_transpose_minimum,
    relative_entropy_to_gaussian,
    smoothed_p,
    wigner_minimum,
)

DIMENSION = 80


@pytest.mark.parametrize(
    "rho",
    [
        qutip.fock_dm(DIMENSION, 0),
        qutip.thermal_dm(DIMENSION, 0.7),
        qutip.coherent_dm(DIMENSION, 1.5 - 0.4j),
        qutip.ket2dm(qutip.squeeze(DIMENSION, 0.4j) * qutip.coherent(DIMENSION, 0.5)),
    ],
)
def test_gaussian_states_have_none(rho):
    assert relative_entropy_to_gaussian(rho) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_fock_states(n):
    """A Fock state is pure, and its Gaussian is the thermal state of the same occupation."""
    expected = (n + 1) * math.log(n + 1) - n * math.log(n)
    assert relative_entropy_to_gaussian(qutip.fock_dm(DIMENSION, n)) == pytest.approx(expected, abs=1e-9)


def test_it_does_not_change_under_displacement_and_squeezing():
    rho = 0.6 * qutip.fock_dm(DIMENSION, 0) + 0.4 * qutip.fock_dm(DIMENSION, 2)
    U = qutip.displace(DIMENSION, 0.7 + 0.3j) * qutip.squeeze(DIMENSION, 0.2)
    before, after = relative_entropy_to_gaussian(rho), relative_entropy_to_gaussian(U * rho * U.dag())
    assert before > 0.1
    assert after == pytest.approx(before, abs=1e-6)


def test_the_covariance_of_a_squeezed_state():
    rho = qutip.ket2dm(qutip.squeeze(DIMENSION, 0.5) * qutip.fock(DIMENSION, 0))
    np.testing.assert_allclose(covariance(rho), np.diag([math.exp(-1), math.exp(1)]) / 2, atol=1e-8)


def test_a_truncated_state_is_refused():
    with pytest.raises(ArgumentError, match="must have an empty last Fock state"):
        covariance(qutip.thermal_dm(6, 2.0))


def test_the_lowest_wigner_function_of_displaced_fock_states():
    """W = −1/π at the centre of |1⟩; a mixture with the vacuum is (1 − 2p)/π there."""
    displaced = qutip.displace(DIMENSION, 0.7 - 0.4j)
    for p in (1.0, 0.8):
        rho = p * qutip.fock_dm(DIMENSION, 1) + (1 - p) * qutip.fock_dm(DIMENSION, 0)
        lowest, q, momentum = wigner_minimum(displaced * rho * displaced.dag())
        assert lowest == pytest.approx((1 - 2 * p) / math.pi, abs=1e-6)
        assert (q, momentum) == pytest.approx((0.7 * math.sqrt(2), -0.4 * math.sqrt(2)), abs=1e-3)


def test_the_lowest_wigner_function_far_away_and_squeezed():
    """It is found where the state is: far from zero, and wide in one quadrature and narrow in the other."""
    far = qutip.displace(55, 4 - 1j) * qutip.fock(55, 1)
    lowest, q, momentum = wigner_minimum(qutip.ket2dm(far))
    assert lowest == pytest.approx(-1 / math.pi, abs=1e-6)
    assert (q, momentum) == pytest.approx((4 * math.sqrt(2), -math.sqrt(2)), abs=1e-3)
    two = wigner_minimum(qutip.fock_dm(DIMENSION, 2))[0]
    for r in (-0.6, 0.6):
        squeezed = qutip.squeeze(55, r) * qutip.fock(55, 2)
        assert wigner_minimum(qutip.ket2dm(squeezed))[0] == pytest.approx(two, abs=1e-5)


def werner(weight: float) -> qutip.Qobj:
    """A singlet of the spin and the lowest two of six Fock states, mixed with white noise on those four states."""
    ket = (
        qutip.tensor(qutip.basis(2, 0), qutip.basis(6, 1))
        - qutip.tensor(qutip.basis(2, 1), qutip.basis(6, 0))
    ).unit()
    noise = qutip.tensor(qutip.qeye(2), qutip.fock_dm(6, 0) + qutip.fock_dm(6, 1)) / 4
    return weight * qutip.ket2dm(ket) + (1 - weight) * noise


@pytest.mark.parametrize("weight", [0.2, 1 / 3, 0.5, 1.0])
def test_werner_states_are_entangled_above_one_third(weight):
    rho = werner(weight)
    assert partial_transpose_minimum(rho) == pytest.approx(min(0, (1 - 3 * weight) / 4), abs=1e-12)
    if weight < 1:
        corner = np.array([[1 - weight, 2 * weight], [2 * weight, 1 - weight]]) / (1 - weight)
        assert entanglement_margin(rho) == pytest.approx(np.linalg.eigvalsh(corner)[0], abs=1e-12)


def test_the_margin_resolves_entanglement_among_rare_states():
    """Entanglement of weight 1e−5: the scaled partial transpose sees it at order one."""
    vacuum = qutip.tensor(qutip.fock_dm(2, 1), qutip.fock_dm(6, 5))
    rho = 1e-5 * werner(0.4) + (1 - 1e-5) * vacuum
    assert partial_transpose_minimum(rho) == pytest.approx(-1e-5 * 0.05, abs=1e-12)
    assert entanglement_margin(rho) == pytest.approx((0.6 - 0.8) / 0.6, abs=1e-6)


def test_the_partial_transpose_is_qutips():
    rho = qutip.rand_dm([2, 5], seed=3)
    expected = np.linalg.eigvalsh(qutip.partial_transpose(rho, [1, 0]).full())[0]
    assert partial_transpose_minimum(rho) == pytest.approx(expected, abs=1e-12)


def test_the_p_function_of_thermal_and_displaced_states():
    """A thermal state has χ = e^{−nβ²}; with the filter its P is a one-dimensional integral with a Bessel function.

    The tolerance is for the sum over β, whose filter has a kink at 0.
    """
    q, n, reach = np.linspace(-2, 2, 9), 0.7, 6.0
    rho = qutip.thermal_dm(60, n, method="analytic")
    rho = rho / rho.tr()

    def expected(distance: float) -> float:
        def integrand(r: float) -> float:
            disc = 2 / math.pi * (math.acos(r / reach) - r / reach * math.sqrt(1 - (r / reach) ** 2))
            return r * math.exp(-n * r**2) * disc * j0(math.sqrt(2) * distance * r) / math.pi

        return quad(integrand, 0, reach)[0]

    values = smoothed_p(rho, q, [0, 1], reach)
    np.testing.assert_allclose(values, [[expected(math.hypot(x, p)) for x in q] for p in (0, 1)], atol=1e-4)
    displaced = qutip.displace(60, 0.5 + 0.25j)
    moved = smoothed_p(
        displaced * rho * displaced.dag(), q + 0.5 * math.sqrt(2), [0.25 * math.sqrt(2)], reach=5
    )
    np.testing.assert_allclose(moved, smoothed_p(rho, q, [0], reach=5), atol=1e-4)


def test_the_p_function_tells_classical_from_quantum():
    q = np.linspace(-2.5, 2.5, 11)
    classical = qutip.thermal_dm(40, 0.5, method="analytic")
    squeezed = qutip.ket2dm(qutip.squeeze(40, 0.3) * qutip.fock(40, 0))
    assert smoothed_p(classical / classical.tr(), q, q, reach=6).min() > -1e-6
    assert smoothed_p(squeezed, q, q, reach=5).min() < -0.01


def test_a_state_without_a_spin_is_refused():
    with pytest.raises(ArgumentError, match="must be a density matrix of a spin-½ and a boson"):
        partial_transpose_minimum(qutip.fock_dm(5, 0))


def test_negativity_is_that_of_qutip_and_less_in_a_part():
    psi = qutip.tensor(qutip.basis(2, 0), qutip.coherent(40, 1.0)) + qutip.tensor(
        qutip.basis(2, 1), qutip.coherent(40, -1.0j)
    )
    rho = 0.7 * qutip.ket2dm(psi.unit()) + 0.3 * qutip.tensor(
        qutip.maximally_mixed_dm(2), qutip.thermal_dm(40, 0.5)
    )
    whole = negativity(rho)
    assert whole == pytest.approx(qutip.negativity(rho, 0), abs=1e-7) and whole > 0.1
    kept = np.r_[:2, 40:42]
    assert 0.01 < negativity(rho.full()[np.ix_(kept, kept)]) < whole
    assert negativity(qutip.tensor(qutip.maximally_mixed_dm(2), qutip.thermal_dm(10, 0.3))) == 0
    for wrong, sentence in ((np.eye(3) / 3, "of dimension 3"), ([[0, 1], [0, 1]], "must be Hermitian")):
        with pytest.raises(ArgumentError, match=sentence):
            negativity(wrong)
