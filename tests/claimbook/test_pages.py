"""What the pages add, on the toy: verdicts in a fold with links both ways, roles, a map of results, a slim site."""

import math
import subprocess
import sysconfig
from pathlib import Path

import nbformat
import pytest
from toy import PATIENCE, write

from claimbook.layout import Book
from claimbook.sphinx.claim_map import share_of
from claimbook.sphinx.reading import names
from claimbook.sphinx.slim import prune, round_paths, strip
from claimbook.sphinx.verdicts import fold_verdicts, summary

INTRO = """# A toy

```{ledger-table}
```

Claims: {claim-count}`all`, {claim-count}`beyond`, {claim-count}`one`; measured {claim-value}`one.size:.2f`.
{repository}`Repository|No repository`, {pdf}`PDF|no PDF`. See `two.size`.

```{claim-map}
- - {chapter: one, title: First, says: The *one*., measured: {one.size: Size}}
  - {chapter: two, title: Second, says: The other., measured: {}}
```
"""


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    book = write(tmp_path_factory.mktemp("toy"))
    (book.source / "intro.md").write_text(INTRO, encoding="utf-8")
    program = Path(sysconfig.get_path("scripts"), "jupyter-book")
    result = subprocess.run(
        [program, "build", book.root, "-W", "-n"], capture_output=True, text=True, timeout=PATIENCE
    )
    assert result.returncode == 0, result.stderr
    return book


def page(book: Book, name: str) -> str:
    return (book.site / "book" / f"{name}.html").read_text(encoding="utf-8")


def test_verdicts_fold_and_lead_to_their_rows(book: Book) -> None:
    text = page(book, "two")
    assert '<details class="checks" open><summary>' in text and "✓ 1 check holds" in text
    assert 'id="check-two-size"' in text and 'href="intro.html#claim-two-size"' in text
    assert '<span class="claim-badge claim-beyond">✚ beyond the sketch</span>' in text
    assert 'href="two.html#check-two-size"' in page(book, "intro")


def test_roles_put_numbers_in_the_text(book: Book) -> None:
    text = page(book, "intro")
    assert "Claims: 2, 2, 1; measured 1.00." in text
    assert "No repository, no PDF." in text
    assert '<a class="claim-link" href="#claim-two-size">' in text, "a claim's name is a link"


def test_map_shows_results_in_chains(book: Book) -> None:
    text = page(book, "intro")
    chain = text[text.index('class="claim-chain"') :]
    assert chain.index('href="one.html">First') < chain.index('href="#claim-one-size"><strong>1</strong>')
    assert chain.index("First") < chain.index("Second")


def test_a_site_leaves_out_what_no_page_uses(book: Book) -> None:
    text = page(book, "two")
    assert "fontawesome.js" not in text and "searchindex.js" not in text
    assert "searchindex.js" in (book.site / "search.html").read_text("utf-8")
    theme = book.site / "_static" / "styles" / "pydata-sphinx-theme.css"
    assert theme.stat().st_size < 150_000
    icons = theme.parents[1] / "vendor" / "fontawesome" / "webfonts" / "fa-solid-900.woff"
    assert 0 < icons.stat().st_size < 20_000


@pytest.mark.parametrize(
    ("sheet", "kept"),
    [
        (".a{x:1}.b{x:2}", ".a{x:1}"),
        (".a .b,.a:not(.b){x:1}", ".a:not(.b){x:1}"),
        ("@media print{.b{x:1}}p{x:2}", "p{x:2}"),
        ("@media print{.a{x:1}.b{x:1}}", "@media print{.a{x:1}}"),
        ('.a{content:"}.b{"}', '.a{content:"}.b{"}'),
        ("@import 'x.css';@font-face{src:url(data:a;b)}", "@import 'x.css';\n@font-face{src:url(data:a;b)}"),
        ("/*! licence */.b{x:1}/* note */", "/*! licence */"),
        (r".sm\:b{x:1}.sm\:a{x:1}", r".sm\:a{x:1}"),
    ],
)
def test_rules_that_apply_to_nothing_are_left_out(sheet: str, kept: str) -> None:
    assert prune(sheet, {"a", "sm:a"}) == kept


def test_digits_and_scripts_are_taken_off() -> None:
    assert (
        round_paths('<path d="M 1.23456 -0.001 L 7 2.5" x="1.23456"/>')
        == '<path d="M 1.23 -0 L 7 2.5" x="1.23456"/>'
    )
    tabs = '<script src="_static/design-tabs.js?v=1"></script>'
    assert strip(tabs) == "" and strip(f"{tabs}<div class='sd-tab-set'>").startswith("<script")


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        ([True], "✓ 1 check holds"),
        ([True, True], "✓ 2 checks hold"),
        ([True, False], "✗ 1 of 2 checks fails"),
        ([True, None], "✓ 1 of 2 checks holds, the rest differ or are skipped"),
        ([None], "– 1 check differs or is skipped"),
    ],
)
def test_verdicts_are_counted_in_words(verdicts: list[bool | None], sentence: str) -> None:
    assert summary(verdicts)[1] == sentence


def test_markup_of_others_stays_as_it_is() -> None:
    record = {"id": "a.b", "kind": "beyond", "holds": True}
    data = {"text/html": "<p>mine</p>", "text/plain": "mine", "application/x+json": record}
    cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", data)])
    notebook = nbformat.v4.new_notebook(cells=[cell])
    fold_verdicts(notebook, "application/x+json", "paper", None)
    assert "<p>mine</p>" in notebook.cells[0].outputs[0].data["text/html"]


def test_share_of_a_bound() -> None:
    def share(relation: str, measured: object, expected: object) -> float | None:
        return share_of({"relation": relation, "measured": measured, "expected": expected})

    assert share("at-most", 0.5, 2.0) == 0.25
    assert share("at-most", 3.0, 2.0) == 1.0 and share("at-most", -1.0, 2.0) == 0.0
    assert share("within", 0.5, 2.0) is None and share("at-most", 1e-12, 1e-8) is None
    assert share("at-most", math.inf, 1.0) is None and share("true", True, True) is None


def test_symbols_of_an_entry() -> None:
    assert names("w_x, w_y") == ["w_x", "w_y"] and names("Γ_± = Γ_↑ ± Γ_↓") == ["Γ_±"]
