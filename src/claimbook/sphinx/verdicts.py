"""The verdicts on a chapter's page: those of one cell in one fold, each with a badge and a link to its ledger row."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import nbformat

from ..ledger import KINDS

#: Per kind the sign of its badge, so that kinds differ not by colour alone.
SIGNS = {"verified": "✓", "corrected": "✎", "beyond": "✚"}
BOX = re.compile(
    r'<div class="claim [^>]*>\s*<span class="claim-badge"[^>]*>(?P<verdict>.*?)</span>\s*'
    r'<span class="claim-kind[^>]*>(?P<kind>.*?)</span>(?P<text>.*)<code>[^<]*</code></span></div>',
    re.DOTALL,
)


def anchor(claim: str) -> str:
    """Return the id that a claim's row in the ledger carries."""
    return "claim-" + claim.replace(".", "-")


def check_anchor(claim: str) -> str:
    """Return the id that a claim's verdict in its chapter carries."""
    return "check-" + claim.replace(".", "-")


def in_words(kind: str, source: str) -> str:
    """Return a kind of claim in words."""
    return f"beyond the {source}" if kind == "beyond" else kind


def count_kinds(kinds: Iterable[str], source: str) -> str:
    """Say how many claims there are of each kind."""
    found = list(kinds)
    counts = {kind: found.count(kind) for kind in KINDS}
    return ", ".join(f"{count} {in_words(kind, source)}" for kind, count in counts.items() if count)


def fold_verdicts(notebook: nbformat.NotebookNode, mime_type: str, source: str, ledger: str | None) -> None:
    """Replace each run of verdicts by one output that folds them; `ledger` is the address of the full table."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        outputs: list[nbformat.NotebookNode] = []
        for is_verdict, group in groupby(cell.outputs, lambda output: mime_type in output.get("data", {})):
            run = list(group)
            outputs += [fold(run, mime_type, source, ledger)] if is_verdict else run
        cell.outputs = outputs


def fold(
    outputs: list[nbformat.NotebookNode], mime_type: str, source: str, ledger: str | None
) -> nbformat.NotebookNode:
    """Return one output for several verdicts."""
    records = [output["data"][mime_type] for output in outputs]
    boxes = [
        dress(output["data"]["text/html"], record, ledger)
        for output, record in zip(outputs, records, strict=True)
    ]
    style, sentence = summary([record["holds"] for record in records])
    kinds = count_kinds((record["kind"] for record in records), source)
    markup = (
        f'<details class="checks" open><summary><span class="claim-badge claim-{style}">{sentence}</span> '
        f'<span class="small">{kinds}</span></summary>{"".join(boxes)}</details>'
    )
    plain = "\n".join(output["data"]["text/plain"] for output in outputs)
    return nbformat.v4.new_output("display_data", {"text/html": markup, "text/plain": plain})


def summary(verdicts: list[bool | None]) -> tuple[str, str]:
    """Return the style of a count of verdicts, and the count in words."""
    total, held, failed = len(verdicts), verdicts.count(True), verdicts.count(False)
    checks = "1 check" if total == 1 else f"{total} checks"
    if failed:
        return "fails", f"✗ {failed} of {checks} {'fails' if failed == 1 else 'fail'}"
    if held == total:
        return "holds", f"✓ {checks} {'holds' if total == 1 else 'hold'}"
    if held:
        return (
            "holds",
            f"✓ {held} of {checks} {'holds' if held == 1 else 'hold'}, the rest differ or are skipped",
        )
    return "idle", f"– {checks} {'differs or is' if total == 1 else 'differ or are'} skipped"


def dress(markup: str, record: dict[str, Any], ledger: str | None) -> str:
    """Give a verdict its badge and links; what is not the ledger's own markup stays as it is."""
    found = BOX.fullmatch(markup.strip())
    if found is None:
        return markup
    kind, name = record["kind"], record["id"]
    if found["verdict"] == "✓ holds":
        badges = f'<span class="claim-badge claim-{kind}">{SIGNS[kind]} {found["kind"]}</span>'
    else:
        style = {True: "holds", False: "fails", None: "idle"}[record["holds"]]
        badges = (
            f'<span class="claim-badge claim-{style}">{found["verdict"]}</span> '
            f'<span class="claim-kind claim-{kind}">{found["kind"]}</span>'
        )
    text = re.sub(r'<span style="[^"]*">', '<span class="claim-numbers">', found["text"])
    text = re.sub(r"\\\(.*?\\\)", r'<span class="math">\g<0></span>', text)
    code = f"<code>{name}</code>"
    if ledger is not None:
        code = f'<a class="claim-link" href="{ledger}#{anchor(name)}">{code}</a>'
    start = f'<div class="claim claim-{kind} tex2jax_process" id="{check_anchor(name)}">'
    return f"{start}{badges}{text}{code}</span></div>"
