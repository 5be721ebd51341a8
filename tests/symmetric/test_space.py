"""Is the Fock space of symmetric operators what it says it is?"""

import itertools
import math

import numpy as np
import pytest
from conftest import PAPER
from hypothesis import given
from hypothesis import strategies as st

from centralspin import (
    ArgumentError,
    Bath,
    CollectiveModel,
    Lift,
    Sites,
    SymmetricSpace,
    TruncationError,
    evolve,
    liouvillian,
    steady_state,
)
from centralspin.symmetric.space import box, count_box, grown, union


def space_of(weights, sizes, cut):
    class_of = np.repeat(np.arange(len(weights)), [len(w) for w in weights])
    return SymmetricSpace(box(weights, sizes, cut), class_of)


@pytest.mark.parametrize(
    ("weights", "sizes", "cut"),
    [
        ([[1, 1, 2]], [5], 7),
        ([[1, 1, 2]], [math.inf], 6),
        ([[1, 0, 3]], [4], 9),
        ([[1, 1], [1, 2]], [2, 3], 5),
        ([[0, 0]], [3], 4),
        ([[4, 0, 1, 3]], [math.inf], 7),
    ],
)
def test_the_basis_holds_every_allowed_occupation_once(weights, sizes, cut):
    space = space_of(weights, sizes, cut)
    modes = [w for group in weights for w in group]
    classes = [c for c, group in enumerate(weights) for _ in group]
    expected = [
        n
        for n in itertools.product(range(cut + 1), repeat=len(modes))
        if all(w or not k for w, k in zip(modes, n, strict=True))
        and sum(w * k for w, k in zip(modes, n, strict=True)) <= cut
        and all(
            sum(k for k, c in zip(n, classes, strict=True) if c == i) <= size for i, size in enumerate(sizes)
        )
    ]
    assert [tuple(n) for n in space.occupations.tolist()] == expected
    assert not space.occupations[0].any()
    np.testing.assert_array_equal(space.find(space.occupations), np.arange(space.size))
    assert space.find(np.full((1, len(modes)), cut + 1)) == -1


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3), min_size=1, max_size=3),
    st.lists(st.sampled_from([1, 2, 5, math.inf]), min_size=3, max_size=3),
    st.integers(0, 9),
)
def test_states_are_counted_without_listing_them(weights, sizes, cut):
    sizes = sizes[: len(weights)]
    assert count_box(weights, sizes, cut) == space_of(weights, sizes, cut).size


def test_modes_that_are_left_out_or_heavy_do_not_use_up_the_keys():
    """Fifteen modes cut at 20 would overflow 64 bits if each could be excited 20 times."""
    space = space_of([[1, 1] + [0] * 6 + [10] * 7], [math.inf], 20)
    np.testing.assert_array_equal(space.find(space.occupations), np.arange(space.size))
    with pytest.raises(TruncationError, match="the occupations of 15 modes by up to 20 quanta each"):
        SymmetricSpace(np.array([[0] * 15, [20] * 15]), [0] * 15)


@pytest.mark.parametrize(
    ("levels", "N", "cut"), [(8, 1, None), (8, 1, 1), (7, 1, None), (7, 50, 1), (6, 50, None)]
)
def test_sites_of_too_many_levels_are_refused_in_a_sentence(levels, N, cut):
    random = np.random.default_rng(levels)
    H, A, B = random.standard_normal((3, levels, levels))
    sites = Sites(count=N, hamiltonian=H + H.T, jumps=[A], couplings=[(np.diag([1.0, 2.0]), B + B.T)])
    model = CollectiveModel(hamiltonian=np.eye(2), sites=sites, initial=[1, 0], scaling=1.0)
    observables = {"z": np.diag([1.0, -1.0])}
    sentence = "`sites` must have fewer levels|sites of fewer levels could be dealt with"
    for call in (
        lambda: evolve(model, [0.1], observables, cut=cut),
        lambda: steady_state(model, observables, cut=cut),
        lambda: liouvillian(model, 1),
    ):
        with pytest.raises((ArgumentError, TruncationError), match=sentence):
            call()


@pytest.mark.parametrize(("levels", "N"), [(2, 3), (2, 5), (3, 2)])
def test_lift_is_a_representation(levels, N):
    """Without a cut, [lift A, lift B] = lift [A, B], and lift 1 = N."""
    modes = levels**2 - 1
    space = space_of([[1] * modes], [N], N)
    A, B = np.random.default_rng(3).normal(size=(2, modes + 1, modes + 1))
    lift = Lift(space, Bath(N))
    one, other = lift(A), lift(B)
    np.testing.assert_allclose(
        (one @ other - other @ one).toarray(), lift(A @ B - B @ A).toarray(), atol=1e-10
    )
    np.testing.assert_allclose(lift(np.eye(modes + 1)).toarray(), N * np.eye(space.size), atol=1e-12)


def test_lift_of_two_classes_acts_on_its_own_class_only():
    space = space_of([[1, 1, 1], [1, 1, 1]], [2, 3], 5)
    A, B = np.random.default_rng(4).normal(size=(2, 4, 4))
    one = Lift(space, Bath(5, 0.4), site_class=0)(A)
    other = Lift(space, Bath(5, 0.6), site_class=1)(B)
    assert abs(one @ other - other @ one).max() < 1e-12


@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize(("scaling", "exponent"), [(0.5, -2.0), (1.0, -2.5)])
def test_condensate_factors_expand_in_powers_of_the_bath_size(scaling, exponent, share):
    """Orders 0 to 3 in N^{−1/2} leave an error of the next order that exists: measure its exponent.

    √(N − k) N^{−z} has the orders N^{1/2 − z − l}: next is N^{−2} for z = ½, and N^{−5/2} for z = 1.
    """
    space = space_of([[1, 1, 2]], [10**9], 6)
    M = np.random.default_rng(5).normal(size=(4, 4))
    M[0, 0] = 0 if scaling == 0.5 else 1
    series = [Lift(space, Bath(math.inf, share, order), scaling)(M) for order in range(4)]
    errors = []
    sizes = np.array([1e2, 1e3, 1e4])
    for N in sizes:
        approximation = sum(N ** (-order / 2) * term for order, term in enumerate(series))
        errors.append(abs(Lift(space, Bath(N, share), scaling)(M) - approximation).max())
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(exponent, abs=0.05)


def test_lift_refuses_a_limit_that_does_not_exist():
    space = space_of([[1, 1, 1]], [math.inf], 3)
    with pytest.raises(ArgumentError, match="must be at least 1 for the limit"):
        Lift(space, Bath(math.inf), 0.5)(np.eye(4))
    hop = space.hop(1, 0)
    assert Bath(math.inf, order=0).factor(hop.depleted, hop.condensate, 0.5).tolist() == [1.0] * len(hop.rows)


def test_generator_conserves_the_trace_and_fixes_the_reference():
    for N in (4, 50, math.inf):
        assert abs(liouvillian(PAPER.replace(N=N), 10).matrix[0]).max() == 0
        uncoupled = liouvillian(PAPER.replace(N=N, g0=0, central_pump=0, central_decay=0), 10).matrix
        assert np.abs(uncoupled @ np.eye(1, uncoupled.shape[0])[0]).max() < 1e-15


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=4),
    st.sampled_from([2, 5, math.inf]),
    st.integers(0, 6),
)
def test_a_grown_set_has_one_quantum_more_in_every_kept_mode(weights, size, cut):
    inner = box([weights], [size], cut)
    kept = np.flatnonzero(weights)
    larger, is_inner = grown(inner, kept, np.zeros(len(weights), dtype=int), [size])
    expected = {tuple(n) for n in inner.tolist()}
    for n in inner.tolist():
        for mode in kept:
            more = [k + (i == mode) for i, k in enumerate(n)]
            expected |= {tuple(more)} if sum(more) <= size else set()
    assert [tuple(n) for n in larger.tolist()] == sorted(expected)
    np.testing.assert_array_equal(larger[is_inner], inner)


def test_a_union_is_sorted_and_has_every_row_once():
    parts = box([[1, 2]], [math.inf], 4), box([[2, 1]], [math.inf], 4)
    expected = sorted({tuple(n) for part in parts for n in part.tolist()})
    assert [tuple(n) for n in union(parts).tolist()] == expected
