"""Execute one chapter with other values for its parameters, and leave the notebook and a page to read."""

from __future__ import annotations

import ast
import hashlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from .build import render as render_pages
from .execute import Kernels, execute_notebook
from .layout import Book, BookError, parameters


def parse(text: str, known: dict[str, Any]) -> dict[str, Any]:
    """Read `name=value name=value`; each value is a Python literal and may contain spaces."""
    pieces = re.split(r"(?:^|\s)([^\W\d]\w*)\s*=(?!=)", text)
    if pieces[0].strip():
        raise BookError(f"PARAMETERS must read `name=value name=value`, but starts with {pieces[0]!r}.")
    values: dict[str, Any] = {}
    for name, value in zip(pieces[1::2], pieces[2::2], strict=True):
        if name not in known:
            listing = ", ".join(f"{key}={default!r}" for key, default in known.items()) or "none"
            raise BookError(f"The chapter has no parameter {name!r}; its parameters are: {listing}.")
        try:
            values[name] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError) as error:
            raise BookError(
                f"Parameter `{name}` must be a Python literal such as {known[name]!r}, "
                f"but is {value.strip()!r}."
            ) from error
    return values


def folder_name(chapter: str, values: dict[str, Any]) -> str:
    """Return a readable folder name, the same for the same values."""
    text = "_".join(f"{name}={values[name]!r}" for name in sorted(values))
    if not text:
        return chapter
    readable = re.sub(r"[^\w.=-]+", "-", text).strip("-")[:60]
    return f"{chapter}_{readable}_{hashlib.sha256(text.encode()).hexdigest()[:6]}"


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
    values = parse(text, parameters(book.read(chapter)))
    book.check_provenance()
    folder = book.build / "chapters" / folder_name(chapter, values)
    shutil.rmtree(folder, ignore_errors=True)
    notebook = folder / f"{chapter}.ipynb"
    kernels = Kernels(book)
    print(f"{chapter}: started", flush=True)
    try:
        seconds = execute_notebook(kernels, chapter, notebook, values)
    except BaseException:
        kernels.kill()
        raise
    print(f"{chapter}: {seconds:.1f} s", flush=True)
    render(book, chapter, folder)
    print(f"Notebook: {notebook}\nPage: {notebook.with_suffix('.html').as_uri()}")
