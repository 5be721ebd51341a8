"""The box on top of each chapter, and the table of how the chapters were executed."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from ..layout import changed_in
from ..ledger import differs
from .executed import TitleLink, executed
from .ledger import LedgerDirective, records, table


class ChapterInfo(LedgerDirective):
    """`{chapter-info}`: what the page reproduces, how it was executed, how to run it again."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the box."""
        self.assert_has_content()
        known, page = self.begin(), self.env.docname
        chapter = PurePosixPath(page).name
        given = known.chapters.get(chapter, {}).get("parameters", {})
        values = [f"{name}={value!r}".replace(" ", "") for name, value in given.items()]
        lines = [*self.parse_content_to_nodes(), nodes.paragraph(), nodes.paragraph()]
        if page in known.notebooks:
            lines[-2] += [nodes.Text(execution(stamp_of(self, page))), *self.count(chapter)]
            if self.app.builder.name == "html":
                target = (
                    f"{chapter}.ipynb"
                    if known.single
                    else "../" * page.count("/") + f"notebooks/{chapter}.ipynb"
                )
                lines[-1] += nodes.reference(
                    "", "Download the executed notebook", refuri=target, internal=True
                )
                lines[-1] += nodes.Text(".")
        if values:
            command = f"make chapter NAME={chapter} PARAMETERS='{values[0]}'"
            lines[-1] += [nodes.Text(" Run it with other parameters: "), nodes.literal(text=command)]
            if values[1:]:
                lines[-1] += nodes.Text(f", and likewise {', '.join(list(given)[1:])}.")
        changed = changed_in(known.notebooks[page], known.settings) if page in known.notebooks else []
        banner = [warning(changed, known.settings.source)] if changed else []
        return [*banner, nodes.container("", *lines, classes=["chapter-info"])]


def warning(changed: list[dict[str, str]], source: str) -> nodes.Node:
    """Return the box that a page at other parameters begins with."""
    text = (
        f"{differs(changed, source)} Numbers, figures and verdicts are those of this run. A claim that is made for "
        f"any parameters must hold here too; one about the {source}'s own also holds, or gives both numbers."
    )
    title = nodes.title(text=f"Not the {source}'s parameters")
    return nodes.admonition("", title, nodes.paragraph(text=text), classes=["warning", "other-parameters"])


class ExecutionTable(LedgerDirective):
    """`{execution-table}`: all chapters with run time, claims, date and commit."""

    def run(self) -> list[nodes.Node]:
        """Return the sum in a sentence, and a table with a row per chapter."""
        known = self.begin()
        stamps = {page: stamp_of(self, page) for page in known.notebooks}
        checked = [record["holds"] for record in records(self.app).values() if record["measured"] is not None]
        software = dict.fromkeys(in_words(stamp["versions"]) for stamp in stamps.values())
        text = (
            f"{len(stamps)} chapters ran for {duration(sum(stamp['seconds'] for stamp in stamps.values()))} in "
            f"all and checked {len(checked)} claims, of which {checked.count(True)} hold. "
            f"Software: {'; '.join(software)}."
        )
        rows = []
        for page, stamp in stamps.items():
            cells = [
                [TitleLink(to=page)],
                [nodes.Text(duration(stamp["seconds"]))],
                self.count(PurePosixPath(page).name),
                [nodes.Text(", ".join(filter(None, (stamp["date"], stamp["commit"]))))],
            ]
            rows.append(nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells)))
        heading = ["Chapter", "Run time", "Claims", "Executed"]
        return [nodes.paragraph(text=text), table(heading, rows, "executions")]


def stamp_of(directive: LedgerDirective, page: str) -> dict[str, Any]:
    """Return what is recorded with a chapter's execution."""
    known = executed(directive.app)
    return dict(known.notebooks[page].metadata[known.settings.name])


def execution(stamp: dict[str, Any]) -> str:
    """Say how long a chapter ran, when, with what, and from which commit."""
    commit = f"; commit {stamp['commit']}" if stamp["commit"] else ""
    words = in_words(stamp["versions"])
    return f"Executed in {duration(stamp['seconds'])} on {stamp['date']} with {words}{commit}. "


def duration(seconds: float) -> str:
    """Return a time as one reads it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def in_words(versions: dict[str, str]) -> str:
    """Return names and versions of packages."""
    python_first = sorted(versions.items(), key=lambda item: (item[0] != "Python", item))
    return ", ".join(f"{name} {version}" for name, version in python_first)


def setup(app: Sphinx) -> None:
    """Register this part of the extension."""
    app.add_directive("chapter-info", ChapterInfo)
    app.add_directive("execution-table", ExecutionTable)
