"""Is what code depends on read off its imports: all of it, and little more?"""

from pathlib import Path

import pytest

from claimbook.imports import Imports

FILES = {
    "pack/__init__.py": "from .front import run\nfrom .extra import Extra as More\n",
    "pack/front.py": "def run():\n    from .deep import work\n",
    "pack/extra.py": "import numpy\n",
    "pack/deep/__init__.py": "from .work import work\nfrom .idle import idle\n",
    "pack/deep/work.py": "from ..base import x\n",
    "pack/deep/idle.py": "",
    "pack/base.py": "from .deep import idle\n",
    "pack/late.py": "from importlib import import_module\nload = lambda x: import_module(f'.deep.{x}', __package__)\n",
    "pack/wild.py": "from importlib import import_module\nload = lambda name: import_module(name)\n",
    "alone.py": "",
}
DEEP = {"pack/__init__.py", "pack/deep/__init__.py", "pack/deep/work.py", "pack/deep/idle.py", "pack/base.py"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import numpy", set()),
        ("import alone", {"alone.py"}),
        ("def f():\n    import alone", {"alone.py"}),
        ("from pack import More", {"pack/__init__.py", "pack/extra.py"}),
        ("from pack import run", DEEP - {"pack/deep/idle.py"} | {"pack/front.py", "pack/deep/idle.py"}),
        ("from pack.deep import idle", {"pack/__init__.py", "pack/deep/__init__.py", "pack/deep/idle.py"}),
        ("from pack import deep", DEEP),
        ("import pack", DEEP | {"pack/front.py", "pack/extra.py"}),
        ("from pack import *", DEEP | {"pack/front.py", "pack/extra.py"}),
        ("from pack.late import load", DEEP | {"pack/late.py"}),
        ("from pack.wild import load", set(FILES) - {"alone.py"}),
        ("import importlib\nimportlib.import_module(name)", set(FILES)),
        ("%magic", set(FILES)),
    ],
)
def test_closure(tmp_path: Path, code: str, expected: set[str]) -> None:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    found = Imports(tmp_path).of_code([code])
    assert {path.relative_to(tmp_path).as_posix() for path in found} == expected
