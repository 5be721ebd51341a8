"""Build the book: execute what has changed, render the executed notebooks, check that nothing ran twice."""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn

from claimbook.ledger import LedgerError, read_claims
from execute import execute_book
from layout import STAMP, Book, BookError, digest, files


def site_digest(book: Book) -> str:
    """Return a digest of everything the rendered book is made from."""
    top = [path for path in (book.root / "_config.yml", book.root / "_toc.yml") if path.exists()]
    sources = [path for folder in ("book", "src", "tools") for path in files(book.root / folder)]
    return digest(book.root, [*top, *sources], book.shared_digest(), book.commit())


def seed_cache(book: Book) -> None:
    """Put the executed notebooks where the rendering looks for them before it would execute."""
    cache = get_cache(book.cache())
    for name, path in book.chapters().items():
        notebook = nbformat.read(book.executed(name), as_version=4)
        seconds = notebook.metadata[STAMP]["seconds"]
        bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def render(book: Book) -> None:
    """Render the book afresh with warnings as errors; an incremental build can hide a failure."""
    for folder in (book.site, book.build / ".doctrees", book.build / "jupyter_execute", book.cache().parent):
        shutil.rmtree(folder, ignore_errors=True)
    seed_cache(book)
    program = Path(sysconfig.get_path("scripts")) / "jupyter-book"
    command = [str(program), "build", str(book.root), "-W", "-n", "--keep-going"]
    process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    log = re.sub(r"\x1b\[[0-9;]*m", "", process.stdout)
    (book.build / "build.log").write_text(log, encoding="utf-8")
    if process.returncode:
        problems = [line for line in log.splitlines() if re.search("WARNING|ERROR|CRITICAL|Error:", line)]
        raise BookError("\n".join(["Rendering the book failed:", *(problems or log.splitlines()[-30:])]))
    hits, chapters = log.count("Using cached notebook"), len(book.chapters())
    if "Executing notebook" in log or hits != chapters:
        raise BookError(
            f"Each chapter must run once, but {chapters - hits} of {chapters} ran while rendering."
        )


def check_ledger(book: Book) -> None:
    """Refuse an invalid ledger, or one of other chapters, before minutes are spent on executing."""
    try:
        _, chapters = read_claims(book.claims)
    except LedgerError as error:
        raise BookError(str(error)) from error
    missing = sorted(set(chapters) - set(book.chapters()))
    if missing:
        raise BookError(f"_toc.yml must list every chapter of the ledger, but lacks {', '.join(missing)}.")


def build(book: Book) -> None:
    """Bring the rendered book up to date."""
    version = importlib.metadata.version("jupyter-book")
    if not version.startswith("1."):  # 2.x ignores _config.yml and leaves an empty site without an error
        raise BookError(f"jupyter-book must be a 1.x version, but is {version}.")
    index, stamp = book.site / "index.html", book.build / "site.digest"
    wanted = site_digest(book)
    where = f"open {index.as_uri()} or run `make serve`"
    if index.exists() and stamp.exists() and stamp.read_text() == wanted:
        print(f"The book is up to date: {where}.")
        return
    stamp.unlink(missing_ok=True)
    check_ledger(book)
    failures = execute_book(book)
    if failures:
        raise BookError("\n".join([f"{len(failures)} chapter(s) failed; nothing was rendered.", *failures]))
    print("Rendering the pages …", flush=True)
    started = time.perf_counter()
    render(book)
    stamp.write_text(wanted)
    print(f"Rendered in {time.perf_counter() - started:.0f} s. The book is ready: {where}.")


def main() -> int:
    """Build from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Book.root, help="the book's top level")
    try:
        build(Book(parser.parse_args().root.resolve()))
    except BookError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The chapters already finished are kept.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
