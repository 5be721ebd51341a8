"""Are sites that jump together what every site written out, closed forms and QuTiP say, at any N and at N = ∞?"""

import math
from dataclasses import replace

import numpy as np
import pytest
import qutip
from conftest import PAPER
from qutip.piqs.piqs import Dicke, excited, jspin
from random_models import LOWER, around, levels, matrix, moments, reading, rescaled, spins, thermal
from scipy.linalg import expm

from centralspin import (
    ArgumentError,
    CollectiveModel,
    Moment,
    Sites,
    evolve,
    expand,
    liouvillian,
    load,
    steady_state,
)

TIMES = np.array([0.0, 0.2, 0.6])
Z = np.diag([1.0, -1.0])
STILL = np.zeros((2, 2))


def jumps(random, model):
    """Of central system and all classes, of the sites alone, and of one class with a Hermitian operator."""
    d = model.dimension
    everywhere = [0.5 * matrix(random, s.dimension) for s in model.sites]
    one = {len(model.sites) - 1: matrix(random, model.sites[-1].dimension, True)}
    return [(0.5 * matrix(random, d), everywhere), (None, everywhere), (0.3 * matrix(random, d, True), one)]


KINDS = {
    "spins": lambda random: [spins(random, 3)],
    "levels": lambda random: [levels(random, 2, 3, interactions=False)],
    "classes": lambda random: [spins(random, 2), levels(random, 1, 2, interactions=False)],
    "interactions": lambda random: [levels(random, 2, 2)],
}


@pytest.mark.parametrize("kind", KINDS)
def test_random_collective_jumps(kind):
    random = np.random.default_rng(list(KINDS).index(kind))
    model = around(random, KINDS[kind](random))
    model = model.replace(collective_jumps=jumps(random, model))
    wanted = moments(random, model)
    for times in (TIMES, None) if kind != "interactions" else (TIMES,):
        found, right = (reading(method, model, times, wanted) for method in ("symmetric", "full_space"))
        np.testing.assert_allclose(found, right, atol=1e-8 * np.abs(right).max())


@pytest.mark.parametrize("N", [1, 6])
def test_the_dicke_blocks_agree(N):
    random = np.random.default_rng(N)
    model = around(random, spins(random, N))
    model = model.replace(collective_jumps=[(matrix(random, 2), 0.4 * matrix(random, 2)), (None, LOWER)])
    wanted = moments(random, model)
    for times in (TIMES, None):
        found, right = (reading(method, model, times, wanted) for method in ("symmetric", "dicke"))
        np.testing.assert_allclose(found, right, atol=1e-8 * max(1.0, np.abs(right).max()))


def test_one_operator_is_that_of_all_classes_however_they_are_split():
    random = np.random.default_rng(1)
    whole = around(random, spins(random, 3))
    (site,) = whole.sites
    parts = whole.replace(sites=[replace(site, count=1), replace(site, count=2)])
    wanted = [Moment(central=Z), *(Moment(site={0: LOWER, 1: LOWER}, power=p, about="zero") for p in (1, 2))]
    for A in (None, matrix(random, 2)):
        given = {"collective_jumps": [(A, LOWER)]}
        read = [replace(m, site={0: LOWER}) if m.power else m for m in wanted]
        found = reading("symmetric", parts.replace(**given), TIMES, wanted)
        np.testing.assert_allclose(
            found, reading("symmetric", whole.replace(**given), TIMES, read), atol=1e-8
        )
    named = [(None, LOWER), (None, [LOWER, LOWER]), (None, {0: LOWER, 1: LOWER})]
    values = [reading("full_space", parts.replace(collective_jumps=[jump]), TIMES, wanted) for jump in named]
    for value in values[1:]:
        np.testing.assert_array_equal(value, values[0])


def emitters(N, rate, local=0.0, dephasing=0.0, initial=None):
    """N emitters that start excited; `rate` is that of one emitter into the common mode."""
    sites = Sites(
        count=N, hamiltonian=STILL, jumps=[math.sqrt(local) * LOWER, math.sqrt(dephasing) * Z],
        initial=np.diag([1.0, 0.0]) if initial is None else initial,
    )  # fmt: skip
    return CollectiveModel(
        hamiltonian=np.zeros((1, 1)),
        sites=sites,
        initial=np.eye(1),
        collective_jumps=[(None, math.sqrt(N * rate) * LOWER)],
    )


def ladder(N, times, rate=1.0):
    """Populations of |N/2, m⟩, m = N/2, N/2 − 1, …, from the fully excited state: a chain of decays."""
    j = N / 2
    m = j - np.arange(N + 1)
    down = rate * (j + m) * (j - m + 1)
    L = np.diag(-down) + np.diag(down[:-1], -1)
    return np.array([expm(L * t)[:, 0] for t in times]), m, down


@pytest.mark.parametrize("N", [2, 12])
def test_superradiance_goes_down_the_ladder_of_dicke(N):
    times = np.linspace(0, 1.5, 7) * 2 / N
    populations, m, down = ladder(N, times)
    # ⟨S_+S_−⟩ = N/2 + Σ_z/2 + (Σ_x² + Σ_y² − 2N)/4 with sums of Pauli matrices
    X, Y = (s.full() for s in (qutip.sigmax(), qutip.sigmay()))
    wanted = {
        "z": Moment(site=Z, scaling=0.0, about="zero"),
        **{
            n: Moment(site=s, power=2, scaling=0.0, about="zero")
            for n, s in (("x2", X), ("y2", Y), ("z2", Z))
        },
    }
    seen = evolve(emitters(N, 1.0), times, wanted, tolerance=1e-10)
    emission = (seen["x2"] + seen["y2"]) / 4 + seen["z"] / 2
    np.testing.assert_allclose(seen["z"] / 2, populations @ m, atol=1e-7)
    np.testing.assert_allclose(seen["z2"] / 4, populations @ m**2, atol=1e-7)
    np.testing.assert_allclose(emission, populations @ down, atol=1e-7)


def test_piqs_agrees_on_collective_and_local_emission():
    """All rates and N are exact in single precision, in which the core of PIQS computes; its integrator has 1e-8."""
    N, times = 12, np.linspace(0, 0.5, 5)
    system = Dicke(N=N, emission=0.5, dephasing=0.25, collective_emission=0.125)
    j_z = jspin(N, "z")
    options = {"atol": 1e-12, "rtol": 1e-12, "nsteps": 10**6}
    states = qutip.mesolve(system.liouvillian(), excited(N), times, options=options).states
    expected = [(j_z * rho).tr().real for rho in states]
    # PIQS dephases by W[J_z] of every spin, J_z = σ_z/2.
    model = emitters(N, 0.125, local=0.5, dephasing=0.25 / 4)
    found = evolve(model, times, {"z": Moment(site=Z / 2, scaling=0.0, about="zero")}, tolerance=1e-9)["z"]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("pump", [0.0, 0.2])
def test_in_the_limit_the_loss_of_the_boson_grows(pump):
    """κ↓ → κ↓ + εΓ_c: the amplitude decays at (Γ+ + εΓ_c)/2, and n_β falls to κ↑/(κ↓ + εΓ_c − κ↑)."""
    rate = 0.7
    model = PAPER.replace(bath_pump=pump)
    epsilon = model.epsilon
    sites = Sites(
        count=math.inf,
        hamiltonian=STILL,
        jumps=[LOWER, math.sqrt(pump) * LOWER.T],
        couplings=[(STILL + LOWER.T, LOWER)],
    )
    X = LOWER + LOWER.T
    boson = CollectiveModel(
        hamiltonian=0.5 * Z, jumps=[LOWER], sites=sites, initial=np.diag([1.0, 0]),
        collective_jumps=[(None, math.sqrt(rate) * LOWER)],
    )  # fmt: skip
    matrix_ = liouvillian(boson.replace(sites=replace(sites, couplings=[])), 1).matrix.toarray()
    amplitude = (model.bath_rate + epsilon * rate) / 2
    assert np.abs(np.linalg.eigvals(matrix_) + amplitude).min() < 1e-12
    free = boson.replace(sites=replace(sites, couplings=[]))
    n = model.boson_pump / (model.boson_loss + epsilon * rate - model.boson_pump)
    fluctuations = steady_state(free, {"x": Moment(site=X, power=2)})["x"]
    assert fluctuations == pytest.approx(epsilon * (2 * n + 1), abs=1e-8)
    wanted = [Moment(central=Z), Moment(site=X, power=2), Moment(central=LOWER, site=LOWER)]
    found, right = (reading(m, boson, TIMES, wanted, 1e-8) for m in ("symmetric", "spin_boson"))
    np.testing.assert_allclose(found, right, atol=1e-7)


@pytest.mark.parametrize("with_central", [False, True])
def test_random_jumps_in_the_limit_are_those_of_the_boson(with_central):
    random = np.random.default_rng(5)
    model = around(random, thermal(random, 2, math.inf))
    A, (a, b) = matrix(random, 2) if with_central else None, random.normal(size=2)
    model = model.replace(collective_jumps=[(A, 0.3 * np.array([[0, 0.5 * a], [b, 0]]))])
    wanted = [Moment(central=Z), Moment(site=LOWER + LOWER.T, power=2)]
    for times in (TIMES, None):
        found, right = (reading(m, model, times, wanted, 1e-8) for m in ("symmetric", "spin_boson"))
        np.testing.assert_allclose(found, right, atol=1e-6)


@pytest.mark.parametrize("tilted", [False, True])
def test_expansions_around_the_limit(tilted):
    """Also where the sites emit as a classical antenna and the reference state follows their mean field."""
    state = np.array([[0.6, 0.2 - 0.1j], [0.2 + 0.1j, 0.4]]) if tilted else None
    sites = Sites(count=math.inf, hamiltonian=0.3 * Z, jumps=[LOWER, 0.4 * LOWER.T], initial=state)
    model = CollectiveModel(
        hamiltonian=np.zeros((1, 1)), sites=sites, initial=np.eye(1), collective_jumps=[(None, 1.2 * LOWER)]
    )
    wanted = {"z": Moment(site=Z, scaling=1.0, about="zero"), "xx": Moment(site=LOWER + LOWER.T, power=2)}
    limit, first = expand(model, TIMES, wanted)
    sizes = (2000, 4000)
    for name in wanted:
        runs = [
            evolve(model.replace(sites=replace(sites, count=N)), TIMES, wanted, tolerance=1e-10)[name]
            for N in sizes
        ]
        one, two = (N * (run - limit[name]) for N, run in zip(sizes, runs, strict=True))
        np.testing.assert_allclose(first[name], 2 * two - one, atol=2e-5)
    if tilted:  # the antenna radiates
        assert abs(limit["z"][-1] - evolve(model.replace(collective_jumps=[]), TIMES, wanted)["z"][-1]) > 0.03


def test_large_baths_approach_the_limit():
    random = np.random.default_rng(2)
    model = around(random, thermal(random, 2, math.inf))
    model = model.replace(collective_jumps=[(matrix(random, 2), 0.3 * LOWER)])
    (site,) = model.sites
    wanted = [Moment(central=Z), Moment(site=LOWER + LOWER.T, power=2)]
    limit = reading("symmetric", model, TIMES, wanted, 1e-7)
    large = reading("symmetric", model.replace(sites=replace(site, count=10**6)), TIMES, wanted, 1e-7)
    np.testing.assert_allclose(large, limit, atol=1e-4)
    first = expand(model, TIMES, {"z": wanted[0]}, tolerance=1e-7)[1]["z"]
    np.testing.assert_allclose((large[:, 0] - limit[:, 0]) * 10**6, first, atol=0.3)


@pytest.mark.parametrize("s", [1e-15])
def test_the_unit_of_time_does_not_matter(s):
    random = np.random.default_rng(4)
    model = around(random, spins(random, 2))
    given = jumps(random, model)
    wanted = moments(random, model)[:4]

    def with_jumps(model, scale):
        root = math.sqrt(scale)
        return model.replace(
            collective_jumps=[
                (None, [root * B for B in bath]) if A is None else (root * A, bath) for A, bath in given
            ]
        )

    for method in ("symmetric", "dicke"):
        for times in (TIMES, None):
            one = reading(method, with_jumps(model, 1.0), times, wanted)
            moved = None if times is None else times / s
            other = reading(method, with_jumps(rescaled(model, s), s), moved, wanted)
            np.testing.assert_allclose(other, one, atol=2e-8)


def test_states_that_jumped_are_continued_and_written_down(tmp_path):
    random = np.random.default_rng(6)
    model = around(random, spins(random, 3))
    model = model.replace(collective_jumps=jumps(random, model))
    wanted = {"z": Moment(central=Z), "x": Moment(site=LOWER + LOWER.T, power=2, about="zero")}
    once, first = evolve(model, [1.0], wanted), evolve(model, [0.4], wanted)
    then = evolve(model, [0.6], wanted, initial=first.final)
    for name in wanted:
        np.testing.assert_allclose(then[name], once[name], atol=1e-7)
    assert load(once.save(tmp_path / "jumped")) == once


# --- what is refused ---


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (LOWER, "`collective_jumps[0]` must be a pair (A, B) of operators, A perhaps None, but is array"),
        ((None, np.eye(3)), "`collective_jumps[0][1]` must be 2×2, but is of shape (3, 3)."),
        ((np.eye(3), LOWER), "`collective_jumps[0][0]` must be 2×2, but is of shape (3, 3)."),
        (
            (None, np.full((2, 2), math.nan)),
            "`collective_jumps[0][1]` must have finite entries, but is not finite",
        ),
        ((None, None), "`collective_jumps[0][1]` must be a sequence, but is None."),
        ((None, [None]), "`collective_jumps[0][1]` must act on one class of sites at least, but is [None]."),
        ((None, {}), "`collective_jumps[0][1]` must act on one class of sites at least, but is {}."),
        ((None, {1: LOWER}), "`collective_jumps[0][1]` must be an integer from 0 to 0, but is 1."),
        (
            (None, [LOWER, LOWER]),
            "`collective_jumps[0][1]` must have one operator (or None) for each of the 1 classes",
        ),
        (
            (None, LOWER, 1.0),
            "`collective_jumps[0]` must be a pair (A, B) of operators, A perhaps None, but is",
        ),
        (
            ("a", LOWER),
            "`collective_jumps[0][0]` must be a square matrix of numbers (NumPy array, sparse matrix or QuTiP "
            "operator), but is 'a'.",
        ),
    ],
)
def test_what_is_no_collective_jump_is_refused_in_a_sentence(pair, words):
    with pytest.raises(ArgumentError) as refusal:
        CollectiveModel(hamiltonian=Z, sites=Sites(count=2, hamiltonian=Z), collective_jumps=[pair])
    assert words in str(refusal.value) and str(refusal.value).endswith(".")


def test_what_has_no_limit_and_what_does_not_follow_is_told():
    tilted = np.full((2, 2), 0.5)
    sites = Sites(count=math.inf, hamiltonian=STILL, jumps=[LOWER], initial=tilted)
    model = CollectiveModel(
        hamiltonian=Z, sites=sites, initial=np.diag([1.0, 0]), collective_jumps=[(LOWER, LOWER)]
    )
    z = {"z": Moment(central=Z)}
    words = "`collective_jumps` must have ⟨B⟩ = 0 in the state of the sites where the limit N = ∞ is meant"
    with pytest.raises(ArgumentError, match=words):
        evolve(model, [1.0], z)
    with pytest.raises(ArgumentError, match=words):
        expand(model.replace(sites=replace(sites, count=10)), [1.0], z)
    split = [replace(sites, share=0.5), replace(sites, share=0.5)]
    with pytest.raises(ArgumentError, match=words):
        evolve(model.replace(sites=split, collective_jumps=[(None, LOWER)]), [1.0], z)
    evolve(model.replace(collective_jumps=[(None, LOWER)]), [1.0], z)
    evolve(model.replace(sites=replace(sites, initial=None)), [1.0], z)
    small = model.replace(sites=replace(sites, count=3))
    for method in ("mean_field", "cumulants"):
        with pytest.raises(ArgumentError, match="`collective_jumps` must be left out with method"):
            evolve(small, [1.0], z, method=method)
    boson = model.replace(sites=replace(sites, initial=None), collective_jumps=[(None, Z)])
    with pytest.raises(
        ArgumentError, match=r"`collective_jumps\[0\]\[1\]` must be a combination of σ− and σ\+"
    ):
        evolve(boson, [1.0], z, method="spin_boson")
