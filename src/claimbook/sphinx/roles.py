"""Roles that put numbers of the executions, and the addresses of this book, into the text of any page."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst.states import Inliner
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from ..ledger import KINDS, measured_text, typeset
from .executed import executed
from .ledger import records

Result = tuple[list[nodes.Node], list[nodes.system_message]]


class BookRole(SphinxRole):
    """What the roles have in common."""

    inliner: Inliner

    def known(self) -> Any:
        """Return what is known of the executions, and note that the page depends on them."""
        known = executed(self.env.app)
        for path in (known.book.claims, *known.paths.values()):
            self.env.note_dependency(str(path))
        return known

    def wrong(self, sentence: str) -> Result:
        """Report a mistake."""
        message = self.inliner.reporter.error(sentence, line=self.lineno)
        return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]


class ClaimCount(BookRole):
    """`` {claim-count}`all` ``: how many claims there are; or of one kind, of one chapter, or `hold`."""

    def run(self) -> Result:
        """Return the number."""
        known = self.known()
        found = list(records(self.env.app).values())
        if self.text == "hold":
            found = [record for record in found if record["holds"]]
        elif self.text in KINDS:
            found = [record for record in found if record["kind"] == self.text]
        elif self.text in known.chapters:
            found = [record for record in found if record["chapter"] == self.text]
        elif self.text != "all":
            return self.wrong(f"`claim-count` must be all, hold, a kind or a chapter, but is {self.text!r}.")
        return [nodes.Text(str(len(found)))], []


class ClaimValue(BookRole):
    """`` {claim-value}`id:.3f` ``: what was measured for a claim."""

    def run(self) -> Result:
        """Return the number."""
        self.known()
        name, _, form = self.text.partition(":")
        record = records(self.env.app).get(name)
        if record is None or record["measured"] is None:
            return self.wrong(f"`claim-value` must name a claim that was measured, but is {name!r}.")
        text = format(float(record["measured"]), form) if form else measured_text(record)
        return [nodes.Text(typeset(text))], []


class LinkRole(BookRole):
    """A role whose text is `words` or `words|other words`: the words as a link, the others where there is none."""

    def link(self, address: str, **options: Any) -> Result:
        """Return the link, or the other words."""
        words, _, others = self.text.partition("|")
        if address:
            return [nodes.reference("", words, refuri=address, **options)], []
        return [nodes.Text(others or words)], []


class Repository(LinkRole):
    """`` {repository}`words|other words` ``: a link to where the book can be cloned from, if that is known."""

    def run(self) -> Result:
        """Return words or link."""
        return self.link(self.known().book.repository())


class Pdf(LinkRole):
    """`` {pdf}`words|other words` ``: a link to the printed book, if it was printed from these sources."""

    def run(self) -> Result:
        """Return words or link."""
        known = self.known()
        there = printed(known.book) and self.env.app.builder.name == "html"
        return self.link(
            "../" * self.env.docname.count("/") + known.book.pdf.name if there else "", internal=True
        )


def printed(book: Any) -> bool:
    """Tell whether there is a PDF made from the present sources."""
    return bool(
        book.pdf.exists() and book.pdf_stamp.exists() and book.pdf_stamp.read_text() == book.site_digest()
    )


def copy_pdf(app: Sphinx, exception: Exception | None) -> None:
    """Put the printed book into the site."""
    if exception is None and app.builder.name == "html" and not executed(app).single:
        book = executed(app).book
        if printed(book):
            shutil.copyfile(book.pdf, Path(app.outdir, book.pdf.name))


def setup(app: Sphinx) -> None:
    """Register this part of the extension."""
    for name, role in {
        "claim-count": ClaimCount,
        "claim-value": ClaimValue,
        "repository": Repository,
        "pdf": Pdf,
    }.items():
        app.add_role(name, role())
    app.connect("build-finished", copy_pdf)
