"""Do budgets hold to the last unit, and does the bar show how far a computation is?"""

import io
import re
import sys
import time
from types import SimpleNamespace

import pytest
from conftest import PAPER

from centralspin import ArgumentError, BudgetError, TruncationError, evolve, progress, steady_state
from centralspin.progress import Progress


def test_no_budget_is_too_small_to_be_asked_for():
    with pytest.raises(TruncationError, match="memory budget of 0 GB"):
        evolve(PAPER, [0.0, 1.0], memory_budget=0)
    with pytest.raises(BudgetError):
        evolve(PAPER, [0.0, 1.0], time_budget=0)
    for name in ("memory_budget", "time_budget"):
        with pytest.raises(ArgumentError, match=f"`{name}` must be"):
            evolve(PAPER, [0.0, 1.0], **{name: -1e-9})


def test_the_whole_space_looks_at_its_budget_between_output_times():
    with pytest.raises(BudgetError, match=r"the master equation is \d\d? % done"):
        evolve(PAPER.replace(N=2), [0, 3e4], ("tau_z",), method="full_space", time_budget=0.2)


def test_the_whole_space_refuses_a_stationary_state_that_takes_too_long():
    started = time.monotonic()
    with pytest.raises(BudgetError, match="the stationary state would take about"):
        steady_state(PAPER.replace(N=6), ("tau_z",), method="full_space", time_budget=3.0)  # it takes minutes
    assert time.monotonic() - started < 30


def test_what_may_settle_is_not_refused_for_the_steps_that_are_left():
    late = evolve(PAPER.replace(N=10), [0, 1e9], ("tau_z",), time_budget=60.0)["tau_z"][-1]
    assert late == pytest.approx(steady_state(PAPER.replace(N=10), ("tau_z",))["tau_z"], abs=1e-8)
    idle = PAPER.replace(N=10, central_pump=0, central_decay=0, bath_pump=0, bath_decay=0)
    started = time.monotonic()
    with pytest.raises(BudgetError, match=r"budget of 60 s is too short: evolution in time would take"):
        evolve(idle, [0, 1e9], ("tau_z",), bath_bloch=(0, 0, -1), time_budget=60.0, tolerance=1e-4)
    assert time.monotonic() - started < 30


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


def test_what_cannot_be_done_in_time_is_refused_at_once(clock):
    told = Progress(time_budget=10.0, show=False)
    clock.now += 4.0
    assert told.seconds == 4.0
    told.expect(2.0, 3.0, "it")  # 4 + 2·3 s is just in time
    with pytest.raises(BudgetError, match=r"it would take about 6\.2 s more"):
        told.expect(2.0, 3.1, "it")
    told(0.5, "it")
    clock.now += 6.0
    told(0.5, "it")
    clock.now += 0.1
    with pytest.raises(BudgetError, match="10 s is used up: it is 50 % done"):
        told(0.5, "it")


def test_the_bar_is_quiet_at_first_and_then_says_how_far(clock, capsys):
    pytest.importorskip("tqdm", reason="the library draws no bar without it")
    told = Progress(show=True)
    clock.now += progress.QUIET / 2
    told(0.1, "stepping")
    assert capsys.readouterr().err == ""
    clock.now += progress.QUIET
    told(0.25, "stepping")
    told(0.75, "stepping")
    shown = [int(p) for p in re.findall(r"stepping: +(\d+) %", capsys.readouterr().err)]
    assert shown[0] in (0, 25) and shown[-1] == 75
    told.close()
    told.close()
    hidden = Progress(show=False)
    clock.now += 10 * progress.QUIET
    hidden(0.5, "stepping")
    assert "stepping" not in capsys.readouterr().err


@pytest.mark.parametrize("reader", [True, False])
def test_a_notebook_shows_the_bar_to_a_reader_only(reader, monkeypatch):
    """Pages send their cells with the offer to answer questions; papermill and the like without."""
    pytest.importorskip("tqdm")

    class Kernel:
        def get_parent(self):
            return {"content": {"allow_stdin": reader}}

    shell = SimpleNamespace(kernel=Kernel())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert progress.interactive() is reader
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not progress.interactive()
