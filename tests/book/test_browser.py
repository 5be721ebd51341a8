"""Does a browser show the built book as it is meant: every page, on a desktop and a phone, in both themes?"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest

from claimbook.browser import PROGRAM, Browser, wait_for
from claimbook.layout import Book
from claimbook.serve import served

BOOK = Book(Path(__file__).resolve().parents[2])
SITE = BOOK.site
WIDTHS = {"desktop": 1280, "phone": 390}
THEMES = ("light", "dark")

pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"
)

FAULTS = (
    "mathematics that is not typeset",
    "pictures that do not load",
    "pictures without a description",
    "figures not shown",
    "too wide",
    "sticking out",
    "cut off",
    "requests to other hosts",
    "failed requests",
    "errors in the console",
)

#: Until the page is as its reader sees it: mathematics typeset, fonts and pictures there, folded code unfolded.
READY = """(async () => {
  if (window.MathJax?.startup) await MathJax.startup.promise;
  await window.claimbook?.showAll();
  document.querySelectorAll("details").forEach(fold => fold.open = true);
  await document.fonts.ready;
  document.querySelectorAll("img").forEach(image => image.loading = "eager");
  await Promise.all([...document.images].map(image => image.decode().catch(() => {})));
})()"""

#: What a page holds, at any width and in any theme.
CONTENT = r"""(() => {
  const all = (selector, test = () => true) => [...document.querySelectorAll(selector)].filter(test);
  const source = element => element.outerHTML.slice(0, 200);
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), raw = [];
  for (let node; (node = texts.nextNode());)
    if (/\\\(|\\\[|\$[^$]+\$/.test(node.data)
        && !node.parentElement.closest("script, style, pre, code, mjx-container")) raw.push(node.data.trim());
  return {
    "formulas": all(".math").length,
    "figures": all("figure").length,
    "mathematics that is not typeset": [
      ...raw,
      ...all(".math", element => !element.querySelector("mjx-container")).map(source),
      ...all("mjx-merror, merror, [data-mjx-error]").map(source)],
    "pictures that do not load": all("img", image => image.naturalWidth === 0).map(source),
    "pictures without a description": all("img", image => image.alt.trim().split(/\s+/).length < 3).map(source),
    "links": all("a[href]").map(link => link.href),
    "targets": all("[id], a[name]").map(element => element.id || element.name),
  };
})()"""

#: What cannot be read at the page's present width: it sticks out of the page, or is cut off by a box around it.
#: Code, tables and displayed equations may scroll in boxes of their own, but not the page as a whole.
LAYOUT = """(() => {
  const page = document.scrollingElement, width = page.clientWidth;
  const elements = [...document.querySelectorAll(".bd-article-container *")].filter(
    element => element.checkVisibility({visibilityProperty: true}) && !element.closest("mjx-container *"));
  const style = element => getComputedStyle(element);
  const scrolls = box => ["auto", "scroll"].includes(style(box).overflowX) && style(box).display !== "table-cell";
  const reachable = element => {
    for (let box = element; box !== document.body; box = box.parentElement)
      if (scrolls(box) && box.getBoundingClientRect().right <= width + 1) return !box.querySelector("h1");
    return false;
  };
  const source = element => element.outerHTML.slice(0, 200);
  return {
    "too wide": page.scrollWidth > width ? [`${page.scrollWidth} in ${width}`] : [],
    "sticking out": elements
      .filter(element => element.getBoundingClientRect().right > width + 1 && !reachable(element)).map(source),
    "cut off": elements
      .filter(box => style(box).overflowX !== "visible" && style(box).display !== "inline" && !scrolls(box)
        && box.clientWidth > 20 && box.scrollWidth > box.clientWidth + 1).map(source),
    "figures not shown": [...document.querySelectorAll("figure img")]
      .filter(image => image.clientWidth < 100 || image.clientHeight < 50).map(image => image.alt),
  };
})()"""


@pytest.fixture(scope="module")
def browsers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Browser]]:
    browsers = [Browser(tmp_path_factory.mktemp("chromium")) for _ in range(2)]
    yield browsers
    for browser in browsers:
        browser.close()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    if not (SITE / "index.html").exists():
        pytest.fail("The book is not built: run `make book` first.")
    with served(SITE) as address:
        yield address


@pytest.fixture(scope="module")
def visits(browsers: list[Browser], site: str) -> dict[str, dict[str, Any]]:
    """What was found on every page, by its path; the browsers share the work."""
    pages = [path.relative_to(SITE).as_posix() for path in sorted(SITE.rglob("*.html"))]
    pages.remove("index.html")  # which only leads on to the first page
    pages = [page for page in pages if not page.startswith("_static/")]

    def share(number: int) -> dict[str, dict[str, Any]]:
        return {page: visit(browsers[number], site, page) for page in pages[number :: len(browsers)]}

    with ThreadPoolExecutor() as pool:
        return {page: found for part in pool.map(share, range(len(browsers))) for page, found in part.items()}


def visit(browser: Browser, site: str, page: str) -> dict[str, Any]:
    browser.resize(WIDTHS["desktop"])
    browser.open(site + page)
    browser.evaluate(READY)
    found = browser.evaluate(CONTENT)
    for device, width in WIDTHS.items():
        browser.resize(width)
        for theme in THEMES:
            browser.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
            for what, elements in browser.evaluate(LAYOUT).items():
                found.setdefault(what, []).extend(f"{device}, {theme}: {element}" for element in elements)
    urls = [event["request"]["url"] for event in browser.reported("Network.requestWillBeSent")]
    found["requests to other hosts"] = [url for url in urls if not url.startswith((site, "data:", "blob:"))]
    found["failed requests"] = [
        *(event["errorText"] for event in browser.reported("Network.loadingFailed")),
        *(
            f"{event['response']['status']} {event['response']['url']}"
            for event in browser.reported("Network.responseReceived")
            if event["response"]["status"] >= 400
        ),
    ]
    found["errors in the console"] = [
        *(str(event["exceptionDetails"]) for event in browser.reported("Runtime.exceptionThrown")),
        *(
            str(event["args"])
            for event in browser.reported("Runtime.consoleAPICalled")
            if event["type"] == "error"
        ),
        *(
            f"{event['entry']['text']} {event['entry'].get('url', '')}"
            for event in browser.reported("Log.entryAdded")
            if event["entry"]["level"] == "error"
        ),
    ]
    return found


@pytest.mark.parametrize("what", FAULTS)
def test_no_page_has(visits: dict[str, dict[str, Any]], what: str) -> None:
    assert not {page: found[what] for page, found in visits.items() if found[what]}


def test_there_is_something_to_look_at(visits: dict[str, dict[str, Any]]) -> None:
    pages = {f"book/{name}.html" for name in BOOK.chapters()}
    assert pages <= set(visits)
    assert sum(found["formulas"] for found in visits.values()) > 10 * len(pages)
    assert sum(found["figures"] for found in visits.values()) >= len(pages) // 2


def test_links_lead_somewhere(visits: dict[str, dict[str, Any]], site: str) -> None:
    dead = []
    for page, found in visits.items():
        for link in set(found["links"]):
            url, fragment = urldefrag(link)
            if not url.startswith(site):
                continue
            target = unquote(url.removeprefix(site)) or "index.html"
            alive = (SITE / target).is_file()
            if alive and fragment and target in visits:
                alive = unquote(fragment) in visits[target]["targets"]
            if not alive:
                dead.append(f"{page}: {link}")
    assert not dead


def test_search_finds_the_lemma(browsers: list[Browser], site: str) -> None:
    browser = browsers[0]
    browser.open(site + "search.html?q=Lemma+1")
    script = "[...document.querySelectorAll('#search-results li a')].map(link => link.pathname)"
    assert "/book/lemma-1.html" in wait_for(lambda: browser.evaluate(script))


def test_faults_are_found(browsers: list[Browser], tmp_path: Path) -> None:
    """A page with every fault, so that the tests above can be trusted."""
    text = """<!doctype html><div class="bd-article-container"><h1>Faults</h1>
        <p>Raw $x$</p> <span class="math">y</span> <mjx-merror>z</mjx-merror>
        <figure><img src="missing.svg" alt="fig"></figure> <img src="http://127.0.0.1:9/picture.svg" alt="">
        <pre style="width: 2000px">wide</pre>
        <div style="width: 100px; overflow: hidden"><div style="width: 200px">hidden</div></div>
        <div style="overflow: auto"><p style="width: 1500px">Scrolls in its own box, which is no fault.</p></div>
        </div><script>console.error("trouble"); undefined_name()</script>"""
    (tmp_path / "faults.html").write_text(text, encoding="utf-8")
    with served(tmp_path) as address:
        found = visit(browsers[0], address, "faults.html")
    assert {what: bool(found[what]) for what in FAULTS} == dict.fromkeys(FAULTS, True)
    assert len(found["mathematics that is not typeset"]) == 3
    assert len(found["errors in the console"]) >= 2
    assert not [element for element in found["sticking out"] if "no fault" in element]
