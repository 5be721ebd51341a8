"""Do the addresses in the repository's texts still answer? `python .ci/links.py`, weekly, for it asks other hosts.

A host that refuses programs (401, 403, 429) or is down for the moment (5xx) says nothing about an address and is only
mentioned; what is gone (404, 410) or has no host any more fails.
"""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
#: Files whose addresses a reader may follow.
TEXTS = (".md", ".bib", ".yml", ".toml", ".cff", ".json")
ADDRESS = re.compile(r"https?://[^\s<>\"'`\\\]})]+")
DOI = re.compile(r"^\s*doi = \{(.+?)\}", re.MULTILINE)
#: Addresses that belong to this machine.
LOCAL = re.compile(r"https?://(127\.|localhost|\[::1\])")
SECONDS, TRIES = 30, 3


def addresses(files: Iterable[Path]) -> dict[str, list[str]]:
    """Every address with the files that name it."""
    found: dict[str, list[str]] = {}
    for path in files:
        text = path.read_text(encoding="utf-8")
        for url in {*ADDRESS.findall(text), *(f"https://doi.org/{doi}" for doi in DOI.findall(text))}:
            if not LOCAL.match(url):
                found.setdefault(url.rstrip(".,;:"), []).append(path.name)
    return found


def answer(url: str) -> str:
    """Say "" for an address that answers, "?…" where that cannot be told, and otherwise what is wrong."""
    said = ""
    for _ in range(TRIES):
        try:
            request = urllib.request.Request(url, headers={"User-Agent": "Mozilla/5.0 (link check)"})
            with urllib.request.urlopen(request, timeout=SECONDS):
                return ""
        except urllib.error.HTTPError as error:
            if error.code in (401, 403, 429) or error.code >= 500:
                return f"?{error.code}"
            return str(error.code)
        except (OSError, ValueError) as error:
            said = str(error)
    return said


def main() -> int:
    """Check all of them."""
    names = subprocess.run(
        ["git", "-C", str(HERE), "ls-files"], capture_output=True, text=True, check=True
    ).stdout
    files = [
        HERE / name for name in names.splitlines() if name.endswith(TEXTS) and not name.startswith("tests/")
    ]
    found = addresses(path for path in files if path.is_file())
    with ThreadPoolExecutor(8) as pool:
        said = dict(zip(found, pool.map(answer, found), strict=True))
    for url, problem in sorted(said.items()):
        if problem:
            print(f"{url} ({', '.join(found[url])}): {problem}")
    gone = sum(1 for problem in said.values() if problem and not problem.startswith("?"))
    print(f"{len(said)} addresses, {gone} of them gone.")
    return int(gone > 0)


if __name__ == "__main__":
    sys.exit(main())
