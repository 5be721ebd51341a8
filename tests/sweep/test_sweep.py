"""Does a sweep give what single calls give, wherever it runs, and lose nothing when it ends early?"""

import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("xarray")
pytest.importorskip("zarr")
sys.path.insert(0, str(Path(__file__).parent))

from points import MODEL, Logged

from centralspin import (
    ArgumentError,
    CentralSpinModel,
    CollectiveModel,
    Moment,
    Sites,
    evolve,
    expand,
    steady_state,
    sweep,
    sweeps,
)
from centralspin.problem.central_spin import SIGMA_MINUS, SIGMA_PLUS
from centralspin.sweeps import BATCH

AXES = {"g0": [1.0, 2.0, 3.0], "bath_pump": [0.1, 0.2]}


def test_stationary_states_are_those_of_single_calls() -> None:
    found = sweep(MODEL, AXES, ("tau_z", "Q2"), executor="serial")
    assert found["tau_z"].dims == ("g0", "bath_pump")
    for g0 in AXES["g0"]:
        for pump in AXES["bath_pump"]:
            single = steady_state(MODEL.replace(g0=g0, bath_pump=pump), ("tau_z", "Q2"))
            here = found.sel(g0=g0, bath_pump=pump)
            assert abs(here["Q2"].item() - single["Q2"]) < 1e-11
            assert abs(here["tau_z"].item() - single["tau_z"]) < 1e-11
            assert here["estimated_error"].item() == single.error and here["status"].item() == 1


def test_trajectories_have_time_as_last_axis_and_their_units() -> None:
    times = [0.0, 0.3, 1.0]
    found = sweep(
        lambda N: MODEL.replace(N=N), {"N": [2, 3]}, "Q2", times=times, executor="serial", tolerance=1e-6
    )
    assert found["Q2"].dims == ("N", "time") and found["time"].attrs["units"] == "1/γ"
    np.testing.assert_allclose(
        found["Q2"].sel(N=3), evolve(MODEL.replace(N=3), times, "Q2", tolerance=1e-6)["Q2"]
    )
    assert found["Q2"].attrs["long_name"] == "⟨(q_N − ⟨q_N⟩)^2⟩"
    assert json.loads(found.attrs["first problem"])["N"] == 2 and "tolerance" in found.attrs["options"]


def test_a_general_model_with_complex_values() -> None:
    def model(strength: float) -> CollectiveModel:
        sites = Sites(
            count=2,
            hamiltonian=np.zeros((2, 2)),
            jumps=[SIGMA_MINUS],
            couplings=[(strength * SIGMA_PLUS, SIGMA_MINUS)],
        )
        return CollectiveModel(hamiltonian=[[0, 1], [1, 0]], jumps=[SIGMA_MINUS], sites=sites)

    asked = {"lowering": Moment(central=SIGMA_MINUS), "up": np.diag([1, 0])}
    found = sweep(model, {"strength": [0.5, 1.0]}, asked, executor="serial")
    single = steady_state(model(1.0), asked)
    assert found["lowering"].dtype == complex and found["up"].dtype == float
    assert abs(found["lowering"].sel(strength=1.0).item() - single["lowering"]) < 1e-11


def coefficient(model: CentralSpinModel) -> dict[str, float]:
    if model.bath_pump == 0.3:
        return {"other": 0.0}
    return {"c": expand(model, None, "tau_z").coefficient["tau_z"]}


def test_other_numbers_than_expectation_values(tmp_path) -> None:
    asked = {"axes": {"bath_pump": [0.1, 0.2, 0.3]}, "observables": "c", "by": coefficient}
    found = sweep(MODEL, **asked, executor="serial", store=tmp_path / "store")
    single = coefficient(MODEL.replace(bath_pump=0.2))["c"]
    assert found["c"].sel(bath_pump=0.2).item() == pytest.approx(single, abs=1e-8)
    assert found["status"].values.tolist() == [1, 1, 2] and np.isnan(found["c"].values[2])
    assert found["sentence"].values.tolist() == ["", "", "KeyError: 'c'"]
    assert found["c"].attrs == {} and json.loads(found.attrs["options"]) == {"by": "coefficient"}
    assert sweep(MODEL, **asked, executor="serial", store=tmp_path / "store").equals(found)
    with pytest.raises(ArgumentError, match=r"^Argument `store` must hold a sweep with the same options"):
        sweep(
            MODEL, **(asked | {"by": lambda model: {"c": 0.0}}), executor="serial", store=tmp_path / "store"
        )


def test_an_error_that_is_known_is_kept() -> None:
    found = sweep(MODEL, {"g0": [1.0]}, "tau_z", by=lambda m: steady_state(m, "tau_z"), executor="serial")
    single = steady_state(MODEL.replace(g0=1.0), "tau_z")
    assert found["estimated_error"].item() == single.error and found["tau_z"].item() == single["tau_z"]


def test_a_failed_point_is_recorded_and_stops_nothing() -> None:
    def model(bath_pump: float):
        if bath_pump == 0.3:
            raise KeyError("no such file")
        return MODEL.replace(bath_pump=bath_pump)

    found = sweep(model, {"bath_pump": [0.1, 0.3, 2.0, 0.2]}, "Q2", executor="serial")
    assert found["status"].values.tolist() == [1, 2, 2, 1]
    assert np.isnan(found["Q2"].values).tolist() == [False, True, True, False]
    first, other, boson, last = found["sentence"].values.tolist()
    assert (first, last) == ("", "") and other == "KeyError: 'no such file'"
    assert boson.startswith("Argument `bath_pump` must be smaller than `bath_decay`")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"axes": {}}, "`axes` must map names of parameters to sequences"),
        ({"axes": {"g0": []}}, "`axes.*` must be a non-empty sequence of numbers"),
        ({"axes": {"g0": 1.0}}, "`axes.*` must be a sequence"),
        ({"axes": {"time": [1.0]}}, "`axes` must have names that are not among time"),
        ({"observables": "tau_w"}, "`observables` must be among"),
        ({"observables": {"g0": np.eye(2)}}, "`observables` must have names that no axis"),
        ({"model_of": 3}, "`model_of` must be a model, or a function"),
        ({"executor": 3}, "`executor` must be a concurrent.futures executor"),
        ({"method": "magic"}, "`method` must be among"),
        ({"nonsense": 1}, "`options` must be"),
        ({"times": [1, 0]}, "`times` must increase strictly"),
        ({"store": 3}, "`store` must be the path of a folder"),
        ({"by": 3}, "`by` must be a function of a model"),
        (
            {"by": len, "times": [1.0]},
            "`by` must .* stand without `times` and options, but is given beside times",
        ),
        ({"by": len, "tolerance": 1e-6}, "`by` must .* beside tolerance"),
        ({"by": len, "observables": {"c": np.eye(2)}}, "`observables` must be names, or"),
    ],
)
def test_what_no_point_can_answer_is_refused(changes, sentence) -> None:
    asked = {"model_of": MODEL, "axes": {"g0": [1.0]}, "observables": "tau_z", "executor": "serial"} | changes
    with pytest.raises(ArgumentError, match=f"^Argument {sentence}"):
        sweep(**asked)


def test_a_sweep_knows_nothing_of_another_one() -> None:
    for _ in range(2):
        before = getattr(sweeps._BEFORE, "neighbours", None)
        sweep(MODEL, {"g0": [1.0, 1.1]}, "tau_z", executor="serial")
        assert sweeps._BEFORE.neighbours is not before


def test_threads_share_the_points_between_them(tmp_path) -> None:
    logged = Logged(tmp_path / "log")
    with ThreadPoolExecutor(2) as pool:
        found = sweep(logged, AXES, "tau_z", executor=pool)
        assert pool.submit(lambda: 5).result() == 5, "an executor that was given stays open"
    assert sorted(line[:2] for line in logged.points()) == [
        (g, p) for g in AXES["g0"] for p in AXES["bath_pump"]
    ]
    assert found.drop_attrs().equals(sweep(MODEL, AXES, "tau_z", executor="serial").drop_attrs())


def test_what_cannot_be_sent_is_computed_here_with_a_sentence() -> None:
    lock = threading.Lock()

    def model(g0: float):
        with lock:
            return MODEL.replace(g0=g0)

    with pytest.warns(
        UserWarning, match=r"^The points are computed in this process, for `model_of` cannot be sent"
    ):
        found = sweep(model, {"g0": [1.0]}, "tau_z")
    assert found["status"].item() == 1


def test_handing_over_costs_less_than_a_twentieth() -> None:
    """Counted, not timed: a batch lasts `BATCH` seconds, and handing it over is far below a twentieth of that."""

    sizes: list[int] = []

    class Counting(ThreadPoolExecutor):
        def submit(self, run, payload, points):
            sizes.append(len(points))
            seconds = BATCH / 10 * len(points)  # as if a point took so long
            return super().submit(lambda: dataclasses.replace(run(payload, points), seconds=seconds))

    axes = {"g0": np.linspace(1, 2, 200)}
    with Counting(1) as pool:
        found = sweep(
            lambda g0: MODEL.replace(g0=g0), axes, "tau_z", times=[0.0], tolerance=0.1, executor=pool
        )
    assert int(found["status"].sum()) == sum(sizes) == 200
    assert sizes[:2] == [1, 1] and sizes[4:14] == [10] * 10 and BATCH >= 0.2


def test_a_point_costs_little_beside_its_computation(tmp_path) -> None:
    """In seconds of this process, which other processes hardly change: below a twentieth of the 3 ms of a point."""
    axes = {"g0": np.linspace(1, 2, 40), "bath_pump": np.linspace(0.1, 0.3, 40)}
    spent = []
    for store in (tmp_path / "first", None, tmp_path / "store"):
        start = time.process_time()
        found = sweep(MODEL, axes, "one", by=lambda model: {"one": 1.0}, executor="serial", store=store)
        spent.append((time.process_time() - start) / found["one"].size)
        assert (found["one"] == 1).all()
    assert max(spent[1:]) < 0.003 / 20, "the first one imports what the others use"


def test_two_dask_workers_and_a_store(tmp_path) -> None:
    distributed = pytest.importorskip("distributed")
    logged = Logged(tmp_path / "log", 0.02)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
            worker_dashboard_address=None, local_directory=str(tmp_path / "dask"),
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
        ) as cluster,
        distributed.Client(cluster) as client,
    ):  # fmt: skip
        client.wait_for_workers(2, timeout=60)
        axes = {"g0": [1.0, 2.0, 3.0, 4.0], "bath_pump": [0.1, 0.2, 0.3, 2.0]}
        found = sweep(logged, axes, ("tau_z", "Q2"), executor=client.get_executor(), store=tmp_path / "store")
    processes = {process for *_, process in logged.points()}
    assert len(logged.points()) == 16 and len(processes) == 2 and os.getpid() not in processes
    assert found["status"].sel(bath_pump=2.0).values.tolist() == [2] * 4
    here = sweep(MODEL, axes, ("tau_z", "Q2"), executor="serial")
    np.testing.assert_allclose(found["Q2"], here["Q2"], rtol=0, atol=1e-11)
    with warnings.catch_warnings(action="error"):
        stored = __import__("xarray").open_zarr(tmp_path / "store", consolidated=False).load()
    assert (
        stored["Q2"].equals(found["Q2"])
        and stored["sentence"].values.tolist() == found["sentence"].values.tolist()
    )
    assert stored.attrs == found.attrs


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from points import Logged
from centralspin import sweep, sweeps
sweeps.BATCH = {batch}
if __name__ == "__main__":
    sweep(Logged(Path({log!r}), {seconds}), {axes!r}, "tau_z", store={store!r})
"""


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_a_killed_run_loses_only_the_points_in_flight(tmp_path) -> None:
    zarr = pytest.importorskip("zarr")
    seconds, batch, log, store = 0.04, 0.2, tmp_path / "log", tmp_path / "store"
    axes = {"g0": np.linspace(1, 2, 12).tolist(), "bath_pump": np.linspace(0.1, 0.3, 10).tolist()}
    text = SCRIPT.format(
        folder=str(Path(__file__).parent),
        log=str(log),
        seconds=seconds,
        axes=axes,
        store=str(store),
        batch=batch,
    )
    script = tmp_path / "script.py"
    script.write_text(text, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.Popen([sys.executable, str(script)], env=environment)
    try:
        give_up = time.monotonic() + 120
        while run.poll() is None and time.monotonic() < give_up:
            time.sleep(0.05)
            if store.exists() and (zarr.open_array(store / "status", mode="r")[...] == 1).sum() >= 30:
                break
        assert run.poll() is None, "the run ended before it could be killed"
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait(60)
    workers = {process for *_, process in Logged(log).points()}
    while any(map(alive, workers)) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not any(map(alive, workers)), "workers outlive the run that was killed"
    first = Logged(log).points()
    done = int((zarr.open_array(store / "status", mode="r")[...] == 1).sum())
    in_flight = (
        2 * (len(workers) + 1) * round(batch / seconds)
    )  # batches handed out, times their largest size
    assert 30 <= done < 120 and 0 <= len(first) - done <= in_flight

    log = Logged(tmp_path / "again")
    found = sweep(log, axes, "tau_z", store=store, executor="serial")
    again = log.points()
    assert len(again) == 120 - done, "what was done is computed again"
    assert (found["status"] == 1).all() and not found["tau_z"].isnull().any()
    lost = {line[:2] for line in first} & {line[:2] for line in again}
    assert len(lost) == len(first) - done
    for g0, pump in ((axes["g0"][0], axes["bath_pump"][0]), (axes["g0"][11], axes["bath_pump"][9])):
        single = steady_state(MODEL.replace(g0=g0, bath_pump=pump), "tau_z")["tau_z"]
        assert abs(found["tau_z"].sel(g0=g0, bath_pump=pump).item() - single) < 1e-11


def test_a_store_of_another_sweep_is_refused(tmp_path) -> None:
    store = tmp_path / "store"
    asked = {"model_of": MODEL, "axes": {"g0": [1.0, 2.0]}, "observables": "tau_z", "executor": "serial"}
    sweep(**asked, store=store)
    for changes, name in (
        ({"axes": {"g0": [1.0, 3.0]}}, "last problem"),
        ({"model_of": MODEL.replace(N=3)}, "first problem"),
        ({"times": [0.0]}, "times"),
        ({"tolerance": 1e-4}, "options"),
        ({"observables": "Q2"}, "observables"),
    ):
        with pytest.raises(ArgumentError, match=f"^Argument `store` must hold a sweep with the same {name}"):
            sweep(**(asked | changes), store=store)
    (tmp_path / "other").mkdir()
    with pytest.raises(ArgumentError, match=r"^Argument `store` must hold a sweep or not exist"):
        sweep(**asked, store=tmp_path / "other")


def test_an_interrupted_run_keeps_what_it_has(tmp_path) -> None:
    count = 0

    def model(g0: float):
        nonlocal count
        count += 1
        if g0 == 2.0 and count < 10:
            raise KeyboardInterrupt
        return MODEL.replace(g0=g0)

    asked = {
        "axes": {"g0": [1.0, 2.0, 3.0]},
        "observables": "tau_z",
        "executor": "serial",
        "store": tmp_path / "s",
    }
    with pytest.raises(KeyboardInterrupt):
        sweep(model, **asked)
    count = 10
    found = sweep(model, **asked)
    assert (found["status"] == 1).all()
    assert (
        count == 10 + 2 + 2
    )  # a look at the first and at the last problem, and the two points that were missing


UNGUARDED = """
from centralspin import CentralSpinModel, sweep
sweep(CentralSpinModel.figure_2(N=2), {"g0": [1.0, 2.0]}, "tau_z")
"""
KILLED = """
import multiprocessing, os
from centralspin import CentralSpinModel, sweep
def model(g0):
    if g0 == 2.0 and multiprocessing.parent_process() is not None:
        os._exit(1)
    return CentralSpinModel.figure_2(N=2).replace(g0=g0)
if __name__ == "__main__":
    sweep(model, {"g0": [1.0, 2.0]}, "tau_z")
"""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (UNGUARDED, 'a script must call `sweep` below `if __name__ == "__main__":`'),
        (KILLED, "A process of the sweep crashed or was killed"),
    ],
)
def test_why_processes_have_ended_is_told_once(text: str, sentence: str, tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text(text, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120, env=environment
    )
    assert run.returncode and sentence in run.stderr
    assert run.stderr.count("Traceback") == 1
    assert ("__main__" in run.stderr.splitlines()[-1]) is (text is UNGUARDED)


def test_workers_draw_no_bars_of_their_own(monkeypatch) -> None:
    from centralspin import progress

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    pytest.importorskip("tqdm")
    assert progress.interactive()
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: object())
    assert not progress.interactive()
