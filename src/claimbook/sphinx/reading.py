"""What makes the pages readable in a browser: script and style sheet, pictures that keep their place, symbols."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

STATIC = Path(__file__).with_name("static")
LAST = 900  # after the configuration of MathJax, which the script adds to; before MathJax, which is deferred


def add_static(app: Sphinx, config: Any) -> None:
    """Have script and style sheet copied into the site."""
    config.html_static_path.append(str(STATIC))


def size_of(path: Path) -> tuple[int, int] | None:
    """Return width and height in pixels of an SVG picture."""
    head = path.read_text(encoding="utf-8", errors="replace")[:4000] if path.suffix == ".svg" else ""
    found = re.search(r"<svg\b[^>]*>", head)
    values = [
        re.search(rf'\b{name}="([\d.]+)(pt|px)?"', found[0] if found else "") for name in ("width", "height")
    ]
    if not all(values):
        return None
    width, height = (float(value[1]) * (4 / 3 if value[2] == "pt" else 1) for value in values if value)
    return round(width), round(height)


def place_pictures(page: Path) -> None:
    """Give a page's pictures their size, so that nothing moves when they arrive; those far below are loaded later."""

    def picture(match: re.Match[str]) -> str:
        path = page.parent / match[2]
        size = size_of(path) if path.is_file() else None
        if size is None or " width=" in match[0]:
            return match[0]
        return f'<img width="{size[0]}" height="{size[1]}" loading="lazy" decoding="async"{match[1]}'

    text = page.read_text(encoding="utf-8")
    changed = re.sub(r'<img((?=[^>]*\bsrc="([^":?#]+)")[^>]*)', picture, text)
    if changed != text:
        page.write_text(changed, encoding="utf-8")


def finish_pages(app: Sphinx, exception: Exception | None) -> None:
    """Do so to all pages, once the pictures are in the site."""
    if exception is None and app.builder.name in ("html", "singlehtml"):
        for page in Path(app.outdir).rglob("*.html"):
            if "_static" not in page.parts:
                place_pictures(page)


def open_folds(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Write folded code unfolded: the script folds it, and where there is none it is shown."""
    if "body" in context:
        context["body"] = re.sub(r'<details (?=class="[^"]*\bhide\b)', "<details open ", context["body"])


# --- symbols ---


def collect_symbols(app: Sphinx, doctree: nodes.document) -> None:
    """Remember the rows of tables of the class `symbols`: symbols in the first column, their meaning in the last."""
    known: dict[str, list[tuple[str, list[nodes.Node]]]] = vars(app.env).setdefault("claimbook_symbols", {})
    known.pop(app.env.docname, None)
    for table in doctree.findall(nodes.table):
        if "symbols" not in table["classes"]:
            continue
        for row in table.findall(nodes.row):
            cells = list(row.findall(nodes.entry))
            meaning = [
                child.deepcopy() for part in cells[-1].findall(nodes.paragraph) for child in part.children
            ]
            for symbol in cells[0].findall(nodes.math):
                known.setdefault(app.env.docname, []).append((symbol.astext(), meaning))


def forget_symbols(app: Sphinx, env: BuildEnvironment, page: str) -> None:
    """Forget the symbols of a page that is read again."""
    vars(env).get("claimbook_symbols", {}).pop(page, None)


def names(symbol: str) -> list[str]:
    """Return the symbols that an entry such as `w_x, w_y` or `Γ_± = …` explains."""
    return [part.strip() for part in symbol.split("=")[0].split(",") if part.strip()]


def as_text(parts: list[nodes.Node]) -> str:
    """Return a meaning as HTML with its mathematics as TeX."""
    written = []
    for part in parts:
        text = part.astext().replace("&", "&amp;").replace("<", "&lt;")
        if isinstance(part, nodes.math):
            text = f"\\({text}\\)"
        elif isinstance(part, nodes.literal):
            text = f"<code>{text}</code>"
        written.append(text)
    return "".join(written)


def write_symbols(app: Sphinx, exception: Exception | None) -> None:
    """Write the symbols as a script, which a page from a folder may load as well; the longest come first."""
    if exception is not None or app.builder.name != "html":
        return
    known = vars(app.env).get("claimbook_symbols", {})
    symbols = {
        name: as_text(meaning)
        for rows in known.values()
        for symbol, meaning in rows
        for name in names(symbol)
    }
    listing = json.dumps(sorted(symbols.items(), key=lambda item: -len(item[0])), ensure_ascii=False)
    Path(app.outdir, "_static", "symbols.js").write_text(
        f"claimbook.symbols = {listing};\n", encoding="utf-8"
    )


def setup(app: Sphinx) -> None:
    """Register this part of the extension."""
    app.connect("config-inited", add_static)
    app.add_css_file("claimbook.css", priority=400)
    app.add_js_file("claimbook.js", priority=LAST)
    app.connect("html-page-context", open_folds)
    app.connect("build-finished", finish_pages)
    app.connect("env-purge-doc", forget_symbols)
    app.connect("doctree-read", collect_symbols)
    app.connect("build-finished", write_symbols)
