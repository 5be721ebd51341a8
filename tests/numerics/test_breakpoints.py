"""Are both sides of a change marked, so that an integration starts afresh right before and right after it?"""

import numpy as np
import pytest

from centralspin.numerics.stepping import SAMPLES, breakpoints


@pytest.mark.parametrize("size", [0.3, 0.4, 0.9])
def test_a_jump_of_less_than_the_range_is_enclosed(size):
    """Beside slow changes a jump may cross one level only: both ends of its interval count all the same."""
    where, span = 2.0001, 4.0

    def saw(t):  # rises by 1 before and by 0.4 after the jump
        return t / where if t < where else 1 - size + 0.4 * (t - where) / (span - where)

    found = breakpoints([saw], span)
    step = span / SAMPLES
    before, after = found[found < where].max(), found[found >= where].min()
    assert after - before == pytest.approx(step)


def test_every_function_has_its_own_breakpoints():
    one, other = breakpoints([np.sin], 20.0), breakpoints([np.cos], 20.0)
    np.testing.assert_array_equal(breakpoints([np.sin, lambda t: 2.0, np.cos], 20.0), np.union1d(one, other))
