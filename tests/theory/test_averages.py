"""Do average operators take the value −ε in the limit, each of them once?"""

import math

import numpy as np
import pytest

from centralspin import CentralSpinModel
from centralspin.theory.corollary_1 import BosonDynamics, BosonPolynomials

MODEL = CentralSpinModel(
    N=math.inf,
    g0=2.0,
    central_field=(1.0, 0.3, 0.5),
    central_pump=0.8,
    central_decay=0.1,
    bath_pump=0.2,
    bath_decay=1.0,
)
PHI = (0.36, -0.48, 0.64)


@pytest.mark.parametrize("averages", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (0, 3, 0)])
def test_averages_multiply_by_minus_epsilon(averages):
    fock, exact = BosonDynamics(MODEL, 30), BosonPolynomials(MODEL)
    bare = ((1, 1, 0), (2, 0, 1), (3, 1, 1))
    nu, mu, eta = ((*p, k) for p, k in zip(bare, averages, strict=True))
    found = exact.powers(nu, mu, eta, 4, PHI)
    expected = (-MODEL.epsilon) ** sum(averages) * exact.powers(*((*p, 0) for p in bare), 4, PHI)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(
        found, fock.powers(fock.start(nu, eta, PHI), [mu], 4)[:, 0], rtol=1e-8, atol=1e-10
    )
    assert np.abs(found).min() > 1e-3
