"""Do methods that build their equations independently give the same numbers for random models?"""

import math
from dataclasses import replace

import numpy as np
import oracle
import pytest
from random_models import around, boson_moments, levels, matrix, moments, reading, spins, thermal
from scipy.integrate import solve_ivp

from centralspin import Moment

TIMES = [0.0, 0.3, 1.1]


@pytest.mark.parametrize("seed", range(4))
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


@pytest.mark.parametrize("seed", range(5))
def test_the_blocks_agree_with_the_whole_space(seed):
    random = np.random.default_rng(seed)
    central = 2 + seed % 2
    model = around(random, spins(random, 2 + seed % 3, central), central, random.choice([0.5, 1.0]))
    wanted = moments(random, model)
    for times in (TIMES, None):
        answer = reading("dicke", model, times, wanted)
        full = reading("full_space", model, times, wanted)
        np.testing.assert_allclose(answer, full, atol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_factors_that_change_in_time(seed):
    """A pulse of a rate, against plain matrices integrated step by step."""
    random = np.random.default_rng(seed)

    def pulse(t):
        return 0.3 + np.exp(-(((t - 0.6) / 0.05) ** 2)) - 0.5 * np.sin(t)

    model = around(random, [spins(random, 1, rates=[pulse, None, 0.2]), spins(random, 1)])
    wanted = moments(random, model)
    answer = reading("full_space", model, TIMES, wanted)
    np.testing.assert_allclose(answer, oracle.values_in_time(model, TIMES, wanted), atol=1e-7)


@pytest.mark.parametrize("method", ["full_space", "mean_field", "symmetric"])
def test_a_short_pulse_is_seen_or_can_be_named(method):
    """Coherences that only decay while a Gaussian of unit area passes by."""
    random = np.random.default_rng(1)

    def gaussian(width):
        return lambda t: np.exp(-(((t - 37.3) / width) ** 2)) / (width * np.sqrt(np.pi))

    jumps, initial, still = [np.diag([1.0, -1.0])], np.full((2, 2), 0.5), np.zeros((2, 2))
    x = [Moment(site=[[0, 1], [1, 0]], scaling=1.0, about="zero")]
    for width, options in (
        (0.1, {}),
        (0.001, {"t_stops": [37.3 - 0.005]}),
        (0.001, {"t_stops": [37.29, 37.3]}),
    ):
        parts = {"hamiltonian": still, "jumps": jumps, "couplings": [], "initial": initial}
        model = around(random, spins(random, 2, rates=[gaussian(width)], **parts))
        assert reading(method, model, [0, 100.0], x, **options)[1, 0] == pytest.approx(np.exp(-2), abs=1e-6)
    # What the central system feels of it.
    flip = np.array([[0, 1], [1, 0]])
    model = around(
        random,
        spins(random, 2, rates=[gaussian(0.03)], **(parts | {"couplings": [(np.diag([0.02, -0.02]), flip)]})),
    )
    model = model.replace(hamiltonian=0.02 * flip, jumps=[])
    seen, named = (
        reading(method, model, [0, 45.0], [Moment(central=flip)], t_stops=stops)
        for stops in ((), np.linspace(36, 39, 31))
    )
    assert abs(seen[0, 0] - seen[1, 0]) > 1e-3
    np.testing.assert_allclose(seen, named, atol=1e-7)


@pytest.mark.parametrize("seed", range(2))
def test_fock_space_agrees_with_the_symmetric_limit(seed):
    """Any central system, a field along z, phases of couplings and jumps, mixed moments."""
    random = np.random.default_rng(seed)
    central = 2 + seed % 2
    model = around(random, thermal(random, central, math.inf), central)
    wanted = boson_moments(random, central)
    for times in ([0.4, 1.3], None)[: 4 - central]:  # at rest three levels take long
        limit = reading("spin_boson", model, times, wanted)
        np.testing.assert_allclose(limit, reading("symmetric", model, times, wanted), atol=5e-8)


def assert_limit(model, times, wanted, limit):
    """The blocks approach it as 1/N: little is left of the distance when a term in 1/N is taken off."""
    one, two = (
        reading("dicke", model.replace(sites=replace(model.sites[0], count=N)), times, wanted)
        for N in (16, 32)
    )
    assert np.abs(2 * two - one - limit).max() < np.abs(two - limit).max() / 5


def test_fock_space_is_the_limit_of_the_blocks():
    random = np.random.default_rng(0)
    model = around(random, thermal(random, 2, math.inf))
    wanted = boson_moments(random, 2)
    limit = reading("spin_boson", model, [0.2, 0.5], wanted)
    assert_limit(model, [0.2, 0.5], wanted, limit)


@pytest.mark.parametrize("seed", range(3))
def test_mean_field_is_the_limit_of_the_blocks_for_averaged_couplings(seed):
    random = np.random.default_rng(seed)
    model = around(random, spins(random, math.inf), scaling=1.0)
    d = matrix(random, 2)
    wanted = [Moment(central=d), Moment(site=matrix(random, 2, True), scaling=1.0, about="zero")]
    limit = reading("mean_field", model, TIMES, wanted)
    np.testing.assert_allclose(limit, reading("symmetric", model, TIMES, wanted), atol=1e-7)
    assert_limit(model, TIMES, wanted, limit)


@pytest.mark.parametrize("scaling", [0.5, 1.0])
def test_mean_field_of_two_finite_classes(scaling):
    """Against the equations of ρ_c and the m of both classes as one would write them down."""
    random = np.random.default_rng(11)
    sites = [spins(random, 3), levels(random, 5, 3, interactions=False)]
    model, ends = around(random, sites, scaling=scaling), np.cumsum([4, 4])

    def trace(A, rho):
        return np.trace(A @ rho)

    def derivative(t, y):
        rho, *m = (part.reshape(d, d) for part, d in zip(np.split(y, ends), (2, 2, 3), strict=True))
        H, fields = model.hamiltonian + 0j, [site.hamiltonian + 0j for site in sites]
        for c, site in enumerate(sites):
            for A, B in site.couplings:
                once = 8**-scaling / (2 if oracle.hermitian(A, B) else 1)
                for X, Y in ((A, B), (A.conj().T, B.conj().T)):
                    H = H + once * site.count * trace(Y, m[c]) * X
                    fields[c] = fields[c] + once * trace(X, rho) * Y
        jumps = [[(J, f or 1.0) for J, f in zip(s.jumps, s.rates or [1.0] * 9)] for s in sites]  # noqa: B905
        systems = [(H, [(J, 1.0) for J in model.jumps], rho), *zip(fields, jumps, m, strict=True)]
        moved = [oracle.liouvillian(H, J) @ r.ravel(order="F") for H, J, r in systems]
        return np.concatenate(
            [v.reshape(r.shape).T.ravel() for v, (*_, r) in zip(moved, systems, strict=True)]
        )

    start = np.concatenate([r.ravel() for r in (model.initial, *(site.initial for site in sites))])
    B = [matrix(random, 2, True), matrix(random, 3, True)]
    wanted = [Moment(central=matrix(random, 2, True)), Moment(site=B, scaling=1.0, about="zero")]
    plain = solve_ivp(derivative, (0, TIMES[-1]), start, "DOP853", TIMES, rtol=1e-11, atol=1e-11).y.T
    for y, found in zip(plain, reading("mean_field", model, TIMES, wanted), strict=True):
        rho, *m = (part.reshape(d, d) for part, d in zip(np.split(y, ends), (2, 2, 3), strict=True))
        average = sum(s.count * trace(b, r) for s, b, r in zip(sites, B, m, strict=True)) / 8
        np.testing.assert_allclose(found, [trace(wanted[0].central, rho), average], atol=1e-8)


@pytest.mark.parametrize("about", ["zero", "reference", "mean"])
def test_moments_mean_the_same_in_every_method(about):
    random = np.random.default_rng(7)
    model = around(random, spins(random, 4))
    wanted = moments(random, model, about=about)
    for times in (TIMES, None):
        full = reading("full_space", model, times, wanted)
        for method in ("dicke", "symmetric"):
            np.testing.assert_allclose(reading(method, model, times, wanted), full, atol=3e-8)
