"""Do the closed forms of Proposition 1 agree with matrices, and do limits and 1/N coefficients follow?"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from centralspin import ArgumentError, CentralSpinModel
from centralspin.methods.dicke import DickeBlocks
from centralspin.theory.proposition_1 import (
    composition_defect,
    displacement,
    displacement_coefficient,
    excitation_distance,
    sector_average,
    sectors,
    thermal_characteristic,
)

S1, S2, S3 = 0.7 + 0.4j, -0.3 + 1.1j, 0.2 - 0.5j
SETS = [(S1,), (S1, S2), (S1, S2, S3)]
amplitude = st.complex_numbers(max_magnitude=1.5, allow_nan=False, allow_subnormal=False)
pump = st.floats(0.01, 0.8)


def bath(N: float, bath_pump: float = 0.2) -> CentralSpinModel:
    return CentralSpinModel(N=N, g0=0.0, bath_pump=bath_pump, bath_decay=1.0)


def brute_force(N: int, model: CentralSpinModel, amplitudes: tuple[complex, ...]) -> complex:
    """Matrix exponentials of collective spins in all Dicke blocks, weighted with Ω_SS."""
    space = DickeBlocks(N)
    state = space.product_state(np.array([0, 0, -model.epsilon]), np.eye(2) / 2)
    total = 0j
    for ladder, j, block in zip(space.ladder, space.spins, space.blocks(state), strict=True):
        d = round(2 * j) + 1
        product = np.einsum("iaja->ij", block.reshape(d, 2, d, 2))
        a = ladder.toarray() / math.sqrt(model.epsilon * N)
        for s in amplitudes:
            product = product @ expm(s * a.T - np.conj(s) * a)
        total += np.trace(product)
    return total


@pytest.mark.parametrize("amplitudes", SETS)
@pytest.mark.parametrize("N", [1, 6, 21])
def test_products_agree_with_matrix_exponentials(N, amplitudes):
    assert abs(displacement(bath(N), *amplitudes) - brute_force(N, bath(N), amplitudes)) < 1e-13


@settings(max_examples=40, deadline=None)
@given(st.lists(amplitude, min_size=1, max_size=5), pump, st.integers(1, 9))
def test_products_of_any_length_agree_with_single_site_matrices(amplitudes, rate, N):
    model = bath(N, rate)
    raising = np.array([[0, 1], [0, 0]]) / math.sqrt(model.epsilon * N)
    product = np.diag([(1 - model.epsilon) / 2, (1 + model.epsilon) / 2]).astype(complex)
    for s in amplitudes:
        product = product @ expm(s * raising - np.conj(s) * raising.T)
    assert abs(displacement(model, *amplitudes) - np.trace(product) ** N) < 1e-12


def test_one_operator_is_a_power_of_a_cosine():
    s = np.linspace(0, 4, 9)
    expected = np.cos(s / math.sqrt(bath(50).epsilon * 50)) ** 50
    np.testing.assert_allclose(displacement(bath(50), s), expected, atol=1e-14, rtol=0)


@settings(max_examples=40, deadline=None)
@given(st.lists(amplitude, min_size=1, max_size=4), pump)
def test_limit_and_coefficient_describe_large_baths(amplitudes, rate):
    limit = displacement(bath(math.inf, rate), *amplitudes)
    c = displacement_coefficient(bath(1, rate), *amplitudes)
    errors = []
    for N in (10**7, 2 * 10**7):
        ratio = displacement(bath(N, rate), *amplitudes) / limit
        errors.append(abs(N * (ratio - 1) - c))
    scale = 1 + (sum(abs(s) for s in amplitudes) ** 2 / bath(1, rate).epsilon) ** 4
    assert errors[0] < 1e-7 * scale + 1e-6
    assert errors[1] < 0.6 * errors[0] + 1e-6


def test_leading_correction_of_one_operator():
    assert displacement_coefficient(bath(1), S1) == pytest.approx(
        -(abs(S1) ** 4) / (12 * bath(1).epsilon ** 2), rel=1e-14
    )


def test_limit_is_the_thermal_characteristic_function_in_fock_space():
    s = np.linspace(0, 3, 13)
    for rate in (0.0, 0.2, 0.7):
        limit = displacement(bath(math.inf, rate), s)
        np.testing.assert_allclose(thermal_characteristic(bath(math.inf, rate), s), limit, atol=1e-13, rtol=0)


@pytest.mark.parametrize("N", [2, 7])
def test_defect_of_the_composition_rule_agrees_with_matrices(N):
    model = bath(N)
    space, epsilon = DickeBlocks(N), model.epsilon
    state = space.product_state(np.array([0, 0, -epsilon]), np.eye(2) / 2)
    norms, squared, mean = [], 0.0, 0j
    for index, (j, block) in enumerate(zip(space.spins, space.blocks(state), strict=True)):
        d = round(2 * j) + 1
        rho = np.einsum("iaja->ij", block.reshape(d, 2, d, 2))
        a = space.ladder[index].toarray() / math.sqrt(epsilon * N)
        m_z = 2 * space.collective("z")[index].toarray() / N
        D = [expm(s * a.T - np.conj(s) * a) for s in (S1, S2, S1 + S2)]
        R = D[0] @ D[1] - D[2] @ expm(-m_z * (S1 * np.conj(S2) - np.conj(S1) * S2) / (2 * epsilon))
        norms.append(np.linalg.norm(R, 2))
        squared += np.trace(rho @ R.conj().T @ R).real
        mean += np.trace(rho @ R)
    defect = composition_defect(model, S1, S2)
    assert defect.norm == pytest.approx(max(norms), rel=1e-12)
    assert defect.root_mean_square == pytest.approx(math.sqrt(squared), rel=1e-12)
    assert defect.mean == pytest.approx(abs(mean), rel=1e-11)


def test_defect_is_of_order_root_n_in_norm_and_of_order_n_on_the_state():
    """The third-order term of Baker, Campbell, Hausdorff and Zassenhaus gives the norm's coefficient."""
    root = math.sqrt(bath(1).epsilon)
    A, B = (np.array([[0, s], [-np.conj(s), 0]]) / root for s in (S1, S2))
    AB = A @ B - B @ A
    third = (2 * (B @ AB - AB @ B) + (A @ AB - AB @ A)) / 6
    N = 10**7
    defect = composition_defect(bath(N), S1, S2)
    assert math.sqrt(N) * defect.norm == pytest.approx(np.linalg.norm(third, 2), rel=1e-5)
    for quantity in ("root_mean_square", "mean"):
        values = [n * getattr(composition_defect(bath(n), S1, S2), quantity) for n in (10**5, 10**6)]
        assert values[0] == pytest.approx(values[1], rel=1e-4)
        assert values[1] > 0.1


@pytest.mark.parametrize("N", [5, 8])
def test_every_sector_is_geometric(N):
    model = bath(N)
    space = DickeBlocks(N)
    state = space.product_state(np.array([0, 0, -model.epsilon]), np.eye(2) / 2)
    spins, probabilities = sectors(model)
    np.testing.assert_allclose(spins[::-1], space.spins)
    for j, block, probability in zip(space.spins, space.blocks(state), probabilities[::-1], strict=True):
        d = round(2 * j) + 1
        weights = np.einsum("iaia->i", block.reshape(d, 2, d, 2)).real[::-1]  # m = −j first
        np.testing.assert_allclose(weights[1:], 0.2 * weights[:-1], rtol=1e-12)
        assert weights.sum() == pytest.approx(probability, rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 300), pump)
def test_sums_over_sectors_give_the_moments_of_the_product_state(N, rate):
    model = bath(N, rate)
    e = model.epsilon
    assert sectors(model)[1].sum() == pytest.approx(1, abs=1e-11)
    number = sector_average(model, lambda j, n: n * (2 * j - n + 1) / (e * N))
    assert number == pytest.approx(model.thermal_occupation, rel=1e-10)
    variance = sector_average(model, lambda j, n: (2 * (n - j) / N + e) ** 2)
    assert variance == pytest.approx((1 - e**2) / N, rel=1e-8)


def test_excitations_are_thermal_up_to_an_exponentially_small_cut():
    model = bath(9)
    spins, probabilities = sectors(model)
    n, x = np.arange(400), 0.2
    exact = sum(
        P * np.where(n <= 2 * j, x**n, 0) * (1 - x) / (1 - x ** (2 * j + 1))
        for j, P in zip(spins, probabilities, strict=True)
    )
    assert excitation_distance(model) == pytest.approx(np.abs(exact - (1 - x) * x**n).sum() / 2, rel=1e-9)
    rate = math.log(excitation_distance(bath(800)) / excitation_distance(bath(400))) / 400
    assert rate == pytest.approx(math.log(1 - model.epsilon**2) / 2, rel=0.01)


def test_refuses_what_has_no_meaning():
    with pytest.raises(ArgumentError, match="`amplitudes` must hold at least one"):
        displacement(bath(3))
    with pytest.raises(ArgumentError, match="`N` must be finite"):
        sectors(bath(math.inf))
    with pytest.raises(ArgumentError, match="`bath_pump` must be smaller"):
        displacement(bath(3, 1.0), 0.1)
