r"""The problem as every method gets it: checked, general, and without units.

All rates and frequencies are divided by one of them, all times multiplied by it, so that no threshold of any method
depends on the unit in which a model was written down. The unit is a power of 4, which makes the division exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from ..errors import ArgumentError
from .checks import real_number
from .collective import CollectiveModel, Correlated
from .moments import Moment, Reading

#: Products of rates must stay within what a floating-point number can hold.
LARGEST_RATE = 1e100
#: A factor of a term: a number, or a function of the dimensionless time.
Factor = float | Callable[[float], float]
#: An operator with its factor: that of a Hamiltonian itself, that of a jump's dissipator.
Term = tuple[np.ndarray, Factor]


@dataclass(frozen=True)
class Function:
    """A factor that changes in time, checked whenever it is evaluated."""

    name: str
    function: Callable[[float], Any]
    unit: float

    def __call__(self, time: float) -> float:
        """Its value at a dimensionless time."""
        try:
            value = self.function(time / self.unit)
        except TypeError as error:
            raise ArgumentError(
                self.name, "be a number or a function of time", f"one that fails: {error}"
            ) from error
        return real_number(self.name, value)


@dataclass(frozen=True)
class Later:
    """A factor whose clock started earlier, by a dimensionless time."""

    factor: Callable[[float], float]
    by: float

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
    """

    central: System
    classes: tuple[SiteClass, ...]
    scaling: float
    unit: float
    size: float

    @property
    def constant(self) -> bool:
        """Whether no part changes in time explicitly."""
        factors = [f for c in self.classes for *_, f in c.couplings]
        return (
            self.central.constant
            and all(c.constant for c in self.classes)
            and not any(map(callable, factors))
        )

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
        return replace(self, classes=tuple(replace(c, initial=None) for c in self.classes))


def dimensionless(model: CollectiveModel) -> Problem:
    """Make a checked model the general problem."""
    size = sum(s.count for s in model.sites)
    sizes = [_size(model.hamiltonian), *(_size(J) ** 2 for J in model.jumps)]
    for s in model.sites:
        rates = s.rates or [None] * len(s.jumps)
        sizes.append(_size(s.hamiltonian))
        sizes += [
            _size(J) ** 2 * (1.0 if rate is None or callable(rate) else abs(rate))
            for J, rate in zip(s.jumps, rates, strict=True)
        ]
        sizes += [_size(A) * _size(B) for A, B in (*s.couplings, *s.interactions)]
    largest = max(sizes)
    if not largest <= LARGEST_RATE:
        raise ArgumentError(
            "model", f"have no rate above {LARGEST_RATE:g} (take another unit of time)", f"with {largest:g}"
        )
    unit = 4.0 ** round(math.log(largest, 4)) if largest > 0 else 1.0
    root = math.sqrt(unit)
    central = System(
        len(model.hamiltonian),
        ((model.hamiltonian / unit, 1.0),),
        tuple((J / root, 1.0) for J in model.jumps),
        None if isinstance(model.initial, Correlated) else model.initial,
    )
    classes = []
    for s, share in zip(model.sites, _shares(model), strict=True):
        rates = s.rates or [None] * len(s.jumps)
        factors = [
            1.0 if rate is None else Function(f"rates[{i}]", rate, unit) if callable(rate) else rate
            for i, rate in enumerate(rates)
        ]
        classes.append(
            SiteClass(
                s.dimension,
                ((s.hamiltonian / unit, 1.0),),
                tuple((J / root, factor) for J, factor in zip(s.jumps, factors, strict=True)),
                s.initial,
                s.count,
                share,
                tuple((A / unit, B, 1.0) for A, B in s.couplings),
                tuple((A / unit, B) for A, B in s.interactions),
            )
        )
    return Problem(central, tuple(classes), model.scaling, unit, size)


def _size(operator: np.ndarray) -> float:
    return float(np.abs(operator).max())


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
    if rest < -1e-12 or (len(given) == len(sites) and abs(rest) > 1e-12):
        raise ArgumentError("share", "add up to 1 over all infinite classes", f"{sum(given):g} in all")
    open_ = len(sites) - len(given)
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
    """

    problem: Problem
    times: np.ndarray | None
    moments: tuple[Moment, ...]
    tolerance: float
    options: Mapping[str, Any] = field(default_factory=dict)
    progress: Any = None
    start: Any = None


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
