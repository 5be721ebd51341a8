"""Sphinx extension: the ledger's tables, the box on top of each chapter, and the files readers download.

The directives write all that is known beforehand while a page is read, and leave placeholders. Verdicts and
run times come from the executed notebooks of this very build, and fill the placeholders when the pages are
written.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat
from docutils import nodes
from docutils.parsers.rst import directives
from jupyter_cache import get_cache
from myst_nb.core.read import create_nb_reader
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode
from sphinx.util.typing import ExtensionMetadata

from centralspin.claims import MIME_TYPE, Claim, LedgerError, make_record, measured_text, read_claims, typeset
from layout import Book

LOGGER = logging.getLogger(__name__)
PACKAGES = {"numpy": "NumPy", "scipy": "SciPy", "qutip": "QuTiP"}
VERDICTS = {True: ("✓ holds", "holds"), False: ("✗ fails", "fails"), None: ("– not applicable", "idle")}
KINDS = {"verified": "verified", "corrected": "corrected", "beyond": "beyond the paper"}


class Placeholder(nodes.General, nodes.Element):
    """Stands for what is known only after all chapters are executed: `what` about claim or chapter `of`."""


# --- reading the executed notebooks ---


@dataclasses.dataclass(frozen=True)
class Executed:
    """What this build's executed notebooks say: records by claim, runs by chapter, notebooks by page."""

    records: dict[str, dict[str, Any]]
    runs: dict[str, dict[str, Any]]
    notebooks: dict[str, nbformat.NotebookNode]


def executed(app: Any) -> Executed:
    """Return what was gathered once all pages were read."""
    gathered: Executed = app.ledger
    return gathered


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
                notebook = get_cache(config.execution_cache_path).merge_match_into_notebook(notebook)[1]
            except KeyError:
                continue  # execution failed, and has been reported
        notebook.metadata.pop("source_map", None)
        found[page] = notebook
    return found


def records_of(notebook: nbformat.NotebookNode) -> list[dict[str, Any]]:
    """Return the records that the checks left in a notebook's outputs."""
    return [
        dict(output["data"][MIME_TYPE])
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if MIME_TYPE in output.get("data", {})
    ]


def collect(app: Sphinx, env: Any) -> list[str]:
    """Gather the verdicts once all pages are read; report claims that are unchecked or fail."""
    notebooks = executed_notebooks(app)
    for page, notebook in notebooks.items():
        check_figures(page, notebook)
    claims, _ = ledger(env)
    records = {record["id"]: record for notebook in notebooks.values() for record in records_of(notebook)}
    for name, claim in claims.items():
        record = records.setdefault(name, make_record(claim, False, None) | {"measured": None})
        if record["measured"] is None and app.config.ledger_complete:
            LOGGER.warning("Claim %s is not checked by its chapter %s.", name, claim.chapter)
        if record["holds"] is False:
            LOGGER.warning("Claim %s fails: measured %s.", name, record["measured"])
    runs = {
        PurePosixPath(page).name: {
            "seconds": (env.nb_metadata.get(page, {}).get("exec_data") or {}).get("runtime")
            or notebook.metadata.get("centralspin", {}).get("seconds"),
            "python": notebook.metadata.get("language_info", {}).get("version", platform.python_version()),
        }
        for page, notebook in notebooks.items()
    }
    # Kept with the application, not the environment, which Sphinx writes to disk and reads again.
    state: Any = app
    state.ledger = Executed({name: records[name] for name in claims}, runs, notebooks)
    return sorted(pages_with_placeholders(env))


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


def pages_with_placeholders(env: Any) -> set[str]:
    """Return the pages to be written again when a verdict may have changed."""
    if not hasattr(env, "ledger_pages"):
        env.ledger_pages = set()
    pages: set[str] = env.ledger_pages
    return pages


def forget(app: Sphinx, env: BuildEnvironment, page: str) -> None:
    """Drop a page that is about to be read again."""
    pages_with_placeholders(env).discard(page)


def ledger(env: BuildEnvironment) -> tuple[dict[str, Claim], dict[str, dict[str, Any]]]:
    """Return the claims and chapters of the ledger's file."""
    try:
        return read_claims(Path(env.srcdir, env.config.ledger_claims))
    except LedgerError as error:
        raise ExtensionError(str(error)) from error


# --- directives: what is known beforehand ---


class LedgerDirective(SphinxDirective):
    """What the directives have in common."""

    def begin(self) -> tuple[dict[str, Claim], dict[str, dict[str, Any]]]:
        """Note that the page depends on the ledger, and return claims and chapters."""
        pages_with_placeholders(self.env).add(self.env.docname)
        self.env.note_dependency(str(Path(self.env.srcdir, self.config.ledger_claims)))
        return ledger(self.env)

    def text(self, source: str) -> nodes.paragraph:
        """Return a paragraph of MyST text, its mathematics included."""
        return nodes.paragraph("", "", *self.parse_inline(source)[0])

    def chapter_link(self, chapter: str) -> nodes.paragraph:
        """Return a link to a chapter, to be made when the chapter's title is known."""
        return nodes.paragraph("", "", Placeholder(what="link", of=chapter))

    def table(self, header: list[str], rows: list[nodes.row], style: str) -> nodes.table:
        """Return a table; the style sheet sets their widths."""
        head = nodes.row("", *(nodes.entry("", nodes.paragraph(text=name)) for name in header))
        group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in header), cols=len(header))
        group += [nodes.thead("", head), nodes.tbody("", *rows)]
        return nodes.table("", group, classes=["ledger", style])


class LedgerTable(LedgerDirective):
    """`{ledger-table}`: all claims, or those of a chapter, of a kind, or of a place in the paper."""

    option_spec = {  # noqa: RUF012  (docutils declares it so)
        "chapter": directives.unchanged_required,
        "where": directives.unchanged_required,
        "kind": lambda argument: directives.choice(argument, tuple(KINDS)),
    }

    def run(self) -> list[nodes.Node]:
        """Return one table per chapter."""
        claims, chapters = self.begin()
        chosen = [
            claim
            for claim in claims.values()
            if claim.chapter == self.options.get("chapter", claim.chapter)
            and claim.kind == self.options.get("kind", claim.kind)
            and claim.where.startswith(self.options.get("where", ""))
        ]
        if not chosen:
            raise self.error(f"No claim of the ledger matches {self.options}.")
        result: list[nodes.Node] = []
        for chapter in chapters:
            rows = [self.row(claim) for claim in chosen if claim.chapter == chapter]
            if rows and "chapter" not in self.options:
                result.append(self.chapter_link(chapter))
                result[-1]["classes"].append("ledger-chapter")
            if rows:
                result.append(self.table(["Claim", "Measured", "Required"], rows, "claims"))
        return result

    def row(self, claim: Claim) -> nodes.row:
        """Return a claim's row."""
        where = self.text(f"**{claim.where}.** {claim.says}")
        name = nodes.paragraph("", "", Placeholder(what="verdict", of=claim.id), classes=["ledger-small"])
        name += [nodes.Text(f" {KINDS[claim.kind]} "), nodes.literal(text=claim.id)]
        target = nodes.entry("", where, name)
        if not self.options:  # only the full table is what links point to
            target["ids"].append(anchor(claim.id))
        measured = nodes.entry("", nodes.paragraph("", "", Placeholder(what="measured", of=claim.id)))
        measured += self.text(claim.quantity)
        measured[-1]["classes"].append("ledger-small")
        required = nodes.entry("", nodes.paragraph(text=sentence_case(claim.requirement)))
        if claim.because:
            required += self.text(f"Why: {claim.because}")
            required[-1]["classes"].append("ledger-small")
        return nodes.row("", target, measured, required)


class LedgerSummary(LedgerDirective):
    """`{ledger-summary}`: per chapter, what is tested and how many claims hold."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        claims, chapters = self.begin()
        rows = []
        for chapter, entry in chapters.items():
            own = [claim for claim in claims.values() if claim.chapter == chapter]
            if own:
                about = entry["about"] or "; ".join(dict.fromkeys(claim.where for claim in own))
                count = nodes.paragraph("", "", Placeholder(what="count", of=chapter))
                cells = (self.chapter_link(chapter), self.text(about), count)
                rows.append(nodes.row("", *(nodes.entry("", cell) for cell in cells)))
        return [self.table(["Chapter", "What is tested", "Claims"], rows, "summary")]


class ChapterInfo(LedgerDirective):
    """`{chapter-info}`: what the page reproduces, how it was executed, how to run it again."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the box."""
        self.assert_has_content()
        _, chapters = self.begin()
        chapter = PurePosixPath(self.env.docname).name
        given = chapters.get(chapter, {}).get("parameters", {})
        values = [f"{name}={value!r}".replace(" ", "") for name, value in given.items()]
        lines = [
            *self.parse_content_to_nodes(),
            nodes.paragraph("", "", Placeholder(what="run", of=chapter)),
            nodes.paragraph("", "", Placeholder(what="download", of=chapter)),
        ]
        if values:
            command = f"make chapter NAME={chapter} PARAMETERS='{values[0]}'"
            lines[-1] += [nodes.Text(" Run it with other parameters: "), nodes.literal(text=command)]
            if values[1:]:
                lines[-1] += nodes.Text(f", and likewise {', '.join(list(given)[1:])}.")
        return [nodes.container("", *lines, classes=["chapter-info"])]


def anchor(claim: str) -> str:
    """Return the id that a claim's row in the ledger carries."""
    return "claim-" + claim.replace(".", "-")


def sentence_case(text: str) -> str:
    """Return a text with a capital first letter and numbers as in print."""
    return text[0].upper() + typeset(text[1:])


# --- filling the placeholders ---


class FillPlaceholders(SphinxPostTransform):
    """Replace each placeholder when its page is written."""

    default_priority = 8  # before references are resolved

    def run(self, **kwargs: Any) -> None:
        """Replace them."""
        fill: dict[str, Callable[[str], list[nodes.Node]]] = {
            "measured": self.measured,
            "verdict": self.verdict,
            "count": self.count,
            "run": self.execution,
            "download": self.download,
            "link": self.link,
        }
        for node in list(self.document.findall(Placeholder)):
            node.replace_self(fill[node["what"]](node["of"]))

    def record(self, claim: str) -> dict[str, Any]:
        """Return a claim's record."""
        return executed(self.app).records[claim]

    def measured(self, claim: str) -> list[nodes.Node]:
        """Return a measured value."""
        record = self.record(claim)
        return [nodes.strong(text="–" if record["measured"] is None else typeset(measured_text(record)))]

    def verdict(self, claim: str) -> list[nodes.Node]:
        """Return a verdict: a sign, a word, and a colour."""
        record = self.record(claim)
        word, style = VERDICTS[record["holds"]]
        word = "– not checked" if record["measured"] is None else word
        return [nodes.inline(text=word, classes=["claim-badge", f"claim-{style}"])]

    def own_records(self, chapter: str) -> list[dict[str, Any]]:
        """Return a chapter's records."""
        records = executed(self.app).records.values()
        return [record for record in records if record["chapter"] == chapter]

    def count(self, chapter: str) -> list[nodes.Node]:
        """Return how many of a chapter's claims hold."""
        own = self.own_records(chapter)
        if not own:
            return []
        verdicts = [record["holds"] for record in own]
        held, idle = verdicts.count(True), verdicts.count(None)
        sign, style = VERDICTS[False if False in verdicts else True if not idle else None]
        text = f"{sign[0]} {held} of {len(own)} hold" + (f", {idle} not applicable" if idle else "")
        kinds = {kind: sum(record["kind"] == kind for record in own) for kind in KINDS}
        parts = ", ".join(f"{count} {KINDS[kind]}" for kind, count in kinds.items() if count)
        badge = nodes.inline(text=text, classes=["claim-badge", f"claim-{style}"])
        return [badge, nodes.inline(text=f" {parts}", classes=["ledger-small"])]

    def link(self, chapter: str) -> list[nodes.Node]:
        """Return a link to a chapter."""
        page = str(PurePosixPath(self.config.ledger_claims).parent / chapter)
        return [chapter_link(self.app, page) if page in self.env.titles else nodes.Text(chapter)]

    def execution(self, chapter: str) -> list[nodes.Node]:
        """Say how long the chapter ran, and with what."""
        run = executed(self.app).runs.get(chapter)
        if run is None:
            return []
        versions = [f"Python {run['python']}"]
        versions += [f"{label} {importlib.metadata.version(name)}" for name, label in PACKAGES.items()]
        seconds = run["seconds"]
        time = "" if seconds is None else f" in {seconds:.0f} s" if seconds >= 10 else f" in {seconds:.1f} s"
        commit = Book().commit()
        text = f"Executed{time} with {', '.join(versions)}" + (f"; commit {commit}. " if commit else ". ")
        return [nodes.Text(text), *self.count(chapter)]

    def download(self, chapter: str) -> list[nodes.Node]:
        """Return a link to the executed notebook."""
        page = self.env.docname
        if self.app.builder.format != "html" or page not in executed(self.app).notebooks:
            return []
        target = "../" * page.count("/") + self.config.ledger_downloads + f"{chapter}.ipynb"
        text = "Download the executed notebook"
        return [nodes.reference("", text, refuri=target, internal=True), nodes.Text(".")]


def chapter_link(app: Sphinx, page: str) -> nodes.reference:
    """Return a link to a page that reads as its title does, mathematics included."""
    env: Any = app.env
    title = [child.deepcopy() for child in env.titles[page].children]
    return make_refnode(app.builder, env.docname, page, "", title)


# --- files beside the pages ---


def write_files(app: Sphinx, exception: Exception | None) -> None:
    """Write `ledger.json` and the executed notebooks into the site."""
    if exception is not None or app.builder.format != "html":
        return
    gathered = executed(app)
    folder = Path(app.outdir)
    if app.config.ledger_complete:
        text = json.dumps(list(gathered.records.values()), indent=1, ensure_ascii=False, allow_nan=False)
        (folder / "ledger.json").write_text(text + "\n", encoding="utf-8")
    (folder / app.config.ledger_downloads).mkdir(parents=True, exist_ok=True)
    for page, notebook in gathered.notebooks.items():
        text = nbformat.writes(notebook)
        (folder / app.config.ledger_downloads / f"{PurePosixPath(page).name}.ipynb").write_text(text, "utf-8")
        source = folder / "_sources" / f"{page}.ipynb"  # the theme's download button; it has no outputs
        if source.exists():
            source.write_text(text, "utf-8")


def choose_cache(app: Sphinx, config: Config) -> None:
    """Look executed notebooks up where a change of the library, the lock or the claims finds nothing."""
    if config.nb_execution_mode == "cache" and not config.nb_execution_cache_path:
        config.nb_execution_cache_path = str(Book(Path(app.srcdir)).cache())


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the extension."""
    app.add_config_value("ledger_claims", "book/claims.yml", "env", str)
    app.add_config_value("ledger_complete", True, "env", bool)
    app.add_config_value("ledger_downloads", "notebooks/", "env", str)
    app.add_node(Placeholder)
    app.add_directive("ledger-table", LedgerTable)
    app.add_directive("ledger-summary", LedgerSummary)
    app.add_directive("chapter-info", ChapterInfo)
    app.add_post_transform(FillPlaceholders)
    app.connect("config-inited", choose_cache)
    app.connect("env-purge-doc", forget)
    app.connect("env-updated", collect)
    app.connect("build-finished", write_files)
    app.set_html_assets_policy("always")  # verdict lines hold mathematics that Sphinx does not know of
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": False}
