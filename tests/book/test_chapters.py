"""Are the chapters' cells as a reader wants to meet them: no idle names, public names only, lines that fit?"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from claimbook.layout import Book

BOOK = Book(Path(__file__).resolve().parents[2])
LIBRARY = BOOK.settings.library
LONGEST_CELL = 15  # lines of code that stand open in the text; longer ones are folded
LONGEST_LINE = 90  # characters of code that fit the page without scrolling
#: What chapters may import of the two packages, beyond names that the packages export themselves.
PUBLIC = {f"{LIBRARY}.methods", f"{LIBRARY}.theory", "claimbook.style", "claimbook.fits"}


def cells(chapter: str) -> list[str]:
    return [cell.source for cell in BOOK.read(chapter).cells if cell.cell_type == "code"]


def python(chapter: str) -> str:
    """A chapter's code as one module, cell after cell."""
    return (
        "\n".join(f"# cell {number}\n{source}" for number, source in enumerate(cells(chapter), start=1))
        + "\n"
    )


def test_cells_have_no_idle_or_unknown_names(tmp_path: Path) -> None:
    """What pyflakes sees; each cell ends with a value that is shown, and set-up is imported cell by cell."""
    for chapter in BOOK.chapters():
        (tmp_path / f"{chapter}.py").write_text(python(chapter), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--select",
        "F",
        "--output-format",
        "concise",
        ".",
    ]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout


def imports(chapter: str) -> Iterator[str]:
    """The full names that a chapter imports of the two packages."""
    for line in ast.walk(ast.parse(python(chapter))):
        if isinstance(line, ast.Import):
            names = [alias.name for alias in line.names]
        elif isinstance(line, ast.ImportFrom):
            names = [f"{line.module}.{alias.name}" for alias in line.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in (LIBRARY, "claimbook"))


def is_public(name: str) -> bool:
    package, _, inner = name.partition(".")
    exported = __import__(package).__all__
    within = any(f"{name}.".startswith(f"{public}.") for public in PUBLIC)
    private = any(part.startswith("_") for part in name.split("."))
    return not private and (inner in exported or within or not inner)


@pytest.mark.parametrize("chapter", BOOK.chapters())
def test_chapter_imports_public_names_only(chapter: str) -> None:
    assert not [name for name in imports(chapter) if not is_public(name)]


@pytest.mark.parametrize("chapter", BOOK.chapters())
def test_a_notebook_installs_all_that_its_chapter_imports(chapter: str) -> None:
    project = tomllib.loads((BOOK.root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    installed = [*project["dependencies"], *project["optional-dependencies"]["notebook"]]
    known = {LIBRARY, "claimbook", *(re.split("[><=]", line)[0] for line in installed)}
    lines = list(ast.walk(ast.parse(python(chapter))))
    names = [alias.name for line in lines if isinstance(line, ast.Import) for alias in line.names]
    names += [line.module or "" for line in lines if isinstance(line, ast.ImportFrom)]
    assert {name.split(".")[0] for name in names} <= known | set(sys.stdlib_module_names)


@pytest.mark.parametrize("chapter", BOOK.chapters())
def test_open_cells_are_short(chapter: str) -> None:
    folded = {"hide-input", "hide-cell", "parameters"}
    for cell in BOOK.read(chapter).cells:
        if cell.cell_type == "code" and not folded & set(cell.metadata.get("tags", [])):
            lines = [line for line in cell.source.splitlines() if line.strip()]
            assert len(lines) <= LONGEST_CELL, cell.source


@pytest.mark.parametrize("chapter", BOOK.chapters())
def test_code_fits_the_page(chapter: str) -> None:
    lines = [line for source in cells(chapter) for line in source.splitlines()]
    assert not [line for line in lines if len(line) > LONGEST_LINE]
