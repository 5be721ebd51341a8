"""Does it change anything to write one class of sites as several?"""

import math
from dataclasses import replace

import numpy as np
import pytest
from random_models import around, levels, matrix, spins
from random_models import thermal as strongly_coupled

from centralspin import Moment, evolve, expand, steady_state

TIMES = np.array([0.0, 0.4, 1.1])


def thermal(random, central, count):
    """Weakly coupled ones, of which few excitations are needed."""
    sites = strongly_coupled(random, central, count)
    return replace(sites, couplings=[(0.4 * A, B) for A, B in sites.couplings])


def split(model, moments, *counts, shares=()):
    """The same sites in several classes, and the same moments of all of them."""
    (sites,) = model.sites
    parts = [replace(sites, count=n) for n in counts] or [replace(sites, share=x) for x in shares]
    spread = {
        name: m if m.site is None else replace(m, site=[m.operators[0]] * len(parts))
        for name, m in moments.items()
    }
    return model.replace(sites=parts), spread


def wanted(random, d=2, about="mean", flip=False):
    B = matrix(random, d, True)
    if flip:
        B = B - np.diag(np.diag(B))
    return {
        "z": Moment(central=matrix(random, 2, True)),
        "b": Moment(site=B, about=about),
        "b2": Moment(site=B, power=2, about=about),
        "ab3": Moment(central=matrix(random, 2), site=B, power=3, about=about),
    }


def same(one, other, atol):
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=atol)


@pytest.mark.parametrize("about", ["zero", "mean"])
@pytest.mark.parametrize("method", ["symmetric", "full_space"])
def test_a_finite_class(method, about):
    random = np.random.default_rng(1)
    model = around(random, spins(random, 3))
    moments = wanted(random, about=about)
    parts, spread = split(model, moments, 1, 2)
    same(evolve(model, TIMES, moments), evolve(parts, TIMES, spread, method=method), 3e-8)
    same(steady_state(model, moments), steady_state(parts, spread, method=method), 3e-8)


def test_a_finite_class_of_three_levels_into_three():
    random = np.random.default_rng(2)
    model = around(random, levels(random, 3, 3, interactions=False, initial=None), scaling=1.0)
    moments = wanted(random, 3)
    parts, spread = split(model, moments, 1, 1, 1)
    same(evolve(model, TIMES, moments, tolerance=1e-5), evolve(parts, TIMES, spread, tolerance=1e-5), 2e-5)


def test_a_large_class_whose_parts_are_rotated():
    random = np.random.default_rng(3)
    model = around(random, thermal(random, 2, 100))
    moments = wanted(random, flip=True)
    parts, spread = split(model, moments, 45, 55)
    same(evolve(model, TIMES, moments, tolerance=1e-5), evolve(parts, TIMES, spread, tolerance=1e-5), 2e-5)


@pytest.mark.parametrize("shares", [(0.2, 0.8), (0.2, 0.3, None)])
def test_infinite_classes_have_shares(shares):
    random = np.random.default_rng(3)
    model = around(random, thermal(random, 2, math.inf))
    moments = wanted(random, flip=True)
    parts, spread = split(model, moments, shares=shares)
    same(evolve(model, TIMES, moments, tolerance=1e-5), evolve(parts, TIMES, spread, tolerance=1e-5), 2e-5)


def test_shares_weigh_the_classes_that_are_read():
    """Only one of two classes is read: ⟨X²⟩ of independent sites is its share of the variance."""
    random = np.random.default_rng(4)
    model = around(random, thermal(random, 2, math.inf))
    x = Moment(site=[[0, 1], [1, 0]], power=2)
    parts, _ = split(model, {}, shares=(0.2, 0.8))
    first, second = (replace(x, site_class=c, site={c: [[0, 1], [1, 0]]}) for c in (0, 1))
    found = evolve(
        parts, [0.0], {"one": first, "two": second, "both": Moment(site=[x.operators[0]] * 2, power=2)}
    )
    assert found["one"][0] == pytest.approx(0.2) and found["two"][0] == pytest.approx(0.8)
    assert found["both"][0] == pytest.approx(1.0)


@pytest.mark.parametrize("counts", [(3, 7)])
@pytest.mark.parametrize("times", [TIMES, None])
def test_the_coefficient_of_1_over_N(times, counts):
    random = np.random.default_rng(3)
    model = around(random, thermal(random, 2, sum(counts)))
    moments = {"z": Moment(central=matrix(random, 2, True)), "x2": Moment(site=[[0, 1], [1, 0]], power=2)}
    parts, spread = split(model, moments, *counts)
    for one, other in zip(
        expand(model, times, moments, tolerance=1e-5),
        expand(parts, times, spread, tolerance=1e-5),
        strict=True,
    ):
        same(one, other, 5e-5)


def test_averaged_couplings_at_infinity():
    random = np.random.default_rng(6)
    model = around(random, spins(random, math.inf), scaling=1.0)
    moments = {
        "z": Moment(central=matrix(random, 2, True)),
        "m": Moment(site=matrix(random, 2, True), scaling=1.0, about="zero"),
    }
    for method in ("symmetric", "mean_field"):
        parts, spread = split(model, moments, shares=(0.1, None))
        same(evolve(model, TIMES, moments, method=method), evolve(parts, TIMES, spread, method=method), 3e-8)
    parts, spread = split(model.replace(sites=replace(model.sites[0], count=10)), moments, 1, 9)
    for one, other in zip(
        expand(model, TIMES, moments, tolerance=1e-6),
        expand(parts, TIMES, spread, tolerance=1e-6),
        strict=True,
    ):
        same(one, other, 1e-5)
