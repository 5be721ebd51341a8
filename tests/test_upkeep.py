"""Does what keeps the repository alive do what it is for: workflows, link check, history of the benchmarks?"""

import importlib.util
import json
import re
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

HERE = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((HERE / ".github" / "workflows").glob("*.yml"))


def workflow(name: str) -> dict:
    return yaml.safe_load((HERE / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))


def module(path: str):
    spec = importlib.util.spec_from_file_location(Path(path).stem, HERE / path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_the_library_is_tested_on_every_system_and_version() -> None:
    matrix = workflow("library")["jobs"]["library"]["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["system"]} == {"ubuntu", "macos", "windows"}
    taken = SpecifierSet(PROJECT["requires-python"])
    assert matrix["python"] == [f"3.{minor}" for minor in range(40) if taken.contains(f"3.{minor}.1")]
    known = {line.rsplit(" ", 1)[1] for line in PROJECT["classifiers"] if "Python :: 3." in line}
    assert known == set(matrix["python"])


def test_the_library_is_installed_with_extras_that_exist() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in [*WORKFLOWS, HERE / "Makefile"])
    named = {extra for group in re.findall(r"\.\[([a-z,]+)\]", text) for extra in group.split(",")}
    assert {"qutip", "sweep", "plot", "test"} <= named <= set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_what_exists(path: Path) -> None:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert commands or path.stem == "publish"
    targets = re.findall(r"^([\w-]+):", (HERE / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    for command in commands:
        for target in re.findall(r"make ([\w.-]+)", command):
            assert target in targets or target == ".venv", command
        for file in re.findall(r"python (\.ci/\S+)", command):
            assert (HERE / file).is_file()
        for name in re.findall(r"-m (benchmarks\.\w+)", command):
            assert (HERE / (name.replace(".", "/") + ".py")).is_file()


def test_other_hosts_are_asked_weekly_only() -> None:
    for path in WORKFLOWS:
        text = path.read_text(encoding="utf-8")
        if "links.py" in text:
            events = yaml.safe_load(text)[True]  # `on:`, as YAML reads it
            assert set(events) == {"schedule", "workflow_dispatch"}
            break
    else:
        pytest.fail("no workflow checks links")
    assert "links.py" not in (HERE / ".ci" / "run").read_text(encoding="utf-8")


def test_what_is_ahead_of_us_blocks_nothing() -> None:
    jobs = workflow("weekly")["jobs"]
    assert jobs["sphinx"]["continue-on-error"] and jobs["benchmarks"]["continue-on-error"]
    assert not jobs["links"].get("continue-on-error")


# --- links ---


@pytest.fixture
def host() -> Iterator[str]:
    """A host that answers an address /404 with 404."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(self.path.strip("/")))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_links_that_are_gone_are_told_from_hosts_that_refuse(host: str) -> None:
    links = module(".ci/links.py")
    assert links.answer(f"{host}/200") == ""
    assert links.answer(f"{host}/404") == "404" and links.answer(f"{host}/410") == "410"
    assert links.answer(f"{host}/403") == "?403" and links.answer(f"{host}/503") == "?503"
    assert links.answer("http://127.0.0.1:1/nobody") not in ("", "?") and links.answer("http://[bad") != ""


def test_links_are_found_in_prose_and_bibliographies(tmp_path: Path) -> None:
    links = module(".ci/links.py")
    (tmp_path / "a.md").write_text(
        "See [this](https://example.org/a(b)), <https://example.org/c>. At http://127.0.0.1:8000 and "
        "https://example.org/d.\n",
        encoding="utf-8",
    )
    (tmp_path / "b.bib").write_text("@article{x,\n  doi = {10.1000/5},\n}\n", encoding="utf-8")
    found = links.addresses(sorted(tmp_path.iterdir()))
    assert found["https://doi.org/10.1000/5"] == ["b.bib"] and found["https://example.org/c"] == ["a.md"]
    assert "https://example.org/d" in found and not [url for url in found if "127.0.0.1" in url]


# --- benchmarks ---


def test_ratios_that_fall_are_reported() -> None:
    from benchmarks import history

    name, other = "rival / symmetric, N = 80", "N = 10^7 / N = 80"
    known = [{"ratios": {name: value, other: 1.0}} for value in (1000.0, 900.0, 1200.0)]
    assert history.slower({"ratios": {name: 500.0, other: 0.1}}, known) == []
    (said,) = history.slower({"ratios": {name: 400.0, "new / symmetric": 1.0}}, known)
    assert said.startswith(name) and "900" in said
    assert history.slower({"ratios": {name: 400.0}}, [known[0], {"ratios": {name: 500.0}}]) == []


def test_the_history_is_one_that_can_be_compared() -> None:
    from benchmarks import history

    entries = history.read(history.HISTORY)
    always, complete = {"date", "machine", "ratios"}, {"rows", "memory MB", "floor"}
    assert entries and all(set(entry) in (always, always | complete) for entry in entries)
    assert [entry["date"] for entry in entries] == sorted(entry["date"] for entry in entries)
    assert any("/ symmetric" in name for name in entries[-1]["ratios"])
    measured = {"machine": {}, "ratios": {"a / symmetric": 12.345678}, "runs": []}
    assert history.entry(measured, "2026-01-01")["ratios"] == {"a / symmetric": 12.35}
    assert set(history.entry(measured, "2026-01-01")) == always
    row = {"task": "a", "seconds": 0.123456, "tolerance": None}
    measured |= {"complete": True, "rows": [row], "memory MB": 7.0, "floor": {"80": {"products": 181}}}
    kept = history.entry(measured, "2026-01-01")
    assert kept["rows"] == [row | {"seconds": 0.123}] and kept["floor"] == {"80": {"products": 181}}
    assert history.slower(entries[-1], entries) == []


def test_readme_and_the_book_say_what_was_measured() -> None:
    from benchmarks import history, page

    entry = page.latest(history.read(history.HISTORY))
    for path, part in page.PARTS.items():
        text = path.read_text(encoding="utf-8")
        assert page.filled(text, part(entry)) == text, f"run `python -m benchmarks.page`: {path.name}"
    assert page.digest(entry) in page.FIGURE.read_text(encoding="utf-8"), "run `python -m benchmarks.page`"


def test_other_methods_stand_beside_ours_at_the_same_task() -> None:
    from benchmarks import history, page

    entry = page.latest(history.read(history.HISTORY))
    others = [row["method"] for row in entry["rows"] if not page.ours(row)]
    assert [row["method"] for row, _ in page.pairs(entry)] == others
    for row, mine in page.pairs(entry):
        assert (row["task"], row["size"]) == (mine["task"], mine["size"]) and page.ours(mine)
        assert row["tolerance"] in (None, mine["tolerance"])
        assert page.times(row, mine) == "–" or row["error"] is None or row["error"] < 100 * row["tolerance"]
    said = " ".join(others)
    for name in ("PIQS", "Dicke blocks", "mesolve", "steadystate", "cumulants"):
        assert name in said
    tasks = " ".join(row["task"] for row in entry["rows"])
    for name in ("evolution", "stationary state, weakly damped", "correlation", "cavity", "sweep"):
        assert name in tasks


# --- before a commit ---


def test_hooks_are_the_checks_of_make_lint() -> None:
    (local,) = yaml.safe_load((HERE / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert local["repo"] == "local"
    entries = [
        hook["entry"].removeprefix(".venv/bin/").replace(" --force-exclude", "") for hook in local["hooks"]
    ]
    lint = (HERE / "Makefile").read_text(encoding="utf-8").split("\nlint:")[1].split("\n\n")[0]
    linted = [command.removesuffix(" .") for command in re.findall(r"\$\(BIN\)/(.*)", lint)]
    assert entries == linted


def test_forms_are_well_formed() -> None:
    folder = HERE / ".github" / "ISSUE_TEMPLATE"
    for path in folder.glob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.stem == "config":
            continue
        assert {"name", "description", "body"} <= set(form), path.name
        names = [field["id"] for field in form["body"]]
        assert len(set(names)) == len(names) and all(field["attributes"]["label"] for field in form["body"])
    updates = yaml.safe_load((HERE / ".github" / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"github-actions", "pip"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_scripts_can_be_run() -> None:
    for script in (HERE / ".ci" / "run", HERE / ".ci" / "newest-sphinx"):
        assert subprocess.run(["bash", "-n", str(script)], timeout=30, check=False).returncode == 0
    assert json.loads((HERE / ".zenodo.json").read_text(encoding="utf-8"))["upload_type"] == "software"
