"""A book of two chapters with a library of its own, written to a temporary folder."""

import signal
import subprocess
import sys
from pathlib import Path

from claimbook.layout import Book

PATIENCE = 120  # seconds that any process of these tests may take

CHAPTER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# Chapter {name}

:::{{chapter-info}}
A sample.
:::

```{{code-cell}} ipython3
:tags: [parameters]

size = 1  # with a comment: size = one
```

:::{{source-parameters}}
It is one.
:::

```{{code-cell}} ipython3
from claimbook import Ledger
from library.{name} import double

claims = Ledger("{name}", globals())
claims.check("{name}.size", double(size) / 2)
{more}
```
"""
CLAIMS = """parameters:
  size: {symbol: ℓ, above: 0, cost: 2}
chapters:
  one: {parameters: {size: 1}}
  two: {parameters: {size: 1}}
claims:
"""
CLAIM = """- {{id: {name}.size, chapter: {name}, where: here, kind: beyond, says: "It is $1$.",
   quantity: size, relation: within, expected: {expected}, tolerance: 1e-9, because: "none needed"}}
"""
FILES = {
    "pyproject.toml": '[tool.claimbook]\nname = "toy"\nsource = "sketch"\nlibrary = "library"\npublic = ["one"]\n',
    "requirements.lock": "",
    "_toc.yml": "format: jb-book\nroot: book/intro\nchapters:\n- file: book/one\n- file: book/two\n",
    "_config.yml": (
        'only_build_toc_files: true\nexecute: {execute_notebooks: "off"}\n'
        "sphinx:\n  extra_extensions: [claimbook.sphinx]\n"
        "  config: {suppress_warnings: [mystnb.unknown_mime_type]}\n"
    ),
    "book/intro.md": "# A toy\n\n```{ledger-table}\n```\n\n```{execution-table}\n```\n\n<!-- public names -->\n",
    "src/library/__init__.py": (
        '"""A library."""\n\nfrom .one import double\nfrom .other import unused\n\n'
        '__all__ = ["double", "unused"]\n'
    ),
    "src/library/other.py": 'def unused():\n    """Do nothing."""\n',
    "src/library/two.py": "from .one import double\n",
    "src/library/one.py": 'def double(x):\n    """Return twice as much."""\n    return 2 * x\n',
}


def write(root: Path, more: str = "", expected: int = 1) -> Book:
    """Write the book; `more` is further code in the second chapter, `expected` what its claim says."""
    claims = CLAIM.format(name="one", expected=1) + CLAIM.format(name="two", expected=expected)
    chapters = {
        "book/one.md": CHAPTER.format(name="one", more=""),
        "book/two.md": CHAPTER.format(name="two", more=more),
        "book/claims.yml": CLAIMS + claims,
    }
    for name, text in (FILES | chapters).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Book(root)


def start(
    root: Path, *arguments: str, ignoring_interrupts: bool = False, **environment: str
) -> subprocess.Popen:
    """Start the command line in a process of its own."""
    import os

    command = [sys.executable, "-m", "claimbook", arguments[0], "--root", str(root), *arguments[1:]]
    previous = signal.getsignal(signal.SIGINT)
    if ignoring_interrupts:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process inherits it, as in `nohup make book &`
    try:
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, **environment},
        )
    finally:
        signal.signal(signal.SIGINT, previous)


def run(root: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run the command line and return its status, output and errors."""
    with start(root, *arguments, **environment) as process:
        try:
            output, errors = process.communicate(timeout=PATIENCE)
        except BaseException:
            process.kill()
            raise
    return process.returncode, output, errors
