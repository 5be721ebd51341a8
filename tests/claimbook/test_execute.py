"""Does an execution run what has changed and nothing else, keep what is finished, and say what went wrong?"""

import errno
import json
import re
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from toy import PATIENCE, run, start, write

from claimbook import execute
from claimbook.execute import execute_book
from claimbook.layout import Book, BookError, foreign_code, parameters, with_outputs


def executed(output: str) -> list[str]:
    """The chapters that were started, in order."""
    return re.findall(r"^(\w+): started", output, flags=re.MULTILINE)


def test_what_an_execution_depends_on(tmp_path: Path) -> None:
    book = write(tmp_path)

    def digests() -> list[str]:
        return [Book(tmp_path).chapter_digest(name) for name in ("one", "two")]

    def changed(name: str, text: str) -> list[bool]:
        path = tmp_path / name
        before, old = digests(), path.read_text(encoding="utf-8") if path.exists() else None
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        after = digests()
        path.unlink() if old is None else path.write_text(old, encoding="utf-8")
        assert digests() == before
        return [one != other for one, other in zip(before, after, strict=True)]

    assert changed("src/library/one.py", "double = float\n") == [True, True]
    assert changed("src/library/two.py", "from .one import double  # twice\n") == [False, True]
    assert changed("src/library/other.py", "unused = None\n") == [False, False]
    assert changed("requirements.lock", "numpy==0\n") == [True, True]
    assert changed("book/data.csv", "1\n") == [True, True]
    assert changed("book/_static/icon.svg", "<svg/>") == [False, False]
    chapter = book.source.joinpath("two.md").read_text(encoding="utf-8")
    assert changed("book/two.md", chapter + "\nOne more sentence.\n") == [False, False]
    assert changed("book/two.md", chapter.replace("size = 1", "size = 1.0")) == [False, True]
    claims = book.claims.read_text(encoding="utf-8")
    for old, new, expected in (
        ("two: {parameters: {size: 1}", "two: {parameters: {size: 2}", [False, True]),
        ("two: {parameters", "two: {about: it, parameters", [False, False]),
        (
            "id: one.size, chapter: one, where: here",
            "id: one.size, chapter: one, where: there",
            [True, False],
        ),
    ):
        assert old in claims
        assert changed("book/claims.yml", claims.replace(old, new)) == expected
    assert changed("pyproject.toml", '[tool.claimbook]\nname = "other"\n') == [True, True]


def test_a_failure_is_told_and_the_others_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    book = write(tmp_path, expected=2)
    (failure,) = execute_book(book)
    assert "Claim `two.size` (here) fails: size must be within 1e-09 of 2, but is 1." in failure
    assert "Traceback" not in failure
    assert book.executed("one").exists() and not book.executed("two").exists()
    assert sorted(executed(capfd.readouterr().out)) == ["one", "two"]

    write(tmp_path, more="undefined_name")
    (failure,) = execute_book(book)
    assert "two: cell 2 stopped with NameError: name 'undefined_name' is not defined" in failure
    assert executed(capfd.readouterr().out) == ["two"]

    write(tmp_path, more="import os; os._exit(3)")
    (failure,) = execute_book(book)
    assert failure.startswith("two: the Python process of the chapter died")
    assert "\n" not in failure

    write(tmp_path)
    assert execute_book(book) == []
    capfd.readouterr()
    assert execute_book(book) == []
    assert capfd.readouterr().out.strip() == "2 of 2 chapters are unchanged."


def test_lines_of_chapters_that_run_side_by_side_stay_whole(capfd: pytest.CaptureFixture[str]) -> None:
    """More threads than processors, and lines long enough for a switch between a line and its end."""
    lines = [f"{name}: " + name * 2000 for name in "abcdefgh"]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(len(lines)) as pool:
            list(pool.map(execute.say, lines * 100))
    finally:
        sys.setswitchinterval(interval)
    assert sorted(capfd.readouterr().out.splitlines()) == sorted(lines * 100)


def test_full_disk_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "notebook.ipynb")

    monkeypatch.setattr(execute.nbformat, "write", refuse)
    failures = execute_book(write(tmp_path))
    assert (
        failures
        == [
            "The operating system refused: No space left on device (notebook.ipynb): "
            "make room and run the same command again."
        ]
        * 2
    )


def test_chapters_run_side_by_side(tmp_path: Path) -> None:
    """Each chapter waits for the other one, which alone it would do in vain."""
    book = write(tmp_path)
    wait = """
import pathlib, time
pathlib.Path("{name}.begun").touch()
end = time.monotonic() + 60
while not pathlib.Path("{other}.begun").exists():
    assert time.monotonic() < end
    time.sleep(0.02)
"""
    for name, other in (("one", "two"), ("two", "one")):
        path = book.source / f"{name}.md"
        line = f'claims = Ledger("{name}", globals())'
        text = path.read_text(encoding="utf-8").replace(line, line + wait.format(name=name, other=other))
        path.write_text(text, encoding="utf-8")
    assert execute_book(book, jobs=2) == []


def test_longest_chapter_runs_first(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    book = write(tmp_path)
    for name, seconds in (("one", 3.0), ("two", 30.0)):
        notebook = nbformat.v4.new_notebook(metadata={"toy": {"seconds": seconds, "digest": "old"}})
        book.executed(name).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, book.executed(name))
    assert execute_book(book, jobs=1) == []
    assert executed(capfd.readouterr().out) == ["two", "one"]


def test_books_own_code_runs_whatever_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither another library on the path nor a kernel named python3 that belongs to another Python is used."""
    book = write(tmp_path / "book")
    foreign = tmp_path / "foreign"
    (foreign / "library").mkdir(parents=True)
    (foreign / "library" / "__init__.py").write_text("raise SystemExit('foreign')", encoding="utf-8")
    kernel = foreign / "kernels" / "python3"
    kernel.mkdir(parents=True)
    spec = {"argv": ["false"], "display_name": "Python 3", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(foreign))
    monkeypatch.setenv("JUPYTER_PATH", str(foreign))
    assert execute_book(book) == []
    (book.source / "library.py").write_text("raise SystemExit('beside the chapters')", encoding="utf-8")
    failures = execute_book(book)
    assert len(failures) == 2
    assert all(failure.startswith("The book must run its own `library` in") for failure in failures)


def test_anothers_claimbook_is_refused(tmp_path: Path) -> None:
    """In a copied clone whose environment still leads to the first one."""
    book = write(tmp_path)
    own = tmp_path / "src" / "claimbook"
    own.mkdir()
    (own / "__init__.py").touch()
    sentence = foreign_code(str(tmp_path / "src"))
    assert sentence.startswith(f"The book must run its own `claimbook` in {tmp_path / 'src'}, but the one")
    with pytest.raises(BookError, match="must run its own `claimbook`"):
        execute_book(book)


@pytest.mark.skipif(sys.platform == "win32", reason="interrupts are sent differently on Windows")
@pytest.mark.parametrize("ignoring_interrupts", [False, True])
def test_interrupted_run_keeps_what_is_finished(tmp_path: Path, ignoring_interrupts: bool) -> None:
    book = write(tmp_path, more="import time; time.sleep(600)")
    with start(tmp_path, "execute", ignoring_interrupts=ignoring_interrupts) as process:
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        assert process.stdout and process.stderr
        lines = []
        while not any(line.startswith("one: ") and line.endswith(" s, 1 of 2\n") for line in lines):
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        interrupted = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
        watchdog.cancel()
    assert time.monotonic() - interrupted < 5
    assert process.returncode == 130
    assert errors.strip() == "Stopped. The chapters already finished are kept."
    assert book.executed("one").exists() and not book.executed("two").exists()


def test_unforeseen_settings_are_told(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.claimbook]\nnaem = 'toy'\n", encoding="utf-8")
    status, _, errors = run(tmp_path, "execute")
    assert status == 1
    assert "`naem` under [tool.claimbook] must be left out; the keys are name, source" in errors
    (tmp_path / "_toc.yml").unlink()
    status, _, errors = run(tmp_path, "execute")
    assert status == 1 and "must hold `_toc.yml`" in errors


def test_outputs_find_their_cells_among_changed_prose() -> None:
    code, prose = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell

    def ran(source: str, *tags: str) -> nbformat.NotebookNode:
        shown = nbformat.v4.new_output("stream", text=f"ran {source}")
        return code(source, outputs=[shown], execution_count=1, metadata={"tags": list(tags)})

    written = [prose("new"), code("a = 1"), prose("between"), code("b"), prose("last")]
    executed = [prose("old"), ran("a = 1"), ran("a = 2", "injected-parameters"), ran("b")]
    metadata = {"language_info": {"name": "python"}, "toy": {"seconds": 1.0}}
    merged = with_outputs(
        nbformat.v4.new_notebook(cells=written), nbformat.v4.new_notebook(cells=executed, metadata=metadata)
    )
    assert [cell.source for cell in merged.cells] == ["new", "a = 1", "a = 2", "between", "b", "last"]
    assert [cell.outputs[0].text for cell in merged.cells if cell.cell_type == "code"] == [
        "ran a = 1",
        "ran a = 2",
        "ran b",
    ]
    assert merged.metadata.toy == {"seconds": 1.0}


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
