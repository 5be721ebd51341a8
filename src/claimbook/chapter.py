"""Execute one chapter with other values for its parameters, and leave the notebook and a page to read."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from .build import render as render_pages
from .execute import Kernels, execute_notebook, stamp_of
from .layout import Book, BookError, parameters
from .ledger import LedgerError, read_claims
from .parameters import ParameterError, cost, parse

LONGEST = 180  # characters of a folder's name


def folder_name(chapter: str, text: str) -> str:
    """Return a folder's name with the parameters as the reader wrote them, in letters that every system allows."""
    pieces = re.sub(r"\s*([=,*/+])\s*|([\[(])\s+|\s+([\])])", r"\1\2\3", text.strip()).split()
    written = "_".join([chapter, *pieces]).replace("**", "^").replace("*", "×").replace("/", "÷")
    written = re.sub(r"[^\w.=,^×÷+()\[\]-]", "-", written)
    return (
        written
        if len(written) <= LONGEST
        else f"{written[:LONGEST]}…{hashlib.sha256(text.encode()).hexdigest()[:6]}"
    )


def estimate(book: Book, chapter: str, factor: float) -> str:
    """Say how long a run is likely to take, from the last one at the source's parameters."""
    seconds = stamp_of(book, chapter).get("seconds")
    if not seconds:
        return "how long it takes is not known, as it has not been run before"
    source = f"{duration(seconds)} at the {book.settings.source}'s parameters"
    return f"it took {source}" + (
        "" if factor == 1 else f", about {duration(factor * seconds)} is expected now"
    )


def duration(seconds: float) -> str:
    """Return a time as one reads it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def render(book: Book, chapter: str, folder: Path) -> None:
    """Render an executed chapter to one page beside it, in the book's style and with its own MathJax."""
    static = book.source / "_static"
    with tempfile.TemporaryDirectory() as scratch:
        toc = Path(scratch, "_toc.yml")
        toc.write_text(f"format: jb-book\nroot: {chapter}\n", encoding="utf-8")
        overrides: dict[str, Any] = {
            "claimbook_root": str(book.root),
            "claimbook_executed": str(folder),
            "html_static_path": [str(static)] if static.is_dir() else [],
            "html_favicon": "",
            "exclude_patterns": [],
            "html_theme_options.use_download_button": False,
        }
        if references := [path.name for path in book.source.glob("*.bib")]:
            overrides["bibtex_bibfiles"] = references
        # References to the other chapters lead nowhere here, which is no fault.
        render_pages(
            book.source,
            toc,
            book.root / "_config.yml",
            folder,
            strict=False,
            doctrees=Path(scratch, "doctrees"),
            overrides=overrides,
        )
    shutil.rmtree(folder.parent / "jupyter_execute", ignore_errors=True)  # left over by the rendering


def run(book: Book, chapter: str, text: str) -> None:
    """Execute and render a chapter."""
    original = parameters(book.read(chapter))
    try:
        declared = read_claims(book.claims)[1].get(chapter, {}).get("declared", {})
        values = parse(text, original, declared)
    except (ParameterError, LedgerError) as error:
        raise BookError(str(error)) from error
    book.check_provenance()
    folder = book.build / "chapters" / folder_name(chapter, text)
    shutil.rmtree(folder, ignore_errors=True)
    notebook = folder / f"{chapter}.ipynb"
    kernels = Kernels(book)
    print(f"{chapter}: started; {estimate(book, chapter, cost(declared, original, values))}", flush=True)
    try:
        seconds = execute_notebook(kernels, chapter, notebook, values)
    except BaseException:
        kernels.kill()
        raise
    print(f"{chapter}: {seconds:.1f} s", flush=True)
    render(book, chapter, folder)
    print(f"Notebook: {notebook}\nPage: {notebook.with_suffix('.html').as_uri()}")
