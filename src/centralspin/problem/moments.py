r"""What is read out: moments of the central system and of collective operators of the sites.

Every method returns moments :math:`⟨A (X − c)^k⟩` about a value c of its own choice, with
:math:`X = N^{-s} \sum_k B^{(k)}`. What a caller asks for, about zero, about the reference or about the mean, follows by
the binomial theorem; that arithmetic is here, once, also for values that are series in :math:`N^{-1/2}`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .checks import (
    LARGEST_NUMBER,
    integer,
    is_hermitian,
    is_operator,
    real_number,
    sequence,
    short,
    square_matrix,
)

ABOUT = ("zero", "reference", "mean")
#: Rows of higher moments have no digits left.
LARGEST_POWER = 40
#: Round-off of a moment that is added up, relative to its terms, each of which has gone through many operations.
ROUND_OFF = 32 * float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class Moment:
    r"""The expectation value :math:`⟨A ⊗ (N^{-s} \sum_k B^{(k)} − c)^p⟩`, N being the number of all sites.

    Parameters
    ----------
    central : operator, optional
        A, on the central system; None is the identity.
    site : operator, sequence or mapping of operators, optional
        B, on one site of the class `site_class`. A sequence has one operator (or None) for every class of sites, a
        mapping names the classes by number; the sum then runs over all of them.
    power : int, optional
        p; 1 if `site` is given, 0 otherwise.
    scaling : float
        s.
    site_class : int
        Which class of sites a single B belongs to.
    about : {"reference", "zero", "mean"}
        c: the value that the sites would give without the central system, 0, or the mean value of the sum itself.

    Notes
    -----
    The value is real if A and B are Hermitian (and commute, as they act on different systems), complex otherwise.
    Operators may be NumPy arrays, nested lists or operators of QuTiP.

    Examples
    --------
    :math:`⟨τ_x S_x⟩/\sqrt N`, and the variance of :math:`S_z/\sqrt N`:

    >>> from centralspin import PAULI, CentralSpinModel, Moment, evolve
    >>> x, _, z = PAULI
    >>> asked = {"xx": Moment(central=x, site=x), "variance": Moment(site=z, power=2, about="mean")}
    >>> found = evolve(CentralSpinModel.figure_2(N=80), [0, 1], asked)
    >>> found["xx"]
    array([0.       , 0.1128405])
    >>> found["variance"][0]
    0.5555556
    """

    central: Any = None
    site: Any = None
    power: int | None = None
    scaling: float = 0.5
    site_class: int = 0
    about: str = "reference"
    #: B by class, in the order of the classes.
    operators: dict[int, np.ndarray] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        if self.central is not None:
            set_(self, "central", square_matrix("central", self.central))
        set_(self, "site_class", integer("site_class", self.site_class))
        given: dict[Any, Any] = {}
        if self.site is not None and is_operator(self.site):
            given = {self.site_class: self.site}
        elif isinstance(self.site, Mapping):
            given = dict(self.site)
        elif self.site is not None:
            given = dict(enumerate(sequence("site", self.site)))
        operators = {
            integer("site", index): square_matrix("site", B) for index, B in given.items() if B is not None
        }
        set_(self, "operators", dict(sorted(operators.items())))
        power = (
            (1 if operators else 0)
            if self.power is None
            else integer("power", self.power, maximum=LARGEST_POWER)
        )
        if power and not operators:
            raise ArgumentError("site", "be given for a `power` above 0", short(self.site))
        set_(self, "power", power)
        set_(self, "scaling", real_number("scaling", self.scaling))
        if not isinstance(self.about, str) or self.about not in ABOUT:
            raise ArgumentError("about", f"be among {', '.join(ABOUT)}", short(self.about))

    @property
    def hermitian(self) -> bool:
        """Whether the value is real."""
        matrices = [] if self.central is None else [self.central]
        matrices += list(self.operators.values()) if self.power else []
        return all(is_hermitian(matrix) for matrix in matrices)

    def check(self, central: int, sites: Sequence[int], size: float) -> None:
        """Refuse operators that do not fit a central system and sites of these dimensions, or that are too large."""
        if self.central is not None and len(self.central) != central:
            raise ArgumentError("central", f"be {central}×{central}", f"of shape {self.central.shape}")
        for index, B in self.operators.items():
            if index >= len(sites):
                raise ArgumentError(
                    "site", f"belong to one of the {len(sites)} classes of sites", f"of class {index}"
                )
            if len(B) != sites[index]:
                raise ArgumentError("site", f"be {sites[index]}×{sites[index]}", f"of shape {B.shape}")
        digits = 0.0 if self.central is None else _digits(self.central)
        if self.power:  # fluctuations of all sites together
            of_size = (0.5 - self.scaling) * math.log10(size) if size < math.inf else 0.0
            digits += self.power * (max(map(_digits, self.operators.values())) + max(of_size, 0.0))
        if digits > math.log10(LARGEST_NUMBER):
            raise ArgumentError(
                "observables", f"be of numbers up to {LARGEST_NUMBER:g}", f"one up to 10^{digits:.0f}"
            )

    def key(self) -> Any:
        """What two moments with the same value share, `about` left aside."""
        bath = (
            (self.scaling, tuple((i, B.tobytes()) for i, B in self.operators.items())) if self.power else ()
        )
        return None if self.central is None else self.central.tobytes(), self.power, bath


def _digits(operator: np.ndarray) -> float:
    return math.log10(max(float(np.abs(operator).max()), 1.0))


#: The key of the trace.
TRACE = Moment().key()


@dataclass(frozen=True, eq=False)
class Reading:
    """What a method returns: moments about a value of its own choice.

    Attributes
    ----------
    values : ndarray, shape (…, moments)
        ⟨A (X − c)^p⟩ in time or at stationarity, in the order of the moments that were asked for.
    error : float, ndarray or None
        Estimated absolute error, truncation and integration, of all values or of each; None where a method has no
        estimate.
    details : dict
        What the method reports of itself.
    state : object
        What `State` is made of, where the method can continue from it.
    method : str
        The method, where it is another one than was asked for.
    """

    values: np.ndarray
    error: Any = None
    details: dict[str, Any] = field(default_factory=dict)
    state: Any = None
    method: str = ""


class Arithmetic:
    """From the moments of a method to those that were asked for.

    Values are series in N^{−1/2} along their first axis, of length 1 for plain values.

    Parameters
    ----------
    basic : sequence of Moment
        What the method was asked for.
    values : ndarray, shape (orders, …, moments)
        Its answer.
    about : str
        About what it is.
    shift : callable
        For a moment, c of "reference" as a series of the shape of one value; raises where it is infinite.
    hermitian : bool
        Whether the state is, so that moments of Hermitian operators are real.
    mean : callable, optional
        For a moment, the mean of its sum as a series, where it is not that of the values: these may belong to what
        operators have made of a state.
    errors : float or ndarray
        Those of the values, or one for all.
    """

    def __init__(
        self,
        basic: Sequence[Moment],
        values: np.ndarray,
        about: str,
        shift: Any,
        hermitian: bool = True,
        mean: Any = None,
        errors: Any = 0.0,
    ) -> None:
        self._about, self._shift, self._hermitian = about, shift, hermitian
        self._mean, self._elsewhere = mean or self._own_mean, mean is not None
        self._distances: dict[Any, np.ndarray] = {}
        self._values = {moment.key(): values[..., i] for i, moment in enumerate(basic)}
        #: The largest error of a value.
        self.largest = float(np.max(errors, initial=0))
        errors = np.broadcast_to(errors, values.shape)
        self._errors = {moment.key(): errors[..., i] for i, moment in enumerate(basic)}
        self._one = np.zeros_like(values[..., 0])
        self._one[0] = 1
        #: 1, unless the state has lost or won some of it.
        self._trace = self._values.get(TRACE, self._one)

    @np.errstate(over="ignore", invalid="ignore")
    def __call__(self, moment: Moment) -> np.ndarray:
        """The value of a moment, shape (orders, …), real where the moment is."""
        found = self._sum(moment, moment.power)
        if not np.isfinite(found).all():
            raise ArgumentError(
                "observables", "be of numbers that floating point can hold", "one of larger ones"
            )
        return np.real(found) if moment.hermitian and self._hermitian else found

    @np.errstate(over="ignore", invalid="ignore")
    def error(self, moment: Moment) -> np.ndarray:
        """The error of a value, shape (orders, …), from those of the moments behind it."""
        p = moment.power or 0
        total = sum(product(np.abs(factor), self._error(key)) for factor, key in self._terms(moment, p))
        if p and moment.about == "mean" != self._about:  # an error of the mean shifts all of them
            total = total + product(p * np.abs(self._sum(moment, p - 1)), self._error_of_mean(moment))
        return np.asarray(total)

    @np.errstate(over="ignore", invalid="ignore")
    def round_off(self, moment: Moment) -> np.ndarray:
        """The round-off of a value, shape (orders, …): where terms cancel little else is left of it."""
        sizes = [product(np.abs(f), np.abs(self._value(key))) for f, key in self._terms(moment, moment.power)]
        return np.asarray(ROUND_OFF * np.sum(sizes, axis=0))

    def _sum(self, moment: Moment, power: int | None) -> np.ndarray:
        """The value of a moment of another power."""
        terms = [product(factor, self._value(key)) for factor, key in self._terms(moment, power)]
        return np.asarray(np.sum(terms, axis=0))

    def _terms(self, moment: Moment, power: int | None) -> list[tuple[np.ndarray, Any]]:
        """A moment of some power as a sum of products of factors and moments of the method, these by their keys."""
        p = power or 0
        central, _, bath = moment.key()
        if p == 0 or moment.about == self._about:
            return [(self._one, (central, p, bath if p else ()))]
        distance, factor, terms = self._distance(moment), self._one, []
        for k in range(p, -1, -1):  # Σ_k binom(p, k) distance^{p−k} ⟨A (X − c)^k⟩
            terms.append((math.comb(p, k) * factor, (central, k, bath if k else ())))
            factor = product(factor, distance)
        return terms

    def _distance(self, moment: Moment) -> np.ndarray:
        """From what a moment is about to what those of the method are about."""
        if (key := (moment.key()[-1], moment.about)) not in self._distances:
            about = self._mean(moment) if moment.about == "mean" else self._shift(moment)
            self._distances[key] = about if moment.about == "zero" else -about
        return self._distances[key]

    def _own_mean(self, moment: Moment) -> np.ndarray:
        return self._value(_key_of_mean(moment)) / self._trace[0]

    def _error_of_mean(self, moment: Moment) -> np.ndarray:
        if self._elsewhere:  # known as well as the values
            return np.asarray(np.max(list(self._errors.values()), axis=0))
        of_trace = product(np.abs(self._distance(moment)), self._error(TRACE))
        return np.asarray((self._error(_key_of_mean(moment)) + of_trace) / np.abs(self._trace[0]))

    def _value(self, key: Any) -> np.ndarray:
        return self._trace if key == TRACE else self._values[key]

    def _error(self, key: Any) -> np.ndarray:
        """The error of a moment of the method. A trace of 1 has none."""
        return np.zeros(self._one.shape) if key == TRACE and self._trace is self._one else self._errors[key]


def _key_of_mean(moment: Moment) -> Any:
    """The key of the mean of a moment's sum."""
    return None, 1, moment.key()[-1]


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Multiply two series along their first axis, up to its length."""
    if len(a) == 1:
        return a * b
    return np.array([sum(a[i] * b[k - i] for i in range(k + 1)) for k in range(len(a))])


def needed(moments: Sequence[Moment], about: str) -> list[Moment]:
    """The basic moments that a method, whose own are about `about`, must give for others, without repetition."""
    parts: list[Moment] = []
    for m in moments:
        if not m.power or m.about == about:
            parts.append(m)
            continue
        parts += [replace(m, power=k) for k in range(m.power + 1) if k or m.central is not None]
        if m.about == "mean":
            parts.append(replace(m, central=None, power=1))
    return list({part.key(): part for part in parts}.values())
