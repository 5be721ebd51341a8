"""Are numbers taken as they are meant, whatever holds them, and is what holds none refused in a sentence?"""

import math
import warnings

import numpy as np
import pytest
import scipy.sparse

from centralspin import (
    SIGMA_MINUS,
    SIGMA_PLUS,
    ArgumentError,
    CentralSpinModel,
    CollectiveModel,
    Moment,
    Sites,
    evolve,
    steady_state,
    sweep,
)

MODEL = CentralSpinModel.figure_2(2)
X, Z = SIGMA_MINUS + SIGMA_PLUS, np.diag([1.0, 0.0])
MASKED = np.ma.array([0.0, 1.0], mask=[False, True])


@pytest.mark.parametrize("format", ["bsr", "coo", "csc", "csr", "dia", "dok", "lil"])
@pytest.mark.parametrize("kind", [scipy.sparse.coo_matrix, scipy.sparse.coo_array])
def test_sparse_operators_are_operators(kind, format: str) -> None:
    def values(of):
        a, h, up = of(SIGMA_MINUS), of(X), of(Z)
        sites = Sites(
            count=2, hamiltonian=h, jumps=[a], couplings=[(a, a)], interactions=[(h, h)], initial=up
        )
        model = CollectiveModel(
            hamiltonian=[up, [h, math.cos]],
            jumps=[a],
            sites=sites,
            initial=up,
            collective_jumps=[(None, a), (h, [a])],
        )
        asked = {"central": a, "site": Moment(site=h), "both": Moment(central=h, site=[a])}
        found = [*evolve(model, [0.5], asked).values(), *evolve(MODEL, [1], central_state=up).values()]
        return np.ravel(found)

    np.testing.assert_array_equal(values(lambda A: kind(A).asformat(format)), values(np.asarray))


@pytest.mark.parametrize("given", [np.array(1.0), scipy.sparse.coo_matrix(X), {0.5, 1.0}, {0: 1.0}, "01"])
def test_what_is_no_sequence_is_refused(given) -> None:
    site = {"count": 2, "hamiltonian": X}
    for name in ("jumps", "couplings", "rates", "interactions"):
        with pytest.raises(ArgumentError, match=f"`{name}` must be a sequence"):
            Sites(**site, **{name: given})
    for name in ("sites", "collective_jumps"):
        with pytest.raises(ArgumentError, match=f"`{name}` must be a sequence"):
            CollectiveModel(hamiltonian=X, **{"sites": Sites(**site), name: given})
    with pytest.raises(ArgumentError, match="`t_stops` must be a sequence"):
        evolve(MODEL, [1], t_stops=given)
    with pytest.raises(ArgumentError, match="`times` must be a"):
        evolve(MODEL, given)


def test_an_array_without_axes_names_nothing() -> None:
    with pytest.raises(ArgumentError, match="`site` must be a sequence"):
        Moment(site=np.array(1.0))
    with pytest.raises(ArgumentError, match="`observables` must be a sequence"):
        evolve(MODEL, [1], np.array("tau_z"))


@pytest.mark.parametrize(
    "given",
    [["0", "1"], np.array([0, 1], "M8[s]"), np.array([0, 1], "m8[ns]"), MASKED, [0, True], [0.0, 1e308]],
)
def test_what_are_no_times_is_refused(given) -> None:
    with pytest.raises(ArgumentError, match="`times` must"):
        evolve(MODEL, given)
    with pytest.raises(ArgumentError, match="`t_stops` must"):
        evolve(MODEL, [1], t_stops=given)


def test_times_may_come_one_by_one() -> None:
    found = [
        evolve(MODEL, given, "tau_z")["tau_z"]
        for given in ([0, 1], iter([0, 1]), {0: 0, 1: 1}.values(), np.ma.array([0, 1]))
    ]
    assert all((values == found[0]).all() for values in found)
    steps = evolve(MODEL, [0, 1], "tau_z", t_stops=iter([0.5]))["tau_z"]
    np.testing.assert_allclose(steps, found[0], atol=1e-8)


@pytest.mark.parametrize("given", [[["1", "0"], ["0", "1"]], np.ma.array(np.eye(2), mask=np.eye(2))])
def test_what_is_no_matrix_of_numbers_is_refused(given) -> None:
    for make in (
        lambda: Moment(central=given),
        lambda: evolve(MODEL, [1], {"a": given}),
        lambda: CentralSpinModel(N=2, g0=1, central_field=given),
        lambda: evolve(MODEL, [1], central_state=given),
    ):
        with pytest.raises(ArgumentError):
            make()


def test_masked_numbers_are_refused() -> None:
    with pytest.raises(ArgumentError, match="`central_field` must be three finite real numbers"):
        CentralSpinModel(N=2, g0=1, central_field=np.ma.array([0, 0, 1.0], mask=[0, 0, 1]))
    with pytest.raises(ArgumentError, match="`g0` must be a finite real number"):
        CentralSpinModel(N=2, g0=MASKED[1])
    with pytest.raises(ArgumentError, match=r"`axes\['g0'\]` must be a non-empty sequence of numbers"):
        sweep(MODEL, {"g0": MASKED}, "tau_z", executor="serial")


def test_an_infinite_budget_is_one_whatever_its_type() -> None:
    for infinite in (math.inf, np.float32(math.inf), np.float64(math.inf), np.array(math.inf)):
        for name in ("time_budget", "memory_budget"):
            assert evolve(MODEL, [0], "tau_z", **{name: infinite})["tau_z"] == 1
    for wrong in (math.nan, -1, -math.inf, "inf", True):
        for name in ("time_budget", "memory_budget"):
            with pytest.raises(ArgumentError, match=f"`{name}` must be a finite number not below 0"):
                evolve(MODEL, [0], "tau_z", **{name: wrong})


def test_counts_may_be_of_any_type() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for one in (np.float16(1), np.float32(1), np.int8(1), np.array(1)):
            assert CentralSpinModel(N=one, g0=1).N == 1
            assert Moment(site=X, power=one).power == 1
    with pytest.raises(ArgumentError, match="`N` must be a positive integer"):
        CentralSpinModel(N=np.timedelta64(1), g0=1)


@pytest.mark.parametrize("given", [np.zeros(2), [], "", 0, False])
def test_what_is_no_method_is_refused(given) -> None:
    for call in (
        lambda: evolve(MODEL, [1], method=given),
        lambda: steady_state(MODEL, method=given),
        lambda: sweep(MODEL, {"g0": [1.0]}, "tau_z", method=given, executor="serial"),
    ):
        with pytest.raises(ArgumentError, match="`method` must be among symmetric"):
            call()


def test_only_a_stationary_state_has_a_default_method() -> None:
    assert steady_state(MODEL, "tau_z", method=None).method == "symmetric"
    with pytest.raises(ArgumentError, match="`method` must be among symmetric"):
        evolve(MODEL, [1], method=None)


def test_what_would_overflow_is_refused() -> None:
    state = evolve(MODEL, [1]).final
    large = state.apply(1e49 * X)
    assert large.trace == pytest.approx(1e98)
    for make in (
        lambda: state.apply(1e200 * X),
        lambda: state.apply(1e60 * X),
        lambda: large.apply(1e49 * X),
    ):
        with pytest.raises(ArgumentError, match="`operator` must have entries"):
            make()
    with pytest.raises(ArgumentError, match="`time` must be between"):
        state.at(1e308)
    for size in (1e99, 1e200):
        with pytest.raises(ArgumentError, match="`model` must have no rate above"):
            sites = Sites(count=2, hamiltonian=X, jumps=[size * X])
            steady_state(CollectiveModel(hamiltonian=X, sites=sites), {"z": Z})
    with pytest.raises(ArgumentError, match="`central_state` must have trace 1"):
        evolve(MODEL, [1], central_state=[1e200, 0])
    sites = Sites(count=2, hamiltonian=1e308 * X, jumps=[X])
    with pytest.raises(ArgumentError, match="`model` must have no rate above"):
        steady_state(CollectiveModel(hamiltonian=X, sites=sites), {"z": Z})
    sites = Sites(count=2, hamiltonian=X, jumps=[X])
    with pytest.raises(ArgumentError, match="`model` must have no rate above"):
        steady_state(
            CollectiveModel(hamiltonian=X, sites=sites, collective_jumps=[(1e99 * X, 1e99 * X)]), {"z": Z}
        )
