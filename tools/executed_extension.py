"""Sphinx extension: what this build's executed notebooks say, and the pages' parts that wait for it.

A directive writes all that is known beforehand while its page is read, and leaves placeholders. Verdicts and run
times come from the executed notebooks of this very build, and fill the placeholders when the pages are written.
"""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat
from docutils import nodes
from jupyter_cache import get_cache
from myst_nb.core.read import create_nb_reader
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.nodes import make_refnode
from sphinx.util.typing import ExtensionMetadata

from layout import STAMP, Book, environment

LOGGER = logging.getLogger(__name__)


class Placeholder(nodes.General, nodes.Element):
    """Stands for the nodes that `fill(app, of)` returns once all chapters are executed."""


class FillPlaceholders(SphinxPostTransform):
    """Replace each placeholder when its page is written."""

    default_priority = 8  # before references are resolved

    def run(self, **kwargs: Any) -> None:
        """Replace them."""
        for node in list(self.document.findall(Placeholder)):
            node.replace_self(node["fill"](self.app, node["of"]))


def pages_with_placeholders(env: Any) -> set[str]:
    """Return the pages to be written again when a verdict may have changed."""
    if not hasattr(env, "ledger_pages"):
        env.ledger_pages = set()
    pages: set[str] = env.ledger_pages
    return pages


def forget(app: Sphinx, env: BuildEnvironment, page: str) -> None:
    """Drop a page that is about to be read again."""
    pages_with_placeholders(env).discard(page)


@dataclasses.dataclass(frozen=True)
class Run:
    """How a chapter was executed."""

    seconds: float | None
    date: str
    commit: str
    versions: dict[str, str]


def executed(app: Any) -> dict[str, nbformat.NotebookNode]:
    """Return the executed notebook of each chapter by its page, once all pages were read."""
    notebooks: dict[str, nbformat.NotebookNode] = app.executed_notebooks
    return notebooks


def run_of(app: Any, page: str) -> Run:
    """Return how a chapter was executed: by the book's pipeline, or by this very build."""
    known = app.env.nb_metadata.get(page, {}).get("exec_data") or {}
    stamp = executed(app)[page].metadata.get(STAMP, {})
    date = datetime.date.fromtimestamp(known["mtime"]) if known.get("mtime") else datetime.date.today()
    return Run(
        stamp.get("seconds", known.get("runtime")),
        stamp.get("date", date.isoformat()),
        stamp.get("commit", Book(Path(app.srcdir)).commit()),
        stamp.get("versions", environment()),
    )


def collect(app: Sphinx, env: Any) -> list[str]:
    """Gather the executed notebooks once all pages are read; return the pages that wait for them."""
    state: Any = app  # not the environment, which Sphinx writes to disk and reads again
    state.executed_notebooks = executed_notebooks(app)
    for page, notebook in executed(app).items():
        check_figures(page, notebook)
    return sorted(pages_with_placeholders(env))


def executed_notebooks(app: Sphinx) -> dict[str, nbformat.NotebookNode]:
    """Return the executed notebook of each chapter, by page name, exactly as the pages show them."""
    env: Any = app.env
    config = env.mystnb_config
    found = {}
    for page in sorted(env.found_docs):
        path = env.doc2path(page)
        text = Path(path).read_text("utf-8")
        reader = create_nb_reader(path, env.myst_config, config, text)
        if reader is None:
            continue
        notebook = reader.read(text)
        if config.execution_mode == "cache":
            try:
                cache = get_cache(config.execution_cache_path)
                notebook = cache.merge_match_into_notebook(notebook, ("kernelspec", "language_info", STAMP))[
                    1
                ]
            except KeyError:
                continue  # execution failed, and has been reported
        notebook.metadata.pop("source_map", None)
        found[page] = notebook
    return found


def check_figures(page: str, notebook: nbformat.NotebookNode) -> None:
    """Report a figure whose caption would be repeated, because its cell shows something else as well."""
    for cell in notebook.cells:
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        shown = [output for output in cell.get("outputs", []) if "data" in output]
        if figure and len(shown) != 1:
            LOGGER.warning(
                "The cell of figure %s must show the figure only, but shows %d things; "
                "a semicolon at the end of its last line hides that line's value.",
                figure.get("name", ""),
                len(shown),
                location=page,
            )


def chapter_link(app: Sphinx, page: str) -> nodes.reference:
    """Return a link to a page that reads as its title does, mathematics included."""
    env: Any = app.env
    title = [child.deepcopy() for child in env.titles[page].children]
    return make_refnode(app.builder, env.docname, page, "", title)


def write_notebooks(app: Sphinx, exception: Exception | None) -> None:
    """Write the executed notebooks into the site."""
    if exception is not None or app.builder.name != "html":
        return
    site = Path(app.outdir)
    (site / app.config.notebooks).mkdir(exist_ok=True)
    for page, notebook in executed(app).items():
        text = nbformat.writes(notebook)
        (site / app.config.notebooks / f"{PurePosixPath(page).name}.ipynb").write_text(text, "utf-8")
        source = site / "_sources" / f"{page}.ipynb"  # the theme's download button; it has no outputs
        if source.exists():
            source.write_text(text, "utf-8")


def choose_cache(app: Sphinx, config: Config) -> None:
    """Look executed notebooks up where a change of the library, the lock or the claims finds nothing."""
    if config.nb_execution_mode == "cache" and not config.nb_execution_cache_path:
        config.nb_execution_cache_path = str(Book(Path(app.srcdir)).cache())


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the extension."""
    app.add_config_value("notebooks", "notebooks/", "env", str)
    app.add_node(Placeholder)
    app.add_post_transform(FillPlaceholders)
    app.connect("config-inited", choose_cache)
    app.connect("env-purge-doc", forget)
    app.connect("env-updated", collect, priority=400)  # before those that use it
    app.connect("build-finished", write_notebooks)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": False}
