"""Each figure of the chapters with its data and picture to download, and fit for both themes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from ..figure_data import MIME_TYPE
from .executed import executed


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A figure as its cell left it: the numbers it shows as CSV, and its picture as SVG."""

    table: str
    picture: str

    @property
    def has_colour_map(self) -> bool:
        """Whether colours stand for numbers, so that no theme may change them."""
        rows = (line for line in self.table.splitlines() if not line.startswith("#"))
        return "<image" in self.picture or any(not row.endswith((",", ",value")) for row in rows)


def figures(notebook: nbformat.NotebookNode) -> Iterator[tuple[str, Drawn]]:
    """Yield name and figure of each cell that shows one."""
    for cell in notebook.cells:
        name = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        for output in cell.get("outputs", []) if name else []:
            data = output.get("data", {})
            yield name, Drawn(data.get(MIME_TYPE, ""), data.get("image/svg+xml", ""))


class DressFigures(SphinxPostTransform):
    """Put links to data and picture under each figure, and mark those whose colours no theme may change."""

    default_priority = 9

    def run(self, **kwargs: Any) -> None:
        """Change the figures of one page."""
        notebook = executed(self.app).notebooks.get(self.env.docname)
        drawn = dict(figures(notebook)) if notebook else {}
        for figure in self.document.findall(nodes.figure):
            name = next((name for name in figure["names"] if name in drawn), None)
            if name is None:
                continue
            figure["classes"].append("keeps-colours" if drawn[name].has_colour_map else "follows-theme")
            if self.app.builder.name == "html":
                figure += nodes.legend("", nodes.paragraph("", "", *self.links(name, drawn[name], figure)))

    def links(self, name: str, drawn: Drawn, figure: nodes.figure) -> Iterator[nodes.Node]:
        """Yield the links under a figure."""
        up = "../" * self.env.docname.count("/")
        targets = {"Data of this figure (CSV)": f"data/{name}.csv"} if drawn.table else {}
        for image in figure.findall(nodes.image):
            targets["Picture (SVG)"] = f"{self.app.builder.imagedir}/{self.env.images[image['uri']][1]}"
        for number, (text, target) in enumerate(targets.items()):
            yield nodes.Text(" · " if number else "")
            yield nodes.reference("", text, refuri=up + target, internal=True)


def write_tables(app: Sphinx, exception: Exception | None) -> None:
    """Write each figure's table into the site."""
    if exception is not None or app.builder.name != "html":
        return
    folder = Path(app.outdir, "data")
    folder.mkdir(exist_ok=True)
    for notebook in executed(app).notebooks.values():
        for name, drawn in figures(notebook):
            if drawn.table:
                (folder / f"{name}.csv").write_text(drawn.table, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Register this part of the extension."""
    app.add_post_transform(DressFigures)
    app.connect("build-finished", write_tables)
