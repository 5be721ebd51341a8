"""Are results mappings that know how they were made, and survive whatever is done to mappings and arrays?"""

import copy
import math
import pickle

import numpy as np
import pytest
from conftest import PAPER

from centralspin import (
    ArgumentError,
    CentralSpinModel,
    CollectiveModel,
    ConvergenceError,
    Moment,
    Sites,
    Stationary,
    Trajectory,
    corrected,
    evolve,
    expand,
    steady_state,
)
from centralspin.methods.cumulants import DivergenceError

MODEL = PAPER.replace(N=2)
TIMES = [0.0, 0.5, 1.0]
NAMES = ("Q2", "Q4", "tau_z")


@pytest.fixture(scope="module")
def moving():
    return evolve(MODEL, TIMES, NAMES, tolerance=1e-7)


@pytest.fixture(scope="module")
def resting():
    return steady_state(MODEL, NAMES)


def test_a_result_is_a_mapping(moving, resting):
    for result in (moving, resting):
        assert list(result) == list(NAMES) and len(result) == 3
        assert "Q4" in result and "Q3" not in result and 3 not in result
        assert result.get("Q3") is None and list(result.keys()) == list(NAMES)
        plain = dict(result)
        assert list(plain) == list(NAMES)
        for name, value in result.items():
            assert value is plain[name] is result[name]
        assert [id(v) for v in result.values()] == [id(v) for v in plain.values()]
        assert {**result} == plain
    assert all(value.shape == (3,) and value.dtype == float for value in moving.values())
    assert all(type(value) is float for value in resting.values())


def test_an_unknown_name_is_refused_in_a_sentence(moving):
    with pytest.raises(ArgumentError, match=r"^Argument `name` must be among Q2, Q4, tau_z, but is 'Q3'\.$"):
        moving["Q3"]
    with pytest.raises(KeyError):
        moving["Q3"]


def test_a_result_knows_how_it_was_made(moving, resting):
    assert isinstance(moving, Trajectory) and isinstance(resting, Stationary)
    assert moving.problem is MODEL and moving.method == "symmetric" and moving.tolerance == 1e-7
    np.testing.assert_array_equal(moving.times, TIMES)
    assert 0 < moving.error <= 1e-7 and moving.details["exact"]
    assert not hasattr(resting, "times")
    other = evolve(MODEL, TIMES, NAMES, method="cumulants", order=3)
    assert other.method == "cumulants" and other.error is None and other.details["order"] == 3


def test_files_hold_what_the_result_holds(moving, tmp_path):
    np.savez(tmp_path / "result.npz", **moving)
    with np.load(tmp_path / "result.npz") as stored:
        assert set(stored) == set(NAMES)
        for name in NAMES:
            np.testing.assert_array_equal(stored[name], moving[name])


def test_results_can_be_compared(moving, resting):
    again = evolve(MODEL, TIMES, NAMES, tolerance=1e-7)
    assert moving == again
    assert moving != evolve(MODEL, TIMES, NAMES[:2], tolerance=1e-7)
    assert moving != evolve(MODEL, [0.0, 0.5, 1.1], NAMES, tolerance=1e-7)
    assert moving != evolve(MODEL.replace(g0=4.1), TIMES, NAMES, tolerance=1e-7)
    assert moving != evolve(MODEL, TIMES, NAMES, tolerance=1e-6)
    assert moving != resting and resting != dict(resting) and moving != 3
    with pytest.raises(TypeError):
        hash(moving)


def test_results_survive_copying_and_pickling(moving, resting):
    for result in (moving, resting, expand(PAPER, TIMES, NAMES)):
        for other in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
            assert other == result and type(other) is type(result)
            assert repr(other) == repr(result)


def test_errors_survive_pickling():
    for error in (
        ArgumentError("N", "be a positive integer", -1),
        DivergenceError(0.7),
        ConvergenceError("so"),
    ):
        other = pickle.loads(pickle.dumps(error))
        assert type(other) is type(error) and str(other) == str(error)
    with pytest.raises(ArgumentError) as refusal:
        evolve(MODEL, [1, 0])
    assert str(pickle.loads(pickle.dumps(refusal.value))) == str(refusal.value)


def test_a_result_prints_itself(moving, resting):
    text = repr(moving)
    assert "Trajectory by 'symmetric' (3 times, 0 … 1" in text and "error" in text
    assert [line.split()[0] for line in text.splitlines()[1:]] == list(NAMES)
    assert "Stationary by 'symmetric' (stationary" in repr(resting)
    assert f"{resting['Q4']:.10g}" in repr(resting)
    complex_valued = evolve(MODEL, TIMES, {"up": [[0, 1], [0, 0]]})
    assert "j" in repr(complex_valued) and np.iscomplexobj(complex_valued["up"])


def test_an_expansion_is_one_object_that_unpacks():
    whole = expand(PAPER, TIMES, ("tau_z", "Q4"))
    limit, coefficient = whole
    assert (
        limit is whole.limit is whole[0] and coefficient is whole.coefficient is whole[1] and len(whole) == 2
    )
    at = whole.at(50)
    for name in ("tau_z", "Q4"):
        np.testing.assert_array_equal(at[name], limit[name] + coefficient[name] / 50)
    assert at == corrected(limit, coefficient, 50)
    assert list(at) == ["tau_z", "Q4"] and at.details["N"] == 50
    assert whole.at(math.inf)["Q4"] == pytest.approx(limit["Q4"], abs=0)
    further = expand(PAPER, None, "Q4", terms=2)
    assert further.at(10**300)["Q4"] == further.limit["Q4"]
    assert further.limit["Q4"] == pytest.approx(expand(PAPER, None, "Q4").limit["Q4"], abs=1e-8)
    for N in (0, -1, 2.5, math.nan, "many", None):
        with pytest.raises(ArgumentError, match=r"`N` must be a positive integer or math\.inf"):
            whole.at(N)
        with pytest.raises(ArgumentError, match=r"`N` must be a positive integer or math\.inf"):
            corrected(limit, coefficient, N)


def test_a_stationary_expansion_has_numbers():
    limit, coefficient = expand(PAPER, None, ("tau_z",))
    assert isinstance(limit, Stationary) and type(coefficient["tau_z"]) is float


def test_the_names_of_ones_own_observables_are_kept():
    sites = Sites(count=2, hamiltonian=np.zeros((2, 2)), jumps=[[[0, 0], [1, 0]]])
    model = CollectiveModel(hamiltonian=np.diag([1, -1]), jumps=[[[0, 0], [1, 0]]], sites=sites)
    found = steady_state(
        model, {"first": np.diag([1, -1]), 2: Moment(site=np.diag([1, -1]), scaling=1, about="zero")}
    )
    assert dict(found) == pytest.approx({"first": -1, "2": -1})


def test_a_model_pickles():
    for model in (MODEL, PAPER):
        assert pickle.loads(pickle.dumps(model)) == model
    assert isinstance(MODEL, CentralSpinModel)
