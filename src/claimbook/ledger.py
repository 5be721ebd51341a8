"""The ledger: each claim of a document, checked against a number measured while the document runs.

A YAML file states every claim once, with its tolerance and the reason for that tolerance. A notebook
measures, calls `Ledger.check`, and so shows a verdict, leaves a machine-readable record in the cell's output,
and stops if the claim does not hold. This module knows nothing of any particular document.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import html
import math
import numbers
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .parameters import Parameter, ParameterError, declare, plain
from .settings import Settings, read_settings

RECORD_ONLY = "CLAIMBOOK_CLAIMS"
"""Environment variable; with the value ``record``, a claim that fails is recorded and does not raise."""

KINDS = ("verified", "corrected", "beyond")
RELATIONS = ("within", "relative", "at-most", "at-least", "below", "above", "true")
WITH_TOLERANCE = ("within", "relative")

_COMPARISON = {"at-most": "at most", "at-least": "at least", "below": "below", "above": "above"}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_REQUIRED = ("id", "chapter", "where", "kind", "says", "quantity", "relation")
_OPTIONAL = ("expected", "tolerance", "because", "slack", "holds-for")
_COLOUR = {True: "#1a6b3c", False: "#a32020", None: "#565c65"}


class ClaimFailed(AssertionError):
    """A measured value contradicts a claim."""


class LedgerError(ValueError):
    """The ledger's file, or the way it is used, is not valid."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """One claim as the ledger's file states it.

    Attributes
    ----------
    id, chapter, where, says, quantity
        Unique name; chapter that checks it; place in the source; the claim in words; what is measured.
    kind : {"verified", "corrected", "beyond"}
        Stated by the source; stated there with an error that is corrected here; not in the source.
    relation : str
        One of `RELATIONS`, between the measured and the expected value.
    expected, tolerance
        The number to compare with, and the deviation allowed by ``within`` (absolute) and ``relative``.
    because : str
        Why that tolerance or limit.
    slack : str
        Why the tolerance is far wider than what is measured, where it is.
    holds_for : {"paper", "any"}
        Whether the claim is about the source's parameters only.
    """

    id: str
    chapter: str
    where: str
    kind: str
    says: str
    quantity: str
    relation: str
    expected: float | bool
    tolerance: float | None = None
    because: str = ""
    slack: str = ""
    holds_for: Literal["paper", "any"] = "paper"

    @property
    def requirement(self) -> str:
        """What the measured value must be, in words: ``within 0.01 of -1``."""
        if self.relation == "true":
            return "true"
        if self.relation == "within":
            return f"within {number(self.tolerance)} of {number(self.expected)}"
        if self.relation == "relative":
            return f"within {number(self.tolerance)} × |{number(self.expected)}| of {number(self.expected)}"
        return f"{_COMPARISON[self.relation]} {number(self.expected)}"

    @property
    def expectation(self) -> str:
        """What is expected, in words, without the tolerance: ``-1``, ``at most 0.01``."""
        limit = f"{_COMPARISON[self.relation]} " if self.relation in _COMPARISON else ""
        return f"{limit}{number(self.expected)}"


def number(value: object, digits: int = 6) -> str:
    """Write a number for a reader."""
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def typeset(text: str) -> str:
    """Write the numbers in a text as in print: ``-1.5e-08`` becomes ``−1.5×10⁻⁸``."""

    def power(match: re.Match[str]) -> str:
        mantissa, exponent = match[1], str(int(match[2]))
        factor = "" if mantissa == "1" else f"{mantissa}×"
        return f"{factor}10{exponent.translate(_SUPERSCRIPT)}"

    return re.sub(r"(?<![\d.])(\d+(?:\.\d+)?)e([+-]?\d+)", power, text).replace("-", "−")


def measured_text(record: Mapping[str, Any]) -> str:
    """Write a record's measured value; what is only compared with a limit needs few digits."""
    return number(record["measured"], 3 if record["relation"] in _COMPARISON else 6)


def evaluate(claim: Claim, measured: float | bool) -> bool:
    """Decide afresh whether a measured value satisfies a claim.

    Parameters
    ----------
    claim : Claim
        The claim.
    measured : float or bool
        The value; a NaN satisfies nothing.

    Returns
    -------
    bool
        Whether the claim holds.
    """
    measured = float(measured) if isinstance(measured, str) else measured  # "inf", as records write it
    if claim.relation == "true":
        return measured is True
    deviation = abs(measured - claim.expected)
    if claim.relation == "within":
        return bool(deviation <= (claim.tolerance or 0.0))
    if claim.relation == "relative":
        return bool(deviation <= (claim.tolerance or 0.0) * abs(claim.expected))
    return {
        "at-most": measured <= claim.expected,
        "at-least": measured >= claim.expected,
        "below": measured < claim.expected,
        "above": measured > claim.expected,
    }[claim.relation]


def read_claims(path: str | Path) -> tuple[dict[str, Claim], dict[str, dict[str, Any]]]:
    """Read and validate a ledger's file.

    Parameters
    ----------
    path : str or Path
        YAML file with the keys ``parameters``, ``chapters`` and ``claims``.

    Returns
    -------
    claims : dict
        Claims by id, in the file's order.
    chapters : dict
        Per chapter its ``parameters`` (those of the source), what is ``declared`` of them, and its ``about`` line,
        where given.

    Raises
    ------
    LedgerError
        If the file is missing or an entry is not valid.
    """
    path = Path(path)
    if not path.is_file():
        raise LedgerError(f"The ledger's file `{path}` must exist, but there is none.")
    return _parsed(path, path.read_text(encoding="utf-8"))


@functools.lru_cache(maxsize=1)  # every directive of every page asks for the same file
def _parsed(path: Path, text: str) -> tuple[dict[str, Claim], dict[str, dict[str, Any]]]:
    """Return the claims and chapters of a file's text."""
    try:
        import yaml
    except ImportError as error:
        raise LedgerError("Reading a ledger needs PyYAML, which is not installed.") from error
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast
    try:
        content = yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        raise LedgerError(f"`{path}` must be valid YAML, but is not: {error}") from error
    if not isinstance(content, dict) or not set(content) <= {"parameters", "chapters", "claims"}:
        raise LedgerError(f"`{path}` must hold the keys `parameters`, `chapters` and `claims` and no other.")

    common = content.get("parameters") or {}
    chapters: dict[str, dict[str, Any]] = {}
    for name, entry in (content.get("chapters") or {}).items():
        entry = entry or {}
        if not isinstance(entry, dict) or not set(entry) <= {"parameters", "about", "limits"}:
            raise LedgerError(f"Chapter `{name}` must have the keys `parameters`, `limits`, `about` only.")
        own = entry.get("parameters") or {}
        chapters[name] = {
            "parameters": own,
            "about": entry.get("about") or "",
            "declared": _declared(name, own, common, entry.get("limits") or {}),
        }

    claims: dict[str, Claim] = {}
    for position, entry in enumerate(content.get("claims") or [], start=1):
        claim = _claim(entry, position)
        if claim.id in claims:
            raise LedgerError(f"Claim ids must be unique, but `{claim.id}` occurs twice.")
        if claim.chapter not in chapters:
            raise LedgerError(
                f"Claim `{claim.id}`: chapter `{claim.chapter}` must be listed under `chapters`."
            )
        claims[claim.id] = claim
    return claims, chapters


def _declared(
    chapter: str, own: dict[str, Any], common: dict[str, Any], limits: dict[str, Any]
) -> dict[str, Parameter]:
    """Return what is declared of a chapter's parameters; its own values must be allowed."""
    if unknown := sorted(set(limits) - set(own)):
        raise LedgerError(f"Chapter `{chapter}`: `limits` names {', '.join(unknown)}, no parameter of it.")
    try:
        found = {name: declare(name, common.get(name), limits.get(name)) for name in own if name in common}
        for name, parameter in found.items():
            parameter.check(own[name], own)
    except ParameterError as error:
        raise LedgerError(f"Chapter `{chapter}`: {error}") from error
    return found


def _claim(entry: object, position: int) -> Claim:
    """Validate one entry of the file and make it a `Claim`."""
    if not isinstance(entry, dict):
        raise LedgerError(f"Claim number {position} must be a mapping, but is {entry!r}.")
    name = f"Claim `{entry.get('id', f'number {position}')}`"

    def require(condition: bool, sentence: str) -> None:
        if not condition:
            raise LedgerError(f"{name}: {sentence}")

    missing = [key for key in _REQUIRED if key not in entry]
    unknown = sorted(set(entry) - {*_REQUIRED, *_OPTIONAL})
    require(not missing, f"key `{', '.join(missing)}` is missing.")
    require(not unknown, f"key `{', '.join(map(str, unknown))}` is unknown.")
    # YAML reads an unquoted `true` as a boolean; both spellings of that relation are meant.
    relation = "true" if entry["relation"] is True else entry["relation"]
    texts = {key: entry[key] for key in ("id", "chapter", "where", "kind", "says", "quantity")}
    for key, text in texts.items():
        require(isinstance(text, str) and bool(text.strip()), f"`{key}` must be text, but is {text!r}.")
    require(
        re.fullmatch(r"[a-z0-9][a-z0-9.-]*", texts["id"]) is not None,
        "`id` must consist of lower-case letters, digits, dots and hyphens.",
    )
    require(texts["kind"] in KINDS, f"`kind` must be one of {', '.join(KINDS)}, but is {texts['kind']!r}.")
    require(relation in RELATIONS, f"`relation` must be one of {', '.join(RELATIONS)}, but is {relation!r}.")
    holds_for = entry.get("holds-for", "paper")
    require(holds_for in ("paper", "any"), f"`holds-for` must be paper or any, but is {holds_for!r}.")
    because = entry.get("because", "")
    require(isinstance(because, str), f"`because` must be text, but is {because!r}.")
    slack = entry.get("slack", "")
    require(isinstance(slack, str), f"`slack` must be text, but is {slack!r}.")

    expected: float | bool = True
    tolerance: float | None = None
    if relation == "true":
        require(entry.get("expected", True) is True, "relation true has no `expected` value.")
    else:
        require("expected" in entry, f"relation {relation} needs an `expected` number.")
        expected = _number(entry["expected"], f"{name}: `expected`")
        require(bool(because.strip()), "`because` must say why that tolerance or limit.")
    if relation in WITH_TOLERANCE:
        require("tolerance" in entry, f"relation {relation} needs a `tolerance`.")
        tolerance = _number(entry["tolerance"], f"{name}: `tolerance`")
        require(0 < tolerance < math.inf, f"`tolerance` must be positive and finite, but is {tolerance}.")
        require(math.isfinite(expected), f"`expected` must be finite, but is {expected}.")
        require(relation != "relative" or expected != 0, "relation relative needs a non-zero `expected`.")
    else:
        require("tolerance" not in entry, f"relation {relation} takes no `tolerance`.")
    return Claim(
        **texts,
        relation=relation,
        expected=expected,
        tolerance=tolerance,
        because=because.strip(),
        slack=slack.strip(),
        holds_for=holds_for,
    )


def _number(value: object, name: str) -> float:
    """Make an entry a number; YAML takes ``1e-8`` (no point, no sign) for text, so text is converted too."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise LedgerError(f"{name} must be a number, but is {value!r}.")
    return value


class Ledger:
    """The claims of one chapter, to be checked one by one.

    Parameters
    ----------
    chapter : str
        Name of the chapter, as the file lists it.
    namespace : mapping, optional
        Where the chapter's parameters are found by name, `globals()` in a notebook. Where one differs from the
        file's, claims about the source's parameters cannot fail: they also hold, or differ.
    path : str or Path
        The YAML file; not looked for if `carry` has been called.

    Attributes
    ----------
    parameters, original : dict
        The chapter's parameters as they are in this run, and the source's.
    changed : dict
        Those that differ, by name: the ``symbol``, and the values ``here`` and ``there``, in words.

    Raises
    ------
    LedgerError
        If the file is not valid, the chapter unknown, or a parameter missing.
    """

    def __init__(
        self, chapter: str, namespace: Mapping[str, object] | None = None, path: str | Path = "claims.yml"
    ) -> None:
        self._settings = read_settings(Path(path).resolve().parent)
        self._all, chapters = _parsed(Path(path), _carried[-1]) if _carried else read_claims(path)
        if chapter not in chapters:
            raise LedgerError(
                f"Argument `chapter` must be one of {', '.join(chapters) or 'none'}, but is {chapter!r}."
            )
        self.chapter = chapter
        self.claims = {name: claim for name, claim in self._all.items() if claim.chapter == chapter}
        self.records: dict[str, dict[str, Any]] = {}
        self.original: dict[str, Any] = chapters[chapter]["parameters"]
        missing = [name for name in self.original if name not in (namespace or {})]
        if missing:
            raise LedgerError(
                f"Argument `namespace` must hold the chapter's parameters, but lacks {', '.join(missing)}."
            )
        self.parameters = {name: plain((namespace or {})[name]) for name in self.original}
        declared = chapters[chapter]["declared"]
        self.changed = {}
        for name, value in self.parameters.items():
            if value != (own := plain(self.original[name])):
                known = declared.get(name) or Parameter(name, symbol=name)
                self.changed[name] = {
                    "symbol": known.symbol,
                    "here": known.words(value),
                    "there": known.words(own),
                }
        if self.changed:
            sentence = differs(list(self.changed.values()), self._settings.source)
            record = {self._settings.changed_type: list(self.changed.values())}
            _display(sentence, f"<strong>{html.escape(sentence)}</strong>", record)

    def check(self, id: str, measured: object) -> None:
        """Compare a measured value with a claim, show the verdict, and raise if the claim fails.

        Parameters
        ----------
        id : str
            The claim's id.
        measured : real number or bool
            The value, a Python or NumPy scalar.

        Raises
        ------
        ClaimFailed
            If the claim does not hold.
        LedgerError
            If the claim is unknown, another chapter's, or checked already.
        TypeError
            If the value is not a real scalar.
        """
        claim = self._claim(id)
        value = _scalar(measured, boolean=claim.relation == "true")
        applicable = claim.holds_for == "any" or not self.changed
        # What is claimed for the source's parameters only cannot fail at others, but it may hold there as well.
        holds = evaluate(claim, value) or (False if applicable else None)
        self.records[id] = record = make_record(claim, value, holds)
        _show(record, claim, bool(self.changed), self._settings)
        if holds is False and os.environ.get(RECORD_ONLY) != "record":
            raise ClaimFailed(_sentence(claim, value))

    def skip(self, id: str, why: str) -> None:
        """Say that a claim cannot be checked at this run's parameters, instead of checking it.

        Parameters
        ----------
        id : str
            The claim's id.
        why : str
            The reason, for a reader: "the full space holds eight spins at most".

        Raises
        ------
        LedgerError
            If all parameters are the source's own, or the claim is unknown, another chapter's, or checked already.
        """
        claim = self._claim(id)
        if not isinstance(why, str) or not why.strip():
            raise LedgerError(f"Argument `why` must say why claim `{id}` is skipped, but is {why!r}.")
        if not self.changed:
            raise LedgerError(
                f"Claim `{id}` must be checked at the {self._settings.source}'s own parameters, but is skipped: {why}"
            )
        self.records[id] = record = make_record(claim, None, None) | {"skipped": why.strip()}
        _show(record, claim, bool(self.changed), self._settings)

    def _claim(self, id: str) -> Claim:
        """Return a claim of this chapter that has not been dealt with."""
        if id not in self._all:
            raise LedgerError(f"Argument `id` must be a claim of the ledger, but {id!r} is unknown.")
        if id not in self.claims:
            raise LedgerError(
                f"Claim `{id}` belongs to chapter {self._all[id].chapter!r}, not {self.chapter!r}."
            )
        if id in self.records:
            raise LedgerError(f"Claim `{id}` must be checked once, but is checked again.")
        return self.claims[id]


def carry(text: str) -> None:
    """Have every `Ledger` read this text instead of a file: a notebook that travels brings its claims along."""
    _carried[:] = [text]


_carried: list[str] = []


def glue(name: str, value: object, display: bool = False) -> None:
    """Keep a value for the text, where ``{glue:text}`name` `` writes it; nothing happens outside of the book.

    Parameters
    ----------
    name : str
        The name that the text uses.
    value : object
        A number, which the text can format, or a text.
    display : bool
        Whether the cell shows the value as well.
    """
    try:
        from myst_nb import glue as keep
    except ImportError:  # in a notebook that was downloaded: its text has the numbers already
        return
    keep(name, value, display=display)


def differs(changed: list[dict[str, str]], source: str) -> str:
    """Say in what a run differs from the source: "g₀ = 2 (paper: 4)"."""
    parts = [f"{entry['symbol']} = {entry['here']} ({source}: {entry['there']})" for entry in changed]
    return f"This run differs from the {source}: {'; '.join(parts)}."


def make_record(claim: Claim, measured: float | bool | None, holds: bool | None) -> dict[str, Any]:
    """Return what a check leaves behind; JSON has no infinities, so those are written as text."""
    record = {key: value for key, value in dataclasses.asdict(claim).items() if key != "holds_for"}
    infinite = isinstance(measured, float) and not math.isfinite(measured)
    record["measured"] = str(measured) if infinite else measured
    record["holds"] = holds
    if not isinstance(claim.expected, bool) and not math.isfinite(claim.expected):
        record["expected"] = str(claim.expected)
    return record


def _scalar(value: object, *, boolean: bool) -> float | bool:
    """Return a plain number or truth value, or say in one sentence why it is none."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if isinstance(value, bool) == boolean and isinstance(value, (bool, numbers.Real)):
        return value if isinstance(value, (bool, int)) else float(value)
    wanted = "true or false" if boolean else "one real number"
    raise TypeError(f"Argument `measured` must be {wanted}, but is {type(value).__name__} {value!r}.")


def _sentence(claim: Claim, measured: float | bool) -> str:
    """Say in one sentence what failed."""
    return (
        f"Claim `{claim.id}` ({claim.where}) fails: "
        f"{claim.quantity} must be {claim.requirement}, but is {number(measured)}."
    )


def _show(record: dict[str, Any], claim: Claim, changed: bool, settings: Settings) -> None:
    """Display a verdict in a notebook, print it elsewhere."""
    measured = "" if record["measured"] is None else measured_text(record)
    before, after = ": ", f", must be {claim.requirement}"
    if "skipped" in record:
        verdict, before, after = f"– skipped: {record['skipped']}", "", ""
    elif record["holds"] is None:
        verdict = "– differs here"
        before, after = f": {settings.source}: {claim.expectation}, here: ", ""
    else:
        verdict = "✓ " if record["holds"] else "✗ "
        word = "holds" if record["holds"] else "fails"
        verdict += f"{'also ' if record['holds'] else ''}{word} here" if changed else word
    kind = f"beyond the {settings.source}" if claim.kind == "beyond" else claim.kind
    text = f"{verdict} | {kind} | {claim.where} | {claim.quantity}{before}{measured}{after} [{claim.id}]"
    colour, where = _COLOUR[record["holds"]], _markup(claim.where).removesuffix(".")
    badges = (
        f'<span class="claim-badge" style="background:{colour};color:#fff;border-radius:.3em;'
        f'padding:.1em .5em;font-weight:600">{html.escape(verdict)}</span> '
        f'<span class="claim-kind claim-{claim.kind}" style="border:1px solid;'
        f'border-radius:.3em;padding:.05em .4em;font-size:.85em;white-space:nowrap">{kind}</span>'
    )
    # The class makes Sphinx's MathJax typeset the mathematics; notebooks typeset all of their output.
    markup = (
        '<div class="claim tex2jax_process" '
        f'style="border-left:4px solid {colour};padding:.3em .8em;margin:.4em 0">'
        f"{badges} <strong>{where}.</strong> {_markup(claim.says)}<br>"
        f'<span style="font-size:.9em">{_markup(claim.quantity)}{typeset(before)}'
        f"<strong>{typeset(measured)}</strong>{typeset(after)} <code>{claim.id}</code></span></div>"
    )
    _display(text, markup, {settings.mime_type: record})


def _display(text: str, markup: str, record: dict[str, Any]) -> None:
    """Show markup and leave a record in a notebook; print the text elsewhere."""
    try:
        from IPython.core.getipython import get_ipython
        from IPython.display import display

        in_notebook = get_ipython() is not None
    except ImportError:
        in_notebook = False
    if not in_notebook:
        print(text)
        return
    display({"text/plain": text, "text/html": markup, **record}, raw=True)  # type: ignore[no-untyped-call]


def _markup(text: str) -> str:
    r"""Escape text for HTML; write ``$mathematics$`` as ``\(…\)``, which every viewer typesets, and code as code."""
    text = re.sub(r"\$([^$]+)\$", r"\\(\1\\)", html.escape(text))
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
