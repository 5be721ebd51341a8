"""Sphinx extension: keep off the site what only works with other hosts."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata


def drop_live_code(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Leave out the scripts of live code, which needs a server elsewhere; Jupyter Book adds them, and twice."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in f"{script.filename} {script.attributes.get('body')}".lower()
    ]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the extension."""
    app.connect("html-page-context", drop_live_code)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
