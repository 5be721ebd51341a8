"""Do the model's equations and Theorem 2 hold at parameters that nobody chose?

The two chapters are run, cell by cell, at three seeded random valid parameter sets. Every claim that says it holds for
any parameters must hold.
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
#: Γ↑/Γ↓ for every seed: both ends of what the theorems cover, and something between.
RATIOS = {0: 0.0, 1: 0.95, 2: 0.4}


def random_parameters(seed: int) -> dict:
    """Fields in all directions, both signs of the coupling, mixed initial states."""
    rng = np.random.default_rng(seed)
    decay = round(float(rng.uniform(0.5, 1.5)), 3)
    return {
        "g0": round(float(rng.choice([-1, 1]) * rng.uniform(1, 4)), 3),
        "central_field": rng.uniform(-1, 1, 3).round(3).tolist(),
        "central_pump": round(float(rng.uniform(0, 1)), 3),
        "central_decay": round(float(rng.uniform(0, 1)), 3),
        "bath_pump": RATIOS[seed] * decay,
        "bath_decay": decay,
        "bath_field": rng.uniform(-1, 1, 3).round(3).tolist(),
        "central_bloch": (rng.uniform(-1, 1, 3) / 2).round(3).tolist(),
        "bath_bloch": (rng.uniform(-1, 1, 3) / 2).round(3).tolist(),
        "bath_sizes": [1, 2, 3],
    }


@pytest.mark.parametrize("seed", list(RATIOS))
@pytest.mark.parametrize("chapter", ["model", "theorem-2"])
def test_theorems_hold_at_random_parameters(chapter, seed, monkeypatch):
    monkeypatch.setenv(ledger.RECORD_ONLY, "record")
    monkeypatch.chdir(BOOK)
    mpl.use("agg")
    claims, chapters = ledger.read_claims("claims.yml")
    values = random_parameters(seed)
    namespace: dict = {}
    for cell in jupytext.read(f"{chapter}.md").cells:
        if cell.cell_type == "code":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(cell.source, f"{chapter}.md", "exec"), namespace)
            if "parameters" in cell.metadata.get("tags", []):
                namespace.update({k: v for k, v in values.items() if k in chapters[chapter]["parameters"]})
    plt.close("all")
    records = namespace["claims"].records
    theorems = {name for name, c in claims.items() if c.chapter == chapter and c.holds_for == "any"}
    assert len(theorems) >= 9
    assert {name: records[name]["holds"] for name in theorems} == dict.fromkeys(theorems, True)
