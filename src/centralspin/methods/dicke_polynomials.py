r"""Method "dicke_polynomials": stationary states of large baths, whose Dicke blocks are alike, from a few polynomials.

A bath polarised downwards holds its total spin near j = εN/2, within about √N, and few quanta n in a block: the levels
|j, −j + n⟩ become the Fock states of the emergent boson. Blocks that lie side by side hold almost the same state. With
l = N/2 − j = 0, 1, 2, … write

.. math:: ρ_j(n, n') = w(l) \sum_{k<K} p_k(l)\, c_k(n, n'),

where w is the binomial, Poisson or negative binomial distribution with the mean λ and the variance v of l, and
:math:`p_k` are its orthonormal polynomials (Krawtchouk, Charlier or Meixner). For all three, with p = 1 − v/λ,

.. math::
    (l − λ)\, p_k = \sqrt{β_{k+1}}\, p_{k+1} + k (1 − 2p)\, p_k + \sqrt{β_k}\, p_{k-1}, \qquad
    β_k = k (1 − p)(λ − p (k − 1)).

The stationary state has no component along any :math:`p_m`. With the jumps of method "dicke", from n and j to
n + s + Δ and j + Δ for a step s of m, and all that stays within a block in :math:`A_j`, both of them without trace,

.. math::
    0 = \sum_k \Big\langle p_m(l)\, p_k(l)\, A_j
        + \sum_{Δ=±1} [p_m(l − Δ) − p_m(l)]\, p_k(l)\, B_j^Δ \Big\rangle_w c_k ,

:math:`B_j^Δ ρ = \sum_s Γ_s c_{j+Δ,j} T ρ T^†`, :math:`A_j` the Lindbladian of all jumps as if they led back into the
same block. The mean over w is taken by Gaussian quadrature, at blocks j that need not be half-integer. For m = 0 the
trace is conserved exactly. Without a central system :math:`p_k` relaxes at the rate k(Γ↑ + Γ↓), and k = 0 alone is the
emergent model at N = ∞; what couples one k to the next falls as :math:`N^{-1/2}`, so that GMRES with each of them
factorised needs few steps. λ and v are those of the solution.

The error has three parts. Results of K polynomials are compared with those of K − 1, K − 2 and K − 3, because a skewed
distribution may show in every third only. The last result is computed again with fewer levels and fewer points of
quadrature. What is found at the highest levels, and at the largest |n − n′| that is kept, is read as an error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from ..errors import ArgumentError, ConvergenceError, TruncationError
from ..numerics.banded import Banded
from ..numerics.stationary import corrected
from ..problem.general import Problem, SiteClass, Task
from ..problem.moments import Moment, Reading
from .polynomial_blocks import EXTRA, Equations, Inverse, Weight
from .small import (
    ROUND_OFF,
    decay_and_pump,
    hamiltonian,
    pauli,
    real_where_hermitian,
    require_constant,
    tell,
)

ABOUT = "reference"
OPTIONS: frozenset[str] = frozenset()

#: Fewer spins leave too few blocks to be alike; their mean j is at least so many widths above 0.
LEAST_SIZE, LEAST_DISTANCE = 50, 4.0
#: Numbers of polynomials that are tried, those that are needed to compare, and by how many points of quadrature fewer.
DEGREES, COMPARED, LESS = (6, 8, 10, 12), 4, 2
#: First number of levels, the factor by which it grows, and the most.
FIRST_CUTOFF, GROWTH, LARGEST_CUTOFF = 24, (1.3, 2.5), 1500
#: What may be read of the levels that are left out when results are compared, and of all that is left out; parts of
#: the tolerance.
FEWER, NEGLIGIBLE = 0.03, 1e-4
#: Bytes that factorised blocks may take, bytes per entry, and entries beside those of a band without gaps.
LARGEST_MEMORY, BYTES, FILL = 4e9, 12, 4
#: Times that the weight is put where the solution is, until it moves by less than this part of its width.
CENTRED, MOVED = 12, 0.1
#: Krylov vectors of a cycle, and cycles.
VECTORS, CYCLES = 60, 4
#: Residuals below this, relative to the solution, are round-off.
FLOOR = 1e-14


class Resting:
    """The stationary state of a bath that is polarised downwards, and what is read of it."""

    def __init__(self, problem: Problem, moments: Sequence[Moment], tolerance: float, progress: Any) -> None:
        self._problem, self._moments, self._tolerance = problem, moments, tolerance
        self._progress, self._done = progress, 0.0
        decay, pump = decay_and_pump(problem.classes[0], "")
        epsilon = (decay - pump) / (decay + pump)
        few = max((1 - epsilon) / 2 * problem.size - (1 / epsilon - 1) / 2, 0.5)
        self._at = few, max((1 - epsilon**2) / 4 * problem.size, 0.5)

    def __call__(self) -> tuple[np.ndarray, float, dict[str, Any]]:
        """Values, error and details."""
        space, few, inverse = self._levels()
        x, inverse = self._centre(space, inverse)
        values: list[np.ndarray] = []
        heights: list[float] = []
        for degrees in DEGREES:
            self._fits(space.cutoff, space.band, degrees)
            equations = self._equations(space, degrees)
            while len(values) < degrees:
                K = len(values) + 1
                x, off = self._solve(equations, inverse, K, x[: K * space.size])
                values.append(equations.rows(K) @ x)
                heights = [float(np.linalg.norm(c)) for c in x.reshape(K, -1)]
                error = off + _left_out(values, heights)
                if error <= self._tolerance / 2:
                    return self._compared(equations, inverse, few, x, values[-1], error)
        raise ConvergenceError(
            f"The tolerance {self._tolerance:g} is not met with {DEGREES[-1]} polynomials; the last change was "
            f"{error:.2g}."
        )

    def _equations(self, space: Banded, degrees: int, extra: int = EXTRA) -> Equations:
        weight = Weight(*self._at, degrees, extra)
        lowest = self._problem.size / 2 - weight.points.max()
        if not lowest >= 1:
            raise TruncationError(
                f"A bath of {self._problem.size:g} spins is too small: its total spin reaches down to 0 within "
                f"{degrees} polynomials."
            )
        self._tell()
        return Equations(self._problem, space, weight, self._moments)

    def _tell(self) -> None:
        self._done += 0.02 * (1 - self._done)
        tell(self._progress, self._done, "the stationary state")

    def _levels(self) -> tuple[Banded, int, Inverse]:
        """The levels and coherences that matter, fewer levels to compare with, and the first factor."""
        levels, powers = self._problem.central.dimension, [m.power or 0 for m in self._moments]
        cutoff, band, last, full = FIRST_CUTOFF, FIRST_CUTOFF, 0, 0
        while True:
            self._fits(cutoff, band, 1)
            space, inverse = Banded(cutoff, band, levels), Inverse(full)
            equations = self._equations(space, 1)
            inverse.prepare(equations, 1, self._tell)
            full = inverse.full
            read = equations.read() * np.abs(inverse.state)
            held = np.bincount(space.distance, read)
            small = NEGLIGIBLE * self._tolerance
            if band < cutoff - 1 and held[band - 1 :].sum() > small:
                band *= 2
                continue
            reaches = int(np.flatnonzero(held > small).max(initial=0))
            above = np.cumsum(np.bincount(space.level, read)[::-1])[::-1]
            if last:
                self._fits(cutoff, band, DEGREES[0])
                return space, last, inverse
            enough = np.flatnonzero(above <= small)
            if len(enough) and enough[0] <= cutoff - 4:
                last = int(np.flatnonzero(above <= FEWER * self._tolerance)[0])
                cutoff = max(int(enough[0]), last + 4)
            else:
                low, high = int(0.5 * cutoff), int(0.8 * cutoff)
                fall = math.log(max(above[low] / max(above[high], small), 1.0)) / (high - low)
                more = 1.1 * math.log(max(above[high] / small, 1.0)) / max(fall, 1e-3)
                least, most = (math.ceil(growth * cutoff) for growth in GROWTH)
                cutoff = max(min(math.ceil(high + more), most, self._highest()), least)
            band = max(int(1.3 * reaches) + 5, max(powers, default=0) + 2)

    def _highest(self) -> int:
        """The number of levels of a block without central system."""
        return int(self._problem.size - 2 * self._at[0])

    def _fits(self, cutoff: int, band: int, degrees: int) -> None:
        """Refuse what the memory does not hold, or the blocks do not have."""
        if cutoff > max(self._highest(), FIRST_CUTOFF):
            raise TruncationError(
                f"A bath of {self._problem.size:g} spins is too small: its blocks have about {self._highest()} "
                f"levels, and {cutoff} or more are needed."
            )
        levels = self._problem.central.dimension
        reach = min(band, cutoff - 1)
        unknowns = levels**2 * (cutoff * (2 * reach + 1) - reach * (reach + 1))
        needed = degrees * BYTES * FILL * unknowns * unknowns / cutoff
        if needed > LARGEST_MEMORY or cutoff > LARGEST_CUTOFF:
            raise TruncationError(
                f"With {cutoff} levels, coherences over {band} of them and {degrees} polynomials the factors would "
                f"take about {needed / 1e9:.2g} GB; {LARGEST_CUTOFF} levels and {LARGEST_MEMORY / 1e9:g} GB are the "
                f"most."
            )

    def _centre(self, space: Banded, inverse: Inverse) -> tuple[np.ndarray, Inverse]:
        """Put the weight where the solution is, and return an approximate one."""
        x = inverse.state
        for _ in range(CENTRED):
            equations = self._equations(space, 3)
            x, _ = self._solve(equations, inverse, 3, x)
            found = equations.weight.statistics(x.reshape(3, -1) @ space.trace)
            old, width = equations.weight, math.sqrt(equations.weight.variance)
            self._at = max(found[0], old.mean / 4), min(max(found[1], old.variance / 2), 2 * old.variance)
            moved = max(abs(found[0] - old.mean) / width, abs(found[1] / old.variance - 1) / 2)
            if moved <= MOVED:
                return x, inverse
            if moved > 5 * MOVED:
                inverse = Inverse(inverse.full)
        raise ConvergenceError(
            f"The distribution of the bath's total spin is not found: it still moves by {moved:.2g} of its width."
        )

    def _solve(
        self,
        equations: Equations,
        inverse: Inverse,
        K: int,
        guess: np.ndarray,
        part: np.ndarray | None = None,
    ) -> tuple[np.ndarray, float]:
        """The solution for K polynomials, and what is missing in what is read of it."""
        inverse.prepare(equations, K, self._tell)
        rows, space = equations.rows(K), equations.space
        scale = np.tile(equations.read(), K)  # what is read more than others is to be known better
        x = np.zeros(K * space.size)
        x[: len(guess)] = guess
        x /= space.trace @ x[: space.size]

        def image(y: np.ndarray) -> np.ndarray:
            return scale * inverse(equations.operator(y / scale), space, part)

        x, off = corrected(
            lambda y: -image(y), image, scale * x, self._tolerance, 1.0, FLOOR, (VECTORS, CYCLES), self._tell,
            csr_matrix(rows.multiply(1 / scale)),
        )  # fmt: skip
        return x / scale, off

    def _compared(
        self,
        equations: Equations,
        inverse: Inverse,
        few: int,
        x: np.ndarray,
        values: np.ndarray,
        error: float,
    ) -> tuple[np.ndarray, float, dict[str, Any]]:
        """The values with all of their error: other levels, other points of quadrature, and what is left out."""
        space, K = equations.space, len(x) // equations.space.size
        c, rows = np.abs(x.reshape(K, -1)), abs(equations.rows(K)).max(axis=0).toarray().reshape(K, -1)
        edge = space.level >= space.cutoff - 2
        if space.band < space.cutoff - 1:
            edge |= space.distance >= space.band - 1
        error += float((rows * c)[:, edge].sum())
        part = space.level < few
        smaller = Banded(few, min(space.band, few), space.levels)
        others = self._equations(smaller, K, equations.weight.points.size - K - LESS)
        y, off = self._solve(others, inverse, K, x.reshape(K, -1)[:, part].ravel(), part)
        error += off + float(np.abs(others.rows(K) @ y - values).max())
        mean, variance = self._at
        details = {
            "polynomials": K, "cutoff": space.cutoff, "band": space.band, "unknowns": K * space.size,
            "mean_spin": float(self._problem.size / 2 - mean), "variance": float(variance),
        }  # fmt: skip
        return values, error, details


def _left_out(values: list[np.ndarray], heights: list[float]) -> float:
    """What the polynomials that are left out may change."""
    if len(values) < COMPARED:
        return math.inf
    one, two, three = (float(np.abs(values[-1] - values[-1 - k]).max()) for k in (1, 2, 3))
    falls = max(heights[-3:]) / max(heights[max(len(heights) - 6, 0) : -3])
    return max(one, two, math.sqrt(min(falls, 1.0)) * three)


def refuses(task: Task) -> ArgumentError | None:
    """Say why a task is not one for polynomials, if so."""
    problem, method = task.problem, 'with method "dicke_polynomials"'
    if task.times is not None:
        return ArgumentError("method", "be another one to evolve a state", "'dicke_polynomials'")
    if len(problem.classes) > 1:
        return ArgumentError("sites", f"be one class {method}", f"{len(problem.classes)} classes")
    (site,) = problem.classes
    try:
        require_constant(problem, "dicke_polynomials")
        rates = decay_and_pump(site, "dicke_polynomials")
    except ArgumentError as error:
        return error
    if site.interactions:
        return ArgumentError("interactions", f"be left out {method}", f"{len(site.interactions)} pairs")
    if not LEAST_SIZE <= problem.size < math.inf:
        return ArgumentError("N", f"be finite and at least {LEAST_SIZE} {method}", f"{problem.size:g}")
    field = np.abs(pauli(hamiltonian(site)))
    if field[1:3].max() > ROUND_OFF * field.max():
        must = f"point along z {method}, whose levels are those of spins along it"
        return ArgumentError("bath_field", must, "tilted")
    polarised = abs(rates[0] - rates[1]) / sum(rates) if min(rates) >= 0 < sum(rates) else 0.0
    if not polarised * math.sqrt(problem.size) >= LEAST_DISTANCE * math.sqrt(1 - polarised**2):
        must = f"differ more from `bath_pump` for {problem.size:g} spins to be polarised {method}"
        decay, pump = (rate * problem.unit for rate in rates)
        return ArgumentError("bath_decay", must, f"{decay:g} beside {pump:g}")
    return None


def run(task: Task) -> Reading:
    """Read moments off the stationary state."""
    problem, moments = task.problem, task.moments
    decay, pump = decay_and_pump(problem.classes[0], "dicke_polynomials")
    if pump > decay:  # with the names of |↑⟩ and |↓⟩ exchanged
        problem = replace(
            problem,
            classes=tuple(_exchanged(site) for site in problem.classes),
            collective_jumps=tuple(
                (A, {c: B[::-1, ::-1] for c, B in Bs.items()}) for A, Bs in problem.collective_jumps
            ),
        )
        moments = tuple(replace(m, site=m.operators[0][::-1, ::-1]) if m.power else m for m in moments)
    values, error, details = Resting(problem, moments, task.tolerance, task.progress)()
    return Reading(real_where_hermitian(values, task.moments), error, details)


def _exchanged(site: SiteClass) -> SiteClass:
    return replace(
        site,
        hamiltonian=tuple((H[::-1, ::-1], f) for H, f in site.hamiltonian),
        jumps=tuple((J[::-1, ::-1], f) for J, f in site.jumps),
        couplings=tuple((A, B[::-1, ::-1], f) for A, B, f in site.couplings),
        initial=None,
    )
