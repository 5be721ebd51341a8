"""Which files of a source folder a piece of code depends on, read off the import statements without running it."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

#: Stands for the names of all modules below a package.
EVERY = "*"


class Imports:
    """The import closure within a folder that holds packages and modules, such as `src`.

    `from package import name` depends on what binds that name in the package's `__init__`, not on all that the
    `__init__` imports: the names re-exported by a package would else join everything to everything. What a
    package's own code does with its names (`__init__` files that do more than re-export) counts in full.
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        self.files = sorted(source.rglob("*.py")) if source.is_dir() else []

    def of_code(self, code: Iterable[str]) -> list[Path]:
        """Return the files that pieces of code depend on; all of them if one cannot be read."""
        found: set[Path] = set()
        try:
            for text in code:
                self.follow(imported(ast.parse(text), ""), found, set())
        except (SyntaxError, Unreadable):
            return self.files
        return sorted(found)

    def follow(
        self, wanted: Iterable[tuple[str, str | None]], found: set[Path], seen: set[tuple[str, str | None]]
    ) -> None:
        """Add to `found` the files behind (module, name) pairs; name None stands for the whole module."""
        for module, name in wanted:
            if (module, name) in seen:
                continue
            seen.add((module, name))
            if name == EVERY:
                self.follow(((inner, None) for inner in self.modules(module)), found, seen)
                continue
            if name is not None and self.path(f"{module}.{name}"):
                self.follow([(f"{module}.{name}", None)], found, seen)
                continue
            path = self.path(module)
            if path is None:
                continue
            parents = module.split(".")[:-1]
            found |= {init for k in range(len(parents)) if (init := self.path(".".join(parents[: k + 1])))}
            found.add(path)
            statements = statements_of(path, module if path.name == "__init__.py" else ".".join(parents))
            if path.name == "__init__.py" and name is not None and name in statements.bound:
                self.follow(statements.bound[name], found, seen)
            else:
                self.follow(statements.all, found, seen)

    def path(self, module: str) -> Path | None:
        """Return the file of a module in the folder, None for a module of others."""
        path = self.source.joinpath(*module.split("."))
        candidates = (path / "__init__.py", path.with_name(f"{path.name}.py"))
        return next((candidate for candidate in candidates if candidate.is_file()), None)

    def modules(self, package: str) -> Iterator[str]:
        """Yield the full names of the modules below a package."""
        for path in self.files:
            parts = path.relative_to(self.source).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if f"{name}.".startswith(f"{package}."):
                yield name


class Unreadable(Exception):
    """An import whose target cannot be read off the code."""


class Statements:
    """The import statements of a file: all of them, and by the name they bind."""

    def __init__(self, tree: ast.Module, package: str) -> None:
        self.all = list(imported(tree, package))
        self.bound: dict[str, list[tuple[str, str | None]]] = {}
        for line in tree.body:
            if isinstance(line, ast.ImportFrom):
                for alias in line.names:
                    target = (absolute(line, package), alias.name)
                    self.bound.setdefault(alias.asname or alias.name, []).append(target)


@functools.cache
def parsed(path: Path, package: str, stamp: tuple[int, int]) -> Statements:
    """Return a file's import statements; `stamp` tells one state of the file from another."""
    return Statements(ast.parse(path.read_text(encoding="utf-8")), package)


def statements_of(path: Path, package: str) -> Statements:
    """Return a file's import statements."""
    status = path.stat()
    return parsed(path, package, (status.st_mtime_ns, status.st_size))


def imported(tree: ast.AST, package: str) -> Iterator[tuple[str, str | None]]:
    """Yield the (module, name) pairs that code imports, wherever in it the statement stands."""
    for line in ast.walk(tree):
        if isinstance(line, ast.Import):
            yield from ((alias.name, None) for alias in line.names)
        elif isinstance(line, ast.ImportFrom):
            module = absolute(line, package)
            yield from ((module, None if alias.name == "*" else alias.name) for alias in line.names)
        elif isinstance(line, ast.Call) and called(line) in ("import_module", "__import__"):
            yield dynamic(line, package)


def absolute(line: ast.ImportFrom, package: str) -> str:
    """Return the full name of the module that a `from` statement names."""
    if not line.level:
        return line.module or ""
    base = package.split(".")[: len(package.split(".")) - line.level + 1]
    return ".".join([*base, *([line.module] if line.module else [])])


def called(line: ast.Call) -> str:
    """Return the last name of what is called."""
    return str(getattr(line.func, "attr", getattr(line.func, "id", "")))


def dynamic(line: ast.Call, package: str) -> tuple[str, str | None]:
    """Return what `import_module("x")` imports; all that is below x for `import_module(f"x.{name}")`."""
    name = line.args[0] if line.args else None
    every = isinstance(name, ast.JoinedStr)
    start = name.values[0] if isinstance(name, ast.JoinedStr) else name
    text = start.value if isinstance(start, ast.Constant) else None
    if not isinstance(text, str) or (every and not text.endswith(".")):
        if not package:
            raise Unreadable
        return package.split(".")[0], EVERY  # whatever it is, of its own package
    rest = text.lstrip(".")
    module = absolute(ast.ImportFrom(rest.rstrip("."), [], len(text) - len(rest)), package)
    return module, EVERY if every else None
