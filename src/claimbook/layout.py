"""Where the book keeps its files, which chapters it has, and what each chapter's execution depends on."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import importlib.metadata
import platform
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from myst_nb.core.read import is_myst_markdown_notebook
from sphinx_external_toc.parsing import parse_toc_yaml

from .imports import Imports
from .ledger import LedgerError, read_claims
from .settings import Settings, read_settings

# Files beside the chapters that none reads while it runs, like those in `_static`; the rest is taken for data.
NOT_DATA = {".md", ".bib", ".css", ".js"}


class BookError(Exception):
    """A mistake of the user's, told in one sentence."""


@dataclasses.dataclass(frozen=True)
class Book:
    """A book: configuration at `root`, sources in `root/book`, products in `root/_build`."""

    root: Path

    @functools.cached_property
    def settings(self) -> Settings:
        """What differs from book to book."""
        return read_settings(self.root)

    @property
    def source(self) -> Path:
        """Folder of the chapters; they are executed in it."""
        return self.root / "book"

    @property
    def claims(self) -> Path:
        """The ledger's file."""
        return self.source / "claims.yml"

    @property
    def build(self) -> Path:
        """Folder of everything generated."""
        return self.root / "_build"

    @property
    def site(self) -> Path:
        """Folder of the rendered book."""
        return self.build / "html"

    @property
    def pdf(self) -> Path:
        """The book on paper."""
        return self.build / f"{self.settings.name}.pdf"

    @property
    def pdf_stamp(self) -> Path:
        """The digest of the sources that the PDF was printed from."""
        return self.build / "pdf.digest"

    def executed(self, chapter: str) -> Path:
        """Return the path of a chapter's executed notebook."""
        return self.build / "executed" / f"{chapter}.ipynb"

    def chapters(self) -> dict[str, Path]:
        """Return name and path of the pages that hold code, in the order of the table of contents."""
        pages = [self.root / f"{name}.md" for name in parse_toc_yaml(self.root / "_toc.yml")]
        missing = [str(page.relative_to(self.root)) for page in pages if not page.is_file()]
        if missing:
            raise BookError(f"_toc.yml must list existing pages, but there is no {', '.join(missing)}.")
        return {page.stem: page for page in pages if is_myst_markdown_notebook(page.read_text("utf-8"))}

    def read(self, chapter: str) -> nbformat.NotebookNode:
        """Return a chapter as a notebook without outputs."""
        chapters = self.chapters()
        if chapter not in chapters:
            raise BookError(f"NAME must be one of {', '.join(chapters)}, but is {chapter!r}.")
        notebook: nbformat.NotebookNode = jupytext.read(chapters[chapter])
        return notebook

    def shared_digest(self) -> str:
        """Return a digest of what every execution depends on: locked packages, Python, data, the book's names."""
        lock = self.root / "requirements.lock"
        data = [
            path
            for path in files(self.source)
            if path.suffix not in NOT_DATA
            and path != self.claims
            and path.name != "LICENSE"
            and path.parent.name != "_static"
        ]
        names = self.settings.name + self.settings.source  # stand in each verdict
        return digest(self.root, [*data, *([lock] if lock.exists() else [])], sys.version, names)

    def chapter_digest(self, chapter: str) -> str:
        """Return a digest of what one chapter's execution depends on.

        That is its code, the files of `src` that its code imports, its own claims, and what all share; not its
        prose.
        """
        cells = [cell for cell in self.read(chapter).cells if cell.cell_type == "code"]
        code = [cell.source for cell in cells]
        tags = [cell.metadata.get("tags", []) for cell in cells]
        return digest(
            self.root,
            self.imports.of_code(code),
            self.shared_digest(),
            repr((code, tags, self.ledger_entry(chapter))),
        )

    @functools.cached_property
    def imports(self) -> Imports:
        """What the files of `src` import of each other."""
        return Imports(self.root / "src")

    def ledger_entry(self, chapter: str) -> object:
        """Return a chapter's parameters and claims in the ledger's file; the whole of it if it is not valid."""
        if not self.claims.exists():
            return None
        try:
            claims, chapters = read_claims(self.claims)
        except LedgerError:
            return self.claims.read_text("utf-8")  # executing the chapter will say what is wrong with it
        own = [claim for claim in claims.values() if claim.chapter == chapter]
        return chapters.get(chapter, {}).get("parameters"), own

    def site_digest(self) -> str:
        """Return a digest of everything the rendered book is made from."""
        names = ("_config.yml", "_toc.yml", "pyproject.toml")
        top = [path for path in map(self.root.joinpath, names) if path.exists()]
        sources = [path for folder in ("book", "src") for path in files(self.root / folder)]
        return digest(self.root, [*top, *sources], self.shared_digest(), self.commit())

    def check_provenance(self) -> None:
        """Have Python look into the book's `src` first, and refuse to go on if it has another's code already."""
        source = str(self.root / "src")
        if sys.path[0] != source:
            sys.path.insert(0, source)
        sentence = foreign_code(source)
        if sentence:
            raise BookError(sentence)

    def git(self, *arguments: str) -> str:
        """Return what git says about the book's folder; empty where there is no git."""
        command = ["git", "-C", str(self.root), *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    def commit(self) -> str:
        """Return the sources' git commit, marked if they differ from it; empty where there is no git."""
        commit = self.git("rev-parse", "--short=10", "HEAD")
        sources = ("book", "src", "_config.yml", "_toc.yml", "requirements.lock")
        changed = self.git("status", "--porcelain", "--", *sources) if commit else ""
        return f"{commit}, with changes since" if changed else commit

    def repository(self) -> str:
        """Return the address to clone the book from: what `pyproject.toml` says, or git; empty if neither does."""
        project = self.root / "pyproject.toml"
        urls = (
            tomllib.loads(project.read_text("utf-8")).get("project", {}).get("urls", {})
            if project.exists()
            else {}
        )
        named = {key.lower(): url for key, url in urls.items()}
        url = named.get("repository") or named.get("source") or self.git("remote", "get-url", "origin")
        url = re.sub(r"^git@([^:/]+):", r"https://\1/", url)
        url = re.sub(r"^https://[^/@]*@", "https://", url)  # no one's password
        return url if url.startswith("https://") else ""

    def versions(self) -> dict[str, str]:
        """Return the versions of what the chapters' numbers depend on most."""
        found = {name: importlib.metadata.version(name) for name in self.settings.versions}
        return {"Python": platform.python_version(), **found}


def foreign_code(source: str) -> str:
    """Return a sentence if Python finds a package of a source folder elsewhere, and nothing if all is well.

    It stands alone, imports included, because each chapter's own process runs it too before its first cell.
    """
    import importlib.util
    from pathlib import Path

    folder = Path(source).resolve()
    packages = [path.parent.name for path in folder.glob("*/__init__.py")]
    for name in sorted([*packages, *(path.stem for path in folder.glob("*.py"))]):
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve() if spec and spec.origin else None
        if found is None or folder not in found.parents:
            where = f"is {found.parent}" if found else "was not found"
            return (
                f"The book must run its own `{name}` in {folder}, but the one that Python imports {where}: "
                "unset PYTHONPATH and run `make` again, which installs what is missing."
            )
    return ""


def files(folder: Path) -> list[Path]:
    """Return the files below a folder in a fixed order, without caches and hidden files."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.suffix != ".pyc"
        and not any(part.startswith(".") or part.endswith(".egg-info") for part in path.parts[-3:])
    )


def digest(root: Path, paths: Iterable[Path], *texts: str) -> str:
    """Return a digest of files, named relative to `root`, and of texts."""
    result = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        result.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        result.update(content)
    for text in texts:
        result.update(f"\0{len(text)}\0{text}".encode())
    return result.hexdigest()


def with_outputs(notebook: nbformat.NotebookNode, executed: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Give a chapter as it is written the outputs, and the record, of its execution.

    Both have the same code, since an execution is used for no other; the prose may have changed since. A cell
    with other values for the parameters, which the execution has put in, is put in here too.
    """
    cells, prose = [], iter(notebook.cells)
    for cell in executed.cells:
        if cell.cell_type != "code":
            continue
        if "injected-parameters" not in cell.metadata.get("tags", []):
            for written in prose:
                if written.cell_type == "code":
                    cell = written | {key: cell[key] for key in ("outputs", "execution_count")}
                    break
                cells.append(written)
        cells.append(cell)
    metadata = notebook.metadata | {"language_info": executed.metadata.language_info}
    metadata |= {key: value for key, value in executed.metadata.items() if key not in metadata}
    merged: nbformat.NotebookNode = nbformat.notebooknode.from_dict(
        {**notebook, "cells": [*cells, *prose], "metadata": metadata}
    )
    return merged


def changed_in(notebook: nbformat.NotebookNode, settings: Settings) -> list[dict[str, str]]:
    """Return in what an executed chapter's parameters differ from the source's, as its `Ledger` has found."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if settings.changed_type in output.get("data", {}):
                return [dict(entry) for entry in output["data"][settings.changed_type]]
    return []


def parameters(notebook: nbformat.NotebookNode) -> dict[str, Any]:
    """Return the names and values assigned in a notebook's cell tagged `parameters`."""
    found: dict[str, Any] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", []):
            for line in ast.parse(cell.source).body:
                try:
                    found.update(assignment(line))
                except ValueError as error:
                    raise BookError(
                        "A cell tagged `parameters` must assign literal values to names, "
                        f"but has the line `{ast.unparse(line)}`."
                    ) from error
    return found


def assignment(line: ast.stmt) -> dict[str, Any]:
    """Return what a line `a = 1` or `a, b = 1, 2` assigns; raise ValueError for any other line."""
    if not isinstance(line, ast.Assign) or len(line.targets) != 1:
        raise ValueError(line)
    target, value = line.targets[0], ast.literal_eval(line.value)
    names, values = (target.elts, value) if isinstance(target, ast.Tuple) else ([target], [value])
    if not all(isinstance(name, ast.Name) for name in names):
        raise ValueError(line)
    return {name.id: item for name, item in zip(names, values, strict=True) if isinstance(name, ast.Name)}
