"""Sphinx extension: the ledger's tables, with the verdicts of this build, and `ledger.json`."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from claimbook.ledger import MIME_TYPE, Claim, LedgerError, make_record, measured_text, read_claims, typeset
from executed_extension import Placeholder, chapter_link, executed, pages_with_placeholders

LOGGER = logging.getLogger(__name__)
VERDICTS = {True: ("✓ holds", "holds"), False: ("✗ fails", "fails"), None: ("– not applicable", "idle")}
KINDS = {"verified": "verified", "corrected": "corrected", "beyond": "beyond the paper"}


def ledger(env: BuildEnvironment) -> tuple[dict[str, Claim], dict[str, dict[str, Any]]]:
    """Return the claims and chapters of the ledger's file."""
    try:
        return read_claims(Path(env.srcdir, env.config.ledger_claims))
    except LedgerError as error:
        raise ExtensionError(str(error)) from error


# --- the records that the checks left ---


def records_of(notebook: nbformat.NotebookNode) -> list[dict[str, Any]]:
    """Return the records that the checks left in a notebook's outputs."""
    return [
        dict(output["data"][MIME_TYPE])
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if MIME_TYPE in output.get("data", {})
    ]


def collect(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Gather the verdicts; report claims that are unchecked or fail."""
    claims, _ = ledger(env)
    found = {record["id"]: record for notebook in executed(app).values() for record in records_of(notebook)}
    for name, claim in claims.items():
        record = found.setdefault(name, make_record(claim, False, None) | {"measured": None})
        if record["measured"] is None and app.config.ledger_complete:
            LOGGER.warning("Claim %s is not checked by its chapter %s.", name, claim.chapter)
        if record["holds"] is False:
            LOGGER.warning("Claim %s fails: measured %s.", name, record["measured"])
    state: Any = app
    state.ledger_records = {name: found[name] for name in claims}
    return []


def records(app: Any) -> dict[str, dict[str, Any]]:
    """Return the record of each claim."""
    gathered: dict[str, dict[str, Any]] = app.ledger_records
    return gathered


def write_ledger(app: Sphinx, exception: Exception | None) -> None:
    """Write `ledger.json` into the site."""
    if exception is None and app.builder.name == "html" and app.config.ledger_complete:
        text = json.dumps(list(records(app).values()), indent=1, ensure_ascii=False, allow_nan=False)
        Path(app.outdir, "ledger.json").write_text(text + "\n", encoding="utf-8")


# --- directives ---


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
        return nodes.paragraph("", "", Placeholder(fill=link, of=chapter))


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
                result.append(table(["Claim", "Measured", "Required"], rows, "claims"))
        return result

    def row(self, claim: Claim) -> nodes.row:
        """Return a claim's row."""
        where = self.text(f"**{claim.where}.** {claim.says}")
        name = nodes.paragraph("", "", Placeholder(fill=verdict, of=claim.id), classes=["ledger-small"])
        name += [nodes.Text(f" {KINDS[claim.kind]} "), nodes.literal(text=claim.id)]
        target = nodes.entry("", where, name)
        if not self.options:  # only the full table is what links point to
            target["ids"].append(anchor(claim.id))
        number = nodes.entry("", nodes.paragraph("", "", Placeholder(fill=measured, of=claim.id)))
        number += self.text(claim.quantity)
        number[-1]["classes"].append("ledger-small")
        required = nodes.entry("", nodes.paragraph(text=sentence_case(claim.requirement)))
        if claim.because:
            required += self.text(f"Why: {claim.because}")
            required[-1]["classes"].append("ledger-small")
        return nodes.row("", target, number, required)


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
                verdicts = nodes.paragraph("", "", Placeholder(fill=count, of=chapter))
                cells = (self.chapter_link(chapter), self.text(about), verdicts)
                rows.append(nodes.row("", *(nodes.entry("", cell) for cell in cells)))
        return [table(["Chapter", "What is tested", "Claims"], rows, "summary")]


def table(header: list[str], rows: list[nodes.row], style: str) -> nodes.table:
    """Return a table; the style sheet sets the widths."""
    head = nodes.row("", *(nodes.entry("", nodes.paragraph(text=name)) for name in header))
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in header), cols=len(header))
    group += [nodes.thead("", head), nodes.tbody("", *rows)]
    return nodes.table("", group, classes=["ledger", style])


def anchor(claim: str) -> str:
    """Return the id that a claim's row in the ledger carries."""
    return "claim-" + claim.replace(".", "-")


def sentence_case(text: str) -> str:
    """Return a text with a capital first letter and numbers as in print."""
    return text[0].upper() + typeset(text[1:])


# --- what fills the placeholders ---


def measured(app: Sphinx, claim: str) -> list[nodes.Node]:
    """Return a measured value."""
    record = records(app)[claim]
    return [nodes.strong(text="–" if record["measured"] is None else typeset(measured_text(record)))]


def verdict(app: Sphinx, claim: str) -> list[nodes.Node]:
    """Return a verdict: a sign, a word, and a colour."""
    record = records(app)[claim]
    word, style = VERDICTS[record["holds"]]
    word = "– not checked" if record["measured"] is None else word
    return [nodes.inline(text=word, classes=["claim-badge", f"claim-{style}"])]


def count(app: Sphinx, chapter: str) -> list[nodes.Node]:
    """Return how many of a chapter's claims hold."""
    own = [record for record in records(app).values() if record["chapter"] == chapter]
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


def link(app: Sphinx, chapter: str) -> list[nodes.Node]:
    """Return a link to a chapter."""
    page = str(PurePosixPath(app.config.ledger_claims).parent / chapter)
    known = app.env is not None and page in app.env.titles  # not when a single chapter is rendered
    return [chapter_link(app, page) if known else nodes.Text(chapter)]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the extension."""
    app.setup_extension("executed_extension")
    app.add_config_value("ledger_claims", "book/claims.yml", "env", str)
    app.add_config_value("ledger_complete", True, "env", bool)
    app.add_directive("ledger-table", LedgerTable)
    app.add_directive("ledger-summary", LedgerSummary)
    app.connect("env-updated", collect)
    app.connect("build-finished", write_ledger)
    app.set_html_assets_policy("always")  # verdict lines hold mathematics that Sphinx does not know of
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": False}
