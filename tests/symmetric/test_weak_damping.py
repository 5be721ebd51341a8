"""Are states right that a weakly damped bath takes far from its reference state, by routes that share no code?"""

import math

import numpy as np
import pytest
from fuzz import oracle

from centralspin import CentralSpinModel, ConvergenceError, TruncationError, evolve, steady_state
from centralspin.numerics import stationary
from centralspin.symmetric import solver

OBSERVABLES = ("tau_z", "q", "Q2", "Q4")


def weakly_damped(N, part):
    model = CentralSpinModel.figure_2(N)
    return model.replace(bath_pump=part * model.bath_pump, bath_decay=part * model.bath_decay)


def agree(found, expected, tolerance):
    for name in OBSERVABLES:
        assert found[name] == pytest.approx(expected[name], rel=tolerance, abs=tolerance), name


def the_way_of_many_unknowns(monkeypatch):
    """Do not factorise, however few unknowns there are."""
    monkeypatch.setattr(stationary, "DIRECT", 700)
    monkeypatch.setattr(stationary, "DIRECT_PER_RADIAN", 0)


def test_a_weakly_damped_boson_is_that_of_fock_space(monkeypatch):
    model = weakly_damped(math.inf, 0.3)
    expected = steady_state(model, OBSERVABLES, method="spin_boson", tolerance=1e-6)
    agree(steady_state(model, OBSERVABLES), expected, 1e-6)
    the_way_of_many_unknowns(monkeypatch)
    agree(steady_state(model, OBSERVABLES), expected, 1e-6)


def test_six_quanta_are_found_both_ways(monkeypatch):
    """Coefficients grow to 10³ here: without scales of their own their round-off would hide what is read."""
    direct = steady_state(weakly_damped(math.inf, 0.05), OBSERVABLES, tolerance=1e-7)
    the_way_of_many_unknowns(monkeypatch)
    agree(steady_state(weakly_damped(math.inf, 0.05), OBSERVABLES, tolerance=1e-7), direct, 1e-7)


@pytest.mark.parametrize("part", [0.03, 0.01])
def test_few_sites_agree_with_dicke_states(part, monkeypatch):
    model = weakly_damped(10, part)
    expected = steady_state(model, OBSERVABLES, method="dicke")
    agree(steady_state(model, OBSERVABLES), expected, 1e-8)
    the_way_of_many_unknowns(monkeypatch)
    agree(steady_state(model, OBSERVABLES), expected, 1e-8)


def test_a_stationary_state_is_where_a_long_evolution_ends():
    model = weakly_damped(30, 0.5)
    found = steady_state(model, OBSERVABLES, tolerance=1e-7)
    late = evolve(model, [60.0], OBSERVABLES, tolerance=1e-7)
    agree(found, {name: late[name][0] for name in OBSERVABLES}, 1e-6)


@pytest.mark.parametrize("ending", ["in time", "stationary"])
def test_scales_of_the_modes_change_nothing(ending, monkeypatch):
    model = weakly_damped(40, 0.5)

    def moments():
        if ending == "stationary":
            return steady_state(model, OBSERVABLES, cut=14)
        return {name: value[0] for name, value in evolve(model, [2.0], OBSERVABLES, cut=14).items()}

    plain, used = moments(), []
    sizes = solver.Solver._sizes

    def scaled(self, generator):
        self._scales = np.array([1.5, 1.2, 1.1])
        used.append(sizes(self, generator))
        return used[-1]

    monkeypatch.setattr(solver.Solver, "_sizes", scaled)
    agree(moments(), plain, 1e-9)
    assert used[0].max() > 10


def test_only_what_grows_is_scaled():
    """A strongly damped bath stays close to its reference state."""
    scales = []
    keep = solver.Solver._keep

    def watched(self, generator, state):
        keep(self, generator, state)
        scales.append(self._scales)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solver.Solver, "_keep", watched)
        steady_state(weakly_damped(math.inf, 1.0), ("tau_z",))
        strong, scales[:] = scales[-1], []
        steady_state(weakly_damped(math.inf, 0.1), ("tau_z",))
    assert (strong == 1).all()
    assert scales[-1].max() > 1.1


def filled(N: float) -> CentralSpinModel:
    """A pumped spin that has filled a hardly damped boson with some fifty quanta by t = 45."""
    return CentralSpinModel(
        N=N, g0=2.93, central_field=(0, 0, 0.25), central_pump=0.77, central_decay=0.158, bath_decay=0.0023
    )


@pytest.mark.parametrize(
    ("model", "time", "tolerance"),
    [
        (CentralSpinModel(N=math.inf, g0=1, central_pump=1, bath_decay=0.003), 65.0, 4e-3),  # was −1.9
        (filled(math.inf), 55.0, 3e-4),  # was −0.004
        (filled(math.inf), 70.0, 1e-4),  # was 120
        (filled(150), 65.0, 3e-4),  # was −110, of a set that left nothing out
        (filled(80), 45.0, 1e-4),  # was off by 1e-4 where 1e-5 was told
    ],
)
def test_round_off_in_huge_coefficients_is_not_taken_for_an_answer(model, time, tolerance) -> None:
    with pytest.raises((ConvergenceError, TruncationError)):
        evolve(model, [time], "tau_z", tolerance=tolerance)


def test_a_boson_with_some_fifty_quanta_is_right_to_what_is_told() -> None:
    exact, empty = oracle.boson(filled(math.inf), 90, 30.0)
    assert empty < 1e-9
    found = evolve(filled(math.inf), [30.0], "tau_z", tolerance=1e-4)
    assert abs(found["tau_z"][0] - exact["tau_z"]) <= found.error
    for cut in (40, 50, 60, 70):
        found = evolve(filled(math.inf), [30.0], "tau_z", cut=cut)
        assert abs(found["tau_z"][0] - exact["tau_z"]) <= found.error
    every = evolve(filled(30), [45.0], "tau_z", tolerance=1e-4)  # nothing is left out
    blocks = evolve(filled(30), [45.0], "tau_z", tolerance=1e-7, method="dicke")
    assert abs(every["tau_z"][0] - blocks["tau_z"][0]) <= every.error


def test_a_drive_does_not_hide_the_growth() -> None:
    model = filled(math.inf).replace(central_field=(0, 0, lambda t: 0.25 + 0.1 * math.sin(t)))
    with pytest.raises(ConvergenceError, match="state grows to"):
        evolve(model, [60.0], "tau_z", tolerance=1e-3)
