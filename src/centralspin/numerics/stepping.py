r"""Stepping v̇ = L v in time; nothing here knows what L describes. Rates are of order 1."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from numpy.polynomial.chebyshev import chebvander
from scipy.integrate import solve_ivp
from scipy.linalg import blas
from scipy.sparse import csr_matrix, eye_array

from ..errors import ConvergenceError

try:
    from scipy.sparse._sparsetools import csr_matvec
except ImportError:  # a SciPy that has moved it
    csr_matvec = None

#: Degree of the Taylor polynomial of one step. Larger degrees take longer steps but lose digits: the terms
#: of a step grow to exp(h‖L‖) before they cancel, about 10⁴ at this degree.
DEGREE = 40
#: The share of the tolerance that all steps of a run together may use up.
RUN_SHARE = 0.05
#: Round-off of one floating-point operation, and the least error per step that is asked for.
EPSILON = np.finfo(float).eps
#: A run is refused if round-off alone adds up to so many times the tolerance.
LOST = 10.0
#: The share of the tolerance asked of each step of the Runge–Kutta method, whose own estimate is per step.
STEP_SHARE = 1e-3
#: Length of a step in units of the inverse frequency: the first that is tried, and the longest.
FIRST_STEP, LONGEST_STEP = 128.0, 192.0
#: And the largest exponent that a step may have, for all its terms to be numbers.
LARGEST_EXPONENT = 300.0
#: Steps shorter by these factors are summed up beside, for the case that the longest loses too many digits; and by
#: this one the next step is longer if it did not.
SHORTER, LONGER = (1.0, 0.5, 0.25), 1.15
#: A step whose series has not converged after so many terms beyond (1.5 of) those it starts to converge at is too long.
TERMS = 60
#: The last terms of a series are this part of the allowed error; a few terms more make them small, so that round-off
#: may use up the rest.
TAIL = 0.005
#: A frequency is taken to be at least this part of the spread of decay rates, and of the norm.
LEAST_FREQUENCY = (0.5, 1e-3)
#: Steps of the Lanczos method that find the largest frequency.
LANCZOS = 6
#: An argument of Bessel functions below this counts as 0.
TINY = 1e-20
#: A function of time is sampled at so many times to find out when it changes.
SAMPLES = 4000
#: The integration stops and starts afresh whenever a function has changed by this part of its range.
VARIATION = 0.5


#: Degree of the polynomials that stand for functions of time in a step, laid through Chebyshev's nodes, here on (0, 1),
#: and where they are compared with the functions beside the samples that lie in the step.
CURVE = 10
NODES = np.sort((1 - np.cos(np.pi * (np.arange(CURVE + 1) + 0.5) / (CURVE + 1))) / 2)
BETWEEN = (NODES[1:] + NODES[:-1]) / 2
#: The first of these places at the edge of a step, and at times that are named, where anything may happen close by.
EDGE, NEAR = np.zeros(1), 0.5 ** np.arange(2.0, 40.0)
#: From values at the nodes to coefficients of Chebyshev's polynomials, and from those to coefficients of powers: in two
#: steps, because the second matrix is large where the first coefficients are small.
TO_CHEBYSHEV = np.linalg.inv(chebvander(2 * NODES - 1, CURVE)).T
TO_POWERS = np.array(
    [
        np.pad(Chebyshev.basis(k, domain=(0, 1)).convert(kind=Polynomial).coef, (0, CURVE - k))
        for k in range(CURVE + 1)
    ]
)
#: The longest step that is tried, in units of the inverse rate; its powers up to the degree are numbers.
LONGEST_TAYLOR = 1e6
#: No step is shorter than this.
SHORTEST = 1e-200
#: What two units of time may make of one time, relative to it.
UNSURE = 8 * EPSILON
#: The part of the error allowed to a run that one step over a jump may make, and the shortest step, as a part of the
#: whole time, that is tried after it; by how much the next step may be longer than one.
ACCIDENT, GRAIN, GROWTH = 1e-4, 1e-6, 1.5
#: What looks like the round-off of time may make so many times the error of such a step, a fifth of the tolerance.
UNSEEN = 0.2 / (ACCIDENT * RUN_SHARE)
#: No entries of a state.
NOTHING_READ = np.zeros(0, dtype=int)


class Stepper:
    r"""Steps V̇ = L V for a constant L and one or several columns, with a Chebyshev series in every step.

    The spectrum of a generator is spread along the imaginary axis, by what oscillates, rather than along the real one.
    With μ the mean of the diagonal and f about the largest frequency,

    .. math::
        e^{Ls} V = e^{μs} \sum_k (2 - δ_{k0})\, J_k(fs)\, Φ_k, \quad
        Φ_{k+1} = \tfrac{2}{f} (L - μ) Φ_k + Φ_{k-1}, \quad Φ_0 = V, \quad Φ_1 = \tfrac{1}{f} (L - μ) V,

    with Bessel functions J_k; :math:`Φ_k = i^k T_k((L - μ)/if)\, V`, so that everything stays real. Few terms beyond
    k = fs matter, a quarter of those of Taylor series. The formula is exact for any f: a poor one costs terms. What
    decays makes the Φ_k grow, and :math:`e^{μs}` takes that away again; the digits this loses limit a step. With ρf/2
    the distance that decay rates have from μ, the Φ_k grow like :math:`(ρ/2 + \sqrt{1 + ρ^2/4})^k`, so that terms may
    be tiny at first and rise until :math:`k = \sqrt{1 + ρ^2/4}\, fs`: nowhere before is the series at its end. All
    output times inside a step are read from the same Φ_k, so that dense output costs nothing.

    Parameters
    ----------
    L : sparse matrix, shape (n, n)
        The generator, real or complex.
    V : ndarray, shape (c, n)
        The columns, one after the other, at time `time`.
    mask : ndarray of bool, shape (c, n), optional
        Column j evolves by L restricted to the rows and columns that its mask keeps.

    Attributes
    ----------
    steps, products : int
        How many were taken, and how often L was multiplied by a vector.
    """

    def __init__(self, L: Any, V: np.ndarray, mask: np.ndarray | None = None, time: float = 0.0) -> None:
        self.time, self.steps, self.products = time, 0, 0
        self.V = np.ascontiguousarray(
            V, dtype=complex if np.iscomplexobj(V) or L.dtype.kind == "c" else float
        )
        L = csr_matrix(L, dtype=self.V.dtype)
        diagonal = L.diagonal()
        self._mean = float(diagonal.sum().real / len(diagonal))
        spread, norm = LEAST_FREQUENCY
        self._frequency = max(
            largest_frequency(L), spread * float(np.abs(diagonal - self._mean).max(initial=0)),
            norm * float(np.abs(L.data).max(initial=0)), 1e-300,
        )  # fmt: skip
        double = (L - self._mean * eye_array(len(diagonal), format="csr")).tocsr()
        double.data *= 2 / self._frequency
        #: 2 (L − μ)/f for every column.
        self._double = [
            double if mask is None or keep.all() else restricted(double, keep)
            for keep in (V if mask is None else mask)
        ]
        decay = (L + L.conj().T) / 2 - self._mean * eye_array(len(diagonal), format="csr")
        x = float(abs(decay).sum(axis=1).max()) / self._frequency
        #: Terms fall from this many times the frequency times the step on.
        self._rise = math.sqrt(1 + x**2)
        self._reach = FIRST_STEP  # length of the next step times the frequency
        self._read = np.empty(0)
        self._known: dict[Any, np.ndarray] = {}

    def again(self, V: np.ndarray) -> Stepper:
        """Begin at time 0 with other columns, as many, and real ones where the others were."""
        if np.iscomplexobj(V) and self.V.dtype != complex:
            raise TypeError("A stepper of real columns was given complex ones.")
        self.V, self.time, self.steps = np.ascontiguousarray(V, dtype=self.V.dtype), 0.0, 0
        return self

    def advance(self, longest: float, rate: float, floor: float, read: Any = NOTHING_READ) -> float:
        """Take a step, as long as is efficient and accurate, and return its length.

        Parameters
        ----------
        longest : float
            It is at most that long.
        rate, floor : float
            The error may grow by `rate` per time, and by `floor` in a step, which round-off leaves at best.
        read : sequence of int
            The entries of V that `at` will be asked for.
        """
        rate_of_steps = max(self._frequency / self._reach, abs(self._mean) / LARGEST_EXPONENT)
        count = max(math.ceil(longest * rate_of_steps * (1 - 1e-12)), 1)  # of equal steps
        lengths = longest / count * np.array(SHORTER)
        while (found := self._tried(lengths, np.maximum(rate * lengths, floor), read)) is None:
            lengths = lengths * SHORTER[-1]
            if self.time + lengths[0] <= self.time or not np.isfinite(self.V).all():
                raise RoundOffError(f"The time step at t = {self.time:g} fell below round-off.")
        best, self.V, self._read = found
        self.time += (length := float(lengths[best]))
        self.steps += 1
        if best:
            self._reach = length * self._frequency
        elif count > 1:
            self._reach = min(LONGER * self._reach, LONGEST_STEP)
        return length

    def _tried(self, lengths: np.ndarray, targets: np.ndarray, read: Any) -> Any:
        with np.errstate(over="ignore", invalid="ignore"):  # too long a step, which is not taken
            return self._series(lengths, targets, read)

    def _series(self, lengths: np.ndarray, targets: np.ndarray, read: Any) -> Any:
        """Sum the series for steps of several lengths, the longest first, to the errors `targets`.

        Returns the number of the longest that is accurate, V after it, and the entries `read` of all Φ_k, shape
        (k, c, entries); or None if none is.
        """
        arguments = self._frequency * lengths
        begins = self._rise * arguments  # from these k on the terms fall
        factors = self._factors(int(1.5 * begins[0]) + TERMS, lengths)
        axpy, largest = (blas.zaxpy, blas.izamax) if self.V.dtype == complex else (blas.daxpy, blas.idamax)
        good, entries = list(range(len(lengths))), []
        ends: list[dict[int, np.ndarray]] = []
        for start, double in zip(self.V, self._double, strict=True):
            now, before, seen = start.copy(), np.zeros_like(start), []
            sums = {j: factors[0, j] * start for j in good}
            last = dict.fromkeys(good, math.inf)
            going, good = (
                good if not ends else good[:2],
                [],
            )
            for k, of_lengths in enumerate(factors.tolist()):
                seen.append(now[read])
                size = abs(now[largest(now)])
                for j in tuple(going):
                    term = abs(of_lengths[j]) * size
                    if not EPSILON * term <= targets[j] and begins[j] > 1:
                        going.remove(j)
                        continue
                    if k:
                        axpy(now, sums[j], a=of_lengths[j])
                    if (
                        k >= begins[j] and last[j] + term <= TAIL * targets[j]
                    ):  # one alone may vanish by symmetry
                        going.remove(j)
                        good.append(j)
                    last[j] = term
                if not going:
                    break
                add_product(double, now, before)
                self.products += 1
                if k == 0:
                    before *= 0.5
                now, before = before, now
            if not good:
                return None
            good.sort()
            ends.append(sums)
            entries.append(seen)
        terms = max(len(seen) for seen in entries)
        found = np.zeros((terms, len(ends), len(entries[0][0])), dtype=self.V.dtype)
        for column, seen in enumerate(entries):
            found[: len(seen), column] = seen
        return good[0], np.array([sums[good[0]] for sums in ends]), found

    def at(self, offsets: np.ndarray) -> np.ndarray:
        """The entries that were read at times after the start of the last step, shape (offsets, c, entries)."""
        return np.tensordot(self._factors(len(self._read), offsets).T, self._read, axes=1)

    def _factors(self, count: int, lengths: np.ndarray) -> np.ndarray:
        """What multiplies the Φ_k in steps of these lengths, shape (count, lengths); the last ones are kept."""
        key = count, lengths.tobytes()
        if key not in self._known:
            factors = np.exp(self._mean * lengths) * bessel(count, self._frequency * lengths)
            factors[1:] *= 2
            self._known = {key: factors}
        return self._known[key]


def largest_frequency(L: Any) -> float:
    """About the norm of the anti-Hermitian part of L, by a few Lanczos steps."""
    random = np.random.default_rng(0)
    q = random.normal(size=L.shape[0])
    q = (q / np.linalg.norm(q)).astype(L.dtype)
    before, beta, betas = np.zeros_like(q), 0.0, []
    adjoint = L.conj().T if L.dtype.kind == "c" else L.T
    for _ in range(min(LANCZOS, len(q))):
        moved = 0.5 * (L @ q - adjoint @ q) + beta * before
        moved = moved - q * np.vdot(q, moved)  # vanishes if L is real
        beta = float(np.linalg.norm(moved))
        if not beta > 0:
            break
        betas.append(beta)
        q, before = moved / beta, q
    return (
        float(np.linalg.norm(np.diag(betas[:-1], 1) + np.diag(betas[:-1], -1), 2))
        if len(betas) > 1
        else sum(betas)
    )


def restricted(L: csr_matrix, keep: np.ndarray) -> csr_matrix:
    """L with nothing outside the rows and columns that are kept."""
    entries = np.repeat(keep, np.diff(L.indptr)) & keep[L.indices]
    ends = np.r_[0, np.cumsum(entries, dtype=L.indptr.dtype)][L.indptr]
    return csr_matrix((L.data[entries], L.indices[entries], ends), shape=L.shape)


def bessel(count: int, x: np.ndarray) -> np.ndarray:
    """The Bessel functions J_0(x), …, J_{count−1}(x), shape (count, len(x)), by Miller's recurrence downwards."""
    most = float(x.max(initial=0))
    start = int(max(count, most) + 8 * most ** (1 / 3)) + 20
    values = np.zeros((start + 2, len(x)))
    inverse = 2 / np.where(x > TINY, x, 1.0)
    values[start] = 1e-100
    for k in range(start, 0, -1):
        values[k - 1] = k * inverse * values[k] - values[k + 1]
        if k % 8 == 0:  # nothing grows beyond 1e300 in 8 steps
            large = np.abs(values[k - 1]) > 1e100
            if large.any():
                values[k - 1 :, large] *= 1e-200
    values /= values[0] + 2 * values[2::2].sum(axis=0)  # 1 = J_0 + 2 J_2 + 2 J_4 + …
    values[:, x <= TINY] = np.eye(start + 2, 1)
    return values[:count]


def add_product(L: Any, x: np.ndarray, out: np.ndarray) -> None:
    """Add L @ x to `out`; all of one type. SciPy's checks take as long as the product of a small matrix."""
    if csr_matvec is None:
        out += L @ x
    else:
        csr_matvec(*L.shape, L.indptr, L.indices, L.data, x, out)


def evolve_linear(
    L: Any,
    V: np.ndarray,
    times: np.ndarray,
    readout: Any,
    tolerance: float,
    mask: np.ndarray | None = None,
    settle: Any = None,
    progress: Any = None,
    strict: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return readout @ exp(L t) V at the given times, and V at the last of them.

    Parameters
    ----------
    L : sparse matrix, shape (n, n)
        The generator, real or complex.
    V : ndarray, shape (n,) or (n, c)
        The state, or several, at time 0.
    times : ndarray, shape (k,)
        Increasing output times ≥ 0.
    readout : sparse matrix, shape (m, n)
        One row per quantity.
    tolerance : float
        Absolute error of the states in the maximum norm, for the whole run, but for the round-off of large ones.
    mask : ndarray of bool, shape (n, c), optional
        See `Stepper`.
    settle : callable, optional
        Called after every step; returns the state from which the rest is read, once nothing changes any more. With
        `progress` it has a method `may`, which tells of the stepper whether that can still happen: nothing is refused
        for the steps that are left before it cannot.
    progress : callable, optional
        Told which fraction is done.
    strict : bool
        Whether a state is refused that grows so much that its round-off exceeds the tolerance.

    Returns
    -------
    values : ndarray, shape (k, m) or (k, m, c)
    V : ndarray, of the shape of V
    """
    columns = np.ascontiguousarray(V.reshape(len(V), -1).T)
    stepper = Stepper(L, columns, None if mask is None else mask.T)
    span = float(times[-1])
    values = np.empty(
        (len(times), readout.shape[0], len(columns)), dtype=np.result_type(L.dtype, V.dtype, readout.dtype)
    )
    scale = max(1.0, float(np.abs(columns).max(initial=0)))
    rate = RUN_SHARE * tolerance * scale / max(span, 1e-300)
    used = np.unique(readout.indices)  # few entries are read: they are gathered before anything is multiplied
    rows = readout[:, used].toarray()
    lost, done, expected = 0.0, 0, False
    while done < len(times):
        began = 0.0 if progress is None else progress.seconds
        start, size = stepper.time, max(scale, float(np.abs(stepper.V).max(initial=0)))
        floor = 4 * EPSILON * size  # an error per step that cannot be improved on
        stepper.advance(span - start, rate, floor, used)
        lost += EPSILON * size
        if strict:
            _judge(size, lost, tolerance * scale, stepper.time, span)
        if (end := stepper.time) >= span * (1 - 1e-15):
            end = stepper.time = span
        last = done + int(np.searchsorted(times[done:], end, side="right"))
        if last > done:
            read = stepper.at(times[done:last] - start)
            values[done:last] = np.moveaxis(read @ rows.T, 1, 2)
            done = last
        if progress is not None:
            if not expected and end > start and (settle is None or not settle.may(stepper)):
                progress.expect(progress.seconds - began, (span - end) / (end - start), "evolution in time")
                expected = True
            progress(end / max(span, 1e-300), "evolution in time")
        if done < len(times) and settle is not None and (rest := settle(stepper)) is not None:
            values[done:] = readout @ rest.T
            stepper.V, done = rest, len(times)
    shape = (len(times), readout.shape[0], *V.shape[1:])
    return values.reshape(shape), stepper.V.T.reshape(V.shape)


def _judge(size: float, lost: float, allowed: float, time: float, span: float) -> None:
    """Refuse a state that has grown so much that the round-off so far exceeds what is allowed over all of the time."""
    if lost > LOST * allowed:
        raise RoundOffError(
            f"The state grows to {size:.2g}, and round-off in it hides what is asked for: it may be off by about "
            f"{lost * span / time / allowed:.1g} times the tolerance."
        )


class TaylorStepper:
    r"""Steps V̇ = L V with a Taylor series in every step, which can follow what changes L as well.

    With μ the mean of the diagonal, every step expands exp((L − μ) s) V, which takes fewer terms than exp(L s) V
    because a generator's spectrum lies to the left of 0. All output times inside the step are read from the same
    polynomial, so that dense output costs nothing. The step length follows from the size of the last terms, which are
    known before the step is taken, so no step is ever rejected; and from the size of the largest term, whose round-off
    a step adds.

    Parameters
    ----------
    L : sparse matrix, shape (n, n)
        The generator, real or complex.
    V : ndarray, shape (c, n)
        The columns, one after the other, at time 0.
    mask : ndarray of bool, shape (c, n), optional
        Column j evolves by L restricted to the rows and columns that its mask keeps.
    further : float
        The size of what else moves V.
    """

    def __init__(self, L: Any, V: np.ndarray, mask: np.ndarray | None = None, further: float = 0.0) -> None:
        self.V, self.time = V, 0.0
        self._mean = float(L.diagonal().sum().real / V.shape[1])
        self._shifted = (L - self._mean * eye_array(V.shape[1], format="csr")).tocsr()
        self._keep = [
            None if mask is None or row.all() else row.astype(float) for row in (V if mask is None else mask)
        ]
        # Terms are scaled by a unit of time of the order of a step so that they neither over- nor underflow.
        self._unit = 1 / max(float(abs(self._shifted).sum(axis=1).max()) + further, 1e-300)
        self._shifted = (self._unit * self._shifted).astype(np.result_type(L.dtype, V.dtype))
        self._terms = np.empty((len(V), DEGREE + 1, V.shape[1]), dtype=np.result_type(L.dtype, V.dtype))
        self.steps = 0

    def expand(self) -> None:
        """Compute the Taylor terms of the next step."""
        for terms, start, keep in zip(self._terms, self.V, self._keep, strict=True):
            terms[0] = start
            for k in range(DEGREE):  # one vector at a time: SciPy multiplies several at once more slowly
                multiply(self._shifted, terms[k], terms[k + 1])
                if keep is not None:
                    terms[k + 1] *= keep
                terms[k + 1] *= 1 / (k + 1)

    def length(self, rate: float, floor: float, longest: float) -> float:
        """The longest step of the expanded series whose error stays below `rate` per time, at most `longest`."""
        sizes = np.abs(self._terms).max(axis=(0, 2))
        if not np.isfinite(sizes).all():
            raise RoundOffError(f"The terms of the time step at t = {self.time:g} overflow.")
        tail = [(k, sizes[k]) for k in (DEGREE - 1, DEGREE) if sizes[k]]  # one alone may vanish by symmetry
        top = longest / self._unit
        length = top
        for _ in range(3):  # the allowed error depends on the length
            allowed = max(rate * length * self._unit, floor)
            length = min([top, *((allowed / size) ** (1 / k) for k, size in tail)])
        powers = np.arange(DEGREE + 1)
        own = 4 * EPSILON * sizes[0]  # the round-off of the state itself, which no shorter step makes smaller
        while length > 1 and EPSILON * (sizes * length**powers).max() > max(
            rate * length * self._unit, floor, own
        ):
            length *= 0.8
        return min(length * self._unit, longest)

    def at(self, offsets: np.ndarray, readout: Any) -> np.ndarray:
        """Readout @ V at times after the start of the step, shape (offsets, readouts, columns)."""
        s = offsets / self._unit
        polynomials = np.exp(self._mean * offsets)[:, None] * s[:, None] ** np.arange(DEGREE + 1)
        used = np.unique(readout.indices)  # few entries are read: gather them before anything is multiplied
        rows = self._terms[:, :, used] @ readout[:, used].toarray().T  # (c, k, r)
        return np.moveaxis(polynomials @ rows, 0, -1)

    def advance(self, length: float) -> None:
        """Take the step."""
        s = length / self._unit
        powers = math.exp(self._mean * length) * s ** np.arange(DEGREE + 1)
        self.V = np.einsum("k,ckn->cn", powers, self._terms)
        self.time += length
        self.steps += 1


def multiply(L: Any, x: np.ndarray, out: np.ndarray) -> None:
    """Write L @ x into `out`; all of one type. SciPy's checks take as long as the product of a small matrix."""
    if csr_matvec is None:
        out[:] = L @ x
        return
    out[:] = 0
    csr_matvec(*L.shape, L.indptr, L.indices, L.data, x, out)


class DrivenStepper(TaylorStepper):
    r"""Steps V̇ = (L + Σ_i f_i(t) L_i) V with the Taylor series of a polynomial through every f_i.

    With :math:`f_i(t + s) = \sum_j a_{ij} s^j` the terms follow from
    :math:`(k + 1) V_{k+1} = L V_k + \sum_{ij} a_{ij} L_i V_{k-j}`; one product per matrix and term, as without drive.

    Parameters
    ----------
    L, V, mask
        As for `TaylorStepper`.
    parts : sequence of (f, L_i)
        The functions of time and their matrices.
    span : float
        The functions are sampled from 0 to this time, and no polynomial passes a sample by.
    """

    def __init__(
        self,
        L: Any,
        parts: Sequence[tuple[Callable[[float], float], Any]],
        V: np.ndarray,
        span: float,
        mask: np.ndarray | None = None,
    ) -> None:
        self._functions = [f for f, _ in parts]
        self._grid = np.linspace(0, span, SAMPLES + 1)
        self._samples = sampled(self._functions, self._grid)
        self._sizes = np.array([float(abs(part).sum(axis=1).max()) for _, part in parts])
        driven = float(np.abs(self._samples).max(axis=1) @ self._sizes)
        if not math.isfinite(driven):
            raise ConvergenceError("A function of time is not finite everywhere.")
        super().__init__(L, V, mask, driven)
        #: That of the matrices; the terms of a step have one of their own, for powers not to overflow.
        self._scale = self._unit
        self._still = float(abs(self._shifted).sum(axis=1).max()) / self._scale
        self._driving = [(self._scale * part).astype(self._shifted.dtype) for _, part in parts]
        #: L_i V_k, the latest first.
        self._driven = np.empty((len(parts), DEGREE, V.shape[1]), dtype=self._terms.dtype)
        self._curves = np.zeros((len(parts), CURVE + 1))

    def fit(self, length: float, rate: float, accident: float, stops: np.ndarray) -> float:
        """Lay polynomials through the functions over a step as long as the error they make allows.

        Parameters
        ----------
        length : float
            The longest step.
        rate, accident : float
            What is allowed of the error per time, and of one step that contains a jump of a function.
        stops : ndarray
            Times at which a step ends, and a function may jump.

        Raises
        ------
        RoundOffError
            If no step that begins now is short enough.
        """
        while length > 0:
            end = self.time + length
            named = self.time in stops, bool(np.isclose(end, stops, rtol=1e-15, atol=0).any())
            # At a named time both values of a jump are right: it is left out, and times that round onto it are.
            low, high = self.time + UNSURE * end * named[0], end - UNSURE * end * named[1]
            near = [NEAR if stop else EDGE for stop in named]
            beside = np.r_[near[0], BETWEEN, 1 - near[1]]
            values, between = (
                sampled(self._functions, np.clip(self.time + length * where, low, high))
                for where in (NODES, beside)
            )
            first = int(np.searchsorted(self._grid, low, side="right"))
            passed = slice(first, max(first, int(np.searchsorted(self._grid, high))))
            beside = np.r_[beside, (self._grid[passed] - self.time) / length]
            right = np.hstack([between, self._samples[:, passed]])
            curves = values @ TO_CHEBYSHEV @ TO_POWERS
            powers = beside ** np.arange(CURVE + 1)[:, None]
            missed = np.abs(curves @ powers - right).max(axis=1)
            slope = np.abs(np.diff(values) / np.diff(NODES)).max(axis=1) * self.time / length
            round_off = (
                100 * EPSILON * (np.abs(values).max(axis=1) + slope)
            )  # that of the time moves a steep function
            error = float(np.where(missed > round_off, missed, 0.0) @ self._sizes)
            # In a step that is short enough even a jump looks like round-off.
            lost = float(missed @ self._sizes) * length
            if (error <= rate or error * length <= accident) and lost <= UNSEEN * accident:
                break
            length /= 2
            if length <= max(UNSURE * self.time, SHORTEST):
                raise RoundOffError(
                    f"A function of time jumps by so much at t = {self.time:g} that the round-off of the time matters; "
                    "name the time in `t_stops`."
                )
        if not length > 0:  # nothing but the start is asked for
            return 0.0
        self._unit = 1 / max(self._still + float(np.abs(values).max(axis=1) @ self._sizes), 1 / length)
        self._curves = curves * (self._unit / length) ** np.arange(CURVE + 1)
        return min(length, LONGEST_TAYLOR * self._unit)

    def expand_over(self, length: float, floor: float) -> None:
        """Compute the Taylor terms of a step of the last `fit`; those that add less than `floor` to it are zero."""
        powers = (length / self._unit) ** np.arange(DEGREE + 1)
        for terms, start, keep in zip(self._terms, self.V, self._keep, strict=True):
            terms[0], small = start, 0
            for k in range(DEGREE):
                if small == 2:  # one alone may vanish by symmetry
                    terms[k + 1 :] = 0
                    break
                multiply(self._shifted, terms[k], terms[k + 1])
                latest, count = DEGREE - 1 - k, min(k, CURVE) + 1
                for part, driven, curve in zip(self._driving, self._driven, self._curves, strict=True):
                    multiply(part, terms[k], driven[latest])
                    terms[k + 1] += curve[:count] @ driven[latest : latest + count]
                if keep is not None:
                    terms[k + 1] *= keep
                terms[k + 1] *= self._unit / self._scale / (k + 1)
                small = small + 1 if np.abs(terms[k + 1]).max() * powers[k + 1] < floor else 0


def sampled(functions: Sequence[Callable[[Any], Any]], times: np.ndarray) -> np.ndarray:
    """Values at the given times, shape (functions, times); functions that say so take all times at once."""
    return np.array(
        [f(times) if getattr(f, "takes_arrays", False) else [f(t) for t in times.tolist()] for f in functions]
    )


def evolve_driven(
    L: Any,
    parts: Sequence[tuple[Callable[[float], float], Any]],
    V: np.ndarray,
    times: np.ndarray,
    readout: Any,
    tolerance: float,
    mask: np.ndarray | None = None,
    t_stops: Sequence[float] = (),
    progress: Any = None,
    strict: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return readout @ V(t) of V̇ = (L + Σ_i f_i(t) L_i) V at the given times, and V at the last of them.

    Parameters
    ----------
    parts : sequence of (f, L_i)
        The functions of time and their matrices.
    t_stops : sequence of float
        Times at which a step ends.
    L, V, times, readout, tolerance, mask, progress, strict
        As for `evolve_linear`.

    Returns
    -------
    values : ndarray, shape (k, m) or (k, m, c)
    V : ndarray, of the shape of V
    """
    columns = np.ascontiguousarray(V.reshape(len(V), -1).T)
    span = float(times[-1])
    stepper = DrivenStepper(L, parts, columns, span, None if mask is None else mask.T)
    stops = np.unique([0.0, *(t for t in t_stops if 0 < t < span), span])
    shape = (len(times), readout.shape[0], *V.shape[1:])
    values = np.empty(
        (len(times), readout.shape[0], len(columns)), np.result_type(L.dtype, V.dtype, readout.dtype)
    )
    scale = max(1.0, float(np.abs(columns).max(initial=0)))
    rate = RUN_SHARE * tolerance * scale / max(span, 1e-300)
    lost, done, length = 0.0, 0, span
    while done < len(times):
        start, size = stepper.time, max(scale, float(np.abs(stepper.V).max(initial=0)))
        floor = 4 * EPSILON * size  # an error per step that cannot be improved on
        stop = float(stops[min(int(np.searchsorted(stops, start, side="right")), len(stops) - 1)])
        fitted = stepper.fit(min(length, stop - start), rate, max(ACCIDENT * rate * span, floor), stops)
        stepper.expand_over(fitted, max(rate * fitted, floor) / 4)
        taken = stepper.length(rate, floor, fitted)
        end = stop if start + taken >= stop * (1 - 1e-15) else start + taken
        if end <= start < span:
            raise ConvergenceError(f"The time step at t = {start:g} fell below round-off.")
        last = done + int(np.searchsorted(times[done:], end, side="right"))
        if last > done:
            values[done:last] = stepper.at(times[done:last] - start, readout)
            done = last
        stepper.advance(end - start)
        if taken < min(length, stop - start):
            length = taken
        stepper.time, length = end, max(GROWTH * length, GRAIN * span)
        lost += EPSILON * size
        if strict:
            _judge(size, lost, tolerance * scale, end, span)
        if progress is not None:
            progress(end / max(span, 1e-300), "evolution in time")
    return values.reshape(shape), stepper.V.T.reshape(V.shape)


def propagate(
    L: Any,
    v: np.ndarray,
    times: Sequence[float] | np.ndarray,
    tolerance: float,
    told: Callable[[], None] | None = None,
) -> np.ndarray:
    """Return the states exp(L t) v at a few increasing times, shape (times, n).

    Parameters
    ----------
    L : sparse matrix, shape (n, n), or Stepper
        The generator; a stepper of one real column is used again, for what it knows of the generator takes its time.
    v : ndarray, shape (n,)
        The state at time 0.
    times : sequence of float
        Increasing times ≥ 0.
    tolerance : float
        Error relative to the largest entry of v, or of a state it becomes, for the whole run.
    told : callable, optional
        Called before every step; it may stop the run.
    """
    stepper = L.again(v[None]) if isinstance(L, Stepper) else Stepper(L, v[None])
    size = max(float(np.abs(v).max(initial=0)), 1e-300)
    part = RUN_SHARE * tolerance / max(float(times[-1]), 1e-300)
    states = []
    for time in times:
        while stepper.time < time:
            if told is not None:
                told()
            size = max(size, float(np.abs(stepper.V).max()))
            stepper.advance(time - stepper.time, part * size, 4 * EPSILON * size)
            if stepper.time >= time * (1 - 1e-15):
                stepper.time = time
        states.append(stepper.V[0])
    return np.array(states)


def integrate(
    derivative: Callable[[float, np.ndarray], np.ndarray],
    v: np.ndarray,
    times: np.ndarray,
    tolerance: float,
    *,
    timed: bool = False,
    factors: Sequence[Callable[[float], float]] = (),
    t_stops: Sequence[float] = (),
    event: Callable[[float, np.ndarray], float] | None = None,
    progress: Any = None,
) -> np.ndarray:
    """Return the states v(t), shape (times, n), of v̇ = f(t, v) by an eighth-order Runge–Kutta method.

    Parameters
    ----------
    derivative : callable
        f(t, v).
    v : ndarray, shape (n,)
        The state at time 0.
    times : ndarray
        Increasing output times ≥ 0.
    tolerance : float
        Absolute error.
    timed : bool
        Whether f depends on t explicitly; without `factors` no step is then longer than the longest output interval.
    factors : sequence of callables
        The functions of time that f contains. They are sampled, and the integration starts afresh wherever they change.
    t_stops : sequence of float
        Further times at which it starts afresh.
    event : callable, optional
        Stops the integration where it vanishes, see `scipy.integrate.solve_ivp`.
    progress : callable, optional
        Told which fraction is done.
    """
    span = float(times[-1])
    accuracy = max(tolerance * STEP_SHARE, 1e-13)
    stops = np.unique(np.r_[0.0, breakpoints(factors, span), [t for t in t_stops if 0 < t < span], span])
    longest = float(np.diff(np.r_[0.0, times]).max()) if timed and not factors else math.inf
    values = np.empty((len(times), len(v)), dtype=np.result_type(v.dtype, float))
    values[times == 0] = v

    for start, end in itertools.pairwise(stops.tolist()):
        unsure = UNSURE * end if end - start > 4 * UNSURE * end else 0.0

        def told(
            t: float, y: np.ndarray, low: float = start + unsure, high: float = end - unsure
        ) -> np.ndarray:
            if progress is not None:
                progress(t / span, "evolution in time")
            return derivative(min(max(t, low), high), y)  # a function may jump at a stop

        inside = (times > start) & (times <= end)
        # In the far tail of a pulse the error of a step may come out as 0/0; the step is then repeated.
        with np.errstate(invalid="ignore"):
            result = solve_ivp(
                told, (start, end), v, "DOP853", t_eval=np.unique(np.r_[times[inside], end]), rtol=accuracy,
                atol=accuracy, max_step=longest or math.inf, events=event,
            )  # fmt: skip
        if result.status == 1:
            raise StoppedError(float(result.t_events[0][0]))
        if not result.success or not np.isfinite(result.y).all():
            reached = result.t[-1] if len(result.t) else start
            raise ConvergenceError(f"The integration in time stopped at t = {reached:g}: {result.message}")
        values[inside] = result.y.T[: inside.sum()]
        v = result.y[:, -1]
    return values


class RoundOffError(ConvergenceError):
    """The state grows so much that its round-off hides what is read."""


class StoppedError(ConvergenceError):
    """The event of an integration occurred at the time `time`."""

    def __init__(self, time: float) -> None:
        super().__init__(f"The integration in time was stopped at t = {time:.4g}.")
        self.time = time


def breakpoints(factors: Sequence[Callable[[float], float]], span: float) -> np.ndarray:
    """Times between which none of the functions changes by more than a part of its range."""
    found = [np.zeros(0)]
    for factor in factors:
        grid = np.linspace(0, span, SAMPLES + 1)
        samples = np.array([factor(t) for t in grid])
        spread = np.ptp(samples)
        if spread <= 1e-12 * np.abs(samples).max():
            continue
        way = np.cumsum(np.abs(np.diff(samples))) / (VARIATION * spread)
        found.append(grid[1:][np.diff(np.floor(np.r_[0.0, way])) > 0])
        found.append(grid[:-1][np.diff(np.floor(np.r_[0.0, way])) > 0])
    return np.unique(np.concatenate(found))
