"""Is the measure of non-Gaussianity right where it is known in closed form?"""

import math

import numpy as np
import pytest
import qutip

from centralspin import ArgumentError
from centralspin.theory.non_gaussianity import covariance, relative_entropy_to_gaussian

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
