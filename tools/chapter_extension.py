"""Sphinx extension: the box on top of each chapter, and the table of how the chapters were executed."""

from __future__ import annotations

from pathlib import PurePosixPath

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from executed_extension import Placeholder, chapter_link, executed, run_of
from ledger_extension import LedgerDirective, count, records, table


class ChapterInfo(LedgerDirective):
    """`{chapter-info}`: what the page reproduces, how it was executed, how to run it again."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the box."""
        self.assert_has_content()
        _, chapters = self.begin()
        page = self.env.docname
        chapter = PurePosixPath(page).name
        given = chapters.get(chapter, {}).get("parameters", {})
        values = [f"{name}={value!r}".replace(" ", "") for name, value in given.items()]
        lines = [
            *self.parse_content_to_nodes(),
            nodes.paragraph("", "", Placeholder(fill=execution, of=page)),
            nodes.paragraph("", "", Placeholder(fill=download, of=page)),
        ]
        if values:
            command = f"make chapter NAME={chapter} PARAMETERS='{values[0]}'"
            lines[-1] += [nodes.Text(" Run it with other parameters: "), nodes.literal(text=command)]
            if values[1:]:
                lines[-1] += nodes.Text(f", and likewise {', '.join(list(given)[1:])}.")
        return [nodes.container("", *lines, classes=["chapter-info"])]


class ExecutionTable(LedgerDirective):
    """`{execution-table}`: all chapters with run time, claims, date and commit."""

    def run(self) -> list[nodes.Node]:
        """Return a placeholder: the chapters are known once all pages are read."""
        self.begin()
        return [Placeholder(fill=executions, of="all")]


# --- what fills the placeholders ---


def execution(app: Sphinx, page: str) -> list[nodes.Node]:
    """Say how long a chapter ran, with what, and how many of its claims hold."""
    if page not in executed(app):
        return []
    run = run_of(app, page)
    time = f" in {duration(run.seconds)}" if run.seconds is not None else ""
    commit = f"; commit {run.commit}" if run.commit else ""
    text = f"Executed{time} on {run.date} with {in_words(run.versions)}{commit}. "
    return [nodes.Text(text), *count(app, PurePosixPath(page).name)]


def download(app: Sphinx, page: str) -> list[nodes.Node]:
    """Return a link to the executed notebook."""
    if app.builder.name != "html" or page not in executed(app):
        return []
    target = "../" * page.count("/") + f"{app.config.notebooks}{PurePosixPath(page).name}.ipynb"
    text = "Download the executed notebook"
    return [nodes.reference("", text, refuri=target, internal=True), nodes.Text(".")]


def executions(app: Sphinx, _: str) -> list[nodes.Node]:
    """Return the sum in a sentence, and a table with a row per chapter."""
    pages = [page for page in app.env.toctree_includes.get(app.config.root_doc, ()) if page in executed(app)]
    runs = {page: run_of(app, page) for page in pages}
    checked = [record["holds"] for record in records(app).values() if record["measured"] is not None]
    software = dict.fromkeys(in_words(run.versions) for run in runs.values())
    text = (
        f"{len(runs)} chapters ran for {duration(sum(run.seconds or 0 for run in runs.values()))} in all and "
        f"checked {len(checked)} claims, of which {checked.count(True)} hold. Software: {'; '.join(software)}."
    )
    rows = []
    for page, run in runs.items():
        cells = [
            [chapter_link(app, page)],
            [nodes.Text("" if run.seconds is None else duration(run.seconds))],
            count(app, PurePosixPath(page).name),
            [nodes.Text(f"{run.date}, {run.commit}" if run.commit else run.date)],
        ]
        rows.append(nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells)))
    return [
        nodes.paragraph(text=text),
        table(["Chapter", "Run time", "Claims", "Executed"], rows, "executions"),
    ]


def duration(seconds: float) -> str:
    """Return a time as one reads it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def in_words(versions: dict[str, str]) -> str:
    """Return names and versions of packages."""
    python_first = sorted(versions.items(), key=lambda item: (item[0] != "Python", item))
    return ", ".join(f"{name} {version}" for name, version in python_first)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the extension."""
    app.setup_extension("ledger_extension")
    app.add_directive("chapter-info", ChapterInfo)
    app.add_directive("execution-table", ExecutionTable)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": False}
