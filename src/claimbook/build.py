"""Build the book: execute what has changed, then render every page from the executed notebooks."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import re
import shutil
import time
from pathlib import Path
from typing import Any

from .execute import execute_book
from .layout import Book, BookError
from .ledger import LedgerError, read_claims


def render(
    source: Path,
    toc: Path,
    config: Path,
    output: Path,
    *,
    builder: str = "html",
    strict: bool = True,
    doctrees: Path | None = None,
    overrides: dict[str, Any] | None = None,
) -> str:
    """Render pages as `jupyter-book build` does, and return the log.

    Parameters
    ----------
    source, toc, config, output : Path
        Folder of the sources, table of contents, `_config.yml`, and folder of the result.
    builder : str
        Sphinx's builder.
    strict : bool
        Whether a warning, or a reference that leads nowhere, is an error.
    doctrees : Path, optional
        Folder for what Sphinx remembers.
    overrides : dict, optional
        Sphinx configuration on top of that of `_config.yml`.

    Raises
    ------
    BookError
        If it fails, with the problems of the log.
    """
    from jupyter_book.sphinx import build_sphinx  # slow to import: only when something is rendered

    given = {"external_toc_path": toc.as_posix(), "latex_individualpages": False, "nitpicky": strict}
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        status = build_sphinx(
            source,
            output,
            noconfig=True,
            path_config=config,
            confoverrides=given | (overrides or {}),
            builder=builder,
            doctreedir=doctrees,
            warningiserror=strict,
            keep_going=True,
        )
    log = re.sub(r"\x1b\[[0-9;]*m", "", text.getvalue())
    if isinstance(status, KeyboardInterrupt):
        raise status
    if status:
        problems = [line for line in log.splitlines() if re.search("WARNING|ERROR|CRITICAL|[Ee]rror:", line)]
        if isinstance(status, Exception):
            problems.append(f"{type(status).__name__}: {status}")
        raise BookError("\n".join(["Rendering failed:", *(problems or log.splitlines()[-30:])]))
    return log


def render_book(book: Book, builder: str = "html") -> Path:
    """Render the whole book afresh and return its folder; an incremental build can hide a failure."""
    output = book.build / builder
    for folder in (output, book.build / ".doctrees", book.build / "jupyter_execute"):
        shutil.rmtree(folder, ignore_errors=True)
    log = render(book.root, book.root / "_toc.yml", book.root / "_config.yml", output, builder=builder)
    (book.build / "build.log").write_text(log, encoding="utf-8")
    return output


def check(book: Book) -> None:
    """Refuse what would only fail after minutes of executing."""
    version = importlib.metadata.version("jupyter-book")
    if not version.startswith("1."):  # 2.x ignores _config.yml and leaves an empty site without an error
        raise BookError(f"jupyter-book must be a 1.x version, but is {version}.")
    if not (book.root / "_toc.yml").is_file():
        raise BookError(f"The book's root must hold `_toc.yml`, but {book.root} does not.")
    try:
        _, chapters = read_claims(book.claims)
    except LedgerError as error:
        raise BookError(str(error)) from error
    missing = sorted(set(chapters) - set(book.chapters()))
    if missing:
        raise BookError(f"_toc.yml must list every chapter of the ledger, but lacks {', '.join(missing)}.")


def execute(book: Book, jobs: int | None = None) -> None:
    """Bring all executions up to date, or say what failed."""
    check(book)
    failures = execute_book(book, jobs)
    if failures:
        raise BookError("\n".join([f"{len(failures)} of the chapters failed:", *failures]))


def build(book: Book, jobs: int | None = None) -> None:
    """Bring the rendered book up to date."""
    index, stamp = book.site / "index.html", book.build / "site.digest"
    wanted = book.site_digest()
    where = f"open {index.as_uri()} or run `make serve`"
    if index.exists() and stamp.exists() and stamp.read_text() == wanted:
        book.check_provenance()
        print(f"The book is up to date: {where}.")
        return
    stamp.unlink(missing_ok=True)
    execute(book, jobs)
    print("Rendering the pages …", flush=True)
    started = time.perf_counter()
    render_book(book)
    stamp.write_text(wanted)
    print(f"Rendered in {time.perf_counter() - started:.0f} s. The book is ready: {where}.")
