"""Execute one chapter with other values for its parameters, and leave the notebook and a page to read.

Example: `python tools/chapter.py figure-2 'g0=2.0 bath_sizes=[6, 10, 20]'`
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from jupyter_book.sphinx import build_sphinx

from execute import execute_notebook
from layout import Book, BookError, parameters


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
    with tempfile.TemporaryDirectory() as scratch:
        for path in book.source.iterdir():  # what pages refer to: bibliography, styles, pictures
            if path.suffix != ".md":
                copy = shutil.copytree if path.is_dir() else shutil.copy
                copy(path, Path(scratch, path.name))
        notebook = nbformat.read(folder / f"{chapter}.ipynb", as_version=4)
        if any("{cite" in cell.source for cell in notebook.cells):  # the book lists them on a page of its own
            references = "## References\n\n```{bibliography}\n:filter: docname in docnames\n```"
            notebook.cells.append(nbformat.v4.new_markdown_cell(references))
        nbformat.write(notebook, Path(scratch, f"{chapter}.ipynb"))
        overrides = {
            "latex_individualpages": False,
            "master_doc": chapter,
            "nb_execution_mode": "off",
            "bibtex_bibfiles": [path.name for path in book.source.glob("*.bib")],
            "html_static_path": ["_static"],
            "ledger_claims": str(book.claims),
            "ledger_complete": False,
            "notebooks": "",
            "figure_data": "",
            "html_theme_options.use_download_button": False,
        }
        status = build_sphinx(
            scratch,
            folder,
            use_external_toc=False,
            noconfig=True,
            path_config=book.root / "_config.yml",
            confoverrides=overrides,
            doctreedir=Path(scratch, "doctrees"),
            really_quiet=True,  # references to the other chapters lead nowhere here, which is no fault
        )
    shutil.rmtree(folder.parent / "jupyter_execute", ignore_errors=True)  # left over by the rendering
    if status or not (folder / f"{chapter}.html").exists():
        raise BookError(f"Rendering chapter {chapter} failed: {status}")


def run(book: Book, chapter: str, text: str) -> None:
    """Execute and render a chapter."""
    values = parse(text, parameters(book.read(chapter)))
    folder = book.build / "chapters" / folder_name(chapter, values)
    shutil.rmtree(folder, ignore_errors=True)
    notebook = folder / f"{chapter}.ipynb"
    execute_notebook(book, chapter, notebook, values)
    render(book, chapter, folder)
    print(f"Notebook: {notebook}\nPage: {notebook.with_suffix('.html').as_uri()}")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", help="the chapter, for example figure-2")
    parser.add_argument("parameters", nargs="?", default="", help="name=value, separated by spaces")
    parser.add_argument("--root", type=Path, default=Book.root, help="the book's top level")
    arguments = parser.parse_args()
    try:
        run(Book(arguments.root.resolve()), arguments.name, arguments.parameters)
    except BookError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
