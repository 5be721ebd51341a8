"""Do the repository's files agree with each other?"""

import itertools
import json
import re
import subprocess
import tomllib
from collections import Counter

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from claimbook.ledger import MIME_TYPE, evaluate, plain, read_claims
from layout import HERE, Book, parameters

BOOK = Book()
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (HERE / "requirements.lock").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def records() -> list[dict]:
    """The records in the built book's notebooks, each with the notebook it was found in."""
    folder = BOOK.site / "notebooks"
    if not folder.is_dir():
        pytest.fail("The book is not built: run `make book` first.")
    return [
        {**output["data"][MIME_TYPE], "notebook": path.stem}
        for path in sorted(folder.glob("*.ipynb"))
        for cell in nbformat.read(path, as_version=4).cells
        for output in cell.get("outputs", [])
        if MIME_TYPE in output.get("data", {})
    ]


def test_conda_environment_equals_project() -> None:
    environment = yaml.safe_load((HERE / "environment.yml").read_text(encoding="utf-8"))
    *conda, pip = environment["dependencies"]
    assert f"python{PROJECT['requires-python']}" in conda
    assert pip == {"pip": [f"-e .[{','.join(PROJECT['optional-dependencies'])}]"]}


def test_lock_satisfies_project() -> None:
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", LOCK, flags=re.MULTILINE))
    extras = PROJECT["optional-dependencies"].values()
    wanted = [*PROJECT["dependencies"], *itertools.chain.from_iterable(extras)]
    for requirement in map(Requirement, wanted):
        version = locked.get(canonicalize_name(requirement.name), "none")
        assert version != "none" and requirement.specifier.contains(version), (
            f"run `make lock`: {requirement}"
        )


def test_lock_is_hashed_and_names_no_server() -> None:
    assert "://" not in LOCK
    entries = re.split(r"\n(?=[\w.-]+==)", LOCK.strip())
    assert all("--hash=sha256:" in entry for entry in entries)


def test_no_generated_file_is_tracked() -> None:
    command = ["git", "-C", str(HERE), "ls-files"]
    try:
        tracked = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("There is no git repository here.")
    generated = re.compile(r"(^|/)(_build|__pycache__|\.venv|[^/]*\.egg-info)(/|$)|\.(ipynb|pyc)$")
    assert not [name for name in tracked if generated.search(name)]


def test_citation_has_the_version() -> None:
    citation = yaml.safe_load((HERE / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


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
