"""A short seeded part of the random campaigns, and whether they see what is wrong."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from centralspin import CentralSpinModel

from . import calls, campaigns
from .__main__ import Campaign
from .campaigns import CAMPAIGNS, GARBAGE, case, replaced, smallest
from .workers import Lost, run

#: Which cases of each campaign are run; those left out take long.
CASES = {
    "small_in_time": range(16), "small_stationary": range(36), "spins_in_time": range(12),
    "spins_stationary": range(24), "tolerance_is_met": range(6, 42), "units": range(18), "coefficients": range(16),
    "bad_input": range(300), "in_two_parts": range(16), "correlations": range(16),
    "one_after_another": range(12), "many_quanta": range(12), "large_baths": range(7),
}  # fmt: skip


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_random_cases(name: str) -> None:
    found = [case(name, seed) for seed in CASES[name]]
    wrong = [str(smallest(run)) for run in found if run.verdict == "wrong"]
    assert not wrong, "\n".join(wrong)
    assert sum(run.verdict == "ok" for run in found) > len(found) / 2


def test_a_violation_is_seen_and_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    def dislikes_decay(random: campaigns.models.Draws) -> str | None:
        model = campaigns.models.spin_model(random, [2])
        return "it decays" if model.bath_decay else None

    monkeypatch.setitem(CAMPAIGNS, "units", dislikes_decay)
    wrong = next(run for run in (case("units", seed) for seed in range(9)) if run.verdict == "wrong")
    small = smallest(wrong)
    assert (small.why, campaigns.models.terms(small.model)) == ("it decays", ["bath_decay"])
    assert isinstance(small.model, CentralSpinModel) and repr(small.model.bath_decay) in str(small)


def test_a_wrong_number_of_the_library_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = campaigns.evolve

    def off_by_a_thousandth(*arguments, **options):
        found = right(*arguments, **options)
        return {name: np.asarray(value) * 1.001 + 1e-3 for name, value in found.items()}

    monkeypatch.setattr(campaigns, "evolve", off_by_a_thousandth)
    assert case("small_in_time", 6).verdict == "wrong"


def test_a_task_that_hangs_or_dies_is_ended_and_the_others_go_on() -> None:
    tasks = [(time.sleep, (60,)), (os._exit, (3,)), (abs, (-1,)), (abs, (-2,))]
    found = dict(run(lambda: tasks.pop(0) if tasks else None, 2, 2.0))
    assert [found[abs, (-1,)], found[abs, (-2,)]] == [1, 2]
    assert found[time.sleep, (60,)] == Lost("ended after 2 s", late=True)
    died = found[os._exit, (3,)]
    assert "code 3" in died.why and not died.late


@pytest.mark.skipif(multiprocessing.get_start_method() != "fork", reason="workers would not see the changes")
def test_time_is_kept_and_what_takes_too_long_is_counted_and_listed(monkeypatch, capfd) -> None:
    def hangs_or_is_wrong(random: campaigns.models.Draws) -> str | None:
        model = campaigns.models.spin_model(random, [2])
        while model.bath_decay:
            time.sleep(0.1)
        return "it does not decay"

    monkeypatch.setitem(CAMPAIGNS, "units", hangs_or_is_wrong)
    start, campaign = time.monotonic(), Campaign(["units"], 1, seconds=2.0, budget=0.1)
    campaign.run(2)
    assert time.monotonic() - start < 2.0 + 0.4 + 2.0  # and a bit for a machine that is busy otherwise
    wrong, printed = campaign.report(), capfd.readouterr().out
    late = re.search(r"ended after 0.4 s: (.*)", printed)[1].split(", ")
    assert len(late) == campaign.counts["units", "over budget"] > 4
    assert wrong == len(re.findall(r"units \d+: it does not decay", printed)) - printed.count("  without") > 0
    assert f"0 refused, {len(late)} over budget, {wrong} violations" in printed


@pytest.mark.skipif(sys.platform == "win32", reason="this system interrupts otherwise")
def test_an_interrupted_campaign_tells_what_it_has_counted() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", "600", "--only", "spins_stationary"]
    with subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True
    ) as process:
        assert "600 s" in process.stdout.readline()  # it has begun
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"interrupted: \d+ cases in \d+ s .*: 0 refused, 0 over budget, 0 violations", printed)


@pytest.mark.parametrize("part", ["methods", "theory"])
def test_what_is_no_argument_is_refused_in_a_sentence(part: str) -> None:
    wrong = [
        sentence
        for call, arguments in getattr(calls, part)()
        for name in arguments
        for value in GARBAGE
        if (sentence := replaced(call, arguments, name, value))
    ]
    assert not wrong, "\n".join(wrong)


def test_every_public_callable_is_tried() -> None:
    assert not calls.missing()
    for call, arguments in (*calls.solvers(), *calls.methods(), *calls.theory()):
        if call.__name__ != "load":  # there is no such file
            call(**arguments)  # right as they are


def test_an_answer_that_is_no_number_and_an_error_from_inside_are_seen() -> None:
    def root(x):
        return x**0.5 if x == x else x

    assert replaced(root, {"x": 1.0}, "x", 4.0) is None
    assert "gives" in str(replaced(root, {"x": 1.0}, "x", float("nan")))
    assert "TypeError" in str(replaced(root, {"x": 1.0}, "x", "a"))
