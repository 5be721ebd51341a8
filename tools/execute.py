"""Execute the chapters, each one once, and keep the executed notebooks in `_build/executed`.

A chapter runs again only if something it depends on has changed. What is finished is kept when the run is
interrupted or another chapter fails.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import logging
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from layout import STAMP, Book, BookError, environment

# The debugger inside each notebook's process would warn that it cannot look into Python's own modules.
os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
# The chapters' matrices are small: threads of the linear algebra library would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# papermill guesses at the chapter's parameters and would report those it misses; `layout.parameters` knows.
logging.getLogger("papermill").setLevel(logging.ERROR)

TRACEBACK_LINES = 15  # enough to see where, short enough to read


def execute_notebook(
    book: Book,
    name: str,
    output: Path,
    values: dict[str, Any] | None = None,
    stamp: dict[str, Any] | None = None,
) -> None:
    """Run a chapter in the book's folder, with other values for its parameters if given, and write it.

    Raises
    ------
    BookError
        If a cell fails; the notebook up to that cell is left beside `output`.
    """
    notebook = book.read(name)
    output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = output.with_suffix(".unfinished.ipynb")
    process_log = output.with_suffix(".log")
    total = sum(cell.cell_type == "code" for cell in notebook.cells) + bool(values)
    started = time.perf_counter()
    counter = itertools.count(1)

    def progress(cell: nbformat.NotebookNode, cell_index: int) -> None:
        if cell.cell_type == "code":
            print(f" {next(counter)}/{total}", end="", flush=True)

    print(f"{name}: cell", end="", flush=True)
    try:
        executed = papermill.execute_notebook(
            notebook,
            unfinished,
            parameters=values,
            cwd=book.source,
            progress_bar=False,
            on_cell_start=progress,
            kernel_manager_class=kernel_manager(process_log),
        )
    except PapermillExecutionError as error:
        print(flush=True)
        raise BookError(failure(name, error, unfinished)) from error
    except DeadKernelError as error:
        print(flush=True)
        raise BookError(
            f"{name}: the Python process of the chapter died (memory?). Its last words are in {process_log}."
        ) from error
    seconds = time.perf_counter() - started
    for cell in executed.cells:  # what papermill adds would make the notebook's hash differ from its source's
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
    executed.metadata.pop("papermill", None)
    executed.metadata[STAMP] = {
        **(stamp or {}),
        "seconds": round(seconds, 2),
        "date": datetime.date.today().isoformat(),
        "commit": book.commit(),
        "versions": environment(),
    }
    nbformat.write(executed, unfinished)
    unfinished.replace(output)  # in one step: a notebook at `output` is always a finished one
    process_log.unlink()
    print(f", {seconds:.1f} s", flush=True)


def kernel_manager(log: Path) -> type[AsyncKernelManager]:
    """Return the usual kernel manager, but what the kernel's process itself prints goes to a file.

    Errors of a chapter come with its cells. The process adds its local port and, when it is interrupted, its
    own tracebacks, which belong to no chapter and hide the one line that matters.
    """

    class Quiet(AsyncKernelManager):
        async def start_kernel(self, **arguments: Any) -> None:  # type: ignore[override]
            with log.open("w", encoding="utf-8") as file:
                await super().start_kernel(stdout=file, stderr=file, **arguments)

    return Quiet


def failure(name: str, error: PapermillExecutionError, unfinished: Path) -> str:
    """Say what stopped a chapter: the claim's own sentence, or the error with the end of its traceback."""
    lines = [f"{name}: cell {error.exec_count} stopped with {error.ename}: {error.evalue}"]
    if error.ename != "ClaimFailed":
        traceback = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback)).splitlines()
        lines += ["  " + line for line in traceback[-TRACEBACK_LINES:]]
    return "\n".join([*lines, f"  The notebook up to there: {unfinished}"])


def is_current(book: Book, name: str) -> bool:
    """Tell whether a chapter's executed notebook belongs to the sources as they are now."""
    path = book.executed(name)
    if not path.exists():
        return False
    stamp = nbformat.read(path, as_version=4).metadata.get(STAMP, {})
    return bool(stamp.get("digest") == book.chapter_digest(name))


def execute_book(book: Book) -> list[str]:
    """Bring every chapter's execution up to date; return the failures, one text per chapter that failed."""
    failures = []
    for name in book.chapters():
        if is_current(book, name):
            print(f"{name}: unchanged", flush=True)
            continue
        path = book.executed(name)
        path.unlink(missing_ok=True)
        try:
            execute_notebook(book, name, path, stamp={"digest": book.chapter_digest(name)})
        except BookError as error:
            failures.append(str(error))
            print(failures[-1].splitlines()[0], flush=True)  # the whole is told at the end
    return failures


def main() -> int:
    """Execute the book from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Book.root, help="the book's top level")
    book = Book(parser.parse_args().root.resolve())
    try:
        failures = execute_book(book)
    except BookError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The chapters already finished are kept.", file=sys.stderr)
        return 130
    if failures:
        print(f"\n{len(failures)} of the chapters failed:", *failures, sep="\n", file=sys.stderr)
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
