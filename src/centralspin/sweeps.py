"""Many problems at once: a grid of parameters, on as many cores or machines as there are, resumable.

Points are worked on in batches of neighbours. A batch takes about `BATCH` seconds, so that handing it over costs
little, and what a crash can lose stays small. What is found is written batch by batch, values first and then that they
are there, so that a run that ends at any time can be taken up again.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
import os
import pickle
import socket
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import connection, current_process, get_context, parent_process
from pathlib import Path
from typing import Any

import numpy as np

from .api import evolve, steady_state
from .errors import ArgumentError
from .problem.central_spin import CentralSpinModel
from .problem.checks import checked, increasing_times, is_sequence, sequence, short, truth
from .problem.collective import CollectiveModel
from .problem.description import describe
from .progress import Progress
from .question import method_name, read
from .software import THREADS, __version__
from .symmetric.neighbours import Neighbours, starting_from
from .travel import meaning

#: Seconds that a batch shall take, and the most points it may have.
BATCH, LARGEST_BATCH = 1.0, 1000
#: What is known of a point.
OPEN, DONE, FAILED = 0, 1, 2
#: A sentence that is longer is cut where it is recorded.
LONGEST_SENTENCE = 250
#: About how many values one file of a store holds.
CHUNK = 4096
#: Arguments of a point that all points share: what is wrong with them is refused at once.
SHARED = ("observables", "options", "times", "t_stops", "tolerance", "time_budget")
#: What each thread of a worker keeps of the points before, and of which sweep they are.
_BEFORE = threading.local()
#: Names that a result has beside the axes and observables.
TAKEN = ("time", "estimated_error", "status", "sentence")


@checked(progress=truth)
def sweep(
    model_of: Any,
    axes: Mapping[str, Sequence[Any]],
    observables: Any = ("tau_x", "tau_y", "tau_z"),
    *,
    times: Sequence[float] | None = None,
    by: Callable[[Any], Mapping[str, float]] | None = None,
    executor: Any = None,
    store: Any = None,
    progress: bool = True,
    **options: Any,
) -> Any:
    """Return expectation values, or other numbers, over a grid of parameters.

    Parameters
    ----------
    model_of : callable, CentralSpinModel or CollectiveModel
        From one value of every axis, as arguments of these names, to the model; of a model the parameters that the axes
        name are replaced.
    axes : mapping of names to sequences of numbers
        The grid: all combinations. The last axis varies fastest.
    observables
        As for `evolve`.
    times : sequence of float, optional
        Output times, as for `evolve`; None asks for stationary states.
    by : callable, optional
        For what is no expectation value, such as a coefficient of 1/N, a gap, an entanglement: from a model to a
        mapping that has a number for every name in `observables`.
    executor : concurrent.futures executor, or "serial", optional
        Where the points are computed: any object with `submit`, such as `dask.distributed.Client(…).get_executor()` or
        `mpi4py.futures.MPIPoolExecutor()`, which stays open; "serial" is this process; None one process per core.
    store : str or Path, optional
        A folder, a Zarr store, to which results are written as they come. If it exists already, what it holds is not
        computed again; `xarray.open_zarr` reads it at any time.
    progress : bool
        Whether to show a bar where a terminal or notebook can show one.
    **options
        Those of `evolve` or `steady_state`: `method`, `tolerance`, `central_state`, `time_budget` (of one point), …;
        none with `by`.

    Returns
    -------
    xarray.Dataset
        One variable per observable, with the axes, and `time`, as dimensions; NaN where a point failed. Beside them
        `estimated_error` (NaN where `by` gives no `error`), `status` (1 for a point that is done, 2 for one that
        failed) and `sentence`, why it failed.

    Raises
    ------
    ArgumentError
        If an argument is outside its domain, or the store holds another sweep. What is wrong with a single point is
        recorded, and stops nothing.

    Notes
    -----
    With processes (the default) a script must call this below `if __name__ == "__main__":`, for every process reads the
    script. The points of a batch are computed in order, and each gets what those before it have left to start from:
    its values may differ from those of a single call within the tolerance.

    Examples
    --------
    >>> from centralspin import CentralSpinModel, sweep
    >>> found = sweep(CentralSpinModel.figure_2(N=10), {"g0": [1.0, 2.0]}, "tau_z", executor="serial")
    >>> found["tau_z"].sel(g0=2.0).item()
    -0.0895148

    >>> from centralspin import eigenvalues
    >>> def gap(model):
    ...     return {"gap": eigenvalues(model, 4).gap}
    >>> slowest = sweep(CentralSpinModel.figure_2(), {"g0": [1.0, 4.0]}, "gap", by=gap, executor="serial")
    >>> slowest["gap"].sel(g0=4.0).item()
    1.05222
    """
    if executor is None and getattr(current_process(), "_inheriting", False):
        sys.exit(1)  # a worker that reads a script without the guard: the sweep that started it says so, once
    grid = _grid(axes)
    if "method" in options and not (options["method"] is None and times is None):
        method_name(options["method"])
    if not (executor is None or executor == "serial" or callable(getattr(executor, "submit", None))):
        must = 'be a concurrent.futures executor, "serial" or None'
        raise ArgumentError("executor", must, short(executor))
    if by is not None and (not callable(by) or times is not None or options):
        must = "be a function of a model, and stand without `times` and options"
        given = ["times"] * (times is not None) + sorted(options)
        raise ArgumentError("by", must, f"given beside {', '.join(given)}" if callable(by) else short(by))
    when = None if times is None else increasing_times(times)
    work = _Work(_model_of(model_of), observables, when, options, by)
    names, kinds = _variables(work, grid)
    table = _table(grid, work, names, kinds, store)
    try:
        payload: bytes | None = _packed(work)
    except Exception as error:
        payload = None
        if executor != "serial":
            warnings.warn(
                f"The points are computed in this process, for `model_of` cannot be sent to another one ({error}).",
                UserWarning,
                stacklevel=2,
            )
    bar = Progress(show=None if progress else False)
    try:
        if payload is None or executor == "serial":
            _here(work, table, bar)
        elif executor is None:
            with _threads_off(), _processes(len(table.open())) as pool:
                _spread(pool, payload, table, bar)
        else:
            _spread(executor, payload, table, bar)
    finally:
        bar.close()
    return table.dataset()


# --- what is asked ---


@dataclass(frozen=True)
class _Grid:
    """The axes; points are numbered with the last axis varying fastest."""

    axes: dict[str, np.ndarray]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(map(len, self.axes.values()))

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def point(self, number: int) -> dict[str, Any]:
        """The parameters of a point, as plain Python values."""
        index = np.unravel_index(number, self.shape)
        return {name: values[i].item() for (name, values), i in zip(self.axes.items(), index, strict=True)}


def _grid(axes: Any) -> _Grid:
    if not isinstance(axes, Mapping) or not axes:
        raise ArgumentError("axes", "map names of parameters to sequences of values", short(axes))
    found = {}
    for name, values in axes.items():
        must = "be a non-empty sequence of numbers or of words"
        if np.ma.is_masked(values):
            raise ArgumentError(f"axes[{name!r}]", must, short(values))
        array = np.asarray(sequence(f"axes[{name!r}]", values))
        if array.ndim != 1 or not array.size or array.dtype.kind not in "biufU":
            raise ArgumentError(f"axes[{name!r}]", must, short(values))
        if not isinstance(name, str) or name in TAKEN:
            raise ArgumentError("axes", f"have names that are not among {', '.join(TAKEN)}", short(name))
        found[name] = array
    return _Grid(found)


@dataclass(frozen=True)
class _Replaced:
    """From parameters to a model in which they are replaced."""

    model: Any

    def __call__(self, **point: Any) -> Any:
        return self.model.replace(**point)


def _model_of(model_of: Any) -> Callable[..., Any]:
    if isinstance(model_of, (CentralSpinModel, CollectiveModel)):
        return _Replaced(model_of)
    if not callable(model_of):
        raise ArgumentError("model_of", "be a model, or a function that returns one", short(model_of))
    return model_of


@dataclass(frozen=True)
class _Work:
    """How a point is computed."""

    model_of: Callable[..., Any]
    observables: Any
    times: np.ndarray | None
    options: Mapping[str, Any]
    by: Callable[[Any], Mapping[str, float]] | None
    #: What tells one sweep from another.
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    def result(self, point: Mapping[str, Any]) -> Any:
        model = self.model_of(**point)
        if self.by is not None:
            return self.by(model)
        if self.times is None:
            return steady_state(model, self.observables, **self.options)
        return evolve(model, self.times.tolist(), self.observables, **self.options)

    def answer(self, number: int, point: Mapping[str, Any]) -> _Answer:
        """The values of a point, or why there are none."""
        if getattr(_BEFORE, "sweep", None) != self.name:
            _BEFORE.sweep, _BEFORE.neighbours = self.name, Neighbours()
        try:
            with starting_from(_BEFORE.neighbours):
                found = self.result(point)
            if self.by is None:
                values = [np.asarray(value) for value in found.values()]
            else:
                values = [np.asarray(float(found[name])) for name in names_of(self.observables)]
            estimate = getattr(found, "error", None)
            estimate = math.nan if estimate is None else float(estimate)
        except Exception as error:  # whatever it is, it is this point's, but for what all of them share
            if isinstance(error, ArgumentError) and error.parts[0] in SHARED:
                raise
            sentence = " ".join(str(error).split()) or type(error).__name__
            if type(error).__module__ in ("builtins", "numpy"):
                sentence = f"{type(error).__name__}: {sentence}"
            return _Answer(number, None, math.nan, sentence[:LONGEST_SENTENCE])
        return _Answer(number, values, estimate, "")


@dataclass(frozen=True)
class _Answer:
    """What came out of a point: values, or None and a sentence."""

    number: int
    values: list[np.ndarray] | None
    error: float
    sentence: str


def names_of(asked: Any) -> list[str]:
    """The names of what is asked for, each once."""
    names = [asked] if isinstance(asked, str) else list(asked) if is_sequence(asked) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise ArgumentError(
            "observables", "be names, or (but with `by`) map names to operators", short(asked)
        )
    return list(dict.fromkeys(names))


def _variables(work: _Work, grid: _Grid) -> tuple[list[str], dict[str, Any]]:
    """Names of the observables, and the types of their values."""
    if isinstance(work.observables, Mapping) and work.by is None:
        given = read(work.observables)
        kinds: dict[str, Any] = {n: float if moment.hermitian else complex for n, moment in given.items()}
        names = list(kinds)
    else:
        names = names_of(work.observables)
        kinds = dict.fromkeys(names, float)
    for name in names:
        if name in TAKEN or name in grid.axes:
            raise ArgumentError(
                "observables", "have names that no axis and no other variable has", repr(name)
            )
    return names, kinds


# --- what is known so far ---


class _Table:
    """All values of a sweep in memory, and in a store if there is one."""

    def __init__(
        self, grid: _Grid, data: dict[str, np.ndarray], describe: Callable[..., Any], group: Any
    ) -> None:
        self.grid, self._data, self._describe, self._group = grid, data, describe, group
        self._flat = {
            name: values.reshape(grid.size, *values.shape[len(grid.axes) :]) for name, values in data.items()
        }
        self._observables = [name for name in data if name not in TAKEN]

    def open(self) -> list[int]:
        """The numbers of the points that are still to be computed."""
        return np.flatnonzero(self._flat["status"] == OPEN).tolist()

    def add(self, answers: Sequence[_Answer]) -> None:
        """Take up the answers of a batch: their values first, then that they are there."""
        for answer in answers:
            if answer.values is not None:
                for name, value in zip(self._observables, answer.values, strict=True):
                    self._flat[name][answer.number] = value
            self._flat["estimated_error"][answer.number] = answer.error
            self._flat["sentence"][answer.number] = answer.sentence
            self._flat["status"][answer.number] = FAILED if answer.values is None else DONE
        if self._group is not None:
            index = np.unravel_index([answer.number for answer in answers], self.grid.shape)
            for name in (*self._observables, "estimated_error", "sentence", "status"):
                if name == "sentence" and not any(answer.sentence for answer in answers):
                    continue
                target = self._group[name]
                for block in _blocks(index, target.chunks):
                    target[block] = self._data[name][block].astype(target.dtype)

    def dataset(self) -> Any:
        """The labelled array."""
        return self._describe(self._data)


def _blocks(index: Sequence[np.ndarray], chunks: Sequence[int]) -> list[tuple[slice, ...]]:
    """The chunks, as slices of the axes, that hold some points: each is written as a whole."""
    hit = sorted(set(zip(*(np.asarray(i) // c for i, c in zip(index, chunks, strict=False)), strict=True)))
    return [tuple(slice(int(k) * c, (int(k) + 1) * c) for k, c in zip(h, chunks, strict=False)) for h in hit]


def _table(grid: _Grid, work: _Work, names: list[str], kinds: Mapping[str, Any], store: Any) -> _Table:
    from .optional import xarray

    dims, shape = tuple(grid.axes), grid.shape
    tail = () if work.times is None else (len(work.times),)
    moving = () if work.times is None else ("time",)
    data: dict[str, np.ndarray] = {name: np.full(shape + tail, np.nan, kinds[name]) for name in names}
    data["estimated_error"] = np.full(shape, np.nan)
    data["status"] = np.full(shape, OPEN, dtype=np.int8)
    data["sentence"] = np.full(shape, "", dtype=object)
    first, last = (_example(grid, work, numbers) for numbers in (range(grid.size), range(grid.size)[::-1]))
    attributes = _provenance(grid, work, first, last)
    coordinates: dict[str, Any] = {name: (name, values) for name, values in grid.axes.items()}
    if work.times is not None:
        coordinates["time"] = ("time", work.times, {"units": "1/γ"})
    notes = {
        "estimated_error": {"units": "1", "long_name": "estimated error of the moments behind the values"},
        "status": {"long_name": "0 not computed, 1 done, 2 failed"},
        "sentence": {"long_name": "why a point failed"},
    }

    def known(name: str) -> dict[str, str]:
        return meaning(name, first) if work.by is None else {}

    def labelled(data: Mapping[str, np.ndarray]) -> Any:
        variables = {
            name: (dims + moving if name in names else dims, values, notes.get(name) or known(name))
            for name, values in data.items()
        }
        return xarray.Dataset(variables, coordinates, attributes)

    group = None if store is None else _opened(store, labelled, data, attributes)
    return _Table(grid, data, labelled, group)


def _example(grid: _Grid, work: _Work, numbers: Sequence[int]) -> Any:
    """The model of the first of some points for which there is one; None if there is none."""
    for number in numbers[:100]:
        with contextlib.suppress(Exception):
            return work.model_of(**grid.point(number))
    return None


def _provenance(grid: _Grid, work: _Work, first: Any, last: Any) -> dict[str, Any]:
    """How the values are made: what two runs of one sweep have in common, and the software."""
    problems = []
    for model in (first, last):
        try:
            problems.append(json.dumps(describe(model), ensure_ascii=False))
        except ArgumentError:
            problems.append(f"{type(model).__name__} with functions of time")
    options = {name: short(value) for name, value in sorted(work.options.items())}
    if work.by is not None:
        options["by"] = getattr(work.by, "__qualname__", type(work.by).__qualname__)
    elif isinstance(work.observables, Mapping):
        operators = {
            name: describe(
                [moment.central, list(moment.operators.values()), moment.power, moment.scaling, moment.about]
            )
            for name, moment in read(work.observables).items()
        }
        options["observables"] = json.dumps(operators)
    return {
        "first problem": problems[0],
        "last problem": problems[1],
        "axes": json.dumps({name: values.tolist() for name, values in grid.axes.items()}),
        "times": "stationary" if work.times is None else json.dumps(work.times.tolist()),
        "options": json.dumps(options, ensure_ascii=False),
        "software": f"centralspin {__version__}",
    }


def _opened(
    store: Any, labelled: Callable[..., Any], data: dict[str, np.ndarray], attributes: dict[str, Any]
) -> Any:
    """The Zarr group of a store; what it holds already goes to `data`."""
    from .optional import zarr

    path = Path(store) if isinstance(store, (str, os.PathLike)) else None
    if path is None:
        raise ArgumentError("store", "be the path of a folder", short(store))
    if not path.exists():
        empty = np.broadcast_to(np.array("", dtype=f"<U{LONGEST_SENTENCE}"), data["sentence"].shape)
        _created(path, labelled(data | {"sentence": empty}))
    try:
        group = zarr.open_group(path, mode="r+", zarr_format=2)
        found = dict(group.attrs)
    except Exception as error:
        raise ArgumentError("store", "hold a sweep or not exist", f"{short(str(path))} ({error})") from None
    for name, value in attributes.items():
        if name != "software" and found.get(name) != value:
            raise ArgumentError(
                "store", f"hold a sweep with the same {name}", f"one with {short(found.get(name))}"
            )
    if set(data) - set(group.array_keys()):
        raise ArgumentError(
            "store", "hold a sweep with the same observables", f"one with {sorted(group.array_keys())}"
        )
    for name in data:
        data[name][...] = group[name][...]
    open_ = data["status"] == OPEN
    for values in data.values():  # those of a batch that was being written when the run ended
        if values.dtype.kind in "fc":
            values[open_] = np.nan
    return group


def _created(path: Path, dataset: Any) -> None:
    """Write an empty store beside its place, then move it there: there is a whole one or none."""
    folder = path.with_name(f".{path.name}.{os.getpid()}")
    encoding = {}
    for name, values in dataset.data_vars.items():
        points = len(dataset.sizes) - ("time" in dataset.sizes)
        chunks, room = [], max(CHUNK // math.prod(values.shape[points:]), 1)
        for length in reversed(values.shape[:points]):
            chunks.append(min(length, room))
            room = max(room // length, 1)
        encoding[name] = {"chunks": (*reversed(chunks), *values.shape[points:])}
    dataset.to_zarr(folder, mode="w", encoding=encoding, zarr_format=2, consolidated=False)
    folder.rename(path)


# --- where it is computed ---


def _packed(work: _Work) -> bytes:
    """The work for another process; functions of a notebook or script travel whole where cloudpickle is there."""
    try:
        import cloudpickle
    except ModuleNotFoundError:
        return pickle.dumps(work)
    return bytes(cloudpickle.dumps(work))


@functools.lru_cache(maxsize=1)
def _unpacked(payload: bytes) -> _Work:
    try:
        work: _Work = pickle.loads(payload)
    except Exception as error:
        raise RuntimeError(
            f"A worker cannot read `model_of` ({error}): define it in a module that the worker finds, or install "
            "cloudpickle there and here."
        ) from None
    return work


@dataclass(frozen=True)
class _Batch:
    """What a worker sends back: answers, the seconds they took, and who it is."""

    answers: list[_Answer]
    seconds: float
    worker: tuple[str, int]


def _run(payload: bytes, points: Sequence[tuple[int, Mapping[str, Any]]]) -> _Batch:
    """Compute a batch in a worker."""
    work = _unpacked(payload)
    start = time.perf_counter()
    answers = [work.answer(number, point) for number, point in points]
    return _Batch(answers, time.perf_counter() - start, (socket.gethostname(), os.getpid()))


def _here(work: _Work, table: _Table, bar: Progress) -> None:
    left = table.open()
    answers: list[_Answer] = []
    written = time.monotonic()
    try:
        for count, number in enumerate(left):
            bar(count / len(left), "sweep")
            answers.append(work.answer(number, table.grid.point(number)))
            if time.monotonic() - written > BATCH:
                table.add(answers)
                answers, written = [], time.monotonic()
    finally:
        if answers:
            table.add(answers)


def _spread(executor: Any, payload: bytes, table: _Table, bar: Progress) -> None:
    """Hand out batches, as many at a time as keep all workers busy, and take up what comes back."""
    left, total = iter(table.open()), max(len(table.open()), 1)
    remaining, done = len(table.open()), 0
    mean, workers = math.nan, set[tuple[str, int]]()
    assumed = getattr(executor, "_max_workers", None) or os.cpu_count() or 1
    waiting: set[Future[_Batch]] = set()
    try:
        while True:
            # One batch more than there are workers, as far as is known, keeps each of them busy and shows new ones.
            most = 2 * max(assumed, len(workers) + 1)
            while remaining and len(waiting) < most:
                size = 1 if math.isnan(mean) else round(BATCH / max(mean, 1e-6))
                size = max(1, min(size, LARGEST_BATCH, math.ceil(remaining / most)))
                numbers = list(itertools.islice(left, size))
                remaining -= len(numbers)
                points = [(number, table.grid.point(number)) for number in numbers]
                waiting.add(executor.submit(_run, payload, points))
            if not waiting:
                return
            bar(done / total, "sweep")
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                batch = future.result()
                table.add(batch.answers)
                done += len(batch.answers)
                workers.add(batch.worker)
                new = batch.seconds / len(batch.answers)
                mean = new if math.isnan(mean) else 0.7 * mean + 0.3 * new
    finally:
        for future in waiting:
            future.cancel()


@contextlib.contextmanager
def _processes(points: int) -> Iterator[Executor]:
    count = max(1, min(os.cpu_count() or 1, points))
    context = get_context("spawn")
    begun = context.Event()
    pool = ProcessPoolExecutor(count, context, _begin, (begun,))
    try:
        yield pool
    except BrokenProcessPool:
        raise RuntimeError(
            "A process of the sweep crashed or was killed: perhaps memory does not suffice for a point in each process."
            if begun.is_set()
            else "The processes of the sweep ended before they began: a script must call `sweep` below "
            '`if __name__ == "__main__":`, for each of them reads the script.'
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(begun: Any) -> None:
    """Tell that a worker has read the script; let it end when its parent was killed, and so could not tell it."""
    begun.set()
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _threads_off() -> Iterator[None]:
    """Linear algebra on one thread in the processes that are started: there is one for every core."""
    added = [name for name in THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
