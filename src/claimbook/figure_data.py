"""The numbers that a figure shows, as a table. Needs matplotlib.

`style.use_style` lets every figure drawn in a notebook carry its table beside its picture.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from matplotlib.collections import Collection, PathCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon, Rectangle

#: Type under which a figure's table stands in a notebook's output.
MIME_TYPE = "text/csv"
COLUMNS = ("panel", "series", "x", "y", "value")

#: Points (n, 2) of something drawn, and its values (n,) if colour stands for a number.
Points = tuple[Any, Any]


def bundle(figure: Figure) -> dict[str, str]:
    """Return what is shown of a figure beside its picture: its table, if it has one."""
    text = table(figure)
    return {MIME_TYPE: text} if text else {}


def table(figure: Figure) -> str:
    """Return what a figure shows as CSV, one row per point, empty if it shows no data.

    The columns are `panel`, `series` (the label in the legend), `x`, `y`, and `value`, which is filled where
    colour stands for a number. Lines that start with # name each panel's axes. Axes without a frame hold a
    drawing, not data, and what is not placed in data coordinates, such as a line across the panel, is left out.
    """
    heading, rows = [], []
    for panel, axis in panels(figure):
        own = [
            (panel, series, *(f"{number:.10g}" for number in point), "" if value is None else f"{value:.10g}")
            for series, (points, values) in series_of(axis)
            for point, value in zip(points, values, strict=True)
        ]
        if own:
            heading.append(f"# {panel}: x is {axis.get_xlabel() or 'x'}, y is {axis.get_ylabel() or 'y'}\n")
        rows += own
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([COLUMNS, *rows])
    return "".join(heading).replace("\r", "") + text.getvalue()


def panels(figure: Figure) -> Iterator[tuple[str, Any]]:
    """Yield name and axes of each panel and of the insets in it."""
    plots = [axis for axis in figure.axes if axis.axison and not hasattr(axis, "_colorbar")]
    for number, axis in enumerate(plots, start=1):
        name = axis.get_title(loc="left") or str(number)
        yield name, axis
        for inset in axis.child_axes:
            yield f"{name} inset", inset


def series_of(axis: Any) -> Iterator[tuple[str, Points]]:
    """Yield label and points of each line, cloud of points, area, bar, map or image."""
    in_container = {  # bars and error bars, whose label is that of the whole
        part: str(container.get_label()) for container in axis.containers for part in container.get_children()
    }
    artists = (*axis.lines, *axis.collections, *axis.patches, *axis.images)
    for number, artist in enumerate(artists, start=1):
        label = in_container.get(artist, str(artist.get_label()))
        cloud = isinstance(artist, PathCollection)
        transform = artist.get_offset_transform() if cloud else artist.get_transform()
        points, values = next(
            (read(artist) for kind, read in READERS.items() if isinstance(artist, kind)), NONE
        )
        if all(transform.contains_branch_seperately(axis.transData)) and len(points):
            values = [None] * len(points) if values is None else np.ma.filled(values, np.nan)
            yield f"series {number}" if label.startswith("_") or not label else label, (points, values)


def read_mesh(mesh: Any) -> Points:
    """Return the centres of a mesh's cells and their values."""
    points, values = mesh.get_coordinates(), mesh.get_array()
    if points.shape[:2] != values.shape:  # corners
        points = (points[:-1, :-1] + points[1:, :-1] + points[:-1, 1:] + points[1:, 1:]) / 4
    return points.reshape(-1, 2), values.ravel()


def read_image(image: Any) -> Points:
    """Return the centres of an image's pixels and, unless it has colours of its own, their values."""
    values = image.get_array()
    rows, columns = values.shape[:2]
    left, right, bottom, top = image.get_extent()
    if image.origin == "upper":
        bottom, top = top, bottom
    x = left + (right - left) * (np.arange(columns) + 0.5) / columns
    y = bottom + (top - bottom) * (np.arange(rows) + 0.5) / rows
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return points, values.ravel() if values.ndim == 2 else None


def read_areas(areas: Any) -> Points:
    """Return the corners of areas or contours, and a contour's value at each."""
    corners, values = [path.vertices for path in areas.get_paths()], areas.get_array()
    if values is not None:
        values = np.repeat(values, [len(path) for path in corners])
    return np.concatenate([*corners, np.empty((0, 2))]), values


def read_bar(bar: Any) -> Points:
    """Return the middle of a bar's end."""
    return [(bar.get_x() + bar.get_width() / 2, bar.get_y() + bar.get_height())], None


NONE: Points = ((), None)
#: What is read of each kind of artist; the first that fits.
READERS: dict[type, Callable[[Any], Points]] = {
    Line2D: lambda line: (line.get_xydata(), None),
    PathCollection: lambda cloud: (cloud.get_offsets(), cloud.get_array()),
    QuadMesh: read_mesh,
    Collection: read_areas,
    AxesImage: read_image,
    Rectangle: read_bar,
    Polygon: lambda polygon: (polygon.get_xy(), None),
}
