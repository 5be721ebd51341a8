"""Do the downloaded notebooks read and run outside of the book?"""

import re
from pathlib import Path

import nbclient
import nbformat
import pytest

from claimbook.layout import Book
from claimbook.ledger import evaluate, read_claims

BOOK = Book(Path(__file__).resolve().parents[2])
CHEAP = "your-own-model"  # runs for seconds


def downloaded(chapter: str) -> nbformat.NotebookNode:
    path = BOOK.site / "notebooks" / f"{chapter}.ipynb"
    if not path.is_file():
        pytest.fail("The book is not built: run `make book` first.")
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("chapter", BOOK.chapters())
def test_text_is_plain_markdown_and_code_needs_no_book(chapter: str) -> None:
    notebook = downloaded(chapter)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            found = re.search(
                r"\{[\w:-]+\}`|^\s*:{3,}|^`{3,}\{|^\([\w-]+\)=|^\$\$ *\(", cell.source, re.MULTILINE
            )
            assert not found, f"{found[0]!r} in: {cell.source[:200]}"
        else:
            assert "myst_nb" not in cell.source
            assert not [output for output in cell.outputs if "scrapbook" in output.get("metadata", {})]
    first = notebook.cells[0].source
    assert "except ImportError:" in first and "claimbook.carry(" in first
    assert not re.search(r"/(home|tmp|root|work|Users)/", first), "a path of the machine that built the book"


def test_a_notebook_runs_in_an_empty_folder(tmp_path: Path) -> None:
    notebook = downloaded(CHEAP)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = nbclient.NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    records = [
        data
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for kind, data in output.get("data", {}).items()
        if kind.endswith(".claim+json")
    ]
    claims = {name: claim for name, claim in read_claims(BOOK.claims)[0].items() if claim.chapter == CHEAP}
    assert {record["id"] for record in records} == set(claims)
    assert all(evaluate(claims[record["id"]], record["measured"]) for record in records)
    assert not list(tmp_path.iterdir()), "and leaves nothing behind"
