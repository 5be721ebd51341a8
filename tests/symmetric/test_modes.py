"""Does a bath of larger spins turn into 2S bosons, and does the library choose its modes well?"""

import math
from dataclasses import replace

import numpy as np
import pytest
import qutip
from conftest import numbers
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

from centralspin import ArgumentError, CollectiveModel, Moment, Sites, central_states, evolve, steady_state
from centralspin.problem.general import dimensionless
from centralspin.symmetric import compile, modes
from centralspin.symmetric.basis import OperatorBasis
from centralspin.symmetric.compile import compile_problem
from centralspin.symmetric.jumps import exchanged as exchanged_by_jumps
from centralspin.symmetric.modes import chain, pattern
from centralspin.theory.emergent_modes import emergent_modes

TIMES = np.linspace(0, 2, 5)
SPINS = (0.5, 1.0, 1.5, 2.0)
PUMP, DECAY = 0.2, 1.0


def ladder(spin):
    return qutip.jmat(spin, "-")


def jumps(spin, pump=PUMP, decay=DECAY):
    return [math.sqrt(decay) * ladder(spin), math.sqrt(pump) * ladder(spin).dag()]


def stationary(jump_operators):
    return qutip.steadystate(0 * jump_operators[0], jump_operators)


def dissipator(X, jump_operators):
    """D*[X], the Heisenberg picture."""
    return sum(J.dag() * X * J - (J.dag() * J * X + X * J.dag() * J) / 2 for J in jump_operators)


def transitions(spin):
    """A_m = |m−1⟩⟨m|, lowest first."""
    d = round(2 * spin + 1)
    return [qutip.basis(d, k + 1) * qutip.basis(d, k).dag() for k in reversed(range(d - 1))]


def model(spin, count, g0=1.5, jump_operators=None, initial=None):
    return CollectiveModel(
        hamiltonian=qutip.sigmax() + 0.5 * qutip.sigmaz(),
        jumps=[math.sqrt(0.8) * qutip.sigmap(), math.sqrt(0.1) * qutip.sigmam()],
        sites=Sites(
            count=count,
            hamiltonian=0 * ladder(spin),
            jumps=jump_operators or jumps(spin),
            couplings=[(g0 * qutip.sigmap(), ladder(spin))],
            initial=initial,
        ),
        initial=qutip.fock_dm(2, 0),
    )


def boson(g, rate, occupation, cutoff):
    """One damped mode in Fock space: H_int = g (τ_+ B + h.c.), D[B] = −rate B, and its thermal state."""
    a = qutip.destroy(cutoff)
    loss = [math.sqrt(2 * rate * (occupation + 1)) * a, math.sqrt(2 * rate * occupation) * a.dag()]
    weights = (occupation / (occupation + 1)) ** np.arange(cutoff)
    start = qutip.qdiags(weights / weights.sum(), 0)
    return Sites(count=1, hamiltonian=0 * a, jumps=loss, couplings=[(g * qutip.sigmap(), a)], initial=start)


@pytest.mark.parametrize("spin", [0.5, 1.0, 1.5, 2.0, 2.5, 3.0])
def test_lowering_operator_needs_2s_operators(spin):
    S, Sz, L = ladder(spin), qutip.jmat(spin, "z"), jumps(spin)
    image = (DECAY - PUMP) * S * Sz - DECAY * S
    assert abs((dissipator(S, L) - image).full()).max() < 1e-13
    words = [S]
    for _ in range(round(2 * spin + 2)):
        words.append(dissipator(words[-1], L).unit())
    space = np.array([w.full().ravel() for w in words])
    assert np.linalg.matrix_rank(space, tol=1e-9) == round(2 * spin)


@pytest.mark.parametrize("spin", SPINS)
def test_modes_are_those_of_two_sites_in_full(spin):
    """Commutators, covariances and drift of Σ_k A^{(k)}/√N, from matrices on two sites."""
    modes, L, omega = emergent_modes(spin, PUMP, DECAY), jumps(spin), stationary(jumps(spin))
    one = qutip.qeye(len(omega.full()))

    def both(X):
        return (qutip.tensor(X, one) + qutip.tensor(one, X)) / math.sqrt(2)

    F = [both(A) for A in transitions(spin)]
    state = qutip.tensor(omega, omega)
    L2 = [qutip.tensor(J, one) for J in L] + [qutip.tensor(one, J) for J in L]
    commutators = np.array([[qutip.expect(A * B.dag() - B.dag() * A, state) for B in F] for A in F])
    covariance = np.array([[qutip.expect(B.dag() * A, state) for B in F] for A in F])
    drift = np.array(
        [[qutip.expect((D := dissipator(A, L2)) * B.dag() - B.dag() * D, state) for B in F] for A in F]
    )
    d = np.diag(commutators)
    np.testing.assert_allclose(commutators, np.diag(d), atol=1e-14)
    np.testing.assert_allclose(covariance, modes.occupation * commutators, atol=1e-13)
    K = -drift / np.sqrt(np.outer(d, d))
    np.testing.assert_allclose(K, K.T, atol=1e-12)
    rates, O = np.linalg.eigh(K)
    np.testing.assert_allclose(rates, modes.rates, atol=1e-12)
    v = [(A.dag() * ladder(spin)).tr() for A in transitions(spin)] * np.sqrt(d)
    np.testing.assert_allclose(np.abs(O.T @ v), modes.couplings, atol=1e-12)
    assert modes.epsilon == pytest.approx(-2 * qutip.expect(qutip.jmat(spin, "z"), omega), abs=1e-13)


@given(st.sampled_from(SPINS), numbers(0.01, 0.95), numbers(0, 3))
def test_autocorrelation_of_the_lowering_operator(spin, pump, time):
    modes, L = emergent_modes(spin, pump, 1.0), jumps(spin, pump, 1.0)
    S = ladder(spin)
    propagated = expm(qutip.liouvillian(None, L).full().conj().T * time) @ qutip.operator_to_vector(S).full()
    moved = propagated.reshape(S.shape, order="F")
    expected = np.trace(stationary(L).full() @ moved @ S.dag().full())
    assert modes.correlation(np.array([time]))[0] == pytest.approx(expected.real, abs=1e-9)


@pytest.mark.parametrize(("spin", "N"), [(1.0, 2), (1.5, 2)])
def test_small_baths_by_brute_force(spin, N):
    witness = central_states(model(spin, N), TIMES, method="full_space")
    np.testing.assert_allclose(central_states(model(spin, N), TIMES), witness, atol=1e-8)


def test_spin_1_at_infinity_is_two_bosons_in_fock_space():
    """A cold bath and a weak coupling keep both Fock spaces small."""
    pump, g0 = 0.02, 0.4
    modes = emergent_modes(1.0, pump, DECAY)
    baths = [
        boson(g0 * G, r, modes.occupation, k)
        for G, r, k in zip(modes.couplings, modes.rates, (8, 6), strict=True)
    ]
    problem = model(1.0, math.inf, g0, jumps(1.0, pump))
    exact = central_states(problem, TIMES)
    witness = central_states(problem.replace(sites=baths, scaling=0), TIMES, method="full_space")
    assert np.abs(exact - witness).max() < 1e-7
    single = boson(g0 * math.sqrt(modes.epsilon), modes.mean_rate, modes.occupation, 8)
    wrong = central_states(problem.replace(sites=single, scaling=0), TIMES, method="full_space")
    assert np.abs(exact - wrong).max() > 1e-5


def spin_half_baths(modes, g0):
    """The emergent modes as baths of spins ½, one for each; every bath has its share of the sites."""
    g0 = g0 * math.sqrt(len(modes.rates))
    x = modes.occupation / (modes.occupation + 1)
    epsilon = (1 - x) / (1 + x)
    sm = qutip.sigmam()
    return [
        Sites(
            count=math.inf,
            hamiltonian=0 * sm,
            jumps=[math.sqrt(2 * r / (1 + x)) * sm, math.sqrt(2 * r * x / (1 + x)) * sm.dag()],
            couplings=[(g0 * G / math.sqrt(epsilon) * qutip.sigmap(), sm)],
        )
        for G, r in zip(modes.couplings, modes.rates, strict=True)
    ]


@pytest.mark.parametrize(("spin", "g0"), [(1.0, 0.8), (1.5, 0.3)])
def test_a_bath_of_spins_s_is_2s_baths_of_spins_half(spin, g0):
    whole = model(spin, math.inf, g0)
    parts = CollectiveModel(
        hamiltonian=whole.hamiltonian,
        jumps=whole.jumps,
        sites=spin_half_baths(emergent_modes(spin, PUMP, DECAY), g0),
        initial=whole.initial,
    )
    np.testing.assert_allclose(central_states(whole, TIMES), central_states(parts, TIMES), atol=2e-8)


def test_one_mode_is_enough_for_noise_that_resets_the_site():
    rate, omega = 0.7, stationary(jumps(1.0))
    p = omega.diag().real
    reset = [
        math.sqrt(rate * p[i]) * qutip.basis(3, i) * qutip.basis(3, k).dag()
        for i in range(3)
        for k in range(3)
    ]
    modes = emergent_modes(1.0, PUMP, DECAY)
    alone = type(modes)(np.array([rate]), np.array([math.sqrt(modes.epsilon)]), modes.occupation)
    whole = model(1.0, math.inf, jump_operators=reset)
    part = CollectiveModel(
        hamiltonian=whole.hamiltonian,
        jumps=whole.jumps,
        sites=spin_half_baths(alone, 1.5),
        initial=whole.initial,
    )
    np.testing.assert_allclose(central_states(whole, TIMES), central_states(part, TIMES), atol=2e-8)


@pytest.mark.parametrize("spin", SPINS)
def test_the_coupling_reaches_one_mode_and_the_noise_the_others(spin):
    """4S real modes take part at N = ∞; two of them, x and y of one boson, meet the condensate."""
    (site,) = compile_problem(dimensionless(model(spin, math.inf))).sites
    weights = pattern(site, 0.5, at_limit=True).weights
    assert (weights > 0).sum() == 4 * spin
    assert (weights == 1).sum() == 2


def generic(count, initial=None):
    """Spin-1 sites without detailed balance, whose stationary state has coherences."""
    S = ladder(1.0)
    noise = [S, 0.6 * S.dag(), 0.8 * qutip.basis(3, 0) * qutip.basis(3, 2).dag(), 0.3 * qutip.jmat(1, "z")]
    H = 0.7 * qutip.jmat(1, "z") ** 2 + 0.4 * qutip.jmat(1, "x")
    couplings = [(1.2 * qutip.sigmap(), S), (0.5 * qutip.sigmaz(), qutip.jmat(1, "x"))]
    sites = Sites(count=count, hamiltonian=H, jumps=noise, couplings=couplings, initial=initial)
    return CollectiveModel(
        hamiltonian=qutip.sigmax(), jumps=[0.5 * qutip.sigmam()], sites=sites, initial=qutip.fock_dm(2, 0)
    )


def test_the_choice_of_modes_does_not_change_results(monkeypatch):
    S = qutip.jmat(1, "x").full()
    cases = [generic(3), model(1.0, 3), model(1.0, math.inf, 0.5)]
    moments = {
        "z": qutip.sigmaz(),
        "zx": Moment(central=qutip.sigmaz().full(), site=S, power=1),
        "x2": Moment(site=S, power=2),
    }
    chosen = [(evolve(m, TIMES, moments), steady_state(m, moments)) for m in cases]
    counted = [evolve(m, TIMES, moments, cut=6).details["unknowns"] for m in cases]
    monkeypatch.setattr(compile, "align", lambda site, turning: None)
    for case, (trajectory, rest), unknowns in zip(
        [generic(3), model(1.0, 3), model(1.0, math.inf, 0.5)], chosen, counted, strict=True
    ):
        plain = evolve(case, TIMES, moments), steady_state(case, moments)
        assert evolve(case, TIMES, moments, cut=6).details["unknowns"] >= unknowns
        for name in moments:
            np.testing.assert_allclose(trajectory[name], plain[0][name], atol=3e-8)
            assert rest[name] == pytest.approx(plain[1][name], abs=3e-8)


def test_generic_sites_by_brute_force():
    witness = central_states(generic(2), TIMES, method="full_space")
    np.testing.assert_allclose(central_states(generic(2), TIMES), witness, atol=1e-8)


@given(st.integers(0, 10**6), st.integers(1, 3))
def test_a_chain_is_orthonormal_and_couples_neighbours_only(seed, width):
    random = np.random.default_rng(seed)
    A, R, start = random.normal(size=(7, 7)), random.normal(size=(7, 7)), random.normal(size=(7, width))
    metric = R.T @ R + np.eye(7)
    mix, first = chain(np.hstack([start, start @ np.ones((width, 1))]), A, metric)
    assert first == width
    np.testing.assert_allclose(mix.T @ metric @ mix, np.eye(7), atol=1e-9)
    moved = np.linalg.solve(mix, A @ mix)
    scale = np.abs(moved).max()
    for j in range(7):
        assert np.abs(moved[j + width + 1 :, j]).max(initial=0) < 1e-8 * scale


def test_a_mixed_basis_reads_the_same_operators():
    mix = np.random.default_rng(1).normal(size=(8, 8))
    basis = OperatorBasis(3, mix)
    X = qutip.rand_herm(3, seed=2).full()
    np.testing.assert_allclose(np.tensordot(basis.coordinates(X), basis.elements, axes=1), X, atol=1e-12)
    assert basis.expectation(X) @ basis.coordinates(X) == pytest.approx(np.trace(X @ X).real)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0.7, 0.2, 1.0), "`spin` must be a positive multiple of ½"),
        ((0.0, 0.2, 1.0), "`spin` must be a positive multiple of ½"),
        ((1.0, 0.0, 1.0), "`pump` must lie between 0 and `decay` = 1"),
        ((1.0, 1.0, 1.0), "`pump` must lie between 0 and `decay` = 1"),
    ],
)
def test_bad_arguments_are_refused(arguments, words):
    with pytest.raises(ArgumentError, match=words):
        emergent_modes(*arguments)


# --- how modes are weighed ---


@pytest.mark.parametrize(
    ("size", "weight"), [(2, 2), (100, 2), (1000, 3), (10**6, 7), (1e9, 10), (10**30, 10), (math.inf, 10)]
)
def test_an_indirect_mode_weighs_half_the_logarithm_of_the_bath(size, weight):
    assert modes.indirect_weight(size) == weight


def test_what_feeds_a_mode_slowly_weighs_more():
    """Modes 0 → 1 → 2 at rates A_10 = e⁻³, A_21 = 2; mode 3 is reached indirectly, mode 4 never."""
    rates = np.eye(5)
    rates[1, 0], rates[2, 1], rates[2, 2] = math.exp(-3), 2.0, 1.5
    reached, direct = np.array([1, 1, 1, 1, 0], dtype=bool), np.array([1, 0, 0, 0, 0], dtype=bool)
    assert modes.weigh(reached, direct, rates, 10**6).tolist() == [1, 1 + 3, 4 + 1, 7, 0]
    assert modes.weigh(reached, direct, rates, 4).tolist() == [1, 4, 5, 2, 0]


def test_the_fastest_way_to_a_mode_counts():
    rates = np.eye(3)
    rates[2, 0], rates[2, 1] = math.exp(-4), math.exp(-2)
    direct = np.array([True, True, False])
    assert modes.weigh(np.ones(3, dtype=bool), direct, rates, 100).tolist() == [1, 1, 3]


def test_what_is_reached():
    """Exchange makes mode 1 out of the condensate, a local hop 2 out of 1; 3 goes into the condensate only."""
    local, exchanged = np.zeros((5, 5), dtype=bool), np.zeros((5, 5), dtype=bool)
    local[2, 1] = exchanged[1, 0] = exchanged[0, 3] = True
    reached, direct = modes.reach(local, exchanged, [], np.zeros_like(local), at_limit=True)
    assert reached.tolist() == [True, True, False, False]
    assert direct.tolist() == [True, False, False, False]
    exchanged[0, 2] = True  # a mode that is reached and goes into the condensate is exchanged directly
    assert modes.reach(local, exchanged, [], np.zeros_like(local), at_limit=True)[1].tolist() == [
        True,
        True,
        False,
        False,
    ]


def test_what_interactions_reach():
    """K ⊗ P makes a mode by each at once; or one hops by P while K acts on the condensate."""
    nothing = np.zeros((4, 4), dtype=bool)
    K, P = np.zeros((4, 4)), np.zeros((4, 4))
    K[1, 0], P[2, 0] = 0.3, 0.4
    for limit in (True, False):
        assert modes.reach(nothing, nothing, [(K != 0, P != 0)], nothing, limit)[0].tolist() == [
            True,
            True,
            False,
        ]
    K[1, 0], P[2, 0], P[3, 1] = 0.0, 0.0, 0.7
    exchanged = nothing.copy()
    exchanged[1, 0] = True
    assert modes.reach(nothing, exchanged, [(K != 0, P != 0)], nothing, at_limit=False)[0].tolist() == [
        True,
        False,
        True,
    ]
    assert modes.reach(nothing, exchanged, [(K != 0, P != 0)], nothing, at_limit=True)[0].tolist() == [
        True,
        False,
        False,
    ]


def test_one_hops_on_while_another_leaves() -> None:
    """What one part of a pair makes out of the condensate while the other moves a mode that is reached: at finite N."""
    nothing = np.zeros((4, 4), dtype=bool)
    exchanged, makes, moves = nothing.copy(), nothing.copy(), nothing.copy()
    exchanged[1, 0] = makes[3, 0] = moves[1, 1] = True
    for pair in ((makes, moves), (moves, makes)):
        assert modes.reach(nothing, exchanged, [pair], nothing, False)[0].tolist() == [True, False, True]
        assert modes.reach(nothing, exchanged, [pair], nothing, True)[0].tolist() == [True, False, False]
        assert not modes.reach(nothing, nothing, [pair], nothing, False)[0].any()


def test_what_a_site_does_to_itself_is_reached():
    """The product of two operators of one site, of order 1/N, makes mode 2 at finite N; at N = ∞ it vanishes."""
    nothing = np.zeros((4, 4), dtype=bool)
    exchange = nothing.copy()
    exchange[2, 0] = exchange[3, 2] = True
    assert modes.reach(nothing, nothing, [], exchange, at_limit=False)[0].tolist() == [False, True, True]
    assert not modes.reach(nothing, nothing, [], exchange, at_limit=True)[0].any()


def test_one_hops_back_while_another_leaves():
    """K makes mode 1 out of the condensate while P takes mode 2 back into it: of order 1 at N = ∞ too."""
    nothing = np.zeros((4, 4), dtype=bool)
    K, P, exchanged = nothing.copy(), nothing.copy(), nothing.copy()
    K[1, 0] = P[0, 2] = exchanged[2, 0] = True
    for limit in (True, False):
        assert modes.reach(nothing, exchanged, [(K, P)], nothing, limit)[0].tolist() == [True, True, False]


@pytest.mark.parametrize("scaling", [0.5, 1.0])
def test_only_what_does_not_vanish_is_kept_at_the_limit(scaling):
    """Of the coupling's b_μ†b_ν those with p condensate operators grow as N^{p/2 − z}."""
    rest = np.array([[0.9, 0.2], [0.2, 0.1]])
    problem = dimensionless(model(0.5, math.inf, initial=rest).replace(scaling=scaling))
    (site,) = compile_problem(problem).sites
    limit, finite = (pattern(site, scaling, at_limit) for at_limit in (True, False))
    assert (limit.coupled <= finite.coupled).all()
    assert not limit.coupled[:, 1:, 1:].any() and finite.coupled[:, 1:, 1:].any()
    assert limit.coupled[:, 0, 0].any() and finite.coupled[:, 0, 0].any()
    assert limit.coupled[:, 1:, 0].any() == (scaling == 0.5)


@pytest.mark.parametrize("A", [None, np.diag([1.0, -1.0])], ids=["alone", "with the central system"])
def test_collective_jumps_only_exchange_with_the_condensate_at_the_limit(A: np.ndarray | None) -> None:
    """Of b_μ†b_α†b_νb_β/N those stay in which two condensates take part: σ± makes or removes an x or y each."""

    def hops(N: float) -> np.ndarray:
        (site,) = model(0.5, N).sites
        changed = model(0.5, N).replace(
            sites=replace(site, couplings=[]), collective_jumps=[(A, ladder(0.5))]
        )
        return exchanged_by_jumps(compile_problem(dimensionless(changed)), 0, math.isinf(N))

    limit, finite = hops(math.inf), hops(20)
    assert limit.tolist() == [
        [False, True, True, False],
        [True, False, False, False],
        [True, False, False, False],
        [False, False, False, False],
    ]
    assert (limit <= finite).all() and finite[1:, 1:].any()
