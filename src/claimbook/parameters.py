"""The parameters of a chapter: what they mean, what they may be, and how a reader gives other values.

They are declared in the ledger's file, once for all chapters; a chapter may narrow a range. Everything a reader
gives is checked here, before any process starts.
"""

from __future__ import annotations

import ast
import dataclasses
import math
import operator
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

KINDS = {
    "number": "a number",
    "integer": "an integer",
    "numbers": "a list of {} numbers",
    "integers": "a list of {} integers",
    "pairs": "a list of {} pairs of numbers",
}
_LIMITS = ("at_least", "at_most", "above", "below")
_COMPARISONS = {"at_least": operator.ge, "at_most": operator.le, "above": operator.gt, "below": operator.lt}
_LARGEST = 1e300  # beyond it, a number is a slip of the keyboard


class ParameterError(ValueError):
    """A parameter's declaration, or a value that a reader gives, is not valid."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """What a parameter is.

    Attributes
    ----------
    name, symbol, meaning : str
        As the chapters' code calls it, as the text writes it, and what it stands for.
    type : str
        One of `KINDS`.
    items, fewest : int, optional
        How many items a list must have, or must have at least.
    at_least, at_most, above, below : float or str, optional
        Limits of a number or of each number in a list; a text names another parameter.
    length_at_most : float, optional
        Largest Euclidean length of a list.
    nonzero : bool
        Whether a number must differ from zero.
    cost : float
        Run time is taken to grow with this power of a number, or of the sum of a list.
    """

    name: str
    symbol: str
    meaning: str = ""
    type: str = "number"
    items: int | None = None
    fewest: int | None = None
    at_least: float | str | None = None
    at_most: float | str | None = None
    above: float | str | None = None
    below: float | str | None = None
    length_at_most: float | None = None
    nonzero: bool = False
    cost: float = 0.0

    @property
    def requirement(self) -> str:
        """What a value must be, in words: "a number, at least 0 and below `bath_decay`"."""
        text = KINDS[self.type].format(self.items or f"{self.fewest or 1} or more")
        text += " other than zero" if self.nonzero else ""
        limits = [
            f"{name.replace('_', ' ')} {f'`{limit}`' if isinstance(limit, str) else f'{limit:g}'}"
            for name in _LIMITS
            if (limit := getattr(self, name)) is not None
        ]
        if self.length_at_most is not None:
            limits.append(f"of length {self.length_at_most:g} at most")
        each = (
            "each " if limits and self.type not in ("number", "integer") and not self.length_at_most else ""
        )
        return ", ".join([text, each + " and ".join(limits)]) if limits else text

    def words(self, value: object) -> str:
        """Write a value of the parameter for a reader: ``4``, ``6, 10, 80``, ``(1, 0, −0.5)``."""
        text = in_words(value)
        return f"({text})" if self.items and self.type != "pairs" else text

    def check(self, value: object, others: Mapping[str, Any]) -> None:
        """Raise a `ParameterError` if the value is none that the parameter may have."""
        if not self._fits(value, others):
            raise ParameterError(
                f"Parameter `{self.name}` must be {self.requirement}, but is {value!r}"
                + "".join(
                    f" (`{limit}` is {others[limit]!r})"
                    for limit in map(self.__getattribute__, _LIMITS)
                    if isinstance(limit, str) and limit in others
                )
                + "."
            )

    def _fits(self, value: object, others: Mapping[str, Any]) -> bool:
        single = self.type in ("number", "integer")
        items = [value] if single else value
        if not isinstance(items, list):
            return False
        if not single and (len(items) < (self.fewest or 1) or self.items not in (None, len(items))):
            return False
        if self.type == "pairs":
            if not all(isinstance(pair, list) and len(pair) == 2 for pair in items):
                return False
            items = [number for pair in items for number in pair]
        kind = int if self.type.startswith("integer") else (int, float)
        if not all(isinstance(item, kind) and not isinstance(item, bool) for item in items):
            return False
        if not all(abs(item) <= _LARGEST for item in items):
            return False
        if self.nonzero and not all(items):
            return False
        if self.length_at_most is not None and math.hypot(*items) > self.length_at_most * (1 + 1e-12):
            return False
        for name in _LIMITS:
            limit = getattr(self, name)
            limit = others.get(limit) if isinstance(limit, str) else limit
            if isinstance(limit, (int, float)) and not all(_COMPARISONS[name](item, limit) for item in items):
                return False
        return True


def declare(name: str, entry: object, narrowed: object = None) -> Parameter:
    """Make a `Parameter` of an entry of the ledger's file, and of what one chapter changes of it.

    Raises
    ------
    ParameterError
        If the entry is not valid.
    """
    words: dict[str, Any] = {}
    for part in (entry or {}, narrowed or {}):
        if not isinstance(part, dict):
            raise ParameterError(f"Parameter `{name}` must be declared by a mapping, but is by {part!r}.")
        words |= {str(key).replace("-", "_"): value for key, value in part.items()}
    known = {field.name for field in dataclasses.fields(Parameter)} - {"name"}
    if unknown := sorted(set(words) - known):
        raise ParameterError(f"Parameter `{name}`: key `{', '.join(unknown)}` is unknown.")
    if words.get("type", "number") not in KINDS:
        raise ParameterError(f"Parameter `{name}`: `type` must be one of {', '.join(KINDS)}.")
    return Parameter(**{"name": name, "symbol": name} | words)


def parse(text: str, known: Mapping[str, Any], declared: Mapping[str, Parameter]) -> dict[str, Any]:
    """Read `name=value name=value` and check the values.

    Parameters
    ----------
    text : str
        Each value is a number, arithmetic such as ``10**6`` or ``1/3``, or a list of those.
    known : mapping
        The chapter's parameters and their own values.
    declared : mapping
        What the parameters may be; one that is not declared may be anything.

    Raises
    ------
    ParameterError
        If the text is not of that form, or a value not allowed.
    """
    pieces = re.split(r"(?:^|\s)([^\W\d]\w*)\s*=(?!=)", text)
    if pieces[0].strip():
        raise ParameterError(f"PARAMETERS must read `name=value name=value`, but starts with {pieces[0]!r}.")
    values: dict[str, Any] = {}
    for name, value in zip(pieces[1::2], pieces[2::2], strict=True):
        if name not in known:
            listing = "\n".join(
                f"  {key}={default!r}" + (f"  {declared[key].meaning}" if key in declared else "")
                for key, default in known.items()
            )
            raise ParameterError(f"The chapter has no parameter {name!r}; its parameters are:\n{listing}")
        if name in values:
            raise ParameterError(f"Parameter `{name}` must be given once, but is given twice.")
        try:
            values[name] = evaluate(value.strip())
        except (ValueError, SyntaxError, ArithmeticError, RecursionError, MemoryError) as error:
            raise ParameterError(
                f"Parameter `{name}` must be a number, arithmetic of numbers, or a list, such as "
                f"{known[name]!r}, but is {value.strip()!r}."
            ) from error
    together = {**known, **values}
    for name in known:  # a limit may be another parameter that has been changed
        if name in declared:
            declared[name].check(together[name], together)
    return values


def evaluate(text: str) -> Any:
    """Return the value of a literal or of arithmetic, without running anything else; raise ValueError."""
    operations: dict[type, Any] = {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
        ast.FloorDiv: operator.floordiv,
        ast.Pow: power,
    }

    def value(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool() | int() | float() | str() as constant):
                return constant
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [value(item) for item in items]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -number(operand)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return number(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in operations:
                return operations[type(op)](number(left), number(right))
        raise ValueError(ast.unparse(node))

    def number(node: ast.expr) -> int | float:
        found = value(node)
        if isinstance(found, bool) or not isinstance(found, (int, float)):
            raise ValueError(ast.unparse(node))
        return found

    return value(ast.parse(text, mode="eval").body)


def power(base: float, exponent: float) -> int | float:
    """Return a power; raise ValueError for one too large to be meant, instead of computing it."""
    if base and abs(exponent) * abs(math.log10(abs(base))) > 300:
        raise ValueError("too large")
    result = base**exponent
    if isinstance(result, complex):
        raise ValueError("not real")
    return result


def plain(value: object) -> object:
    """Turn NumPy values and tuples into the plain numbers and lists that YAML has."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def in_words(value: object) -> str:
    """Write any value for a reader: ``4``, ``6, 10, 80``."""
    if isinstance(value, list):
        parts = [f"({in_words(item)})" if isinstance(item, list) else in_words(item) for item in value]
        return ", ".join(parts)
    return (f"{value:g}" if isinstance(value, float) else str(value)).replace("-", "−")


def cost(declared: Mapping[str, Parameter], original: Mapping[str, Any], values: Mapping[str, Any]) -> float:
    """Return by how much longer than at its own parameters a chapter is likely to run.

    An estimate from the powers that the parameters declare; what makes a run shorter is not counted on.
    """

    def size(value: Any) -> float:
        return float(np.abs(np.asarray(plain(value), dtype=float)).sum())

    factor = 1.0
    for name, value in values.items():
        if name in declared and declared[name].cost and size(original[name]):
            factor *= max(1.0, size(value) / size(original[name])) ** declared[name].cost
    return factor
