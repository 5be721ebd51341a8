r"""The problem as every method gets it: checked, general, and without units.

All rates and frequencies are divided by one of them, all times multiplied by it, so that no threshold of any method
depends on the unit in which a model was written down. The unit is a power of 4, which makes the division exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from ..errors import ArgumentError
from .collective import LEAST_SHARE, CollectiveModel, Correlated
from .moments import Moment, Reading
from .terms import Factor as Factor
from .terms import Function, split

#: Products of rates must stay within what a floating-point number can hold.
LARGEST_RATE = 1e100
#: An operator with its factor: that of a Hamiltonian itself, that of a jump's dissipator.
Term = tuple[np.ndarray, Factor]
#: A function of time is sampled so many times to find out how large it is.
SAMPLES = 64


@dataclass(frozen=True)
class Later:
    """A factor whose clock started earlier, by a dimensionless time."""

    factor: Any
    by: float

    @property
    def name(self) -> str:
        """That of the argument which holds the factor."""
        return str(self.factor.name)

    def __call__(self, time: float) -> float:
        """Its value at a time of the new clock."""
        return self.factor(time + self.by)


@dataclass(frozen=True, eq=False)
class System:
    """The central system, or one site: Hamiltonian Σ f H, dissipators Σ f D[J], initial state."""

    dimension: int
    hamiltonian: tuple[Term, ...]
    jumps: tuple[Term, ...]
    initial: np.ndarray | None

    @property
    def constant(self) -> bool:
        """Whether no factor changes in time."""
        return not any(callable(f) for _, f in (*self.hamiltonian, *self.jumps))


@dataclass(frozen=True, eq=False)
class SiteClass(System):
    """A class of identical sites.

    Attributes
    ----------
    count, share : float
        N_c and N_c/N.
    couplings : tuple of (A, B, factor)
        Each adds f N^{−z} (A ⊗ Σ_k B^{(k)} + h.c.) to the Hamiltonian, without the h.c. if both are Hermitian.
    interactions : tuple of (A, B)
        Each adds the Hermitian part of N_c^{−1} Σ_k A^{(k)} Σ_l B^{(l)}.
    """

    count: float
    share: float
    couplings: tuple[tuple[np.ndarray, np.ndarray, Factor], ...]
    interactions: tuple[tuple[np.ndarray, np.ndarray], ...]


@dataclass(frozen=True, eq=False)
class Problem:
    """A central system, classes of sites, and the exponent z of their couplings; rates in units of `unit`.

    Attributes
    ----------
    size : float
        The number N of all sites.
    collective_jumps : tuple of (A, {class: B})
        Each is a jump operator N^{−1/2} A ⊗ Σ_c Σ_k B_c^{(k)}.
    at_rest : bool
        Whether a stationary state is asked for, around sites that stand still.
    """

    central: System
    classes: tuple[SiteClass, ...]
    scaling: float
    unit: float
    size: float
    collective_jumps: tuple[tuple[np.ndarray, dict[int, np.ndarray]], ...] = ()
    at_rest: bool = False

    @property
    def functions(self) -> list[Any]:
        """All functions of time."""
        systems = (self.central, *self.classes)
        factors = [f for system in systems for _, f in (*system.hamiltonian, *system.jumps)]
        factors += [f for site in self.classes for *_, f in site.couplings]
        return [f for f in factors if callable(f)]

    @property
    def constant(self) -> bool:
        """Whether no part changes in time explicitly."""
        return not self.functions

    def never_rests(self) -> ArgumentError | None:
        """Why there is no stationary state, if a part changes in time."""
        for function in self.functions:
            name, must = (
                function.name.partition("[")[0],
                "be constant in time where a stationary state is asked for",
            )
            return ArgumentError(name, must, "a function of time")
        return None

    def later(self, by: float) -> Problem:
        """The same problem with a clock that starts at a later, dimensionless time."""
        if self.constant or by == 0:
            return self

        def moved(*term: Any) -> Any:
            return *term[:-1], Later(term[-1], by) if callable(term[-1]) else term[-1]

        def of(system: Any) -> dict[str, Any]:
            return {
                "hamiltonian": tuple(moved(*term) for term in system.hamiltonian),
                "jumps": tuple(moved(*term) for term in system.jumps),
            }

        classes = (
            replace(c, **of(c), couplings=tuple(moved(*coupling) for coupling in c.couplings))
            for c in self.classes
        )
        return replace(self, central=replace(self.central, **of(self.central)), classes=tuple(classes))

    def stationary(self) -> Problem:
        """The same problem with every site started in its own stationary state."""
        return replace(self, classes=tuple(replace(c, initial=None) for c in self.classes), at_rest=True)


def dimensionless(model: CollectiveModel, span: Sequence[float] | np.ndarray = (0.0,)) -> Problem:
    """Make a checked model the general problem; between the times of `span` functions of time matter."""
    size = sum(s.count for s in model.sites)

    times = np.unique(np.linspace(span[0], span[-1], SAMPLES)).tolist()

    def strength(f: Factor) -> float:
        return max(abs(f(t)) for t in times) if callable(f) else abs(f)

    sizes = []
    for part in (model, *model.sites):
        hamiltonian, jumps = _terms(part)
        sizes += [_size(H) * strength(f) for H, f in hamiltonian]
        sizes += [_squared(_size(J)) * strength(f) for J, f in jumps]
    for s in model.sites:
        sizes += [_size(A) * _size(B) * strength(f) for A, B, f in _couplings(s)]
        sizes += [_size(A) * _size(B) for A, B in s.interactions]
    one, given = np.eye(model.dimension, dtype=complex), list[Any](model.collective_jumps)
    emitted = [
        (one if A is None else A, {c: B for c, B in enumerate(Bs) if B is not None}) for A, Bs in given
    ]
    sizes += [_squared(_size(A) * _size(B)) for A, by_class in emitted for B in by_class.values()]
    largest = max(sizes)
    if not largest <= LARGEST_RATE:
        raise ArgumentError(
            "model", f"have no rate above {LARGEST_RATE:g} (take another unit of time)", f"with {largest:g}"
        )
    unit = 4.0 ** round(math.log(largest, 4)) if largest > 0 else 1.0
    root = math.sqrt(unit)

    def system(part: Any) -> tuple[int, tuple[Term, ...], tuple[Term, ...], Any]:
        hamiltonian, jumps = _terms(part, unit)
        return (
            part.dimension,
            tuple((H / unit, f) for H, f in hamiltonian),
            tuple((J / root, f) for J, f in jumps),
            None if isinstance(part.initial, Correlated) else part.initial,
        )

    classes = tuple(
        SiteClass(
            *system(s),
            s.count,
            share,
            tuple((A / unit, B, f) for A, B, f in _couplings(s, unit)),
            tuple((A / unit, B) for A, B in s.interactions),
        )
        for s, share in zip(model.sites, _shares(model), strict=True)
    )
    collective = tuple((A / root, by_class) for A, by_class in emitted)
    return Problem(System(*system(model)), classes, model.scaling, unit, size, collective)


def _terms(part: Any, unit: float = 1.0) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
    """The operators of a Hamiltonian and of jumps with their factors, times being in units of 1/`unit`."""
    rates = part.rates or [None] * len(part.jumps)
    return (
        tuple(
            (H, _factor(f"hamiltonian[{i}][1]", f, unit)) for i, (H, f) in enumerate(split(part.hamiltonian))
        ),
        tuple(
            (J, _factor(f"rates[{i}]", f, unit))
            for i, (J, f) in enumerate(zip(part.jumps, rates, strict=True))
        ),
    )


def _couplings(site: Any, unit: float = 1.0) -> tuple[tuple[np.ndarray, np.ndarray, Factor], ...]:
    return tuple(
        (A, B, _factor(f"couplings[{i}][2]", f[0] if f else None, unit))
        for i, (A, B, *f) in enumerate(site.couplings)
    )


def _factor(name: str, factor: Any, unit: float) -> Factor:
    if factor is None:
        return 1.0
    if isinstance(factor, Function):  # one that knows its name
        name, factor = factor.name, factor.function
    return Function(name, factor, unit) if callable(factor) else float(factor)


def _size(operator: np.ndarray) -> float:
    return float(np.abs(operator).max())


def _squared(size: float) -> float:
    return size * size  # where ** raises, this is infinite


def _shares(model: CollectiveModel) -> list[float]:
    """N_c/N of every class."""
    sites = model.sites
    size = sum(s.count for s in sites)
    if size < math.inf:
        return [s.count / size for s in sites]
    if any(s.count < math.inf for s in sites):
        raise ArgumentError(
            "count",
            "be infinite in all classes or in none (a few sites beside infinitely many belong to the central system)",
            ", ".join(str(s.count) for s in sites),
        )
    given = [s.share for s in sites if s.share is not None]
    rest = 1.0 - sum(given)
    open_ = len(sites) - len(given)
    if rest < -1e-12 or (not open_ and abs(rest) > 1e-12):
        raise ArgumentError("share", "add up to 1 over all infinite classes", f"{sum(given):g} in all")
    if open_ and rest < open_ * LEAST_SHARE:
        raise ArgumentError("share", "leave something to the classes without one", f"{sum(given):g} in all")
    return [s.share if s.share is not None else rest / open_ for s in sites]


# --- what a method is asked, and how it answers ---


@dataclass(frozen=True, eq=False)
class Task:
    """What a method is asked.

    Attributes
    ----------
    problem : Problem
    times : ndarray or None
        Increasing dimensionless times; None asks for the stationary state.
    moments : tuple of Moment
        What to read, about the value that the method's `ABOUT` names.
    tolerance : float
        The largest absolute error of a moment.
    options : mapping
        Those of the method's `OPTIONS` that were given.
    progress : object
        `progress.Progress`; a method tells it how far it is, and it may stop the method.
    start : object
        The state of an earlier run of the same method, where it is not a product of initial states.
    outgrown : float
        With more unknowns than these method "symmetric" leaves the task to another one, by an `OutgrownError`.
    multiplied : callable, optional
        From moments, shape (orders, …, moments), and errors of them to the factor by which the largest of these are
        multiplied in what is made of the moments, at least 1. A method that knows errors of small runs may aim by it.
    """

    problem: Problem
    times: np.ndarray | None
    moments: tuple[Moment, ...]
    tolerance: float
    options: Mapping[str, Any] = field(default_factory=dict)
    progress: Any = None
    start: Any = None
    outgrown: float = math.inf
    multiplied: Callable[[np.ndarray, np.ndarray], float] | None = None


class Method(Protocol):
    """What a method's module has."""

    #: About what its moments are: "zero", or "reference", the value of the sites without the central system.
    ABOUT: str
    #: Names of the options it knows.
    OPTIONS: frozenset[str]

    def refuses(self, task: Task) -> ArgumentError | None:
        """Say why the method cannot do a task, if so, before anything is computed."""

    def run(self, task: Task) -> Reading:
        """Do it."""
