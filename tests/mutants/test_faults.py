"""Does the tool plant what it says, and judge rightly?"""

import ast
from pathlib import Path

import pytest

from .campaign import LIBRARY, equivalents, library_tests, run, sources
from .faults import Fault, chosen, faults

EXAMPLE = '''"""A text with 1 + 1 and not a number."""
from math import inf
SMALL: int | None = 1e-9


def f(x, *more, y=2):
    """Add -1."""
    if x < 0 or not more:
        raise ValueError(f"{x + 1} is too small" + str(3))
    return max(x, -y) ** 2, "−·" * x.T[0]
'''


def planted(tmp_path: Path) -> dict[str, list[str]]:
    (tmp_path / "example.py").write_text(EXAMPLE, encoding="utf-8")
    found: dict[str, list[str]] = {}
    for fault in chosen({"example.py": faults(tmp_path / "example.py", tmp_path)}, tmp_path, 1000, 1):
        assert ast.parse(fault.plant(EXAMPLE))
        found.setdefault(fault.line, []).append(fault.becomes)
    return found


def test_faults_are_planted_where_something_is_computed_and_nowhere_else(tmp_path: Path) -> None:
    found = planted(tmp_path)
    assert {line: set(becomes) for line, becomes in found.items()} == {
        "SMALL: int | None = 1e-9": {"SMALL: int | None = 1e-05", "SMALL: int | None = 1e-13"},
        "def f(x, *more, y=2):": {"def f(x, *more, y=3):", "def f(x, *more, y=1):"},
        "if x < 0 or not more:": {
            "if x <= 0 or not more:",
            "if x > 0 or not more:",
            "if x < 1 or not more:",
            "if x < 0 and not more:",
            "if x < 0 or  more:",
        },
        'return max(x, -y) ** 2, "−·" * x.T[0]': {
            'return min(x, -y) ** 2, "−·" * x.T[0]',
            'return max(x, +y) ** 2, "−·" * x.T[0]',
            'return max(x, -y) * 2, "−·" * x.T[0]',
            'return max(x, -y) ** 3, "−·" * x.T[0]',
            'return max(x, -y) ** 1, "−·" * x.T[0]',
            'return max(x, -y) ** 2, "−·" / x.T[0]',
            'return max(x, -y) ** 2, "−·" * x[0]',
            'return max(x, -y) ** 2, "−·" * x.T[1]',
        },
    }


def test_the_choice_is_seeded_spread_and_stable() -> None:
    files = sources()
    one = chosen(files, LIBRARY, 150, 1)
    assert one == chosen(files, LIBRARY, 150, 1) and len(one) >= 150
    assert {fault.file for fault in one} == {name for name, found in files.items() if found}
    assert len({fault.key for fault in one} & {fault.key for fault in chosen(files, LIBRARY, 150, 2)}) < 50
    assert {fault.key for fault in chosen(files, LIBRARY, 100, 1)} <= {fault.key for fault in one}


def test_what_is_listed_as_equivalent_is_a_fault_with_a_reason() -> None:
    assert equivalents(sources()) is not None


@pytest.fixture(scope="module")
def fault() -> Fault:
    (found,) = [
        fault
        for fault in faults(LIBRARY / "symmetric" / "basis.py", LIBRARY)
        if fault.becomes == "self.size = dimension**3"
    ]
    return found


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("assert OperatorBasis(2).size == 4", "noticed"),
        ("assert OperatorBasis(2).dimension == 2", "survived"),
        ("while OperatorBasis(2).size > 4: pass", "hung"),
    ],
)
def test_a_planted_fault_is_judged(body: str, verdict: str, fault: Fault, tmp_path: Path) -> None:
    test = tmp_path / "test_it.py"
    text = f"from centralspin.symmetric.basis import OperatorBasis\ndef test_it():\n    {body}\n"
    test.write_text(text, encoding="utf-8")
    assert run(fault, {"test_it.py::test_it": 3.0}, tmp_path, tmp_path)[0] == verdict


def test_tests_of_the_library_are_found() -> None:
    found = library_tests()
    assert any(name.startswith("tests/symmetric/") or name.startswith("tests/test_sym") for name in found)
    assert not any(name.startswith(("tests/book", "tests/mutants", "tests/claimbook")) for name in found)
