"""Is a chapter plain Markdown, with its numbers, once it leaves the book?"""

import ast
import subprocess
from pathlib import Path

import nbformat
import pytest

from claimbook.layout import Book
from claimbook.portable import Links, Text, kept_values, portable, setup_cell

LINKS = Links(
    document=lambda name: f"*{name}*",
    equation=lambda label: f"({label})",
    numbered=lambda label: f"Fig. {label}",
    citation=lambda key: f"[{key}]",
)
TEXT = Text({"n": "3", "late": "inf", "x": "0.12345", "list": "'6, 10'"}, LINKS)


@pytest.mark.parametrize(
    ("myst", "markdown"),
    [
        ("$N =$ {glue:text}`list` of {glue:text}`n`, {glue:text}`x:.2f`", "$N =$ 6, 10 of 3, 0.12"),
        ("never: {glue:text}`late:.2f`", "never: inf"),
        ("{doc}`one` and {doc}`the other <two>`", "*one* and the other"),
        ("{eq}`a`, {numref}`b`, {ref}`there <c>`, {cite}`d,e`", "(a), Fig. b, there, [d], [e]"),
        ("[text](other.md#place) [far](https://example.org)", "text [far](https://example.org)"),
        ("(target)=\n## Title\n% a comment\nwords", "## Title\nwords"),
        ("$$\nx\n$$ (label)", "$$\nx\n$$\n\n(label)"),
        (
            ":::{admonition} Title\n:class: tip\nOne\ntwo {glue:text}`n`\n:::",
            "\n> **Title**\n>\n> One\n> two 3\n",
        ),
        ("::::{note}\n:::{dropdown} More\nx\n:::\n::::\ny", None),
        (":::{container} live\n```{raw} html\n:file: _static/live.html\n```\n:::\nwords", "\nwords"),
        (":::{source-parameters}\nIt is four.\n:::", "It is four."),
        ("```python\n{x}\n```", "```python\n{x}\n```"),
    ],
)
def test_directives_and_roles_become_markdown(myst: str, markdown: str | None) -> None:
    written = TEXT.markdown(myst)
    if markdown is None:
        assert written.endswith("\ny") and "<details>" in written and ":::" not in written
    else:
        assert written == markdown


def test_what_holds_at_the_sources_parameters_only_is_marked() -> None:
    elsewhere = Text({}, LINKS, "sketch", changed=True)
    written = elsewhere.markdown(":::{source-parameters}\nIt is four.\n:::")
    assert written == "\n> **At the sketch's parameters**\n>\n> It is four.\n"


def test_what_has_no_plain_form_is_refused() -> None:
    for text in ("{unknown}`x`", ":::{unknown}\nx\n:::", "{glue:text}`missing`"):
        with pytest.raises(ValueError, match=r"unknown|missing"):
            TEXT.markdown(text)


def test_a_notebook_brings_its_numbers_captions_and_changes() -> None:
    code, prose = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    left = nbformat.v4.new_output(
        "display_data",
        data={"application/papermill.record/text/plain": "2.5"},
        metadata={"scrapbook": {"name": "x", "mime_prefix": "application/papermill.record/"}},
    )
    figure = {"mystnb": {"figure": {"caption": "All {glue:text}`x`."}}, "tags": ["hide-input"]}
    cells = [
        prose("# Title\n\nIt is {glue:text}`x:.2f`."),
        code("a", outputs=[left]),
        code("b", metadata=figure),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    changed = [{"symbol": "g₀", "here": "2", "there": "4"}]
    result = portable(notebook, Text(kept_values(notebook)), setup_cell("claims: []", "library", ""), changed)
    sources = [cell.source for cell in result.cells[1:]]
    assert sources == [
        "# Title\n\n> **This run differs from the paper: g₀ = 2 (paper: 4).**\n\nIt is 2.50.",
        "a",
        "b",
        "*Figure.* All 2.5.",
    ]
    assert result.cells[2].outputs == [] and result.cells[3].metadata["jupyter"] == {"source_hidden": True}
    assert cells[0].source.endswith("{glue:text}`x:.2f`."), "the chapter itself is untouched"


def test_the_first_cell_installs_what_is_missing() -> None:
    source = setup_cell("claims: []", "library", "https://example.org/book").source
    assert '    %pip install --quiet "library[notebook] @ git+https://example.org/book"\n' in source
    nowhere = setup_cell("claims: []", "library", "").source
    assert "%pip install 'FOLDER[notebook]'" in nowhere
    ast.parse(nowhere)


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://example.org/owner/book.git", "https://example.org/owner/book.git"),
        ("git@example.org:owner/book.git", "https://example.org/owner/book.git"),
        ("https://name:secret@example.org/book", "https://example.org/book"),
        ("/a/folder/of/this/machine", ""),
    ],
)
def test_the_address_is_a_public_one(tmp_path: Path, remote: str, address: str) -> None:
    for command in (["init", "-q"], ["remote", "add", "origin", remote]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    assert Book(tmp_path).repository() == address
    (tmp_path / "pyproject.toml").write_text(
        '[project.urls]\nRepository = "https://example.org/it"\n', "utf-8"
    )
    assert Book(tmp_path).repository() == "https://example.org/it"
