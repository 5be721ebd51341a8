"""Stationary states of blocks that pass on to their neighbours only."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import null_space
from scipy.sparse import csr_matrix

from centralspin.errors import ConvergenceError
from centralspin.numerics import ladder
from centralspin.numerics.ladder import Ladder, ladder_null_vector
from centralspin.numerics.stationary import NotUniqueError


def rates(
    seed: int, sizes: list[int], slow: float, broken: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """A rate matrix whose blocks exchange what they hold at the rate `slow`, but for one pair where it is 0."""
    random = np.random.default_rng(seed)
    offsets = np.cumsum([0, *sizes])
    L = np.zeros((offsets[-1],) * 2)
    for i, (a, b) in enumerate(itertools.pairwise(offsets)):
        L[a:b, a:b] = random.uniform(0.1, 1, (b - a, b - a))
        if i + 2 < len(offsets) and i != broken:
            c = offsets[i + 2]
            L[a:b, b:c] = slow * random.uniform(0.1, 1, (b - a, c - b))
            L[b:c, a:b] = slow * random.uniform(0.1, 1, (c - b, b - a))
    L -= np.diag(L.sum(axis=0))
    return L, offsets


def exact(L: np.ndarray) -> np.ndarray:
    v = null_space(L, rcond=1e-14)[:, 0]
    return v / v.sum()


@given(
    st.integers(0, 10**6),
    st.lists(st.integers(1, 6), min_size=1, max_size=7),
    st.sampled_from([1.0, 1e-2, 1e-4, 1e-6]),
)
def test_the_state_is_found_however_slow_the_exchange_is(seed, sizes, slow) -> None:
    L, offsets = rates(seed, sizes, slow)
    v, error = ladder_null_vector(csr_matrix(L), np.ones(len(L)), offsets, np.eye(len(L)), 1e-9)
    assert np.abs(v - exact(L)).max() <= max(error, 1e-12 / slow) and error <= 1e-9


@pytest.mark.parametrize("single", [0, 10**6])
def test_few_steps_do_in_either_precision(monkeypatch, single) -> None:
    """The preconditioner tells slow from slow: what is left falls by orders of magnitude per step."""
    monkeypatch.setattr(ladder, "SINGLE", single)
    steps = []
    for slow in (1e-1, 1e-3, 1e-5):
        L, offsets = rates(1, [20] * 12, slow)
        told: list[int] = []
        v, _ = ladder_null_vector(
            csr_matrix(L), np.ones(240), offsets, np.eye(240), 1e-10, lambda told=told: told.append(1)
        )
        np.testing.assert_allclose(v, exact(L), atol=1e-9)
        steps.append(len(told))
    assert max(steps) < 80 and steps[-1] <= steps[0]


def test_without_the_flow_between_blocks_the_exchange_would_take_long(monkeypatch) -> None:
    L, offsets = rates(1, [20] * 12, 1e-5)
    monkeypatch.setattr(Ladder, "_between", lambda self, of_blocks: np.full(12, 1 / 12) * of_blocks.any())
    with pytest.raises(ConvergenceError):
        ladder_null_vector(csr_matrix(L), np.ones(240), offsets, np.eye(240), 1e-10)


@pytest.mark.parametrize("broken", [0, 2, 4])
def test_blocks_that_exchange_nothing_have_no_unique_state(broken) -> None:
    L, offsets = rates(2, [4] * 6, 1e-2, broken)
    with pytest.raises(ConvergenceError, match="not unique"):
        ladder_null_vector(csr_matrix(L), np.ones(24), offsets, np.eye(24), 1e-9)


def test_two_states_within_the_blocks_are_told_apart() -> None:
    """Every block splits into two halves, which pass on to the same half only."""
    one, offsets = rates(3, [3] * 5, 1e-1)
    L = np.kron(one, np.eye(2))
    with pytest.raises(NotUniqueError):
        ladder_null_vector(csr_matrix(L), np.ones(30), 2 * offsets, np.eye(30), 1e-9)


def test_the_state_has_the_trace_of_one_however_well_it_is_known(monkeypatch) -> None:
    """What is found for the state is divided by its trace."""
    solve = Ladder.solve

    def larger(self, b, accuracy, readout=None):
        x, error = solve(self, b, accuracy, readout)
        return (x if readout is None else 1.25 * x), error

    monkeypatch.setattr(Ladder, "solve", larger)
    L, offsets = rates(4, [3] * 4, 1e-1)
    v, _ = ladder_null_vector(csr_matrix(L), np.ones(12), offsets, np.eye(12), 1e-9)
    np.testing.assert_allclose(v, exact(L), atol=1e-9)


def test_the_sweep_back_leaves_out_no_block(monkeypatch) -> None:
    """Where blocks pass on to those before them only it solves the equations by itself."""
    L, offsets = rates(1, [3] * 5, 0.5)
    found = Ladder(csr_matrix(L), np.ones(15), offsets, lambda: None)
    monkeypatch.setattr(found, "_between", np.zeros_like)
    monkeypatch.setattr(found, "_down", [0 * down for down in found._down])
    block = np.arange(15) // 3
    r = np.random.default_rng(0).normal(size=15)
    r -= r.mean()
    back = np.where(block[:, None] <= block, L, 0.0)
    np.testing.assert_allclose(back @ found.preconditioned(r), r, atol=1e-7)
