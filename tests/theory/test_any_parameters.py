"""Do the claims that are theorems hold at parameters that nobody chose?

The chapters on the paper's proofs are run, cell by cell, at three seeded random valid parameter sets. Every claim
that says it holds for any parameters must hold; the others are not applicable.
"""

import contextlib
import io
from pathlib import Path

import jupytext
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from claimbook import ledger

BOOK = Path(__file__).parents[2] / "book"
CHAPTERS = ("lemma-1", "proposition-1", "theorem-1", "corollary-1", "errata")
#: Γ↑/Γ↓: both ends of what the theorems cover, and something between.
RATIOS = {0: 0.0, 1: 0.95, 2: 0.4}


def random_parameters(seed: int) -> dict:
    """Plain numbers for every parameter that one of the chapters has."""
    rng = np.random.default_rng(seed)
    decay = round(float(rng.uniform(0.5, 1.5)), 3)
    return {
        "g0": round(float(rng.choice([-1, 1]) * rng.uniform(1, 4)), 3),
        "central_field": rng.uniform(-1, 1, 3).round(3).tolist(),
        "central_pump": round(float(rng.uniform(0, 1)), 3),
        "central_decay": round(float(rng.uniform(0, 1)), 3),
        "bath_pump": RATIOS[seed] * decay,
        "bath_decay": decay,
        "central_state": (rng.uniform(-1, 1, 3) / 2).round(3).tolist(),
        "amplitudes": rng.uniform(-1, 1, (3, 2)).round(3).tolist(),
        "bath_sizes": [2, 4, 8],
    }


@pytest.mark.parametrize("seed", list(RATIOS))
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_theorems_hold_at_random_parameters(chapter, seed, monkeypatch):
    monkeypatch.setenv(ledger.RECORD_ONLY, "record")
    monkeypatch.chdir(BOOK)
    mpl.use("agg")
    claims, chapters = ledger.read_claims("claims.yml")
    values = random_parameters(seed)
    values = {name: value for name, value in values.items() if name in chapters[chapter]["parameters"]}
    namespace: dict = {}
    for cell in jupytext.read(f"{chapter}.md").cells:
        if cell.cell_type == "code":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(cell.source, f"{chapter}.md", "exec"), namespace)
            if "parameters" in cell.metadata.get("tags", []):
                namespace.update(values)
    plt.close("all")
    records = namespace["claims"].records
    theorems = {name for name, c in claims.items() if c.chapter == chapter and c.holds_for == "any"}
    assert len(theorems) >= 10
    assert {name: records[name]["holds"] for name in theorems} == dict.fromkeys(theorems, True)
