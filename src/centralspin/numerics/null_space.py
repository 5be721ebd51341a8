"""The null vector of a generator, and whether there is only one; nothing here knows what L describes."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import svd
from scipy.sparse import eye_array

from ..errors import ConvergenceError
from .stationary import factorise

#: Up to this many unknowns all singular values are computed.
DENSE = 500
#: Singular values and eigenvalues below this, relative to the size of L, count as zero.
ZERO = 1e-12
#: Distance of the shift of the inverse iteration from 0, relative to the size of L, and how many vectors it moves.
SHIFT, VECTORS = 1e-6, 4
#: After so many steps of the inverse iteration the null vector has converged, or never will.
STEPS = 60


def null_vector(L: Any, trace: np.ndarray) -> tuple[np.ndarray, float]:
    """Return v with L v = 0 and trace @ v = 1, and an estimate of the error that round-off leaves in it.

    Parameters
    ----------
    L : array or sparse matrix, shape (n, n)
        A generator with spectrum in the left half plane.
    trace : ndarray, shape (n,)
        The functional that normalises v.

    Raises
    ------
    ConvergenceError
        If there is more than one such vector, or round-off hides whether there is.
    """
    size = float(abs(L).sum(axis=1).max())
    if size == 0:
        raise ConvergenceError("The stationary state is not unique: nothing changes in time.")
    v, gap = (_dense if L.shape[0] <= DENSE else _sparse)(L / size)
    weight = trace @ v
    if not gap > ZERO or abs(weight) <= ZERO * np.linalg.norm(v):
        raise ConvergenceError(
            "The stationary state is not unique, or approached too slowly to tell: a second mode decays at "
            f"{max(gap, 0.0):.2g} of the fastest rate."
        )
    v = v / weight
    return v, float(np.finfo(float).eps * np.sqrt(len(v)) * np.linalg.norm(v) / gap)


def _dense(L: Any) -> tuple[np.ndarray, float]:
    matrix = L.toarray() if hasattr(L, "toarray") else np.asarray(L)
    if len(matrix) == 1:
        return np.ones(1), 1.0
    _, values, rows = svd(matrix)
    return rows[-1].conj(), float(values[-2])


def _sparse(L: Any) -> tuple[np.ndarray, float]:
    """Inverse iteration with several vectors at once, so that a second null vector shows."""
    n = L.shape[0]
    solver = factorise(L - SHIFT * eye_array(n))
    random = np.random.default_rng(0)
    Q = random.normal(size=(n, VECTORS))
    if np.iscomplexobj(L):
        Q = Q + 1j * random.normal(size=(n, VECTORS))
    best = np.inf
    for _ in range(STEPS):
        Q = np.linalg.qr(solver.solve(Q))[0]
        values, vectors = np.linalg.eig(Q.conj().T @ (L @ Q))
        order = np.argsort(abs(values))
        v = Q @ vectors[:, order[0]]
        residual = float(np.linalg.norm(L @ v))
        if residual <= 1e-13 and residual > best / 2:  # round-off, and no longer falling
            return (v if np.iscomplexobj(L) else np.real(v / v[np.argmax(abs(v))])), float(
                abs(values[order[1]])
            )
        best = min(best, residual)
    raise ConvergenceError(f"The stationary state was not found; the residual is {best:.2g}.")
