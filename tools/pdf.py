"""Print the book to one PDF with Chromium: no LaTeX is needed, and it reads as the pages do."""

from __future__ import annotations

import argparse
import base64
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from browser import PROGRAM, Browser, served
from layout import Book, BookError

SCALE = 0.75  # code of 110 characters and the widest formulas fit on A4
FOOTER = "<div style='font: 8px sans-serif; text-align: center; width: 100%'><span class='pageNumber'></span></div>"


def render(book: Book) -> Path:
    """Render the executed book as one page and return its folder; `make book` has filled the cache."""
    program = Path(sysconfig.get_path("scripts")) / "jupyter-book"
    command = [str(program), "build", str(book.root), "--builder", "singlehtml", "-W", "-n", "--keep-going"]
    process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if process.returncode:
        raise BookError("\n".join(["Rendering the book failed:", *process.stdout.splitlines()[-30:]]))
    folder = book.build / "singlehtml"
    page = folder / "book" / "intro.html"  # Sphinx writes its links as if it stood at the top
    text = page.read_text(encoding="utf-8").replace('href="book/intro.html#', 'href="#')
    (folder / "index.html").write_text(text, encoding="utf-8")
    return folder


def print_pdf(folder: Path, output: Path) -> None:
    """Print the page in a folder."""
    with served(folder) as site, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(Path(profile))
        browser.open(f"{site}index.html")
        browser.evaluate("MathJax.startup.promise.then(() => document.fonts.ready).then(() => true)")
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


def main() -> int:
    """Print from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Book.root, help="the book's top level")
    book = Book(parser.parse_args().root.resolve())
    output = book.build / "centralspin.pdf"
    try:
        if PROGRAM is None:
            raise BookError(
                "`make pdf` prints with Chromium, and none was found (Debian: apt-get install chromium)."
            )
        print("Rendering the book as one page …", flush=True)
        folder = render(book)
        print("Printing …", flush=True)
        print_pdf(folder, output)
        shutil.rmtree(folder)
    except BookError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    pages = len(re.findall(rb"/Type\s*/Page\b", output.read_bytes()))
    print(f"{output}: {pages} pages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
