r"""Two-time correlations and spectra: the evolution of what operators make of a state.

By the quantum regression theorem

.. math:: ⟨A(0) B(τ) C(0)⟩ = \mathrm{Tr}\, B\, e^{Lτ}[C ρ A]

for any state ρ. CρA is not Hermitian; its real and imaginary parts evolve side by side as columns, for L is real.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.polynomial.legendre import leggauss, legvander
from scipy.sparse import csr_matrix, eye_array
from scipy.special import spherical_jn

from ..errors import ConvergenceError
from ..numerics.eigenvalues import slowest
from ..numerics.stationary import DIRECT_AT_MOST, bordered, factorise
from ..numerics.stepping import EPSILON, evolve_linear
from ..problem.general import Task
from ..problem.moments import Moment
from .cut import Outcome
from .settling import masks
from .setup import INTEGRATION, triangular
from .solver import Solver
from .state import multiplication

#: An operator as Σ c m, every m about the reference states; None is the identity.
Factor = Sequence[tuple[complex, Moment]] | None

#: Nodes of Gauss's rule, and Legendre polynomials, in a panel of time; the last of them tell whether they suffice.
NODES, LAST = 24, 4
#: Panels that are evolved in one stretch, and how many stretches there may be.
PANELS, STRETCHES = 16, 1000
#: Where the last polynomials hold less than this part of what is allowed, panels become longer.
SMOOTH = 1e-4
#: What would take so many times the time so far to decay is solved for instead, if the square of the unknowns times the
#: frequencies is at most this; otherwise it is waited for, unless it takes longer than this after so many stretches.
PATIENCE, SOLVED, HOPELESS, TRIED = 100.0, 1e9, 1e6, 10
#: A rate above this, where the largest is of order 1, is not round-off.
GROWS = 1e-8
#: What no longer falls is left over from round-off if it is smaller than this part of what is allowed.
NOTHING = 1e-3
#: No rows.
NOTHING_READ = np.zeros((0, 0))
#: Whether what is left falls further is seen in this part of a stretch.
CONFIRMED = 0.25


class Response(Solver):
    """Moments of C ρ A in time.

    Parameters
    ----------
    task : Task
        Times, and moments to read.
    A, C : Factor
        What stands on the right and on the left of the state.
    stationary : bool
        Whether ρ is the stationary state and not the initial one.
    connected : bool
        Subtract Tr(CρA) ρ, what never relaxes.
    """

    complex = True

    def __init__(self, task: Task, A: Factor, C: Factor, stationary: bool, connected: bool = False) -> None:
        self._sides = ((C, "left"), (A, "right"))
        self._from_rest, self._connected = stationary, connected
        super().__init__(task, factors=[moment for factor in (A, C) for _, moment in factor or ()])

    def start(self, generator: Any, mask: np.ndarray) -> np.ndarray:
        """C ρ A, as real and imaginary parts by set."""
        if self._from_rest:
            rho = self.rest_state(generator, mask, triangular(generator.rows(self.readout, self.references)))
        else:
            rho = super().start(generator, mask)
        self._rho, V = rho, self._changed(generator, rho, self._masks(mask, rho))
        return np.stack([V.real, V.imag], axis=-1).reshape(len(V), -1)

    def _changed(self, generator: Any, rho: np.ndarray, keep: np.ndarray) -> np.ndarray:
        """C ρ A of states by set, as columns."""
        V = rho.astype(complex)
        for factor, side in self._sides:
            if factor is not None:
                V = keep * sum(
                    c * (multiplication(self.compiled, generator, moment, self.references, side) @ V)
                    for c, moment in factor
                )
        return V - rho * V[0] if self._connected else V


class Spectral(Response):
    r"""The integrals :math:`\int_0^∞ e^{-iωτ}\, \mathrm{Tr}\, B\, e^{Lτ}[C ρ A]_\mathrm{connected}\, dτ` for many ω.

    Time is cut into panels. In each of them what is read is a polynomial, by its values at the nodes of Gauss's rule;
    the Fourier integral of a Legendre polynomial is a spherical Bessel function. So any frequency is as good as any
    other, and a thousand of them cost little more than one.

    Parameters
    ----------
    task, A, C
        As of `Response`; ρ is the stationary state, and the times of the task are not used.
    frequencies : ndarray
        ω, dimensionless.
    """

    def __init__(self, task: Task, A: Factor, C: Factor, frequencies: np.ndarray) -> None:
        super().__init__(task, A, C, stationary=True, connected=True)
        self._frequencies, self._off = frequencies, 0.0

    def solve(self) -> tuple[np.ndarray, dict[str, Any], Any]:
        """The integrals, details, and the estimated errors, with that of the stationary state."""
        values, details, error = super().solve()
        return values, details, error + self._off

    def _steady(self, outer: np.ndarray, inner: np.ndarray) -> Outcome:
        """The integrals, shape (frequencies, moments)."""
        generator, mask = self._prepared(outer, inner)
        V = self.start(generator, mask)
        (L,), (rows,) = (
            generator.matrices(self.references),
            generator.rows(self.readout, self.references),
        )
        used = np.unique(rows.indices)
        pick = csr_matrix((np.ones(len(used)), (np.arange(len(used)), used)), shape=(len(used), L.shape[0]))
        dense, keep, start = rows[:, used].toarray(), self._masks(mask, V), V
        tolerance, size = INTEGRATION * self.task.tolerance, float(np.abs(dense).sum(axis=1).max(initial=0))
        total = np.zeros((len(self._frequencies), len(dense)), dtype=complex)
        began, length, apart = 0.0, 1.0, 0.0
        for stretch in range(STRETCHES):
            while True:  # until what is read is smooth in the panels
                panels = Panels(length)
                states, after = evolve_linear(
                    L, V, panels.times, pick, 0.1 * tolerance / max(1.0, panels.span), keep, None, self.task.progress
                )  # fmt: skip
                states = states[..., ::2] + 1j * states[..., 1::2]  # (times, used, sets)
                coefficients = panels.coefficients(states[..., 0] @ dense.T)
                rough = length * float(np.abs(coefficients[:, -LAST:]).sum(axis=0).max(initial=0))
                if rough <= tolerance or length < EPSILON:
                    break
                length /= 2
            total += panels.integrals(coefficients, self._frequencies, began)
            difference = np.abs(states[..., :1] - states[..., 1:]).max(axis=-1, initial=0) @ np.abs(dense).T
            apart += panels.span * float(difference.max(axis=1).mean())
            # What is left, judged by the whole state, of which any part may still come to be read.
            first, last = (size * float(np.abs(state).max(initial=0)) for state in (V, after))
            V, began, falls, span = after, began + panels.span, fallen(first, last), panels.span
            if span * last <= tolerance * falls:  # the integral of what falls exponentially
                # What has fallen may hide something slow.
                span *= CONFIRMED
                later = evolve_linear(
                    L, V, np.array([span]), pick, 0.1 * tolerance, keep, None, self.task.progress
                )[1]
                falls = fallen(last, size * float(np.abs(later).max(initial=0)))
            if span * last <= tolerance * max(falls, NOTHING):
                return Outcome(total, apart, generator.size)
            missing = math.log(span * last / (NOTHING * tolerance)) * span / max(falls, 1e-300)
            if missing > PATIENCE * began:
                if len(start) ** 2 * len(self._frequencies) <= SOLVED and len(start) <= DIRECT_AT_MOST:
                    return self._solved(generator, L, rows, start, keep)
                if missing > HOPELESS and stretch >= TRIED:
                    break
            if rough <= SMOOTH * tolerance:
                length *= 1.5
        raise ConvergenceError("The correlation did not decay: the stationary state is reached too slowly.")

    def _solved(
        self, generator: Any, L: csr_matrix, rows: csr_matrix, V: np.ndarray, keep: np.ndarray
    ) -> Outcome:
        """The integrals as solutions of (iω − L) x = V for one frequency after the other, however slow what decays.

        What decays slowly multiplies an error of the stationary state: beside the outer set another one is solved for.
        """
        R, values, apart, self._off = rows.toarray(), [], 0.0, 0.0
        sets = [np.flatnonzero(kept) for kept in keep[:, ::2].T]
        sources = np.split(V[:, ::2] + 1j * V[:, 1::2], len(sets), axis=1)
        other = self._changed(generator, self._another(L, sets[0]), keep[:, :1])
        sources[0] = np.hstack([sources[0], other])
        for number, frequency in enumerate(self._frequencies.tolist()):
            if self.task.progress is not None:
                self.task.progress(number / len(self._frequencies), "spectrum")
            found = []
            for source, index in zip(sources, sets, strict=True):
                x = np.zeros(source.shape, dtype=complex)
                x[index] = resolvent(
                    L[index][:, index], source[index], frequency, R[:, index], self.task.tolerance
                )
                found.append(x)
            x = np.hstack(found)
            values.append(R @ x[:, 0])
            off, *change = (float((np.abs(R) @ np.abs(x[:, 0] - y)).max(initial=0)) for y in x[:, 1:].T)
            self._off, apart = max(self._off, off), max([apart, *change])
        if not self._off <= self.task.tolerance:
            raise ConvergenceError(
                "The correlation decays so slowly that what the stationary state is off by hides its spectrum."
            )
        return Outcome(np.array(values), apart, len(V))

    def _another(self, L: csr_matrix, index: np.ndarray) -> np.ndarray:
        """A state on the outer set that is as stationary as round-off lets one be, as a column."""
        part, rho = L[index][:, index], self._rho[index, :1]
        noise = EPSILON * np.random.default_rng(0).choice([-1.0, 1.0], rho.shape) * (abs(part) @ np.abs(rho))
        other = np.zeros_like(self._rho[:, :1])
        other[index] = rho + resolvent(part, part @ rho + noise, 0.0, NOTHING_READ, 0.0).real
        return other


def resolvent(
    L: csr_matrix, source: np.ndarray, frequency: float, rows: np.ndarray, tolerance: float
) -> np.ndarray:
    """The columns x of no trace with (iω − L) x = source, or raise if round-off hides what the rows read of them."""
    shifted = csr_matrix(1j * frequency * eye_array(len(source), format="csr") - L)
    A, scale, row = bordered(shifted, np.eye(1, len(source))[0])
    right = source * np.reshape(scale, (-1, 1))
    right[row] = 0
    try:
        lu = factorise(A)
    except ConvergenceError:
        raise ConvergenceError("The correlation does not decay.") from None
    x = lu.solve(right.astype(complex))
    x = x + lu.solve(right - A @ x)
    lost = EPSILON * (abs(A) @ np.abs(x) + np.abs(right))
    weights = (np.abs(lu.solve(of_moment.astype(complex), "T")) for of_moment in rows)
    if not max((float((weight @ lost).max()) for weight in weights), default=0.0) <= tolerance:
        raise ConvergenceError("The correlation decays so slowly that round-off hides its spectrum.")
    return np.asarray(x)


def fallen(first: float, last: float) -> float:
    """By how many factors of e something became smaller, 0 if it did not."""
    return math.log(first / last) if 0 < last < first else math.inf if last == 0 else 0.0


class Panels:
    """A stretch of time in panels of one length, from its begin on."""

    def __init__(self, length: float) -> None:
        self.length, self.span = length, PANELS * length
        x, w = leggauss(NODES)
        self._middles = length * (np.arange(PANELS) + 0.5)
        #: The end of the stretch is the last time, for that is where the next one begins.
        self.times = np.r_[(self._middles[:, None] + 0.5 * length * x).ravel(), self.span]
        self._project = (legvander(x, NODES - 1) * w[:, None]).T * (np.arange(NODES) + 0.5)[:, None]

    def coefficients(self, values: np.ndarray) -> np.ndarray:
        """Of Legendre polynomials, shape (panels, polynomials, …), from values at the times."""
        return np.einsum(
            "lj,pj...->pl...", self._project, values[:-1].reshape(PANELS, NODES, *values.shape[1:])
        )

    def integrals(self, coefficients: np.ndarray, frequencies: np.ndarray, began: float) -> np.ndarray:
        r"""The integral of :math:`e^{-iωτ}` times the polynomials, shape (frequencies, …), τ counted from `began`."""
        q, order = 0.5 * self.length * frequencies[:, None], np.arange(NODES)
        # SciPy knew no negative arguments before 1.15: j_l(−q) = (−1)^l j_l(q).
        signs = np.where(q < 0, -1.0, 1.0) ** order
        bessel = (
            self.length * (-1j) ** order * signs * spherical_jn(order, np.abs(q))
        )  # (frequencies, polynomials)
        phases = np.exp(-1j * np.multiply.outer(frequencies, began + self._middles))
        return np.einsum("fp,fl,plm->fm", phases, bessel, coefficients, optimize=True)


class Decay(Solver):
    """The slowest eigenvalues of the generator, those with the largest real parts.

    Parameters
    ----------
    task : Task
        Without times; its moments are not read.
    count : int
        How many.
    """

    def __init__(self, task: Task, count: int) -> None:
        super().__init__(task, whole=True)  # the slowest may have any charge
        self._count = count

    def _stationary(self, outer: np.ndarray, inner: np.ndarray) -> Outcome:
        """The eigenvalues by the outer set, in descending order of their real parts."""
        generator, mask = self._prepared(outer, inner)
        (L,) = generator.matrices(self.references)
        progress = self.task.progress
        told = (lambda: None) if progress is None else lambda: progress(0.5, "eigenvalues")
        found, V = [], []
        for keep in masks(mask).T:
            index = np.flatnonzero(keep)
            values, first = slowest(csr_matrix(L[index][:, index]), self._count, self.slowest, told)
            found.append(values)
            V.append(np.zeros(len(keep)))
            if abs(first[0]) > NOTHING * np.linalg.norm(first):  # the only ones with a trace are stationary
                V[-1][index] = np.real(first / first[0])
        values = found[0]
        # No disturbance of a state grows, and what it relaxes to is a state.
        grows = values.real.max() > GROWS
        self._no_state = math.inf if grows else self._judged(generator, np.column_stack(V))
        # A set may order eigenvalues of about the same real part in another way, and have the other one of the last
        # conjugate pair: compare each with its nearest.
        change = max(
            float(np.abs(value - np.r_[other, other.conj()]).min())
            for other in found
            for value in values[: len(other)]
        )
        short = len(values) < self._count and not inner.all()
        return Outcome(values, math.inf if short else change, generator.size)
