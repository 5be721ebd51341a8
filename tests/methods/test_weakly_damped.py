"""Weakly damped baths, whose stationary states another exact method has more easily than the default one."""

import importlib
import math
import time

import numpy as np
import pytest
from conftest import PAPER

from centralspin import (
    PAULI,
    BudgetError,
    CentralSpinModel,
    CollectiveModel,
    ConvergenceError,
    MissingPackageError,
    Sites,
    TruncationError,
    evolve,
    question,
    steady_state,
)
from centralspin.methods import dicke, spin_boson
from centralspin.numerics import ladder
from centralspin.numerics.stationary import NotFoundError, NotUniqueError
from centralspin.problem.collective import collective_model
from centralspin.symmetric import solver

NAMES = ("tau_z", "Q2", "Q4")


def weak(factor: float, N: float) -> CentralSpinModel:
    return PAPER.replace(N=N, bath_pump=0.2 * factor, bath_decay=factor)


@pytest.mark.parametrize(("factor", "N", "method"), [(0.03, 20, "dicke"), (0.03, math.inf, "spin_boson")])
def test_another_method_answers_and_agrees(factor, N, method) -> None:
    found = steady_state(weak(factor, N), NAMES, tolerance=1e-6)
    assert found.method == method and found.state is None
    asked = steady_state(weak(factor, N), NAMES, tolerance=1e-6, method="symmetric")
    assert asked.method == "symmetric"
    for name in NAMES:
        assert abs(found[name] - asked[name]) <= 2e-6


def test_ordinary_problems_stay_with_the_default_method() -> None:
    for N in (4, 20, 80, 10**4, math.inf):
        assert steady_state(PAPER.replace(N=N), NAMES).method == "symmetric"


def test_nothing_is_handed_over_where_a_cut_or_a_memory_budget_is_given() -> None:
    assert steady_state(weak(0.03, 24), NAMES, cut=30).method == "symmetric"
    with pytest.raises(TruncationError, match="memory budget"):
        steady_state(weak(0.03, 24), NAMES, memory_budget=1e6)


def test_a_method_that_cannot_answer_leaves_the_problem_where_it_is(monkeypatch) -> None:
    """Without QuTiP, for instance."""
    real = importlib.import_module

    def without(name, package=None):
        if name == ".methods.spin_boson":
            raise MissingPackageError("This part of centralspin needs the package `qutip`.", name="qutip")
        return real(name, package)

    monkeypatch.setattr(question.importlib, "import_module", without)
    monkeypatch.setitem(question.OUTGROWN, "spin_boson", 100)
    assert steady_state(PAPER.replace(N=math.inf), NAMES).method == "symmetric"


def of_three_levels(N: float) -> CollectiveModel:
    S = np.diag([math.sqrt(2), math.sqrt(2)], 1)
    sites = Sites(count=N, hamiltonian=np.diag([1.0, 0, -1]), jumps=[S.T], couplings=[])
    return CollectiveModel(hamiltonian=PAULI[2], sites=sites)


@pytest.mark.parametrize(
    ("model", "methods", "limit"),
    [
        (PAPER.replace(N=4), ["dicke"], 6000),
        (PAPER.replace(N=30), ["dicke"], 4 * 31 * 32 * 33 / 6 / 1.3),
        (PAPER.replace(N=40), ["dicke"], 20_000),
        (PAPER.replace(N=80), ["dicke"], 4 * 81 * 82 * 83 / 6 / 6),
        (PAPER.replace(N=99), ["dicke"], 4 * 100 * 101 * 102 / 6 / 6),
        (PAPER.replace(N=100), ["dicke_polynomials", "dicke"], 12_000),
        (PAPER.replace(N=math.inf), ["spin_boson"], 8000),
        (PAPER.replace(N=math.inf, scaling=1.0), [], math.inf),
        (of_three_levels(20), [], math.inf),
        (of_three_levels(20).replace(sites=[*of_three_levels(20).sites] * 2), [], math.inf),
        (collective_model(PAPER.replace(N=20)).replace(sites=[*collective_model(PAPER.replace(N=20)).sites] * 2),
         [], math.inf),
    ],
)  # fmt: skip
def test_who_else_may_answer(model, methods, limit) -> None:
    observables = "tau_z" if isinstance(model, CentralSpinModel) else {"z": PAULI[2]}
    assert question.other_methods(question.ask(model, observables)) == (methods, pytest.approx(limit))


def test_blocks_answer_where_polynomials_do_not(monkeypatch) -> None:
    """Between baths that are small and large enough for one or the other."""
    monkeypatch.setattr(question, "LARGEST_BLOCKS", 20)
    monkeypatch.setitem(question.OUTGROWN, "dicke_polynomials", 2000)
    assert steady_state(weak(0.03, 24), "tau_z", tolerance=1e-6).method == "dicke"


def test_methods_share_the_time_that_is_left(monkeypatch) -> None:
    """Each has what those before it did not use, and the first one for which that is too little is the last."""
    given: list[tuple[str, float]] = []
    refusal: Exception = ConvergenceError("Nothing is found.")

    def prepare(_question, _times, _tolerance, method, _options, time_budget) -> None:
        given.append((method, time_budget))
        time.sleep(0.05)
        raise refusal

    monkeypatch.setattr(question, "prepare", prepare)
    names = ["dicke_polynomials", "dicke"]

    def tried(seconds: float, outgrown: bool = False) -> list[str]:
        given.clear()
        found, reasons = question._by_others(None, 1e-6, names, outgrown, seconds)
        assert found is None
        return reasons

    assert tried(math.inf) == [f"And method {name!r}: Nothing is found." for name in names]
    assert given == [(name, math.inf) for name in names]
    tried(10.0)
    assert 9.9 < given[0][1] <= 10 and given[1][1] <= given[0][1] - 0.05
    tried(0.01)
    assert given[1][1] == 0.0
    refusal = BudgetError("No time is left.")
    assert tried(10.0) == [] and [name for name, _ in given] == names[:1]
    with pytest.raises(BudgetError, match="No time is left"):
        tried(10.0, outgrown=True)


@pytest.mark.parametrize(("refusal", "method"), [(NotFoundError, "dicke"), (NotUniqueError, None)])
def test_what_takes_long_is_tried_only_where_it_may_help(monkeypatch, refusal, method) -> None:
    """Where iterations found nothing, but not where a matrix is singular."""

    def refuse(task):
        raise refusal("Nothing is found.")

    monkeypatch.setattr(solver, "run", refuse)
    monkeypatch.setitem(question.OUTGROWN, "dicke", 100)
    if method is None:
        with pytest.raises(NotUniqueError, match="Nothing is found"):
            steady_state(weak(0.3, 12), "tau_z")
    else:
        assert steady_state(weak(0.3, 12), "tau_z").method == method


def test_the_refusal_says_why_others_do_not_answer_either(monkeypatch) -> None:
    """The last resort is the default method without a limit, which is out of memory then."""
    monkeypatch.setattr(spin_boson, "LARGEST_CUTOFF", 30)
    monkeypatch.setattr(solver, "MEMORY_BUDGET", 4e7)
    with pytest.raises(TruncationError, match=r"memory budget.*And method 'spin_boson': .*30 Fock states"):
        steady_state(weak(0.02, math.inf), NAMES)


@pytest.mark.parametrize("factor", [1.0, 0.1, 0.01, 1e-3])
def test_blocks_know_the_same_state_at_any_damping(factor) -> None:
    """The blocks one by one beside all of them at once."""
    one = steady_state(weak(factor, 16), NAMES, method="dicke", tolerance=1e-9)  # 3,876 unknowns
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("centralspin.methods.dicke.LARGEST_DIRECT_SIZE", 0)
        other = steady_state(weak(factor, 16), NAMES, method="dicke", tolerance=1e-9)
    for name in NAMES:
        assert abs(one[name] - other[name]) <= 2e-9


def test_round_off_of_slow_sites_is_told() -> None:
    """Rates of 1e-6 beside 1: of all the blocks at once it leaves 2e-8, block by block less, and never nothing."""
    model = weak(1e-6, 2)
    exact = steady_state(model, NAMES, tolerance=1e-10)
    found = steady_state(model, NAMES, tolerance=2e-9, method="dicke")
    for name in NAMES:
        assert abs(found[name] - exact[name]) <= found.error <= 2e-9
    for method in ("dicke", "full_space"):
        with pytest.raises(ConvergenceError, match="off by"):
            steady_state(model, NAMES, tolerance=1e-10, method=method)
    slow = steady_state(weak(1e-7, 2), NAMES, tolerance=3e-8, method="dicke")
    for name in NAMES:
        assert (
            abs(slow[name] - steady_state(weak(1e-7, 2), NAMES, tolerance=1e-9)[name]) <= slow.error <= 3e-8
        )


def test_few_coherences_of_a_full_boson_are_kept() -> None:
    """With 30 quanta a band of Fock space does: the state is that of all of it."""

    emergent, _ = spin_boson._of_paper(weak(0.02, math.inf))
    resting = spin_boson._Resting(emergent, 1e-8)
    for cutoff in (24, 36, 54):
        rho = resting(cutoff)
    assert resting._band is not None and resting._band < 40
    whole, rounded = spin_boson._stationary(emergent, 54)
    assert 0 < rounded < 1e-10
    assert abs((rho - whole).full()).max() < 1e-8
    narrow = spin_boson._Resting(emergent, 1e-8)
    narrow._band = 2
    assert abs((narrow(54) - whole).full()).max() < 1e-8, "a band that is too narrow is noticed"


#: A laser, whose boson would hold hundreds of quanta: in few Fock states they pile up in the highest ones.
LASER = CentralSpinModel(N=math.inf, g0=1, central_pump=1, central_decay=0.05, bath_decay=1e-3)


@pytest.mark.parametrize("decay", [1e-3, 1e-9])
def test_what_piles_up_in_the_highest_fock_states_is_no_stationary_state(decay, monkeypatch) -> None:
    """Two cutoffs agree on 0.838 and on 0.905, where 0.00026 and less are right."""

    monkeypatch.setattr(spin_boson, "LARGEST_CUTOFF", 60)
    model = LASER.replace(bath_decay=decay)
    with pytest.raises(TruncationError, match="the highest ones hold"):
        steady_state(model, "tau_z", method="spin_boson", tolerance=0.03)
    with pytest.raises(TruncationError, match="the highest ones hold"):
        spin_boson.stationary_density_matrix(LASER.replace(bath_decay=1e-9), tolerance=0.9)
    with pytest.warns(UserWarning, match=r"The highest Fock states hold up to (1|0\.9)"):
        spin_boson.stationary_density_matrix(model, cutoff=24)


def test_what_piles_up_in_the_highest_fock_states_is_no_state_in_time(monkeypatch) -> None:

    monkeypatch.setattr(spin_boson, "LARGEST_CUTOFF", 40)
    model = LASER.replace(bath_decay=1e-7)
    with pytest.raises(TruncationError, match="the highest ones hold"):
        evolve(model, [0, 100.0], "tau_z", method="spin_boson", tolerance=1e-3)
    with pytest.raises(TruncationError, match="the highest ones hold"):
        spin_boson.states(model, [100.0], tolerance=0.9)
    with pytest.warns(UserWarning, match="The highest Fock states hold"):
        spin_boson.states(model, [20.0], cutoff=4, tolerance=1e-3)


def test_fock_space_looks_at_its_budget(monkeypatch) -> None:

    started = time.monotonic()
    with pytest.raises(BudgetError, match=r"the evolution with \d+ Fock states is \d+ % done"):
        evolve(weak(0.1, math.inf), [0, 1e5], NAMES, method="spin_boson", time_budget=0.5)
    assert time.monotonic() - started < 5
    slow = spin_boson._stationary

    def slowly(*arguments):
        time.sleep(0.7)
        return slow(*arguments)

    monkeypatch.setattr(spin_boson, "_stationary", slowly)
    with pytest.raises(BudgetError, match="the stationary state with 36 Fock states would take"):
        steady_state(weak(1.0, math.inf), NAMES, method="spin_boson", time_budget=1.0)


def test_another_method_answers_where_round_off_hides_the_state() -> None:
    """A unique state of 19 quanta; the sparse equations for charge 0, solved in a script of its own, give this."""
    model = CentralSpinModel(
        N=math.inf, g0=1.475, central_field=(0, 0, -0.2), central_pump=3.83, central_decay=0.31,
        bath_decay=0.0845, bath_field=(0, 0, 0.5),
    )  # fmt: skip
    found = steady_state(model, "tau_z", tolerance=3e-8)
    assert found.method == "spin_boson"
    assert found["tau_z"] == pytest.approx(0.0581491225131, abs=3e-8)


@pytest.mark.parametrize("N", [10, 99, math.inf])
def test_where_no_method_answers_the_first_one_says_why(N) -> None:
    idle = CentralSpinModel(N=N, g0=0, central_field=(0, 0, 0.3), bath_pump=0.05, bath_decay=0.1)
    with pytest.raises(ConvergenceError, match=r"not unique.*Conserved is the central operator"):
        steady_state(idle, "tau_z")


def test_what_round_off_makes_of_large_coefficients_is_not_called_conserved() -> None:
    laser = LASER.replace(g0=1.5, central_pump=0.116, central_decay=0.0143, bath_decay=0.00263)
    with pytest.raises(ConvergenceError) as refused:
        steady_state(laser, "tau_z", tolerance=2e-8, method="symmetric")
    assert "onserved" not in str(refused.value)
    laser = laser.replace(g0=0.994, central_pump=0.718, central_decay=0.381, bath_decay=0.00292)
    with pytest.raises(ConvergenceError) as refused:
        steady_state(laser.replace(central_field=(0, 0, 0.57)), "tau_z", tolerance=1.8e-5, method="symmetric")
    assert "hidden by round-off" in str(refused.value) and "times" not in str(refused.value)


def test_blocks_tell_how_much_is_read_of_what_is_left(monkeypatch) -> None:
    """Where little is asked for GMRES ends early, with residuals that the readout may see more strongly than most."""
    random = np.random.default_rng(5)
    monkeypatch.setattr(ladder, "SINGLE", 0)
    for _ in range(16):
        slow, strong, *rates = 10 ** random.uniform([-2, -0.5, -2, -2], [-0.5, 1, 1, 1])
        field = random.normal(size=3) * random.choice([0, 0.3, 3])
        model = CentralSpinModel(
            N=14, g0=strong, central_field=tuple(field), central_pump=rates[0], central_decay=rates[1],
            bath_decay=slow, bath_pump=slow * random.uniform(0.05, 0.95),
        )  # fmt: skip
        right = steady_state(model, NAMES, tolerance=1e-8, method="dicke")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dicke, "LARGEST_DIRECT_SIZE", 0)
            found = steady_state(model, NAMES, tolerance=1e-3, method="dicke")
        off = max(abs(found[name] - right[name]) for name in NAMES)
        assert off <= found.error + right.error and found.error <= 1e-3
