"""The chapters as they were executed, on the pages; a chapter at other parameters says so.

Before any page is read, the executions are brought up to date (`make book` has done so already, plain
`jupyter-book build` has not), so that every directive knows all numbers and verdicts.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from myst_nb.core.read import read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode
from sphinx_external_toc.parsing import parse_toc_yaml

from ..execute import execute_book
from ..layout import Book, BookError, changed_in, with_outputs
from ..ledger import Claim, LedgerError, read_claims
from ..settings import Settings, SettingsError, read_settings
from .verdicts import fold_verdicts

LOGGER = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Executed:
    """What this build knows of the book's executions.

    Attributes
    ----------
    book, settings : Book, Settings
        The book and what differs from book to book.
    notebooks : dict
        The chapters with their outputs, by page, in the order of the table of contents.
    paths : dict
        The files they come from, by page.
    claims, chapters : dict
        The content of the ledger's file.
    single : bool
        Whether this is one chapter at other parameters instead of the book.
    ledger : str
        The page with the table of all claims; empty if there is none.
    """

    book: Book
    settings: Settings
    notebooks: dict[str, nbformat.NotebookNode]
    paths: dict[str, Path]
    claims: dict[str, Claim]
    chapters: dict[str, dict[str, Any]]
    single: bool
    ledger: str

    def page(self, chapter: str) -> str:
        """Return the page of a chapter; empty if it is not rendered here."""
        return next((page for page, path in self.paths.items() if path.stem == chapter), "")


def executed(app: Any) -> Executed:
    """Return what this build knows of the executions."""
    known: Executed = app.claimbook
    return known


def prepare(app: Sphinx) -> None:
    """Execute what has changed and gather the executed notebooks."""
    book = Book(Path(app.config.claimbook_root or app.srcdir))
    folder = app.config.claimbook_executed
    try:
        if not folder and (failures := execute_book(book)):
            raise BookError("\n".join(failures))
        claims, chapters = read_claims(book.claims)
        paths = {
            path.relative_to(app.srcdir).with_suffix("").as_posix(): Path(folder, f"{name}.ipynb")
            if folder
            else book.executed(name)
            for name, path in book.chapters().items()
            if path.is_relative_to(app.srcdir)
        }
        paths = {page: path for page, path in paths.items() if path.is_file()}
        notebooks = {
            page: with_outputs(book.read(path.stem), nbformat.read(path, as_version=4))
            for page, path in paths.items()
        }
    except (BookError, LedgerError, SettingsError) as error:
        raise ExtensionError(str(error)) from error
    state: Any = app  # not the environment, which Sphinx writes to disk and reads again
    ledger = "" if folder else ledger_page(book)
    state.claimbook = Executed(book, book.settings, notebooks, paths, claims, chapters, bool(folder), ledger)
    for page, notebook in notebooks.items():
        check_figures(page, notebook)


def ledger_page(book: Book) -> str:
    """Return the page that holds the table of all claims, without options; empty if none does."""
    full = re.compile(r"^(`{3,}|:{3,})\{ledger-table\}[ \t]*\n\1", re.MULTILINE)
    pages = [page for page in parse_toc_yaml(book.root / "_toc.yml") if (book.root / f"{page}.md").is_file()]
    return next((page for page in pages if full.search((book.root / f"{page}.md").read_text("utf-8"))), "")


def show(app: Any) -> None:
    """Have MyST-NB read each chapter with its outputs."""
    known = executed(app)
    readers = {}
    for page, path in known.paths.items():
        given = {
            "executed": str(path),
            "config": app.env.myst_config,
            "references": known.single,
            "source": known.book.source,
            "ledger": address(app, page),
        }
        readers[f"/{page}.md"] = (f"{__name__}.read", given, False)
    app.env.mystnb_config = app.env.mystnb_config.copy(custom_formats=readers)


def address(app: Any, page: str) -> str | None:
    """Return where the full ledger stands, as a page's links write it; None where this build has none."""
    known = executed(app)
    if known.single or not known.ledger:
        return None
    return "" if app.builder.name == "singlehtml" else app.builder.get_relative_uri(page, known.ledger)


def title(folder: Path, page: str) -> str:
    """Return the title of a page, as its source writes it."""
    found = re.search(r"^# (.*)$", Path(folder, f"{page}.md").read_text("utf-8"), flags=re.MULTILINE)
    return found[1] if found else page


def read(
    text: str, executed: str, config: MdParserConfig, references: bool, source: Path, ledger: str | None
) -> nbformat.NotebookNode:
    """Read a chapter and give it its outputs; a page that stands alone lists what it cites."""
    notebook = read_myst_markdown_notebook(text, config=config, add_source_map=True)
    lines = notebook.metadata.pop("source_map")
    for cell, line in zip(notebook.cells, lines, strict=True):
        cell["line"] = line
    if references:  # a page that stands alone, where the other chapters cannot be linked
        for cell in notebook.cells:
            cell.source = re.sub(
                r"\{doc\}`([\w-]+)`", lambda found: f"*{title(source, found[1])}*", cell.source
            )
    merged = with_outputs(notebook, nbformat.read(executed, as_version=4))
    settings = read_settings(Path(executed).parent)
    changed = changed_in(merged, settings)
    if changed:
        tell_changes(merged, changed, settings)
    fold_verdicts(merged, settings.mime_type, settings.source, ledger)
    if references and "{cite" in text:
        listing = "## References\n\n```{bibliography}\n:filter: docname in docnames\n```"
        merged.cells.append(nbformat.v4.new_markdown_cell(listing))
    merged.metadata = {
        key: merged.metadata[key] for key in ("kernelspec", "language_info") if key in merged.metadata
    }
    merged.metadata["source_map"] = [cell.pop("line", 0) for cell in merged.cells]
    return merged


def tell_changes(notebook: nbformat.NotebookNode, changed: list[dict[str, str]], settings: Settings) -> None:
    """Have title and pictures say that this run has other parameters; the box below the title says which."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("# "):
            title, _, rest = cell.source.partition("\n")
            values = ", ".join(f"{entry['symbol']} = {entry['here']}" for entry in changed)
            cell.source = f"{title} ({values if len(changed) < 3 else 'other parameters'})\n{rest}"
            break
    for cell in notebook.cells:
        image = cell.metadata.get("mystnb", {}).get("image", {})
        if "alt" in image:
            image["alt"] = (
                f"Drawn for other parameters. What is to be seen at the {settings.source}'s: {image['alt']}"
            )
        cell["outputs"] = [
            output
            for output in cell.get("outputs", [])
            if settings.changed_type not in output.get("data", {})  # the page tells it once
        ]
        if cell.cell_type != "code":
            del cell["outputs"]


class SourceParameters(SphinxDirective):
    """`{source-parameters}`: what is said about the source's parameters only; a run with others marks it so."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the content, in a box of its own where the parameters are others."""
        self.assert_has_content()
        known = executed(self.env.app)
        content = self.parse_content_to_nodes()
        notebook = known.notebooks.get(self.env.docname)
        if notebook is None or not changed_in(notebook, known.settings):
            return content
        title = nodes.title(text=f"At the {known.settings.source}'s parameters")
        return [nodes.admonition("", title, *content, classes=["source-parameters"])]


def depend(app: Any, page: str, source: list[str]) -> None:
    """Have a chapter's page written again when it was executed again, also in an incremental build."""
    if page in executed(app).paths:
        app.env.note_dependency(str(executed(app).paths[page]))


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


class TitleLink(nodes.General, nodes.Element):
    """Stands for a link to the page `to`, or `plain` for its title only, known once all pages are read."""


class FillTitleLinks(SphinxPostTransform):
    """Make each link when its page is written."""

    default_priority = 8  # before references are resolved

    def run(self, **kwargs: Any) -> None:
        """Replace them."""
        for node in list(self.document.findall(TitleLink)):
            link = chapter_link(self.app, node["to"])
            node.replace_self(link.children if node.get("plain") else link)


def chapter_link(app: Sphinx, page: str) -> nodes.reference:
    """Return a link to a page that reads as its title does, mathematics included."""
    env: BuildEnvironment = app.env
    title = [child.deepcopy() for child in env.titles[page].children]
    return make_refnode(app.builder, env.docname, page, "", title)


def setup(app: Sphinx) -> None:
    """Register this part of the extension."""
    app.add_config_value("claimbook_root", "", "env", str)
    app.add_config_value("claimbook_executed", "", "env", str)
    app.add_node(TitleLink)
    app.add_directive("source-parameters", SourceParameters)
    app.add_post_transform(FillTitleLinks)
    app.connect("builder-inited", prepare, priority=400)
    app.connect("builder-inited", show, priority=600)  # once MyST-NB has its configuration
    app.connect("source-read", depend)
