"""Does a browser show the built book as it is meant: every page, on a desktop and a phone, in both themes?"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest

from claimbook.browser import PROGRAM, Browser, wait_for
from claimbook.layout import Book
from claimbook.ledger import read_claims
from claimbook.serve import served

BOOK = Book(Path(__file__).resolve().parents[2])
SITE = BOOK.site
WIDTHS = {"desktop": 1400, "tablet": 820, "phone": 390}
MOST_BYTES = 1_500_000  # that a first visit loads
MOST_SHIFT = 0.1  # of the layout while a page is loaded, in the browser's measure
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
    "wider than a desktop's page",
    "pale",
    "without a name",
    "too heavy",
    "moving while it loads",
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

#: A page shows itself once its first part is typeset, or after some seconds; on a busy machine those would pass.
PATIENT = "{const wait = setTimeout; window.setTimeout = (act, ms) => wait(act, ms > 2000 ? 1e6 : ms);}"

#: By how much the layout has shifted so far.
SHIFT = """MathJax.startup.promise.then(() => new Promise(resolve => {
  let sum = 0;
  new PerformanceObserver(list => { for (const entry of list.getEntries()) sum += entry.value; })
    .observe({type: "layout-shift", buffered: true});
  setTimeout(() => resolve(sum), 100);
}))"""

#: Text whose contrast with what is behind it is below 4.5, or 3 if it is large. A colour is painted to see it plain.
PALE = """(() => {
  const pen = Object.assign(document.createElement("canvas"), {width: 1, height: 1})
    .getContext("2d", {willReadFrequently: true});
  const seen = new Map();
  const plain = colour => {
    if (!seen.has(colour)) {
      pen.clearRect(0, 0, 1, 1);
      pen.fillStyle = colour;
      pen.fillRect(0, 0, 1, 1);
      seen.set(colour, [...pen.getImageData(0, 0, 1, 1).data]);
    }
    return seen.get(colour);
  };
  const luminance = ([...rgb]) => rgb.slice(0, 3).map(value => value / 255)
    .map(value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = element => {
    for (let box = element; box; box = box.parentElement) {
      const colour = plain(getComputedStyle(box).backgroundColor);
      if (colour[3] > 127) return colour;
    }
    return [255, 255, 255, 255];
  };
  const found = new Set();
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!text || !element.checkVisibility({visibilityProperty: true})) continue;
    if (element.closest("mjx-container, svg, [disabled]")) continue;
    const style = getComputedStyle(element), size = parseFloat(style.fontSize);
    const [light, dark] = [luminance(plain(style.color)), luminance(behind(element))].sort((a, b) => b - a);
    const least = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight) >= 700) ? 3 : 4.5;
    if ((light + 0.05) / (dark + 0.05) < least - 0.01)
      found.add(`${((light + 0.05) / (dark + 0.05)).toFixed(2)} ${element.outerHTML.slice(0, 120)}`);
  }
  return [...found];
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
    "without a name": all("a[href], button, input, select", element => element.checkVisibility()
      && ![element.textContent, element.ariaLabel, element.title, element.placeholder, element.labels?.[0]?.textContent,
           ...[...element.querySelectorAll("img")].map(image => image.alt)].some(name => name?.trim())).map(source),
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
    "wider than a desktop's page": width < 1300 ? []
      : [...document.querySelectorAll("article .scrolls:not(td *)")].map(source),
    "figures not shown": [...document.querySelectorAll("figure img")]
      .filter(image => (image.clientWidth < 100 || image.clientHeight < 50)
        && !image.closest(".live + *")).map(image => image.alt),  // a live figure stands for it, see test_live
  };
})()"""


@pytest.fixture(scope="module")
def browsers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Browser]]:
    browsers = [Browser(tmp_path_factory.mktemp("chromium")) for _ in range(2)]
    for browser in browsers:
        browser("Network.setCacheDisabled", cacheDisabled=True)  # each visit is a first one
        browser("Page.addScriptToEvaluateOnNewDocument", source=PATIENT)
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
    moved = browser.evaluate(f"window.MathJax?.startup ? {SHIFT} : 0")
    received = sum(event["encodedDataLength"] for event in browser.reported("Network.loadingFinished"))
    browser.evaluate(READY)
    found = browser.evaluate(CONTENT)
    found["moving while it loads"] = [moved] if moved > MOST_SHIFT else []
    found["too heavy"] = [received] if received > MOST_BYTES else []
    for device, width in WIDTHS.items():
        browser.resize(width)
        for theme in THEMES:
            browser.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
            for what, elements in browser.evaluate(LAYOUT).items():
                found.setdefault(what, []).extend(f"{device}, {theme}: {element}" for element in elements)
            if device == "phone":
                found.setdefault("pale", []).extend(f"{theme}: {text}" for text in browser.evaluate(PALE))
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
        <div id="late"></div> <p style="height: 600px">Moved</p>
        <p style="color: #777; background: #888">Pale</p> <button></button>
        <article><pre class="scrolls">x</pre></article>
        <p>Raw $x$</p> <span class="math">y</span> <mjx-merror>z</mjx-merror>
        <figure><img src="missing.svg" alt="fig"></figure> <img src="http://127.0.0.1:9/picture.svg" alt="">
        <pre style="width: 2000px">wide</pre>
        <div style="width: 100px; overflow: hidden"><div style="width: 200px">hidden</div></div>
        <div style="overflow: auto"><p style="width: 1500px">Scrolls in its own box, which is no fault.</p></div>
        <object data="heavy.txt"></object>
        </div><script>
        MathJax = {startup: {promise: new Promise(resolve => setTimeout(() => {
          document.getElementById("late").style.height = "500px";
          setTimeout(resolve, 200);
        }, 200))}};
        console.error("trouble"); undefined_name()</script>"""
    (tmp_path / "faults.html").write_text(text, encoding="utf-8")
    (tmp_path / "heavy.txt").write_text("x" * MOST_BYTES, encoding="utf-8")
    with served(tmp_path) as address:
        found = visit(browsers[0], address, "faults.html")
    assert {what: bool(found[what]) for what in FAULTS} == dict.fromkeys(FAULTS, True)
    assert len(found["mathematics that is not typeset"]) == 3
    assert len(found["errors in the console"]) >= 2
    assert not [element for element in found["sticking out"] if "no fault" in element]


# --- what the pages do ---


def opened(browser: Browser, url: str) -> Browser:
    browser.resize(WIDTHS["desktop"])
    browser.open("about:blank")  # from there also a place on the same page is loaded afresh
    browser.open(url)
    browser.evaluate("MathJax.startup.promise.then(() => true)")
    return browser


OPEN = "[...document.querySelectorAll('article details')].map(fold => fold.open)"
PRESS = "document.querySelector('.reading-mode button[value={}]').click()"


def test_switch_folds_and_is_remembered(browsers: list[Browser], site: str) -> None:
    browser = opened(browsers[0], site + "book/figure-2.html")
    browser.evaluate("localStorage.removeItem('claimbook-shows')")
    opened(browser, site + "book/figure-2.html")
    assert not any(browser.evaluate(OPEN)), "code that draws and verdicts are folded at first"
    summaries = browser.evaluate(
        "[...document.querySelectorAll('details.checks summary')].map(e => e.textContent)"
    )
    assert any("checks hold" in text for text in summaries)
    browser.evaluate(PRESS.format("everything"))
    assert all(browser.evaluate(OPEN))
    opened(browser, site + "book/lemma-1.html")
    assert all(browser.evaluate(OPEN)), "another page remembers"
    browser.evaluate(PRESS.format("physics"))
    assert not any(browser.evaluate(OPEN))
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert all(browser.evaluate(OPEN)), "on paper all is shown"
    browser.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not any(browser.evaluate(OPEN))


def test_a_link_to_a_verdict_unfolds_it(browsers: list[Browser], site: str) -> None:
    browser = opened(browsers[0], site + "book/figure-2.html#check-fig2-d-q4")
    assert browser.evaluate("document.getElementById('check-fig2-d-q4').checkVisibility()")


def test_ledger_is_filtered_and_typeset_on_demand(browsers: list[Browser], site: str) -> None:
    claims, _ = read_claims(BOOK.claims)
    browser = opened(browsers[0], site + "book/ledger.html")
    raw = "[...document.querySelectorAll('.ledger-tool .math')].filter(e => !e.querySelector('mjx-container')).length"
    assert browser.evaluate(raw) > 1000, "what is folded waits"
    count = "document.querySelector('.ledger-filter output').textContent"
    assert browser.evaluate(count) == f"{len(claims)} claims"
    assert browser.evaluate("document.querySelector('.ledger-tool').clientHeight") < 3000
    choose = """(([name, value]) => {
      const field = document.querySelector(`.ledger-filter [name=${name}]`);
      field.value = value;
      field.dispatchEvent(new Event("input", {bubbles: true}));
    })(%s)"""
    browser.evaluate(choose % '["kind", "corrected"]')
    wanted = sum(claim.kind == "corrected" for claim in claims.values())
    rows = "[...document.querySelectorAll('.ledger-tool tbody tr')].filter(row => row.checkVisibility())"
    assert browser.evaluate(f"{rows}.length") == wanted
    assert browser.evaluate(count) == f"{wanted} of {len(claims)} claims"
    browser.evaluate(choose % '["text", "caption"]')
    found = browser.evaluate(f"{rows}.map(row => row.textContent.toLowerCase())")
    assert 0 < len(found) < wanted and all("caption" in text for text in found)
    opened(browser, site + "book/ledger.html#claim-fig2-d-q4")
    assert browser.evaluate("document.getElementById('claim-fig2-d-q4').checkVisibility()")
    typeset = "document.getElementById('claim-fig2-d-q4').querySelector('.math mjx-container') !== null"
    assert wait_for(lambda: browser.evaluate(typeset))


HOVER = """(element => {
  element.scrollIntoView();
  element.dispatchEvent(new PointerEvent("pointerover", {bubbles: true, pointerType: "mouse"}));
})(%s)"""
PREVIEW = "document.getElementById('preview').hidden ? '' : document.getElementById('preview').textContent"


@pytest.mark.parametrize("address", ["http", "file"])
def test_previews(browsers: list[Browser], site: str, address: str) -> None:
    root = site if address == "http" else f"{SITE.as_uri()}/"
    browser = opened(browsers[0], root + "book/corollary-1.html")
    browser.evaluate(HOVER % "document.querySelector('article a.reference[href^=\"#eq\"]')")
    assert wait_for(lambda: browser.evaluate(PREVIEW))
    browser.evaluate("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}))")
    assert browser.evaluate(PREVIEW) == ""
    formula = "[...document.querySelectorAll('article span.math')].find(e => e.dataset.tex.includes('Ω_{'))"
    browser.evaluate(HOVER % formula)
    assert "stationary product state" in wait_for(lambda: browser.evaluate(PREVIEW))
    if address == "http":  # a page in a folder may not read another one
        browser.evaluate(HOVER % "document.querySelector('article a[href*=\"references.html#\"]')")
        assert "Physical Review Letters" in wait_for(
            lambda: "Review" in (text := browser.evaluate(PREVIEW)) and text
        )
