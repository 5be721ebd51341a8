"""Do rotated modes give the dynamics of several classes, and which moments of the couplings enter?"""

import math

import numpy as np
import pytest
import qutip

from centralspin import (
    ArgumentError,
    CentralSpinModel,
    CollectiveModel,
    Moment,
    Sites,
    evolve,
    expand,
    liouvillian,
    steady_state,
)
from centralspin.problem.general import dimensionless
from centralspin.symmetric import dark_modes, settling
from centralspin.symmetric.compile import compile_problem
from centralspin.symmetric.dark_modes import RotatedLift, rotation
from centralspin.symmetric.lift import Bath, Lift
from centralspin.symmetric.modes import pattern
from centralspin.symmetric.space import SymmetricSpace, box

TIMES = np.linspace(0, 1.2, 7)
EPSILON = 2 / 3


def compiled(model):
    return compile_problem(dimensionless(model))


def rotated_modes(model):
    """The rotation and the weights of the new modes."""
    problem = compiled(model)
    at_limit = problem.problem.size == math.inf
    return rotation(
        problem, [pattern(site, problem.problem.scaling, at_limit) for site in problem.sites], at_limit
    )


def bath(count, coupling, **more):
    sites = {
        "hamiltonian": 0 * qutip.sigmaz(),
        "jumps": [qutip.sigmam(), math.sqrt(0.2) * qutip.sigmap()],
        "couplings": [(coupling * qutip.sigmap(), qutip.sigmam())],
    }
    return Sites(count=count, **{**sites, **more})


def problem(sites, scaling=0.5):
    jumps = [math.sqrt(0.1) * qutip.sigmam(), math.sqrt(0.8) * qutip.sigmap()]
    return CollectiveModel(
        hamiltonian=qutip.sigmax() + 0.5 * qutip.sigmaz(),
        jumps=jumps,
        sites=sites,
        scaling=scaling,
        initial=qutip.fock_dm(2, 0),
    )


def inhomogeneous(N, couplings, shares, g0=1.0):
    couplings = np.asarray(couplings) / math.sqrt(np.dot(shares, np.abs(couplings) ** 2))
    counts = [math.inf if math.inf == N else round(N * share) for share in shares]
    sites = [
        bath(n, g0 * c, share=share if n == math.inf else None)
        for n, c, share in zip(counts, couplings, shares, strict=True)
    ]
    model = problem(sites)
    quadrature = [np.array([[0, c], [np.conj(c), 0]]) / math.sqrt(2 * EPSILON) for c in couplings]
    observables = {
        "tau_z": qutip.sigmaz(),
        "q": Moment(site=quadrature, power=1),
        "Q2": Moment(site=quadrature, power=2),
        "Q4": Moment(site=quadrature, power=4),
    }
    return model, observables


def homogeneous(N, g0=1.0):
    return CentralSpinModel(
        N=N,
        g0=g0,
        central_field=(1, 0, 0.5),
        central_pump=0.8,
        central_decay=0.1,
        bath_pump=0.2,
        bath_decay=1,
    )


def agree(classes, whole):
    """Moments about 0 of classes against the central moments of one class."""
    np.testing.assert_allclose(classes["tau_z"], whole["tau_z"], atol=3e-8)
    np.testing.assert_allclose(classes["q"], whole["q"], atol=3e-8)
    np.testing.assert_allclose(classes["Q2"] - classes["q"] ** 2, whole["Q2"], atol=3e-8)


@pytest.mark.parametrize(
    "couplings", [[0.5, 1.5], [1.0, -0.4], [1.0, 0.5j]], ids=["positive", "sign", "complex"]
)
def test_rotated_modes_give_what_the_classes_give(couplings, monkeypatch):
    model, observables = inhomogeneous(100, couplings, [0.5, 0.5])
    assert dark_modes.applies(compiled(model))
    rotated = evolve(model, TIMES, observables, tolerance=1e-6)
    rest = steady_state(model, observables, tolerance=1e-6)
    monkeypatch.setattr(dark_modes, "SMALLEST_CLASS", math.inf)
    plain = evolve(model, TIMES, observables, tolerance=1e-6)
    assert plain.details["unknowns"] > rotated.details["unknowns"]
    for name in observables:
        np.testing.assert_allclose(rotated[name], plain[name], atol=2e-6)
    late = evolve(model, [0, 40], observables, tolerance=1e-6)
    for name in observables:
        assert abs(late[name][-1] - rest[name]) < 2e-6


def test_a_long_evolution_of_rotated_modes_ends_where_it_settles(monkeypatch) -> None:
    """No blocks are known there. What would take millions of products is read from the stationary state."""
    monkeypatch.setattr(settling, "SETTLE_AFTER", 100)
    model, observables = inhomogeneous(100, [0.5, 1.5], [0.5, 0.5])
    late = evolve(model, [1e5, 1e6], observables, cut=2)
    rest = steady_state(model, observables, cut=2)
    for name in observables:
        np.testing.assert_allclose(late[name], rest[name], atol=1e-8)


def test_equal_couplings_are_one_class():
    model, observables = inhomogeneous(900, [1, 1, 1], [1 / 3] * 3)
    whole = evolve(homogeneous(900), TIMES, ("tau_z", "q", "Q2"))
    parts = evolve(model, TIMES, observables)
    agree(parts, whole)


def test_limit_depends_on_the_second_moment_only():
    model, observables = inhomogeneous(math.inf, [0.3, 1.0, -2.0], [0.5, 0.3, 0.2])
    limit, whole = (
        evolve(model, TIMES, observables),
        evolve(homogeneous(math.inf), TIMES, ("tau_z", "q", "Q2")),
    )
    agree(limit, whole)


@pytest.mark.parametrize("times", [TIMES, None], ids=["in time", "stationary"])
def test_coefficient_is_that_of_equal_couplings_times_the_fourth_moment(times):
    shares, couplings = np.array([0.6, 0.4]), np.array([0.4, -1.3])
    model, observables = inhomogeneous(10, couplings, shares)
    mu4 = np.dot(shares, couplings**4) / np.dot(shares, couplings**2) ** 2
    limit, coefficient = expand(model, times, {"tau_z": qutip.sigmaz()})
    whole_limit, whole = expand(homogeneous(10), times, ("tau_z",))
    np.testing.assert_allclose(limit["tau_z"], whole_limit["tau_z"], atol=1e-7)
    np.testing.assert_allclose(coefficient["tau_z"], mu4 * np.asarray(whole["tau_z"]), atol=1e-6)
    sizes = [10**4, 10**5]
    errors = []
    for N in sizes:
        finite, _ = inhomogeneous(N, couplings, shares)
        run = (
            steady_state(finite, observables, tolerance=1e-9)
            if times is None
            else evolve(finite, times, observables, tolerance=1e-9)
        )
        errors.append(np.abs(run["tau_z"] - limit["tau_z"] - coefficient["tau_z"] / N).max())
    assert 80 < errors[0] / errors[1] < 120  # what is left falls as 1/N²


def test_one_collective_pair_of_modes_however_many_classes():
    model, _ = inhomogeneous(10**5, np.linspace(0.5, 1.5, 8), [1 / 8] * 8)
    O, weights = rotated_modes(model)
    np.testing.assert_allclose(O @ O.T, np.eye(24), atol=1e-12)
    assert (weights == 1).sum() == 2


def test_unequal_decay_leaves_nothing_dark_but_the_result_right(monkeypatch):
    sites = [bath(300, 1.0), bath(300, 0.7, jumps=[1.3 * qutip.sigmam(), math.sqrt(0.2) * qutip.sigmap()])]
    model = problem(sites)
    assert (rotated_modes(model)[1] == 1).sum() == 4
    rotated = evolve(model, TIMES, {"z": qutip.sigmaz()}, tolerance=1e-7)
    monkeypatch.setattr(dark_modes, "SMALLEST_CLASS", math.inf)
    plain = evolve(model, TIMES, {"z": qutip.sigmaz()}, tolerance=1e-7)
    np.testing.assert_allclose(rotated["z"], plain["z"], atol=2e-7)


def test_classes_of_spin_one(monkeypatch):
    jm = qutip.jmat(1, "-")
    more = {"hamiltonian": 0 * jm, "jumps": [jm, math.sqrt(0.2) * jm.dag()]}
    sites = [bath(300, 0, **more, couplings=[(g * qutip.sigmap(), jm)]) for g in (0.1, 0.2)]
    model = problem(sites)
    rotated = evolve(model, TIMES, {"z": qutip.sigmaz()}, tolerance=1e-6)
    monkeypatch.setattr(dark_modes, "SMALLEST_CLASS", math.inf)
    plain = evolve(model, TIMES, {"z": qutip.sigmaz()}, cut=8)
    np.testing.assert_allclose(rotated["z"], plain["z"], atol=1e-6)
    assert np.abs(rotated["z"] - evolve(problem(sites[:1]), TIMES, {"z": qutip.sigmaz()})["z"]).max() > 1e-3


def test_generator_loses_no_trace():
    model, _ = inhomogeneous(10**4, [0.5, 1.5], [0.4, 0.6])
    L = liouvillian(model, 6).matrix
    trace = np.eye(1, L.shape[0])[0]
    assert np.abs(trace @ L).max() < 1e-12


def test_what_is_never_reached_is_still_read(monkeypatch):
    """Between the two factors of X² lie modes that the dynamics never excites: dark ones, and those of σ_z at N = ∞."""
    x, z = np.array([[0, 1], [1, 0]]), np.diag([1, -1])
    moments = {
        "first": Moment(site={0: x}, power=2),
        "contrast": Moment(site=[x, -3 * x], power=2),
        "z": Moment(site=[z, 2 * z], power=2),
    }
    found = evolve(problem([bath(math.inf, 0.5, share=0.2), bath(math.inf, 0.5)]), [0.0], moments)
    assert found["first"][0] == pytest.approx(0.2)
    assert found["contrast"][0] == pytest.approx(0.2 + 9 * 0.8)
    assert found["z"][0] == pytest.approx((0.2 + 4 * 0.8) * (1 - EPSILON**2))
    dephasing = [
        bath(n, 1, hamiltonian=0.3 * qutip.sigmaz(), couplings=[(g * qutip.sigmaz(), qutip.sigmaz())])
        for n, g in ((60, 1.0), (50, 0.5))
    ]
    model = problem(dephasing)
    rotated = evolve(model, TIMES, moments, tolerance=1e-6)
    monkeypatch.setattr(dark_modes, "SMALLEST_CLASS", 1000)
    plain = evolve(model, TIMES, moments, tolerance=1e-6)
    for name in moments:
        np.testing.assert_allclose(rotated[name], plain[name], atol=2e-6)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_classes_keep_the_fluctuations_of_their_dark_modes_in_the_limit(axis):
    """What the dynamics never reaches is part of a moment all the same: at first that of independent spins."""
    sigma = {"x": [[0, 1], [1, 0]], "y": [[0, -1j], [1j, 0]], "z": [[1, 0], [0, -1]]}[axis]
    shares, couplings = [0.3, 0.7], [1.5, 0.7]
    lower, upper = np.array([[0, 0], [1, 0]]), np.array([[0, 1], [0, 0]])

    def variances(N):
        counts = [{"count": N, "share": s} if math.isinf(N) else {"count": round(s * N)} for s in shares]
        sites = [
            Sites(
                **count,
                hamiltonian=np.zeros((2, 2)),
                jumps=[lower, math.sqrt(0.2) * upper],
                couplings=[(2 * c * upper, lower)],
            )
            for count, c in zip(counts, couplings, strict=True)
        ]
        model = CollectiveModel(
            hamiltonian=[[0.5, 1], [1, -0.5]],
            jumps=[math.sqrt(0.8) * upper],
            sites=sites,
            initial=np.diag([1, 0]),
        )
        read = {str(i): Moment(site=sigma, power=2, site_class=i) for i in (0, 1)}
        read |= {"all": Moment(site=[sigma, sigma], power=2), "fourth": Moment(site=sigma, power=4)}
        return evolve(model, TIMES, read, tolerance=1e-7)

    limit, large = variances(math.inf), variances(10**6)
    single = 1 - EPSILON**2 if axis == "z" else 1.0
    for name, variance in (("0", shares[0]), ("1", shares[1]), ("all", 1.0)):
        assert limit[name][0] == pytest.approx(variance * single, abs=1e-9)
    for name in limit:
        np.testing.assert_allclose(limit[name], large[name], atol=1e-4)


# --- Dyson's lift itself ---

COUNTS, CUT = (40, 60), 4


@pytest.fixture(scope="module")
def lifts():
    """The lift to rotated modes on all occupations of up to four quanta, and where two hops stay among them."""
    sites = [bath(n, g) for n, g in zip(COUNTS, (1.0, 0.5), strict=True)]
    modes = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0]
    occupations = box([np.ones(6, dtype=int)], [math.inf], CUT)
    return RotatedLift(compiled(problem(sites)), modes, occupations), occupations.sum(axis=1) <= CUT - 2


def test_dysons_lift_is_a_representation(lifts):
    """Far from the cut [lift A, lift B] = lift [A, B] within a class and 0 between two, and lift 1 = N_c."""
    lift, far = lifts
    A, B = np.random.default_rng(2).normal(size=(2, 4, 4))
    for index, count in enumerate(COUNTS):
        one, other, both = (lift(M, index, 0.0, None) for M in (A, B, A @ B - B @ A))
        scale = abs(both).max()
        np.testing.assert_allclose(
            (one @ other - other @ one - both)[:, far].toarray() / scale, 0, atol=1e-13
        )
        np.testing.assert_allclose(
            lift(np.eye(4), index, 0.0, None).toarray(), count * lift.one.toarray(), rtol=0, atol=1e-11
        )
        halved = lift(A, index, 0.5, None)
        assert abs(one - math.sqrt(sum(COUNTS)) * halved).max() < 1e-11
    one, other = lift(A, 0, 0.0, None), lift(B, 1, 0.0, None)
    assert abs((one @ other - other @ one)[:, far]).max() < 1e-13 * abs(one).max() * abs(other).max()


def test_dysons_lift_is_the_lift_in_another_normalisation(lifts):
    """With coordinates times √(N_c!/(N_c − n)! N_c^n) and no rotation it has the same matrix elements."""
    rotated = lifts[0]
    occupations = rotated.space.occupations
    plain = RotatedLift(rotated._compiled, np.eye(6), occupations)
    space = SymmetricSpace(occupations, np.repeat([0, 1], 3))
    norm = np.ones(space.size)
    for index, count in enumerate(COUNTS):
        k = np.arange(CUT)
        norm *= np.sqrt(np.cumprod(np.r_[1.0, 1 - k / count]))[space.excited[:, index]]
    A = np.random.default_rng(3).normal(size=(4, 4))
    for index, count in enumerate(COUNTS):
        holstein = Lift(space, Bath(sum(COUNTS), count / sum(COUNTS)), 0.0, index)(A)
        expected = holstein.toarray() * norm[:, None] / norm
        found = plain(A, index, 0.0, None).toarray()
        inside = (
            space.occupations.sum(axis=1) < CUT
        )  # what leaves the set and comes back is lost in Dyson's n̂
        np.testing.assert_allclose(
            found[:, inside], expected[:, inside], rtol=0, atol=1e-12 * np.abs(found).max()
        )


def test_the_orders_of_dysons_lift_add_up(lifts):
    """It is a finite series: the orders −2 to 1 in N^{−1/2} at z = 0, shifted by 2z, with nothing left over."""
    lift, size = lifts[0], sum(COUNTS)
    A = np.random.default_rng(4).normal(size=(4, 4))
    for scaling, M in ((1.0, A), (0.5, A - np.diag([A[0, 0], 0, 0, 0]))):
        orders = [lift(M, 1, scaling, order) for order in range(5)]
        total = sum(size ** (-order / 2) * term for order, term in enumerate(orders))
        assert abs(total - lift(M, 1, scaling, None)).max() < 1e-13
        assert abs(orders[0]).max() > 0.1 and abs(orders[2]).max() > 0.1 and abs(orders[4]).max() == 0
    with pytest.raises(ArgumentError, match="must be at least 1 for the limit"):
        lift(A, 1, 0.5, 0)
    with pytest.raises(ArgumentError, match=r"must be at least 0\.5 for the limit"):
        lift(A - np.diag([A[0, 0], 0, 0, 0]), 1, 0.0, 0)
