"""Where the book keeps its files, which chapters it has, and what each chapter's execution depends on."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml
from myst_nb.core.read import is_myst_markdown_notebook
from sphinx_external_toc.parsing import parse_toc_yaml

HERE = Path(__file__).resolve().parent.parent

STAMP = "centralspin"  # metadata of an executed notebook: what was executed, when, with what, and how long
PACKAGES = ("NumPy", "SciPy", "QuTiP")

# Files under book/ that no chapter reads while it runs, like those in `_static`; the rest is taken for data.
NOT_DATA = {".md", ".bib", ".css", ".js"}


class BookError(Exception):
    """A mistake of the user's, told in one sentence."""


@dataclasses.dataclass(frozen=True)
class Book:
    """A book: configuration at `root`, sources in `root/book`, products in `root/_build`."""

    root: Path = HERE

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
        """Return a digest of what every execution depends on: library, locked packages, Python and data."""
        lock = self.root / "requirements.lock"
        data = [
            path
            for path in files(self.source)
            if path.suffix not in NOT_DATA
            and path != self.claims
            and path.name != "LICENSE"
            and path.parent.name != "_static"
        ]
        library = [path for path in files(self.root / "src") if path.suffix == ".py"]
        return digest(self.root, [*library, *data, *([lock] if lock.exists() else [])], sys.version)

    def chapter_digest(self, chapter: str) -> str:
        """Return a digest of what one chapter's execution depends on, its own claims included."""
        text = self.claims.read_text("utf-8") if self.claims.exists() else ""
        try:
            ledger = yaml.safe_load(text) or {}
            own = [entry for entry in ledger["claims"] or [] if entry["chapter"] == chapter]
            text = repr((ledger["chapters"].get(chapter), own))
        except (yaml.YAMLError, KeyError, TypeError, AttributeError):
            pass  # An invalid file counts as a whole; executing the chapter will say what is wrong with it.
        return digest(self.root, [self.chapters()[chapter]], self.shared_digest(), text)

    def cache(self) -> Path:
        """Return the folder of the executed notebooks that the rendering looks up.

        That look-up compares the code cells only. With the digest in the path, a change elsewhere finds
        nothing and executes afresh, also when the book is built without this pipeline.
        """
        claims = [self.claims] if self.claims.exists() else []
        return self.build / ".jupyter_cache" / digest(self.root, claims, self.shared_digest())[:16]

    def commit(self) -> str:
        """Return the sources' git commit, marked if they differ from it; empty where there is no git."""

        def git(*arguments: str) -> str:
            command = ["git", "-C", str(self.root), *arguments]
            try:
                return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
            except (OSError, subprocess.CalledProcessError):
                return ""

        commit = git("rev-parse", "--short=10", "HEAD")
        sources = ("book", "src", "tools", "_config.yml", "_toc.yml", "requirements.lock")
        changed = git("status", "--porcelain", "--", *sources) if commit else ""
        return f"{commit}, with changes since" if changed else commit


def environment() -> dict[str, str]:
    """Return the versions of what the chapters' numbers depend on most."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"Python": platform.python_version(), **versions}


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
