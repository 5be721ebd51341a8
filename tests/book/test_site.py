"""Is the built site whole, and sufficient unto itself?"""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

import centralspin
from claimbook.layout import Book
from claimbook.ledger import read_claims

BOOK = Book(Path(__file__).resolve().parents[2])
SITE = BOOK.site
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "embed": "src", "object": "data"}
LINKS_NOT_LOADED = {"next", "prev", "index", "search", "canonical", "author", "license", "alternate"}


class Page(HTMLParser):
    """What a page loads, links to, shows, and can be linked at."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.targets = {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.targets.update(values[key] or "" for key in ("id", "name") if key in values)
        if tag in LOADING and values.get(LOADING[tag]):
            self.loaded.append(values[LOADING[tag]] or "")
        if tag == "link" and not set((values.get("rel") or "").split()) & LINKS_NOT_LOADED:
            self.loaded.append(values.get("href") or "")
        if tag == "a" and values.get("href"):
            self.links.append(values["href"] or "")
        if tag == "img":
            self.images.append(values)


@pytest.fixture(scope="module")
def pages() -> dict[Path, Page]:
    if not (SITE / "index.html").exists():
        pytest.fail("The book is not built: run `make book` first.")
    found = [path for path in SITE.rglob("*.html") if "_static" not in path.parts]
    return {path.resolve(): Page(path) for path in found}


def is_foreign(url: str) -> bool:
    return url.startswith("//") or urlsplit(url).scheme in ("http", "https")


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Page]) -> None:
    foreign = {(str(page.path.relative_to(SITE)), url) for page in pages.values() for url in page.loaded}
    assert not {entry for entry in foreign if is_foreign(entry[1])}


def test_styles_load_nothing_from_elsewhere(pages: dict[Path, Page]) -> None:
    pattern = re.compile(r"""(?:url\(\s*['"]?|@import\s+['"])((?:https?:)?//[^'")\s]+)""")
    sheets = [*SITE.rglob("*.css"), *pages]
    found = {(path.name, url) for path in sheets for url in pattern.findall(path.read_text("utf-8"))}
    assert not found


def test_scripts_in_pages_name_no_other_host(pages: dict[Path, Page]) -> None:
    for path in pages:
        scripts = re.findall(r"<script[^>]*>(.*?)</script>", path.read_text("utf-8"), flags=re.DOTALL)
        assert not [script for script in scripts if re.search(r"(https?:)?//\w", script)], path


def test_what_is_loaded_exists(pages: dict[Path, Page]) -> None:
    for page in pages.values():
        for url in page.loaded:
            target = page.path.parent / unquote(urlsplit(url).path)
            assert url.startswith("data:") or target.exists(), f"{page.path.relative_to(SITE)} loads {url}"


def test_mathjax_is_part_of_the_site(pages: dict[Path, Page]) -> None:
    index = pages[(SITE / "index.html").resolve()]
    assert index.path.exists()
    assert all(
        any("mathjax" in url for url in page.loaded)
        for page in pages.values()
        if 'class="math"' in page.path.read_text("utf-8")
    )
    fonts = list((SITE / "_static" / "mathjax").rglob("*.woff"))
    assert fonts, "MathJax needs its fonts beside it"


def test_images_have_alternative_text(pages: dict[Path, Page]) -> None:
    for page in pages.values():
        for image in page.images:
            text = image.get("alt") or ""
            place = f"{page.path.relative_to(SITE)}: {image.get('src')}"
            assert len(text.split()) >= 3, f"{place} needs alternative text that says what is to be seen"
            assert not re.search(r"[0-9a-f]{20}|\.(png|svg|jpe?g)$", text), f"{place} is named, not described"


def test_internal_links_lead_somewhere(pages: dict[Path, Page]) -> None:
    for page in pages.values():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path.resolve()
            place = f"{page.path.relative_to(SITE)} links to {link}"
            assert target.exists(), place
            if target in pages:
                assert unquote(parts.fragment) in pages[target].targets, place


def test_ledger_is_complete(pages: dict[Path, Page]) -> None:
    claims, _ = read_claims(BOOK.claims)
    ledger = json.loads((SITE / "ledger.json").read_text(encoding="utf-8"))
    assert [claim["id"] for claim in ledger] == list(claims)
    keys = {"id", "where", "kind", "says", "quantity", "measured", "relation", "expected", "tolerance"}
    assert all(keys | {"because", "holds", "chapter"} <= set(claim) for claim in ledger)
    table = pages[(SITE / "book" / "ledger.html").resolve()]
    assert {"claim-" + name.replace(".", "-") for name in claims} <= table.targets


def test_claims_and_verdicts_lead_to_each_other(pages: dict[Path, Page]) -> None:
    claims, _ = read_claims(BOOK.claims)
    ledger = pages[(SITE / "book" / "ledger.html").resolve()]
    for name, claim in claims.items():
        row, check = (f"{word}-{name.replace('.', '-')}" for word in ("claim", "check"))
        chapter = pages[(SITE / "book" / f"{claim.chapter}.html").resolve()]
        assert row in ledger.targets and f"{claim.chapter}.html#{check}" in ledger.links
        assert check in chapter.targets and f"ledger.html#{row}" in chapter.links


def test_without_scripts_all_is_shown(pages: dict[Path, Page]) -> None:
    for path in pages:
        folds = re.findall(r"<details[^>]*>", path.read_text("utf-8"))
        assert all(re.search(r"\bopen\b", fold) for fold in folds), path


def test_kinds_have_badges_of_their_own() -> None:
    claims, _ = read_claims(BOOK.claims)
    for name in BOOK.chapters():
        text = (SITE / "book" / f"{name}.html").read_text("utf-8")
        for kind in ("verified", "corrected", "beyond"):
            wanted = sum(claim.chapter == name and claim.kind == kind for claim in claims.values())
            assert text.count(f'class="claim-badge claim-{kind}"') == wanted, (name, kind)


def test_landing_page_names_what_one_looks_for(pages: dict[Path, Page]) -> None:
    page = pages[(SITE / "book" / "intro.html").resolve()]
    text = page.path.read_text("utf-8")
    assert {"https://doi.org/10.1103/PhysRevLett.131.227102", "https://arxiv.org/abs/2305.15547"} <= set(
        page.links
    )
    chain = ("lemma-1", "theorem-2", "proposition-1", "theorem-1", "corollary-1", "figure-2")
    assert re.findall(r'<strong><a class="reference internal" href="([\w-]+)\.html">', text) == list(chain)
    ledger = json.loads((SITE / "ledger.json").read_text("utf-8"))
    (bound,) = [claim["measured"] for claim in ledger if claim["id"] == "lemma1.bound"]
    assert f"<strong>{bound:.3g}</strong>" in text and f"width:{100 * bound:.1f}%" in text
    holds = sum(claim["holds"] is True for claim in ledger)
    assert f"Of {len(ledger)} checks {holds} hold" in text
    assert "@article" in re.sub(r"<[^>]*>", "", text)


def test_nothing_is_left_over(pages: dict[Path, Page]) -> None:
    for page in pages.values():
        text = page.path.read_text("utf-8")
        assert not re.findall(r"<p>\s*[.,;:)][^<]*", text), f"{page.path}: punctuation that stands alone"
        assert "et al.." not in text, page.path
    for name in BOOK.chapters():
        for cell in nbformat.read(BOOK.executed(name), as_version=4).cells:
            values = [output for output in cell.get("outputs", []) if output.output_type == "execute_result"]
            assert not [value for value in values if set(value.data) <= {"text/plain"}], (
                f"{name}: {cell.source}"
            )


def test_every_chapter_offers_its_executed_notebook(pages: dict[Path, Page]) -> None:
    for name in BOOK.chapters():
        page = pages[(SITE / "book" / f"{name}.html").resolve()]
        assert f"../notebooks/{name}.ipynb" in page.links, f"{name} lacks a chapter-info box"


def test_every_chapter_says_how_it_was_executed(pages: dict[Path, Page]) -> None:
    pattern = re.compile(r"Executed in [\d.]+ (s|min) on \d{4}-\d\d-\d\d with Python [\d.]+, NumPy [\d.]+")
    table = pages[(SITE / "book" / "executions.html").resolve()]
    for name in BOOK.chapters():
        assert pattern.search((SITE / "book" / f"{name}.html").read_text(encoding="utf-8")), name
        assert f"{name}.html" in table.links


def test_library_and_chapters_lead_to_each_other(pages: dict[Path, Page]) -> None:
    reference = pages[(SITE / "book" / "reference.html").resolve()]
    assert {f"centralspin.{name}" for name in centralspin.__all__} <= reference.targets
    imports = re.compile(r"^from centralspin import (.*)$", flags=re.MULTILINE)
    for chapter, source in BOOK.chapters().items():
        names = re.split(r"\W+", " ".join(imports.findall(source.read_text(encoding="utf-8"))))
        page = pages[(SITE / "book" / f"{chapter}.html").resolve()]
        for name in set(names) & set(centralspin.__all__):
            assert f"reference.html#centralspin.{name}" in page.links
            assert f"{chapter}.html" in reference.links


def test_every_figure_offers_picture_and_data(pages: dict[Path, Page]) -> None:
    drawings = set()
    for name in BOOK.chapters():
        page = pages[(SITE / "book" / f"{name}.html").resolve()]
        for cell in BOOK.read(name).cells:
            figure = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
            if figure:
                assert figure in page.targets
                table = SITE / "data" / f"{figure}.csv"
                assert table.exists() == (f"../data/{figure}.csv" in page.links)
                if not table.exists():
                    drawings.add(figure)
                    assert '"off"' in cell.source, f"{figure} must offer its data, unless it is a drawing"
        assert sum(link.endswith(".svg") for link in page.links) == len(page.images)
    assert len(list((SITE / "data").iterdir())) > len(drawings)
