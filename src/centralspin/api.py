"""The front door: `evolve` and `steady_state` check their arguments and dispatch to a method."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .errors import ArgumentError, hermitian_matrix, increasing_times, real_number
from .problem.central_spin import CentralSpinModel
from .problem.collective import CollectiveModel, collective_model
from .problem.moments import Moment
from .problem.observables import check_observables, combine, needed_raw
from .result import Trajectory

#: Method → (module that implements it, what it is).
METHODS: dict[str, tuple[str, str]] = {
    "symmetric": ("symmetric.solver", "symmetric Liouville space, any N and N = ∞"),
    "dicke": ("methods.dicke", "permutation-invariant Dicke blocks, N up to about 80"),
    "full_space": ("methods.full_space", "the whole 2^(N+1)-dimensional space by QuTiP, N ≤ 6"),
    "spin_boson": (
        "methods.spin_boson",
        "the emergent model of Eq. (9) in Fock space by QuTiP, N = ∞ and z = ½",
    ),
    "mean_field": ("methods.mean_field", "product states, no correlations"),
    "cumulants": (
        "methods.cumulants",
        "moments closed by neglecting joint cumulants above an order, any N and N = ∞",
    ),
}


def evolve(
    model: CentralSpinModel | CollectiveModel,
    times: Sequence[float],
    observables: Any = ("tau_x", "tau_y", "tau_z"),
    *,
    central_state: Any = "up",
    bath_bloch: Any = None,
    method: str = "symmetric",
    tolerance: float = 1e-8,
    **options: Any,
) -> Trajectory:
    """Evolve a product initial state and return expectation values.

    Parameters
    ----------
    model : CentralSpinModel or CollectiveModel
        The problem. A `CollectiveModel` carries its initial states itself and needs method "symmetric".
    times : sequence of float
        Increasing times ≥ 0 in units of 1/γ; the initial state is that of time 0.
    observables : sequence of str, or (for a `CollectiveModel`) mapping of names to central operators or `Moment`
        Names known to `centralspin.OBSERVABLES`: "tau_z", "q", "Q2", "Q4", ….
    central_state : str, sequence or matrix
        "up", "down", a Bloch vector, a ket or a 2×2 density matrix (NumPy or QuTiP).
    bath_bloch : sequence of 3 floats, optional
        Initial Bloch vector of every bath spin; None is the stationary state of its own dynamics, Ω_SS.
    method : str
        "symmetric" (default), "dicke", "full_space", "spin_boson", "mean_field" or "cumulants".
    tolerance : float
        Largest absolute error of the raw moments, for integration and truncation together.
    **options
        Of method "symmetric": `cut` (use this cut unchecked) and `memory_budget` (bytes); of "cumulants": `order`.

    Returns
    -------
    Trajectory

    Raises
    ------
    ArgumentError
        If an argument is outside its domain or the method cannot do what is asked.
    TruncationError
        If the tolerance cannot be met within the memory budget.
    """
    times_array = increasing_times(times)
    tolerance = check_tolerance(tolerance)
    if isinstance(model, CollectiveModel):
        moments = check_collective(observables, method, central_state, bath_bloch)
        from .symmetric.solver import evolve_moments

        moved, details = evolve_moments(
            model, times_array, list(moments.values()), tolerance, **check_options(method, options)
        )
        return Trajectory(times_array, dict(zip(moments, moved.T, strict=True)), method, details)
    _require_model(model)
    names = check_observables(observables, model)
    model.central_density_matrix(central_state)
    bloch = model.initial_bath_bloch(bath_bloch)
    run = _method(method).evolve
    raw, details = run(
        model,
        times_array,
        needed_raw(names),
        central_state,
        bloch,
        tolerance,
        **check_options(method, options),
    )
    values = {
        name: np.broadcast_to(np.real(v), times_array.shape) for name, v in combine(names, raw, model).items()
    }
    return Trajectory(times_array, values, method, details)


def steady_state(
    model: CentralSpinModel | CollectiveModel,
    observables: Any = ("tau_x", "tau_y", "tau_z"),
    *,
    method: str = "symmetric",
    tolerance: float = 1e-8,
    **options: Any,
) -> Trajectory:
    """Return expectation values in the stationary state; the parameters are those of `evolve`."""
    tolerance = check_tolerance(tolerance)
    if isinstance(model, CollectiveModel):
        moments = check_collective(observables, method)
        from .symmetric.solver import stationary_moments

        found, details = stationary_moments(
            model, list(moments.values()), tolerance, **check_options(method, options)
        )
        return Trajectory(
            math.inf, {n: float(v) for n, v in zip(moments, found, strict=True)}, method, details
        )
    _require_model(model)
    names = check_observables(observables, model)
    model.stationary_bath_bloch()
    raw, details = _method(method).steady_state(
        model, needed_raw(names), tolerance, **check_options(method, options)
    )
    values = {name: float(np.real(value)) for name, value in combine(names, raw, model).items()}
    return Trajectory(math.inf, values, method, details)


def central_states(
    model: CentralSpinModel | CollectiveModel,
    times: Sequence[float],
    *,
    central_state: Any = "up",
    bath_bloch: Any = None,
    tolerance: float = 1e-8,
    **options: Any,
) -> np.ndarray:
    """Return the density matrices of the central system in time, shape (times, d, d), by method "symmetric".

    The parameters are those of `evolve`; `qutip.Qobj(states[k])` makes a QuTiP operator of one of them.
    """
    if isinstance(model, CentralSpinModel):
        model = collective_model(model, central_state, bath_bloch)
    elements = model.central_basis.elements
    observables = {str(i): Moment(central=e) for i, e in enumerate(elements[1:], start=1)}
    if not observables:
        return np.ones((len(increasing_times(times)), 1, 1), dtype=complex)
    trajectory = evolve(model, times, observables, tolerance=tolerance, **options)
    coordinates = model.central_basis.dimension * np.array(list(trajectory.values.values()))
    return np.asarray(elements[0] + np.einsum("it,iab->tab", coordinates, elements[1:]))


def _method(name: Any) -> Any:
    if not isinstance(name, str) or name not in METHODS:
        raise ArgumentError("method", f"be among {', '.join(METHODS)}", repr(name))
    return importlib.import_module(
        f".{METHODS[name][0]}", __package__
    )  # QuTiP is slow to import: only when used


def check_options(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a method, or raise `ArgumentError` if it does not know one."""
    known = {"symmetric": {"cut", "memory_budget"}, "cumulants": {"order"}}.get(method, set())
    for name in options:
        if name not in known:
            allowed = ", ".join(sorted(known)) or "nothing"
            raise ArgumentError("options", f"be {allowed} with method {method!r}", repr(name))
    checked = dict(options)
    if checked.get("cut") is not None and (
        not isinstance(checked["cut"], (int, np.integer)) or checked["cut"] < 0
    ):
        raise ArgumentError("cut", "be an integer not below 0", repr(checked["cut"]))
    if "memory_budget" in checked:
        checked["memory_budget"] = real_number("memory_budget", checked["memory_budget"], minimum=0)
    return checked


def check_tolerance(value: Any) -> float:
    """Return a tolerance that integration and truncation can meet, or raise `ArgumentError`."""
    tolerance = real_number("tolerance", value)
    if not 1e-13 <= tolerance <= 1e-1:
        raise ArgumentError("tolerance", "be between 1e-13 and 0.1", value)
    return tolerance


def _require_model(model: Any) -> None:
    if not isinstance(model, CentralSpinModel):
        raise ArgumentError("model", "be a CentralSpinModel or a CollectiveModel", repr(model))


def check_collective(
    observables: Any, method: str, central_state: Any = "up", bath_bloch: Any = None
) -> dict[str, Moment]:
    """Return the moments to read from a `CollectiveModel`, or raise if an argument does not apply to it."""
    if method != "symmetric":
        raise ArgumentError("method", 'be "symmetric" for a CollectiveModel', repr(method))
    if bath_bloch is not None or not (isinstance(central_state, str) and central_state == "up"):
        raise ArgumentError(
            "central_state",
            "be left out for a CollectiveModel, which carries its initial states",
            central_state,
        )
    if not isinstance(observables, Mapping) or not observables:
        raise ArgumentError(
            "observables",
            "map names to central operators or Moments for a CollectiveModel",
            repr(observables),
        )
    return {
        str(name): value
        if isinstance(value, Moment)
        else Moment(central=hermitian_matrix("observables", value))
        for name, value in observables.items()
    }


__all__ = [
    "METHODS",
    "central_states",
    "check_collective",
    "check_options",
    "check_tolerance",
    "evolve",
    "steady_state",
]
