"""Do results leave a session whole: to files and back, as labelled arrays, tables and figures?"""

import json
import math
import zipfile

import numpy as np
import pytest
from conftest import PAPER

import centralspin
from centralspin import (
    ArgumentError,
    CollectiveModel,
    Moment,
    Sites,
    evolve,
    expand,
    load,
    steady_state,
    travel,
)
from centralspin.problem.central_spin import SIGMA_MINUS, SIGMA_PLUS
from centralspin.problem.description import describe, restore

TIMES = [0.0, 0.5, 1.0]
NAMES = ("Q2", "tau_z")
COLLECTIVE = CollectiveModel(
    hamiltonian=[[0.3, 0.1 - 0.7j], [0.1 + 0.7j, -0.0]],
    jumps=[SIGMA_MINUS],
    sites=[
        Sites(
            count=3, hamiltonian=np.zeros((2, 2)), jumps=[SIGMA_MINUS], couplings=[(SIGMA_PLUS, SIGMA_MINUS)]
        ),
        Sites(count=2, hamiltonian=np.diag([0.1, 0]), jumps=[SIGMA_PLUS], rates=[1 / 3], initial=[1, 0]),
    ],
    initial=[0.6, 0.8j],
)


def same_model(a, b) -> bool:
    return json.dumps(describe(a)) == json.dumps(describe(b))


def test_trajectory_survives_a_file(tmp_path) -> None:
    result = evolve(PAPER.replace(N=3), TIMES, NAMES)
    found = load(result.save(tmp_path / "curves"))
    assert found == result and found["Q2"].tobytes() == result["Q2"].tobytes()
    assert found.problem == result.problem and found.details == result.details


def test_a_trajectory_goes_on_from_a_file(tmp_path) -> None:
    result = evolve(PAPER.replace(N=3), TIMES, NAMES)
    found = load(result.save(tmp_path / "curves"))
    on, expected = (evolve(r.problem, [1.0], NAMES, initial=r.final) for r in (found, result))
    assert on == expected and found.final.time == 1.0
    state = load(result.final.save(tmp_path / "state"))
    assert state.held.vectors.tobytes() == result.final.held.vectors.tobytes()
    rest = steady_state(PAPER, ("tau_z",))
    found = load(rest.save(tmp_path / "rest")).state
    np.testing.assert_array_equal(found.central, rest.state.central)


def test_stationary_state_at_infinity_survives_a_file(tmp_path) -> None:
    result = steady_state(PAPER, ("tau_z",))
    found = load(result.save(tmp_path / "state.npz"))
    assert found == result and math.inf == found.problem.N and isinstance(found["tau_z"], float)


def test_expansion_survives_a_file(tmp_path) -> None:
    result = expand(PAPER, TIMES, NAMES, terms=2)
    found = load(result.save(tmp_path / "series"))
    assert found.limit == result.limit and len(found.coefficients) == 2
    assert found.at(50)["Q2"].tobytes() == result.at(50)["Q2"].tobytes()


def test_general_model_and_complex_values_survive_a_file(tmp_path) -> None:
    observables = {"lowering": Moment(central=SIGMA_MINUS), "up": np.diag([1, 0])}
    for number, result in enumerate(
        (evolve(COLLECTIVE, TIMES, observables), steady_state(COLLECTIVE, observables))
    ):
        found = load(result.save(tmp_path / str(number)))
        assert found == result and np.iscomplexobj(found["lowering"]) and np.any(found["lowering"] != 0)
        assert same_model(found.problem, COLLECTIVE)
    assert found.problem.hamiltonian.tobytes() == COLLECTIVE.hamiltonian.tobytes()
    again = steady_state(found.problem, observables)
    assert again["lowering"] == result["lowering"]


def test_functions_of_time_are_refused_in_a_sentence(tmp_path) -> None:
    sites = Sites(count=2, hamiltonian=np.zeros((2, 2)), jumps=[SIGMA_MINUS], rates=[lambda t: 1.0])
    model = COLLECTIVE.replace(sites=sites)
    result = evolve(model, TIMES, {"up": np.diag([1, 0])})
    with pytest.raises(
        ArgumentError,
        match=r"^Argument `rates` must consist of numbers and matrices .* the function `<lambda>`",
    ):
        result.save(tmp_path / "no")
    assert not list(tmp_path.iterdir())
    pytest.importorskip("xarray")
    assert "CollectiveModel" in result.to_xarray().attrs["problem"]


def test_other_files_are_refused_in_a_sentence(tmp_path) -> None:
    np.savez(tmp_path / "other.npz", a=np.ones(2))
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "evil.npz", header=np.array([lambda: 1, 2], dtype=object)[1:])
    np.savez(tmp_path / "future.npz", header=np.array(json.dumps({"format": 99})))
    for name in ("other", "text", "evil", "future", "missing"):
        with pytest.raises(ArgumentError, match=r"^Argument `path` must name a file that `.save`"):
            load(tmp_path / f"{name}.npz")


def test_files_hold_no_pickles(tmp_path) -> None:
    path = evolve(PAPER.replace(N=2), TIMES, NAMES).save(tmp_path / "x")
    with zipfile.ZipFile(path) as archive:
        headers = [archive.read(name)[:128] for name in archive.namelist()]
    assert len(headers) >= 4 and not [h for h in headers if b"'descr': '|O'" in h]


def test_a_description_names_unknown_kinds() -> None:
    with pytest.raises(ArgumentError, match="`kind` must be among CentralSpinModel"):
        restore({"kind": "Popen", "args": "ls"})


def test_labelled_array_has_values_units_and_provenance() -> None:
    xarray = pytest.importorskip("xarray")
    result = evolve(PAPER.replace(N=3), TIMES, NAMES)
    data = result.to_xarray()
    assert data["Q2"].dims == ("time",) and data["time"].attrs["units"] == "1/γ"
    np.testing.assert_array_equal(data["Q2"].sel(time=0.5), result["Q2"][1])
    assert data["tau_z"].attrs == {"units": "1", "long_name": "⟨τ_z⟩"}
    assert restore(json.loads(data.attrs["problem"])) == result.problem
    assert data.attrs["method"] == "symmetric" and centralspin.__version__ in data.attrs["software"]
    stationary = steady_state(PAPER.replace(N=3), NAMES)
    assert isinstance(stationary.to_xarray(), xarray.Dataset)
    assert stationary.to_xarray()["Q2"].item() == stationary["Q2"]


def test_table() -> None:
    pytest.importorskip("pandas")
    result, stationary = evolve(PAPER.replace(N=3), TIMES, NAMES), steady_state(PAPER.replace(N=3), NAMES)
    table = result.to_pandas()
    assert list(table.columns) == list(NAMES) and list(table.index) == TIMES
    assert table.loc[1.0, "Q2"] == result["Q2"][2]
    assert stationary.to_pandas()["Q2"] == stationary["Q2"]


def test_values_as_qutip_gives_them() -> None:
    result = evolve(PAPER.replace(N=3), TIMES, NAMES)
    assert result.expect[1] is result["tau_z"] and list(result.e_data) == list(NAMES)


def test_figure_shows_the_values_in_the_style_of_the_book() -> None:
    mpl = pytest.importorskip("matplotlib")
    mpl.use("Agg")
    style = pytest.importorskip("claimbook.style")
    assert (travel.COLOURS, travel.STYLES) == (style.COLOURS, style.STYLES)
    result = evolve(PAPER.replace(N=3), TIMES, NAMES)
    axis = result.plot()
    first, second = axis.get_lines()
    np.testing.assert_array_equal(first.get_ydata(), result["Q2"])
    np.testing.assert_array_equal(second.get_xdata(), TIMES)
    assert first.get_color() == style.COLOURS[0] and second.get_linestyle() == "--"
    assert [t.get_text() for t in axis.get_legend().get_texts()] == list(NAMES)
    assert len(result.plot("Q2", axis=mpl.pyplot.figure().subplots()).get_lines()) == 1
    points = steady_state(PAPER.replace(N=3), NAMES).plot()
    assert points.get_lines()[0].get_ydata()[1] == steady_state(PAPER.replace(N=3), NAMES)["tau_z"]
    with pytest.raises(ArgumentError, match="`name` must be among Q2, tau_z"):
        result.plot("Q4")
    with pytest.raises(ArgumentError, match="`names` must name real values"):
        evolve(COLLECTIVE, TIMES, {"lowering": Moment(central=SIGMA_MINUS)}).plot()
    mpl.pyplot.close("all")


def edited(path, new, change) -> None:
    """Write a file whose header and arrays are changed, with or without a checksum that fits."""
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(str(arrays.pop("header")))
    change(header["content"], arrays)
    sums = {header.pop("checksum"), travel._checksum(header, arrays)}
    for number, checksum in enumerate(sums):
        text = np.array(json.dumps({**header, "checksum": checksum}))
        np.savez(f"{new}-{number}.npz", header=text, **arrays)


def test_every_damaged_file_is_refused_in_a_sentence(tmp_path) -> None:
    path = evolve(PAPER.replace(N=3), TIMES, NAMES).save(tmp_path / "whole")
    whole, right = path.read_bytes(), load(path)
    other = tmp_path / "damaged.npz"
    random = np.random.default_rng(1)
    for k in range(300):
        damaged = bytearray(whole[: random.integers(len(whole))] if k % 3 == 0 else whole)
        if k % 3:
            damaged[random.integers(len(whole))] ^= 1 << random.integers(8)
        other.write_bytes(damaged)
        try:
            assert load(other) == right  # what tells nothing, such as a date
        except ArgumentError as refusal:
            assert str(refusal).startswith("Argument `path` must name a file") and "\n" not in str(refusal)


CHANGES = {
    "nothing": lambda content, arrays: content.clear(),
    "another kind": lambda content, arrays: (content.clear(), content.update(a=1)),
    "a number": lambda content, arrays: (content.clear(), content.update(described=1)),
    "an unknown part": lambda content, arrays: content["parts"].update(b=content["parts"]["method"]),
    "a missing part": lambda content, arrays: content["parts"].pop("data"),
    "a missing array": lambda content, arrays: arrays.popitem(),
    "no numbers": lambda content, arrays: arrays.update(array_0=np.full(3, np.nan)),
    "words": lambda content, arrays: arrays.update(array_0=np.array(["a", "b", "c"])),
    "too few": lambda content, arrays: arrays.update(array_0=np.zeros(0)),
    "a model that is none": lambda content, arrays: content["parts"]["problem"]["described"].update(N=-3),
    "no model": lambda content, arrays: content["parts"]["problem"]["described"].update(kind=[]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_was_changed_is_refused_whether_or_not_its_checksum_fits(tmp_path, change: str) -> None:
    path = evolve(PAPER.replace(N=3), TIMES, NAMES).save(tmp_path / "whole")
    edited(path, tmp_path / "changed", CHANGES[change])
    files = list(tmp_path.glob("changed-*"))
    assert len(files) == 2
    for file in files:
        with pytest.raises(
            ArgumentError, match=r"`path` must name .*changed-[01]\.npz', which has been changed"
        ):
            load(file)


def test_another_number_of_sites_in_a_file_is_noticed(tmp_path) -> None:
    path = evolve(PAPER.replace(N=3), TIMES, NAMES).save(tmp_path / "whole")
    with np.load(path) as file:
        arrays = dict(file)
    arrays["header"] = np.array(str(arrays["header"]).replace('"N": 3', '"N": 5'))
    np.savez(path, **arrays)
    with pytest.raises(ArgumentError, match="which has been changed since"):
        load(path)


def test_what_is_no_path_name_or_axis_is_refused_in_a_sentence() -> None:
    result = evolve(PAPER.replace(N=2), TIMES, NAMES)
    for path in ("/nowhere/x", None, 3, b"x", "", "/", "a\0b"):
        with pytest.raises(
            ArgumentError, match=r"^Argument `path` must name a file that can be written, but is"
        ):
            result.save(path)
    for name in (["Q2"], 3, None, {}):
        assert name not in result
        with pytest.raises(ArgumentError, match=r"^Argument `name` must be among Q2, tau_z"):
            result[name]
    pytest.importorskip("matplotlib").use("Agg")
    with pytest.raises(ArgumentError, match=r"^Argument `names` must be a sequence, but is 3"):
        result.plot(3)
    with pytest.raises(ArgumentError, match=r"^Argument `name` must be among Q2, tau_z, but is 3"):
        result.plot([3])
    with pytest.raises(ArgumentError, match=r"^Argument `axis` must be a matplotlib axis, but is 3"):
        result.plot(axis=3)
