"""Packages that only some parts need: `from .optional import qutip` imports one, or says how to install it."""

from __future__ import annotations

import importlib
from typing import Any

from .errors import MissingPackageError

#: The extra of this package that installs a module.
EXTRAS = {
    "qutip": "qutip",
    "xarray": "sweep",
    "pandas": "sweep",
    "zarr": "sweep",
    "matplotlib": "plot",
}


def __getattr__(name: str) -> Any:
    """Import a package; a `MissingPackageError` says how to install it where it is missing."""
    if name not in EXTRAS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise  # it is there, and broken
        raise MissingPackageError(
            f"This part of centralspin needs the package `{name}`: pip install 'centralspin[{EXTRAS[name]}]'.",
            name=name,
        ) from None
