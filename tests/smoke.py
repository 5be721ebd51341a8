"""Does the library work with NumPy and SciPy alone? Run by `make dist` where nothing else is installed.

`python smoke.py --hide` hides everything else first, where it is installed.
"""

import importlib.util
import math
import sys
import tempfile
from pathlib import Path

OPTIONAL = (
    "qutip", "xarray", "pandas", "zarr", "dask", "distributed", "cloudpickle", "matplotlib", "tqdm", "yaml",
    "jupytext", "papermill", "IPython", "sphinx", "jupyter_book", "myst_nb", "pytest", "hypothesis", "threadpoolctl",
)  # fmt: skip


class Without:
    """A finder of modules that finds none of the packages that the library must do without."""

    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in OPTIONAL else self.finder.find_spec(name, path, target)


def main() -> None:
    if "--hide" in sys.argv:
        sys.meta_path[:] = [Without(finder) for finder in sys.meta_path if hasattr(finder, "find_spec")]
    else:
        there = [name for name in OPTIONAL if importlib.util.find_spec(name)]
        assert not there, f"this environment is not empty: {there}"

    import numpy as np

    import centralspin
    from centralspin import CentralSpinModel, MissingPackageError, evolve, expand, load, steady_state
    from centralspin.methods import cumulants, dicke, mean_field  # noqa: F401

    model = CentralSpinModel.figure_2(N=4)
    times, names = [0.0, 0.5, 1.0], ("tau_z", "Q2", "Q4")
    result = evolve(model, times, names)
    witness = evolve(model, times, names, method="dicke")
    assert max(np.abs(result[name] - witness[name]).max() for name in names) < 1e-7
    stationary = steady_state(model.replace(N=math.inf), names)
    limit = expand(model, None, names).limit
    assert max(abs(stationary[name] - limit[name]) for name in names) < 1e-7
    with tempfile.TemporaryDirectory() as folder:
        assert load(result.save(Path(folder) / "result")) == result

    def refused(what) -> str:
        try:
            what()
        except MissingPackageError as error:
            return str(error)
        raise AssertionError("nothing was refused")

    for extra, package, what in (
        ("qutip", "qutip", lambda: evolve(model, times, names, method="full_space")),
        ("qutip", "qutip", lambda: evolve(model.replace(N=math.inf), times, names, method="spin_boson")),
        ("qutip", "qutip", lambda: importlib.import_module("centralspin.theory.non_gaussianity")),
        ("sweep", "xarray", result.to_xarray),
        ("sweep", "pandas", result.to_pandas),
        ("plot", "matplotlib", result.plot),
        ("sweep", "xarray", lambda: centralspin.sweep(model, {"g0": [1.0]}, "tau_z")),
    ):
        sentence = refused(what)
        must = f"This part of centralspin needs the package `{package}`: pip install 'centralspin[{extra}]'."
        assert sentence == must, sentence

    facts = centralspin.about()
    assert facts["centralspin"] == centralspin.__version__ and facts["numpy"] == np.__version__
    assert (
        "10.1103/PhysRevLett.131.227102" in centralspin.cite()
        and centralspin.__version__ in centralspin.cite()
    )
    print(facts)
    print("centralspin works with NumPy and SciPy alone.")


if __name__ == "__main__":
    main()
