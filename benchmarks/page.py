"""Write what the last complete benchmark measured into README and the book: `python -m benchmarks.page`.

Between two comments that name it, a file holds what is made here and nothing else; the figure carries the digest of the
entry that it shows. A test holds the files to the history.
"""

from __future__ import annotations

import hashlib
import json
import math
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.history import HISTORY, read

ROOT = Path(__file__).parents[1]
FIGURE = ROOT / "book" / "_static" / "benchmarks.svg"
#: The rows of this library's method begin with this.
OURS = "symmetric Liouville space"
EXACT = 1e-8

Entry = dict[str, Any]
Row = dict[str, Any]


def latest(entries: list[Entry]) -> Entry:
    """The last entry that holds rows."""
    return [entry for entry in entries if "rows" in entry][-1]


def ours(row: Row) -> bool:
    """Whether a row is this library's own method."""
    return bool(row["method"].startswith(OURS))


def pick(entry: Entry, task: str, size: str, method: str = OURS, tolerance: float | None = EXACT) -> Row:
    """One row; the method may be given by its beginning."""
    (found,) = [
        row
        for row in entry["rows"]
        if (row["task"], row["size"], row["tolerance"]) == (task, size, tolerance)
        and row["method"].startswith(method)
    ]
    return dict(found)


def pairs(entry: Entry) -> list[tuple[Row, Row]]:
    """Every row of another method with ours for the same task and size, at the same accuracy or at 1e-8."""
    found = []
    for row in entry["rows"]:
        if ours(row):
            continue
        same = [r for r in entry["rows"] if ours(r) and (r["task"], r["size"]) == (row["task"], row["size"])]
        (partner,) = [r for r in same if r["tolerance"] == row["tolerance"]] or [
            r for r in same if r["tolerance"] == EXACT
        ]
        found.append((row, partner))
    return found


# --- in words ---


def time(seconds: float) -> str:
    """A time with two digits."""
    return f"{seconds:.0f}\N{NO-BREAK SPACE}s" if seconds >= 10 else f"{seconds:.2g}\N{NO-BREAK SPACE}s"


def factor(value: float) -> str:
    """How many times, with two digits."""
    return f"{float(f'{value:.2g}'):g}"


def wrapped(sentences: Iterable[str]) -> str:
    """Sentences in lines."""
    return textwrap.fill(" ".join(sentences), 118)


def accuracy(row: Row) -> str:
    """What was asked for, or how far off it is where nothing can be asked for."""
    return (
        f"off by {row['error']:.1g}" if row["tolerance"] is None else f"1e{math.log10(row['tolerance']):.0f}"
    )


def name(row: Row) -> str:
    """The task and the bath."""
    return f"{row['task'].removesuffix(', 161 times')}, {row['size']}"


def times(row: Row, mine: Row) -> str:
    """By what ours is faster; nothing for what is only an approximation."""
    return "–" if row["tolerance"] is None else factor(row["seconds"] / mine["seconds"])


def machine(entry: Entry) -> str:
    """The machine and the versions."""
    m = entry["machine"]
    return (
        f"{m['cores']} cores of an {m['processor']}, Python {m['python']}, NumPy {m['numpy']}, SciPy {m['scipy']}, "
        f"QuTiP {m['qutip']}, {entry['date']}"
    )


def table(heading: list[str], lines: list[list[str]], right: int = 1) -> str:
    """A Markdown table of which the last columns are set to the right."""
    rule = ["---"] * (len(heading) - right) + ["---:"] * right
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [heading, rule, *lines])


def readme(entry: Entry) -> str:
    """The section of README."""
    evolution, rest, two = "evolution, 161 times", "stationary state", "correlation, 161 times"

    def seconds(*key: Any, **more: Any) -> float:
        return float(pick(entry, *key, **more)["seconds"])

    def took(*key: Any, **more: Any) -> str:
        return time(seconds(*key, **more))

    dicke = [took(evolution, "N = 80", f"Dicke blocks, {by}", 1e-6) for by in ("our", "expm")]
    stationary = [row["seconds"] for row in entry["rows"] if row["task"] == rest and ours(row)]
    spectra = [took(f"spectrum, {n}", "N = 80", tolerance=1e-6) for n in ("1000 frequencies", "1 frequency")]
    lines = [
        ["80", "symmetric Liouville space (search for the cut and error estimate included)", "1e-8",
         took(evolution, "N = 80")],
        ["10⁷", "the same", "1e-8", took(evolution, "N = 10⁷")],
        ["80", "the same", "1e-6", took(evolution, "N = 80", tolerance=1e-6)],
        ["80", "Dicke blocks, physical part only, our stepper / SciPy's `expm_multiply`", "1e-6", " / ".join(dicke)],
        ["40", "QuTiP's PIQS as documented, DOP853", "1e-5", took(evolution, "N = 40", "PIQS", 1e-5)],
        ["∞", "symmetric Liouville space / QuTiP's `mesolve` in Fock space, its size known", "1e-8",
         " / ".join(took(evolution, "N = ∞", by) for by in (OURS, "QuTiP"))],
        ["any", "stationary state", "1e-8", f"{time(min(stationary))} to {time(max(stationary))}"],
        ["80", "two-time correlation, 161 times", "1e-8", took(two, "N = 80")],
        ["80", "spectrum, 1,000 frequencies / one", "1e-6", " / ".join(spectra)],
        ["∞", "exact coefficients of 1/N, 161 times", "1e-8", took("coefficients of 1/N, 161 times", "N = ∞")],
    ]  # fmt: skip
    ratio = {row["method"]: factor(row["seconds"] / mine["seconds"]) for row, mine in pairs(entry)}
    quickest = min(
        (row["seconds"], row["method"]) for row, _ in pairs(entry) if "Dicke blocks," in row["method"]
    )[1]
    floor = entry["floor"]["80"]
    sentences = (
        f"That is {ratio[quickest]} times faster than the quickest Dicke-block run at equal accuracy, and",
        f"{ratio['PIQS as documented']} times faster than PIQS at N = 40, at {entry['memory MB']:.0f} MB of memory.",
        f"Some {100 * floor['share of sparse products']:.0f} % of the stepping is the sparse product, which moves",
        f"{floor['GB/s of the sparse product']:.0f} GB/s; copying as many bytes runs at",
        f"{floor['GB/s of copying as many bytes']:.0f} GB/s here.",
    )
    heading = (
        f"Fig. 2's curves (161 times, ⟨τ_z⟩, ⟨q⟩, ⟨Q²⟩, ⟨Q⁴⟩), one run of `make bench` on {machine(entry)};",
        "ratios vary by some tens of per cent from run to run. [All rows](book/benchmarks.md):",
    )
    return f"""\
{wrapped(heading)}

{table(["N", "method", "accuracy", "time"], lines)}

{wrapped(sentences)}"""


def page(entry: Entry) -> str:
    """The tables of the book's page."""
    side = [
        [
            name(row),
            row["method"],
            accuracy(row),
            time(row["seconds"]),
            time(mine["seconds"]),
            times(row, mine),
        ]
        for row, mine in pairs(entry)
    ]
    compared = [mine for _, mine in pairs(entry)]
    alone = [
        [name(row), accuracy(row), time(row["seconds"])]
        for row in entry["rows"]
        if ours(row) and row not in compared
    ]
    return f"""\
Measured on {machine(entry)}.

{table(["task", "other method", "accuracy", "its time", "ours", "ratio"], side, 3)}

Not compared here, all by this library:

{table(["task", "accuracy", "time"], alone)}"""


# --- in files ---

#: The files that hold a part made here, and what makes it.
PARTS: dict[Path, Callable[[Entry], str]] = {
    ROOT / "README.md": readme,
    ROOT / "book" / "benchmarks.md": page,
}
BEGIN, END = "<!-- made by benchmarks/page.py: begin -->", "<!-- made by benchmarks/page.py: end -->"


def filled(text: str, part: str) -> str:
    """A file's text with its part made anew."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{part}\n\n{END}{after}"


def digest(entry: Entry) -> str:
    """What tells the figures of two entries apart."""
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()[:16]


def draw(entry: Entry, path: Path) -> None:
    """The figure: each other method beside ours, by their times."""
    import matplotlib.pyplot as plt

    from claimbook import style

    style.use_style()
    shown = pairs(entry)[::-1]
    blue, red = style.COLOURS[:2]
    all_of = [math.log(row["seconds"]) for pair in shown for row in pair]
    middle = math.exp((min(all_of) + max(all_of)) / 2)
    figure, axis = plt.subplots(figsize=(style.WIDTH, 0.45 * len(shown) + 0.9))
    for height, (row, mine) in enumerate(shown):
        both = mine["seconds"], row["seconds"]
        exact = row["tolerance"] is not None
        axis.plot(both, [height] * 2, "-", color="0.7", linewidth=1.2, zorder=1)
        axis.plot(both[0], height, "o", color=blue)
        axis.plot(both[1], height, "s", color=red, markerfacecolor=red if exact else "white")
        said = f"{row['method']}: " + (f"× {times(row, mine)}" if exact else accuracy(row))
        left = min(both) < middle
        axis.annotate(
            said, (min(both) if left else max(both), height), (-3 if left else 3, 6), textcoords="offset points",
            fontsize=9, ha="left" if left else "right",
        )  # fmt: skip
    axis.set_yticks(range(len(shown)), [name(row) for row, _ in shown], fontsize=9.5)
    axis.set(xscale="log", xlabel="seconds", ylim=(-0.6, len(shown) - 0.2))
    axis.set_xlim(right=8 * max(row["seconds"] for row, _ in shown))
    axis.plot([], [], "o", color=blue, label="this library")
    axis.plot([], [], "s", color=red, label="the method that is named")
    axis.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    figure.savefig(path, metadata={"Date": None, "Description": digest(entry)})
    plt.close(figure)


def main() -> None:
    """Write all of it."""
    entry = latest(read(HISTORY))
    for path, part in PARTS.items():
        path.write_text(filled(path.read_text(encoding="utf-8"), part(entry)), encoding="utf-8")
    draw(entry, FIGURE)


if __name__ == "__main__":
    main()
