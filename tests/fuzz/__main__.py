"""Run the campaigns: `python -m tests.fuzz --seconds 60 --seed 1 [--only small_in_time [--case 1000007]]`."""

from __future__ import annotations

import argparse
import itertools
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait

from .campaigns import CAMPAIGNS, case, smallest


def main() -> int:
    """Run until the time is up; print violations as they are found, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=list(CAMPAIGNS))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--case", type=int, help="run one case again, by its number")
    arguments = parser.parse_args()
    if arguments.case is not None:
        if not arguments.only:
            parser.error("--case needs --only")
        found = smallest(case(arguments.only, arguments.case))
        print(f"{found.verdict}: {found}")
        return found.verdict == "wrong"
    names = [arguments.only] if arguments.only else list(CAMPAIGNS)
    end, counts, refusals = time.monotonic() + arguments.seconds, Counter[tuple[str, str]](), Counter[str]()
    with ProcessPoolExecutor(arguments.processes) as pool:
        cases = ((name, 10**6 * arguments.seed + k) for k in itertools.count() for name in names)
        running = {pool.submit(case, *next(cases)): None for _ in range(2 * arguments.processes)}
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                del running[future]
                found = future.result()
                counts[found.campaign, found.verdict] += 1
                if found.verdict == "wrong":
                    print(smallest(found), flush=True)
                elif found.verdict == "refused":
                    refusals[" ".join(found.why.split()[:9])] += 1
                if time.monotonic() < end:
                    running[pool.submit(case, *next(cases))] = None
    for name in names:
        print(f"{name:20}", {verdict: counts[name, verdict] for verdict in ("ok", "refused", "wrong")})
    for why, count in refusals.most_common(12):
        print(f"{count:6} refused: {why} …")
    wrong = sum(count for (_, verdict), count in counts.items() if verdict == "wrong")
    print(f"{sum(counts.values())} cases, {wrong} violations")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
