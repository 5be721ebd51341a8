"""Run the campaigns: `python -m tests.fuzz --seconds 60 --seed 1 [--only small_in_time [--case 1000007]]`.

No case begins after those seconds. One that takes longer than its limit is ended, counted and listed: it says nothing
about right and wrong.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import time
from collections import Counter
from collections.abc import Sequence

from .campaigns import CAMPAIGNS, Case, case, smallest
from .workers import Lost, Task, run

VERDICTS = ("ok", "refused", "over budget", "wrong")
#: A case may take so many times the seconds that one call of the library may: two or three calls, and the oracle.
CALLS = 4.0
#: So many violations of each campaign are also shown with as few terms as possible.
SHRUNK = 3


class Campaign:
    """Runs cases, prints violations as they are found, and counts.

    Parameters
    ----------
    names : sequence of str
        The campaigns, taken in turn.
    seed : int
    seconds : float
        For how long cases are begun.
    budget : float
        Seconds that one call of the library may take; for a whole case it is `CALLS` times that.
    """

    def __init__(self, names: Sequence[str], seed: int, seconds: float, budget: float) -> None:
        self.names, self.budget, self.limit = names, budget, CALLS * budget
        self.counts, self.refusals = Counter[tuple[str, str]](), Counter[str]()
        self.late: list[str] = []
        self.stopped = False
        self._started = time.monotonic()
        self._end = self._started + seconds
        self._cases = ((name, 10**6 * seed + k) for k in itertools.count() for name in names)
        self._shrinking: list[Task] = []

    def run(self, jobs: int) -> None:
        """Run cases until the time is up, several at a time."""
        for (function, arguments), found in run(self._following, jobs, self.limit, lambda: self.stopped):
            if function is smallest:
                if isinstance(found, Case) and found.without:
                    print(found, flush=True)
            else:
                self._count(*arguments[:2], found)

    def stop(self, *_: object) -> None:
        """Give up what is running, as the answer to a signal."""
        self.stopped = True

    def _following(self) -> Task | None:
        if time.monotonic() >= self._end:
            return None
        if self._shrinking:
            return self._shrinking.pop()
        return case, (*next(self._cases), (), self.budget)

    def _count(self, name: str, seed: int, found: Case | Lost) -> None:
        if isinstance(found, Lost):
            verdict = "over budget" if found.late else "wrong"
            print(f"{name} {seed}: {found.why}", flush=True)
            self.late += [f"{name} {seed}"] if found.late else []
        else:
            verdict = found.verdict
            if verdict == "wrong":
                print(found, flush=True)
                if self.counts[name, verdict] < SHRUNK:
                    self._shrinking.append((smallest, (found, self.limit / 2, self.budget)))
            elif verdict == "refused":
                self.refusals[" ".join(found.why.split()[:9])] += 1
        self.counts[name, verdict] += 1

    def report(self) -> int:
        """Print the counts, and return that of violations."""
        print(f"{'':18}" + "".join(f"{verdict:>13}" for verdict in VERDICTS))
        for name in self.names:
            print(f"{name:18}" + "".join(f"{self.counts[name, verdict]:13}" for verdict in VERDICTS))
        for why, count in self.refusals.most_common(12):
            print(f"{count:6} refused: {why} …")
        if self.late:
            print(f"ended after {self.limit:g} s:", ", ".join(self.late))
        total, seconds = self.counts.total(), time.monotonic() - self._started
        of = {verdict: sum(self.counts[name, verdict] for name in self.names) for verdict in VERDICTS}
        rest = f"{of['refused']} refused, {of['over budget']} over budget, {of['wrong']} violations"
        begin = f"{'interrupted: ' if self.stopped else ''}{total} cases in {seconds:.0f} s"
        print(f"{begin} ({total / seconds:.1f} a second): {rest}", flush=True)
        return of["wrong"]


def main() -> int:
    """Run until the time is up; print violations as they are found, and the counts."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="how many cases run at a time")
    parser.add_argument("--budget", type=float, default=5, help="seconds for one call of the library")
    parser.add_argument("--only", choices=list(CAMPAIGNS))
    parser.add_argument("--case", type=int, help="run one case again, by its number")
    arguments = parser.parse_args()
    if arguments.case is not None:
        if not arguments.only:
            parser.error("--case needs --only")
        found = smallest(case(arguments.only, arguments.case))
        print(f"{found.verdict}: {found}")
        return found.verdict == "wrong"
    names = [arguments.only] if arguments.only else list(CAMPAIGNS)
    campaign = Campaign(names, arguments.seed, arguments.seconds, arguments.budget)
    for name in ("SIGINT", "SIGTERM"):  # also where they were ignored, as in `make fuzz &`
        signal.signal(getattr(signal, name), campaign.stop)
    print(f"{arguments.seconds:g} s, seed {arguments.seed}: {', '.join(names)}", flush=True)
    campaign.run(arguments.jobs)
    wrong = campaign.report()
    return 1 if wrong else 130 if campaign.stopped else 0


if __name__ == "__main__":
    raise SystemExit(main())
