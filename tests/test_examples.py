"""Do the examples of the README and of the docstrings run, and give what they say?"""

import ast
import doctest
import inspect
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import centralspin

HERE = Path(__file__).resolve().parents[1]
#: What a user meets first; each shows how it is used.
SHOWN = (
    "CentralSpinModel", "CollectiveModel", "Moment", "Sites", "about", "central_states", "cite", "evolve", "expand",
    "liouvillian", "load", "steady_state", "sweep",
)  # fmt: skip
NUMBER = re.compile(r"[-+]?\d+\.\d*(?:[eE][-+]?\d+)?")


class Checker(doctest.OutputChecker):
    """Numbers with a point agree as far as they are written; how arrays are laid out does not matter."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        got = re.sub(r"np\.float64\(([^()]*)\)", r"\1", got)
        text = ["".join(NUMBER.sub("#", part).split()) for part in (want, got)]
        wanted, found = (NUMBER.findall(part) for part in (want, got))
        if text[0] != text[1] or len(wanted) != len(found):
            return False
        return all(abs(float(a) - float(b)) <= 0.6 * digit(a) for a, b in zip(wanted, found, strict=True))


def digit(number: str) -> float:
    """What one unit of the last digit is worth; a number that is written shortly is exact."""
    mantissa, _, exponent = number.lower().partition("e")
    digits = len(mantissa.partition(".")[2])
    return 10.0 ** (int(exponent or 0) - (digits if digits > 4 else 12))


def examples() -> dict[str, doctest.DocTest]:
    parser, found = doctest.DocTestParser(), {}
    for name in centralspin.__all__:
        item = getattr(centralspin, name)
        if not (inspect.isclass(item) or inspect.isfunction(item)):
            continue
        text = inspect.getdoc(item) or ""
        if ">>>" in text:
            globs = dict(vars(inspect.getmodule(item))) if name in ("about", "cite") else {}
            found[name] = parser.get_doctest(text, globs, name, None, 0)
    return found


EXAMPLES = examples()


def test_what_a_user_meets_first_has_an_example() -> None:
    assert set(SHOWN) <= set(EXAMPLES)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_docstring(name: str) -> None:
    if name == "sweep":
        pytest.importorskip("xarray")
    report: list[str] = []
    runner = doctest.DocTestRunner(Checker(), optionflags=doctest.NORMALIZE_WHITESPACE, verbose=False)
    runner.run(EXAMPLES[name], out=report.append)
    assert runner.tries > 0 and not runner.failures, "".join(report)


@pytest.mark.parametrize(
    ("want", "got", "same"),
    [
        ("0.1235", "np.float64(0.12354)", False),  # short: exact
        ("0.12354", "0.123543", True),
        ("0.12354", "0.123556", False),
        ("(1.0, 2)", "(1.0, 3)", False),
        ("array([ 1. , 0.50000])", "array([1.       , 0.500001])", True),
        ("array([1.0, 2.0])", "array([1.0])", False),
        ("True", "False", False),
    ],
)
def test_the_comparison_of_numbers(want: str, got: str, same: bool) -> None:
    assert Checker().check_output(want, got, 0) is same


GUIDE = sorted(HERE.glob("book/guide-*.md"))


@pytest.mark.parametrize("page", GUIDE, ids=lambda page: page.stem)
def test_guide(page: Path) -> None:
    """A page is one session, from its first line to its last."""
    if page.stem == "guide-sweeps":
        pytest.importorskip("xarray")
    example = doctest.DocTestParser().get_doctest(
        page.read_text(encoding="utf-8"), {}, page.stem, str(page), 0
    )
    report: list[str] = []
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    runner = doctest.DocTestRunner(Checker(), optionflags=flags, verbose=False)
    runner.run(example, out=report.append)
    assert runner.tries > 5 and not runner.failures, "".join(report)


def test_the_guide_has_its_pages() -> None:
    listed = (HERE / "_toc.yml").read_text(encoding="utf-8")
    assert len(GUIDE) >= 5 and all(f"book/{page.stem}" in listed for page in GUIDE)


def test_readme() -> None:
    text = (HERE / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```python\n(.*?)^ *```", text, flags=re.MULTILINE | re.DOTALL)
    assert blocks
    values = []
    for block in blocks:
        scope: dict[str, object] = {}
        for statement in ast.parse(textwrap.dedent(block)).body:
            code = ast.unparse(statement)
            if isinstance(statement, ast.Expr):
                values.append(eval(code, scope))
            else:
                exec(code, scope)
    assert len(values) >= 3
    for value in values:
        for array in value.values() if isinstance(value, Mapping) else [value]:
            assert np.isfinite(array).all() and np.size(array)
