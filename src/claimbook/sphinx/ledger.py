"""The ledger's tables, with the verdicts of this build, and `ledger.json`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from ..ledger import KINDS, Claim, make_record, measured_text, typeset
from .executed import Executed, TitleLink, executed
from .verdicts import SIGNS, anchor, check_anchor, count_kinds, in_words

LOGGER = logging.getLogger(__name__)
VERDICTS = {True: ("✓ holds", "holds"), False: ("✗ fails", "fails"), None: ("– differs", "idle")}


# --- the records that the checks left ---


def records_of(notebook: nbformat.NotebookNode, mime_type: str) -> list[dict[str, Any]]:
    """Return the records that the checks left in a notebook's outputs."""
    return [
        dict(output["data"][mime_type])
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if mime_type in output.get("data", {})
    ]


def collect(app: Sphinx) -> None:
    """Gather the verdicts; report claims that are unchecked or fail."""
    known = executed(app)
    found = {
        record["id"]: record
        for notebook in known.notebooks.values()
        for record in records_of(notebook, known.settings.mime_type)
    }
    for name, claim in known.claims.items():
        record = found.setdefault(name, make_record(claim, None, None))
        if record["measured"] is None and not known.single:
            LOGGER.warning("Claim %s is not checked by its chapter %s.", name, claim.chapter)
        if record["holds"] is False:
            LOGGER.warning("Claim %s fails: measured %s.", name, record["measured"])
    state: Any = app
    state.claimbook_records = {name: found[name] for name in known.claims}


def records(app: Any) -> dict[str, dict[str, Any]]:
    """Return the record of each claim."""
    gathered: dict[str, dict[str, Any]] = app.claimbook_records
    return gathered


def write_ledger(app: Sphinx, exception: Exception | None) -> None:
    """Write `ledger.json` into the site."""
    if exception is None and app.builder.name == "html" and not executed(app).single:
        text = json.dumps(list(records(app).values()), indent=1, ensure_ascii=False, allow_nan=False)
        Path(app.outdir, "ledger.json").write_text(text + "\n", encoding="utf-8")


# --- folds ---


class Fold(nodes.General, nodes.Element):
    """A part of a page under a line that unfolds it; open where there is no script."""


class FoldLine(nodes.General, nodes.TextElement):
    """That line."""


def visit_fold(translator: Any, node: Fold) -> None:
    """Write `<details>`."""
    translator.body.append(translator.starttag(node, "details", "", open="open"))


def visit_fold_line(translator: Any, node: FoldLine) -> None:
    """Write `<summary>`."""
    translator.body.append(translator.starttag(node, "summary", ""))


def depart_fold(translator: Any, node: Fold) -> None:
    """End it."""
    translator.body.append("</details>\n")


def depart_fold_line(translator: Any, node: FoldLine) -> None:
    """End it."""
    translator.body.append("</summary>\n")


# --- directives ---


class LedgerDirective(SphinxDirective):
    """What the directives have in common."""

    @property
    def app(self) -> Sphinx:
        """The application."""
        return self.env.app

    def begin(self) -> Executed:
        """Note that the page depends on the ledger and the executions, and return what is known of them."""
        known = executed(self.app)
        for path in (known.book.claims, *known.paths.values()):
            self.env.note_dependency(str(path))
        return known

    def kind(self, kind: str) -> str:
        """Return a kind of claim in words."""
        return in_words(kind, executed(self.app).settings.source)

    def text(self, source: str) -> nodes.paragraph:
        """Return a paragraph of MyST text, its mathematics included."""
        return nodes.paragraph("", "", *self.parse_inline(source)[0])

    def chapter_link(self, chapter: str) -> nodes.paragraph:
        """Return a link to a chapter; its name where its page is not rendered."""
        page = executed(self.app).page(chapter)
        return nodes.paragraph("", "", TitleLink(to=page) if page else nodes.Text(chapter))

    def address(self, page: str, fragment: str) -> str:
        """Return where a page of this build, or a place on it, is found from the present one."""
        single_page = self.app.builder.name == "singlehtml"
        place = "" if single_page else self.app.builder.get_relative_uri(self.env.docname, page)
        return f"{place}#{fragment}"

    def count(self, chapter: str) -> list[nodes.Node]:
        """Return how many of a chapter's claims hold, linked with the ledger."""
        own = [record for record in records(self.app).values() if record["chapter"] == chapter]
        if not own:
            return []
        verdicts = [record["holds"] for record in own]
        held, idle = verdicts.count(True), verdicts.count(None)
        sign, style = VERDICTS[False if False in verdicts else True if not idle else None]
        text = f"{sign[0]} {held} of {len(own)} hold" + (f", {idle} differ or are skipped" if idle else "")
        known = executed(self.app)
        parts = count_kinds((record["kind"] for record in own), known.settings.source)
        badge: nodes.Node = nodes.inline(text=text, classes=["claim-badge", f"claim-{style}"])
        if known.ledger and known.ledger != self.env.docname:
            uri = self.address(known.ledger, group_anchor(chapter))
            badge = nodes.reference("", "", badge, refuri=uri, internal=True, classes=["claim-count"])
        return [badge, nodes.inline(text=f" {parts}", classes=["small"])]


class LedgerTable(LedgerDirective):
    """`{ledger-table}`: all claims, or those of a chapter, of a kind, or of a place in the paper."""

    option_spec = {  # noqa: RUF012  (docutils declares it so)
        "chapter": directives.unchanged_required,
        "where": directives.unchanged_required,
        "kind": lambda argument: directives.choice(argument, KINDS),
    }

    def run(self) -> list[nodes.Node]:
        """Return one table per chapter."""
        known = self.begin()
        chosen = [
            claim
            for claim in known.claims.values()
            if claim.chapter == self.options.get("chapter", claim.chapter)
            and claim.kind == self.options.get("kind", claim.kind)
            and claim.where.startswith(self.options.get("where", ""))
        ]
        if not chosen:
            raise self.error(f"No claim of the ledger matches {self.options}.")
        groups: list[nodes.Node] = []
        for chapter in sorted(known.chapters, key=in_order(known)):
            rows = [self.row(claim) for claim in chosen if claim.chapter == chapter]
            if rows:
                listing = table(["Claim", "Measured", "Required"], rows, "claims")
                groups.append(
                    listing if "chapter" in self.options else self.group(chapter, listing, len(rows))
                )
        if self.options:
            return groups
        return [nodes.container("", *groups, classes=["ledger-tool", "typeset-on-demand"])]

    def group(self, chapter: str, listing: nodes.table, number: int) -> Fold:
        """Return a chapter's claims in a fold."""
        page = executed(self.app).page(chapter)
        title = TitleLink(to=page, plain=True) if page else nodes.Text(chapter)
        claims = "1 claim" if number == 1 else f"{number} claims"
        line = FoldLine("", "", nodes.inline("", "", title, classes=["fold-title"]))
        line += nodes.inline(text=f" {claims}", classes=["small"])
        fold = Fold("", line, classes=["ledger-group"])
        if page:
            fold += nodes.paragraph("", "Checked in ", TitleLink(to=page), nodes.Text("."))
        fold += listing
        if not self.options:
            fold["ids"].append(group_anchor(chapter))
        return fold

    def row(self, claim: Claim) -> nodes.row:
        """Return a claim's row."""
        where = self.text(f"**{claim.where.removesuffix('.')}.** {claim.says}")
        record = records(self.app)[claim.id]
        name = nodes.paragraph("", "", *self.badges(record), nodes.Text(" "), classes=["small"])
        # Plain code: Sphinx would wrap every name in more than its own length, hundreds of times on a page.
        code = nodes.raw("", f"<code>{claim.id}</code>", format="html")
        page = executed(self.app).page(claim.chapter)
        uri = self.address(page, check_anchor(claim.id))
        name += (
            nodes.reference("", "", code, refuri=uri, internal=True, classes=["claim-link"]) if page else code
        )
        target = nodes.entry("", where, name)
        if not self.options:  # only the full table is what links point to
            target["ids"].append(anchor(claim.id))
        measured = "–" if record["measured"] is None else typeset(measured_text(record))
        number = nodes.entry("", nodes.paragraph("", "", nodes.strong(text=measured)))
        number += self.text(claim.quantity)
        number[-1]["classes"].append("small")
        required = nodes.entry("", nodes.paragraph(text=sentence_case(claim.requirement)))
        if claim.because:
            required += self.text(f"Why: {claim.because}")
            required[-1]["classes"].append("small")
        return nodes.row("", target, number, required, classes=[f"kind-{claim.kind}"])

    def badges(self, record: dict[str, Any]) -> list[nodes.Node]:
        """Return verdict and kind: in one badge if the claim holds."""
        kind = self.kind(record["kind"])
        if record["holds"] is True:
            return [
                nodes.inline(
                    text=f"{SIGNS[record['kind']]} {kind}", classes=["claim-badge", f"claim-{record['kind']}"]
                )
            ]
        return [
            verdict(record),
            nodes.Text(" "),
            nodes.inline(text=kind, classes=["claim-kind", f"claim-{record['kind']}"]),
        ]


class LedgerSummary(LedgerDirective):
    """`{ledger-summary}`: per chapter, what is tested and how many claims hold."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        known = self.begin()
        rows = []
        for chapter in sorted(known.chapters, key=in_order(known)):
            entry = known.chapters[chapter]
            own = [claim for claim in known.claims.values() if claim.chapter == chapter]
            if own:
                about = entry["about"] or "; ".join(dict.fromkeys(claim.where for claim in own))
                verdicts = nodes.paragraph("", "", *self.count(chapter))
                cells = (self.chapter_link(chapter), self.text(about), verdicts)
                rows.append(nodes.row("", *(nodes.entry("", cell) for cell in cells)))
        return [table(["Chapter", "What is tested", "Claims"], rows, "summary")]


class LinkClaims(SphinxPostTransform):
    """Have the name of a claim in the text lead to its row in the ledger."""

    default_priority = 9

    def run(self, **kwargs: Any) -> None:
        """Link the names on one page."""
        known = executed(self.app)
        if not known.ledger:
            return
        builder = self.app.builder
        place = (
            "" if builder.name == "singlehtml" else builder.get_relative_uri(self.env.docname, known.ledger)
        )
        for literal in list(self.document.findall(nodes.literal)):
            if literal.astext() in known.claims and not isinstance(literal.parent, nodes.reference):
                uri = f"{place}#{anchor(literal.astext())}"
                link = nodes.reference(
                    "", "", literal.deepcopy(), refuri=uri, internal=True, classes=["claim-link"]
                )
                literal.replace_self(link)


def table(header: list[str], rows: list[nodes.row], style: str) -> nodes.table:
    """Return a table; the style sheet sets the widths."""
    head = nodes.row("", *(nodes.entry("", nodes.paragraph(text=name)) for name in header))
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in header), cols=len(header))
    group += [nodes.thead("", head), nodes.tbody("", *rows)]
    return nodes.table("", group, classes=["ledger", style])


def in_order(known: Executed) -> Callable[[str], int]:
    """Return a key that sorts chapters as the table of contents does."""
    order = {path.stem: number for number, path in enumerate(known.paths.values())}
    return lambda chapter: order.get(chapter, len(order))


def group_anchor(chapter: str) -> str:
    """Return the id that a chapter's claims in the ledger carry."""
    return f"claims-{chapter}"


def sentence_case(text: str) -> str:
    """Return a text with a capital first letter and numbers as in print."""
    return text[0].upper() + typeset(text[1:])


def verdict(record: dict[str, Any]) -> nodes.inline:
    """Return a verdict: a sign, a word, and a colour."""
    word, style = VERDICTS[record["holds"]]
    if record["measured"] is None:
        word = f"– skipped: {record['skipped']}" if record.get("skipped") else "– not checked"
    return nodes.inline(text=word, classes=["claim-badge", f"claim-{style}"])


def setup(app: Sphinx) -> None:
    """Register this part of the extension."""
    app.add_node(Fold, html=(visit_fold, depart_fold))
    app.add_node(FoldLine, html=(visit_fold_line, depart_fold_line))
    app.add_directive("ledger-table", LedgerTable)
    app.add_post_transform(LinkClaims)
    app.add_directive("ledger-summary", LedgerSummary)
    app.connect("builder-inited", collect)  # once the executed notebooks are there
    app.connect("build-finished", write_ledger)
    app.set_html_assets_policy("always")  # verdict lines hold mathematics that Sphinx does not know of
