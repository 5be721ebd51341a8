"""Do rotated modes give the dynamics of several classes, and which moments of the couplings enter?"""

import math

import numpy as np
import pytest
import qutip

from centralspin import (
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
from centralspin.symmetric import dark_modes
from centralspin.symmetric.dark_modes import rotation
from centralspin.symmetric.modes import pattern
from centralspin.symmetric.solver import compile_problem

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
