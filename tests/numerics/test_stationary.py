"""Is a stationary state found by every way, right where rates are far apart, and refused where there are two?"""

import math

import numpy as np
import pytest
from conftest import PAPER
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import block_diag, csr_matrix, diags_array, eye_array

from centralspin import ConvergenceError, liouvillian
from centralspin.numerics import stationary
from centralspin.numerics.null_space import DENSE, null_vector
from centralspin.numerics.stationary import NotUniqueError, PartSolver, StationarySolver
from centralspin.numerics.stepping import propagate


def markov(seed, n=8, slow=()):
    """A rate matrix whose columns sum to 0; what leaves the states in `slow` is slowed down by a factor."""
    rates = np.random.default_rng(seed).uniform(0.1, 1, size=(n, n))
    for state, factor in slow:
        rates[:, state] *= factor
    np.fill_diagonal(rates, 0)
    return csr_matrix(rates - np.diag(rates.sum(axis=0)))


def exact(L):
    """The normalised null vector by the theorem of the matrix tree, of sums of positive numbers only."""
    A = L.toarray()
    weights = np.array([abs(np.linalg.det(np.delete(np.delete(A, i, 0), i, 1))) for i in range(len(A))])
    return weights / weights.sum()


def ways(monkeypatch, L, trace, tolerance=1e-10, **more):
    """Solvers that go the direct way, that by blocks, and that by the exponential."""
    yield StationarySolver(L, trace, tolerance, **more)
    monkeypatch.setattr(stationary, "DIRECT", 0)
    monkeypatch.setattr(stationary, "DIRECT_PER_RADIAN", 0)
    yield StationarySolver(L, trace, tolerance, blocks=np.arange(L.shape[0]) // 3, **more)
    yield StationarySolver(L, trace, tolerance, **more)


@pytest.mark.parametrize("seed", range(3))
def test_three_ways_agree(seed, monkeypatch):
    L = markov(seed)
    for solver in ways(monkeypatch, L, np.ones(8)):
        np.testing.assert_allclose(solver.stationary(), exact(L), atol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_three_ways_agree_with_a_source(seed, monkeypatch):
    """L v = s with a trace that is given; s has no trace."""
    L, random = markov(seed), np.random.default_rng(seed)
    v = random.normal(size=8)
    for solver in ways(monkeypatch, L, np.ones(8)):
        np.testing.assert_allclose(solver.solve(L @ v, v.sum()), v, atol=2e-9)


def test_three_ways_agree_for_the_papers_model(monkeypatch):
    L = liouvillian(PAPER.replace(N=40), 10).matrix / 4
    trace = np.eye(1, L.shape[0])[0]
    direct, *others = [s.stationary() for s in ways(monkeypatch, L, trace, slowest=0.1)]
    assert np.abs(L @ direct).max() < 1e-12
    for found in others:
        np.testing.assert_allclose(found, direct, atol=1e-10)


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("slow", [1e-6, 1e-12, 1e-15])
def test_badly_scaled_rows_are_right(slow, check):
    """A slow system beside a fast one, in coordinates (1, z): the slow one is no worse conditioned."""
    fast, other, one = np.array([[0, 0], [0.3, -1.1]]), np.array([[0, 0], [0.5, -0.7]]), np.eye(2)
    L = csr_matrix(np.kron(fast, one) + slow * np.kron(one, other))
    found = StationarySolver(L, np.eye(1, 4)[0], 1e-8, readout=eye_array(4) if check else None).stationary()
    np.testing.assert_allclose(found, np.kron([1, 0.3 / 1.1], [1, 0.5 / 0.7]), atol=1e-12)


def test_states_that_are_left_slowly_are_right():
    L = markov(3, slow=[(2, 1e-10), (5, 1e-9)])
    np.testing.assert_allclose(StationarySolver(L, np.ones(8), 1e-8).stationary(), exact(L), atol=1e-8)


def test_two_stationary_states_are_refused(monkeypatch):
    L = csr_matrix(block_diag([markov(0), markov(1)]))
    with pytest.raises(NotUniqueError, match="not unique"):
        StationarySolver(L, np.ones(16), 1e-8, readout=eye_array(16))
    with pytest.raises(ConvergenceError):
        StationarySolver(csr_matrix((3, 3)), np.array([1.0, 0, 0]), 1e-8).stationary()
    monkeypatch.setattr(stationary, "DIRECT", 0)
    monkeypatch.setattr(stationary, "DIRECT_AT_MOST", 0)
    with pytest.raises(NotUniqueError, match="not unique"):
        StationarySolver(L, np.ones(16), 1e-8).stationary()
    with pytest.raises(NotUniqueError, match="not unique"):
        StationarySolver(csr_matrix((3, 3)), np.array([1.0, 0, 0]), 1e-8, readout=eye_array(3)).stationary()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("leak", 10.0 ** -np.arange(2, 18, 2))
def test_nearly_degenerate_is_right_or_refused(seed, leak):
    """Two parts that exchange at a tiny rate, with a dimensionless generator that knows it to round-off only."""
    L = block_diag([markov(seed), markov(seed + 10)]).toarray()
    L[8, 0] += leak
    L[0, 0] -= leak
    L[0, 8] += 2 * leak
    L[8, 8] -= 2 * leak
    tolerance = 1e-6
    try:
        found = StationarySolver(csr_matrix(L), np.ones(16), tolerance, readout=eye_array(16)).stationary()
    except ConvergenceError:
        assert leak <= 1e-8
        return
    parts = [exact(markov(seed)), exact(markov(seed + 10))]
    p = 2 * parts[1][0] / (parts[0][0] + 2 * parts[1][0])  # detailed balance of the two parts, up to O(leak)
    assert abs(found[:8].sum() - p) < tolerance + 10 * leak


@pytest.mark.parametrize("distance", [1e-1, 1e-7])
def test_the_difference_from_a_guess_is_right_in_part(distance, monkeypatch):
    """A guess is not taken for the solution, and what is read of its error is right to a tenth."""
    monkeypatch.setattr(stationary, "DIRECT", 0)
    monkeypatch.setattr(stationary, "DIRECT_PER_RADIAN", 0)
    L, v = markov(0, 40), exact(markov(0, 40))
    guess = v + distance * np.linspace(-1, 1, 40) / 40
    rows = csr_matrix(np.eye(40)[[3, 30]])
    found = StationarySolver(L, np.ones(40), 1e-9, readout=rows).stationary(guess, 0.1)
    np.testing.assert_allclose(rows @ (found - guess), rows @ (v - guess), rtol=0.1)


def test_a_slow_mode_beside_fast_ones_is_seen(monkeypatch):
    """The residual of a slow mode is small: it is judged by the rate of that mode."""
    monkeypatch.setattr(stationary, "DIRECT", 0)
    monkeypatch.setattr(stationary, "DIRECT_PER_RADIAN", 0)
    monkeypatch.setattr(stationary, "DIRECT_AT_MOST", 0)
    L = markov(5, slow=[(2, 1e-5)])
    found = StationarySolver(L, np.ones(8), 1e-8).stationary()
    np.testing.assert_allclose(found, exact(L), atol=1e-8)


def test_a_factorisation_that_fails_is_told_as_no_unique_state():
    with pytest.raises(NotUniqueError):
        stationary.factorise(csr_matrix(np.zeros((3, 3))))


# --- the null vector that the witnesses use ---


@given(st.integers(0, 10**6))
def test_the_null_vector_of_a_rate_matrix(seed):
    L = markov(seed)
    found, error = null_vector(L, np.ones(8))
    np.testing.assert_allclose(found, exact(L), atol=1e-12)
    assert 0 < error < 1e-12


@pytest.mark.parametrize("n", [8, DENSE + 50])
def test_dense_and_sparse_null_vectors(n):
    """A chain of hops with detailed balance: the weights are powers of the ratio of the rates."""
    up, down = 0.9, 1.0
    L = diags_array([up, down], offsets=[-1, 1], shape=(n, n)).tolil()
    L.setdiag(-np.asarray(L.sum(axis=0)).ravel())
    found, _ = null_vector(csr_matrix(L), np.ones(n))
    expected = (up / down) ** np.arange(n)
    np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-11)


@pytest.mark.parametrize("n", [8, 300])
def test_a_null_space_of_two_dimensions_is_refused(n):
    L = csr_matrix(block_diag([markov(0, n), markov(1, n)]))
    with pytest.raises(ConvergenceError, match="not unique"):
        null_vector(L, np.ones(2 * n))
    with pytest.raises(ConvergenceError, match="nothing changes"):
        null_vector(csr_matrix((n, n)), np.ones(n))


@pytest.mark.parametrize("order", ["state", "source"])
def test_one_factorisation_serves_the_inner_set_too(monkeypatch, order):
    monkeypatch.setattr(stationary, "FILLED", 0)
    large, small = (liouvillian(PAPER.replace(N=40), cut) for cut in (10, 8))
    keys = [tuple(row) for row in large.space.occupations.tolist()]
    inner = np.array([keys.index(tuple(row)) for row in small.space.occupations.tolist()])
    index = (inner[:, None] * 4 + np.arange(4)).ravel()
    L, trace = large.matrix / 4, np.eye(1, large.matrix.shape[0])[0]
    whole = StationarySolver(L, trace, 1e-9, slowest=0.1)
    source = (
        np.zeros(len(trace)) if order == "state" else L @ np.random.default_rng(0).normal(size=len(trace))
    )
    given = float(order == "state")
    guess = whole.solve(source, given)[index]
    right = StationarySolver(L[index][:, index], trace[index], 1e-9, slowest=0.1).solve(source[index], given)
    found = PartSolver(whole, index).solve(source[index], given, guess, 0.1)
    assert np.linalg.norm(found - right) < 0.1 * np.linalg.norm(guess - right)
    monkeypatch.setattr(stationary, "PART", 1)  # too few iterations are no answer
    assert PartSolver(whole, index).solve(source[index], given, guess, 1e-6) is None
    whole._lu = None
    assert PartSolver(whole, index).solve(source[index], given, guess, 0.1) is None


def test_blocks_that_do_not_know_of_each_other_are_factorised(monkeypatch):
    monkeypatch.setattr(stationary, "DIRECT", 0)
    monkeypatch.setattr(stationary, "DIRECT_PER_RADIAN", 0)
    one = markov(1)
    other = markov(2) - 0.3 * eye_array(8)
    L = csr_matrix(block_diag([one, other]))
    solver = StationarySolver(L, np.r_[np.ones(8), np.zeros(8)], 1e-10, blocks=np.repeat([0, 1], 8))
    assert solver._lu is not None
    np.testing.assert_allclose(solver.stationary(), np.r_[exact(one), np.zeros(8)], atol=1e-12)
    v = np.random.default_rng(3).normal(size=16)
    np.testing.assert_allclose(solver.solve(L @ v, v[:8].sum()), v, atol=1e-9)


def test_one_state_too_many_is_seen_among_very_many_unknowns():
    """A random vector has one part in √n of what is annihilated."""
    n = 10_000
    random = np.random.default_rng(5)
    to = np.concatenate([random.permutation(n) for _ in range(6)])
    hops = csr_matrix((random.random(6 * n), (to, np.tile(np.arange(n), 6))), shape=(n, n))
    L = csr_matrix(hops - diags_array(np.asarray(hops.sum(axis=0)).ravel()))
    one = StationarySolver(L, np.ones(n), 1e-8).stationary()
    assert np.abs(L @ one).max() < 1e-8 and one.sum() == pytest.approx(1)
    with pytest.raises(NotUniqueError):
        StationarySolver(csr_matrix(block_diag([L, L])), np.ones(2 * n), 1e-8).stationary()


def test_a_large_matrix_that_is_factorised_is_looked_at_too(monkeypatch):
    """Where the exponential finds several states, or the factorisation is thought to be quicker."""
    L = csr_matrix(block_diag([markov(0), markov(1)]))
    monkeypatch.setattr(stationary, "DIRECT", 0)
    for most in (0, 1e9):
        monkeypatch.setattr(stationary, "DIRECT_PER_RADIAN", most)
        with pytest.raises(NotUniqueError):
            StationarySolver(L, np.ones(16), 1e-8, readout=eye_array(16)).stationary()
    known = StationarySolver(csr_matrix(markov(0)), np.ones(8), 1e-8, readout=eye_array(8))
    assert known.unique and known.sensitivity > 0


def test_the_sensitivity_bounds_what_a_residual_does():
    L, trace = csr_matrix(markov(3)), np.ones(8)
    rows = np.random.default_rng(1).normal(size=(2, 8))
    solver = StationarySolver(L, trace, 1e-8, readout=csr_matrix(rows))
    A, b = solver._bordered, solver._scale * np.eye(8)[0]
    v = solver.stationary()
    for j in range(8):
        off = v + 1e-3 * np.eye(8)[j]
        change = np.abs(rows @ (off - v)).max()
        assert change <= solver.sensitivity * np.abs(A @ off - b).sum() * (1 + 1e-9)


def test_a_search_by_the_exponential_can_be_stopped_at_every_step(monkeypatch):
    """Also inside one application of the exponential, which may take many steps."""
    monkeypatch.setattr(stationary, "DIRECT", 0)
    monkeypatch.setattr(stationary, "DIRECT_PER_RADIAN", 0)
    monkeypatch.setattr(stationary, "DIRECT_AT_MOST", 0)
    calls = []
    L = csr_matrix(50 * markov(2))
    solver = StationarySolver(L, np.ones(8), 1e-10, slowest=1e-2, progress=lambda *_: calls.append(1))
    solver.stationary()
    applications = len(calls)
    monkeypatch.setattr(
        stationary, "propagate", lambda L, v, times, tolerance, told=None: propagate(L, v, times, tolerance)
    )
    calls.clear()
    StationarySolver(L, np.ones(8), 1e-10, slowest=1e-2, progress=lambda *_: calls.append(1)).stationary()
    assert applications > 2 * len(calls)


class Corrections:
    """What `corrected` asks of GMRES, for a matrix with one small eigenvalue that the readout does not see."""

    def __init__(
        self, monkeypatch, b, x, cycles=(6, 40), accuracy=1e-4, part=1.0, readout=None, slow=0.02
    ) -> None:
        n = len(b)
        random = np.random.default_rng(3)
        self.A = np.diag(np.r_[slow, np.linspace(1, 4, n - 1)])
        self.A[1:, 1:] += 0.1 * random.normal(size=(n - 1, n - 1)) / math.sqrt(n)
        self.calls: list[tuple] = []
        real = stationary.krylov

        def krylov(operator, residual, target, *others):
            found = real(operator, residual, target, *others)
            self.calls.append((residual, target, found))
            return found

        monkeypatch.setattr(stationary, "krylov", krylov)
        self.x, self.error = stationary.corrected(
            lambda x: b - self.A @ x,
            lambda y: self.A @ y,
            x,
            accuracy,
            part,
            1e-14,
            cycles,
            lambda: None,
            readout,
        )


@pytest.mark.parametrize(("part", "slowest"), [(1.0, 0.02), (0.2, 0.02), (1.0, 1.5)])
def test_the_last_correction_is_what_a_solution_may_be_off_by(monkeypatch, part, slowest) -> None:
    n, accuracy = 60, 1e-4
    b, readout = np.random.default_rng(4).normal(size=n), np.random.default_rng(5).normal(size=(2, n))
    readout[:, 0], readout[1] = 0.0, 1e-3 * readout[1]
    found = Corrections(monkeypatch, b, np.zeros(n), part=part, readout=csr_matrix(readout), slow=slowest)
    *before, (left, target, (change, _, least)) = found.calls
    assert len(before) > 1
    assert before[0][1] == pytest.approx(0.01 * accuracy * part, rel=1e-12)
    slow = min(1.0, *(smallest for _, _, (_, _, smallest) in before))
    assert (slow < 0.1) == (slowest < 0.1)
    assert before[-1][1] >= 0.01 * accuracy * part * slow * (1 - 1e-12)
    assert target == pytest.approx(stationary.CONFIRMED * np.linalg.norm(left), rel=1e-12)
    off = abs(readout @ left).max()
    assert off <= 0.1 * accuracy * slow
    assert found.error >= abs(readout @ change).max()
    assert found.error >= stationary.CONFIRMED * off / min(slow, least) * (1 - 1e-12)
    right = np.linalg.solve(found.A, b)
    assert abs(readout @ (found.x - right)).max() <= found.error <= accuracy


def test_a_solution_without_a_readout_is_corrected_until_all_of_it_is_right(monkeypatch) -> None:
    b = np.random.default_rng(4).normal(size=60)
    found = Corrections(monkeypatch, b, np.zeros(60))
    missed = float(np.linalg.norm(found.x - np.linalg.solve(found.A, b)))
    assert missed <= found.error <= 1e-4
    asked = [target / np.linalg.norm(residual) for residual, target, _ in found.calls]
    assert all(abs(part - stationary.CONFIRMED) > 1e-3 for part in asked), "none is found roughly"


def test_nothing_is_asked_for_below_round_off(monkeypatch) -> None:
    b, guess = np.random.default_rng(4).normal(size=(2, 60))
    found = Corrections(monkeypatch, b, guess, accuracy=1e-18)
    assert found.calls[0][1] == pytest.approx(0.1 * 1e-14 * np.linalg.norm(guess), rel=1e-12, abs=0)


def test_nothing_is_corrected_that_is_right_or_no_number(monkeypatch) -> None:
    right = Corrections(monkeypatch, np.zeros(5), np.zeros(5), readout=csr_matrix(np.eye(5)))
    assert not right.calls and right.error == 0
    infinite = Corrections(monkeypatch, np.full(5, np.inf), np.zeros(5), readout=csr_matrix(np.eye(5)))
    assert not infinite.calls and infinite.error == np.inf


def test_cycles_that_do_not_help_end() -> None:
    """One Krylov vector each, and a matrix that turns by a right angle: no residual falls."""
    turn, looked = np.array([[0.0, 1.0], [-1.0, 0.0]]), []

    def missing(x):
        looked.append(x)
        return np.ones(2) - turn @ x

    x, error = stationary.corrected(
        missing, lambda y: turn @ y, np.zeros(2), 1e-6, 1.0, 1e-14, (1, 50), lambda: None
    )
    assert len(looked) == 2
    assert error >= float(np.linalg.norm(x - np.linalg.solve(turn, np.ones(2)))) > 1


def test_cycles_that_help_a_little_go_on() -> None:
    """One Krylov vector each takes a residual to (κ − 1)/(κ + 1) of what it was, at worst; here it always does."""
    matrix = np.diag([1.0, 2.4])
    b = np.array([math.sqrt(2.4), 1.0])
    x, error = stationary.corrected(
        lambda x: b - matrix @ x, lambda y: matrix @ y, np.zeros(2), 1e-6, 1.0, 1e-14, (1, 50), lambda: None
    )
    assert float(np.linalg.norm(x - b / np.diag(matrix))) <= error <= 1e-6
