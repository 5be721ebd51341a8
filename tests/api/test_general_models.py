"""Does the general mechanism give the right numbers for other sites, classes and central systems?"""

import math
from dataclasses import replace

import numpy as np
import pytest
import qutip

from centralspin import ArgumentError, CollectiveModel, Moment, Sites, central_states, evolve, steady_state

TIMES = np.linspace(0, 1.2, 4)


def whole(model, times=TIMES, **options):
    """Density matrices of the central system with every site written out."""
    return central_states(model, times, method="full_space", **options)


def central():
    sm, sz = qutip.sigmam(), qutip.sigmaz()
    return {"hamiltonian": 0.3 * sz + qutip.sigmax(), "jumps": [0.5 * sm], "initial": np.diag([0.9, 0.1])}


def spin(weight, number=2):
    j = (number - 1) / 2
    jm, jz, jx = qutip.jmat(j, "-"), qutip.jmat(j, "z"), qutip.jmat(j, "x")
    return {
        "hamiltonian": 0.4 * jz + 0.2 * jx,
        "jumps": [jm, 0.4 * jm.dag(), 0.3 * jz],
        "couplings": [(weight * qutip.sigmap(), jm), (0.5 * qutip.sigmaz(), jz)],
        "initial": (0.7 * qutip.fock_dm(number, 0) + 0.3 * qutip.ket2dm(qutip.rand_ket(number, seed=5))),
    }


@pytest.mark.parametrize("scaling", [0.5, 1.0])
def test_two_classes_with_different_complex_couplings(scaling):
    sites = [Sites(count=2, **spin(1.5)), Sites(count=2, **spin(-0.7j))]
    model = CollectiveModel(**central(), sites=sites, scaling=scaling)
    np.testing.assert_allclose(central_states(model, TIMES), whole(model), atol=1e-8)


def test_spin_one_sites():
    model = CollectiveModel(**central(), sites=Sites(count=2, **spin(1.2, number=3)))
    np.testing.assert_allclose(central_states(model, TIMES), whole(model), atol=1e-8)


@pytest.mark.parametrize("number", [3, 4, 5, 6])
def test_round_off_in_a_large_site_does_not_look_like_a_coupling(number):
    """⟨S_±⟩ = 0 for ladder jumps; what remains of it after a solve must not make the limit N = ∞ diverge."""
    lower = qutip.jmat((number - 1) / 2, "-")
    sites = Sites(
        count=math.inf,
        hamiltonian=0 * lower,
        jumps=[lower, 0.4 * lower.dag()],
        couplings=[(3 * qutip.sigmap(), lower)],
    )
    trajectory = evolve(CollectiveModel(**central(), sites=sites), [0, 0.1], {"z": qutip.sigmaz()}, cut=2)
    assert np.isfinite(trajectory["z"]).all()


def test_a_central_spin_one_with_a_hermitian_coupling():
    sites = Sites(
        count=3,
        hamiltonian=0.2 * qutip.sigmaz(),
        jumps=[qutip.sigmam(), 0.3 * qutip.sigmaz()],
        couplings=[(1.1 * qutip.jmat(1, "x"), qutip.sigmax())],
        initial=qutip.fock_dm(2, 1),
    )
    model = CollectiveModel(
        hamiltonian=qutip.jmat(1, "z"),
        jumps=[0.4 * qutip.jmat(1, "-")],
        sites=sites,
        initial=np.diag([0.2, 0.5, 0.3]),
    )
    np.testing.assert_allclose(central_states(model, TIMES), whole(model), atol=1e-8)


def test_moments_mix_central_and_bath_operators():
    sx = qutip.sigmax()
    sites = Sites(count=2, **spin(1.5))
    model = CollectiveModel(**central(), sites=sites)
    value = evolve(model, [0.0], {"m": Moment(central=sx.full(), site=sx.full(), power=1)})["m"][0]
    assert abs(value) < 1e-12  # at t = 0 nothing is correlated, and the moment is about the mean


def test_a_site_without_one_stationary_state_is_refused():
    free = Sites(count=3, hamiltonian=qutip.sigmaz(), couplings=[(qutip.sigmap(), qutip.sigmam())])
    with pytest.raises(ArgumentError, match="`jumps` must give every site one stationary state"):
        steady_state(CollectiveModel(**central(), sites=free), {"z": qutip.sigmaz()})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hamiltonian": qutip.sigmam()}, "`hamiltonian` must be Hermitian"),
        ({"jumps": [np.eye(3)]}, r"`jumps\[0\]` must be 2×2"),
        ({"sites": []}, "`sites` must be one `Sites`"),
        ({"initial": np.eye(3) / 3}, "`initial` must be 2×2"),
        ({"scaling": -1}, "`scaling` must be"),
    ],
)
def test_a_bad_model_is_refused(change, words):
    arguments = {**central(), "sites": Sites(count=2, **spin(1.0)), **change}
    with pytest.raises(ArgumentError, match=words):
        CollectiveModel(**arguments)


def test_a_bad_request_for_a_general_model_is_refused():
    model = CollectiveModel(**central(), sites=Sites(count=2, **spin(1.0)))
    with pytest.raises(ArgumentError, match="`observables` must map names"):
        evolve(model, [0, 1], ("tau_z",))
    with pytest.raises(ArgumentError, match=r"`jumps\[2\]` must be proportional to σ− or σ\+"):
        evolve(model, [0, 1], {"z": qutip.sigmaz()}, method="dicke")
    with pytest.raises(ArgumentError, match="`model` must be a CentralSpinModel"):
        evolve("model", [0, 1])
    with pytest.raises(ArgumentError, match="`count` must be a positive integer"):
        CollectiveModel(**central(), sites=Sites(count=0, **spin(1.0)))


INTERACTIONS = {
    "exchange": [(qutip.sigmap(), qutip.sigmam())],
    "pairs": [((1 + 2j) * qutip.sigmap(), qutip.sigmap())],
    "ising": [(0.7 * qutip.sigmaz(), qutip.sigmaz()), (0.4 * qutip.sigmax(), qutip.sigmaz())],
}


def decaying(count, **more):
    """Spins that are pumped and decay, in their stationary state unless told otherwise."""
    sites = {
        "hamiltonian": 0.0 * qutip.sigmaz(),
        "jumps": [qutip.sigmam(), math.sqrt(0.2) * qutip.sigmap()],
        "couplings": [(1.5 * qutip.sigmap(), qutip.sigmam())],
        "initial": np.diag([1, 5]) / 6,
    }
    return Sites(count=count, **{**sites, **more})


@pytest.mark.parametrize("scaling", [0.5, 1.0])
@pytest.mark.parametrize("tilted", [False, True])
@pytest.mark.parametrize("kind", INTERACTIONS)
def test_interactions_between_sites(kind, tilted, scaling):
    initial = spin(1)["initial"] if tilted else np.diag([1, 5]) / 6
    sites = decaying(2 if tilted else 3, interactions=INTERACTIONS[kind], initial=initial)
    model = CollectiveModel(**central(), sites=sites, scaling=scaling)
    witness = whole(model)
    np.testing.assert_allclose(central_states(model, TIMES), witness, atol=1e-8)


def test_interactions_of_spin_one_sites():
    parts = spin(1.2, number=3) | {"initial": None}
    sites = Sites(count=2, **parts, interactions=[(qutip.jmat(1, "+"), qutip.jmat(1, "x"))])
    model = CollectiveModel(**central(), sites=sites)
    np.testing.assert_allclose(central_states(model, TIMES), whole(model), atol=1e-8)


def test_interactions_in_the_limit_are_those_of_bosons():
    epsilon, cutoff, strengths = 2 / 3, 40, (0.3 - 0.2j, 0.4, -0.5)
    up, down, z = qutip.sigmap(), qutip.sigmam(), qutip.sigmaz()
    terms = [(2 * strengths[0] * up, up), (strengths[1] * up, down), (strengths[2] * z, z)]
    model = CollectiveModel(**central(), sites=decaying(math.inf, interactions=terms))
    a = qutip.tensor(qutip.qeye(2), qutip.destroy(cutoff))
    tau = [  # sparse, which not every QuTiP makes of a dense factor
        qutip.tensor(qutip.Qobj(A), qutip.qeye(cutoff)).to("csr")
        for A in (model.hamiltonian, up, model.jumps[0])
    ]
    H = tau[0] + 1.5 * math.sqrt(epsilon) * (tau[1] * a + tau[1].dag() * a.dag())
    pairs = epsilon * strengths[0] * a.dag() ** 2
    H += pairs + pairs.dag() + epsilon * (strengths[1] - 4 * strengths[2]) * a.dag() * a
    pump, n = 0.2 / epsilon, 0.25
    jumps = [tau[2], math.sqrt(pump) * a.dag(), math.sqrt(1.2 + pump) * a]
    start = qutip.tensor(
        qutip.Qobj(np.asarray(model.initial)), qutip.thermal_dm(cutoff, n, method="analytic")
    )
    options = {"atol": 1e-12, "rtol": 1e-12, "method": "vern9", "nsteps": 10**5}
    states = qutip.mesolve(H, start, TIMES, jumps, options=options).states
    np.testing.assert_allclose(central_states(model, TIMES), [s.ptrace(0).full() for s in states], atol=1e-7)


def test_pairs_pumped_beyond_threshold_are_not_trusted_to_a_small_cut():
    # Low cuts blow up here; the extrapolated error must not take their distance for fast convergence.
    sites = decaying(30, interactions=[(-1.8j * qutip.sigmap(), qutip.sigmap())], couplings=[])
    model = CollectiveModel(hamiltonian=np.zeros((1, 1)), sites=sites, initial=np.ones((1, 1)))
    moments = {
        axis: Moment(site=s.full(), power=2) for axis, s in (("x", qutip.sigmax()), ("y", qutip.sigmay()))
    }
    late, exact = evolve(model, [30], moments, tolerance=1e-5), evolve(model, [30], moments, cut=44)
    rest = steady_state(model, moments, tolerance=1e-5)
    for axis in moments:
        assert abs(late[axis][0] - exact[axis][0]) < 1e-5
        assert abs(rest[axis] - exact[axis][0]) < 1e-5


@pytest.mark.parametrize("scaling", [0.5, 1.0])
def test_rates_that_change_in_time(scaling):
    def pulse(t):
        return 3 * math.exp(-(((t - 0.7) / 0.2) ** 2))

    sites = decaying(3, rates=[None, pulse])
    model = CollectiveModel(**central(), sites=sites, scaling=scaling)
    witness = whole(model)
    np.testing.assert_allclose(central_states(model, TIMES), witness, atol=1e-8)


def test_a_switch_in_a_long_silence():
    times = np.linspace(0, 18, 181)  # the sites are at ⟨σz⟩ = 0 until shortly before the end
    sites = decaying(2, jumps=[qutip.sigmam(), qutip.sigmap()], initial=np.eye(2) / 2)
    switched = replace(sites, rates=[None, lambda t: 4.0 if 17.45 < t < 17.7 else 1.0])
    model = CollectiveModel(**central(), sites=switched)
    witness = whole(model, times)
    np.testing.assert_allclose(central_states(model, times), witness, atol=1e-7)
    still = central_states(CollectiveModel(**central(), sites=sites), times)
    assert np.abs(still - witness).max() > 0.01


def test_constant_rates_are_the_same_however_written():
    number = CollectiveModel(**central(), sites=decaying(50, rates=[0.5, 2]))
    function = CollectiveModel(**central(), sites=decaying(50, rates=[lambda t: 0.5, 2.0]))
    folded = decaying(50, jumps=[math.sqrt(0.5) * qutip.sigmam(), math.sqrt(0.4) * qutip.sigmap()])
    expected = central_states(CollectiveModel(**central(), sites=folded), TIMES)
    for model in (number, function):
        np.testing.assert_allclose(central_states(model, TIMES), expected, atol=1e-8)


def test_stationary_state_does_not_depend_on_the_start():
    observables = {"z": qutip.sigmaz(), "x": qutip.sigmax()}
    start = [np.diag([1, 5]) / 6, spin(1)["initial"]]
    found = [
        steady_state(CollectiveModel(**central(), sites=decaying(30, initial=s)), observables) for s in start
    ]
    late = evolve(CollectiveModel(**central(), sites=decaying(30)), [0, 60], observables)
    for name in observables:
        assert abs(found[0][name] - found[1][name]) < 1e-12
        assert abs(found[0][name] - late[name][-1]) < 1e-7


def test_what_has_no_stationary_state_is_told():
    with pytest.raises(ArgumentError, match="`rates` must be constant in time"):
        steady_state(
            CollectiveModel(**central(), sites=decaying(30, rates=[None, math.exp])), {"z": qutip.sigmaz()}
        )
    with pytest.raises(ArgumentError, match="`interactions` must leave the stationary state"):
        tilt = [(qutip.sigmax(), qutip.sigmaz())]
        steady_state(
            CollectiveModel(**central(), sites=decaying(30, interactions=tilt)), {"z": qutip.sigmaz()}
        )
    with pytest.raises(ArgumentError, match="`rates` must have one entry for each of the 2 jumps"):
        CollectiveModel(**central(), sites=decaying(30, rates=[1.0]))
