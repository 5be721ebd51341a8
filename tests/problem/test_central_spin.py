"""Is every argument checked, and does the refusal say in one sentence what is wrong?"""

import math

import numpy as np
import pytest
import qutip
from conftest import PAPER, blochs
from hypothesis import given

from centralspin import METHODS, OBSERVABLES, ArgumentError, CentralSpinModel, evolve, steady_state


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"N": 0}, "Argument `N` must be a positive integer or math.inf, but is 0."),
        ({"N": 2.5}, "`N` must be a positive integer"),
        ({"N": -math.inf}, "`N` must be a positive integer"),
        ({"N": math.nan}, "`N` must be a positive integer"),
        ({"N": True}, "`N` must be a positive integer"),
        ({"N": "six"}, "`N` must be a positive integer"),
        ({"g0": math.nan}, "`g0` must be a finite real number"),
        ({"g0": 1j}, "`g0` must be a finite real number"),
        ({"g0": None}, "`g0` must be a finite real number"),
        ({"scaling": -0.5}, "`scaling` must be a finite number not below 0"),
        ({"central_pump": -1}, "`central_pump` must be a finite number not below 0, but is -1."),
        ({"central_decay": math.inf}, "`central_decay` must be"),
        ({"bath_pump": -0.1}, "`bath_pump` must be"),
        ({"bath_decay": "1"}, "`bath_decay` must be"),
        ({"bath_field": (1, 2)}, "`bath_field` must be three finite real numbers"),
        ({"bath_field": (1, 2, math.nan)}, "`bath_field` must be three"),
        ({"central_field": (1j, 0, 0)}, "`central_field` must be three"),
        ({"central_field": [[0, 1], [2, 0]]}, "`central_field` must be Hermitian"),
        ({"central_field": np.eye(3)}, "`central_field` must be 2×2, but is of shape (3, 3)."),
    ],
)
def test_a_bad_parameter_is_refused(change, words):
    with pytest.raises(ArgumentError) as refusal:
        PAPER.replace(**change)
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"times": []}, "`times` must be a non-empty"),
        ({"times": [0, 1, 1]}, "`times` must increase strictly, but is 1 followed by 1 at index 1."),
        ({"times": [-1, 0]}, "`times` must be finite and not below 0"),
        ({"times": [0, math.nan]}, "`times` must be finite"),
        ({"times": "soon"}, "`times` must be a sequence of real numbers"),
        ({"observables": ("Q5",)}, "`observables` must be among tau_x, m_x"),
        ({"observables": ()}, "`observables` must name at least one"),
        ({"observables": 3}, "`observables` must be a sequence of names"),
        ({"central_state": "left"}, '`central_state` must be "up", "down"'),
        ({"central_state": (1, 1, 0)}, "`central_state` must have length at most 1, but is (1.0, 1.0, 0.0)"),
        ({"central_state": np.eye(2)}, "`central_state` must have trace 1, but is of trace 2."),
        ({"central_state": [[1.5, 0], [0, -0.5]]}, "`central_state` must be positive semidefinite"),
        ({"central_state": qutip.fock_dm(3, 0)}, "`central_state` must be 2×2, but is of shape (3, 3)."),
        ({"bath_bloch": (0, 0, 2)}, "`bath_bloch` must have length at most 1"),
        ({"bath_bloch": (0, 0)}, "`bath_bloch` must be three"),
        (
            {"method": "exact"},
            "`method` must be among symmetric, dicke, dicke_polynomials, full_space, spin_boson",
        ),
        ({"tolerance": 0}, "`tolerance` must be between"),
        ({"tolerance": "small"}, "`tolerance` must be between 1e-13 and 0.1, but is 'small'."),
        ({"cut": 3.5}, "`cut` must be an integer"),
        ({"cutoff": 3}, "`options` must be cut or memory_budget with method 'symmetric', but is 'cutoff'."),
        ({"method": "dicke", "cut": 3}, "`options` must be nothing with method 'dicke'"),
        (
            {"method": "dicke", "N": 1000},
            "`N` must be at most 120",
        ),
        ({"method": "full_space", "N": 7}, "`N` must be at most 6"),
        (
            {"method": "full_space", "N": math.inf},
            "`N` must be at most 6",
        ),
        ({"method": "spin_boson"}, "`N` must be math.inf"),
        ({"method": "spin_boson", "N": math.inf, "scaling": 1.0}, "`scaling` must be 0.5"),
        (
            {"method": "spin_boson", "N": math.inf, "bath_bloch": (0, 0, 0)},
            "`bath_bloch` must be None (the stationary state)",
        ),
        ({"method": "spin_boson", "N": math.inf, "bath_field": (1, 0, 0)}, "`bath_field` must point along z"),
        ({"method": "mean_field", "observables": ("Q2",)}, "`observables` must be averages"),
        ({"N": math.inf, "bath_bloch": (0.5, 0, 0)}, "`scaling` must be at least 1"),
        ({"N": math.inf, "scaling": 0.25}, "`scaling` must be at least 0.5"),
        ({"bath_pump": 1.2, "observables": ("q",)}, "`bath_pump` must be smaller than `bath_decay` = 1"),
        ({"bath_pump": 1.0, "observables": ("number",)}, "`bath_pump` must be smaller than `bath_decay` = 1"),
        (
            {"bath_pump": 0.0, "bath_decay": 0.0},
            "`bath_decay` must be positive where the bath's stationary state",
        ),
    ],
)
def test_a_bad_request_is_refused(arguments, words):
    arguments = {"N": 3, "times": [0, 1], **arguments}
    fields = {
        name: arguments.pop(name) for name in list(arguments) if name in CentralSpinModel.__dataclass_fields__
    }
    model = PAPER.replace(**fields)
    with pytest.raises(ArgumentError) as refusal:
        evolve(model, arguments.pop("times"), arguments.pop("observables", ("tau_z",)), **arguments)
    assert words in str(refusal.value)
    assert str(refusal.value).replace("Eq. ", "").count(". ") == 0, "one sentence"


def test_a_stationary_state_that_does_not_exist_is_refused():
    with pytest.raises(ArgumentError, match="`bath_decay` must be positive"):
        steady_state(PAPER.replace(N=3, bath_pump=0, bath_decay=0))


def test_the_trajectory_names_what_it_holds():
    trajectory = evolve(PAPER.replace(N=2), [0, 1], ("tau_z", "q"))
    assert list(trajectory) == ["tau_z", "q"] and len(trajectory) == 2
    assert "tau_z" in repr(trajectory) and "symmetric" in repr(trajectory)
    with pytest.raises(ArgumentError, match="must be among tau_z, q"):
        trajectory["Q4"]


def test_derived_rates_are_those_of_the_paper():
    epsilon = (1 - 0.2) / 1.2
    assert PAPER.epsilon == pytest.approx(epsilon, rel=1e-15)
    assert PAPER.thermal_occupation == pytest.approx(0.2 / 0.8, rel=1e-15)
    assert PAPER.boson_pump == pytest.approx(0.2 / epsilon, rel=1e-15)
    assert PAPER.boson_loss - PAPER.boson_pump == pytest.approx(1.2, rel=1e-15)
    assert 1 + 2 * PAPER.thermal_occupation == pytest.approx(1 / epsilon, rel=1e-15)
    assert PAPER.replace(N=16).coupling == 1.0


def test_states_and_fields_may_be_given_in_many_ways():
    times, model = [0.0, 0.7], PAPER.replace(N=2)
    plus = (qutip.basis(2, 0) + qutip.basis(2, 1)).unit()
    values = [
        evolve(model, times, ("tau_y",), central_state=state)["tau_y"]
        for state in ((1, 0, 0), plus, plus.proj(), plus.proj().full())
    ]
    for value in values[1:]:
        np.testing.assert_allclose(value, values[0], atol=1e-12)
    H = qutip.sigmax() + 0.5 * qutip.sigmaz() + 3.0
    assert model.replace(central_field=H).central_field == pytest.approx((1.0, 0.0, 0.5))
    assert model.replace(central_field=H.full()) == model


@pytest.mark.parametrize("method", sorted({*METHODS} - {"spin_boson", "mean_field", "dicke_polynomials"}))
def test_every_observable_can_be_had(method):
    model = PAPER.replace(N=2)
    trajectory = evolve(model, [0.0, 0.5], tuple(OBSERVABLES), method=method)
    for name in OBSERVABLES:
        assert trajectory[name].shape == (2,)
        assert np.isfinite(trajectory[name]).all()


@given(blochs())
def test_initial_moments_are_those_of_independent_spins(bloch):
    """At t = 0 the bath is a product state: cumulants of S_x are N times those of one spin."""
    N, (x, y, z) = 7, bloch
    start = evolve(PAPER.replace(N=N), [0.0], ("x", "X2", "X3", "X4", "Y2", "m_y", "m_z"), bath_bloch=bloch)
    variance = 1 - x**2
    expected = {
        "x": math.sqrt(N) * x,
        "X2": variance,
        "X3": -2 * x * variance / math.sqrt(N),
        "X4": 3 * variance**2 + variance * (6 * x**2 - 2) / N,
        "Y2": 1 - y**2,
        "m_y": y,
        "m_z": z,
    }
    for name, value in expected.items():
        assert start[name][0] == pytest.approx(value, abs=1e-12), name
