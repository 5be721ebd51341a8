"""The command line: `python -m claimbook build`, `execute`, `chapter`, `pdf`, `serve`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

from .build import build, execute
from .chapter import run
from .execute import in_a_sentence
from .layout import Book, BookError
from .pdf import make_pdf
from .serve import serve
from .settings import SettingsError


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="claimbook", description="Execute, render, print and serve a book.")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, help: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help)
        added.add_argument("--root", type=Path, default=Path(), help="the book's top level")
        return added

    for name, help in (
        ("build", "Execute what has changed and render the book in _build/html"),
        ("execute", "Execute what has changed"),
    ):
        command(name, help).add_argument("--jobs", type=jobs, help="chapters that run at a time")
    chapter = command("chapter", "Execute one chapter with other parameters and render its page")
    chapter.add_argument("name", help="the chapter, for example figure-2")
    chapter.add_argument("parameters", nargs="?", default="", help="name=value, separated by spaces")
    command("pdf", "Print the book to a PDF with Chromium")
    command("serve", "Show the rendered book").add_argument("--port", type=int, default=8000)
    return parser.parse_args()


def jobs(text: str) -> int:
    """Read a number of chapters."""
    number = int(text)
    if number < 1:
        raise ValueError(text)  # argparse says so
    return number


def stop(*_: Any) -> None:
    """Leave as Ctrl-C does."""
    raise KeyboardInterrupt


def main() -> int:
    """Run a command; return the exit status."""
    given = arguments()
    # Also when started in the background, where a shell has interrupts ignored.
    for name in ("SIGINT", "SIGTERM"):
        signal.signal(getattr(signal, name), stop)
    book = Book(given.root.resolve())
    try:
        match given.command:
            case "build":
                build(book, given.jobs)
            case "execute":
                execute(book, given.jobs)
            case "chapter":
                run(book, given.name, given.parameters)
            case "pdf":
                make_pdf(book)
            case "serve":
                serve(book.site, given.port)
    except (BookError, SettingsError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"\n{in_a_sentence(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        kept = " The chapters already finished are kept." if given.command in ("build", "execute") else ""
        print(f"\nStopped.{kept}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
