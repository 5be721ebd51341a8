r"""Solving L v = s with the trace of v prescribed; nothing here knows what L describes. Rates are of order 1.

L conserves the trace, t L = 0. Two ways:

* the sparse LU factorisation of L with one row replaced by the trace: quick for few unknowns, it fills in for many;
* GMRES on :math:`1 - e^{τL} + |w⟩⟨t|` with t w = 1, whose product is an evolution over the time τ. Where s = 0 its
  solution is the stationary state, for any s that of L v = s follows with :math:`-\int_0^τ e^{Lu} s\, du` on the right.
  The spectrum of :math:`e^{τL}` clusters at 0 but for the few modes that are slower than τ, so that few iterations do:
  altogether they evolve for a fraction of the time that a state needs to relax. It takes no memory but a few vectors.
  Before, the factorisation of weakly connected blocks alone may improve the guess, where they are weakly connected.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import bmat, coo_matrix, csc_matrix, csr_matrix, eye_array
from scipy.sparse.linalg import LinearOperator, MatrixRankWarning, onenormest, splu

from ..errors import ConvergenceError
from .stepping import EPSILON, Stepper, largest_frequency, propagate

#: Up to this many unknowns a direct factorisation is the quickest; up to so many it is where the other way fails.
DIRECT, DIRECT_AT_MOST = 2500, 8000
#: Between these it is quicker for up to so many unknowns per radian that the other way evolves, as measured.
DIRECT_PER_RADIAN = 40
#: A difference of so many tolerances need not be known any better.
FAR = 1e4
#: Backward error of a solution; round-off leaves a few times 1e-16.
BACKWARD = 1e-12
#: Round-off times condition above which a matrix counts as singular.
SINGULAR = 1e-4
#: What looks like a longer relaxation time is none: round-off would hide it, and unknowns differ by that much.
LONGEST = 1e16
#: Krylov vectors of a GMRES cycle and cycles, with the exponential.
EXPONENTIAL = (60, 4)
#: The time τ in units of the slowest relaxation, at least and at most, and in units of the fastest oscillation: shorter
#: ones take more Krylov vectors, longer ones more products.
TIMES, RADIANS = (0.15, 1.0), 64.0
#: A random vector is found again from its image to this residual, and to this error unless something is annihilated:
#: one vector that is has about one part of 1/√n in it.
PROBED = (1e-7, 1e-4)
#: A cycle has to make a residual that much smaller for another one to be worth while.
WORTHWHILE = 1e-2
#: The residual that is left where a solution is corrected once more, to see how far off it was.
CONFIRMED = 0.1
#: So many iterations are worth a factorisation with more than so many entries per row.
PART, FILLED = 25, 80
#: Up to so many unknowns blocks are factorised.
BLOCKS = 16000
#: Iterations with the factorised blocks: after `TRIAL` the residual must have fallen by `PROMISING` to go on.
BLOCKWISE, TRIAL, PROMISING = 40, 10, 1e-2


class NotUniqueError(ConvergenceError):
    """There are several stationary states, or two that only a rate close to round-off tells apart."""


class NotFoundError(NotUniqueError):
    """Iterations found none, or not whether there is another: a solver of another kind may."""


class StationarySolver:
    """Solves L v = s for one or several s, with the trace of v prescribed.

    Parameters
    ----------
    L : sparse matrix, shape (n, n)
        A generator that conserves the trace.
    trace : ndarray, shape (n,)
        The trace as a row: trace @ v.
    tolerance : float
        Absolute error of a solution of size 1.
    blocks : ndarray of int, shape (n,), optional
        Labels of weakly connected blocks.
    slowest : float
        A rate about as small as the slowest that matters.
    readout : sparse matrix, shape (m, n), optional
        What is read of the solution. If it is given, errors are judged by what reaches it.
    unique : bool
        Whether it is known that the solution is unique. Otherwise that is established where there is a readout: by the
        condition of a factorised matrix, or by a random vector that must be found again from its image.
    progress : callable, optional
        Told which fraction is done.

    Attributes
    ----------
    unique : bool
        Whether it is known by now that the solution is unique.
    sensitivity : float or None
        By how much what is read changes per residual of an equation in which the largest coefficient is 1, if known.
    """

    def __init__(
        self, L: Any, trace: np.ndarray, tolerance: float, *, blocks: np.ndarray | None = None,
        slowest: float = 1.0, readout: Any = None, unique: bool = False, progress: Any = None,
    ) -> None:  # fmt: skip
        self._L, self._trace, self._tolerance, self._progress = csr_matrix(L), trace, tolerance, progress
        self._slowest, self._time, self._radians = slowest, 0.0, 0.0
        n = L.shape[0]
        self._bordered, self._scale, self._row = bordered(self._L, trace)
        self._lu: Any = None
        self._part: Any = None  # what is factorised of it instead, if anything
        self._readout, self.unique = readout, unique
        self.sensitivity: float | None = None
        self._rest: np.ndarray | None = None  # the stationary state, once it is known
        if n <= DIRECT or n <= min(DIRECT_AT_MOST, DIRECT_PER_RADIAN * self._evolving()):
            self._factorise()
        elif n <= BLOCKS and blocks is not None and (blocks != blocks[0]).any():
            entries = self._bordered.tocoo()
            inside = blocks[entries.row] == blocks[entries.col]
            if inside.all():  # the blocks do not know of each other, and each of them is small
                self._factorise()
            else:
                place = entries.row[inside], entries.col[inside]
                self._part = coo_matrix((entries.data[inside], place), shape=L.shape)

    def _evolving(self) -> float:
        """Choose the time τ, unless that is done, and return it in units of the fastest oscillation."""
        if self._time:
            return self._radians
        least, most = (part / max(self._slowest, 1e-12) for part in TIMES)
        frequency = max(largest_frequency(self._L), 1e-300)
        self._time = min(max(RADIANS / frequency, least), most)
        self._radians = frequency * self._time
        return self._radians

    def _factorise(self) -> None:
        """Factorise the whole matrix, and establish that the solution is unique if that is not known."""
        self._lu = factorise(self._bordered)
        if self._readout is not None and not self.unique:
            self._establish()

    def _establish(self) -> None:
        """Raise if L has a second stationary state, or if round-off leaves fewer digits than the tolerance asks for."""
        A, solve = self._bordered, self._lu.solve
        inverse = LinearOperator(A.shape, matvec=solve, rmatvec=lambda x: self._lu.solve(x, "T"), dtype=float)
        with np.errstate(all="ignore"):
            size = float(onenormest(inverse))
        if not EPSILON * size * float(abs(A).sum(axis=0).max()) <= SINGULAR:
            slow = f"is reached so slowly that round-off hides it (relaxation times up to about {size:.2g})"
            raise NotUniqueError(
                f"The stationary state is not unique, or {slow if size <= LONGEST else 'is hidden by round-off'}."
            )
        self._rest = v = self.stationary()
        if not (error := self._forward_error(v, A @ v)) <= 10 * self._tolerance:
            raise NotUniqueError(
                f"The stationary state is ill conditioned: round-off leaves errors of {error:.2g} (relaxation times "
                f"up to about {size:.2g})."
            )
        self.unique = True

    def _forward_error(self, v: np.ndarray, right: np.ndarray) -> float:
        """What round-off leaves of error in the readouts: at most |R A⁻¹| (ε |A| |v| + |A v − b|)."""
        rows = self._readout.toarray()
        rows = np.concatenate([rows.real, rows.imag]) if np.iscomplexobj(rows) else rows
        A = self._bordered
        missed = EPSILON * (abs(A) @ np.abs(v) + np.abs(right)) + np.abs(A @ v - right)
        weights = [np.abs(self._lu.solve(row, "T")) for row in rows]
        self.sensitivity = max((float(w.max(initial=0)) for w in weights), default=0.0)
        return max((float(w @ missed) for w in weights), default=0.0)

    def solve(
        self, source: np.ndarray, trace: float = 0.0, guess: np.ndarray | None = None, relative: float = 0.0
    ) -> np.ndarray:
        """Return v with L v = source and the given trace, or off by the part `relative` of the error of the guess."""
        right = np.array(source, dtype=np.result_type(source, self._bordered.dtype))
        right[self._row] = trace
        right = right * self._scale
        if self._lu is not None:
            v = self._lu.solve(right)
            for _ in range(2):  # iterative refinement
                v += self._lu.solve(right - self._bordered @ v)
            return self._checked(v, right)
        start = np.zeros_like(right) if guess is None else guess.astype(right.dtype)
        if self._part is not None and not relative:
            start = self._blockwise(right, start)
        try:
            return self._exponential(
                source, trace, start, relative, self.unique or guess is not None or trace == 0
            )
        except NotUniqueError:
            if len(right) > DIRECT_AT_MOST:
                raise
        self._factorise()
        return self.solve(source, trace)

    def stationary(self, guess: np.ndarray | None = None, relative: float = 0.0) -> np.ndarray:
        """Return v with L v = 0 and trace 1, or off by the part `relative` of the error of the guess."""
        if self._rest is not None:
            return self._rest
        return self.solve(np.zeros(self._bordered.shape[0]), 1.0, guess, relative)

    def _blockwise(self, right: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Improve a guess with the factorised blocks as preconditioner, as long as that goes quickly."""
        try:
            inverse = factorise(self._part).solve
        except ConvergenceError:  # a block alone may be singular where the whole is not
            return v

        def operator(x: np.ndarray) -> np.ndarray:
            return np.asarray(inverse(self._bordered @ x))

        residual, trial = np.asarray(inverse(right)) - operator(v), (TRIAL, PROMISING)
        told = self._told("stationary state")
        return v + krylov(operator, residual, 1e-2 * self._tolerance, BLOCKWISE, told, trial)[0]

    def _backward_error(self, v: np.ndarray, right: np.ndarray) -> float:
        """By how much entries of the equations would have to change, relative to themselves, for v to be exact.

        High occupations may hold large numbers, beside which a residual means little by itself.
        """
        scale = abs(self._bordered) @ np.abs(v) + np.abs(right)
        residual = np.abs(self._bordered @ v - right)
        return float((residual / np.where(scale > 0, scale, 1.0)).max())

    def _exponential(
        self, source: np.ndarray, trace: float, v: np.ndarray, relative: float, sure: bool
    ) -> np.ndarray:
        n, t = len(v), self._trace
        w = np.zeros(n)
        w[self._row] = 1 / t[self._row]
        accuracy = max(self._tolerance * 1e-2, 1e-13)
        told = self._told("stationary state")
        self._evolving()
        L = self._L if np.iscomplexobj(v) else Stepper(self._L, v[None])

        def operator(x: np.ndarray) -> np.ndarray:
            return np.asarray(x - propagate(L, x, [self._time], accuracy, told)[0] + w * (t @ x))

        right = trace * w
        if np.any(source):  # −∫ e^{Lu} s du from ẏ = L y + s
            extended = csr_matrix(bmat([[self._L, csr_matrix(source[:, None])], [None, csr_matrix((1, 1))]]))
            right = right - propagate(extended, np.r_[np.zeros(n), 1.0], [self._time], accuracy, told)[0][:n]
        most, cycles = EXPONENTIAL
        missing = right - operator(v)
        residual = float(np.linalg.norm(missing))
        slow = 1.0  # the smallest eigenvalue seen
        if relative:
            near = self._near(operator, missing, v, relative, told)
            if near is not None:
                return near
        for _ in range(cycles):
            target = max(self._tolerance * 1e-2, 100 * EPSILON * float(np.linalg.norm(v)), 1e-13)
            if residual <= target:
                break
            change, _, smallest = krylov(operator, missing, target, most, told)
            v, slow = v + change, min(slow, smallest)
            missing, before = right - operator(v), residual
            residual = float(np.linalg.norm(missing))
            if residual <= max(self._tolerance * slow, 10 * target) or residual > WORTHWHILE * before:
                break
        if not residual <= 10 * self._tolerance * slow:
            raise NotFoundError(
                "No stationary state was found: it is not unique, is reached too slowly (rates below about "
                f"{1 / self._time / most:.2g} of the largest), or round-off hides it (missed by {residual / slow:.2g})."
            )
        if not sure:  # what the operator annihilates is missing in a vector that is sought from its image
            probe = np.random.default_rng(0).normal(size=n)
            least = PROBED[0] * float(np.linalg.norm(probe))
            back = krylov(operator, operator(probe), least, most, told)[0]
            if not float(np.linalg.norm(back - probe)) <= PROBED[1] * float(np.linalg.norm(probe)):
                raise NotFoundError("The stationary state is not unique, or is reached too slowly to tell.")
            self.unique = True
        return v

    def _near(
        self, operator: Any, missing: np.ndarray, guess: np.ndarray, relative: float, told: Callable[[], None]
    ) -> np.ndarray | None:
        """The solution beside a guess, so that what is read of the difference is right to the part `relative`."""
        rows = abs(self._readout) if self._readout is not None else csr_matrix(eye_array(len(guess)))
        largest = float(np.sqrt(rows.multiply(rows).sum(axis=1)).max()) if rows.nnz else 1.0
        total, slow = np.zeros_like(guess), 1.0
        before = float(np.linalg.norm(missing))
        wanted = 1e-2 * relative * before
        for _ in range(EXPONENTIAL[1]):
            change, _, smallest = krylov(operator, missing, wanted, EXPONENTIAL[0], told)
            total, slow = total + change, min(slow, smallest)
            missing = missing - operator(change)
            residual = float(np.linalg.norm(missing))
            read = float((rows @ np.abs(total)).max(initial=0))
            wanted = max(1e-2 * self._tolerance, relative * read * slow / max(largest, 1e-300))
            if residual <= wanted or read > FAR * self._tolerance:
                return guess + total
            if residual > 0.5 * before:
                return None
            before = residual
        return None

    def _checked(self, v: np.ndarray, right: np.ndarray) -> np.ndarray:
        if self._backward_error(v, right) <= BACKWARD:
            return np.asarray(v)
        if self._readout is None or not (error := self._forward_error(v, right)) <= 10 * self._tolerance:
            off = "" if self._readout is None else f" (round-off leaves errors of {error:.2g})"
            raise NotUniqueError(f"The stationary state is not unique, or too ill conditioned{off}.")
        return np.asarray(v)

    def _told(self, what: str) -> Callable[[], None]:
        def callback() -> None:
            if self._progress is not None:
                self._progress(0.5, what)

        return callback


def bordered(L: csr_matrix, trace: np.ndarray) -> tuple[csr_matrix, np.ndarray, int]:
    """L with the trace for one of its rows, every row divided by its largest entry; by what they are multiplied; which.

    Rows of very different size, such as a slow bath beside a fast central system, become equally large: what is slow is
    not ill conditioned by that.
    """
    columns = np.flatnonzero(trace)
    row = int(columns[0])
    before, after = slice(None, L.indptr[row]), slice(L.indptr[row + 1], None)
    data = np.r_[L.data[before], trace[columns], L.data[after]]
    indices = np.r_[L.indices[before], columns, L.indices[after]]
    indptr = L.indptr.copy()
    indptr[row + 1 :] += len(columns) - (L.indptr[row + 1] - L.indptr[row])
    counts = np.diff(indptr)
    largest = np.zeros(len(counts))
    largest[counts > 0] = np.maximum.reduceat(np.abs(data), indptr[:-1][counts > 0])
    scale = 1 / np.where(largest > 0, largest, 1.0)
    return csr_matrix((data * np.repeat(scale, counts), indices, indptr), shape=L.shape), scale, row


class PartSolver:
    """Solutions on some of the unknowns, from the factorisation for all of them.

    It is a good preconditioner, as what is left out is small; that the solution is unique was established for all.

    Parameters
    ----------
    whole : StationarySolver
    index : ndarray of int
        The unknowns that are kept, the first of `whole` among them.
    """

    def __init__(self, whole: StationarySolver, index: np.ndarray) -> None:
        self._whole, self._index = whole, index
        self._bordered = whole._bordered[index][:, index]

    def _inverse(self, x: np.ndarray) -> np.ndarray:
        full = np.zeros(self._whole._bordered.shape[0])
        full[self._index] = x
        return np.asarray(self._whole._lu.solve(full)[self._index])

    def solve(
        self, source: np.ndarray, trace: float, guess: np.ndarray, relative: float
    ) -> np.ndarray | None:
        """Return v with L v = source and the given trace, off by the part `relative` of the error of the guess.

        None where there is no factorisation, or another one would take less time.
        """
        lu = self._whole._lu
        if lu is None or lu.nnz < FILLED * lu.shape[0]:
            return None
        right = np.array(source)
        right[0] = trace
        right = right * self._whole._scale[self._index]
        missing = self._inverse(right - self._bordered @ guess)
        size = float(np.linalg.norm(missing))
        floor = 1e-2 * self._whole._tolerance
        change, left, least = krylov(
            lambda x: self._inverse(self._bordered @ x), missing, max(0.1 * relative * size, floor), PART,
            self._whole._told("stationary state"),
        )  # fmt: skip
        good = left <= max(relative * min(least, 1.0) * float(np.linalg.norm(change)), floor)
        return guess + change if good else None


def krylov(
    operator: Callable[[np.ndarray], np.ndarray],
    residual: np.ndarray,
    target: float,
    most: int,
    told: Callable[[], None],
    trial: tuple[int, float] | None = None,
) -> tuple[np.ndarray, float, float]:
    """One cycle of GMRES for operator(x) = residual.

    Returns x, the norm of what is left of the residual, and the smallest eigenvalue of the operator that was seen: what
    is left over it is about the error of x. It ends when what is left is below `target`, after `most` products, or if
    after trial[0] of them the residual has not fallen by the factor trial[1].
    """
    size = first = float(np.linalg.norm(residual))
    if not size > target:
        return np.zeros_like(residual), size, 1.0
    vectors = np.empty((most + 1, len(residual)), dtype=residual.dtype)
    H = np.zeros((most + 1, most), dtype=vectors.dtype)
    vectors[0] = residual / size
    weights = np.zeros(0)
    for j in range(most):
        told()
        new = operator(vectors[j])
        for _ in range(2):  # the second time against round-off
            overlaps = vectors[: j + 1].conj() @ new
            new = new - overlaps @ vectors[: j + 1]
            H[: j + 1, j] += overlaps
        H[j + 1, j] = norm = np.linalg.norm(new)
        sought = first * np.eye(1, j + 2)[0]
        weights = np.linalg.lstsq(H[: j + 2, : j + 1], sought, rcond=None)[0]
        size = float(np.linalg.norm(H[: j + 2, : j + 1] @ weights - sought))
        slow = trial is not None and j + 1 == trial[0] and size > trial[1] * first
        if size <= target or not norm > 0 or slow:
            break
        vectors[j + 1] = new / norm
    m = len(weights)
    return weights @ vectors[:m], size, float(np.abs(np.linalg.eigvals(H[:m, :m])).min())


def corrected(
    missing: Callable[[np.ndarray], np.ndarray],
    operator: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    accuracy: float,
    part: float,
    round_off: float,
    cycles: tuple[int, int],
    told: Callable[[], None],
    readout: Any = None,
) -> tuple[np.ndarray, float]:
    """Correct a solution by cycles of GMRES; return it, and an estimate of its error, or of that of what is read of it.

    Parameters
    ----------
    missing, operator : callable
        The preconditioned residual of x, and what a change of x takes from it.
    x : ndarray
        The first guess.
    accuracy, part : float
        The largest error of x, or of what is read, and what part of it a residual may have.
    round_off : float
        Residuals below this, relative to x, are round-off.
    cycles : (int, int)
        Krylov vectors of a cycle, and cycles.
    told : callable
        Called now and then.
    readout : sparse matrix, optional
    """
    (vectors, most), slow, before, off = cycles, 1.0, np.inf, np.inf
    for cycle in range(most):
        left = missing(x)
        size = float(np.linalg.norm(left))
        off = size if readout is None else float(np.abs(readout @ left).max())
        floor = round_off * float(np.linalg.norm(x))
        if not size < np.inf or size <= floor or size > 0.5 * before:
            break
        if readout is None and off <= 0.1 * accuracy * slow:
            break
        if cycle and off <= 0.1 * accuracy * slow:
            # More may be read of what is left than the residual tells: it is found roughly, and is the estimate.
            change, _, least = krylov(operator, left, CONFIRMED * size, vectors, told)
            return x + change, max(float(np.abs(readout @ change).max()), CONFIRMED * off / min(slow, least))
        change, _, least = krylov(
            operator, left, max(0.01 * accuracy * slow * part, 0.1 * floor), vectors, told
        )
        x, slow, before = x + change, min(slow, least), size
    return x, off / slow


def factorise(matrix: Any) -> Any:
    """Sparse LU with an ordering that profits from the almost symmetric pattern of our generators."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", MatrixRankWarning)
            return splu(
                csc_matrix(matrix),
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=0.01,
                options={"SymmetricMode": True},
            )
    except (RuntimeError, MatrixRankWarning) as error:
        raise NotUniqueError(f"The stationary state is not unique ({error}).") from None
