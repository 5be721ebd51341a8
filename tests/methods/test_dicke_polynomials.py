"""Stationary states from polynomials over the Dicke blocks: the right ones, with an error that is not too small?"""

import math
from dataclasses import replace

import numpy as np
import pytest
from conftest import PAPER
from random_models import LOWER, RAISE, around, boson_moments, levels, matrix, spins, thermal
from scipy.sparse import coo_array, csr_array

from centralspin import (
    PAULI,
    ArgumentError,
    CentralSpinModel,
    ConvergenceError,
    Moment,
    TruncationError,
    evolve,
    steady_state,
)
from centralspin.methods import dicke, dicke_polynomials
from centralspin.methods.polynomial_blocks import Block, Inverse, Weight
from centralspin.numerics.banded import Banded
from centralspin.problem.collective import collective_model
from centralspin.problem.general import dimensionless

NAMES = ("tau_z", "q", "Q2", "Q4")
METHOD = "dicke_polynomials"


def weak(factor: float, N: float, **changes) -> CentralSpinModel:
    return PAPER.replace(N=N, bath_pump=0.2 * factor, bath_decay=factor, **changes)


def compare(model, wanted, method, tolerance, names=NAMES):
    """The largest difference between two methods, which the errors that they tell must cover."""
    found = steady_state(model, wanted, method=METHOD, tolerance=tolerance)
    right = steady_state(model, wanted, method=method, tolerance=tolerance / 10)
    difference = max(abs(found[name] - right[name]) for name in names)
    assert difference <= found.error + (right.error or 0.0) <= 1.1 * tolerance
    return found, difference


def test_dicke_blocks_know_the_same_state(monkeypatch) -> None:
    monkeypatch.setattr(dicke_polynomials, "LEAST_SIZE", 30)
    found, difference = compare(PAPER.replace(N=36, bath_pump=0.05), NAMES, "dicke", 1e-5)
    assert found.method == METHOD and found.state is None and found.details["polynomials"] <= 10
    assert difference < 1e-5


@pytest.mark.parametrize(
    "model",
    [
        weak(0.1, 10**4),
        PAPER.replace(N=300, central_pump=0.1, central_decay=2.0),
        PAPER.replace(N=300, central_field=(0.5, 0.2, 3.0), bath_field=(0, 0, 0.7)),
        PAPER.replace(N=300, bath_pump=0.0),
        PAPER.replace(N=300, scaling=1.0),
    ],
)
def test_the_symmetric_method_knows_the_same_state(model) -> None:
    _, difference = compare(model, NAMES, "symmetric", 1e-7)
    assert difference < 1e-9


@pytest.mark.parametrize(("decay", "pump"), [(1.0, 0.2), (0.2, 1.0)])
def test_a_bath_may_be_polarised_either_way(decay, pump) -> None:
    x, y, z = PAULI
    wanted = {
        "z": Moment(central=z), "m": Moment(site=z, scaling=1.0, about="zero"), "x": Moment(site=x, power=2),
        "v": Moment(site=z, power=2, about="mean"), "yx": Moment(central=y, site=x),
        "s": Moment(central=z, site=LOWER + 0.3 * z, power=3),
    }  # fmt: skip
    compare(PAPER.replace(N=400, bath_decay=decay, bath_pump=pump), wanted, "symmetric", 1e-7, wanted)


@pytest.mark.parametrize(("seed", "central", "N"), [(0, 2, 120), (0, 3, 2000), (1, 2, 2000)])
def test_random_models(seed, central, N) -> None:
    """Of any couplings, with jumps that the whole bath makes together."""
    random = np.random.default_rng(seed)
    model = around(random, thermal(random, central, N), central)
    if seed:
        jumps = [(None, [0.3 * LOWER]), (0.3 * matrix(random, 2), [PAULI[0]])]
        model = model.replace(collective_jumps=jumps)
    wanted = {str(i): moment for i, moment in enumerate(boson_moments(random, central))}
    compare(model, wanted, "symmetric", 1e-3 if central == 3 else 1e-6, wanted)


def test_weak_damping_has_the_limit_of_the_emergent_model() -> None:
    """And it is approached as 1/N."""
    limit = steady_state(weak(0.5, math.inf), NAMES, method="spin_boson", tolerance=1e-9)
    sizes = (10**4, 10**5, 10**7)
    found = [steady_state(weak(0.5, N), NAMES, method=METHOD, tolerance=1e-7) for N in sizes]
    for name in NAMES:
        scaled = [N * (values[name] - limit[name]) for N, values in zip(sizes[:2], found, strict=False)]
        assert scaled[1] == pytest.approx(scaled[0], rel=0.05)
    assert abs(found[-1]["Q4"] - limit["Q4"]) < 1e-4


def test_a_large_weakly_damped_bath_is_handed_over() -> None:
    found = steady_state(weak(0.1, 150), NAMES, tolerance=1e-6, time_budget=600)
    assert found.method == METHOD and found.error <= 1e-6
    loose = steady_state(weak(0.1, 150), NAMES, tolerance=1e-4, method=METHOD)
    for name in NAMES:
        assert abs(found[name] - loose[name]) <= loose.error + found.error


@pytest.mark.parametrize("N", [100, 2000])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-5])
def test_the_error_is_not_larger_than_told(N, tolerance) -> None:
    """Looser tolerances take fewer polynomials and levels."""
    model = weak(0.5, N)
    right = steady_state(model, NAMES, method="symmetric", tolerance=1e-9)
    found = steady_state(model, NAMES, method=METHOD, tolerance=tolerance)
    assert max(abs(found[name] - right[name]) for name in NAMES) <= found.error <= tolerance


def test_a_part_that_shows_in_every_third_polynomial_is_told() -> None:
    """As the weight's skewness, if it is not that of the state."""
    values = [np.array([v]) for v in (1.0, 1.0, 1.0, 0.9, 0.9, 0.9)]
    assert dicke_polynomials._left_out(values, [1, 1e-2, 1e-2, 1e-1, 1e-2, 1e-2]) >= 0.03
    assert dicke_polynomials._left_out(values[:3], [1, 1e-2, 1e-2]) == math.inf


def test_what_is_left_out_by_a_fault_is_told(monkeypatch) -> None:
    """Too few levels, a band that is too narrow: the comparison sees them."""
    right = steady_state(weak(0.5, 500), NAMES, method="symmetric", tolerance=1e-9)
    real = dicke_polynomials.Resting._levels

    def few(self):
        space, _, _ = real(self)
        smaller = Banded(space.cutoff - self.less, min(space.band, self.widest), space.levels)
        inverse = Inverse()
        inverse.prepare(self._equations(smaller, 1), 1, self._tell)
        return smaller, smaller.cutoff - 3, inverse

    monkeypatch.setattr(dicke_polynomials.Resting, "_levels", few)
    monkeypatch.setattr(
        "centralspin.question._within", lambda reading, task: reading
    )  # which would refuse it
    for less, widest in ((10, 99), (0, 6)):
        monkeypatch.setattr(dicke_polynomials.Resting, "less", less, raising=False)
        monkeypatch.setattr(dicke_polynomials.Resting, "widest", widest, raising=False)
        tolerance = 0.1
        found = steady_state(weak(0.5, 500), NAMES, method=METHOD, tolerance=tolerance)
        assert max(abs(found[name] - right[name]) for name in NAMES) <= found.error


def test_a_wrong_rate_between_blocks_is_seen(monkeypatch) -> None:
    """A negative control."""
    real = Block._jump

    def wrong(self, step, change):
        return real(self, step, change) * (1.01 if change == 0 else 1.0)

    right = steady_state(weak(0.5, 500), NAMES, method="symmetric", tolerance=1e-9)
    monkeypatch.setattr(Block, "_jump", wrong)
    found = steady_state(weak(0.5, 500), NAMES, method=METHOD, tolerance=1e-7)
    assert max(abs(found[name] - right[name]) for name in NAMES) > 1e-3


@pytest.mark.parametrize(("j", "N"), [(8.0, 40), (12.5, 61)])
def test_jumps_are_those_of_the_blocks(j, N) -> None:
    """The matrices of method "dicke", read from the lower end."""
    space = Banded(8, 8, 2)
    problem = _problem(weak(1.0, N))
    block = Block(problem, space, N / 2 - j, [Moment()])
    for change, c in dicke.transfer_coefficients(N, j).items():
        for step in (-1, 1):
            T = math.sqrt(c) * dicke.transfer(j, change, step)[::-1, ::-1][:8, :8]
            np.testing.assert_allclose(block._jump(step, round(change - j)).toarray(), T, atol=1e-13)


@pytest.mark.parametrize(("mean", "variance"), [(50.0, 40.0), (3.0, 3.0), (20.0, 30.0)])
def test_polynomials_are_orthonormal_and_shifted_exactly(mean, variance) -> None:
    weight = Weight(mean, variance, 6)
    gram = (weight.weights[:, None] * weight.values).T @ weight.values
    np.testing.assert_allclose(gram, np.eye(6), atol=1e-10)
    distance = weight.points - mean
    assert weight.weights @ distance == pytest.approx(0, abs=1e-10)
    assert weight.weights @ distance**2 == pytest.approx(variance)
    for change, steps in weight.steps.items():
        moved, _ = weight._polynomials(distance - change, 0)
        np.testing.assert_allclose(weight.values + steps, moved, atol=1e-9)
    tilted = np.array([1.0, 0.1, 0.05]) @ weight.values[:, :3].T * weight.weights
    center = tilted @ weight.points
    assert weight.statistics(np.array([1.0, 0.1, 0.05])) == pytest.approx(
        (center, tilted @ (weight.points - center) ** 2)
    )


def test_maps_of_banded_matrices_are_those_of_matrices() -> None:
    random = np.random.default_rng(0)
    space = Banded(5, 2, 2)
    A, B = (np.triu(np.tril(matrix(random, 10), 1), -1) for _ in range(2))
    one = csr_array(np.eye(10))
    rho = matrix(random, 10, True)
    n = np.arange(10) // 2
    rho[np.abs(n[:, None] - n) > 2] = 0
    a, b = space._a, space._b
    x = np.zeros(space.size)
    x[space._first] = np.where(a == b, 1, math.sqrt(2)) * rho[a, b].real
    x[space._first[a != b] + 1] = math.sqrt(2) * rho[a, b][a != b].imag
    O = np.where(np.abs(n[:, None] - n) > 2, 0, matrix(random, 10))
    row = space.expectation(coo_array(O))
    assert (row @ x)[0] == pytest.approx(np.trace(O @ rho))
    mapped = space.map([(csr_array(A), csr_array(A)), (csr_array(B), one), (one, csr_array(B))])
    right = A @ rho @ A.conj().T + B @ rho + rho @ B.conj().T
    assert (row @ (mapped @ x))[0] == pytest.approx(np.trace(O @ right))
    assert space.trace @ x == pytest.approx(np.trace(rho).real)


def test_what_is_refused() -> None:
    random = np.random.default_rng(0)
    z = {"z": Moment(central=PAULI[2])}

    def refused(model, part):
        with pytest.raises(ArgumentError, match=part):
            steady_state(model, z, method=METHOD)

    for N in (20, math.inf):
        refused(PAPER.replace(N=N), "`N` must be finite and at least 50")
    refused(PAPER.replace(N=200, bath_field=(0.3, 0, 0)), "along z")
    refused(PAPER.replace(N=200, bath_pump=0.9), "`bath_decay` must differ more")
    still = thermal(random, 2, 200)
    refused(around(random, [still, still]), "one class")
    refused(around(random, levels(random, 200, 2, jumps=[LOWER])), "interactions")
    refused(around(random, levels(random, 200, 3, interactions=False)), "spins-½")
    refused(around(random, replace(still, jumps=[matrix(random, 2)], rates=None)), "σ")
    with pytest.raises(ArgumentError, match="another one to evolve"):
        evolve(PAPER.replace(N=200), [0, 1], z, method=METHOD)


def test_what_does_not_fit_is_said_in_a_sentence(monkeypatch) -> None:
    with pytest.raises(TruncationError, match="blocks have about 67 levels"):
        steady_state(weak(0.01, 100), NAMES, method=METHOD)
    with pytest.raises(TruncationError, match="reaches down to 0"):
        steady_state(weak(1.0, 50), NAMES, method=METHOD, tolerance=1e-10)
    monkeypatch.setattr(dicke_polynomials, "LARGEST_MEMORY", 1e6)
    with pytest.raises(TruncationError, match="would take about"):
        steady_state(weak(0.1, 1000), NAMES, method=METHOD)
    monkeypatch.undo()
    monkeypatch.setattr(dicke_polynomials, "DEGREES", (4,))
    with pytest.raises(ConvergenceError, match="not met with 4 polynomials"):
        steady_state(weak(1.0, 100), NAMES, method=METHOD)


def test_a_second_stationary_state_is_noticed() -> None:
    random = np.random.default_rng(0)
    bath = spins(
        random, 200, 4, hamiltonian=0 * LOWER, couplings=[(np.kron(RAISE, np.eye(2)), 0.3 * LOWER)], initial=None,
        rates=[2.5, 0.6, 0.3],
    )  # fmt: skip
    model = around(random, bath, 4).replace(hamiltonian=np.zeros((4, 4)), jumps=[np.kron(LOWER, np.eye(2))])
    with pytest.raises(ConvergenceError, match="not unique"):
        steady_state(model, {"z": np.diag([1, -1, 1, -1])}, method=METHOD, tolerance=1e-4)


def _problem(model):
    return dimensionless(collective_model(model))


def test_the_unit_of_time_does_not_matter() -> None:
    model, s = weak(1.0, 500), 1e15
    scaled = model.replace(
        g0=s * model.g0, central_field=tuple(s * w for w in model.central_field), bath_decay=s, bath_pump=0.2 * s,
        central_pump=s * model.central_pump, central_decay=s * model.central_decay,
    )  # fmt: skip
    one, other = (steady_state(m, NAMES, method=METHOD, tolerance=1e-5) for m in (model, scaled))
    for name in NAMES:
        assert abs(one[name] - other[name]) <= one.error
