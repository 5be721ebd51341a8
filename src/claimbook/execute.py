"""Execute the chapters, each one once, and keep the executed notebooks in `_build/executed`.

Chapters run side by side, one per processor. A chapter runs again only if something it depends on has changed.
What is finished is kept when the run is interrupted or another chapter fails.
"""

from __future__ import annotations

import asyncio
import datetime
import errno
import inspect
import logging
import os
import re
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from .layout import Book, BookError, foreign_code

# papermill would report what is told here in words of our own: parameters it does not see, processes that end.
logging.getLogger("papermill").setLevel(logging.CRITICAL)

TRACEBACK_LINES = 15  # enough to see where, short enough to read

#: What a chapter's process runs before it listens: the book's own code, or not at all. `python -c` has put the
#: chapter's folder on the path, where Python would look first; the kernel does so itself.
START = f"""import sys
{inspect.getsource(foreign_code)}
source = sys.argv.pop(1)
if sentence := foreign_code(source): sys.exit(sentence)
sys.path.pop(0)
from ipykernel.kernelapp import launch_new_instance
launch_new_instance()
"""


class Kernels:
    """The processes of the chapters that run; `kill` ends them all and lets no other start."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.provisioners: list[Any] = []  # what jupyter_client starts each process with
        self.lock = threading.Lock()
        self.stopped = False

    def kill(self) -> None:
        """End all processes and what they have started, at once."""
        with self.lock:
            self.stopped = True
            for process in (provisioner.process for provisioner in self.provisioners):
                if process is None or process.poll() is not None:
                    continue  # it has ended
                if hasattr(os, "killpg"):
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()

    def manager(self, log: Path) -> type[AsyncKernelManager]:
        """Return a kernel manager for one chapter, whose process runs this Python and the book's own code.

        What the process itself prints goes to a file. Errors of a chapter come with its cells; the process adds
        its local port and its own tracebacks, which belong to no chapter and hide the one line that matters.
        """
        kernels, source = self, str(self.book.root / "src")
        environment = {
            **os.environ,
            # The debugger in each process would warn that it cannot look into Python's own modules.
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            # Chapters run side by side and their matrices are small: threads would wait for each other.
            "OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", "1"),
            "PYTHONPATH": os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH")))),
            "IPYTHONDIR": str(self.book.build / ".ipython"),  # not what the reader has made of IPython
        }

        class Manager(AsyncKernelManager):
            @property
            def kernel_spec(self) -> KernelSpec:  # not one that is installed somewhere as "python3"
                command = [sys.executable, "-c", START, source, "-f", "{connection_file}"]
                return KernelSpec(argv=command, display_name="Python 3", language="python")

            async def start_kernel(self, **arguments: Any) -> None:  # type: ignore[override]
                arguments |= {"env": environment, "cwd": str(kernels.book.source)}
                with log.open("w", encoding="utf-8") as file, kernels.lock:
                    if kernels.stopped:
                        raise BookError("The run was stopped.")
                    await super().start_kernel(stdout=file, stderr=file, **arguments)
                    kernels.provisioners.append(self.provisioner)

        return Manager


def execute_notebook(
    kernels: Kernels,
    name: str,
    output: Path,
    values: dict[str, Any] | None = None,
    stamp: dict[str, Any] | None = None,
) -> float:
    """Run a chapter in the book's folder, with other values for its parameters if given, and write it.

    Returns
    -------
    float
        The seconds it took.

    Raises
    ------
    BookError
        If a cell fails; the notebook up to that cell is left beside `output`.
    """
    book = kernels.book
    output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = output.with_suffix(".unfinished.ipynb")
    process_log = output.with_suffix(".log")
    started = time.perf_counter()
    try:
        executed = papermill.execute_notebook(
            book.read(name),
            unfinished,
            parameters=values,
            progress_bar=False,
            kernel_manager_class=kernels.manager(process_log),
        )
    except PapermillExecutionError as error:
        raise BookError(failure(name, error, unfinished)) from error
    except (DeadKernelError, RuntimeError) as error:  # a RuntimeError if the process did not even begin
        words = last_words(process_log)
        raise BookError(
            words
            if words.startswith("The book must run its own")
            else f"{name}: the Python process of the chapter died (memory?). Its last words in {process_log}: "
            f"{words or 'none'}"
        ) from error
    seconds = time.perf_counter() - started
    for cell in executed.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
    executed.metadata.pop("papermill", None)
    executed.metadata[book.settings.name] = {
        **(stamp or {}),
        "seconds": round(seconds, 2),
        "date": datetime.date.today().isoformat(),
        "commit": book.commit(),
        "versions": book.versions(),
    }
    nbformat.write(executed, unfinished)
    unfinished.replace(output)  # in one step: a notebook at `output` is always a finished one
    process_log.unlink(missing_ok=True)
    return seconds


def failure(name: str, error: PapermillExecutionError, unfinished: Path) -> str:
    """Say what stopped a chapter: the claim's own sentence, or the error with the end of its traceback."""
    lines = [f"{name}: cell {error.exec_count} stopped with {error.ename}: {error.evalue}"]
    if error.ename != "ClaimFailed":
        traceback = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback)).splitlines()
        lines += ["  " + line for line in traceback[-TRACEBACK_LINES:]]
    return "\n".join([*lines, f"  The notebook up to there: {unfinished}"])


def last_words(log: Path) -> str:
    """Return the last line that a process wrote."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def in_a_sentence(error: OSError) -> BookError:
    """Tell a fault of the machine, such as a full disk, without a traceback."""
    where = f" ({error.filename})" if error.filename else ""
    advice = ": make room and run the same command again" if error.errno == errno.ENOSPC else ""
    return BookError(f"The operating system refused: {error.strerror or error}{where}{advice}.")


def say(line: str) -> None:
    """Print a line in one piece: `print` writes its end separately, where another chapter's line may come between."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def stamp_of(book: Book, name: str) -> dict[str, Any]:
    """Return what is recorded with a chapter's last execution; nothing if there is none."""
    path = book.executed(name)
    if not path.exists():
        return {}
    try:
        stamp: dict[str, Any] = nbformat.read(path, as_version=4).metadata.get(book.settings.name, {})
    except ValueError:  # cut off or not a notebook
        return {}
    return stamp


def execute_book(book: Book, jobs: int | None = None) -> list[str]:
    """Bring every chapter's execution up to date.

    Parameters
    ----------
    book : Book
        The book.
    jobs : int, optional
        How many chapters run at a time; by default as many as there are processors.

    Returns
    -------
    list of str
        The failures, one text per chapter that failed.
    """
    book.check_provenance()
    digests = {name: book.chapter_digest(name) for name in book.chapters()}
    stamps = {name: stamp_of(book, name) for name in digests}
    stale = [name for name in digests if stamps[name].get("digest") != digests[name]]
    if len(digests) > len(stale):
        say(f"{len(digests) - len(stale)} of {len(digests)} chapters are unchanged.")
    # The longest first, so that none is left over at the end; what never ran goes by the length of its code.
    guess = {
        name: stamps[name].get("seconds") or 1e-3 * sum(len(cell.source) for cell in book.read(name).cells)
        for name in stale
    }
    kernels, failures = Kernels(book), []

    def run(name: str) -> float:
        say(f"{name}: started")
        try:
            return execute_notebook(kernels, name, book.executed(name), stamp={"digest": digests[name]})
        except OSError as error:
            raise in_a_sentence(error) from error
        finally:
            asyncio.get_event_loop().close()  # the one that jupyter_client has opened for this thread

    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(jobs or processors) as pool:
        order = sorted(stale, key=guess.__getitem__, reverse=True)
        running = {pool.submit(run, name): name for name in order}
        try:
            for count, future in enumerate(as_completed(running), start=1):
                name, error = running[future], future.exception()
                if isinstance(error, BookError):
                    failures.append(str(error))
                    say(failures[-1].splitlines()[0])  # the whole is told at the end
                else:
                    say(f"{name}: {future.result():.1f} s, {count} of {len(stale)}")
        except BaseException:
            for future in running:
                future.cancel()
            kernels.kill()
            raise
    return failures
