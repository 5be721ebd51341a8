"""Method "symmetric": choose the cut of symmetric Liouville space, run, and show that the cut was enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import bmat, csr_matrix

from ..errors import ArgumentError, TruncationError
from ..numerics.stationary import StationarySolver
from ..numerics.stepping import evolve_linear, evolve_time_dependent, largest_step
from ..problem.central_spin import PAULI, CentralSpinModel
from ..problem.collective import CollectiveModel, Sites, collective_model
from ..problem.moments import Moment
from ..problem.observables import Raw, RawMoments
from . import dark_modes
from .dark_modes import RotatedGenerator, RotatedReadout
from .generator import Generator, mode_weights
from .readout import Readout
from .space import SymmetricSpace

#: Cuts grow by 4, or by this factor if that is more, until the estimated error meets the tolerance.
GROWTH = 1.2
#: The error of a cut is extrapolated from the last two changes, d₁ then d₂, as SAFETY d₂²/d₁ (never above d₂); a
#: d₁ above the values themselves comes from a cut that was useless, and is taken to be as large as they are.
SAFETY = 10
#: The first cut that is tried, in the fluctuation regime and where mean field holds; twice the highest moment
#: that is read out if that is more.
FIRST_CUT = {"fluctuations": 8, "mean field": 4}
#: Measured peak memory per unknown while assembling and stepping (generator, Taylor terms, temporaries).
BYTES_PER_UNKNOWN = 1500
#: Default for the memory that one run may take.
MEMORY_BUDGET = 2e9
#: A sparse LU factorisation fills in; it may use this many bytes per unknown and unit of cut.
LU_BYTES_PER_UNKNOWN = 800

AXES = {"x": PAULI[0], "y": PAULI[1], "z": PAULI[2]}


def evolve(
    model: CentralSpinModel,
    times: np.ndarray,
    raw: tuple[Raw, ...],
    central_state: Any,
    bath_bloch: Any,
    tolerance: float,
    **options: Any,
) -> tuple[RawMoments, dict[str, Any]]:
    """Raw moments in time by exact evolution in symmetric Liouville space."""
    problem = collective_model(model, central_state, bath_bloch)
    values, details = evolve_moments(problem, times, as_moments(raw), tolerance, **options)
    r = (
        problem.classes[0].reference_at(times)
        if problem.classes[0].moves()
        else problem.classes[0].reference()[None]
    )
    return raw_moments(raw, values, r), details


def steady_state(
    model: CentralSpinModel, raw: tuple[Raw, ...], tolerance: float, **options: Any
) -> tuple[RawMoments, dict[str, Any]]:
    """Raw moments at stationarity by one sparse solve in symmetric Liouville space."""
    problem = collective_model(model)
    values, details = stationary_moments(problem, as_moments(raw), tolerance, **options)
    return raw_moments(raw, values, problem.classes[0].reference()), details


def as_moments(raw: Sequence[Raw]) -> list[Moment]:
    """Write raw moments of the spin-½ model as moments of the general problem."""
    moments = []
    for kind, argument in raw:
        if kind == "tau":
            moments.append(Moment(central=AXES[argument]))
        else:
            axis, power, scaling = (argument, 1, 1.0) if kind == "m" else (kind, argument, 0.5)
            moments.append(Moment(site=AXES[axis], power=power, scaling=scaling))
    return moments


def raw_moments(raw: Sequence[Raw], values: np.ndarray, r: np.ndarray) -> RawMoments:
    """Name the values read about the reference states r, shape (…, 3)."""
    about = {axis: np.where(np.abs(r[..., i]) > 1e-14, r[..., i], 0.0) for i, axis in enumerate("xyz")}
    about = {axis: value[0] if value.shape == (1,) else value for axis, value in about.items()}
    result = {}
    for index, key in enumerate(raw):
        result[key] = values[..., index]
        if key[0] == "m":  # read about the reference; the convention is ⟨S_α⟩/N itself
            result[key] = result[key] + about[key[1]]
    return RawMoments(result, {"x": about["x"], "y": about["y"]})


def evolve_moments(
    model: CollectiveModel,
    times: np.ndarray,
    moments: Sequence[Moment],
    tolerance: float,
    cut: int | None = None,
    memory_budget: float = MEMORY_BUDGET,
    orders: Sequence[int | None] = (None,),
) -> tuple[np.ndarray, dict[str, Any]]:
    """Moments in time, shape (times, moments), and details; the cut grows until the tolerance is met.

    With `orders` = (0, 1, …, l) their coefficients of N^0, N^{−1/2}, …, N^{−l/2} one after the other.
    """

    def run(cut: int) -> tuple[np.ndarray, Generator]:
        generators = [_generator(model)(model, cut, order) for order in orders]
        return _propagate(generators, moments, times, tolerance), generators[0]

    return _converge(model, run, moments, tolerance, cut, memory_budget, BYTES_PER_UNKNOWN * len(orders))


def _generator(model: CollectiveModel) -> type[Generator]:
    """The representation that suits the model."""
    return RotatedGenerator if dark_modes.applies(model) else Generator


def _readouts(generators: Sequence[Generator], moments: Sequence[Moment]) -> list[Readout]:
    return [
        RotatedReadout(g, moments) if isinstance(g, RotatedGenerator) else Readout(g, moments)
        for g in generators
    ]


def _propagate(
    generators: list[Generator], moments: Sequence[Moment], times: np.ndarray, tolerance: float
) -> np.ndarray:
    """Moments in time, shape (times, orders · moments).

    One generator is stepped as it is. Several are the coefficients L_l of N^{−l/2}; then the coefficients of
    the state obey v̇_l = Σ_i L_{l−i} v_i, one block-triangular equation.
    """
    first = generators[0]
    readouts = _readouts(generators, moments)
    v = np.concatenate([first.initial(), np.zeros((len(generators) - 1) * first.size)])

    def rows(references: list[np.ndarray] | None = None) -> csr_matrix:
        return _triangular([readout.rows(references) for readout in readouts])

    if not first.moving:
        matrix = _triangular([generator.matrix() for generator in generators])
        return evolve_linear(matrix, v, times, rows(), tolerance)
    # The references obey their own equation; they are stepped together with the state they carry.
    splits = np.cumsum([len(v), *(len(r) for r in first.references)])[:-1]

    def derivative(time: float, y: np.ndarray) -> np.ndarray:
        state, *references = np.split(y, splits)
        moved = [c.velocity(r, time) for c, r in zip(first.model.classes, references, strict=True)]
        L = [generator.matrix(references, time) for generator in generators]
        v = np.split(state, len(L))
        changed = [sum(L[l - i] @ v[i] for i in range(l + 1)) for l in range(len(L))]
        return np.concatenate([*changed, *moved])

    values = []
    start = np.concatenate([v, *first.references])
    step = largest_step(times) if first.timed else math.inf
    for y in evolve_time_dependent(derivative, start, times, tolerance, step):
        state, *references = np.split(y, splits)
        values.append(rows(references) @ state)
    return np.array(values)


def _triangular(blocks: list[csr_matrix]) -> csr_matrix:
    """The block Toeplitz matrix with blocks[0] on the diagonal, blocks[1] below it, …."""
    if len(blocks) == 1:
        return blocks[0]
    count = len(blocks)
    grid = [[blocks[i - j] if i >= j else None for j in range(count)] for i in range(count)]
    return csr_matrix(bmat(grid, format="csr"))


def stationary_moments(
    model: CollectiveModel,
    moments: Sequence[Moment],
    tolerance: float,
    cut: int | None = None,
    memory_budget: float = MEMORY_BUDGET,
    orders: Sequence[int | None] = (None,),
) -> tuple[np.ndarray, dict[str, Any]]:
    """Moments at stationarity, shape (moments,), and details; `orders` as in `evolve_moments`."""
    if any(c.rates for c in model.classes):
        raise ArgumentError(
            "rates", "be constant in time where a stationary state is asked for", "a function"
        )
    sites = (model.sites,) if isinstance(model.sites, Sites) else model.sites
    model = replace(model, sites=[replace(s, initial=None) for s in sites])  # wherever it started
    if any(c.moves() for c in model.classes):
        raise ArgumentError(
            "interactions",
            "leave the stationary state of the sites alone where one is asked for",
            "moving it",
        )

    def run(cut: int) -> tuple[np.ndarray, Generator]:
        generators = [_generator(model)(model, cut, order) for order in orders]
        first = generators[0]
        matrices = [generator.matrix() for generator in generators]
        solver = StationarySolver(matrices[0], np.eye(1, first.size)[0], blocks=first.blocks())
        states = [solver.stationary()]
        for l in range(1, len(orders)):  # L_0 v_l = −Σ_{i<l} L_{l−i} v_i, without trace
            states.append(solver.solve(-sum(matrices[l - i] @ states[i] for i in range(l))))
        rows = _triangular([readout.rows() for readout in _readouts(generators, moments)])
        return rows @ np.concatenate(states), first

    bytes_per_unknown = BYTES_PER_UNKNOWN + LU_BYTES_PER_UNKNOWN * 10
    return _converge(model, run, moments, tolerance, cut, memory_budget, bytes_per_unknown)


def _converge(
    model: CollectiveModel,
    run: Callable[[int], tuple[np.ndarray, Generator]],
    moments: Sequence[Moment],
    tolerance: float,
    fixed_cut: int | None,
    memory_budget: float,
    bytes_per_unknown: float,
) -> tuple[np.ndarray, dict[str, Any]]:
    if _generator(model) is RotatedGenerator:
        weights, sizes = [dark_modes.rotation(model)[1]], [math.inf]
    else:
        weights, sizes = mode_weights(model)[0], [c.count for c in model.classes]
    complete = SymmetricSpace.complete_cut(weights, sizes)
    highest = max((m.power for m in moments), default=0)
    first = FIRST_CUT["mean field" if model.scaling >= 1 else "fluctuations"]
    cut = first if fixed_cut is None else fixed_cut
    cut = int(min(max(cut, 2 * highest if fixed_cut is None else highest), complete))
    previous, change, error = None, math.inf, math.inf
    while True:
        unknowns = count_states(weights, sizes, cut) * model.central_basis.size
        needed = unknowns * bytes_per_unknown
        if needed > memory_budget:
            which = "first" if previous is None else "next"
            miss = "" if error == math.inf else f", and the cut before it is off by about {error:.2g}"
            raise TruncationError(
                f"The tolerance {tolerance:g} is not met within the memory budget of {memory_budget / 1e9:.3g} GB: "
                f"the {which} cut {cut} needs about {needed / 1e9:.3g} GB ({unknowns:,} unknowns){miss}."
            )
        values, generator = run(cut)
        exact = bool(cut >= complete)
        if previous is not None:
            before, change = change, float(np.abs(values - previous).max())
            if math.isfinite(before):
                before = min(before, float(np.abs(values).max()))
            shrinks = math.isfinite(before) and before > 0
            error = change * min(1.0, SAFETY * change / before) if shrinks else change
        if exact:
            error = 0.0
        if exact or error <= tolerance or fixed_cut is not None:
            details = {"cut": cut, "unknowns": generator.size, "truncation_error": error, "exact": exact}
            return values, details
        previous = values
        cut = int(min(max(cut + 4, math.ceil(cut * GROWTH)), complete))


def count_states(weights: Sequence[np.ndarray], sizes: Sequence[float], cut: int) -> int:
    """Number of occupations with Σ w_i n_i ≤ cut and |n| of every class ≤ its size, counted without listing them."""
    total = np.eye(1, cut + 1)[0]
    for of_class, size in zip(weights, sizes, strict=True):
        ways = np.zeros((int(min(size, cut)) + 1, cut + 1))  # by occupation and weighted occupation
        ways[0, 0] = 1
        for weight in (w for w in of_class if 0 < w <= cut):
            for occupation in range(1, len(ways)):
                ways[occupation, weight:] += ways[occupation - 1, : cut + 1 - weight]
        total = np.convolve(total, ways.sum(axis=0))[: cut + 1]
    return int(total.sum())
