"""Does a figure's table hold what the figure shows, and nothing else?"""

import csv
import io
from collections import defaultdict

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from claimbook.figure_data import bundle, table

matplotlib.use("agg")


def rows(figure: Figure) -> dict[tuple[str, str], list[tuple[float, ...]]]:
    """The table, by panel and series; a missing value is left out of its row."""
    found = defaultdict(list)
    lines = [line for line in table(figure).splitlines(keepends=True) if not line.startswith("#")]
    for row in csv.DictReader(io.StringIO("".join(lines))):
        numbers = [float(row[column]) for column in ("x", "y", "value") if row[column]]
        found[row["panel"], row["series"]].append(tuple(numbers))
    return dict(found)


def test_lines_of_panels_and_insets() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    left.set_title("(a)", loc="left")
    left.set(xlabel="time", ylabel=r"$\langle q\rangle$")
    left.plot([0, 1], [2, 1 / 3], label="one, two")
    left.axhline(0.5)
    left.axvspan(0, 1)
    left.inset_axes((0.5, 0.5, 0.4, 0.4)).loglog([1, 10], [1e-300, np.nan], "o")
    right.plot([], [])
    assert rows(figure) == {
        ("(a)", "one, two"): [(0, 2), (1, pytest.approx(1 / 3, rel=1e-9))],
        ("(a) inset", "series 1"): [(1, 1e-300), (10, pytest.approx(np.nan, nan_ok=True))],
    }
    assert table(figure).startswith("# (a): x is time, y is $\\langle q\\rangle$\n")


@pytest.mark.parametrize("shading", ["flat", "nearest", "gouraud"])
def test_maps(shading: str) -> None:
    x, y, z = np.arange(3.0), np.array([0.0, 10.0]), np.arange(6.0).reshape(2, 3)
    expected = [(x[j], y[i], z[i, j]) for i in range(2) for j in range(3)]
    edges = (np.arange(4) - 0.5, np.array([-5.0, 5.0, 15.0])) if shading == "flat" else (x, y)
    figure = Figure()
    axis = figure.subplots()
    figure.colorbar(axis.pcolormesh(*edges, z, shading=shading, label="map"))
    assert rows(figure) == {("1", "map"): expected}


@pytest.mark.parametrize("origin", ["upper", "lower"])
def test_images(origin: str) -> None:
    figure = Figure()
    figure.subplots().imshow([[0, 1, 2], [3, 4, 5]], origin=origin, label="image")
    assert rows(figure) == {("1", "image"): [(j, i, 3 * i + j) for i in range(2) for j in range(3)]}


def test_other_kinds() -> None:
    figure = Figure()
    axis = figure.subplots()
    axis.scatter([1, 2], [3, 4], c=[5, 6], label="cloud")
    axis.bar([1, 2], [7, 8], label="bars")
    axis.errorbar([1], [2], yerr=0.5, label="measured")
    axis.hist([0.5], [0, 1], histtype="step", label="histogram")
    axis.fill_between([0, 1], [0, 0], [1, 1], label="band")
    axis.contour([[0, 1], [0, 1]], levels=[0.25])
    found = {series: points for (_, series), points in rows(figure).items()}
    assert found["cloud"] == [(1, 3, 5), (2, 4, 6)]
    assert found["bars"] == [(1, 7), (2, 8)]
    assert sorted(found["measured"]) == [(1, 1.5), (1, 2), (1, 2.5)]
    assert (0, 1) in found["histogram"] and (1, 1) in found["band"]
    assert {point[::2] for points in found.values() for point in points if point[-1] == 0.25} == {
        (0.25, 0.25)
    }


def test_drawings_hold_no_data() -> None:
    figure = Figure()
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1])
    axis.axis("off")
    assert bundle(figure) == {}
