"""Do the witnesses refuse what they cannot do, in one sentence, and stationary states that are not the only ones?"""

import math
from dataclasses import replace

import numpy as np
import pytest
from random_models import LOWER, RAISE, around, levels, matrix, moments, reading, rescaled, spins, thermal

from centralspin import ArgumentError, CentralSpinModel, ConvergenceError, Moment, evolve, steady_state
from centralspin.methods import dicke, full_space, spin_boson
from centralspin.numerics.null_space import DENSE, null_vector

TIMES = [0.3, 1.1]
Z = Moment(central=np.diag([1, -1]))


def refused(method, model, times, wanted, part):
    with pytest.raises(ArgumentError, match=part) as caught:
        reading(method, model, times, wanted)
    assert str(caught.value).startswith("Argument `") and str(caught.value).endswith(".")


def test_what_each_method_refuses():
    random = np.random.default_rng(0)
    for method in ("full_space", "dicke"):
        refused(method, around(random, spins(random, 1000)), TIMES, [Z], "`N`")
        refused(method, around(random, spins(random, math.inf)), TIMES, [Z], "`N`")
    three, moving = levels(random, 2, 3), spins(random, 2, rates=[abs, None, None])
    tilted_jump, classes = spins(random, 2, jumps=[matrix(random, 2)], rates=None), [spins(random, 2)] * 2
    for sites, part in ((three, "spins-½"), (moving, "change"), (tilted_jump, "σ"), (classes, "one class")):
        refused("dicke", around(random, sites), TIMES, [Z], part)
    refused("dicke", around(random, levels(random, 2, 2, jumps=[LOWER])), TIMES, [Z], "interactions")
    refused("full_space", around(random, moving), None, [Z], "change")
    model = around(random, spins(random, 2))
    refused("mean_field", model, TIMES, [Moment(site=LOWER, power=2)], "fluctuations")
    refused("mean_field", around(random, three), TIMES, [Z], "interactions")
    refused("mean_field", around(random, spins(random, math.inf)), TIMES, [Z], "N = ∞")
    refused("mean_field", around(random, spins(random, math.inf), scaling=0.3), TIMES, [Z], "scaling")
    boson = around(random, thermal(random, 2, math.inf))
    site = boson.sites[0]
    refused("spin_boson", model, TIMES, [Z], "`N`")
    refused("spin_boson", boson.replace(scaling=1.0), TIMES, [Z], "scaling")
    for changes, part in (
        ({"hamiltonian": RAISE + LOWER}, "along z"),
        ({"hamiltonian": 1j * (RAISE - LOWER)}, "along z"),
        ({"initial": np.diag([0.4, 0.6])}, "ρ_β"),
        ({"rates": [0.1, 0.6, 0.1]}, "larger"),
        ({"couplings": [(LOWER, np.diag([1, -1]))]}, "combination"),
    ):
        refused("spin_boson", boson.replace(sites=replace(site, **changes)), TIMES, [Z], part)
    refused("spin_boson", boson, TIMES, [Moment(site=np.diag([1, -1]))], "combination")
    for method in ("full_space", "dicke", "mean_field"):
        frozen = spins(random, 2, jumps=[], rates=None, initial=None)
        refused(method, around(random, frozen), TIMES, [Z], "stationary")


def test_a_boson_may_be_told_that_it_starts_at_rest() -> None:
    model = CentralSpinModel.figure_2()
    told, known = (
        evolve(model, TIMES, ("tau_x", "tau_z"), method="spin_boson", bath_bloch=bloch)
        for bloch in ((0, 0, -model.epsilon), None)
    )
    for name in ("tau_x", "tau_z"):
        np.testing.assert_array_equal(told[name], known[name])


@pytest.mark.parametrize("method", ["mean_field", "spin_boson", "cumulants", "symmetric"])
def test_a_sum_has_a_limit_from_its_fluctuations_on(method):
    model = CentralSpinModel.figure_2(math.inf)
    evolve(model, TIMES, {"a": Moment(site=LOWER, scaling=0.5)}, method=method)
    with pytest.raises(ArgumentError, match=r"`scaling` must be at least 0\.5"):
        evolve(model, TIMES, {"a": Moment(site=LOWER, scaling=0.49)}, method=method)


def test_a_jump_that_is_nothing_changes_nothing():
    random = np.random.default_rng(0)
    model = around(random, spins(random, 2))
    site = model.sites[0]
    more = replace(site, jumps=[*site.jumps, 0 * LOWER], rates=[*site.rates, None])
    for method in ("dicke", "full_space", "symmetric"):
        with_it = reading(method, model.replace(sites=more), TIMES, [Z])
        np.testing.assert_allclose(with_it, reading(method, model, TIMES, [Z]), atol=1e-12)


def dark_pair(count):
    """Two qubits on one bath: their singlet never decays, and what the triplets do depends on the start."""
    one, collective = np.eye(2), lambda s: np.kron(s, np.eye(2)) + np.kron(np.eye(2), s)
    sites = {"jumps": [LOWER, 0.5 * RAISE], "rates": None, "couplings": [(collective(RAISE), LOWER)]}
    random = np.random.default_rng(0)
    bath = spins(random, count, 4, hamiltonian=0 * one, initial=None, **sites)
    return around(random, bath, 4).replace(hamiltonian=collective(np.diag([0.5, -0.5])), jumps=[])


def spectator(count):
    """A qubit that nothing touches beside one that is damped."""
    random = np.random.default_rng(0)
    bath = spins(random, count, 4, couplings=[(np.kron(RAISE, np.eye(2)), LOWER)])
    return around(random, bath, 4).replace(hamiltonian=np.zeros((4, 4)), jumps=[np.kron(LOWER, np.eye(2))])


@pytest.mark.parametrize(
    ("method", "model"),
    [
        ("full_space", dark_pair(3)),
        ("full_space", spectator(2)),
        ("dicke", dark_pair(3)),
        ("dicke", spectator(4)),
        ("mean_field", spectator(3)),
        ("mean_field", dark_pair(3)),
    ],
)
def test_a_stationary_state_that_is_not_unique_is_refused(method, model):
    with pytest.raises(ConvergenceError):
        reading(method, model, None, [Moment(central=np.kron(np.diag([1, -1]), np.diag([1, -1])))])


def test_two_stationary_states_of_blocks_are_refused(monkeypatch):
    """The way of larger baths, block by block."""
    monkeypatch.setattr(dicke, "LARGEST_DIRECT_SIZE", 0)
    with pytest.raises(ConvergenceError, match="not unique"):
        reading("dicke", dark_pair(2), None, [Moment(central=np.kron(np.diag([1, -1]), np.diag([1, -1])))])


def test_stationary_states_of_the_whole_and_block_by_block_agree(monkeypatch):
    random = np.random.default_rng(3)
    model = around(random, spins(random, 6))
    wanted = moments(random, model)
    solved = reading("dicke", model, None, wanted)
    monkeypatch.setattr(dicke, "LARGEST_DIRECT_SIZE", 0)
    np.testing.assert_allclose(reading("dicke", model, None, wanted), solved, atol=3e-9)


@pytest.mark.parametrize("method", ["full_space", "dicke", "mean_field"])
def test_a_free_central_spin_has_no_stationary_state_of_its_own(method):
    model = CentralSpinModel(N=1, g0=0, central_field=(0.1, -0.1, 0.6), bath_decay=1.0)
    with pytest.raises(ConvergenceError):
        steady_state(model, method=method)


@pytest.mark.parametrize("size", [40, DENSE + 200])
def test_null_vectors_are_counted(size):
    random = np.random.default_rng(0)
    for count in (1, 2):
        rates = np.r_[np.zeros(count), -random.uniform(0.1, 1, size - count)]
        V = np.linalg.qr(random.normal(size=(size, size)))[0] + 0.1 * random.normal(size=(size, size)) / size
        L = V @ np.diag(rates) @ np.linalg.inv(V)
        trace = np.linalg.inv(V)[0]
        if count == 1:
            v, error = null_vector(_sparse(L), trace)
            np.testing.assert_allclose(v, V[:, 0], rtol=0, atol=error)
            assert error < 1e-11
        else:
            with pytest.raises(ConvergenceError):
                null_vector(_sparse(L), trace)


def _sparse(L):
    from scipy.sparse import csr_matrix

    return csr_matrix(L)


@pytest.mark.parametrize("s", [1e-15, 1.0 / 3, 1e15])
def test_the_unit_of_time_does_not_matter(s):
    random = np.random.default_rng(5)
    general = around(random, [spins(random, 2), levels(random, 1, 2)])
    small, boson = around(random, spins(random, 3)), around(random, thermal(random, 2, math.inf))
    wanted = moments(random, small)
    averages = [m for m in wanted if m.power < 2]
    flips = [Z, Moment(site=RAISE + LOWER, power=2)]
    cases = [("full_space", general, moments(random, general)), ("dicke", small, wanted)]
    for method, model, read in [*cases, ("mean_field", small, averages), ("spin_boson", boson, flips)]:
        other = rescaled(model, s)
        for times, moved in ((np.array(TIMES), np.array(TIMES) / s), (None, None)):
            one = reading(method, model, times, read)
            np.testing.assert_allclose(reading(method, other, moved, read), one, atol=2e-8)


@pytest.mark.parametrize("N", [100, math.inf])
def test_mean_field_that_circles_has_no_stationary_state(N):
    """At z = ½ and strong coupling it ends on a limit cycle around an unstable state; at weak coupling it rests."""
    with pytest.raises(ConvergenceError, match="circle"):
        steady_state(CentralSpinModel.figure_2(N=N), method="mean_field")
    weak = CentralSpinModel.figure_2(N=N, g0=0.8)
    rest = steady_state(weak, ("tau_x", "tau_z", "q"), method="mean_field")
    late = evolve(weak, [60.0], ("tau_x", "tau_z", "q"), method="mean_field")
    for name in rest:
        assert rest[name] == pytest.approx(late[name][0], abs=1e-7)


def test_an_unstable_stationary_state_of_mean_field_is_refused():
    """Above threshold a pumped central spin without coherence stays as it is only if nothing disturbs it."""
    model = CentralSpinModel(N=100, g0=4.0, central_pump=1.0, bath_decay=1.0)
    with pytest.raises(ConvergenceError, match="circle"):
        steady_state(model, method="mean_field")
    assert steady_state(model.replace(g0=0.2), method="mean_field")["tau_z"] == pytest.approx(1, abs=1e-7)


def test_a_fast_central_spin_beside_a_slow_bath():
    model = CentralSpinModel.figure_2(N=3, central_decay=1e8)
    with pytest.raises(
        ConvergenceError, match=r"may be off by .*e-06, where a tolerance of 1e-08 is asked for"
    ):
        steady_state(model, ("tau_z", "m_z"), method="full_space")  # round-off of rates so far apart
    for method in ("full_space", "dicke", "mean_field"):
        found = steady_state(model, ("tau_z", "m_z"), method=method, tolerance=1e-5)
        assert found["m_z"] == pytest.approx(-2 / 3, abs=1e-5)
        assert found["tau_z"] == pytest.approx(-1, abs=1e-6)


def test_the_states_of_fock_space_start_at_time_zero():
    model = CentralSpinModel.figure_2()
    late, whole = (spin_boson.states(model, t, cutoff=30) for t in ([0.5, 1.0], [0.0, 0.5, 1.0]))
    for one, other in zip(late, whole[1:], strict=True):
        assert np.abs((one - other).full()).max() < 1e-8
    assert abs((whole[0] - late[0]).full()).max() > 0.1


def test_the_cutoff_of_fock_space_grows_by_itself():
    model = CentralSpinModel.figure_2(bath_pump=0.5)
    tau = spin_boson.states(model, [1.0], tolerance=1e-7)[0].ptrace(0).full()
    rest = spin_boson.stationary_density_matrix(model, tolerance=1e-7).ptrace(0).full()
    z = np.diag([1, -1])
    assert np.trace(z @ tau).real == pytest.approx(evolve(model, [1.0], ("tau_z",))["tau_z"][0], abs=1e-6)
    assert np.trace(z @ rest).real == pytest.approx(steady_state(model, ("tau_z",))["tau_z"], abs=1e-6)


def test_operators_are_those_of_the_paper():
    """H and the jumps of `full_space.operators`, in the model's units, spin by spin."""
    model = CentralSpinModel.figure_2(N=2, bath_field=(0.1, 0.2, 0.3))
    H, jumps, spin = full_space.operators(model)
    x, y, z = (spin[axis] for axis in "xyz")
    lower = [(a - 1j * b) / 2 for a, b in zip(x, y, strict=True)]
    expected = x[0] + 0.5 * z[0]
    for k in (1, 2):
        expected += model.coupling * (lower[0].dag() * lower[k] + lower[k].dag() * lower[0])
        expected += 0.1 * x[k] + 0.2 * y[k] + 0.3 * z[k]
    assert np.abs((H - expected).full()).max() < 1e-14
    total = sum(J.dag() * J for J in jumps)
    loss = [0.1 * lower[0].dag() * lower[0] + 0.8 * lower[0] * lower[0].dag()]
    loss += [lower[k].dag() * lower[k] + 0.2 * lower[k] * lower[k].dag() for k in (1, 2)]
    assert np.abs((total - sum(loss)).full()).max() < 1e-14
