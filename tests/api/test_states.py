"""States that are held: a run in two parts is the run in one, and what acts on a state acts as its operator does."""

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import qutip
from fuzz.oracle import Whole
from random_models import matrix, moments

from centralspin import (
    PAULI,
    SIGMA_MINUS,
    SIGMA_PLUS,
    ArgumentError,
    CentralSpinModel,
    CollectiveModel,
    Moment,
    Sites,
    State,
    central_states,
    evolve,
    steady_state,
)
from centralspin.methods.full_space import FullSpace
from centralspin.question import ask

OBSERVABLES = ("tau_x", "tau_z", "q", "p", "Q2", "Q4")
X, Y, Z = PAULI


def coupled(*counts: float, scaling: float = 0.5, **changes: object) -> CollectiveModel:
    """Classes of spins with different couplings around a spin."""
    sites = [
        Sites(
            count=count, hamiltonian=0.2 * i * Z, jumps=[SIGMA_MINUS, 0.4 * SIGMA_PLUS],
            couplings=[((1 + i) * SIGMA_PLUS, SIGMA_MINUS)],
        )
        for i, count in enumerate(counts)
    ]  # fmt: skip
    arguments = {"hamiltonian": 0.5 * X, "jumps": [0.3 * SIGMA_MINUS], "initial": [1, 0], "scaling": scaling}
    return CollectiveModel(**(arguments | {"sites": sites} | changes))


@pytest.mark.parametrize("N", [1, 5, 80, 10**7, math.inf])
@pytest.mark.parametrize("bath", [None, (0.3, 0.2, -0.5)])
def test_two_runs_are_one(N: float, bath: tuple | None) -> None:
    model = CentralSpinModel.figure_2(N, **({"scaling": 1.0, "g0": 1.5} if bath else {}))
    start = {"central_state": (0.6, 0.0, 0.8), "bath_bloch": bath}
    observables = OBSERVABLES[:2] if bath and math.inf == N else OBSERVABLES  # a tilted bath has no ⟨q⟩ there
    whole = evolve(model, [0, 0.7, 1.5], observables, **start)
    first = evolve(model, [0, 0.7], observables, **start).final
    second = evolve(model, [0, 0.8], observables, initial=first)
    for name in observables:
        np.testing.assert_allclose(second[name], whole[name][1:], atol=3e-8, rtol=0)
        assert abs(first.expect([name])[name] - whole[name][1]) < 2e-8
    assert second.final.time == pytest.approx(1.5)
    np.testing.assert_allclose(second.final.central, central_states(model, [1.5], **start)[0], atol=3e-8)


@pytest.mark.parametrize("counts", [(3, 2), (60, 90), (math.inf, math.inf)])
def test_two_runs_are_one_with_classes(counts: tuple) -> None:
    model = coupled(*counts)
    observables = {
        "x": X, "z": Z, "S": Moment(site=[SIGMA_MINUS, SIGMA_MINUS]), "xX": Moment(central=X, site=[Y, Y], power=2)
    }  # fmt: skip
    whole = evolve(model, [0.4, 1.1], observables)
    first = evolve(model, [0.4], observables).final
    second = evolve(model, [0.0, 0.7], observables, initial=first)
    for name in observables:
        np.testing.assert_allclose(second[name], whole[name], atol=3e-8, rtol=0)
    again = evolve(model.replace(initial=first), [0.0, 0.7], observables)
    np.testing.assert_allclose(again["xX"], second["xX"], rtol=1e-12)


def test_continuing_with_another_model_is_the_dynamics_of_that_model() -> None:
    """Against the whole space: the state evolves under one model, then under one with other rates and couplings."""
    observables = {"z": Z, "S": Moment(site=[SIGMA_MINUS, X]), "zQ": Moment(central=Z, site=[X, X], power=2)}
    before, after = coupled(2, 1), coupled(2, 1, hamiltonian=0.7 * Z + 0.2 * Y, scaling=0.2)
    after = after.replace(
        sites=[
            Sites(count=s.count, hamiltonian=0.3 * X, jumps=[0.8 * Z], couplings=s.couplings)
            for s in after.sites
        ]
    )
    state = evolve(before, [0, 0.6], observables).final
    spaces = [FullSpace(ask(model, {"z": Z}).problem) for model in (before, after)]
    units = [ask(model, {"z": Z}).problem.unit for model in (before, after)]
    rho = qutip.operator_to_vector(spaces[0].initial())
    rho = (spaces[0].liouvillian() * 0.6 * units[0]).expm() * rho
    for k, t in enumerate((0, 0.5, 1.0)):
        sigma = qutip.vector_to_operator((spaces[1].liouvillian() * t * units[1]).expm() * rho)
        for name, operator in {
            "z": Moment(central=Z),
            "S": Moment(site=[SIGMA_MINUS, X], about="zero"),
        }.items():
            exact = complex((spaces[1].moment(operator) * sigma).tr())
            asked = {name: operator}
            found = evolve(after, [0, 0.5, 1.0], asked, initial=state)[name][k]
            assert abs(found - exact) < 1e-8


@pytest.mark.parametrize("N", [3, 80, math.inf])
def test_a_pulse_is_a_rotation(N: float) -> None:
    """A π pulse about x turns ⟨τ_y⟩ and ⟨τ_z⟩ around and leaves the bath; twice it does nothing."""
    model = CentralSpinModel.figure_2(N)
    state = evolve(model, [0, 0.8], OBSERVABLES).final
    turned = state.apply(X)
    assert turned.trace == pytest.approx(state.trace, abs=1e-14)
    assert state.trace == pytest.approx(1, abs=1e-13)  # the series is cut off at 1e-5 of the tolerance, 1e-8
    for name, sign in (("tau_x", 1), ("tau_z", -1), ("q", 1), ("Q4", 1)):
        assert turned.expect([name])[name] == pytest.approx(sign * state.expect([name])[name], abs=1e-12)
    np.testing.assert_allclose(turned.apply(X).held.vectors, state.held.vectors, atol=1e-13)


@pytest.mark.parametrize("part", ["nothing", "interactions", "collective_jumps", "local"])
@pytest.mark.parametrize("classes", [[(3, 2)], [(2, 3)], [(2, 2), (1, 3)]])
def test_what_conserved_a_number_is_continued_with_what_does_not(part: str, classes: list) -> None:
    """Modes that have a charge, or the complex basis that they need, stay when nothing is conserved any more."""
    random = np.random.default_rng(classes[0][0] + len(part))
    sites = []
    for count, d in classes:
        H, lower = np.diag(random.normal(size=d)), np.diag(random.normal(size=d - 1), 1)
        jumps = [lower, 0.5 * lower.T]
        start = np.diag(np.linspace(1, 2, d) / np.linspace(1, 2, d).sum())
        couplings = [(SIGMA_PLUS, lower.T)]
        sites.append(Sites(count=count, hamiltonian=H, jumps=jumps, couplings=couplings, initial=start))
    before = CollectiveModel(
        hamiltonian=0.5 * Z, jumps=[0.3 * SIGMA_MINUS], sites=sites, initial=np.diag([0.8, 0.2])
    )
    changes, further = {}, {}
    if part == "collective_jumps":
        several = [0.5 * matrix(random, d) for _, d in classes]
        changes["collective_jumps"] = [(0.5 * matrix(random, 2), several), (None, several)]
    after = []
    for site, (_, d) in zip(sites, classes, strict=True):
        if part == "interactions":
            further["interactions"] = [(matrix(random, d), 0.5 * matrix(random, d))]
        if part == "local":
            further["hamiltonian"], further["jumps"] = matrix(random, d, True), [0.5 * matrix(random, d)]
            further["couplings"] = [(0.5 * matrix(random, 2), matrix(random, d))]
        after.append(replace(site, **further))
    other = before.replace(sites=after, **changes)
    wanted = {str(i): moment for i, moment in enumerate(moments(random, other))}
    state = evolve(before, [0.6], wanted).final
    found = evolve(other, [0.4], wanted, initial=state, tolerance=1e-6)
    whole = Whole(other)
    v = whole.moved(Whole(before).moved(whole.start(), 0.6), 0.4)
    for name, moment in wanted.items():
        assert abs(found[name][0] - whole.read(v, moment, {})) < 1e-6, name


def test_a_jump_and_a_projection_against_the_whole_space() -> None:
    model, observables = (
        coupled(2, 1),
        {"z": Z, "S": Moment(site=[X, Y]), "zS": Moment(central=Z, site=[X, X])},
    )
    state = evolve(model, [0, 0.9], observables).final
    space, problem = FullSpace(ask(model, {"z": Z}).problem), ask(model, {"z": Z}).problem
    flow = lambda t: (space.liouvillian() * t * problem.unit).expm()  # noqa: E731
    rho = qutip.vector_to_operator(flow(0.9) * qutip.operator_to_vector(space.initial()))
    for K in (SIGMA_MINUS, np.diag([1, 0]), np.array([[0.3, 1j], [0.2, -1]]), qutip.sigmap()):
        after = state.apply(K)
        whole = space.place(K.full() if isinstance(K, qutip.Qobj) else np.asarray(K, dtype=complex), 0)
        sigma = whole * rho * whole.dag()
        assert after.trace == pytest.approx(sigma.tr().real, abs=1e-9)
        np.testing.assert_allclose(after.central, sigma.ptrace(0).full(), atol=1e-9)
        later = evolve(model, [0, 0.5], observables, initial=after)
        sigma = qutip.vector_to_operator(flow(0.5) * qutip.operator_to_vector(sigma))
        for name, moment in {"S": Moment(site=[X, Y]), "zS": Moment(central=Z, site=[X, X])}.items():
            # ⟨X⟩ = ⟨Y⟩ = 0 in the reference states, so that "reference" and "zero" are the same.
            exact = complex((space.moment(moment) * sigma).tr())
            assert abs(later[name][-1] - exact) < 1e-8
        assert later.final.normalized().trace == pytest.approx(1, abs=1e-12)


def test_the_central_state_is_accurate_also_where_the_cut_of_a_run_was_not() -> None:
    model, names = CentralSpinModel.figure_2(N=20), ("tau_x", "tau_y", "tau_z")
    exact = evolve(model, [1.5], names, tolerance=1e-11)
    coarse = evolve(model, [1.5], names, cut=2)
    assert coarse.error > 0.01, "the two sets differ"
    rho = coarse.final.central
    for name, operator in zip(names, PAULI, strict=True):
        assert np.trace(rho @ operator).real == pytest.approx(exact[name][0], abs=1e-8)


def test_stationary_state_stays() -> None:
    model = CentralSpinModel.figure_2(50)
    state = steady_state(model, OBSERVABLES).state
    later = evolve(model, [0, 3.0], OBSERVABLES, initial=state)
    for name in OBSERVABLES:
        assert later[name][1] == pytest.approx(later[name][0], abs=1e-8)


def test_many_continuations_do_not_grow() -> None:
    """A chain of runs works with the occupations of one cut, and not with one rim more for every run."""
    model = CentralSpinModel.figure_2(30)
    state = evolve(model, [0, 0.3], OBSERVABLES).final
    sizes = set()
    for _ in range(6):
        state = evolve(model, [0, 0.3], OBSERVABLES, initial=state.apply(X)).final
        sizes.add((state.held.cut, len(state.held.occupations)))
    assert len(sizes) == len({cut for cut, _ in sizes}) < 5


def test_a_clock_goes_on() -> None:
    """Functions of time in the model see the time of the state."""
    sites = Sites(
        count=4, hamiltonian=0 * Z, jumps=[SIGMA_MINUS, SIGMA_PLUS], rates=[slow_rate, 0.2],
        couplings=[(SIGMA_PLUS, SIGMA_MINUS)],
    )  # fmt: skip
    model = coupled(sites=sites)
    whole = evolve(model, [0.7, 1.5], {"z": Z})["z"]
    first = evolve(model, [0.7], {"z": Z}).final
    assert evolve(model, [0.8], {"z": Z}, initial=first)["z"][0] == pytest.approx(whole[1], abs=3e-8)
    reset = evolve(model, [0.8], {"z": Z}, initial=first.at(0.0))["z"][0]
    assert abs(reset - whole[1]) > 1e-3


def slow_rate(time: float) -> float:
    """A rate that changes."""
    return 1 + math.sin(3 * time) ** 2


def test_states_pickle_and_print() -> None:
    state = evolve(CentralSpinModel.figure_2(20), [0, 0.5], ["tau_z"]).final
    assert isinstance(state, State)
    assert repr(state).startswith("State of a central system of 2 levels with 20 sites at t = 0.5")
    copy = pickle.loads(pickle.dumps(state))
    assert copy.expect(["tau_z"])["tau_z"] == state.expect(["tau_z"])["tau_z"]


@pytest.mark.parametrize("N", [30, math.inf])
@pytest.mark.parametrize("tolerance", [1e-6, 1e-9])
def test_errors_are_those_of_the_whole_history(N: float, tolerance: float) -> None:
    """After a short time few occupations matter, later on many: the beginning is computed again with more."""
    model = CentralSpinModel.figure_2(N)
    exact = evolve(model, [0.2, 0.5, 0.8, 2.0], OBSERVABLES, tolerance=1e-12)
    run, apart = evolve(model, [0, 0.2], ["tau_z"], tolerance=tolerance), []
    for k, step in enumerate((0.3, 0.3, 1.2), start=1):
        run = evolve(model, [0, step], OBSERVABLES, tolerance=tolerance, initial=run.final)
        apart.append(max(abs(run[name][-1] - exact[name][k]) for name in OBSERVABLES))
        assert apart[-1] <= run.error <= 3 * tolerance  # that of moments, times the mean in fourth powers
    first = evolve(model, [0, 0.2], ["tau_z"], tolerance=tolerance).final
    found = first.expect(OBSERVABLES)
    assert max(abs(found[name] - exact[name][0]) for name in OBSERVABLES) <= found.error <= 2 * tolerance
    assert max(apart) > 0


@pytest.mark.parametrize("N", [3, 24, math.inf])
def test_what_is_left_of_nothing_is_not_divided_by_its_trace(N: float) -> None:
    """A jump out of a state without excitations leaves zeros, or round-off that would be made as large as a state."""
    model = CentralSpinModel(N=N, g0=1.0, scaling=0.5, bath_decay=1.0, central_decay=1.0)
    mean = {"x": Moment(site=X, about="mean", power=2)}
    for state in (steady_state(model, ["tau_z"]).state, evolve(model, [30.0], ["tau_z"]).final):
        left = state.apply(SIGMA_MINUS)
        assert abs(left.trace) < 1e-8 and abs(left.expect({"z": Z})["z"]) < 1e-8
        for call, name in (
            (left.normalized, "state"),
            (lambda left=left: left.expect(mean), "state"),
            (lambda left=left: evolve(model, [0.1], mean, initial=left), "initial"),
            (lambda left=left: evolve(model, [0.1], ["Q2"], initial=left), "initial"),
        ):
            with pytest.raises(ArgumentError, match=f"`{name}` must have a trace above 1e-08"):
                call()


def test_a_small_factor_of_what_acts_on_a_state_is_no_lack_of_trace() -> None:
    state = evolve(CentralSpinModel.figure_2(3), [0.5], ["tau_z"]).final
    whole, small = state.apply(SIGMA_MINUS).normalized(), state.apply(1e-7 * SIGMA_MINUS).normalized()
    np.testing.assert_allclose(small.held.vectors, whole.held.vectors, atol=1e-12)
    assert small.normalized().trace == pytest.approx(1, abs=1e-12)


def test_what_does_not_fit_is_told() -> None:
    model = CentralSpinModel.figure_2(20)
    state = evolve(model, [0, 0.5], ["tau_z"]).final
    for call, sentence in (
        (lambda: evolve(model.replace(N=30), [1.0], initial=state), "must be a state of 30 sites, but is of 20"),
        (lambda: evolve(model, [1.0], initial="up"), "`initial` must be a `State`"),
        (lambda: evolve(model, [1.0], initial=state, central_state="down"), "`central_state` must be left out beside"),
        (lambda: evolve(model, [1.0], initial=state, bath_bloch=(0, 0, 1)), "`bath_bloch` must be left out beside"),
        (lambda: evolve(model, [1.0], initial=state, method="dicke"), "must be a product state with method 'dicke'"),
        (lambda: evolve(coupled(20, 20), [1.0], {"z": Z}, initial=state), "be a state of the same central system"),
        (lambda: state.apply(np.eye(3)), "`operator` must be"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError) as error:
            call()
        assert sentence in str(error.value)
