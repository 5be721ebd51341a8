"""Does the pipeline run what has changed and nothing else, keep what is finished, and say what went wrong?"""

import json
import re
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import pytest

from layout import Book, BookError, parameters

TOOLS = Path(__file__).resolve().parent.parent / "tools"
CHAPTER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# Chapter {name}

:::{{chapter-info}}
A sample.
:::

```{{code-cell}} ipython3
:tags: [parameters]

size = 1  # with a comment: size = one
```

```{{code-cell}} ipython3
from claimbook.ledger import Ledger

Ledger("{name}", {{"size": size}}).check("{name}.size", size)
{more}
```
"""
CLAIMS = """chapters:
  one: {parameters: {size: 1}}
  two: {parameters: {size: 1}}
claims:
"""
CLAIM = """- {{id: {name}.size, chapter: {name}, where: here, kind: verified, says: "It is $1$.",
   quantity: size, relation: within, expected: {expected}, tolerance: 1e-9, because: "none needed"}}
"""


def write(root: Path, more: str = "", expected: int = 1) -> Book:
    """A book of two chapters; `more` is further code in the second, `expected` what its claim says."""
    (root / "book").mkdir(parents=True, exist_ok=True)
    (root / "src").mkdir(exist_ok=True)
    (root / "src" / "library.py").write_text("", encoding="utf-8")
    (root / "requirements.lock").write_text("", encoding="utf-8")
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: book/intro\nchapters:\n- file: book/one\n- file: book/two\n", encoding="utf-8"
    )
    (root / "_config.yml").write_text(
        "only_build_toc_files: true\nexecute: {execute_notebooks: cache}\n"
        f"sphinx:\n  local_extensions: {{chapter_extension: '{TOOLS}'}}\n"
        "  config: {suppress_warnings: [mystnb.unknown_mime_type]}\n",
        encoding="utf-8",
    )
    (root / "book" / "intro.md").write_text("# A book\n\n```{ledger-table}\n```\n", encoding="utf-8")
    (root / "book" / "one.md").write_text(CHAPTER.format(name="one", more=""), encoding="utf-8")
    (root / "book" / "two.md").write_text(CHAPTER.format(name="two", more=more), encoding="utf-8")
    claims = CLAIM.format(name="one", expected=1) + CLAIM.format(name="two", expected=expected)
    (root / "book" / "claims.yml").write_text(CLAIMS + claims, encoding="utf-8")
    return Book(root)


def run(tool: str, book: Book, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOLS / tool), "--root", str(book.root), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def executed(output: str) -> list[str]:
    return re.findall(r"^(\w+): cell 1/", output, flags=re.MULTILINE)


def verdicts(book: Book) -> dict[str, bool]:
    return {claim["id"]: claim["holds"] for claim in json.loads((book.site / "ledger.json").read_text())}


def test_book_is_built_once(tmp_path: Path) -> None:
    book = write(tmp_path)
    first = run("build.py", book)
    assert first.returncode == 0, first.stderr
    assert executed(first.stdout) == ["one", "two"]
    assert verdicts(book) == {"one.size": True, "two.size": True}
    downloaded = (book.site / "notebooks" / "one.ipynb").read_text(encoding="utf-8")
    assert "vnd.centralspin.claim+json" in downloaded

    assert "up to date" in run("build.py", book).stdout

    chapter = book.source / "two.md"
    chapter.write_text(chapter.read_text() + "\nOne more sentence.\n", encoding="utf-8")
    again = run("build.py", book)
    assert again.returncode == 0, again.stderr
    assert executed(again.stdout) == ["two"]
    assert "One more sentence" in (book.site / "book" / "two.html").read_text(encoding="utf-8")


def test_plain_jupyter_book_gives_the_same_ledger(tmp_path: Path) -> None:
    book = write(tmp_path)
    program = Path(sysconfig.get_path("scripts"), "jupyter-book")
    result = subprocess.run([program, "build", tmp_path, "-W", "-n"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert verdicts(book) == {"one.size": True, "two.size": True}


def test_what_an_execution_depends_on(tmp_path: Path) -> None:
    book = write(tmp_path)

    def digests() -> tuple[str, str]:
        return book.chapter_digest("one"), book.chapter_digest("two")

    before = digests()
    assert digests() == before
    write(tmp_path, expected=2)
    assert digests()[0] == before[0] and digests()[1] != before[1], "a chapter's claim concerns it alone"
    write(tmp_path)
    assert digests() == before
    for name in ("src/library.py", "requirements.lock", "book/data.csv"):
        (tmp_path / name).write_text("changed\n", encoding="utf-8")
        assert not set(digests()) & set(before), f"{name} concerns every chapter"
        (tmp_path / name).write_text("", encoding="utf-8")
        if name.startswith("book"):
            (tmp_path / name).unlink()
    (tmp_path / "book" / "_static").mkdir()
    (tmp_path / "book" / "_static" / "icon.svg").write_text("<svg/>", encoding="utf-8")
    assert digests() == before, "what only the pages show concerns no chapter"


def test_failed_claim_is_named_and_the_others_run(tmp_path: Path) -> None:
    book = write(tmp_path, expected=2)
    result = run("build.py", book)
    assert result.returncode == 1
    assert "Claim `two.size` (here) fails: size must be within 1e-09 of 2, but is 1." in result.stderr
    assert book.executed("one").exists() and not book.executed("two").exists()
    assert not book.site.exists()
    assert executed(run("execute.py", book).stdout) == ["two"]


def test_ledger_is_checked_before_anything_runs(tmp_path: Path) -> None:
    book = write(tmp_path)
    ledger = book.claims.read_text(encoding="utf-8")
    book.claims.write_text(ledger.replace("claims:\n", "  three: {}\nclaims:\n"), encoding="utf-8")
    result = run("build.py", book)
    assert "_toc.yml must list every chapter of the ledger, but lacks three." in result.stderr
    book.claims.write_text(ledger.replace("kind: verified", "kind: maybe"), encoding="utf-8")
    result = run("build.py", book)
    assert result.returncode == 1 and not executed(result.stdout)
    assert "Claim `one.size`: `kind` must be one of verified, corrected, beyond" in result.stderr


def test_recorded_failure_stops_the_rendering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CENTRALSPIN_CLAIMS", "record")
    result = run("build.py", write(tmp_path, expected=2))
    assert result.returncode == 1
    assert "Claim two.size fails" in result.stderr


def test_error_in_a_chapter_is_shown(tmp_path: Path) -> None:
    result = run("execute.py", write(tmp_path, more="undefined_name"))
    assert result.returncode == 1
    assert "two: cell 2 stopped with NameError: name 'undefined_name' is not defined" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="interrupts are sent differently on Windows")
def test_interrupted_run_keeps_what_is_finished(tmp_path: Path) -> None:
    book = write(tmp_path, more="import time; time.sleep(600)")
    command = [sys.executable, str(TOOLS / "execute.py"), "--root", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        seen = ""
        assert process.stdout and process.stderr
        while not seen.endswith("two: cell 1/2 2/2"):
            letter = process.stdout.read(1)
            assert letter, process.stderr.read()
            seen += letter
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "Stopped. The chapters already finished are kept."
    assert book.executed("one").exists() and not book.executed("two").exists()


def test_chapter_with_other_parameters(tmp_path: Path) -> None:
    book = write(tmp_path)
    result = run("chapter.py", book, "one", "size = 7")
    assert result.returncode == 0, result.stderr
    assert "unknown parameter" not in result.stdout + result.stderr
    (folder,) = (book.build / "chapters").iterdir()
    assert "not applicable" in (folder / "one.html").read_text(encoding="utf-8")
    assert "size = 7" in (folder / "one.ipynb").read_text(encoding="utf-8")
    assert not book.executed("one").exists(), "the book itself is untouched"


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("one", "sise=7", "no parameter 'sise'; its parameters are: size=1"),
        ("one", "size=seven", "`size` must be a Python literal such as 1, but is 'seven'"),
        ("one", "7", "must read `name=value name=value`"),
        ("three", "", "NAME must be one of one, two, but is 'three'"),
    ],
)
def test_misspelt_parameters_are_told(tmp_path: Path, name: str, values: str, sentence: str) -> None:
    result = run("chapter.py", write(tmp_path), name, values)
    assert result.returncode == 1
    assert sentence in result.stderr


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a = 1\nb, c = [2, 3], -0.5  # units", {"a": 1, "b": [2, 3], "c": -0.5}),
        ("a = len('x')", None),
        ("a.b = 1", None),
        ("a, b = 1, 2, 3", None),
        ("import math", None),
    ],
)
def test_parameters_are_read_without_running_them(source: str, expected: dict | None) -> None:
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_code_cell("d = 4")])
    if expected is None:
        with pytest.raises(BookError, match="must assign literal values to names, but has the line"):
            parameters(notebook)
    else:
        assert parameters(notebook) == expected
