"""One-token faults: constants, operators, comparisons, signs, truth values, names such as min and max.

Not touched: docstrings and other texts, annotations, decorators, what is raised, and what only prints.
"""

from __future__ import annotations

import ast
import hashlib
import io
import itertools
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: What an operator or a name may be mistaken for.
SWAPS = {
    "+": "-", "-": "+", "*": "/", "/": "*", "**": "*", "//": "/", "%": "//", "|": "&", "&": "|",
    "+=": "-=", "-=": "+=", "*=": "/=", "/=": "*=", "|=": "&=", "&=": "|=",
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "in": "not in", "is": "is not",
    "and": "or", "or": "and", "not": "", "~": "",
    "min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "argmin": "argmax", "argmax": "argmin",
    "any": "all", "all": "any", "zeros": "ones", "ones": "zeros", "zeros_like": "ones_like", "ones_like": "zeros_like",
    "floor": "ceil", "ceil": "floor", "real": "imag", "cos": "sin", "sin": "cos",
    "vstack": "hstack", "hstack": "vstack", "SIGMA_PLUS": "SIGMA_MINUS", "SIGMA_MINUS": "SIGMA_PLUS",
    "central_pump": "central_decay", "central_decay": "central_pump", "bath_pump": "bath_decay",
    "bath_decay": "bath_pump", "True": "False", "False": "True", "break": "continue", "continue": "break",
}  # fmt: skip
#: Comparisons may also be turned round.
TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
#: What may be forgotten, as tokens.
FORGOTTEN = ([".", "T"], [".", "conj", "(", ")"], [".", "copy", "(", ")"])
#: Constants outside this range are thresholds, which a factor of 2 does not put in doubt.
ORDINARY = (1e-3, 1e5)
#: What only prints, and flags that only ask for a complaint.
SILENT = frozenset({"__repr__", "_repr_html_", "_short", "_summary", "short"})
FLAGS = frozenset({"strict", "repr", "stacklevel"})
ERRORS = re.compile(r"(Error|Warning)$|^warn$")


#: A line, from 1, and a character in it, from 0.
Place = tuple[int, int]


@dataclass(frozen=True)
class Fault:
    """A fault that may be planted.

    Attributes
    ----------
    file : str
        From src/centralspin.
    function : str
        The innermost function's qualified name, as in tracebacks; empty at the level of the module.
    line, becomes : str
        The line as it is and as it would be, without the blanks around it.
    number, start, end, new : int, int, int, str
        The line's number; the characters from `start` to `end` of the file become `new`.
    """

    file: str
    function: str
    line: str
    becomes: str
    number: int
    start: int
    end: int
    new: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What stays the same when other lines change."""
        return self.file, self.function, self.line, self.becomes

    def plant(self, text: str) -> str:
        """The file's text with the fault."""
        return text[: self.start] + self.new + text[self.end :]

    def compiles(self, root: Path) -> bool:
        """Whether the faulty file is Python; `for x not in y` is not."""
        try:
            ast.parse(self.plant((root / self.file).read_text(encoding="utf-8")))
        except SyntaxError:
            return False
        return True

    def __str__(self) -> str:
        return f"src/centralspin/{self.file}:{self.number}: {self.line}\n    → {self.becomes}"


def faults(path: Path, root: Path) -> list[Fault]:
    """All faults of a file; what is no Python after all is left out by `chosen`."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    tree = ast.parse(text)
    spared, functions = _spared(tree, lines), _functions(tree)
    found: dict[tuple[str, ...], Fault] = {}
    for (row, column), (_, stop), new in _places(text):
        if any(a <= (row, column) < b for a, b in spared):
            continue
        line = lines[row - 1]
        becomes = (line[:column] + new + line[stop:]).strip()
        inside = [(a, name) for a, b, name in functions if a <= row <= b]
        function = max(inside, default=(0, ""))[1]
        if function.split(".")[-1] in SILENT:
            continue
        start = starts[row - 1]
        name = path.relative_to(root).as_posix()
        fault = Fault(name, function, line.strip(), becomes, row, start + column, start + stop, new)
        found.setdefault(fault.key, fault)
    return list(found.values())


def chosen(files: dict[str, list[Fault]], root: Path, count: int, seed: int) -> list[Fault]:
    """Faults from all files, more from those with more, always the same for a seed, changed lines apart."""

    def place(fault: Fault) -> bytes:
        return hashlib.sha256(repr((seed, fault.key)).encode()).digest()

    total = sum(map(len, files.values()))
    picked = []
    for found in files.values():
        share = min(len(found), max(2, -(-count * len(found) // total)))
        possible = (fault for fault in sorted(found, key=place) if fault.compiles(root))
        picked += itertools.islice(possible, share)
    return sorted(picked, key=place)


def _places(text: str) -> Iterator[tuple[Place, Place, str]]:
    """Where a token may be another one: its beginning, its end, what it becomes."""
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    for previous, token, following in zip(tokens, tokens[1:], tokens[2:], strict=False):
        old, place = token.string, (token.start, token.end)
        if token.type == tokenize.NUMBER:
            yield from ((*place, new) for new in _numbers(old))
        elif token.type == tokenize.OP or (token.type == tokenize.NAME and old in SWAPS):
            if old in ("*", "**", "/") and not _is_operand(previous):  # *arguments, not a product
                continue
            if old == "not" and following.string == "in":
                yield token.start, token.end, ""
            elif old == "in" and previous.string == "not":
                continue
            elif old == "is" and following.string == "not":
                yield token.start, following.end, "is"
            elif old in SWAPS and not (token.type == tokenize.NAME and following.string == "="):
                yield *place, SWAPS[old]
            if old in TURNED:
                yield *place, TURNED[old]
    for k, token in enumerate(tokens):
        for words in FORGOTTEN:
            if [t.string for t in tokens[k : k + len(words)]] == words:
                yield token.start, tokens[k + len(words) - 1].end, ""


def _is_operand(token: tokenize.TokenInfo) -> bool:
    if token.type == tokenize.NAME:
        return token.string not in ("return", "lambda", "in", "else", "yield", "and", "or", "not", "if")
    return token.type in (tokenize.NUMBER, tokenize.STRING) or token.string in (")", "]", "}")


def _numbers(old: str) -> Iterator[str]:
    """What a constant may be mistaken for."""
    value = ast.literal_eval(old)
    if isinstance(value, int):
        yield str(value + 1)
        if value > 0:
            yield str(value - 1)
    elif isinstance(value, complex):
        yield f"{2 * value.imag:g}j"
    elif ORDINARY[0] <= value < ORDINARY[1]:
        yield from (f"{2 * value!r}", f"{value / 2!r}")
    elif value:
        yield from (f"{1e4 * value:.3g}", f"{1e-4 * value:.3g}")
    else:
        yield "1.0"


def _spared(tree: ast.Module, lines: list[str]) -> list[tuple[Place, Place]]:
    """The stretches that are left alone."""
    found = []

    def place(row: int, column: int) -> Place:
        return row, len(lines[row - 1].encode()[:column].decode())  # `ast` counts bytes

    def spare(node: Any) -> None:
        if node is not None:
            found.append((place(node.lineno, node.col_offset), place(node.end_lineno, node.end_col_offset)))

    for node in ast.walk(tree):
        complains = isinstance(node, ast.Call) and ERRORS.search(ast.unparse(node.func).rpartition(".")[2])
        if complains or isinstance(
            node, ast.Raise | ast.Assert | ast.Import | ast.ImportFrom | ast.JoinedStr
        ):
            spare(node)
        elif isinstance(node, ast.AnnAssign | ast.arg):
            spare(node.annotation)
        elif isinstance(node, ast.keyword) and node.arg in FLAGS:
            spare(node)
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                spare(decorator)
        if isinstance(node, ast.FunctionDef):
            spare(node.returns)
    return found


def _functions(tree: ast.Module) -> list[tuple[int, int, str]]:
    """First and last line and qualified name of every function; defaults and decorators count as the module's."""
    found = []

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef):
                found.append((child.body[0].lineno, child.end_lineno or 0, prefix + child.name))
                visit(child, f"{prefix}{child.name}.<locals>.")
            elif isinstance(child, ast.ClassDef):
                visit(child, f"{prefix}{child.name}.")
            else:
                visit(child, prefix)

    visit(tree, "")
    return found
