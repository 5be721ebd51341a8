"""Is a solution that does not solve its equation refused, whichever way it was found?"""

import numpy as np
import pytest
from scipy.sparse import csr_array

from centralspin.numerics.stationary import NotUniqueError, StationarySolver

#: Classical rates among three states; columns add up to 0.
L = csr_array(np.array([[-1.0, 0.5, 0.0], [1.0, -1.5, 0.3], [0.0, 1.0, -0.3]]))
TRACE = np.ones(3)


def test_a_residual_that_is_no_round_off_is_refused():
    solver = StationarySolver(L, TRACE, 1e-10)
    v = solver.stationary()
    np.testing.assert_allclose(L @ v, 0, atol=1e-15)
    right = solver._bordered @ v
    assert solver._checked(v, right) is v
    solver._checked(v + 1e-13, right)
    for off in (1e-10, 1e-6, 1e-3, np.nan):
        with pytest.raises(NotUniqueError, match="not unique"):
            solver._checked(v + off, right)
    large = 1e6 * v
    solver._checked(large + 1e-7, solver._bordered @ large)  # relative to the size of the solution
