"""Which software this is, on what it runs, and how to cite it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

import numpy as np

try:
    __version__ = importlib.metadata.version("centralspin")
except importlib.metadata.PackageNotFoundError:  # run from its sources
    __version__ = "0+unknown"

#: What `about` tells the versions of: what is needed, then what some parts use.
PACKAGES = ("numpy", "scipy", "qutip", "xarray", "zarr", "distributed", "matplotlib", "tqdm")
#: Variables of the environment that say how many threads linear algebra may take.
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

PAPER = """@article{carollo2023,
  author = {Carollo, Federico},
  title = {Non-{Gaussian} dynamics of quantum fluctuations and mean-field limit in open quantum central spin systems},
  journal = {Physical Review Letters},
  volume = {131},
  pages = {227102},
  year = {2023},
  doi = {10.1103/PhysRevLett.131.227102},
  eprint = {2305.15547},
  archivePrefix = {arXiv},
}"""
SOFTWARE = """@software{centralspin,
  author = {{The centralspin developers}},
  title = {centralspin: exact dynamics of open quantum central spin systems, with an executable companion},
  version = {%s},
  license = {BSD-3-Clause},
}"""


class Facts(dict[str, Any]):
    """A dictionary that prints one entry a line."""

    def __repr__(self) -> str:
        width = max(map(len, self), default=0)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in self.items())


def about() -> Facts:
    """Return the versions of the software, the machine and the threads: what belongs into a report of a fault.

    Examples
    --------
    >>> about()["centralspin"] == __version__
    True
    """
    facts = Facts(centralspin=__version__, Python=platform.python_version())
    for name in PACKAGES:
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            facts[name] = "not installed"
    facts["system"] = f"{platform.system()} {platform.release()}"
    facts["machine"] = f"{platform.machine()}, {os.cpu_count()} cores"
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    facts["linear algebra"] = f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()
    facts["threads"] = (
        ", ".join(f"{name} {os.environ[name]}" for name in THREADS if name in os.environ) or "all"
    )
    return facts


def cite() -> str:
    """Return how to cite the paper and this software, as BibTeX.

    Examples
    --------
    >>> print(cite().splitlines()[0])
    @article{carollo2023,
    """
    return f"{PAPER}\n\n{SOFTWARE % __version__}"
