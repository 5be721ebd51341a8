"""Keep what `make bench` measured, and compare it with that: `python -m benchmarks.history add | compare`.

Seconds depend on the machine, so that only ratios within one run are compared; a complete run keeps its rows as well,
from which `page` writes README and the book's page. Ratios that are named "rival / symmetric …" say how many times
faster the method is: one of them may not fall below the smallest of the last entries by more than the factor `SLACK`,
which is how much such ratios vary from run to run.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from pathlib import Path
from typing import Any

HISTORY = Path(__file__).with_name("history.jsonl")
MEASURED = Path(__file__).parents[1] / "_build" / "bench.json"
#: By which factor a ratio may be smaller than before, and with how many entries it is compared.
SLACK, ENTRIES = 2.0, 5


def read(path: Path) -> list[dict[str, Any]]:
    """The entries, oldest first."""
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    )


def entry(measured: dict[str, Any], date: str) -> dict[str, Any]:
    """What is kept of a run."""
    ratios = {name: rounded(value, 4) for name, value in measured["ratios"].items()}
    kept = {"date": date, "machine": measured["machine"], "ratios": ratios}
    if measured.get("complete"):
        kept |= {name: rounded(measured[name], 3) for name in ("rows", "memory MB", "floor")}
    return kept


def rounded(value: Any, digits: int) -> Any:
    """The numbers in a value with a few digits."""
    if isinstance(value, dict):
        return {name: rounded(inner, digits) for name, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner, digits) for inner in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def slower(measured: dict[str, Any], history: list[dict[str, Any]]) -> list[str]:
    """A sentence for every ratio that has fallen too far."""
    found = []
    for name, value in measured["ratios"].items():
        before = [known["ratios"][name] for known in history[-ENTRIES:] if name in known["ratios"]]
        if "/ symmetric" in name and before and value < min(before) / SLACK:
            found.append(f"{name}: {value:.3g}, which was {min(before):.3g} or more.")
    return found


def main() -> int:
    """Add the last run to the history, or compare it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("add", "compare"))
    if not MEASURED.exists():
        print("Nothing is measured: run `make bench` first.", file=sys.stderr)
        return 2
    measured, history = json.loads(MEASURED.read_text(encoding="utf-8")), read(HISTORY)
    if parser.parse_args().what == "add":
        line = json.dumps(entry(measured, datetime.date.today().isoformat()), ensure_ascii=False)
        with HISTORY.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        return 0
    found = slower(measured, history)
    print("\n".join(found) or f"No ratio is worse than before by more than a factor {SLACK:g}.")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
