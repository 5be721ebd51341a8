"""Does the built book hold every claim of the ledger, once, with numbers that satisfy it?"""

import json
import re
from collections import Counter
from pathlib import Path

import nbformat
import pytest

from claimbook.layout import Book, parameters
from claimbook.ledger import evaluate, plain, read_claims

BOOK = Book(Path(__file__).resolve().parents[2])


@pytest.fixture(scope="module")
def records() -> list[dict]:
    """The records in the built book's notebooks, each with the notebook it was found in."""
    mime_type = BOOK.settings.mime_type
    folder = BOOK.site / "notebooks"
    if not folder.is_dir():
        pytest.fail("The book is not built: run `make book` first.")
    return [
        {**output["data"][mime_type], "notebook": path.stem}
        for path in sorted(folder.glob("*.ipynb"))
        for cell in nbformat.read(path, as_version=4).cells
        for output in cell.get("outputs", [])
        if mime_type in output.get("data", {})
    ]


def test_every_chapter_of_the_ledger_is_in_the_book() -> None:
    claims, chapters = read_claims(BOOK.claims)
    assert set(chapters) <= set(BOOK.chapters())
    assert {claim.chapter for claim in claims.values()} <= set(chapters)


def test_chapters_start_from_the_papers_parameters() -> None:
    _, chapters = read_claims(BOOK.claims)
    for name, entry in chapters.items():
        assert plain(parameters(BOOK.read(name))) == plain(entry["parameters"]), f"chapter {name}"


def test_every_claim_is_checked_in_exactly_one_chapter(records: list[dict]) -> None:
    claims, _ = read_claims(BOOK.claims)
    assert Counter(record["id"] for record in records) == Counter(list(claims))
    for record in records:
        assert record["notebook"] == record["chapter"] == claims[record["id"]].chapter


def test_recorded_numbers_satisfy_the_claims_afresh(records: list[dict]) -> None:
    claims, _ = read_claims(BOOK.claims)
    for record in records:
        claim = claims[record["id"]]
        assert record["holds"] is True, claim.id
        assert evaluate(claim, record["measured"]), claim.id
        assert (record["relation"], record["tolerance"]) == (claim.relation, claim.tolerance), claim.id


def test_ledger_file_is_the_records(records: list[dict]) -> None:
    ledger = json.loads((BOOK.site / "ledger.json").read_text(encoding="utf-8"))
    measured = {record["id"]: record["measured"] for record in records}
    assert {claim["id"]: claim["measured"] for claim in ledger} == measured


def test_the_table_of_strengths_names_claims() -> None:
    claims, _ = read_claims(BOOK.claims)
    named = re.findall(
        r"`([a-z0-9-]+\.[a-z0-9.-]+)`", (BOOK.source / "ledger.md").read_text(encoding="utf-8")
    )
    assert named and set(named) <= set(claims)
