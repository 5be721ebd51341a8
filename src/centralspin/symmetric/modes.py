r"""Which modes a problem reaches, how strongly, and which combinations of them are the best to count.

A cut keeps the occupations with Σ w_i n_i ≤ K. The weights say how fast what a mode holds falls off; they shape the
set and decide nothing else: whether a set is large enough is measured, see `cut`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import ArgumentError
from .basis import rounded
from .site import Site

#: A vector whose part outside a subspace is smaller than this, relative to it, lies in the subspace.
SAME_DIRECTION = 1e-9
#: Modes of a site are chosen by their weight in ω only if no level is emptier than this: it bounds their scales.
LEAST_POPULATION = 1e-6


def local_matrices(site: Site, r: np.ndarray) -> np.ndarray:
    """Matrices of a site's own Lindbladian around ω(r), one per factor, shape (parts, d², d²)."""
    M = site.around(site.equation.parts.matrices, r)
    M[:, :, 0] = 0  # ω obeys the site's own equation
    return np.array([rounded(part) for part in M])


def coupling_matrices(site: Site, r: np.ndarray) -> np.ndarray:
    """Matrices of the couplings around ω(r), shape (couplings, d², d²)."""
    size = site.basis.size
    M = site.around(np.array([M for _, M, _ in site.couplings]).reshape(-1, size, size), r)
    return np.where(np.abs(M) < 1e-14 * np.abs(M).max(initial=0), 0.0, M)


@dataclass(frozen=True)
class Pattern:
    """Which matrix elements of one class are ever non-zero.

    Attributes
    ----------
    local : ndarray of bool, shape (d², d²)
        Of the site's own Lindbladian.
    coupled : ndarray of bool, shape (couplings, d², d²)
        Of every coupling, those that vanish as N → ∞ left out at N = ∞.
    weights : ndarray of int, shape (D,)
        Of the modes; 0 for those that are never reached.
    """

    local: np.ndarray
    coupled: np.ndarray
    weights: np.ndarray


def pattern(site: Site, scaling: float, at_limit: bool, before: np.ndarray | None = None) -> Pattern:
    """Find the matrix elements that are ever non-zero, at N = ∞ those that do not vanish, and weigh the modes.

    `before`, of the shape of `local`, says what else acts on the product of reference states: collective jumps,
    or what acted on it beforehand.
    """
    r = site.equation.generic()
    parts = local_matrices(site, r)
    local = (parts != 0).any(axis=0)
    coupled = coupling_matrices(site, r) != 0
    if at_limit:
        condensed = 0.5 * (np.arange(len(local)) == 0)
        coupled = coupled & (np.add.outer(condensed, condensed) >= scaling)  # the power of N of b_μ†b_ν
    exchange = rounded(site.around(site.equation.exchange, r)) != 0
    pairs = [rounded(P) != 0 for P in site.around(site.equation.interactions, r)]
    exchanged = coupled.any(axis=0) if before is None else coupled.any(axis=0) | before
    reached, direct = reach(local, exchanged, pairs, exchange, at_limit)
    rates = np.abs(parts).max(axis=0)[1:, 1:]
    weights = weigh(reached, direct, rates, site.count)
    # What multiplies a state may reach one mode of a pair alone, and round-off might tell their weights apart.
    of_pairs = weights[site.pairs].astype(float)
    least = np.where(of_pairs > 0, of_pairs, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    weights[site.pairs] = np.where(np.isfinite(least), least, 0)
    return Pattern(local, coupled, weights)


def reach(
    local: np.ndarray, exchanged: np.ndarray, pairs: list[np.ndarray], exchange: np.ndarray, at_limit: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Which modes are ever reached, and which of them are exchanged directly with the condensate.

    Parameters
    ----------
    local, exchanged, exchange : ndarray of bool, shape (d², d²)
        Where the site's own matrix, its couplings and collective jumps, and what interactions leave on a single site,
        are not zero.
    pairs : list of ndarray of bool, shape (2, d², d²)
        Where K and P of every interaction are not zero.
    at_limit : bool
        Whether N = ∞, where hops in which fewer condensates take part vanish.
    """
    single = local | exchanged if at_limit else local | exchanged | exchange
    created = exchanged[1:, 0] if at_limit else exchanged[1:, 0] | exchange[1:, 0]
    for K, P in pairs:
        if K[1:, 0].any() and P[1:, 0].any():  # two excitations at once
            created = created | K[1:, 0] | P[1:, 0]
    reached = created.copy()
    while True:
        further = reached | (single[1:, 1:] & reached).any(axis=1)
        for K, P in pairs:
            further = further | (K[1:, 1:] & reached).any(axis=1)
            if (P[0, 1:] & reached).any():  # one hops back into the condensate while another one leaves it
                further = further | K[1:, 0]
            if not at_limit and reached.any():
                further = further | K[1:, 0] | P[1:, 0] | (P[1:, 1:] & reached).any(axis=1)
        if (further == reached).all():
            return reached, (created | exchanged[0, 1:]) & reached
        reached = further


def weigh(reached: np.ndarray, direct: np.ndarray, rates: np.ndarray, count: float) -> np.ndarray:
    """Weights of the modes.

    A mode that the coupling exchanges directly with the condensate has weight 1; one such excitation is worth
    about a factor 1/e. A mode i that only a site's own dynamics makes, at the rate A_ij out of mode j, holds
    A_ij/A_ii of what j holds, so that its weight is larger by ln(A_ii/A_ij), at least 1. The others are reached
    through two modes only, with an amplitude that is smaller by √N: weight ½ ln N, at least 2. A mode that is
    never reached has weight 0 and is left out, such as σz at N = ∞.
    """
    weight = np.where(reached, np.where(direct, 1, indirect_weight(count)), 0)
    near = direct.copy()
    while (front := (rates[:, near] > 0).any(axis=1) & ~near & reached).any():
        for i in np.flatnonzero(front):
            j = np.flatnonzero(near)[rates[i, near].argmax()]
            weight[i] = weight[j] + max(1, round(math.log(max(rates[i, i] / rates[i, j], 1))))
        near |= front
    return weight


def indirect_weight(size: float) -> int:
    """Weight of a mode that is reached with an amplitude of order 1/√N, see `weigh`."""
    return max(2, round(math.log(min(size, 1e9)) / 2))


def align(site: Site, turning: np.ndarray | None = None) -> None:
    r"""Choose the e_i of a site so that as few of them as possible are exchanged with the condensate.

    The couplings create the directions ½{B, ω} and −i[B, ω]. With the metric in which the trace with B is
    the scalar product with ½{B, ω}, a basis that starts with those directions and is orthonormal leaves all
    other modes to the site's own dynamics, which reaches them one after the other. The three modes of a spin-½
    stay as they are: its coordinates are a Bloch vector. Where there is a conserved number, of which Q is the site's
    part (`turning`), every mode comes with the one that −i[Q, ·] turns it into.
    """
    basis, equation = site.basis, site.equation
    if basis.dimension == 2 or not site.couplings or equation.timed or len(equation.interactions):
        return
    try:
        if equation.moves():
            return
    except ArgumentError:  # no stationary state, and none may be needed
        return
    r = equation.initial()
    omega = basis.elements[0] + np.tensordot(r, basis.elements[1:], axes=1)
    if np.linalg.eigvalsh(omega)[0] < LEAST_POPULATION:
        return
    metric = np.linalg.inv(basis.anticommutator(omega) / 2)[1:, 1:] / basis.dimension
    parts = coupling_matrices(site, r)
    parts[np.abs(parts) < SAME_DIRECTION * np.abs(parts).max()] = 0
    created, removed = parts[:, 1:, 0].T, parts[:, 0, 1:].T
    exchanged = np.hstack([created, np.linalg.solve(metric, removed)])
    turn = None if turning is None else basis.commutator(turning)[1:, 1:]
    mix, first = chain(exchanged[:, exchanged.any(axis=0)], equation.parts.at(0.0)[1:, 1:], metric, turn)
    if first < (created.any(axis=1) | removed.any(axis=1)).sum():
        site.transform(mix)


def chain(
    start: np.ndarray, damping: np.ndarray, metric: np.ndarray, turn: np.ndarray | None = None
) -> tuple[np.ndarray, int]:
    r"""A basis that starts with given vectors and continues with what a matrix makes of them, step by step.

    Parameters
    ----------
    start : ndarray, shape (D, m)
        Columns that span the first vectors.
    damping : ndarray, shape (D, D)
        The matrix A: the basis runs through start, A start, A² start, … (block Lanczos), then the unit vectors.
    metric : ndarray, shape (D, D)
        The basis is orthonormal with respect to this symmetric positive matrix.
    turn : ndarray, shape (D, D), optional
        A matrix that is antisymmetric in this metric and commutes with A: all vectors lie in eigenspaces of its square,
        and every one comes with what it is turned into.

    Returns
    -------
    mix : ndarray, shape (D, D)
        The basis as columns.
    first : int
        How many of them span `start`.
    """
    R = np.linalg.cholesky(metric).T  # metric = Rᵀ R; what follows is orthonormal in the coordinates R x
    A = R @ damping @ np.linalg.inv(R)
    Q = np.zeros((len(A), 0))
    J = np.zeros_like(A) if turn is None else R @ turn @ np.linalg.inv(R)
    squares, vectors = np.linalg.eigh(-(J @ J + (J @ J).T) / 2)
    squares = np.where(squares > SAME_DIRECTION * max(squares[-1], 1.0), squares, 0.0)
    levels = np.r_[True, np.diff(squares) > SAME_DIRECTION * max(squares[-1], 1.0)].cumsum()
    spaces = [(math.sqrt(squares[levels == i].mean()), vectors[:, levels == i]) for i in np.unique(levels)]

    def append(Q: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        for v in candidates.T:
            for charge, space in spaces:
                rest = space @ (space.T @ v)
                for _ in range(2):
                    rest = rest - Q @ (Q.T @ rest)
                if np.linalg.norm(rest) > SAME_DIRECTION * np.linalg.norm(v):
                    rest = rest / np.linalg.norm(rest)
                    turned = [J @ rest / charge] if charge else []
                    Q = np.column_stack([Q, rest, *turned])
        return Q

    Q = append(Q, R @ start)
    first, known = Q.shape[1], 0
    while known < Q.shape[1]:
        known, Q = Q.shape[1], append(Q, A @ Q[:, known:])
    return np.linalg.solve(R, append(Q, R)), first
