"""How results leave a session: files, labelled arrays, tables and figures."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .errors import ArgumentError
from .problem.central_spin import CentralSpinModel
from .problem.checks import sequence, short
from .problem.description import describe, restore
from .problem.general import Problem, SiteClass, System, Task
from .problem.moments import Moment
from .problem.observables import OBSERVABLES
from .software import __version__

#: Written into every file; it counts up when what is written changes.
FORMAT = 3
#: What NumPy, zip files and JSON make of a file of another kind, or of a damaged one.
DAMAGED = (
    ArithmeticError, EOFError, LookupError, MemoryError, RuntimeError, SyntaxError, TypeError, ValueError, struct.error,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
#: The look of the book's figures: colour-blind-safe colours, and line styles that tell curves apart in greyscale.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
LOOK = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
}
#: What a state remembers of how it was made.
PARTS = {kind.__name__: kind for kind in (Moment, Problem, SiteClass, System, Task)}


class Saved:
    """A dataclass of numbers, arrays, problems and others of its kind that can be written to a file."""

    _kinds: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        Saved._kinds[cls.__name__] = cls

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything, the problem included, to one `.npz` file, which `centralspin.load` reads.

        Parameters
        ----------
        path : str or Path
            Where; ".npz" is appended unless it ends so.

        Returns
        -------
        Path
            Where it was written.

        Raises
        ------
        ArgumentError
            If the problem holds functions of time, which cannot be written down, or no such file can be written.
        """
        arrays: dict[str, np.ndarray] = {}
        header = {"format": FORMAT, "centralspin": __version__, "content": _pack(self, arrays)}
        header["checksum"] = _checksum(header, arrays)
        try:
            to = Path(path)
            to = to if to.suffix == ".npz" else to.with_name(to.name + ".npz")
            np.savez(to, **{"header": np.array(json.dumps(header)), **arrays})  # type: ignore[arg-type]
        except (OSError, TypeError, ValueError) as error:
            why = f": {error.strerror}" if isinstance(error, OSError) else ""
            raise ArgumentError("path", "name a file that can be written", short(path) + why) from None
        return to


def load(path: str | os.PathLike[str]) -> Any:
    """Read what `.save` of a result wrote; nothing in the file is executed.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Trajectory, Stationary or Expansion
        Equal to what was saved, to the last digit.

    Raises
    ------
    ArgumentError
        If the file is not one that a result has written, or if it has been changed since.

    Examples
    --------
    >>> import tempfile
    >>> from centralspin import CentralSpinModel, evolve, load
    >>> found = evolve(CentralSpinModel.figure_2(N=4), [0, 1], "Q4")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = load(found.save(f"{folder}/curve"))
    >>> again == found
    True
    """
    must = "name a file that `.save` of a result has written"
    try:
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = dict(file)
        header = json.loads(str(arrays.pop("header")))
        version = header["format"]
    except OSError as error:
        raise ArgumentError("path", must, f"{short(str(path))}: {error.strerror or error}") from None
    except DAMAGED:
        raise ArgumentError("path", must, f"{short(str(path))}, another or a damaged one") from None
    if version != FORMAT:
        raise ArgumentError("path", f"{must} (format {FORMAT})", f"of format {short(version)}")
    try:
        if header.pop("checksum") != _checksum(header, arrays):
            raise ValueError
        found = _unpack(header["content"], arrays)
    except DAMAGED:
        found = None
    if not isinstance(found, Saved):
        raise ArgumentError("path", must, f"{short(str(path))}, which has been changed since")
    return found


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """What tells whether a file still is as it was written."""
    found = hashlib.sha256(json.dumps(header).encode())
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype.str} {array.shape} ".encode() + array.tobytes())
    return found.hexdigest()


def _pack(value: Any, arrays: dict[str, np.ndarray], name: str = "value") -> Any:
    """Return a value as JSON holds it; arrays go to `arrays`, under the name that is written in their place."""
    if isinstance(value, Saved) or type(value).__name__ in PARTS:  # with all of its parts
        parts = {f.name: _pack(getattr(value, f.name), arrays, f.name) for f in fields(value) if f.init}
        return {"result": type(value).__name__, "parts": parts}
    if isinstance(value, np.ndarray) and value.ndim:
        arrays[key := f"array_{len(arrays)}"] = value
        return {"array": key}
    if isinstance(value, Mapping):
        return {
            "mapping": [
                [k if isinstance(k, int) else str(k), _pack(v, arrays, str(k))] for k, v in value.items()
            ]
        }
    if isinstance(value, (tuple, list)):
        return {type(value).__name__: [_pack(v, arrays, name) for v in value]}
    return {"described": describe(value, name)}


def _unpack(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    ((kind, content), *_) = value.items()
    if kind == "result":
        return (Saved._kinds | PARTS)[content](**{k: _unpack(v, arrays) for k, v in value["parts"].items()})
    if kind == "array":
        if not np.isfinite(arrays[content]).all():  # nor words
            raise ValueError("An array does not hold finite numbers.")
        return arrays[content]
    if kind in ("list", "tuple"):
        return {"list": list, "tuple": tuple}[kind](_unpack(v, arrays) for v in content)
    if kind == "mapping":
        return {k: _unpack(v, arrays) for k, v in content}
    if kind == "described":
        return restore(content)
    raise ValueError("What is written is of no known kind.")


class Travelling(Saved):
    """What results can do to be used elsewhere."""

    data: dict[str, Any]
    problem: Any
    method: str
    tolerance: float | None
    error: float | None
    details: dict[str, Any]

    @property
    def expect(self) -> list[Any]:
        """The values in the order in which they were asked for, as in QuTiP's results."""
        return list(self.data.values())

    @property
    def e_data(self) -> dict[str, Any]:
        """The values by name, as in QuTiP's results."""
        return dict(self.data)

    def to_xarray(self) -> Any:
        """Return the values as an `xarray.Dataset`, with units, and in its attributes how they were made."""
        from .optional import xarray

        times = getattr(self, "times", None)
        coordinates = {} if times is None else {"time": ("time", times, {"units": "1/γ"})}
        dims = () if times is None else ("time",)
        values = {name: (dims, value, meaning(name, self.problem)) for name, value in self.data.items()}
        return xarray.Dataset(values, coordinates, provenance(self))

    def to_pandas(self) -> Any:
        """Return the values as a `pandas.DataFrame` over time, or those of a stationary state as a `pandas.Series`."""
        from .optional import pandas

        times = getattr(self, "times", None)
        if times is None:
            return pandas.Series(self.data)
        return pandas.DataFrame(self.data, index=pandas.Index(times, name="time"))

    def plot(self, names: Any = None, axis: Any = None) -> Any:
        """Draw values in the style of the book: over time, or those of a stationary state as points.

        Parameters
        ----------
        names : str or sequence of str, optional
            Which values; by default all.
        axis : matplotlib axis, optional
            Where; by default the axis of a new figure.

        Returns
        -------
        matplotlib axis
        """
        from .optional import matplotlib

        pyplot = importlib.import_module("matplotlib.pyplot")
        if not (axis is None or callable(getattr(axis, "plot", None))):
            raise ArgumentError("axis", "be a matplotlib axis", short(axis))
        names = list(self.data) if names is None else names
        chosen = [names] if isinstance(names, str) else sequence("names", names)
        values = {name: self[name] for name in chosen}  # type: ignore[index]
        if not_real := [name for name, value in values.items() if np.iscomplexobj(value)]:
            raise ArgumentError("names", "name real values, which can be drawn", ", ".join(not_real))
        times = getattr(self, "times", None)
        with matplotlib.rc_context(LOOK):
            axis = pyplot.subplots(layout="constrained")[1] if axis is None else axis
            if times is None:
                axis.plot(list(values), list(values.values()), "o", color=COLOURS[0])
                axis.set_ylabel("stationary value")
                return axis
            for k, (name, value) in enumerate(values.items()):
                look = {"color": COLOURS[k % len(COLOURS)], "linestyle": STYLES[k % len(STYLES)]}
                axis.plot(times, value, label=name, **look)
            axis.set_xlabel("time in units of 1/γ")
            axis.set_ylabel("expectation value")
            axis.legend()
        return axis


def meaning(name: str, problem: Any) -> dict[str, str]:
    """The attributes of a value; those of named observables have no unit, and say what they are."""
    known = name in OBSERVABLES and isinstance(problem, CentralSpinModel)
    return {"units": "1", "long_name": OBSERVABLES[name].meaning} if known else {}


def provenance(result: Any) -> dict[str, Any]:
    """How a result was made, as attributes that files can hold."""
    try:
        problem = json.dumps(describe(result.problem), ensure_ascii=False)
    except ArgumentError:  # functions of time
        problem = repr(result.problem)
    details = {str(name): str(value) for name, value in result.details.items()}
    found = {
        "problem": problem,
        "method": result.method,
        "tolerance": result.tolerance,
        "estimated_error": result.error,
        "details": json.dumps(details, ensure_ascii=False),
        "software": f"centralspin {__version__}",
    }
    return {name: value for name, value in found.items() if value is not None}
