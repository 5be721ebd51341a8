"""Do methods that build their equations independently give the same numbers for random models?"""

import numpy as np
import oracle
import pytest
from random_models import around, levels, moments, reading, spins

TIMES = [0.0, 0.3, 1.1]


@pytest.mark.parametrize("seed", range(6))
def test_the_whole_space_agrees_with_plain_matrices(seed):
    """Two classes of different sites, interactions, rates, couplings that are not Hermitian, mixed moments."""
    random = np.random.default_rng(seed)
    sites = [spins(random, 2), levels(random, 1, 2) if seed % 2 else levels(random, 1, 3)]
    model = around(random, sites, scaling=random.choice([0.5, 1.0, 0.3]))
    wanted = moments(random, model, scaling=0.4)
    for times in (TIMES, None):
        answer = reading("full_space", model, times, wanted)
        np.testing.assert_allclose(answer, oracle.values(model, times, wanted), atol=2e-8)


@pytest.mark.parametrize("seed", range(4))
def test_interactions_within_a_class(seed):
    random = np.random.default_rng(seed)
    model = around(random, levels(random, 2 + seed % 2, 3 - seed % 2))
    wanted = moments(random, model)
    for times in (TIMES, None):
        answer = reading("full_space", model, times, wanted)
        np.testing.assert_allclose(answer, oracle.values(model, times, wanted), atol=2e-8)


@pytest.mark.parametrize("seed", range(8))
def test_the_blocks_agree_with_the_whole_space(seed):
    random = np.random.default_rng(seed)
    central = 2 + seed % 2
    model = around(random, spins(random, 2 + seed % 3, central), central, random.choice([0.5, 1.0]))
    wanted = moments(random, model)
    for times in (TIMES, None):
        answer = reading("dicke", model, times, wanted)
        full = reading("full_space", model, times, wanted)
        np.testing.assert_allclose(answer, full, atol=1e-8)
