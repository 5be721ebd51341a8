"""A plugin of pytest: which functions of the library a test calls and how long it takes; later, only what matters.

What it does is told by the environment: SIGHT_RECORD names the file to write, SIGHT_SELECT the list of tests to run, in
this order, each with the seconds after which it counts as hanging. SIGHT_SOURCE is the folder of the library that must
be the one that runs.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

SOURCE = os.environ["SIGHT_SOURCE"]
RECORD = os.environ.get("SIGHT_RECORD")
SELECT = os.environ.get("SIGHT_SELECT")
#: Bytes that a run with a fault may take; a fault that takes more is noticed by that.
MEMORY = 8 * 2**30


class Record:
    """Collects, for every test, the functions it calls, its seconds, and whether it passes."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._seen: dict[int, CodeType] = {}
        self._tests: dict[str, dict[str, Any]] = {}
        #: What is called while tests are collected, or when what several tests share is set up, all of them see.
        self._shared: set[str] = set()
        sys.setprofile(self._profile)

    def _profile(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and id(frame.f_code) not in self._seen:
            self._seen[id(frame.f_code)] = frame.f_code

    def _take(self) -> set[str]:
        codes, self._seen = self._seen.values(), {}
        return {
            f"{Path(code.co_filename).relative_to(SOURCE).as_posix()}:{code.co_qualname}"
            for code in codes
            if code.co_filename.startswith(SOURCE)
        }

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Iterator[None]:
        self._shared |= self._take()
        yield
        self._shared |= self._take()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        start = time.perf_counter()
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            self._tests[item.nodeid] = {"seconds": seconds, "calls": sorted(self._take()), "passed": True}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:  # skipped ones notice nothing either
            self._tests.setdefault(report.nodeid, {"seconds": 0.0, "calls": []})["passed"] = False

    def pytest_sessionfinish(self) -> None:
        sys.setprofile(None)
        self._shared |= self._take()
        self._path.write_text(
            json.dumps({"shared": sorted(self._shared), "tests": self._tests}), encoding="utf-8"
        )


class Select:
    """Runs the chosen tests in the given order, and ends the process if one of them hangs."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._hung = self._path.with_suffix(".hung").open("w", encoding="utf-8")
        self._limits: dict[str, float] = json.loads(self._path.read_text(encoding="utf-8"))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        by_name = {item.nodeid: item for item in items}
        if self._limits.keys() - by_name.keys():
            pytest.exit("There are other tests than without the fault.", returncode=1)
        items[:] = [by_name[name] for name in self._limits]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._path.with_suffix(".now").write_text(item.nodeid, encoding="utf-8")
        # From a thread of its own, so that loops in compiled code are ended as well.
        faulthandler.dump_traceback_later(self._limits[item.nodeid], exit=True, file=self._hung)
        yield
        faulthandler.cancel_dump_traceback_later()


#: Made before any conftest imports the library: what runs on import is seen by every test.
RECORDER = Record(RECORD) if RECORD else None


def pytest_configure(config: pytest.Config) -> None:
    if RECORDER:
        config.pluginmanager.register(RECORDER)
    if SELECT:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        config.pluginmanager.register(Select(SELECT))


def pytest_sessionstart() -> None:
    import centralspin

    if not str(Path(centralspin.__file__).resolve()).startswith(SOURCE):
        pytest.exit(f"Another library runs: {centralspin.__file__}", returncode=9)
