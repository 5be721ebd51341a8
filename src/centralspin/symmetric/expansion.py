r"""Exact 1/N coefficients, by perturbation theory in N^{−1/2}.

In symmetric Liouville space N enters the generator only through condensate factors, so that
:math:`L = L_0 + N^{-1/2} L_{1/2} + N^{-1} L_1 + …` with explicit coefficients. L_0 is the emergent model, and

.. math:: \dot v_{1/2} = L_0 v_{1/2} + L_{1/2} v_0, \qquad \dot v_1 = L_0 v_1 + L_{1/2} v_{1/2} + L_1 v_0 .
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..api import check_collective, check_options, check_tolerance
from ..errors import ArgumentError, increasing_times
from ..problem.central_spin import CentralSpinModel
from ..problem.collective import CollectiveModel, Sites, collective_model
from ..problem.moments import Moment
from ..problem.observables import RawMoments, check_observables, combine, needed_raw
from ..result import Trajectory
from .solver import as_moments, evolve_moments, raw_moments, stationary_moments

#: Any size that no cut ever reaches; the coefficients do not depend on it.
LARGE = 10**9
#: Orders in N^{−1/2} that are computed.
ORDERS = (0, 1, 2)
#: A coefficient of N^{−1/2} below this many tolerances counts as absent.
ABSENT = 1e3


def expand(
    model: CentralSpinModel | CollectiveModel,
    times: Sequence[float] | None,
    observables: Any = ("tau_x", "tau_y", "tau_z"),
    *,
    central_state: Any = "up",
    bath_bloch: Any = None,
    tolerance: float = 1e-8,
    **options: Any,
) -> tuple[Trajectory, Trajectory]:
    r"""Return the limit N = ∞ and the coefficient of 1/N of expectation values.

    :math:`⟨O⟩_N = ⟨O⟩_∞ + c/N + O(N^{-2})`: the first trajectory is ⟨O⟩_∞, the second c. Together they are
    the corrected emergent theory, see `corrected`.

    Parameters
    ----------
    model : CentralSpinModel or CollectiveModel
        The problem; its N is ignored. The limit must exist: z = ½ with ⟨σ±⟩ = 0 in the bath, or z ≥ 1,
        and 2z must be an integer. Of a `CollectiveModel` with several classes N counts all sites, and every
        class keeps the share of them that its `count` gives it.
    times : sequence of float, or None
        Increasing times ≥ 0; None expands the stationary state.
    observables, central_state, bath_bloch, tolerance
        As for `evolve`.
    **options
        `cut` and `memory_budget`, as for `evolve`.

    Returns
    -------
    limit, coefficient : Trajectory

    Raises
    ------
    ArgumentError
        If an argument is outside its domain, or if an observable approaches its limit more slowly than 1/N.
    """
    tolerance = check_tolerance(tolerance)
    options = check_options("symmetric", options)
    when: Any
    if abs(2 * model.scaling - round(2 * model.scaling)) > 1e-12:
        raise ArgumentError("scaling", "be a multiple of ½ for an expansion in N^{−1/2}", model.scaling)
    if isinstance(model, CollectiveModel):
        moments = check_collective(observables, "symmetric", central_state, bath_bloch)
        when = math.inf if times is None else increasing_times(times)
        (limit, half, first), details = _coefficients(
            _enlarged(model), times, list(moments.values()), tolerance, options
        )
        _refuse_slow(list(moments), half, tolerance)
        at_limit, coefficients = (dict(zip(moments, values.T, strict=True)) for values in (limit, first))
        return _pair(when, at_limit, coefficients, details)
    names = check_observables(observables, model)
    raw = needed_raw(names)
    problem = collective_model(model.replace(N=LARGE), central_state, bath_bloch)
    site_class = problem.classes[0]
    (limit, half, first), details = _coefficients(problem, times, as_moments(raw), tolerance, options)
    _refuse_slow([str(key) for key in raw], half, tolerance)
    when = math.inf if times is None else increasing_times(times)
    if times is None:
        r = site_class.stationary()
    else:
        r = site_class.reference_at(when) if site_class.moves() else site_class.reference()[None]
    base = raw_moments(raw, limit, r)
    infinite = model.replace(N=math.inf)
    at_limit = combine(names, base, infinite)
    # Every observable is a polynomial in the raw moments: its derivative by a complex step is exact.
    step = 1e-30
    stepped = {key: base.values[key] + 1j * step * first[..., i] for i, key in enumerate(raw)}
    derivative = combine(names, RawMoments(stepped, base.about), infinite)
    coefficients = {name: np.imag(value) / step for name, value in derivative.items()}
    return _pair(when, at_limit, coefficients, details)


def _pair(
    when: Any, limit: dict[str, Any], coefficients: dict[str, Any], details: dict[str, Any]
) -> tuple[Trajectory, Trajectory]:
    if np.ndim(when) == 0:  # stationary
        limit = {name: float(np.real(v)) for name, v in limit.items()}
        coefficients = {name: float(v) for name, v in coefficients.items()}
    return Trajectory(when, limit, "expansion", details), Trajectory(when, coefficients, "expansion", details)


def _enlarged(model: CollectiveModel) -> CollectiveModel:
    """The same model with so many sites that no cut reaches their number."""
    sites = (model.sites,) if isinstance(model.sites, Sites) else tuple(model.sites)
    counts = [1 if s.count == math.inf else s.count for s in sites]
    factor = math.ceil(LARGE / min(counts))
    return replace(model, sites=[replace(s, count=factor * n) for s, n in zip(sites, counts, strict=True)])


def _coefficients(
    problem: CollectiveModel,
    times: Any,
    moments: Sequence[Moment],
    tolerance: float,
    options: dict[str, Any],
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Coefficients of N^0, N^{−1/2} and N^{−1} of moments, in time or at stationarity."""
    if times is None:
        values, details = stationary_moments(problem, moments, tolerance, orders=ORDERS, **options)
    else:
        values, details = evolve_moments(
            problem, increasing_times(times), moments, tolerance, orders=ORDERS, **options
        )
    return np.split(values, len(ORDERS), axis=-1), details


def _refuse_slow(names: Sequence[str], half: np.ndarray, tolerance: float) -> None:
    slow = [name for i, name in enumerate(names) if np.abs(half[..., i]).max() > ABSENT * tolerance]
    if slow:
        raise ArgumentError(
            "observables", "approach their limits as 1/N", f"built on {', '.join(slow)}, which goes as 1/√N"
        )


def corrected(limit: Trajectory, coefficient: Trajectory, N: float) -> Trajectory:
    """The corrected emergent theory at bath size N: limit + coefficient/N, with an error of order 1/N²."""
    values = {name: limit[name] + coefficient[name] / N for name in limit}
    return Trajectory(limit.times, values, "corrected emergent theory", {"N": N, **limit.details})
