"""Checks of arguments: each returns a clean value or refuses the given one in a sentence."""

from __future__ import annotations

import functools
import inspect
import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import numpy as np
from scipy.sparse import issparse

from ..errors import ArgumentError

#: By how much an operator that must be Hermitian, or a state, may be off, relative to its size.
ROUND_OFF = 1e-9
#: Larger numbers overflow in a product or two; arrays of numbers are refused beyond it.
LARGEST_NUMBER = 1e100
#: Above this size of a bath nothing depends on it any more; larger integers have no floating-point value.
LARGEST_COUNT = 1e300

#: What reading numbers out of an argument may raise.
UNREADABLE = (TypeError, ValueError, OverflowError)
#: From the name of an argument and its value to a clean value, or a refusal.
Rule = Callable[[str, Any], Any]
P = ParamSpec("P")
R = TypeVar("R")


def checked(**rules: Rule) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function: arguments of these names are checked, or replaced by clean ones, before it is called."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            given = signature.bind(*args, **kwargs)
            given.apply_defaults()
            for name, rule in rules.items():
                given.arguments[name] = rule(name, given.arguments[name])
            return function(*given.args, **given.kwargs)

        return call

    return decorate


def optional(rule: Rule) -> Rule:
    """A rule that lets None pass."""
    return lambda name, value: None if value is None else rule(name, value)


def whole(minimum: int = 0, maximum: int = 10**6) -> Rule:
    """The rule for an integer."""
    return functools.partial(integer, minimum=minimum, maximum=maximum)


def number(minimum: float, maximum: float) -> Rule:
    """The rule for a finite real number."""
    return functools.partial(real_number, minimum=minimum, maximum=maximum)


def short(value: Any) -> str:
    """Write a refused value so that the sentence stays one line."""
    try:
        text = " ".join(repr(value).split())
    except Exception:
        text = f"a {type(value).__name__}"
    return text if len(text) <= 120 else f"{text[:100]} … ({type(value).__name__})"


def is_truth(value: Any) -> bool:
    """Whether a value is True or False."""
    return isinstance(value, (bool, np.bool_))


def is_real(value: Any) -> bool:
    """Whether a value is one real number, no truth value and no length of time."""
    return isinstance(value, numbers.Real) and not is_truth(value) and not isinstance(value, np.timedelta64)


def plain(value: Any) -> Any:
    """A number of NumPy, or an array without axes, as one of Python, which can be compared with any other."""
    one = isinstance(value, (np.number, np.ndarray)) and value.ndim == 0 and value.dtype.kind in "iufcO"
    return value.item() if one and not np.ma.is_masked(value) else value


def real_number(name: str, value: Any, *, minimum: float = -math.inf, maximum: float = math.inf) -> float:
    """Return `value` as a finite float between `minimum` and `maximum`."""
    kind = "be a finite real number"
    if minimum > -math.inf:
        kind = f"be a finite number not below {minimum:g}"
    if maximum < math.inf:
        kind = f"be between {minimum:g} and {maximum:g}"
    given = plain(value)
    if not is_real(given):
        raise ArgumentError(name, kind, short(value))
    try:
        number = float(given)
    except OverflowError:
        number = math.inf
    if not (math.isfinite(number) and minimum <= number <= maximum):
        raise ArgumentError(name, kind, short(value))
    return number


def integer(name: str, value: Any, *, minimum: int = 0, maximum: int = 10**6) -> int:
    """Return `value` as an integer between `minimum` and `maximum`."""
    given = plain(value)
    if not is_real(given) or not minimum <= given <= maximum or given != int(given):
        raise ArgumentError(name, f"be an integer from {minimum} to {maximum:,}", short(value))
    return int(given)


def budget(name: str, value: Any) -> float:
    """Return `value` as a number from 0 on, or `math.inf`."""
    given = plain(value)
    return math.inf if is_real(given) and given == math.inf else real_number(name, value, minimum=0)


def site_count(name: str, value: Any) -> float:
    """Return a number of sites: a positive integer, or `math.inf`."""
    given = plain(value)
    if is_real(given) and given == math.inf:
        return math.inf
    whole = is_real(given) and given == given and given >= 1 and given == int(given)
    if not whole:
        raise ArgumentError(name, "be a positive integer or math.inf", short(value))
    if given > LARGEST_COUNT:
        raise ArgumentError(
            name, f"be at most {LARGEST_COUNT:g} or math.inf", f"about 10^{len(str(int(given))) - 1}"
        )
    return int(given)


def real_vector(name: str, value: Any) -> tuple[float, float, float]:
    """Return `value` as three finite floats."""
    try:
        x, y, z = value
        return real_number(name, x), real_number(name, y), real_number(name, z)
    except UNREADABLE:
        raise ArgumentError(name, "be three finite real numbers (x, y, z)", short(value)) from None


def is_qobj(value: Any) -> bool:
    """Whether a value is an operator, ket or bra of QuTiP."""
    return callable(getattr(value, "full", None))


def entries(value: Any) -> np.ndarray:
    """The numbers of an operator of QuTiP, a sparse matrix, an array or nested lists; `UNREADABLE` if it has others."""
    if is_qobj(value):
        value = value.full()
    elif issparse(value):
        value = value.toarray()
    array = np.asarray(value)
    if array.dtype.kind == "O" and array.size:  # fractions and large integers
        if not all(isinstance(x, numbers.Complex) for x in array.flat):
            raise TypeError
        array = array.astype(float if all(isinstance(x, numbers.Real) for x in array.flat) else complex)
    if array.dtype.kind not in "biufc" or np.ma.is_masked(value):
        raise TypeError
    return array


def is_operator(value: Any) -> bool:
    """Whether a value looks like one matrix: of QuTiP, sparse, a two-dimensional array, or nested lists."""
    if is_qobj(value) or (issparse(value) and value.ndim == 2):
        return True
    try:
        return entries(value).ndim == 2
    except UNREADABLE:
        return False


def is_vector(value: Any) -> bool:
    """Whether a value looks like one vector of numbers."""
    try:
        return not is_qobj(value) and entries(value).ndim == 1
    except UNREADABLE:
        return False


def square_matrix(name: str, value: Any, dimension: int | None = None) -> np.ndarray:
    """Return `value`, an array, a sparse matrix or a QuTiP operator, as a finite square complex matrix."""
    try:
        matrix = entries(value).astype(complex)
    except UNREADABLE:
        raise ArgumentError(
            name, "be a square matrix of numbers (NumPy array, sparse matrix or QuTiP operator)", short(value)
        ) from None
    shape = f"of shape {matrix.shape}"
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] < 1:
        raise ArgumentError(name, "be a square matrix", shape)
    if dimension is not None and len(matrix) != dimension:
        raise ArgumentError(name, f"be {dimension}×{dimension}", shape)
    if not np.isfinite(matrix).all():
        raise ArgumentError(name, "have finite entries", "not finite everywhere")
    return matrix


def is_hermitian(matrix: np.ndarray) -> bool:
    """Whether a matrix is Hermitian up to round-off of its own size."""
    return bool(np.abs(matrix - matrix.conj().T).max() <= ROUND_OFF * np.abs(matrix).max())


def hermitian_matrix(name: str, value: Any, dimension: int | None = None) -> np.ndarray:
    """Return `value` as a Hermitian matrix."""
    matrix = square_matrix(name, value, dimension)
    if not is_hermitian(matrix):
        raise ArgumentError(name, "be Hermitian", f"off by {np.abs(matrix - matrix.conj().T).max():.3g}")
    return np.asarray(matrix / 2 + matrix.conj().T / 2)


def density_matrix(
    name: str, value: Any, dimension: int | None = None, *, slack: float = ROUND_OFF
) -> np.ndarray:
    """Return `value` (a density matrix, or a ket) as a density matrix of trace 1.

    `slack` is by how much the trace may differ from 1 and an eigenvalue be negative; the trace is then made 1.
    """
    if getattr(value, "isket", False) or is_vector(value):
        try:
            ket = np.ravel(entries(value)).astype(complex)
        except UNREADABLE:
            raise ArgumentError(name, "be a density matrix or a ket", short(value)) from None
        if not np.abs(ket).max(initial=0) <= LARGEST_NUMBER:  # of which the square is infinite
            raise ArgumentError(name, "have trace 1", short(value))
        value = np.outer(ket, ket.conj())
    matrix = hermitian_matrix(name, value, dimension)
    trace = np.trace(matrix).real
    if abs(trace - 1) > slack:
        raise ArgumentError(name, "have trace 1", f"of trace {trace:.12g}")
    smallest = np.linalg.eigvalsh(matrix)[0]
    if smallest < -slack:
        raise ArgumentError(name, "be positive semidefinite", f"with an eigenvalue {smallest:.6g}")
    return np.asarray(matrix / trace)


def increasing_times(value: Any, name: str = "times") -> np.ndarray:
    """Return `value` as a one-dimensional array of strictly increasing times ≥ 0."""
    given = value if hasattr(value, "__array__") or not is_sequence(value) else list(value)
    try:
        times = entries(given)
        if times.dtype.kind not in "iuf" or (isinstance(given, list) and any(map(is_truth, given))):
            raise TypeError
        times = times.astype(float)
    except UNREADABLE:
        raise ArgumentError(name, "be a sequence of real numbers", short(value)) from None
    if times.ndim != 1 or times.size == 0:
        raise ArgumentError(name, "be a non-empty one-dimensional sequence", f"of shape {times.shape}")
    if not np.isfinite(times).all() or times[0] < 0:
        raise ArgumentError(name, "be finite and not below 0", f"{times.min():g} … {times.max():g}")
    if times.max() > LARGEST_NUMBER:
        raise ArgumentError(name, f"be at most {LARGEST_NUMBER:g}", f"{times.max():g}")
    if (np.diff(times) <= 0).any():
        k = int(np.argmax(np.diff(times) <= 0))
        raise ArgumentError(
            name, "increase strictly", f"{times[k]:g} followed by {times[k + 1]:g} at index {k}"
        )
    return times


def output_times(name: str, value: Any) -> np.ndarray:
    """`increasing_times` as a rule."""
    return increasing_times(value, name)


def truth(name: str, value: Any) -> bool:
    """Return `value` if it is True or False."""
    if not is_truth(value):
        raise ArgumentError(name, "be True or False", short(value))
    return bool(value)


def real_array(
    name: str, value: Any, *, minimum: float = -LARGEST_NUMBER, maximum: float = LARGEST_NUMBER
) -> np.ndarray:
    """Return `value` as an array of real numbers of any shape."""
    array = complex_array(name, value, kinds="iuf")
    if array.size and not minimum <= array.min() <= array.max() <= maximum:
        raise ArgumentError(
            name,
            f"hold numbers between {minimum:g} and {maximum:g}",
            f"from {array.min():g} to {array.max():g}",
        )
    return array


def complex_array(name: str, value: Any, kinds: str = "iufc") -> np.ndarray:
    """Return `value` as an array of numbers of any shape, below the largest that can be worked with."""
    must = f"be a {'' if 'c' in kinds else 'real '}number or an array of them"
    try:
        array = entries(value)
    except UNREADABLE:
        raise ArgumentError(name, must, short(value)) from None
    if array.dtype.kind not in kinds or not array.size:
        raise ArgumentError(name, must, short(value))
    array = array.astype(complex if "c" in kinds else float)
    if not np.abs(array).max() <= LARGEST_NUMBER:
        raise ArgumentError(name, f"be finite and below {LARGEST_NUMBER:g}", short(value))
    return array


def integer_array(name: str, value: Any, ndim: int) -> np.ndarray:
    """Return `value` as an array of integers from 0 on with so many axes."""
    must = f"be an array of integers from 0 on with {ndim} {'axis' if ndim == 1 else 'axes'}"
    try:
        array = entries(value)
    except UNREADABLE:
        raise ArgumentError(name, must, short(value)) from None
    if array.dtype.kind not in "iu" or array.ndim != ndim or (array < 0).any() or (array > 2**31).any():
        raise ArgumentError(name, must, short(value))
    return array


def is_sequence(value: Any) -> bool:
    """Whether a value can be iterated over, in an order, and is no text and no sparse matrix."""
    if isinstance(value, (str, bytes, set, frozenset, Mapping)) or issparse(value):
        return False
    try:
        iter(value)
    except TypeError:  # as of an array without axes
        return False
    return True


def sequence(name: str, value: Any) -> list[Any]:
    """Return an iterable that has an order, and is no text and no single operator, as a list."""
    if not is_sequence(value) or is_operator(value):
        raise ArgumentError(name, "be a sequence", short(value))
    return list(value)
