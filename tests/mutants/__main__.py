"""Plant faults and list those that no test notices: `python -m tests.mutants [--where symmetric/cut.py:120]`.

A campaign that was ended goes on where it was when it is started again.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections import Counter

from .campaign import LIBRARY, Sight, equivalents, judge_all, sources, stop
from .faults import Fault, chosen


def main() -> int:
    """Run the campaign; what an earlier one found of unchanged files is not run again."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="how many faults are chosen, about")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--where", action="append", help="all faults of a file or a line instead: FILE[:LINE]"
    )
    parser.add_argument(
        "--only", action="append", help="choose in files whose names begin so, such as theory/"
    )
    parser.add_argument("--spare", action="append", help="do not choose in files whose names begin so")
    parser.add_argument("--list", action="store_true", help="only list the chosen faults")
    arguments = parser.parse_args()
    files = sources()
    listed = equivalents(files)
    if arguments.where:
        picked = [fault for found in files.values() for fault in found if named(fault, arguments.where)]
    else:
        only, spare = tuple(arguments.only or [""]), tuple(arguments.spare or [])
        among = {
            name: found
            for name, found in files.items()
            if name.startswith(only) and not name.startswith(spare)
        }
        picked = chosen(among, LIBRARY, arguments.count, arguments.seed)
    if arguments.list:
        print(*picked, f"{len(picked)} of {sum(map(len, files.values()))} faults", sep="\n")
        return 0
    sight = Sight(arguments.processes)
    if sight.failing:
        print("These tests do not pass without a fault and are left out:", *sight.failing, sep="\n  ")
    counts, survivors, wrong = Counter[str](), [], []
    for k, (fault, found) in enumerate(judge_all(picked, sight, arguments.processes), start=1):
        verdict = found["verdict"]
        if fault.key in listed:
            wrong += [f"{fault}\n    by {found['by']}"] if verdict != "survived" else []
            verdict = "equivalent"
        counts[verdict] += 1
        survivors += [f"{fault}   {found['by']}"] if verdict == "survived" else []
        print(f"{k}/{len(picked)} {verdict:10} {fault.file}:{fault.number} {found['by']}", flush=True)
    if wrong:
        print("\nListed as equivalent, but noticed:", *wrong, sep="\n")
    if survivors:
        print("\nNo test notices:", *sorted(survivors), sep="\n")
    print(
        f"\n{len(picked)} faults: "
        + ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    )
    return bool(survivors or wrong)


def named(fault: Fault, places: list[str]) -> bool:
    """Whether a fault is at one of the places."""
    for place in places:
        file, _, number = place.partition(":")
        if fault.file == file and (not number or fault.number == int(number)) and fault.compiles(LIBRARY):
            return True
    return False


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        raise SystemExit(main())
    finally:
        stop()
