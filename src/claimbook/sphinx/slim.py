"""The site without what its pages do not use: rules of style sheets, icons, scripts, parts of MathJax, digits.

The theme ships every rule, icon and script that any book may want; a first visit loaded four times what it needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from fontTools import subset  # which matplotlib brings along
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx
from sphinx.config import Config

# Scripts by name, and what in a page needs them; None: no page does.
SCRIPTS = {
    "fontawesome.js": None,  # draws the icons a second time, as pictures; the font is enough
    "searchtools.js": 'id="search-results"',
    "language_data.js": 'id="search-results"',
    "searchindex.js": 'id="search-results"',
    "design-tabs.js": "sd-tab-set",
    "clipboard.min.js": 'class="highlight',
    "copybutton.js": 'class="highlight',
    "togglebutton.js": r'class="(?:[^"]* )?(?:toggle|dropdown)[ "]',
}
MATHJAX = "mathjax/tex-chtml.js"  # all in one, with menus and explorers
MATHJAX_PARTS = ("input/tex-base", "[tex]/ams", "output/chtml", "a11y/assistive-mml")
MATHJAX_FILES = re.compile(
    r"startup\.js|core\.js|input/tex-base\.js|input/tex/extensions/ams\.js|output/chtml\.js|a11y/assistive-mml\.js"
    r"|output/chtml/fonts/.*"
)
TOKEN = re.compile(r"""/\*.*?\*/|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|url\([^)"']*\)|[{};]""", re.DOTALL)
NAME = re.compile(r"[.#]((?:\\.|[\w-])+)")
FUNCTION = re.compile(r":(?:not|is|where|has)\([^()]*(?:\([^()]*\)[^()]*)*\)")


def choose_mathjax(app: Sphinx, config: Config) -> None:
    """Load MathJax in the parts that formulas need, if it comes with the site in one piece."""
    if config.mathjax_path == MATHJAX:
        config.mathjax_path = "mathjax/startup.js"
        config.mathjax3_config = {
            **(config.mathjax3_config or {}),
            "loader": {"load": ["core", *MATHJAX_PARTS]},
        }
        config.mathjax3_config.setdefault("tex", {})["packages"] = ["base", "ams"]


# --- style sheets ---


def blocks(css: str) -> Iterator[tuple[str, str | None]]:
    """Split a style sheet into pairs of what stands before a block and the block; None for a statement."""
    depth, start, inside = 0, 0, 0
    for token in TOKEN.finditer(css):
        if token[0] == "{":
            depth += 1
            inside = token.end() if depth == 1 else inside
        elif token[0] == "}":
            depth -= 1
            if depth == 0:
                yield css[start : inside - 1], css[inside : token.start()]
                start = token.end()
        elif token[0] == ";" and depth == 0:
            yield css[start : token.end()], None
            start = token.end()


def applies(selector: str, used: set[str]) -> bool:
    """Tell whether the classes and ids that a selector asks for occur."""
    return all(re.sub(r"\\(.)", r"\1", name) in used for name in NAME.findall(FUNCTION.sub("", selector)))


def prune(css: str, used: set[str]) -> str:
    """Leave out the rules of a style sheet whose classes and ids do not occur; notices of licences stay."""
    css = re.sub(r"/\*(?!!).*?\*/", "", css, flags=re.DOTALL)
    kept = []
    for before, block in blocks(css):
        notice = "".join(re.findall(r"/\*!.*?\*/", before, flags=re.DOTALL))
        head = re.sub(r"/\*!.*?\*/", "", before, flags=re.DOTALL).strip()
        if block is None or (head.startswith("@") and not re.match(r"@(media|supports|layer)\b", head)):
            kept.append(f"{notice}{head}" + ("" if block is None else f"{{{block}}}"))
        elif head.startswith("@"):
            inner = prune(block, used)
            kept.append(notice + (f"{head}{{{inner}}}" if inner else ""))
        else:
            selectors = re.split(r",(?![^()]*\))", head)
            chosen = ",".join(selector.strip() for selector in selectors if applies(selector, used))
            kept.append(notice + (f"{chosen}{{{block.strip()}}}" if chosen else ""))
    return "\n".join(filter(None, kept))


# --- icons ---


def shrink_icons(static: Path, css: str) -> str:
    """Reduce each icon font to the icons that a style sheet names, and have the sheet load that."""
    wanted = {int(code, 16) for code in re.findall(r'"\\([0-9a-f]{2,5})"', css)}
    wanted |= {ord(letter) for letter in css if "\ue000" <= letter <= "\uf8ff"}  # the range for private use

    def face(match: re.Match[str]) -> str:
        found = re.search(r"url\(([^)]*?([\w-]+)\.woff2)\)", match[0])
        source = next(static.rglob(f"{found[2]}.ttf"), None) if found else None
        if found is None or source is None:
            return match[0]
        font = TTFont(source)
        codes = wanted & set(font.getBestCmap())
        if not codes:
            return ""
        reduced = subset.Subsetter(subset.Options(layout_features=[]))
        reduced.populate(unicodes=codes)
        reduced.subset(font)
        font.flavor = "woff"
        font.save(source.with_suffix(".woff"))
        address = found[1].removesuffix("2")
        return re.sub(r"src:[^;}]*", f'src:url({address}) format("woff")', match[0])

    return re.sub(r"@font-face\s*\{[^}]*\}", face, css)


# --- pictures ---


def round_paths(svg: str) -> str:
    """Write the curves of a picture to a hundredth of a point."""

    def rounded(match: re.Match[str]) -> str:
        return re.sub(
            r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), match[0]
        )

    return re.sub(r'\bd="[^"]*"', rounded, svg)


# --- the site ---


# What is written thousands of times and says nothing to a style sheet or script of ours.
REPEATED = {
    ' class="math notranslate nohighlight"': ' class="math"',
    ' class="docutils literal notranslate"': ' class="literal"',
    ' class="claim-link reference internal"': ' class="claim-link"',
}


def strip(text: str) -> str:
    """Take off a page the scripts that nothing in it needs, and what is repeated for no one."""
    for long, short in REPEATED.items():
        text = text.replace(long, short)
    for name, needed_by in SCRIPTS.items():
        if needed_by is None or not re.search(needed_by, text):
            text = re.sub(rf'<script[^>]*src="[^"]*\b{re.escape(name)}[^"]*"[^>]*></script>\s*', "", text)
    return text


def slim(app: Sphinx, exception: Exception | None) -> None:
    """Do all of this to a finished site."""
    if exception is not None or app.builder.name not in ("html", "singlehtml"):
        return
    site, static = Path(app.outdir), Path(app.outdir, "_static")
    used: set[str] = set()
    for path in (page for page in site.rglob("*.html") if static not in page.parents):
        text = strip(path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")
        used.update(name for value in re.findall(r'(?:class|id)="([^"]*)"', text) for name in value.split())
    for path in static.rglob("*.js"):
        if "mathjax" not in path.parts and path.name != "fontawesome.js":
            used.update(re.findall(r"[\w-]+", path.read_text(encoding="utf-8")))
    for path in static.rglob("*.css"):
        css = shrink_icons(static, prune(path.read_text(encoding="utf-8"), used))
        path.write_text(css, encoding="utf-8")
    for path in (site / app.builder.imagedir).glob("*.svg"):
        path.write_text(round_paths(path.read_text(encoding="utf-8")), encoding="utf-8")
    if str(app.config.mathjax_path).endswith("startup.js"):
        folder = static / "mathjax"
        for path in [path for path in folder.rglob("*") if path.is_file()]:
            if not MATHJAX_FILES.fullmatch(path.relative_to(folder).as_posix()):
                path.unlink()


def setup(app: Sphinx) -> None:
    """Register this part of the extension."""
    app.connect("config-inited", choose_mathjax)
    app.connect("build-finished", slim, priority=900)  # once everything is there
