"""Plant faults one at a time, each in a copy of the library, run what can see them, and remember what was found."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import yaml

from .faults import Fault, faults

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
LIBRARY = REPOSITORY / "src" / "centralspin"
WORK = REPOSITORY / "_build" / "mutants"
EQUIVALENT = HERE / "equivalent.yml"
#: Folders of tests that look at other things than the library.
ELSEWHERE = ("book", "claimbook", "mutants")
#: A test hangs if it takes so many times as long as without a fault, and at least so many seconds.
TIMES, SECONDS = 10.0, 20.0
#: The tests that were started.
RUNNING: set[subprocess.Popen[bytes]] = set()


def digest(*paths: Path) -> str:
    """A fingerprint of files."""
    found = hashlib.sha256()
    for path in sorted(paths):
        found.update(path.relative_to(REPOSITORY).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


@cache
def sources() -> dict[str, list[Fault]]:
    """Every file of the library and the faults that may be planted there."""
    return {
        path.relative_to(LIBRARY).as_posix(): faults(path, LIBRARY) for path in sorted(LIBRARY.rglob("*.py"))
    }


def library_tests() -> dict[str, str]:
    """The test files that import the library, each with a fingerprint of itself and of what tests share."""
    tests = REPOSITORY / "tests"
    python = [p for p in tests.rglob("*.py") if p.relative_to(tests).parts[0] not in ELSEWHERE]
    helpers = [p for p in python if not p.name.startswith("test_")]
    files = [p for p in python if p.name.startswith("test_") and _sees_library(p)]
    return {p.relative_to(REPOSITORY).as_posix(): digest(p, *helpers) for p in sorted(files)}


def _sees_library(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        if any(name.split(".")[0] in ("centralspin", "conftest") for name in names):
            return True
        if isinstance(node, ast.ImportFrom) and node.level:
            return True  # of helpers, which import it
    return False


def pytest(
    source: Path, files: list[str], log: Path, home: Path = REPOSITORY, **environment: str
) -> subprocess.Popen[bytes]:
    """Start the tests of some files on the library in a folder."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "tests.mutants.sight",
        "-p",
        "no:cacheprovider",
    ]
    changed = {
        "PYTHONPATH": os.pathsep.join([str(source.parent), str(REPOSITORY)]), "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1", "SIGHT_SOURCE": str(source), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment,
    }  # fmt: skip
    if "SIGHT_RECORD" in environment:
        command.remove("-x")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, f"--rootdir={home}", *files], cwd=home, env=os.environ | changed, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    RUNNING.add(process)
    return process


def stop() -> None:
    """End whatever tests still run; they do not hear of an interruption themselves."""
    for process in RUNNING:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


class Sight:
    """Which tests see a function, cheapest first; measured without a fault and remembered.

    Parameters
    ----------
    processes : int
        How many test files are measured side by side.
    """

    def __init__(self, processes: int) -> None:
        self.files = library_tests()
        folder = WORK / "sight"
        folder.mkdir(parents=True, exist_ok=True)
        source = digest(*LIBRARY.rglob("*.py"))
        wanted = {name: folder / f"{digest_of(source, name, mark)}.json" for name, mark in self.files.items()}
        missing = [name for name, path in wanted.items() if not path.exists()]

        def measure(name: str) -> None:
            log = wanted[name].with_suffix(".log")
            pytest(LIBRARY, [name], log, SIGHT_RECORD=str(wanted[name])).wait()
            print(f"measured {name}", flush=True)

        with ThreadPoolExecutor(processes) as pool:
            list(pool.map(measure, missing))
        self._tests: dict[str, dict[str, Any]] = {}
        self._shared: dict[str, set[str]] = {}
        self.failing: list[str] = []
        for name, path in wanted.items():
            if not path.exists():
                self.failing.append(f"{name} (see {path.with_suffix('.log').relative_to(REPOSITORY)})")
                continue
            known = json.loads(path.read_text(encoding="utf-8"))
            self._shared[name] = set(known["shared"])
            for test, what in known["tests"].items():
                if what["passed"]:
                    self._tests[test] = {**what, "calls": set(what["calls"]), "file": name}
                else:
                    self.failing.append(test)

    def tests(self, fault: Fault) -> dict[str, float]:
        """The tests that see a fault, cheapest first, each with the seconds after which it hangs."""
        place = f"{fault.file}:{fault.function}"

        def sees(test: Mapping[str, Any]) -> bool:
            if not fault.function:  # executed on import
                return any(
                    call.startswith(f"{fault.file}:") for call in test["calls"] | self._shared[test["file"]]
                )
            return place in test["calls"] or place in self._shared[test["file"]]

        found = {name: test["seconds"] for name, test in self._tests.items() if sees(test)}
        return {
            name: max(SECONDS, TIMES * seconds)
            for name, seconds in sorted(found.items(), key=lambda item: item[1])
        }


def digest_of(*parts: str) -> str:
    """A fingerprint of words."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


class Memory:
    """What earlier runs found, one line of JSON for each fault."""

    def __init__(self, path: Path = WORK / "found.jsonl") -> None:
        self._path, self._lock = path, threading.Lock()
        self._known: dict[tuple[str, ...], dict[str, Any]] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                    self._known[tuple(entry["fault"])] = entry
                except (ValueError, KeyError):
                    continue  # a line that an interruption cut short

    def of(self, fault: Fault) -> dict[str, Any] | None:
        """What is known of a fault, if its file has not changed since."""
        entry = self._known.get(fault.key)
        return entry if entry and entry["source"] == digest(LIBRARY / fault.file) else None

    def add(self, fault: Fault, verdict: str, by: str, passed: Mapping[str, str]) -> None:
        """Remember."""
        entry = {
            "fault": list(fault.key), "source": digest(LIBRARY / fault.file), "verdict": verdict, "by": by,
            "passed": dict(passed),
        }  # fmt: skip
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            self._known[fault.key] = entry
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def judge(fault: Fault, sight: Sight, memory: Memory, room: Path) -> dict[str, Any]:
    """Plant a fault in the room, unless it is known what then happens, and tell who notices it."""
    known = memory.of(fault)
    if known and known["verdict"] != "survived":
        return known
    tests = sight.tests(fault)
    files = {name: sight.files[name] for name in sorted({test.split("::")[0] for test in tests})}
    done = known["passed"] if known else {}
    tests = {
        test: limit
        for test, limit in tests.items()
        if done.get(test.split("::")[0]) != files[test.split("::")[0]]
    }
    if known and not tests:
        return known
    verdict, by = run(fault, tests, room) if tests else ("survived", "no test calls it")
    memory.add(fault, verdict, by, files if verdict == "survived" else {})
    return memory.of(fault) or {}


def run(fault: Fault, tests: Mapping[str, float], room: Path, home: Path = REPOSITORY) -> tuple[str, str]:
    """Run the tests at home with the fault: "noticed", "hung" or "survived", and by which test."""
    copy = room / "src" / "centralspin"
    if copy.exists():
        shutil.rmtree(copy)
    shutil.copytree(LIBRARY, copy, ignore=shutil.ignore_patterns("__pycache__"))
    faulty = fault.plant((LIBRARY / fault.file).read_text(encoding="utf-8"))
    if faulty.splitlines()[fault.number - 1].strip() != fault.becomes:
        raise RuntimeError(f"{fault.file} has changed since the campaign began; start it again.")
    (copy / fault.file).write_text(faulty, encoding="utf-8")
    select, log = room / "select.json", room / "log"
    now, hung = select.with_suffix(".now"), select.with_suffix(".hung")
    now.unlink(missing_ok=True)
    select.write_text(json.dumps(dict(tests)), encoding="utf-8")
    files = list(dict.fromkeys(test.split("::")[0] for test in tests))
    process = pytest(copy, files, log, home, SIGHT_SELECT=str(select))
    try:
        code = process.wait(timeout=60 + sum(tests.values()))
    except subprocess.TimeoutExpired:
        code = None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    by = now.read_text(encoding="utf-8") if now.exists() else "import"
    if code == 0:
        return "survived", ""
    if code is None or (hung.exists() and hung.stat().st_size):
        return "hung", by
    text = log.read_text(encoding="utf-8", errors="replace")
    if code in (1, 2) or "ImportError while loading conftest" in text:
        return "noticed", by
    raise RuntimeError(f"The tests could not be run ({code}) with the fault\n{fault}\n{text[-3000:]}")


def judge_all(chosen: list[Fault], sight: Sight, processes: int) -> Iterator[tuple[Fault, dict[str, Any]]]:
    """Judge side by side, each in a room of its own."""
    memory, rooms = Memory(), SimpleQueue[Path]()
    for k in range(processes):
        room = WORK / f"room-{os.getpid()}-{k}"
        room.mkdir(parents=True, exist_ok=True)
        rooms.put(room)

    def work(fault: Fault) -> tuple[Fault, dict[str, Any]]:
        room = rooms.get()
        try:
            return fault, judge(fault, sight, memory, room)
        finally:
            rooms.put(room)

    pool = ThreadPoolExecutor(processes)
    try:
        for done in as_completed([pool.submit(work, fault) for fault in chosen]):
            yield done.result()
    except BaseException:
        stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        while not rooms.empty():
            shutil.rmtree(rooms.get(), ignore_errors=True)


def equivalents(files: Mapping[str, list[Fault]]) -> dict[tuple[str, ...], str]:
    """The faults that change nothing that matters, and why; every entry must be a fault that can be planted."""
    possible = {fault.key for found in files.values() for fault in found}
    listed = {}
    for entry in yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8")) or []:
        key = (entry["file"], entry.get("function", ""), entry["line"], entry["becomes"])
        if key not in possible:
            raise ValueError(
                f"{EQUIVALENT.name} lists what is no fault of the library as it is: {' | '.join(key)}"
            )
        if len(str(entry.get("reason", ""))) < 20:
            raise ValueError(f"{EQUIVALENT.name} gives no reason for {' | '.join(key)}")
        listed[key] = entry["reason"]
    return listed
