"""What a model is made of, checked: functions of time, Hamiltonians that contain them, couplings, collective jumps."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .checks import (
    ROUND_OFF,
    hermitian_matrix,
    integer,
    is_operator,
    is_qobj,
    real_number,
    sequence,
    short,
    square_matrix,
)

#: A factor of a term: a number, or a function of time.
Factor = float | Callable[[float], float]


def evaluate(name: str, function: Callable[[float], Any], time: float) -> float:
    """The value of a function of time, or a sentence if that is no finite real number."""
    try:
        value = function(time)
    except ArgumentError:
        raise
    except Exception as error:
        raise ArgumentError(
            name, "be a number or a function of time", f"one that fails: {' '.join(str(error).split())}"
        ) from error
    if isinstance(value, numbers.Complex) and not isinstance(value, numbers.Real):
        value = complex(value)
        if abs(value.imag) > ROUND_OFF * abs(value.real):
            must = "be real at all times (a complex drive is two Hermitian terms, each with a real function)"
            raise ArgumentError(name, must, f"{short(value)} at t = {time:g}")
        value = value.real  # as the coefficients of QuTiP come
    try:
        return real_number(name, value)
    except ArgumentError:
        raise ArgumentError(
            name, "be a finite real number at all times", f"{short(value)} at t = {time:g}"
        ) from None


@dataclass(frozen=True)
class Function:
    """A factor that changes in time, checked whenever it is evaluated; `unit` times its own time is dimensionless."""

    name: str
    function: Callable[[float], Any]
    unit: float = 1.0

    def __call__(self, time: float) -> float:
        """Its value at a dimensionless time."""
        return evaluate(self.name, self.function, time / self.unit)


def factor(name: str, value: Any) -> Any:
    """Return a number, or a function that gives one at time 0."""
    if not callable(value):
        return real_number(name, value)
    evaluate(name, value, 0.0)
    return value


def rates(value: Any, count: int) -> tuple[Any, ...] | None:
    """Return factors of jumps: a number, a function of time or None (which is 1) for each of them."""
    if value is None:
        return None
    given = sequence("rates", value)
    if len(given) != count:
        raise ArgumentError(
            "rates", f"have one entry for each of the {count} jumps", f"of length {len(given)}"
        )
    return tuple(None if rate is None else factor(f"rates[{i}]", rate) for i, rate in enumerate(given))


def hamiltonian(name: str, value: Any) -> Any:
    """Return a Hermitian matrix; or, if it changes in time, the tuple (H_0, (H_1, f_1), …).

    Parameters
    ----------
    name : str
        Of the argument.
    value : operator, list or qutip.QobjEvo
        A list has operators and pairs of an operator and a function of time, as QuTiP writes it.
    """
    if callable(to_list := getattr(value, "to_list", None)) and not is_qobj(value):
        value = to_list()
    elif not (isinstance(value, (list, tuple)) and any(map(_is_term, value))):
        return hermitian_matrix(name, value)
    constant: Any = None
    moving: list[tuple[np.ndarray, Any]] = []
    d = None
    for i, term in enumerate(value):
        if is_operator(term):
            H, f = hermitian_matrix(f"{name}[{i}]", term, d), 1.0
        elif isinstance(term, (list, tuple)) and len(term) == 2:
            H, f = hermitian_matrix(f"{name}[{i}][0]", term[0], d), factor(f"{name}[{i}][1]", term[1])
        else:
            raise ArgumentError(
                f"{name}[{i}]", "be an operator, or a pair of one and a function of time", short(term)
            )
        d = len(H)
        if callable(f):
            moving.append((H, f))
        else:
            constant = f * H if constant is None else constant + f * H
    if constant is None:
        constant = np.zeros_like(moving[0][0])
    return (constant, *moving) if moving else constant


def _is_term(part: Any) -> bool:
    """Whether a part of a list is a matrix, or a pair that begins with one."""
    if is_operator(part):
        return True
    return isinstance(part, (list, tuple)) and len(part) > 0 and is_operator(part[0])


def split(value: Any) -> tuple[tuple[np.ndarray, Any], ...]:
    """A checked Hamiltonian as terms with their factors."""
    if isinstance(value, tuple):
        return ((value[0], 1.0), *value[1:])
    return ((value, 1.0),)


def coupling(name: str, value: Any, dimension: int) -> tuple[Any, ...]:
    """Return (A, B) or (A, B, f), B acting on sites of `dimension` levels."""
    A, B, *rest = _operators(name, value, "be a pair of operators, or one with a function of time", (2, 3))
    checked = square_matrix(f"{name}[0]", A), square_matrix(f"{name}[1]", B, dimension)
    return (*checked, factor(f"{name}[2]", rest[0])) if rest else checked


def interaction(name: str, value: Any, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (A, B), both acting on sites of `dimension` levels."""
    A, B = _operators(name, value, "be a pair of operators", (2,))
    return square_matrix(f"{name}[0]", A, dimension), square_matrix(f"{name}[1]", B, dimension)


def collective_jump(
    name: str, value: Any, central: int, sites: Sequence[int]
) -> tuple[np.ndarray | None, tuple[np.ndarray | None, ...]]:
    """Return A, and B of every class, None where there is none, for a central system and sites of these dimensions."""
    A, given = _operators(name, value, "be a pair (A, B) of operators, A perhaps None", (2,))
    checked = None if A is None else square_matrix(f"{name}[0]", A, central)
    name = f"{name}[1]"
    if is_operator(given):  # which may be a mapping, too: SciPy's dictionary of keys
        by_class = dict.fromkeys(range(len(sites)), given)
    elif isinstance(given, Mapping):
        by_class = {integer(name, c, maximum=len(sites) - 1): B for c, B in given.items()}
    else:
        by_class = dict(enumerate(sequence(name, given)))
        if len(by_class) != len(sites):
            must = f"have one operator (or None) for each of the {len(sites)} classes of sites"
            raise ArgumentError(name, must, f"of length {len(by_class)}")
    operators = tuple(
        None if by_class.get(c) is None else square_matrix(name, by_class[c], d) for c, d in enumerate(sites)
    )
    if all(B is None for B in operators):
        raise ArgumentError(name, "act on one class of sites at least", short(given))
    return checked, operators


def _operators(name: str, value: Any, must: str, lengths: tuple[int, ...]) -> Sequence[Any]:
    if not isinstance(value, (tuple, list)) or len(value) not in lengths or is_operator(value):
        raise ArgumentError(name, must, short(value))
    return value
