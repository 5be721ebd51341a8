"""Does the figure that is computed in the page agree with the library, and does its page behave?

The script runs in a page of the test's own; only the last tests need the built book.
"""

import functools
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centralspin import CentralSpinModel, evolve
from claimbook.browser import PROGRAM, Browser, wait_for
from claimbook.chapter import parse
from claimbook.layout import Book, parameters
from claimbook.ledger import read_claims

BOOK = Book(Path(__file__).resolve().parents[2])
STATIC = BOOK.source / "_static"
SCRIPT = (STATIC / "live.js").read_text(encoding="utf-8")
OBSERVABLES = ("tau_z", "q", "Q2", "Q4")
TIMES = np.linspace(0, 4, 161)
#: Both sides are asked for this; what they may differ by is ten times that, as round-off adds to it.
TOLERANCE, AGREEMENT = 1e-11, 1e-10

PAPER = {
    "N": 80,
    "g0": 4.0,
    "central_field": [1.0, 0.0, 0.5],
    "central_pump": 0.8,
    "central_decay": 0.1,
    "bath_pump": 0.2,
    "bath_decay": 1.0,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "N=1": {"N": 1},
    "N=6": {"N": 6},
    "N=30": {"N": 30},
    "N=80": {},
    "N=10⁷": {"N": 10**7},
    "N=∞": {"N": math.inf},
    "strong coupling": {"g0": 8.0, "N": 40},
    "strong coupling, N=∞": {"g0": 8.0, "N": math.inf},
    "no coupling": {"g0": 0.0},
    "no driving": {"central_field": [0.0, 0.0, 0.5]},
    "field along y": {"central_field": [-0.4, 0.7, -1.3], "N": 12},
    "other rates": {
        "central_pump": 0.05,
        "central_decay": 1.7,
        "bath_pump": 0.9,
        "bath_decay": 1.6,
        "N": 300,
    },
    "hot bath": {"bath_pump": 0.7, "g0": 2.0},
    "no pump": {"bath_pump": 0.0, "central_pump": 0.0, "N": 1000},
}
FAULTS = {
    "an element of the hops": ("[-1, 0, 1, 0]", "[-1, 0, 1.00001, 0]"),
    "a sign of a hop from σz": ("[0, 2, 0, 1]", "[0, 2, 0, -1]"),
    "the bath's own state": ("[1, -1, 1, -r]", "[1, -1, 1, r]"),
    "the amplitude of all hops": ("amplitude * one", "amplitude * one * 1.00001"),
    "the central field": ("central_field.map(w => 2 * w)", "central_field.map(w => 2.00001 * w)"),
    "the depletion of the condensate": ("(excited - 1) / p.N", "excited / p.N"),
    "the damping of σz": ("(n[0] + n[1]) / 2 + n[2]", "(n[0] + n[1] + n[2]) / 2"),
    "a moment's row": ("(j - 1) / p.N", "j / p.N"),
}
#: As the book shows a chapter's parameters.
CELLS = (
    '<div class="tag_parameters"><pre>{}</pre></div><div class="tag_injected-parameters"><pre>{}</pre></div>'
)
EIGHTY = CELLS.format("bath_sizes = [6, 10, 80]", "")
PICTURE = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='600' height='500'/>"

needs_browser = pytest.mark.skipif(
    PROGRAM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


def show(browser: Browser, folder: Path, script: str = SCRIPT, kind: str = "", cells: str = EIGHTY) -> None:
    """Open a page that has nothing but the live figure, from a file."""
    controls = (STATIC / "live.html").read_text(encoding="utf-8")
    style = (STATIC / "live.css").read_text(encoding="utf-8")
    text = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Live</title><style>{style}</style>
        <script>{script}</script><p>Before.</p>{cells}<div class="live {kind}">{controls}</div>
        <figure><img alt="as executed" src="{PICTURE}">
        <figcaption>Caption.</figcaption></figure><p>After.</p></html>"""
    path = folder / "live.html"
    path.write_text(text, encoding="utf-8")
    browser.open(path.as_uri())


def literal(value: Any) -> str:
    """A number or list as JavaScript."""
    return json.dumps(value).replace("inf", "Inf")


def in_page(browser: Browser, setting: dict[str, Any], tolerance: float = TOLERANCE) -> dict[str, Any]:
    """What the page computes."""
    given = literal(PAPER | setting | {"tolerance": tolerance})
    return browser.evaluate(
        f"(({{times, central_field, N, ...rest}}) => rest)(centralspinLive.evolve({given}))"
    )


def by_library(setting: dict[str, Any]) -> Any:
    """What the library computes."""
    return _by_library(repr(setting), CentralSpinModel(**PAPER | setting))


@functools.cache
def _by_library(_: str, model: CentralSpinModel) -> Any:
    return evolve(model, TIMES, OBSERVABLES, tolerance=TOLERANCE)


def distance(page: dict[str, Any], library: Any) -> float:
    return max(np.abs(np.array(page[name]) - library[name]).max() for name in OBSERVABLES)


def test_script_is_small_and_asks_nobody() -> None:
    assert len(SCRIPT.encode()) <= 20_000
    for name in ("http", "fetch", "XMLHttpRequest", "import", "require", "WebSocket", "eval("):
        assert name not in SCRIPT
    assert max(map(len, SCRIPT.splitlines())) <= 220  # readable, not minified


@needs_browser
@pytest.mark.parametrize("setting", SETTINGS.values(), ids=list(SETTINGS))
def test_page_agrees_with_library(browser: Browser, tmp_path: Path, setting: dict[str, Any]) -> None:
    show(browser, tmp_path)
    found = in_page(browser, setting)
    assert found["error"] <= TOLERANCE
    assert distance(found, by_library(setting)) <= AGREEMENT


@needs_browser
def test_page_agrees_with_library_anywhere(browser: Browser, tmp_path: Path) -> None:
    show(browser, tmp_path)
    draw = random.Random(13)
    for _ in range(4):
        setting = {
            "N": draw.choice([7, 23, 150, 4000, math.inf]),
            "g0": draw.uniform(0, 6),
            "central_field": [draw.uniform(-2, 2) for _ in range(3)],
            "central_pump": draw.uniform(0, 2),
            "central_decay": draw.uniform(0, 2),
            "bath_pump": draw.uniform(0, 0.5),
            "bath_decay": draw.uniform(0.7, 2),
        }
        assert distance(in_page(browser, setting), by_library(setting)) <= AGREEMENT, setting


@needs_browser
@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_fault_in_script_is_seen(browser: Browser, tmp_path: Path, fault: tuple[str, str]) -> None:
    assert SCRIPT.count(fault[0]) == 1
    show(browser, tmp_path, SCRIPT.replace(*fault))
    assert distance(in_page(browser, {"N": 30}), by_library({"N": 30})) > 10 * AGREEMENT


@needs_browser
@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-8])
def test_estimated_error_holds(browser: Browser, tmp_path: Path, tolerance: float) -> None:
    show(browser, tmp_path)
    for name in ("N=80", "N=10⁷", "N=∞", "strong coupling", "hot bath", "other rates", "no driving"):
        found = in_page(browser, SETTINGS[name], tolerance)
        assert distance(found, by_library(SETTINGS[name])) <= found["error"] <= tolerance, name


def settle(browser: Browser) -> None:
    """Wait until the page has computed what it was asked for and said so."""
    wait_for(lambda: not browser.evaluate("document.querySelector('.live').matches('.live-busy')"), 60)


def give(browser: Browser, name: str, value: str, kind: str = "[type=range]") -> None:
    """Move a slider, or type into the box beside it."""
    browser.evaluate(f"""(input => {{
        input.value = {json.dumps(value)};
        input.dispatchEvent(new Event("input", {{bubbles: true}}));
    }})(document.querySelector('[data-name="{name}"]{kind}'))""")


def numbers(browser: Browser) -> np.ndarray:
    """The table: τz, q, Q⁴, Q² by N, ∞, N times the difference."""
    rows = browser.evaluate("""[...document.querySelectorAll(".live tbody tr")].map(
        row => [...row.querySelectorAll("td")].map(cell => cell.textContent))""")
    return np.array([[float(cell.replace("−", "-").replace("–", "nan")) for cell in row] for row in rows])


def text(browser: Browser, selector: str) -> str:
    return browser.evaluate(f"document.querySelector('{selector}').innerText")


@needs_browser
def test_sliders_compute_and_print_numbers_and_command(browser: Browser, tmp_path: Path) -> None:
    show(browser, tmp_path)
    settle(browser)
    give(browser, "g0", "2.5")
    give(browser, "bath_decay", "1.3")
    give(browser, "wx", "-0.4", ":not([type])")
    give(browser, "N", "33", ":not([type])")
    settle(browser)
    setting = {"N": 33, "g0": 2.5, "bath_decay": 1.3, "central_field": [-0.4, 0.0, 0.5]}
    own, limit = (by_library(setting | size) for size in ({}, {"N": math.inf}))
    wanted = np.array([[run[name][-1] for run in (own, limit)] for name in ("tau_z", "q", "Q4", "Q2")])
    found = numbers(browser)
    assert np.abs(found[:, :2] - wanted).max() <= 1.6e-8  # the tolerance, and half a unit of the last digit
    assert np.abs(found[:, 2] - 33 * (wanted[:, 0] - wanted[:, 1])).max() <= 2 * 33e-8
    assert wait_for(lambda: text(browser, ".live-note").startswith("N = 33: cut "))
    _, _, command = text(browser, ".live-run code").partition(" PARAMETERS=")
    declared = read_claims(BOOK.claims)[1]["figure-2"]["declared"]
    assert parse(command.strip("'"), parameters(BOOK.read("figure-2")), declared) == {
        "g0": 2.5, "bath_decay": 1.3, "central_field": [-0.4, 0.0, 0.5], "bath_sizes": [33]}  # fmt: skip
    browser.evaluate("document.querySelector('.live-reset').click()")
    give(browser, "N", "2")  # the third position
    settle(browser)
    assert text(browser, ".live-run code") == "make chapter NAME=figure-2"
    assert "N = 10" in text(browser, ".live-legend")


@needs_browser
def test_starts_from_the_values_of_its_page(browser: Browser, tmp_path: Path) -> None:
    """A page that was run again shows its own run, and marks the paper's values."""
    written = next(
        cell.source for cell in BOOK.read("figure-2").cells if "parameters" in cell.metadata.get("tags", [])
    )
    given = "bath_sizes = [6, 20]\ng0 = 2.0\nbath_pump = 0.3\ncentral_field = [0.0, 0.5, 1.0]"
    show(browser, tmp_path, cells=CELLS.format(written, given))
    settle(browser)
    setting = {"N": 20, "g0": 2.0, "bath_pump": 0.3, "central_field": [0.0, 0.5, 1.0]}
    assert (
        np.abs(numbers(browser)[:2, 0] - [by_library(setting)[name][-1] for name in ("tau_z", "q")]).max()
        <= 1.6e-8
    )
    assert text(browser, ".live-legend .live-paper") == "the paper's values"
    show(browser, tmp_path, cells=CELLS.format(written, ""))
    assert text(browser, ".live-run code") == "make chapter NAME=figure-2"


@needs_browser
def test_values_are_read_by_pointer_and_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    show(browser, tmp_path)
    settle(browser)
    browser.evaluate("document.querySelector('.live-read input').focus()")
    for key, code in (("Home", 36), ("ArrowRight", 39)):
        for kind in ("keyDown", "keyUp"):
            browser("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)
    library = by_library({})
    assert "0.025" in text(browser, ".live-read label")
    assert np.abs(numbers(browser)[:2, 0] - [library["tau_z"][1], library["q"][1]]).max() <= 1.6e-8
    browser.evaluate("window.scrollTo(0, 0)")
    box = browser.evaluate("document.querySelector('.live svg').getBoundingClientRect().toJSON()")
    x = box["x"] + 44 + (box["width"] - 52) / 2
    browser("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=box["y"] + 40)
    assert "2.000" in text(browser, ".live-read label")
    assert np.abs(numbers(browser)[:2, 0] - [library["tau_z"][80], library["q"][80]]).max() <= 1.6e-8
    said = browser.evaluate("document.querySelector('.live-read input').ariaValueText")
    assert f"{library['tau_z'][80]:.4f}" in said
    names = (
        "[...document.querySelectorAll('.live input')].map(i => i.labels[0]?.innerText.trim() || i.ariaLabel)"
    )
    assert all(browser.evaluate(names))


@needs_browser
def test_what_the_page_cannot_do_is_said(browser: Browser, tmp_path: Path) -> None:
    show(browser, tmp_path)
    settle(browser)
    before = numbers(browser)
    give(browser, "N", "0", ":not([type])")
    settle(browser)
    assert "Not a model" in text(browser, ".live-note")
    give(browser, "N", "80", ":not([type])")
    give(browser, "g0", "5000", ":not([type])")
    settle(browser)
    assert "more than a page can compute" in text(browser, ".live-note")
    assert "g0=5000.0" in text(browser, ".live-run code")
    assert (numbers(browser) == before).all()
    give(browser, "g0", "1")
    give(browser, "bath_pump", "1.5")
    settle(browser)
    assert "boson does not exist" in text(browser, ".live-note")
    assert not browser.evaluate(
        "document.querySelector('.live-run').checkVisibility()"
    )  # no chapter takes it
    model = CentralSpinModel(**PAPER | {"g0": 1.0, "bath_pump": 1.5})
    library = evolve(model, TIMES, ("tau_z", "x", "X4"))
    found = [library[name][-1] for name in ("tau_z", "x", "X4")]
    assert np.abs(numbers(browser)[:3, 0] - found).max() <= 3e-8


@needs_browser
def test_long_computation_gives_way(browser: Browser, tmp_path: Path) -> None:
    show(browser, tmp_path)
    settle(browser)
    give(browser, "g0", "22", ":not([type])")
    give(browser, "g0", "1.5")
    settle(browser)
    assert np.abs(numbers(browser)[0, 0] - by_library({"g0": 1.5})["tau_z"][-1]) <= 1.6e-8


@needs_browser
def test_scaled_differences(browser: Browser, tmp_path: Path) -> None:
    show(browser, tmp_path, kind="deviation")
    settle(browser)
    own, limit = by_library({}), by_library({"N": math.inf})
    wanted = [80 * (own[name][-1] - limit[name][-1]) for name in ("tau_z", "q", "Q4", "Q2")]
    assert np.abs(numbers(browser)[:, 2] - wanted).max() <= 1e-8
    assert text(browser, ".live-run code") == "make chapter NAME=ten-million"


@needs_browser
def test_picture_gives_way_only_to_a_running_script(browser: Browser, tmp_path: Path) -> None:
    visible = "[...document.querySelectorAll('.live, figure img')].map(element => element.checkVisibility())"
    shift = """new PerformanceObserver(list => list.getEntries().forEach(entry => {
        window.shifted = (window.shifted ?? 0) + entry.value; })).observe({type: "layout-shift", buffered: true})"""
    added = browser("Page.addScriptToEvaluateOnNewDocument", source=shift)["identifier"]
    for width in (1400, 390):
        browser.resize(width)
        show(browser, tmp_path)
        settle(browser)
        assert browser.evaluate(visible) == [True, False]
        assert browser.evaluate("window.shifted ?? 0") < 0.02
        assert browser.evaluate("document.scrollingElement.scrollWidth") <= width
    browser("Page.removeScriptToEvaluateOnNewDocument", identifier=added)
    browser.evaluate("document.querySelector('.live-switch').click()")
    assert browser.evaluate(visible) == [True, True]
    browser.evaluate("document.querySelector('.live-switch').click()")
    browser("Emulation.setEmulatedMedia", media="print")
    assert browser.evaluate(visible) == [False, True]
    browser("Emulation.setEmulatedMedia", media="")
    show(browser, tmp_path, script="broken(")
    assert browser.evaluate(visible) == [False, True]


def test_chapters_have_it_before_their_figure() -> None:
    box = ":::{container} live%s\n```{raw} html\n:file: _static/live.html\n```\n:::\n\n%s"
    places = {
        "intro": ("", ":::{figure} _static/figure-2.svg"),
        "figure-2": ("", "```{code-cell}"),
        "ten-million": (" deviation", "```{code-cell}"),
    }
    for page, place in places.items():
        assert box % place in (BOOK.source / f"{page}.md").read_text(encoding="utf-8"), page
