"""A chapter as a notebook that opens and runs anywhere: plain Markdown, its claims, and what it needs.

Chapters are written in MyST, which plain Jupyter, VS Code and Colab do not read. Here every directive and role
becomes Markdown, and numbers that an execution has left for the text are written into it.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import nbformat
import yaml

from .ledger import differs

FENCE = re.compile(r"^(:{3,}|`{3,})\{([\w:-]+)\}\s*(.*)$")
ROLE = re.compile(r"\{([\w:-]+)\}`([^`]*)`")


@dataclasses.dataclass(frozen=True)
class Links:
    """How a text's references are written: each takes what stands in the role, and returns Markdown."""

    document: Callable[[str], str] = str
    equation: Callable[[str], str] = str
    numbered: Callable[[str], str] = str
    citation: Callable[[str], str] = str


@dataclasses.dataclass(frozen=True)
class Text:
    """What turns one chapter's MyST into plain Markdown."""

    values: Mapping[str, str]
    links: Links = Links()
    source: str = "paper"
    changed: bool = False

    def markdown(self, text: str) -> str:
        """Return a text without directives and roles."""
        lines, result = text.split("\n"), []
        number = 0
        while number < len(lines):
            line = lines[number]
            number += 1
            if found := FENCE.match(line):
                end = closing(lines, number, found[1])
                result += self.directive(found[2], found[3], lines[number:end])
                number = end + 1
            elif line.startswith("%") or re.fullmatch(r"\([\w-]+\)=", line.strip()):
                continue  # a comment, or the target of a link
            else:
                result.append(self.inline(line, lines[number:]))
        return "\n".join(result)

    def inline(self, line: str, following: list[str]) -> str:
        """Return one line without roles, links to other pages and labels of equations."""
        if found := re.fullmatch(r"\$\$ *\(([\w-]+)\)", line.strip()):
            return f"$$\n\n{self.links.equation(found[1])}"
        line = ROLE.sub(lambda found: self.role(found[1], found[2]), line)
        return re.sub(r"(?<!!)\[([^\]]+)\]\((?!https?:)[^)\s]*\)", r"\1", line)

    def role(self, name: str, content: str) -> str:
        """Return what a role stands for."""
        title = re.fullmatch(r"(.*?)\s*<(.+)>", content)
        match name:
            case "glue:text":
                return self.value(content)
            case "cite" | "cite:p" | "cite:t":
                return ", ".join(self.links.citation(key.strip()) for key in content.split(","))
            case "doc":
                return title[1] if title else self.links.document(content)
            case "eq":
                return self.links.equation(content)
            case "numref" | "ref":
                return title[1] if title else self.links.numbered(content)
        raise ValueError(f"The role {name} has no form in plain Markdown.")

    def value(self, content: str) -> str:
        """Return a number that the execution has left, as the text formats it."""
        name, _, form = content.partition(":")
        if name not in self.values:
            raise ValueError(f"The text needs the value {name}, which the execution has not left.")
        value: Any = self.values[name]
        with contextlib.suppress(ValueError):
            value = float(value) if form else ast.literal_eval(value)  # `inf` is no literal
        return format(value, form) if form else str(value)

    def directive(self, name: str, argument: str, body: list[str]) -> list[str]:
        """Return what a directive stands for."""
        options = {}
        while body and (found := re.match(r"^:([\w-]+):\s*(.*)$", body[0])):
            options[found[1]] = found[2]
            body = body[1:]
        inner = self.markdown("\n".join(body).strip("\n"))
        match name:
            case "chapter-info":
                return quoted("", inner)
            case "admonition":
                return quoted(self.inline(argument, []), inner)
            case "important" | "note" | "tip" | "warning":
                return quoted(argument if argument else name.capitalize(), inner)
            case "dropdown":
                return [f"<details><summary>{argument}</summary>", "", inner, "", "</details>"]
            case "source-parameters":
                return quoted(f"At the {self.source}'s parameters", inner) if self.changed else [inner]
            case "math":
                return ["$$", inner, "$$"]
            case "container":
                return [inner]
            case "raw":  # for the page only
                return []
        raise ValueError(f"The directive {name} has no form in plain Markdown.")


def closing(lines: list[str], start: int, fence: str) -> int:
    """Return the number of the line that closes a fence."""
    depth = 0
    for number in range(start, len(lines)):
        line = lines[number].strip()
        if line.startswith(fence[0] * 3) and set(line) == {fence[0]}:
            if depth == 0 and len(line) >= len(fence):
                return number
            depth -= bool(depth)
        elif FENCE.match(line) and len(FENCE.match(line)[1]) <= len(fence) and line[0] == fence[0]:  # type: ignore[index]
            depth += 1
    return len(lines)


def quoted(title: str, text: str) -> list[str]:
    """Return a block quotation with a title."""
    lines = [*([f"**{title}**", ""] if title else []), *text.split("\n")]
    return ["", *(f"> {line}".rstrip() for line in lines), ""]


def kept_values(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """Return the values that an execution has left for the text, as Python writes them."""
    found = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            record = output.get("metadata", {}).get("scrapbook")
            if record:
                plain = f"{record.get('mime_prefix', '')}text/plain"
                found[record["name"]] = output["data"].get(plain, "")
    return found


def setup_cell(claims: str, package: str, repository: str) -> nbformat.NotebookNode:
    """Return the first cell: it installs what is missing, and brings the chapter's claims along."""
    install = (
        f'    %pip install --quiet "{package}[notebook] @ git+{repository}"'
        if repository
        else f"""    raise ImportError(
        "This notebook needs the package {package}: "
        "run `%pip install 'FOLDER[notebook]'` with the folder of its repository."
    ) from None"""
    )
    source = f"""#@title Set-up: run this first
try:
    import {package}, claimbook
except ImportError:
{install}

import claimbook

# What this chapter claims; each is checked below.
claimbook.carry(r\"\"\"
{claims.strip()}
\"\"\")"""
    metadata = {"tags": ["hide-input"], "jupyter": {"source_hidden": True}, "cellView": "form"}
    return nbformat.v4.new_code_cell(source, metadata=metadata)


def own_claims(content: Mapping[str, Any], chapter: str) -> str:
    """Return the part of a ledger's file that one chapter needs, as YAML in characters that every editor keeps."""
    entry = content["chapters"][chapter] or {}
    own = {
        name: value
        for name, value in (content.get("parameters") or {}).items()
        if name in entry.get("parameters", {})
    }
    claims = [claim for claim in content["claims"] or [] if claim["chapter"] == chapter]
    part = {"parameters": own, "chapters": {chapter: entry}, "claims": claims}
    return yaml.safe_dump(part, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)


def portable(
    notebook: nbformat.NotebookNode,
    text: Text,
    first: nbformat.NotebookNode | None,
    changed: list[dict[str, str]],
) -> nbformat.NotebookNode:
    """Return an executed chapter as a notebook that runs anywhere.

    Parameters
    ----------
    notebook : NotebookNode
        The chapter with its outputs.
    text : Text
        What turns its text into plain Markdown.
    first : NotebookNode, optional
        Set-up cell to begin with.
    changed : list of dict
        In what parameters the run differs from the source's.
    """
    cells = [] if first is None else [first]
    for cell in notebook.cells:
        cell = nbformat.from_dict(cell)
        if cell.cell_type == "markdown":
            cell.source = text.markdown(cell.source)
            cell.metadata = {}
            if changed and cell.source.startswith("# "):
                title, _, rest = cell.source.partition("\n")
                cell.source = f"{title}\n\n> **{differs(changed, text.source)}**\n{rest}"
            cells.append(cell)
            continue
        cell.outputs = [output for output in cell.outputs if "scrapbook" not in output.get("metadata", {})]
        caption = cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "")
        if {"hide-input", "hide-cell"} & set(cell.metadata.get("tags", [])):
            cell.metadata["jupyter"] = {"source_hidden": True}
        cells.append(cell)
        if caption:
            cells.append(nbformat.v4.new_markdown_cell(f"*Figure.* {text.markdown(caption)}"))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    metadata = {key: value for key, value in notebook.metadata.items() if key != "jupytext"}
    result: nbformat.NotebookNode = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.validate(result)
    return result
