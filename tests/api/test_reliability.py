"""Inputs that once gave wrong numbers, no answer or a raw exception: the right value, or the sentence."""

import dataclasses
import math
import time

import numpy as np
import pytest
import qutip
from conftest import PAPER
from random_models import around, levels, moments, spins

from centralspin import (
    PAULI,
    ArgumentError,
    Bath,
    BudgetError,
    CentralSpinModel,
    CollectiveModel,
    ConvergenceError,
    Moment,
    Sites,
    central_states,
    collective_model,
    evolve,
    expand,
    steady_state,
)
from centralspin.methods import spin_boson

P = {"g0": 4.0, "central_field": (1, 0, 0.5), "central_pump": 0.8, "central_decay": 0.1}
BALANCED = {"bath_pump": 1.0, "bath_decay": 1.0}
LOWER = np.array([[0, 0], [1, 0]])
RAISE = LOWER.T
Z = np.diag([1.0, -1.0])
STILL = np.zeros((2, 2))


# --- wrong numbers ---


@pytest.mark.parametrize(
    ("model", "value"),
    [
        (CentralSpinModel(N=4, bath_field=(3e-4, 0, 0), **BALANCED, **P), 0.1528058),
        (CentralSpinModel(N=4, bath_field=(3e-3, 0, 0), **BALANCED, **P), None),
        (CentralSpinModel(N=2, bath_field=(1e-7, 0, 0), **BALANCED, g0=4.0, central_field=(1, 0, 0.5)), None),
    ],
)
def test_a_mode_that_a_small_field_reaches(model, value):
    found = evolve(model, [2.0], ("tau_z",))
    right = evolve(model, [2.0], ("tau_z",), method="full_space")["tau_z"][0]
    assert found["tau_z"][0] == pytest.approx(right, abs=1e-8)
    assert value is None or right == pytest.approx(value, abs=1e-7)


def test_weakly_damped_and_balanced_baths_know_their_error():
    weak = CentralSpinModel(
        N=8, g0=2.0, central_field=(0, 0, -1.17), central_pump=0.69, central_decay=1.0,
        bath_pump=0.0098, bath_decay=0.0032,
    )  # fmt: skip
    right = steady_state(weak, ("X2",), method="dicke")["X2"]
    for tolerance in (1e-3, 1e-4):
        found = steady_state(weak, ("X2",), tolerance=tolerance)
        assert abs(found["X2"] - right) <= found.error <= tolerance
    balanced = CentralSpinModel(
        N=8, g0=4.0, scaling=0.4, central_field=(0.057, -0.059, 0.094), central_pump=0.328, central_decay=0.132,
        bath_pump=0.4306, bath_decay=0.4306, bath_field=(5.4e-5, 0, 0),
    )  # fmt: skip
    exact = evolve(balanced, [2.436], ("m_z",), method="dicke", tolerance=1e-10)["m_z"][0]
    found = evolve(balanced, [2.436], ("m_z",), tolerance=1e-6)
    assert abs(found["m_z"][0] - exact) <= found.error <= 1e-6


def degenerate():
    """Models with more than one stationary state."""
    two, one = qutip.qeye(2), qutip.sigmam()
    first, second = qutip.tensor(one, two), qutip.tensor(two, one)
    decaying = {"hamiltonian": STILL, "jumps": [LOWER]}
    both = Sites(count=3, couplings=[((first + second).dag(), LOWER)], **decaying)
    H = 0 * first.dag() * first
    yield (
        "two qubits on one bath",
        CollectiveModel(hamiltonian=H, sites=both),
        qutip.tensor(qutip.sigmaz(), qutip.sigmaz()),
    )
    watching = Sites(count=3, couplings=[(first.dag(), LOWER)], **decaying)
    yield (
        "a spectator",
        CollectiveModel(hamiltonian=H, jumps=[0.3 * first], sites=watching),
        qutip.tensor(two, qutip.sigmaz()),
    )
    free = CentralSpinModel(N=1, g0=0, central_field=(0.1, -0.1, 0.6), bath_decay=1.0)
    yield "a free central spin", free, qutip.sigmaz()
    dephasing = Sites(count=2, hamiltonian=Z, jumps=[LOWER], couplings=[(Z, Z)])
    yield "a conserved σz", CollectiveModel(hamiltonian=Z, jumps=[Z], sites=dephasing), qutip.sigmaz()


@pytest.mark.parametrize(
    ("model", "operator"), [c[1:] for c in degenerate()], ids=[c[0] for c in degenerate()]
)
@pytest.mark.parametrize("method", ["symmetric", "full_space"])
def test_a_stationary_state_that_is_not_unique_is_refused(model, operator, method):
    with pytest.raises(ConvergenceError, match=r"not unique"):
        steady_state(model, {"O": operator}, method=method)


def test_a_nearly_degenerate_stationary_state_is_right():
    """Two qubits on one bath, whose dark state a tiny decay of one of them ends."""
    first, second = qutip.tensor(qutip.sigmam(), qutip.qeye(2)), qutip.tensor(qutip.qeye(2), qutip.sigmam())
    sites = Sites(
        count=2, hamiltonian=STILL, jumps=[LOWER, 0.5 * RAISE], couplings=[((first + second).dag(), LOWER)]
    )
    zz = {"zz": qutip.tensor(qutip.sigmaz(), qutip.sigmaz())}
    model = CollectiveModel(hamiltonian=0 * first, jumps=[1e-2 * first], sites=sites)
    right = steady_state(model, zz, method="full_space")["zz"]
    assert steady_state(model, zz)["zz"] == pytest.approx(right, abs=1e-7)


def test_a_closed_oscillation_is_right_for_a_long_time():
    """ω = 2 |w| for the field w; nothing decays, so that no error is forgotten."""
    model = CentralSpinModel(N=2, g0=0, central_field=(0.3, 0, 0.4), bath_decay=1.0)
    times = np.array([10000.0, 19999.0, 20000.0])
    expected = 0.64 + 0.36 * np.cos(times)
    np.testing.assert_allclose(evolve(model, times, ("tau_z",))["tau_z"], expected, atol=1e-8)


@pytest.mark.parametrize("times", [[0, 1e4], [0, 1e6]])
@pytest.mark.parametrize("N", [10, math.inf])
def test_long_times_cost_what_the_relaxation_costs(N, times):
    model = PAPER.replace(N=N, g0=1.0)
    started = time.monotonic()
    late = evolve(model, times, ("tau_z", "Q2"), tolerance=1e-6)
    assert time.monotonic() - started < 20
    rest = steady_state(model, ("tau_z", "Q2"))
    for name in late:
        assert late[name][-1] == pytest.approx(rest[name], abs=1e-6)


@pytest.mark.parametrize("N", [10, math.inf])
def test_weakly_damped_baths_have_a_stationary_state(N):
    model = PAPER.replace(N=N, g0=0.5, bath_pump=0.2 * 0.1, bath_decay=0.1)
    rest = steady_state(model, ("tau_z", "Q2"), tolerance=1e-5)
    late = evolve(model, [0, 300.0], ("tau_z", "Q2"), tolerance=1e-5)
    for name in late:
        assert late[name][-1] == pytest.approx(rest[name], abs=2e-5)


def test_moments_that_are_not_hermitian_are_complex():
    up = evolve(PAPER.replace(N=2), [0.7], {"up": RAISE})["up"][0]
    xy = evolve(PAPER.replace(N=2), [0.7], ("tau_x", "tau_y"))
    assert up == pytest.approx((xy["tau_x"][0] + 1j * xy["tau_y"][0]) / 2, abs=1e-8)
    assert abs(up.imag) > 0.01


def test_names_of_several_letters_stay_whole():
    assert dict(evolve(PAPER.replace(N=2), [0.0], ("Q2", "Q4"))).keys() == {"Q2", "Q4"}


def test_fock_space_starts_at_time_zero_whatever_the_first_time():
    late, all_ = (
        spin_boson.states(PAPER.replace(g0=0.3), [0.5, 1.0]),
        spin_boson.states(PAPER.replace(g0=0.3), [0, 0.5, 1.0]),
    )
    for one, other in zip(late, all_[1:], strict=True):
        assert abs((one - other).full()).max() < 1e-9


@pytest.mark.parametrize("N", [1, math.inf])
def test_a_pulse_between_two_output_times(N):
    """A Gaussian of width 0.1 at t = 37.3 that pumps the sites: the value of a run with many output times."""

    def pulse(t):
        return 30 * math.exp(-(((t - 37.3) / 0.1) ** 2))

    sites = Sites(
        count=N,
        hamiltonian=STILL,
        jumps=[math.sqrt(0.001) * LOWER, RAISE],
        rates=[None, pulse],
        initial=np.diag([0, 1]),
    )
    model = CollectiveModel(hamiltonian=Z, sites=sites, initial=np.diag([1, 0]))
    variance = {"v": Moment(site=Z, power=2, about="mean")}
    found = evolve(model, [0, 100], variance)["v"]
    # one site: ṁ = −γ(m + 1) + f (1 − m); a short pulse of area a leaves 1 − m = 2 e^(−a), then m + 1 decays
    area = 30 * 0.1 * math.sqrt(math.pi)
    m = 2 * (1 - math.exp(-area)) * math.exp(-0.001 * (100 - 37.3)) - 1
    assert found[0] == pytest.approx(0.0, abs=1e-9)
    assert found[1] == pytest.approx(1 - m**2, abs=5e-4)
    many = evolve(model, np.linspace(0, 100, 2001), variance)["v"]
    assert found[1] == pytest.approx(many[-1], abs=1e-8)


def test_what_negative_rates_have_as_a_stationary_state_is_found():
    """It is no state, which no larger cut mends: nothing was left out."""
    sites = Sites(
        count=2,
        hamiltonian=0.3 * Z,
        jumps=[LOWER, RAISE],
        rates=[1.0, -0.9],
        couplings=[(LOWER + RAISE, LOWER + RAISE)],
    )
    model = CollectiveModel(
        hamiltonian=0.5 * Z + 0.2 * (LOWER + RAISE), jumps=[LOWER], sites=sites, initial=[1, 0]
    )
    asked = {"S3": Moment(site=Z, power=3, about="zero")}
    right = steady_state(model, asked, method="full_space")
    assert steady_state(model, asked)["S3"] == pytest.approx(right["S3"], abs=1e-8)


# --- time and memory ---


def test_a_time_budget_is_kept():
    started = time.monotonic()
    with pytest.raises(BudgetError, match=r"time budget of 0\.2 s"):
        evolve(PAPER.replace(N=80), np.linspace(0, 50, 3), ("Q4",), time_budget=0.2, tolerance=1e-12)
    assert time.monotonic() - started < 10


def test_what_cannot_be_done_in_memory_is_refused_before_it_is_tried():
    levels = 12
    a = np.diag(np.sqrt(np.arange(1.0, levels)), 1)
    sites = Sites(count=1000, hamiltonian=STILL, jumps=[RAISE, 0.1 * LOWER], couplings=[(3 * a, RAISE)])
    cavity = CollectiveModel(hamiltonian=a.T @ a, jumps=[a], sites=sites, initial=np.eye(1, levels)[0])
    started = time.monotonic()
    with pytest.raises(RuntimeError, match="needs about"):
        evolve(cavity, [0, 10], {"n": a.T @ a}, memory_budget=2e6)
    assert time.monotonic() - started < 10


# --- raw exceptions ---


@pytest.mark.parametrize(
    "value", [lambda t: 1, {}, {1}, qutip.sigmaz(), [1], "1", None, True, 1j, math.nan, math.inf, 10**400]
)
def test_no_number_is_refused_wherever_one_is_meant(value):
    for name in ("g0", "scaling", "central_pump", "central_decay", "bath_pump", "bath_decay"):
        with pytest.raises(ArgumentError, match=f"^Argument `{name}` must be a finite .*"):
            PAPER.replace(**{name: value})
    with pytest.raises(ArgumentError, match="`scaling` must be a finite"):
        Moment(site=Z, scaling=value)
    with pytest.raises(ArgumentError, match="`tolerance` must be between"):
        evolve(PAPER, [0, 1], tolerance=value)
    if value != math.inf:
        with pytest.raises(ArgumentError, match="`time_budget` must be"):
            evolve(PAPER, [0, 1], time_budget=value)


@pytest.mark.parametrize(
    "value", ["5", None, True, 0, -1, 2.5, math.nan, -math.inf, 1j, [3], {}, qutip.sigmaz(), lambda t: 3]
)
def test_no_count_is_refused(value):
    words = "must be a positive integer or math.inf, but is"
    with pytest.raises(ArgumentError, match="`N` " + words):
        PAPER.replace(N=value)
    with pytest.raises(ArgumentError, match="`count` " + words):
        Sites(count=value, hamiltonian=STILL)


@pytest.mark.parametrize("N", [10**18, 10**19, 10**100, np.int64(10**6), np.float64(1e12), 1e15])
def test_huge_baths_are_almost_infinite(N):
    model = PAPER.replace(N=N, g0=0.5)
    names = ("tau_z", "Q2")
    found, limit = evolve(model, [1.0], names), evolve(model.replace(N=math.inf), [1.0], names)
    for name in names:
        assert found[name][0] == pytest.approx(limit[name][0], abs=1e-4 if N < 1e7 else 1e-7)


def test_a_bath_beyond_floating_point_numbers_is_refused():
    with pytest.raises(ArgumentError, match=r"`N` must be at most 1e\+300 or math.inf, but is about 10\^400"):
        PAPER.replace(N=10**400)


def ok(**changes):
    return Sites(
        **({"count": 2, "hamiltonian": STILL, "jumps": [LOWER], "couplings": [(RAISE, LOWER)]} | changes)
    )


def spin(**changes):
    parts = {"hamiltonian": Z, "jumps": [LOWER], "sites": ok(), "initial": np.diag([1, 0])}
    return CollectiveModel(**(parts | changes))


def moved(observables=None, options=None, **changes):
    return evolve(
        spin(**changes), [0, 1], {"z": Z} if observables is None else observables, **(options or {})
    )


def timed(rate):
    return moved(sites=ok(rates=[rate]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ok(jumps=None), "`jumps` must be a sequence, but is None."),
        (lambda: ok(jumps=LOWER), "`jumps` must be a sequence"),
        (lambda: ok(jumps=qutip.sigmam()), "`jumps` must be a sequence"),
        (lambda: ok(jumps=[3]), "`jumps[0]` must be a square matrix"),
        (lambda: ok(jumps=[[[0, np.nan], [0, 0]]]), "`jumps[0]` must have finite entries"),
        (lambda: ok(jumps=[np.eye(3)]), "`jumps[0]` must be 2×2, but is of shape (3, 3)."),
        (lambda: ok(couplings=None), "`couplings` must be a sequence"),
        (lambda: ok(couplings=[(RAISE,)]), "`couplings[0]` must be a pair of operators"),
        (lambda: ok(couplings=[RAISE]), "`couplings[0]` must be a pair of operators"),
        (lambda: ok(couplings=[(RAISE, LOWER), (RAISE, np.eye(3))]), "`couplings[1][1]` must be 2×2"),
        (lambda: spin(sites=ok(couplings=[(np.eye(3), LOWER)])), "`couplings[0][0]` must be 2×2"),
        (lambda: ok(interactions=[(Z,)]), "`interactions[0]` must be a pair"),
        (lambda: ok(interactions=[(Z, np.eye(3))]), "`interactions[0][1]` must be 2×2"),
        (lambda: ok(rates=1.0), "`rates` must be a sequence, but is 1.0."),
        (lambda: ok(rates=["fast"]), "`rates[0]` must be a finite real number, but is 'fast'."),
        (lambda: ok(rates=[1, 2]), "`rates` must have one entry for each of the 1 jumps"),
        (lambda: timed(lambda: 1), "`rates[0]` must be"),
        (lambda: timed(lambda t: "a"), "`rates[0]` must be a finite real number"),
        (lambda: timed(lambda t: math.nan), "`rates[0]` must be a finite real number"),
        (lambda: ok(hamiltonian=LOWER), "`hamiltonian` must be Hermitian"),
        (lambda: ok(hamiltonian="H"), "`hamiltonian` must be a square matrix"),
        (lambda: ok(hamiltonian=[[1, 2, 3], [4, 5, 6]]), "`hamiltonian` must be a square matrix, but is of"),
        (lambda: ok(initial=np.eye(3) / 3), "`initial` must be 2×2"),
        (lambda: ok(share=0.5), "`share` must be left out for a class of finite `count`"),
        (lambda: ok(count=math.inf, share=1.5), "`share` must be between 1e-12 and 1"),
        (lambda: ok(count=math.inf, share=0), "`share` must be between 1e-12 and 1, but is 0."),
        (lambda: Bath(math.inf, share=0.0), "`share` must be above 0"),
        (
            lambda: moved(sites=[ok(count=math.inf, share=1.0), ok(count=math.inf)]),
            "`share` must leave something to the classes without one",
        ),
        (
            lambda: expand(spin(sites=[ok(count=1), ok(count=10**15)], initial=[1, 0]), [0.0], {"z": Z}),
            "`share` must be between 1e-12 and 1",
        ),
        (
            lambda: Sites(count=2, hamiltonian=[[0.0]], couplings=[(Z, [[1.0]])]),
            "`hamiltonian` must be that of a site of at least two levels, but is 1×1.",
        ),
        (lambda: moved(sites=[ok(count=math.inf), ok()]), "`count` must be infinite in all classes or in none"),
        (lambda: moved(sites=[ok(count=math.inf, share=0.7)] * 2), "`share` must add up to 1"),
        (lambda: spin(sites=3), "`sites` must be"),
        (lambda: spin(sites=[ok(), 3]), "`sites` must be one `Sites`"),
        (lambda: Moment(power=-1), "`power` must be an integer from 0 to 40, but is -1."),
        (lambda: Moment(site=Z, power=-1), "`power` must be an integer from 0 to 40, but is -1."),
        (lambda: Moment(site=Z, power=1.5), "`power` must be an integer"),
        (lambda: Moment(power=2), "`site` must be given for a `power` above 0"),
        (lambda: Moment(site=Z, site_class="a"), "`site_class` must be an integer"),
        (lambda: Moment(site=Z, about="nothing"), "`about` must be among zero, reference, mean"),
        (lambda: Moment(central=[[0, np.nan], [0, 0]]), "`central` must have finite entries"),
        (lambda: Moment(central=3), "`central` must be a square matrix"),
        (lambda: moved({"m": Moment(site=Z, site_class=3)}), "`site` must belong to one of the 1 classes"),
        (lambda: moved({"m": Moment(site=np.eye(3))}), "`site` must be 2×2"),
        (lambda: moved({"m": Moment(central=np.eye(3))}), "`central` must be 2×2"),
        (lambda: moved({"m": 3}), "`observables` must map names to central operators or Moments"),
        (lambda: moved({}), "`observables` must map names"),
        (lambda: moved(options={"bath_bloch": (0, 0, 1)}), "`bath_bloch` must be left out for a CollectiveModel"),
        (lambda: moved(initial=None), "`initial` must be given to evolve"),
        (lambda: evolve(PAPER.replace(g0=1e308), [0, 1]), "`model` must have no rate above 1e+100"),
        (lambda: expand(PAPER, [0, 1], cut=-1), "`cut` must be an integer from 0 to 10,000, but is -1."),
        (lambda: evolve(PAPER, [0, 1], memory_budget="big"), "`memory_budget` must be"),
        (lambda: evolve(PAPER, [0, 1], t_stops=["a"]), "`t_stops` must be"),
        (lambda: evolve(PAPER, [0, 1], t_stops=3), "`t_stops` must be"),
        (lambda: central_states(3, [0]), "`model` must be a CentralSpinModel or a CollectiveModel"),
        (lambda: steady_state(None), "`model` must be a CentralSpinModel or a CollectiveModel"),
        (lambda: steady_state(PAPER.replace(N=2, bath_pump=0, bath_decay=0)), "`bath_decay` must be positive"),
    ],
)  # fmt: skip
def test_what_is_no_model_or_request_is_refused_in_a_sentence(make, words):
    with pytest.raises(ArgumentError) as refusal:
        make()
    assert words in str(refusal.value)
    assert (
        str(refusal.value).endswith(".") and "\n" not in str(refusal.value) and len(str(refusal.value)) < 400
    )


def test_operators_of_qutip_are_welcome_everywhere():
    sites = ok(
        jumps=[qutip.sigmam()],
        couplings=[(qutip.sigmap(), qutip.sigmam())],
        hamiltonian=0 * qutip.sigmaz(),
        initial=qutip.basis(2, 1),
    )
    model = spin(hamiltonian=qutip.sigmaz(), jumps=[qutip.sigmam()], sites=sites, initial=qutip.basis(2, 0))
    plain = spin(sites=ok(initial=np.diag([0, 1])))
    one = evolve(
        model, [1.0], {"z": qutip.sigmaz(), "m": Moment(central=qutip.sigmaz(), site=qutip.sigmax(), power=2)}
    )
    other = evolve(
        plain, [1.0], {"z": Z, "m": Moment(central=Z.tolist(), site=(LOWER + RAISE).tolist(), power=2)}
    )
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=1e-12)


def test_states_with_round_off_of_a_computation_are_accepted():
    """What one evolution ends with is what another may start from."""
    states = central_states(PAPER.replace(N=3), [0.0, 2.0])
    off = states[1] * (1 + 1.5e-10)
    evolve(spin(initial=off), [0.0, 1.0], {"z": Z})
    evolve(PAPER.replace(N=3), [0.0, 1.0], ("tau_z",), central_state=off)
    with pytest.raises(ArgumentError, match="`initial` must have trace 1"):
        spin(initial=states[1] * (1 + 1e-5))


# --- the estimate of the error ---


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tolerance", [1e-4, 1e-7])
def test_the_error_is_estimated(seed, tolerance):
    """|value − exact| ≤ error for random models, in time and at stationarity.

    Distances to the reference multiply errors of the moments behind the values, which are then found more accurately.
    """
    random = np.random.default_rng(seed)
    if seed % 2:
        model = around(random, spins(random, 4, initial=None))
    else:
        model = around(random, levels(random, 2, 3, interactions=False, initial=None))
    wanted = {str(i): m for i, m in enumerate(moments(random, model)[:5])}
    for solve in (
        lambda t: evolve(model, [0.0, 0.6], wanted, tolerance=t),
        lambda t: steady_state(model, wanted, tolerance=t),
    ):
        exact, found = solve(1e-12), solve(tolerance)
        off = max(np.abs(found[name] - exact[name]).max() for name in wanted)
        assert off <= found.error <= tolerance
        assert (found.details["truncation_error"] == 0) == found.details["exact"]


@pytest.mark.parametrize("seed", range(4))
def test_states_are_states(seed):
    """Trace, Hermiticity, positivity; and exchanging two classes changes nothing."""
    random = np.random.default_rng(seed)
    parts = [spins(random, 2), levels(random, 1, 3, interactions=False)]
    model = around(random, parts)
    times = [0.0, 0.5, 3.0]
    states = central_states(model, times)
    np.testing.assert_allclose(np.trace(states, axis1=1, axis2=2), 1, atol=1e-12)
    np.testing.assert_allclose(states, states.conj().transpose(0, 2, 1), atol=1e-15)
    assert np.linalg.eigvalsh(states).min() > -1e-8
    np.testing.assert_allclose(states[0], model.initial, atol=1e-12)
    np.testing.assert_allclose(central_states(model.replace(sites=parts[::-1]), times), states, atol=2e-8)


@pytest.mark.parametrize("rate", [3.0, 10.0, 100.0])
def test_strong_dephasing_of_the_bath_is_followed_to_rest(rate: float) -> None:
    """Coordinates that decay at 4Γ_φ per quantum, far more quickly than anything oscillates."""
    model = collective_model(CentralSpinModel.figure_2(N=math.inf))
    (site,) = model.sites
    model = model.replace(sites=[dataclasses.replace(site, jumps=[*site.jumps, math.sqrt(rate) * PAULI[2]])])
    read = {"z": PAULI[2]}
    rest = steady_state(model, read)["z"]
    for cut in (None, 8, 12):
        given = {} if cut is None else {"cut": cut}
        found = evolve(model, [1.0, 20.0, 200.0], read, tolerance=1e-6, **given)["z"]
        assert abs(found[-1] - rest) < 2e-6 and abs(found[0] - rest) > 1e-3
