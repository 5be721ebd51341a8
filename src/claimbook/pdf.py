"""Print the book to one PDF with Chromium: no LaTeX is needed, and it reads as the pages do."""

from __future__ import annotations

import base64
import re
import shutil
import tempfile
from pathlib import Path

from sphinx_external_toc.parsing import parse_toc_yaml

from .browser import PROGRAM, Browser
from .build import execute, render_book
from .layout import Book, BookError
from .serve import served

SCALE = 0.75  # code of 110 characters and the widest formulas fit on A4
FOOTER = "<div style='font: 8px sans-serif; text-align: center; width: 100%'><span class='pageNumber'></span></div>"
# Everything unfolded and typeset, every picture there.
READY = """(async () => {
  if (window.MathJax?.startup) await MathJax.startup.promise;
  await window.claimbook?.showAll();
  for (const image of document.images) image.loading = "eager";
  await Promise.all([...document.images].map(image => image.decode().catch(() => {})));
  await document.fonts.ready;
})()"""


def render(book: Book) -> Path:
    """Render the book as one page and return its folder."""
    folder = render_book(book, "singlehtml")
    root = parse_toc_yaml(book.root / "_toc.yml").root.docname
    text = (folder / f"{root}.html").read_text(encoding="utf-8")
    # Sphinx writes the page's links as if it stood at the top, so there it goes.
    (folder / "index.html").write_text(text.replace(f'href="{root}.html#', 'href="#'), encoding="utf-8")
    return folder


def print_pdf(folder: Path, output: Path) -> None:
    """Print the page in a folder."""
    with served(folder) as site, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(Path(profile))
        browser.open(f"{site}index.html")
        browser.evaluate(READY)
        printed = browser(
            "Page.printToPDF",
            preferCSSPageSize=True,
            printBackground=True,
            scale=SCALE,
            displayHeaderFooter=True,
            headerTemplate="<span></span>",
            footerTemplate=FOOTER,
            generateDocumentOutline=True,
        )
        browser.close()
    output.write_bytes(base64.b64decode(printed["data"]))


def make_pdf(book: Book) -> None:
    """Render and print the book; its chapters are executed if they have changed."""
    if PROGRAM is None:
        raise BookError(
            "The PDF is printed with Chromium, and none was found (Debian: apt-get install chromium)."
        )
    execute(book)
    output = book.pdf
    wanted = book.site_digest()
    print("Rendering the book as one page …", flush=True)
    folder = render(book)
    print("Printing …", flush=True)
    print_pdf(folder, output)
    shutil.rmtree(folder)
    book.pdf_stamp.write_text(wanted)
    (book.build / "site.digest").unlink(missing_ok=True)  # the pages do not link it yet
    pages = len(re.findall(rb"/Type\s*/Page\b", output.read_bytes()))
    print(f"{output}: {pages} pages")
