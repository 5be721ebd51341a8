"""A map of results: what each says, what it rests on, and how far what was measured is from what is claimed."""

from __future__ import annotations

import math
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx

from ..ledger import measured_text, typeset
from .executed import executed
from .ledger import LedgerDirective, records
from .verdicts import anchor

KEYS = {"chapter", "title", "says", "measured"}


class ClaimMap(LedgerDirective):
    """`{claim-map}`: chains of results in YAML, each resting on the one before it.

    The content is a list of chains, a chain a list of results, a result a mapping: `chapter` where it is checked,
    `title`, `says` in MyST, and `measured`, the claims whose numbers it shows: name to what the number is.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return one ordered list per chain."""
        self.assert_has_content()
        self.begin()
        try:
            chains = yaml.safe_load("\n".join(self.content))
            shown = [
                nodes.enumerated_list("", *map(self.result, chain), classes=["claim-chain"])
                for chain in chains
            ]
        except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            raise self.error(f"`claim-map` must hold lists of results, but: {error!r}.") from error
        return [nodes.container("", *shown, classes=["claim-map"])]

    def result(self, entry: dict[str, Any]) -> nodes.list_item:
        """Return one result: its title, a link; what it says; its numbers; how many of its claims hold."""
        if set(entry) != KEYS:
            raise KeyError(f"{sorted(set(entry) ^ KEYS)} in {entry.get('title')}")
        page = executed(self.app).page(entry["chapter"])
        title = nodes.strong(text=entry["title"])
        if page:
            uri = self.address(page, "").removesuffix("#") or "#" + page
            title = nodes.strong("", "", nodes.reference("", entry["title"], refuri=uri, internal=True))
        parts: list[nodes.Node] = [nodes.paragraph("", "", title), self.text(entry["says"])]
        parts += [self.number(claim, what) for claim, what in entry["measured"].items()]
        parts.append(nodes.paragraph("", "", *self.count(entry["chapter"])[:1]))
        return nodes.list_item("", *parts)

    def number(self, claim: str, what: str) -> nodes.paragraph:
        """Return a number beside its limit, with a bar where both have a size to compare."""
        record = records(self.app)[claim]
        text = typeset(measured_text(record)) if record["measured"] is not None else "–"
        line = self.text(f"{what}: ")
        line["classes"].append("claim-number")
        known = executed(self.app)
        value: nodes.Node = nodes.strong(text=text)
        if known.ledger:
            uri = self.address(known.ledger, anchor(claim))
            value = nodes.reference("", "", value, refuri=uri, internal=True)
        line += value
        line += nodes.inline(text=f" ({typeset(known.claims[claim].requirement)})", classes=["small"])
        share = share_of(record)
        if share is not None:
            bar = f'<span class="claim-bar" aria-hidden="true"><span style="width:{100 * share:.1f}%"></span></span>'
            line += nodes.raw("", bar, format="html")
        return line


def share_of(record: dict[str, Any]) -> float | None:
    """Return the share of a bound that is used; None if the relation is no bound, or a numerical tolerance."""
    measured, limit = record["measured"], record["expected"]
    numbers = all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in (measured, limit)
    )
    if record["relation"] not in ("at-most", "below") or not numbers or limit < 0.1:
        return None
    share = measured / limit
    return min(1.0, max(0.0, share)) if math.isfinite(share) else None


def setup(app: Sphinx) -> None:
    """Register this part of the extension."""
    app.add_directive("claim-map", ClaimMap)
