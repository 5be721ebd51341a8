"""A library's reference from its docstrings, joined to the chapters that use it.

A page says where the entries go: the line `<!-- public names -->` is replaced by what the package exports, the
line `<!-- modules -->` by one section per module. Which chapter uses what is read off the chapters' own code.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

import nbformat
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

from .executed import chapter_link, executed

# --- the entries ---


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace the two lines in a page's source."""
    library = executed(app).settings.library
    lines = {"<!-- public names -->": public_names, "<!-- modules -->": modules} if library else {}
    for line, entries in lines.items():
        if line in source[0]:
            package = importlib.import_module(library)
            source[0] = source[0].replace(line, "\n".join(entries(package, executed(app).settings.public)))
            for path in map(str, executed(app).book.imports.files):
                app.env.note_dependency(path)


def public_names(package: ModuleType, _: Iterable[str]) -> Iterable[str]:
    """Yield what the package exports, by kind."""
    items = {name: getattr(package, name) for name in package.__all__}
    classes = {name for name, item in items.items() if inspect.isclass(item)}
    errors = {name for name in classes if issubclass(items[name], Exception)}
    functions = {name for name, item in items.items() if callable(item)} - classes
    full = {name: f"{package.__name__}.{name}" for name in items}
    yield "## Functions"
    yield from (directive("autofunction", full[name]) for name in sorted(functions))
    yield "## Problems and results"
    yield from (directive("autoclass", full[name], ":members:") for name in sorted(classes - errors))
    yield "## Names they understand"
    for name in sorted(set(items) - classes - functions):
        yield "\n".join(["", f":::{{py:data}} {full[name]}", *meanings(items[name]), ":::", ""])
    yield "## Errors"
    yield from (directive("autoexception", full[name]) for name in sorted(errors))


def meanings(item: object) -> Iterable[str]:
    """Yield the entries of a table of names, each with what it stands for; an array as it is."""
    if not isinstance(item, Mapping):
        return [f"`{' '.join(str(item).split())}`"]
    texts: dict[str, Any] = {key: getattr(value, "meaning", value) for key, value in item.items()}
    return [f"- `{key}`: {text if isinstance(text, str) else text[-1]}" for key, text in texts.items()]


def modules(package: ModuleType, public: Iterable[str]) -> Iterable[str]:
    """Yield a section for each module: what it is for, and of the public ones what they hold."""
    exported = ", ".join(package.__all__)
    shown = tuple(f"{package.__name__}.{name}." for name in public)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield f"## {module.name.removeprefix(f'{package.__name__}.')}"
        members = (
            [":members:", f":exclude-members: {exported}"] if f"{module.name}.".startswith(shown) else []
        )
        yield directive("automodule", module.name, *members)


def directive(name: str, argument: str, *options: str) -> str:
    """Return one of autodoc's directives within MyST."""
    lines = [f".. {name}:: {argument}", *(f"   {option}" for option in options)]
    return "\n".join(["", "```{eval-rst}", *lines, "```", ""])


def keep_prose(app: Sphinx, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Let docstrings write |α| and σ_x as they please: in RST both would be markup, outside of code and formulas."""
    formula = -1  # indentation of the directive whose content is left alone
    for number, line in enumerate(lines):
        indentation = len(line) - len(line.lstrip())
        if line.strip() and indentation <= formula:
            formula = -1
        if line.lstrip().startswith(".. "):
            formula = indentation
        if formula < 0:
            pieces = re.split(r"(`+[^`]+`+)", line)
            pieces[::2] = [re.sub(r"\||(?<=\w)_(?!\w)", r"\\\g<0>", piece) for piece in pieces[::2]]
            lines[number] = "".join(pieces)
    if what in ("attribute", "data", "property") and lines:
        lines[0] = f": {lines[0]}"  # napoleon would take the words before the first colon for a type


# --- who uses what ---


def collect(app: Any) -> None:
    """Read off every chapter's code what it uses."""
    library = executed(app).settings.library
    notebooks = executed(app).notebooks.items() if library else ()
    app.claimbook_uses = {page: used(notebook, library) for page, notebook in notebooks}


def used(notebook: nbformat.NotebookNode, library: str) -> set[str]:
    """Return the full names of the library's objects that a notebook's code refers to."""
    trees = [ast.parse(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    lines = [line for tree in trees for line in ast.walk(tree)]
    known = {library: library}  # local name → full name
    for line in lines:
        if isinstance(line, ast.ImportFrom) and f"{line.module}.".startswith(f"{library}."):
            known |= {alias.asname or alias.name: f"{line.module}.{alias.name}" for alias in line.names}
    attributes = {
        f"{known[line.value.id]}.{line.attr}"
        for line in lines
        if isinstance(line, ast.Attribute) and isinstance(line.value, ast.Name) and line.value.id in known
    }
    return {canonical(name, library) for name in {*known.values(), *attributes}}


def canonical(name: str, library: str) -> str:
    """Return the name under which an object is documented: that of the package, or of the defining module."""
    item, last = pkgutil.resolve_name(name), name.rpartition(".")[2]
    if item is getattr(importlib.import_module(library), last, None):
        return f"{library}.{last}"
    return f"{item.__module__}.{item.__qualname__}" if hasattr(item, "__qualname__") else name


class LinkUses(SphinxPostTransform):
    """Say in each chapter's box what it uses of the library, and under each entry which chapters use it."""

    default_priority = 9  # before references are resolved

    def run(self, **kwargs: Any) -> None:
        """Add the sentences."""
        app: Any = self.app
        uses: dict[str, set[str]] = app.claimbook_uses
        own = uses.get(self.env.docname, set())
        for box in self.document.findall(nodes.container):
            if "chapter-info" in box["classes"]:
                names = sorted(own, key=str.casefold)
                box += sentence("Library used: ", filter(None, map(self.entry, names)))
        for entry in self.document.findall(addnodes.desc):
            ids = set(entry[0]["ids"])
            users = [chapter_link(app, page) for page in uses if ids & uses[page]]
            entry[-1] += sentence("Used in ", users)

    def entry(self, name: str) -> nodes.Node | None:
        """Return a link to an entry of the reference; None for a module, or for what has no entry."""
        found = self.env.get_domain("py").objects.get(name)  # type: ignore[attr-defined]
        if found is None or found.objtype == "module":
            return None
        text = nodes.literal(text=name.removeprefix(f"{executed(self.app).settings.library}."))
        return make_refnode(self.app.builder, self.env.docname, found.docname, found.node_id, text)


def sentence(start: str, items: Iterable[nodes.Node]) -> list[nodes.Node]:
    """Return a paragraph that lists the items, and none if there are none."""
    listed = [node for item in items for node in (nodes.Text(", "), item)][1:]
    return [nodes.paragraph("", start, *listed, nodes.Text("."), classes=["library-uses"])] if listed else []


def setup(app: Sphinx) -> None:
    """Register this part of the extension."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.connect("builder-inited", collect)  # once the executed notebooks are there
    app.connect("source-read", fill)
    app.connect("autodoc-process-docstring", keep_prose, priority=400)  # before napoleon
    app.add_post_transform(LinkUses)
