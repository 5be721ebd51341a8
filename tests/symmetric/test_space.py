"""Is the Fock space of symmetric operators what it says it is?"""

import itertools
import math

import numpy as np
import pytest
from conftest import PAPER
from hypothesis import given
from hypothesis import strategies as st

from centralspin import ArgumentError
from centralspin.problem.collective import collective_model
from centralspin.symmetric.basis import OperatorBasis, in_reference_basis
from centralspin.symmetric.generator import Generator
from centralspin.symmetric.solver import count_states
from centralspin.symmetric.space import SymmetricSpace, condensate_factor, lift


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
    space = SymmetricSpace(weights, sizes, cut)
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
    assert (
        count_states([np.array(w) for w in weights], sizes, cut) == SymmetricSpace(weights, sizes, cut).size
    )


def test_modes_that_are_left_out_or_heavy_do_not_use_up_the_keys():
    """Fifteen modes cut at 20 would overflow 64 bits if each could be excited 20 times."""
    space = SymmetricSpace([[1, 1] + [0] * 6 + [10] * 7], [math.inf], 20)
    np.testing.assert_array_equal(space.find(space.occupations), np.arange(space.size))
    with pytest.raises(OverflowError, match="15 modes cut at 20"):
        SymmetricSpace([[1] * 15], [math.inf], 20)


@pytest.mark.parametrize(("levels", "N"), [(2, 3), (2, 5), (3, 2)])
def test_lift_is_a_representation(levels, N):
    """Without a cut, [lift A, lift B] = lift [A, B], and lift 1 = N."""
    modes = levels**2 - 1
    space = SymmetricSpace([[1] * modes], [N], N)
    A, B = np.random.default_rng(3).normal(size=(2, modes + 1, modes + 1))
    one, other = lift(space, A, N), lift(space, B, N)
    np.testing.assert_allclose(
        (one @ other - other @ one).toarray(), lift(space, A @ B - B @ A, N).toarray(), atol=1e-10
    )
    np.testing.assert_allclose(
        lift(space, np.eye(modes + 1), N).toarray(), N * np.eye(space.size), atol=1e-12
    )


def test_lift_of_two_classes_acts_on_its_own_class_only():
    space = SymmetricSpace([[1, 1, 1], [1, 1, 1]], [2, 3], 5)
    A, B = np.random.default_rng(4).normal(size=(2, 4, 4))
    one, other = lift(space, A, 2, site_class=0), lift(space, B, 3, site_class=1)
    assert abs(one @ other - other @ one).max() < 1e-12


@pytest.mark.parametrize(("scaling", "exponent"), [(0.5, -2.0), (1.0, -2.5)])
def test_condensate_factors_expand_in_powers_of_the_bath_size(scaling, exponent):
    """Orders 0 to 3 in N^{−1/2} leave an error of the next order that exists: measure its exponent.

    √(N − k) N^{−z} has the orders N^{1/2 − z − l}: next is N^{−2} for z = ½, and N^{−5/2} for z = 1.
    """
    space = SymmetricSpace([[1, 1, 2]], [10**9], 6)
    M = np.random.default_rng(5).normal(size=(4, 4))
    M[0, 0] = 0 if scaling == 0.5 else 1
    series = [lift(space, M, 10**9, scaling, order=order) for order in range(4)]
    errors = []
    sizes = np.array([1e2, 1e3, 1e4])
    for N in sizes:
        approximation = sum(N ** (-order / 2) * term for order, term in enumerate(series))
        errors.append(abs(lift(space, M, N, scaling) - approximation).max())
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(exponent, abs=0.05)


def test_lift_refuses_a_limit_that_does_not_exist():
    space = SymmetricSpace([[1, 1, 1]], [math.inf], 3)
    with pytest.raises(ArgumentError, match="must be at least 1 for the limit"):
        lift(space, np.eye(4), math.inf, 0.5)
    assert condensate_factor(space.hop(1, 0), math.inf, 0.5, 0).tolist() == [1.0] * len(space.hop(1, 0).rows)


def test_generator_conserves_the_trace_and_fixes_the_reference():
    for N in (4, 50, math.inf):
        generator = Generator(collective_model(PAPER.replace(N=N)), 10)
        assert abs(generator.matrix()[0]).max() == 0
        uncoupled = Generator(collective_model(PAPER.replace(N=N, g0=0, central_pump=0, central_decay=0)), 10)
        assert np.abs(uncoupled.matrix() @ np.eye(1, uncoupled.size)[0]).max() < 1e-15


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_operator_basis_is_orthogonal_and_traceless(levels):
    basis = OperatorBasis(levels)
    e = basis.elements
    gram = np.einsum("aij,bji->ab", e[1:], e[1:])
    np.testing.assert_allclose(gram, np.eye(levels**2 - 1) / levels, atol=1e-14)
    np.testing.assert_allclose(np.einsum("aii->a", e), np.eye(1, levels**2)[0], atol=1e-14)
    X = np.random.default_rng(6).normal(size=(levels, levels, 2)) @ [1, 1j]
    np.testing.assert_allclose(np.tensordot(basis.coordinates(X), e, axes=1), X, atol=1e-13)


@given(st.integers(0, 10**6))
def test_change_of_reference_is_a_similarity(seed):
    random = np.random.default_rng(seed)
    F, G = random.normal(size=(2, 4, 4))
    r = random.normal(size=3)
    T = np.eye(4)
    T[1:, 0] = r
    np.testing.assert_allclose(in_reference_basis(F, r), np.linalg.solve(T, F @ T), atol=1e-12)
    product = in_reference_basis(F, r) @ in_reference_basis(G, r)
    np.testing.assert_allclose(product, in_reference_basis(F @ G, r), atol=1e-11)
