"""Serve a folder of pages on this machine."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .layout import BookError


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Answers without a word on the terminal."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def server(folder: Path, port: int) -> http.server.ThreadingHTTPServer:
    """Return a server of a folder; port 0 takes a free one."""
    handler = functools.partial(Quiet, directory=folder)
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BookError(f"Port {port} cannot be used ({reason}): choose another with PORT=…") from error


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port and give its address."""
    with server(folder, 0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


def serve(folder: Path, port: int) -> None:
    """Serve a folder until interrupted."""
    with server(folder, port) as running:
        print(f"Serving the book at http://127.0.0.1:{port}/ (Ctrl-C stops)", flush=True)
        with suppress(KeyboardInterrupt):
            running.serve_forever()
