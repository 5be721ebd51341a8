"""Is the house as it is drawn: imports go down only, never in a circle, and the witnesses stand alone?

Imports are read off the code, those inside functions included, so that nothing has to be run.
"""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"
#: The floors of the library, from the ground up; a module may import from its own floor and from those below.
FLOORS = (
    ("errors", "progress", "optional", "software", "numerics"),
    ("problem", "travel", "result"),
    ("symmetric",),
    ("methods",),
    ("theory",),
    ("question",),
    ("state",),
    ("readouts", "starts", "responses", "api", "sweeps", "__init__"),
)
#: Independent routes to the same numbers: they share the problem with the method they check, and nothing else.
WITNESSES = ("full_space", "dicke", "dicke_polynomials", "spin_boson")
#: What notebooks import of the record; none of it may need the machinery that executes and renders.
LIGHT = ("parameters", "ledger", "settings", "style", "figure_data", "fits", "__init__")


def modules(package: str) -> dict[str, Path]:
    """The modules of a package by full name; a package's own file is `package.__init__`."""
    files = sorted((SOURCE / package).rglob("*.py"))
    return {".".join(path.relative_to(SOURCE).with_suffix("").parts): path for path in files}


def imported(module: str, path: Path) -> Iterator[str]:
    """The modules of this repository that a module imports, by full name."""
    known = {name for package in ("centralspin", "claimbook") for name in modules(package)}
    for line in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(line, ast.Import):
            targets = [alias.name for alias in line.names]
        elif isinstance(line, ast.ImportFrom):
            base = module.split(".")[: -line.level] if line.level else []
            stem = ".".join([*base, *([line.module] if line.module else [])])
            targets = [f"{stem}.{alias.name}" for alias in line.names]
        else:
            continue
        for target in targets:
            parents = (target, target.rpartition(".")[0])
            yield from [
                name for parent in parents for name in (parent, f"{parent}.__init__") if name in known
            ][:1]


def floor(module: str) -> int:
    room = module.split(".")[1]
    (level,) = [level for level, rooms in enumerate(FLOORS) if room in rooms]
    return level


def graph(package: str) -> dict[str, set[str]]:
    return {module: set(imported(module, path)) - {module} for module, path in modules(package).items()}


def test_the_reading_of_imports_sees_all_forms(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(
        "from . import cut\nfrom .. import errors\nimport claimbook.fits\n"
        "def f():\n    from ..problem.moments import Moment\n    from centralspin import evolve\n",
        encoding="utf-8",
    )
    assert set(imported("centralspin.symmetric.x", path)) >= {
        "centralspin.errors",
        "claimbook.fits",
        "centralspin.problem.moments",
        "centralspin.__init__",
    }


def test_every_room_has_its_floor() -> None:
    rooms = {module.split(".")[1] for module in modules("centralspin")}
    assert rooms <= {room for level in FLOORS for room in level}


def test_no_import_goes_up() -> None:
    upwards = {
        f"{module} imports {target}"
        for module, targets in graph("centralspin").items()
        for target in targets
        if target.startswith("centralspin.") and floor(target) > floor(module)
    }
    assert not upwards


@pytest.mark.parametrize("package", ["centralspin", "claimbook"])
def test_no_import_goes_in_a_circle(package: str) -> None:
    found = graph(package)
    # A package's own file re-exports; that it stands above its modules is said by the floors.
    inner = {module: {t for t in targets if not t.endswith("__init__")} for module, targets in found.items()}
    graphlib.TopologicalSorter(inner).prepare()


def test_record_and_physics_know_nothing_of_each_other() -> None:
    for package, other in (("centralspin", "claimbook"), ("claimbook", "centralspin")):
        crossing = {
            m: t for m, targets in graph(package).items() for t in targets if t.startswith(f"{other}.")
        }
        assert not crossing
    text = "".join(path.read_text(encoding="utf-8") for path in modules("claimbook").values())
    assert "centralspin" not in text, "what is this book's own is in [tool.claimbook]"


@pytest.mark.parametrize("name", WITNESSES)
def test_witnesses_share_nothing_with_the_method(name: str) -> None:
    found, seen, stack = graph("centralspin"), set(), [f"centralspin.methods.{name}"]
    while stack:
        module = stack.pop()
        if module not in seen:
            seen.add(module)
            stack += [target for target in found.get(module, ()) if not target.endswith("__init__")]
    assert not {module for module in seen if module.startswith("centralspin.symmetric")}


def test_notebooks_need_little_of_the_record() -> None:
    found = graph("claimbook")
    for name in LIGHT:
        assert {target.split(".")[1] for target in found[f"claimbook.{name}"]} <= set(LIGHT)


@pytest.mark.parametrize("package", ["centralspin", "claimbook"])
def test_every_folder_says_what_belongs_there(package: str) -> None:
    for module, path in modules(package).items():
        if path.name == "__init__.py":
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
            assert text and len(text) > 40, module
