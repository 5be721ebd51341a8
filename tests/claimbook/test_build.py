"""Is a book with settings of its own rendered from one execution, by each way there is?"""

import json
import re
import socket
import subprocess
import sysconfig
from pathlib import Path

import nbformat
import pytest
from toy import PATIENCE, run, write

from claimbook.build import check
from claimbook.chapter import folder_name
from claimbook.layout import Book, BookError
from claimbook.serve import served, server


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    """The toy, built by plain jupyter-book."""
    book = write(tmp_path_factory.mktemp("toy"))
    program = Path(sysconfig.get_path("scripts"), "jupyter-book")
    result = subprocess.run(
        [program, "build", book.root, "-W", "-n"], capture_output=True, text=True, timeout=PATIENCE
    )
    assert result.returncode == 0, result.stderr
    return book


def verdicts(book: Book) -> dict[str, bool]:
    return {
        claim["id"]: claim["holds"] for claim in json.loads((book.site / "ledger.json").read_text("utf-8"))
    }


def page(book: Book, name: str) -> str:
    return (book.site / "book" / f"{name}.html").read_text(encoding="utf-8")


def test_plain_jupyter_book_builds_it(book: Book) -> None:
    assert verdicts(book) == {"one.size": True, "two.size": True}
    downloaded = (book.site / "notebooks" / "one.ipynb").read_text(encoding="utf-8")
    assert "application/vnd.toy.claim+json" in downloaded
    assert re.search(r"Executed in .* on 2.* with Python", page(book, "one"))
    assert "✓ 1 of 1 hold" in page(book, "two")
    first = page(book, "intro")
    assert "beyond the sketch" in first, "the settings name the source"
    assert "Return twice as much." in first and 'href="one.html"' in first, "the reference links its users"


def test_pipeline_takes_up_what_jupyter_book_has_executed(book: Book) -> None:
    status, output, errors = run(book.root, "build")
    assert status == 0, errors
    assert "2 of 2 chapters are unchanged." in output
    assert verdicts(book) == {"one.size": True, "two.size": True}

    status, output, _ = run(book.root, "build")
    assert status == 0 and "up to date" in output and "Rendered" not in output

    chapter = book.source / "two.md"
    text = chapter.read_text(encoding="utf-8")
    chapter.write_text(
        text.replace("A sample.\n:::", "A sample.\n:::\n\nOne more sentence."), encoding="utf-8"
    )
    status, output, errors = run(book.root, "build")
    assert status == 0, errors
    assert "2 of 2 chapters are unchanged." in output, "prose executes nothing"
    assert "One more sentence" in page(book, "two")
    assert "✚ beyond the sketch" in page(book, "two"), "and the outputs stay where they were"


def test_chapter_with_other_parameters(book: Book) -> None:
    status, output, errors = run(book.root, "chapter", "one", "size = 7")
    assert status == 0, errors
    assert "unknown parameter" not in output + errors
    (folder,) = (book.build / "chapters").iterdir()
    text = re.sub(r"<[^>]*>", "", (folder / "one.html").read_text(encoding="utf-8"))
    assert folder.name == "one_size=7"
    assert "started; it took " in output and re.search(r"about \d[\d.]* (s|min) is expected now", output)
    assert "This run differs from the sketch: ℓ = 7 (sketch: 1)." in text
    assert text.count("(sketch: 1)") == 1, "told once"
    assert "Chapter one (ℓ = 7)" in text and "– differs here" in text
    assert re.search(r"At the sketch.s parameters\s+It is one\.", text)
    assert "At the" not in page(book, "one"), "the book's own page says it without a box"
    assert re.search(r"size: sketch: 1, here: 7\b", text)
    notebook = nbformat.read(folder / "one.ipynb", as_version=4)
    assert any("size = 7" in cell.source for cell in notebook.cells)
    (book_own,) = [
        cell
        for cell in nbformat.read(book.executed("one"), 4).cells
        if "size" in cell.source and "=" in cell.source
    ][:1]
    assert "size = 1" in book_own.source, "the book itself is untouched"


def test_what_cannot_be_built_is_told_before_anything_runs(tmp_path: Path) -> None:
    book = write(tmp_path)
    ledger = book.claims.read_text(encoding="utf-8")
    book.claims.write_text(ledger.replace("claims:\n", "  three: {}\nclaims:\n"), encoding="utf-8")
    with pytest.raises(BookError, match=r"_toc.yml must list every chapter of the ledger, but lacks three\."):
        check(book)
    book.claims.write_text(ledger.replace("kind: beyond", "kind: maybe"), encoding="utf-8")
    with pytest.raises(
        BookError, match=r"Claim `one.size`: `kind` must be one of verified, corrected, beyond"
    ):
        check(book)


def test_failures_stop_the_rendering(tmp_path: Path) -> None:
    status, output, errors = run(write(tmp_path, expected=2).root, "build")
    assert status == 1 and "Rendering" not in output
    assert "1 of the chapters failed:" in errors and "Claim `two.size` (here) fails" in errors
    status, _, errors = run(tmp_path, "build", CLAIMBOOK_CLAIMS="record")
    assert status == 1
    assert "Claim two.size fails: measured 1" in errors


def test_wrong_parameters_are_told_before_anything_runs(tmp_path: Path) -> None:
    book = write(tmp_path)
    status, output, errors = run(book.root, "chapter", "one", "size=0")
    assert status == 1 and not output
    assert "Parameter `size` must be a number, above 0, but is 0." in errors


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "one"),
        ("g0=-4 sizes = [6, 10]", "one_g0=-4_sizes=[6,10]"),
        ("sizes=[10**6] share=1/3", "one_sizes=[10^6]_share=1÷3"),
    ],
)
def test_folders_are_named_as_the_reader_writes(text: str, name: str) -> None:
    assert folder_name("one", text) == name


def test_folders_of_long_lists_keep_apart() -> None:
    names = {folder_name("one", f"sizes={list(range(n))}") for n in (100, 200)}
    assert len(names) == 2 and all(len(name) < 200 for name in names)


def test_unknown_chapter_is_told(tmp_path: Path) -> None:
    with pytest.raises(BookError, match="NAME must be one of one, two, but is 'three'"):
        write(tmp_path).read("three")


def test_busy_port_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BookError, match=r"Port \d+ cannot be used \(.*\): choose another with PORT=…"):
            server(tmp_path, taken.getsockname()[1])
    with served(tmp_path) as address:
        assert address.startswith("http://127.0.0.1:")
