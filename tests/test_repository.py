"""Do the repository's files agree with each other?"""

import itertools
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

HERE = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (HERE / "requirements.lock").read_text(encoding="utf-8")
MAKEFILE = (HERE / "Makefile").read_text(encoding="utf-8")


def tracked() -> list[str]:
    """The files under version control."""
    command = ["git", "-C", str(HERE), "ls-files"]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=60
        ).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("There is no git repository here.")


#: What conda-forge calls differently.
CONDA_NAMES = {"matplotlib": "matplotlib-base"}


def in_conda(requirement: str) -> str:
    """A requirement of the project as conda writes it, without spaces."""
    parsed = Requirement(requirement)
    name = canonicalize_name(parsed.name)
    return f"{CONDA_NAMES.get(name, name)}{parsed.specifier}"


def test_conda_environment_equals_project() -> None:
    environment = yaml.safe_load((HERE / "environment.yml").read_text(encoding="utf-8"))
    *conda, last = environment["dependencies"]
    extras = PROJECT["optional-dependencies"]
    *pip, itself = last["pip"]
    assert itself == f"-e .[{','.join(extras)}]"
    wanted = {*map(in_conda, [*PROJECT["dependencies"], *itertools.chain.from_iterable(extras.values())])}
    assert {*conda, *pip} == wanted | {f"python{PROJECT['requires-python']}", "pip", "make"}


def test_conda_recipe_equals_project() -> None:
    recipe = yaml.safe_load((HERE / "recipe.yaml").read_text(encoding="utf-8"))
    run, optional = (
        {line.replace(" ", "") for line in recipe["requirements"][part]}
        for part in ("run", "run_constraints")
    )
    assert run == {*map(in_conda, PROJECT["dependencies"]), f"python{PROJECT['requires-python']}"}
    extras = itertools.chain.from_iterable(
        PROJECT["optional-dependencies"][name] for name in ("qutip", "sweep", "plot")
    )
    assert optional == {*map(in_conda, extras)}
    assert recipe["context"]["version"] == PROJECT["version"]
    assert recipe["about"]["summary"] == PROJECT["description"]
    assert recipe["about"]["license"] == PROJECT["license"]


def test_lock_satisfies_project() -> None:
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", LOCK, flags=re.MULTILINE))
    extras = PROJECT["optional-dependencies"].values()
    wanted = [*PROJECT["dependencies"], *itertools.chain.from_iterable(extras)]
    for requirement in map(Requirement, wanted):
        version = locked.get(canonicalize_name(requirement.name), "none")
        assert version != "none" and requirement.specifier.contains(version), (
            f"run `make lock`: {requirement}"
        )


def test_lock_is_hashed_and_names_no_server() -> None:
    assert "://" not in LOCK
    entries = re.split(r"\n(?=[\w.-]+==)", LOCK.strip())
    assert all("--hash=sha256:" in entry for entry in entries)


def test_no_generated_file_is_tracked() -> None:
    generated = re.compile(r"(^|/)(_build|__pycache__|\.venv|[^/]*\.egg-info)(/|$)|\.(ipynb|pyc)$")
    assert not [name for name in tracked() if generated.search(name)]


def test_text_files_end_their_lines_alike() -> None:
    assert not [
        name for name in tracked() if (HERE / name).is_file() and b"\r\n" in (HERE / name).read_bytes()
    ]
    assert "* text=auto eol=lf" in (HERE / ".gitattributes").read_text(encoding="utf-8").splitlines()


def test_makefile_chooses_a_python_that_the_project_takes() -> None:
    named = re.findall(r"\bpython(3\.\d+)", MAKEFILE.split("PYTHON ?=")[0])
    taken = SpecifierSet(PROJECT["requires-python"])
    assert named and all(taken.contains(f"{version}.1") for version in named)
    low, high = re.findall(r"\((\d+), (\d+)\)", MAKEFILE.split("PYTHON ?=")[0])
    assert str(taken) == str(SpecifierSet(f">={'.'.join(low)},<{'.'.join(high)}"))


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_copied_or_moved_clone_installs_afresh(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    (tmp_path / "Makefile").write_text(MAKEFILE, encoding="utf-8")
    ready = tmp_path / ".venv" / "ready"
    ready.parent.mkdir()

    def installs() -> bool:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
        command = ["make", "-n", "book"]
        result = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        assert "claimbook build" in result.stdout, result.stderr
        return "pip install" in result.stdout

    assert installs()
    ready.write_text(f"{tmp_path.resolve()}\n", encoding="utf-8")
    assert not installs()
    ready.write_text("/where/it/was/before\n", encoding="utf-8")
    assert installs()


def test_continuous_integration_runs_what_the_readme_says() -> None:
    readme = (HERE / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^(make \w+) ", readme, flags=re.MULTILINE)
    assert commands[:2] == ["make book", "make test"]
    lines = (HERE / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("make")] == ["make test"]


def test_oldest_versions_are_the_lower_bounds_of_the_project() -> None:
    bounds = map(Requirement, [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["qutip"]])
    lower = {str(r.specifier).replace(">=", f"{r.name}==") for r in bounds}
    command = ["make", "-s", "-f", "-", "-C", str(HERE)]
    asked = f"include {HERE / 'Makefile'}\nasked:\n\t@echo $(LOWEST)\n"
    found = subprocess.run(
        [*command, "asked"], input=asked, capture_output=True, text=True, timeout=60, check=True
    )
    assert set(found.stdout.split()) == lower and len(lower) == 3


def test_workflows_run_the_oldest_and_the_newest_versions() -> None:
    text = (HERE / ".github" / "workflows" / "versions.yml").read_text(encoding="utf-8")
    steps = {
        name: [s["run"] for s in job["steps"] if "run" in s]
        for name, job in yaml.safe_load(text)["jobs"].items()
    }
    assert steps == {"lowest": ["make test-lowest"], "newest": ["make test-newest"]}
    assert "cron:" in text
