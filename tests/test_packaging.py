"""Is the package what it says: installable with little, with examples that run and one version everywhere?"""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import centralspin

HERE = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_library_works_with_numpy_and_scipy_alone() -> None:
    source = str(Path(centralspin.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": source}
    command = [sys.executable, "-W", "error", str(HERE / "tests" / "smoke.py"), "--hide"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "centralspin works with NumPy and SciPy alone."


def test_numpy_and_scipy_are_all_that_is_required() -> None:
    assert [re.split("[><=]", line)[0] for line in PROJECT["dependencies"]] == ["numpy", "scipy"]


def test_every_package_that_is_asked_for_is_in_its_extra() -> None:
    from centralspin.optional import EXTRAS

    extras = PROJECT["optional-dependencies"]
    brought = {"pandas": "xarray"}  # comes with it
    for name, extra in EXTRAS.items():
        assert any(line.startswith(brought.get(name, name)) for line in extras[extra]), name


def test_a_broken_package_is_not_called_missing(monkeypatch, tmp_path) -> None:
    from centralspin import MissingPackageError, optional

    (tmp_path / "zarr.py").write_text("import no_such_module_at_all\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "zarr", raising=False)
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all") as caught:
        optional.zarr  # noqa: B018
    assert not isinstance(caught.value, MissingPackageError)


def test_version_and_citation_agree_everywhere() -> None:
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((HERE / "CITATION.cff").read_text(encoding="utf-8"))
    zenodo = json.loads((HERE / ".zenodo.json").read_text(encoding="utf-8"))
    version = PROJECT["version"]
    assert centralspin.__version__ == citation["version"] == zenodo["version"] == version
    assert f"## {version}" in (HERE / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"version = {{{version}}}" in centralspin.cite()
    (paper,) = citation["references"]
    bibliography = (HERE / "book" / "references.bib").read_text(encoding="utf-8")
    entry = centralspin.cite().split("\n\n")[0]
    assert (
        entry in bibliography and paper["doi"] in entry and paper["title"] == re.sub("[{}]", "", title(entry))
    )
    assert f"https://doi.org/{paper['doi']}" in PROJECT["urls"].values()
    assert {
        "identifier": paper["doi"],
        "relation": "isSupplementTo",
        "resource_type": "publication-article",
    } in zenodo["related_identifiers"]
    assert title(centralspin.cite().split("\n\n")[1]) == citation["title"] == zenodo["title"]
    assert (
        citation["abstract"] == zenodo["description"]
        and citation["keywords"] == zenodo["keywords"] == PROJECT["keywords"]
    )


def title(entry: str) -> str:
    return re.search(r"title = \{(.*)\},", entry)[1]


def test_about_tells_what_a_report_needs() -> None:
    facts = centralspin.about()
    assert {"centralspin", "Python", "numpy", "scipy", "qutip", "machine", "threads"} <= set(facts)
    assert facts["threads"] != "all", "conftest sets one"
    lines = repr(facts).splitlines()
    assert len(lines) == len(facts) and lines[0].split() == ["centralspin", centralspin.__version__]
    assert not re.search(r"/(root|home|work|Users)/", repr(facts)), "no paths of the machine"
