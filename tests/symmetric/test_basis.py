"""Are the bases of a site's operators, and the changes between them, what they say?"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centralspin.symmetric.basis import OperatorBasis, in_reference_basis


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
