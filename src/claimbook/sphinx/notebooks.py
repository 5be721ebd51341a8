"""Each chapter as a notebook to download, which opens and runs anywhere; the page has told all numbers it needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pybtex.database
import yaml
from docutils import nodes
from sphinx.application import Sphinx

from ..layout import changed_in
from ..portable import Links, Text, kept_values, own_claims, portable, setup_cell
from .executed import executed, title


def links(app: Any) -> Links:
    """Return how references are written: numbers as on the pages, titles of chapters, addresses of articles."""
    book = executed(app).book
    articles = {
        key: entry
        for path in sorted(book.source.glob("*.bib"))
        for key, entry in pybtex.database.parse_file(path).entries.items()
    }
    equations = app.env.get_domain("math").equations
    labels = app.env.get_domain("std").anonlabels

    def document(target: str) -> str:
        return f"*{title(book.source, target)}*"

    def number(page: str, kind: str, name: str) -> str:
        return ".".join(map(str, app.env.toc_fignumbers.get(page, {}).get(kind, {}).get(name, ())))

    def equation(label: str) -> str:
        page, own = equations.get(label, ("", ""))
        found = number(page, "displaymath", nodes.make_id(f"equation-{label}")) or own
        return f"({found})" if found else "(there)"

    def numbered(label: str) -> str:
        page, name = labels.get(label, ("", ""))
        found = number(page, "figure", name)
        return f"Fig. {found}" if found else "the figure"

    def citation(key: str) -> str:
        entry = articles[key]
        people = [str(person.last_names[0]) for person in entry.persons.get("author", ())]
        people = [re.sub(r"[{}]", "", name) for name in people]
        names = " and ".join(people) if len(people) < 3 else f"{people[0]} et al."
        text = f"{names} {entry.fields.get('year', '')}".strip()
        doi = entry.fields.get("doi")
        return f"[{text}](https://doi.org/{doi})" if doi else f"[{text}]"

    return Links(document, equation, numbered, citation)


def write_notebooks(app: Sphinx, exception: Exception | None) -> None:
    """Write the notebooks into the site; a chapter at other parameters in place of its execution."""
    if exception is not None or app.builder.name != "html":
        return
    known = executed(app)
    site = Path(app.outdir)
    content = yaml.load(known.book.claims.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    repository = known.book.repository()
    written = links(app)
    for page, notebook in known.notebooks.items():
        name = Path(page).name
        changed = changed_in(notebook, known.settings)
        text = Text(kept_values(notebook), written, known.settings.source, bool(changed))
        first = (
            setup_cell(own_claims(content, name), known.settings.library, repository)
            if name in known.chapters
            else None
        )
        result = nbformat.writes(portable(notebook, text, first, changed))
        if known.single:
            known.paths[page].write_text(result + "\n", "utf-8")
            continue
        (site / "notebooks").mkdir(exist_ok=True)
        (site / "notebooks" / f"{name}.ipynb").write_text(result + "\n", "utf-8")
        source = site / "_sources" / f"{page}.ipynb"  # the theme's download button; it has no outputs
        if source.exists():
            source.write_text(result + "\n", "utf-8")


def setup(app: Sphinx) -> None:
    """Register this part of the extension."""
    app.connect("build-finished", write_notebooks)
