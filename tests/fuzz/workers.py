"""Tasks side by side, each in a process that can be ended, whatever it is busy with."""

from __future__ import annotations

import math
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

#: A function and its arguments, by position.
Task = tuple[Callable[..., Any], tuple[Any, ...]]
#: Seconds after which an interruption is noticed at the latest.
PATIENCE = 0.3


@dataclass(frozen=True)
class Lost:
    """Instead of a result: the task took too long (`late`), or its process died."""

    why: str
    late: bool


class Worker:
    """A process that runs one task after the other."""

    def __init__(self) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()  # so that the pipe ends when the process does
        self.pipe.recv()  # starting counts for no task
        self.task: Task | None = None
        self.end = math.inf

    def give(self, task: Task, limit: float) -> None:
        """Begin a task that may take `limit` seconds."""
        self.pipe.send(task)
        self.task, self.end = task, time.monotonic() + limit

    def result(self) -> Any:
        """What the task gave, once it has given anything."""
        try:
            return self.pipe.recv()
        except EOFError:
            self.process.join()
            return Lost(f"its process ended with code {self.process.exitcode}", False)


def _serve(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told as well, and ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent: Any = multiprocessing.parent_process()
    pipe.send(None)
    while pipe in wait([pipe, parent.sentinel]):
        function, arguments = pipe.recv()
        pipe.send(function(*arguments))


def run(
    following: Callable[[], Task | None], jobs: int, limit: float, stopped: Callable[[], bool] = lambda: False
) -> Iterator[tuple[Task, Any]]:
    """Run tasks until there are none, and yield each with its result, or with a `Lost`, as they end.

    Parameters
    ----------
    following : callable
        Gives the next task, or None. It is asked whenever a process is free, and again after every result.
    jobs : int
        How many tasks run at a time.
    limit : float
        Seconds that one task may take; then its process is ended, and another one takes its place.
    stopped : callable
        Whether to give up what is running; asked every `PATIENCE` seconds at least. An interruption sets what it
        tells: raised as an exception it could be lost while a process is started.
    """
    workers = [Worker() for _ in range(jobs)]
    try:
        while not stopped():
            for worker in workers:
                if worker.task is None and (task := following()) is not None:
                    worker.give(task, limit)
            busy = [worker for worker in workers if worker.task is not None]
            if not busy:
                return
            left = max(0.0, min(worker.end for worker in busy) - time.monotonic())
            ready = wait([worker.pipe for worker in busy], min(left, PATIENCE))
            for worker in busy:
                if worker.pipe in ready:
                    found = worker.result()
                elif time.monotonic() >= worker.end:
                    found = Lost(f"ended after {limit:g} s", True)
                else:
                    continue
                task, worker.task = worker.task, None
                if isinstance(found, Lost):
                    worker.process.kill()
                    workers[workers.index(worker)] = Worker()
                yield task, found
    finally:
        for worker in workers:
            worker.process.kill()
