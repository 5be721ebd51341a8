"""What several tests share: the paper's model and random valid models."""

import importlib.util
import os
import re
from pathlib import Path

# Before NumPy is loaded: on small matrices threads would wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from centralspin import CentralSpinModel

settings.register_profile("deterministic", derandomize=True, deadline=None, max_examples=12)
settings.load_profile("deterministic")

HERE = Path(__file__).parent
#: Tests of the book need what executes and renders it; without that the library is tested alone.
BOOK = importlib.util.find_spec("jupytext") is not None
OF_THE_BOOK = re.compile(r"^(import|from) (jupytext|claimbook|matplotlib)", re.MULTILINE)
if not BOOK:
    collect_ignore = ["book", "claimbook"]
    collect_ignore += [
        str(path) for path in HERE.rglob("test_*.py") if OF_THE_BOOK.search(path.read_text(encoding="utf-8"))
    ]


def pytest_report_header() -> str:
    return "tests of the library and of the book" if BOOK else "tests of the library alone: no jupytext"


#: Fig. 2 of the paper.
PAPER = CentralSpinModel.figure_2()


@pytest.fixture
def paper() -> CentralSpinModel:
    return PAPER


def numbers(low: float, high: float):
    return st.floats(low, high, allow_nan=False).map(lambda x: round(x, 3))


@st.composite
def blochs(draw):
    """Bloch vectors inside the unit ball."""
    vector = np.array([draw(numbers(-1, 1)) for _ in range(3)])
    return tuple(vector / max(1.0, np.linalg.norm(vector) * 1.001))


@st.composite
def models(draw, sizes=(1, 2, 3), scalings=(0.5, 1.0), bath_field=True):
    """Valid models whose bath has a stationary state."""
    return CentralSpinModel(
        N=draw(st.sampled_from(sizes)),
        g0=draw(numbers(-4, 4)),
        scaling=draw(st.sampled_from(scalings)),
        central_field=[draw(numbers(-1, 1)) for _ in range(3)],
        central_pump=draw(numbers(0, 1)),
        central_decay=draw(numbers(0, 1)),
        bath_pump=draw(numbers(0, 1)),
        bath_decay=draw(numbers(0.1, 1)),
        bath_field=[draw(numbers(-1, 1)) for _ in range(3)] if bath_field else (0, 0, 0),
    )
