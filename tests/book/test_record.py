"""Does the built book hold every claim of the ledger, once, with numbers that satisfy it?"""

import json
import math
import re
from collections import Counter
from pathlib import Path

import nbformat
import pytest

from claimbook.layout import Book, parameters
from claimbook.ledger import Claim, evaluate, plain, read_claims

LOOSEST = 1000  # what a tolerance may allow beyond what is measured, unless `slack` says why
ROUND_OFF = 1.01e-10
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


def test_every_parameter_is_declared_with_its_meaning() -> None:
    for name, entry in read_claims(BOOK.claims)[1].items():
        assert set(entry["declared"]) == set(entry["parameters"]), f"chapter {name}"
        assert all(parameter.meaning for parameter in entry["declared"].values()), f"chapter {name}"


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


def looseness(claim: Claim, measured: float) -> float:
    """How many times larger what is allowed is than what is measured; 1 where round-off is all that is allowed."""
    deviation, allowed = {
        "within": (abs(measured - claim.expected), claim.tolerance),
        "relative": (abs(measured / (claim.expected or 1) - 1), claim.tolerance),
        "at-most": (abs(measured), abs(claim.expected)),
        "below": (abs(measured), abs(claim.expected)),
        "at-least": (abs(claim.expected), abs(measured)),
        "above": (abs(claim.expected), abs(measured)),
    }[claim.relation]
    limit = deviation if claim.relation in ("at-least", "above") else allowed
    if limit <= ROUND_OFF:  # or, of a lower limit, zero: only the sign is claimed
        return 1.0
    return allowed / deviation if deviation else math.inf


def test_tolerances_are_near_what_is_measured(records: list[dict]) -> None:
    claims, _ = read_claims(BOOK.claims)
    loose = {
        record["id"]: looseness(claims[record["id"]], float(record["measured"]))
        for record in records
        if record["relation"] != "true" and not claims[record["id"]].slack
    }
    assert not {name: f"{value:.0f} times" for name, value in loose.items() if value > LOOSEST}
    excused = [name for name, claim in claims.items() if claim.slack]
    measured = {record["id"]: float(record["measured"]) for record in records if record["id"] in excused}
    idle = [name for name in excused if looseness(claims[name], measured[name]) <= LOOSEST]
    assert not idle, "these have a reason to be loose, but are not"


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
