"""What claimbook adds to the pages, as one Sphinx extension; each module is one addition, and none computes.

| module | what it adds |
|---|---|
| `executed` | the executed notebooks on the pages |
| `notebooks` | the same as downloads that run anywhere |
| `ledger` | `ledger-table`, `ledger-summary`, `ledger.json` |
| `chapters` | `chapter-info`, `execution-table` |
| `figures` | data and picture of each figure, and its colours in the dark theme |
| `verdicts` | the verdicts of a cell in one fold, linked with the ledger |
| `claim_map` | `claim-map`: results, what they rest on, bounds beside what is measured |
| `api` | the library's reference, linked with the chapters that use it |
| `reading` | script and style sheet: what folds, is filtered, is previewed; `static/` holds them |
| `roles` | `claim-count`, `claim-value`, `repository`, `pdf`: numbers and addresses in the text |
| `slim` | nothing: it takes off what no page uses |
| this one | nothing: it takes off what needs other hosts |
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from . import api, chapters, claim_map, executed, figures, ledger, notebooks, reading, roles, slim


def drop_live_code(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Leave out the scripts of live code, which needs a server elsewhere; Jupyter Book adds them, and twice."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in f"{script.filename} {script.attributes.get('body')}".lower()
    ]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the extension."""
    for addition in (executed, notebooks, ledger, claim_map, chapters, figures, api, reading, roles, slim):
        addition.setup(app)
    app.connect("html-page-context", drop_live_code)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
