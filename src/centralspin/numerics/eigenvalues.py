"""The slowest eigenvalues of a generator; nothing here knows what it describes. Rates are of order 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import eig, qr
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

from ..errors import ConvergenceError
from .stepping import Stepper, largest_frequency, propagate

#: Up to this many unknowns all eigenvalues are computed.
DENSE = 600
#: Accuracy of an application of the exponential.
ACCURACY = 1e-14
#: The largest residual of an eigenvector, relative to the fastest oscillation, and how often a shorter time is tried.
RESIDUAL, SHORTER = 1e-7, 8
#: More are sought than asked for, so that a pair is not cut in two and the last one is not taken for its neighbour.
SPARE = 4


def slowest(
    L: Any, count: int, rate: float, told: Callable[[], None] = lambda: None
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the eigenvalues of L with the largest real parts, in descending order, and the first one's eigenvector.

    They are the largest ones of :math:`e^{τL}`, whose product with a vector is an evolution over the time τ: an
    oscillation that hardly decays is found however quick it is, which inverting L around 0 would miss.

    Parameters
    ----------
    L : sparse matrix, shape (n, n)
        The generator.
    count : int
        How many; fewer if n is smaller.
    rate : float
        A rate about as small as the slowest that matters; τ is about its inverse.
    told : callable
        Called now and then.
    """
    n = L.shape[0]
    if n <= max(DENSE, count + SPARE + 2):
        values, vectors = eig(L.toarray())
    else:
        time = 1.0 / max(rate, 1e-3)
        start = np.random.default_rng(0).standard_normal(n)
        stepper = Stepper(L, start[None])
        size = largest_frequency(L)
        for _ in range(SHORTER):
            values, vectors = _iterated(L, stepper, start, count, time, told)
            order = _sorted(values)[:count]
            missed = np.linalg.norm(L @ vectors[:, order] - vectors[:, order] * values[order], axis=0)
            if missed.max() <= RESIDUAL * size:
                break
            time /= 4  # what has died out by then is round-off
        else:
            raise ConvergenceError(
                f"The slowest {count} eigenvalues were not found: some decay too quickly beside others."
            )
    order = _sorted(values)
    return np.asarray(values[order[:count]]), np.asarray(vectors[:, order[0]])


def _sorted(values: Any) -> list[int]:
    """In descending order of the real parts."""
    return sorted(
        range(len(values)), key=lambda i: (-round(values[i].real, 10), abs(values[i].imag), -values[i].imag)
    )


def _iterated(
    L: Any, stepper: Stepper, start: np.ndarray, count: int, time: float, told: Callable[[], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and normalised eigenvectors of L on the space that is left after the time."""
    n = len(start)
    operator = LinearOperator(
        (n, n), matvec=lambda v: propagate(stepper, v.ravel(), [time], ACCURACY, told)[0], dtype=float
    )
    try:
        _, W = eigs(operator, count + SPARE, which="LM", v0=start)
    except ArpackNoConvergence as error:
        raise ConvergenceError(f"The slowest {count} eigenvalues did not converge: {error}") from None
    Q, _ = qr(W, mode="economic")
    values, vectors = eig(Q.conj().T @ (L @ Q))
    return values, Q @ vectors
