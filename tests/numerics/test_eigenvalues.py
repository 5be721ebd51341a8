"""Are the slowest eigenvalues found, and all of them where there are no more?"""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from centralspin.numerics import eigenvalues


@pytest.mark.parametrize("count", range(1, 12))
def test_as_many_are_found_as_there_are(count: int, monkeypatch) -> None:
    """Too few unknowns for the iteration, which seeks some more than are asked for, are no obstacle."""
    monkeypatch.setattr(eigenvalues, "DENSE", 0)
    rates = np.array([0.0, 0.1, 0.3, 0.6, 1.0, 1.5, 2.1, 2.8, 3.6, 4.5])
    V = np.eye(10) + 0.1 * np.random.default_rng(0).normal(size=(10, 10))
    L = csr_matrix(V @ np.diag(-rates) @ np.linalg.inv(V))
    found, vector = eigenvalues.slowest(L, count, 0.1)
    np.testing.assert_allclose(found, -rates[:count], atol=1e-9)
    np.testing.assert_allclose(L @ vector, 0, atol=1e-9)
    assert np.linalg.norm(vector) > 0.1
