"""Does a chapter tell the truth at parameters that nobody chose?

The chapters are run, cell by cell, at seeded random valid parameter sets. Every claim that says it holds for any
parameters must hold, and the text, with the numbers of that run, must not go on telling the paper's. `make test` runs
the theorems three times and a few of the others once; `make reruns` runs all.
"""

import contextlib
import io
import re
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest

from claimbook import ledger
from claimbook.layout import Book
from claimbook.portable import Text, kept_values

BOOK = Book(Path(__file__).parents[2])
THEOREMS = ("model", "lemma-1", "proposition-1", "theorem-1", "corollary-1", "theorem-2", "errata")
CHEAP = ("your-own-model", "dephasing", "holstein-primakoff")  # of the others
#: Γ↑/Γ↓ of each set: for the theorems both ends of what they cover, for the others what they can compute.
RATIOS = {True: (0.0, 0.95, 0.4), False: (0.1, 0.45, 0.25)}
#: What these chapters do with a list of any sizes takes long at large ones.
SIZES = {"lemma-1": [2, 4, 8], "model": [1, 2, 3], "figure-2": [5], "your-own-model": [7, 300]}


def random_parameters(chapter: str, seed: int) -> dict:
    """Fields in all directions, both signs of the coupling, mixed initial states; what is left out stays as it is."""
    rng = np.random.default_rng(seed)
    theorem = chapter in THEOREMS
    decay = round(float(rng.uniform(0.5, 1.5)), 3)
    sign = 1 if chapter == "closed-dephasing" else rng.choice([-1, 1])
    values = {
        "g0": round(float(sign * rng.uniform(1, 4 if theorem else 2)), 3),
        "central_field": rng.uniform(-1, 1, 3).round(3).tolist(),
        "central_pump": round(float(rng.uniform(0, 1)), 3),
        "central_decay": round(float(rng.uniform(0, 1)), 3),
        "bath_pump": round(RATIOS[theorem][seed] * decay, 4),
        "bath_decay": decay,
        "bath_field": rng.uniform(-1, 1, 3).round(3).tolist(),
        "central_bloch": (rng.uniform(-1, 1, 3) / 2).round(3).tolist(),
        "bath_bloch": (rng.uniform(-1, 1, 3) / 2).round(3).tolist(),
        "central_state": (rng.uniform(-1, 1, 3) / 2).round(3).tolist(),
        "amplitudes": rng.uniform(-1, 1, (3, 2)).round(3).tolist(),
        "central_field_z": round(float(rng.uniform(0.2, 1)), 3),
        "polarisations": [round(float(rng.uniform(0.1, 0.8)), 3)],
        "dephasing": round(float(rng.uniform(0.1, 1)), 3),
        "bath_sizes": SIZES.get(chapter),
        "points": 16,
        "last_time": None if theorem else 2.5,
    }
    known, declared = (ledger.read_claims(BOOK.claims)[1][chapter][key] for key in ("parameters", "declared"))
    chosen = {name: value for name, value in values.items() if name in known and value is not None}
    for name, value in chosen.items():
        declared[name].check(value, {**known, **chosen})
    return chosen


def run(chapter: str, values: dict, monkeypatch: pytest.MonkeyPatch) -> tuple[ledger.Ledger, dict[str, str]]:
    """Execute a chapter's cells and return its ledger, and the values it leaves for the text."""
    kept: dict[str, str] = {}
    monkeypatch.setenv(ledger.RECORD_ONLY, "record")
    monkeypatch.setattr("claimbook.glue", lambda name, value, display=False: kept.update({name: repr(value)}))
    monkeypatch.chdir(BOOK.source)
    mpl.use("agg")
    namespace: dict = {}
    for cell in BOOK.read(chapter).cells:
        if cell.cell_type == "code":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(cell.source, f"{chapter}.md", "exec"), namespace)
            if "parameters" in cell.metadata.get("tags", []):
                namespace.update(values)
    plt.close("all")
    return namespace["claims"], kept


def papers_numbers(chapter: str) -> list[float]:
    """What the chapter found, and was to find, at the paper's parameters."""
    own = [claim for claim in ledger.read_claims(BOOK.claims)[0].values() if claim.chapter == chapter]
    numbers = [claim.expected for claim in own]
    if BOOK.executed(chapter).exists():
        notebook = nbformat.read(BOOK.executed(chapter), as_version=4)
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        numbers += [
            output["data"][BOOK.settings.mime_type]["measured"]
            for output in outputs
            if BOOK.settings.mime_type in output.get("data", {})
        ]
        for text in kept_values(notebook).values():
            with contextlib.suppress(ValueError):
                numbers.append(float(text))
    return [float(n) for n in numbers if isinstance(n, (int, float)) and not isinstance(n, bool)]


def tells_the_papers(text: str, papers: list[float], here: list[float]) -> list[str]:
    """Paragraphs that give one of the paper's numbers, which is none of this run, without saying whose it is."""
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        for literal in re.findall(r"(?<![\w.{])\d+\.\d{2,}(?![\d.])", paragraph):
            digits = len(literal.split(".")[1])
            same = [
                any(round(abs(n), digits) == float(literal) for n in numbers) for numbers in (papers, here)
            ]
            if same == [True, False] and "paper" not in paragraph:
                found.append(paragraph)
        if re.search(r"g_0\s*=\s*\$?4\b|N\s*=\s*\$?6, 10", paragraph) and "paper" not in paragraph:
            found.append(paragraph)
    return found


def prose(chapter: str, kept: dict[str, str]) -> str:
    """The chapter's text and captions, with the numbers of a run."""
    text = Text(kept, changed=True)
    cells = BOOK.read(chapter).cells
    captions = [cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "") for cell in cells]
    written = [cell.source for cell in cells if cell.cell_type == "markdown"]
    return "\n\n".join(text.markdown(part) for part in [*written, *filter(None, captions)])


SETS = [
    pytest.param(
        chapter,
        seed,
        marks=() if chapter in THEOREMS or (chapter in CHEAP and seed == 0) else pytest.mark.reruns,
    )
    for chapter in ledger.read_claims(BOOK.claims)[1]
    for seed in range(3)
]


@pytest.mark.parametrize(("chapter", "seed"), SETS)
def test_a_chapter_is_true_at_random_parameters(chapter, seed, monkeypatch):
    claims, kept = run(chapter, random_parameters(chapter, seed), monkeypatch)
    assert claims.changed
    theorems = {name for name, claim in claims.claims.items() if claim.holds_for == "any"}
    verdicts = {
        name: claims.records[name]["holds"] for name in theorems if "skipped" not in claims.records[name]
    }
    assert verdicts == dict.fromkeys(verdicts, True)
    assert len(verdicts) >= (9 if chapter in THEOREMS else 1)
    here = [record["measured"] for record in claims.records.values()]
    for value in kept.values():
        with contextlib.suppress(ValueError):
            here.append(float(value))
    here = [float(n) for n in here if isinstance(n, (int, float)) and not isinstance(n, bool)]
    assert not tells_the_papers(prose(chapter, kept), papers_numbers(chapter), here)


def test_the_papers_numbers_are_found_in_prose() -> None:
    text = "It is 0.892 here.\n\nAt the paper's rates 0.892.\n\nIt is 0.731.\n\nWith $g_0 = 4$ more."
    assert tells_the_papers(text, [0.892297], [0.731]) == ["It is 0.892 here.", "With $g_0 = 4$ more."]
