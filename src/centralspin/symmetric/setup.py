"""What a run of the symmetric method stands on: the problem as matrices, its sets of occupations, its readouts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import bmat, csr_matrix

from ..errors import ArgumentError, ConvergenceError
from ..problem.general import Task
from ..problem.moments import Moment
from . import dark_modes, jumps
from .basis import entries
from .charges import Charges
from .compile import compile_problem
from .cut import Outcome, Shape
from .generator import Generator
from .modes import pattern
from .readout import Readout
from .sectors import Frame, Unknowns
from .settling import masks
from .site import NOTHING
from .space import SymmetricSpace, count_box
from .state import Held, reached

#: The share of the tolerance that integration may use up; truncation has the rest.
INTEGRATION = 0.1
#: The scale of a mode is that of its occupations by at least so many quanta, to this power, as scales that make all
#: unknowns equally large make the generator less normal; and never larger than this. It has so many values per factor
#: of two, so that problems nearby have the same.
ALONE, SCALED, LARGEST_SCALE, STEPS = 4, 0.6, 4.0, 2
#: The logarithm of the largest unknown with which something can still be told from round-off.
LARGEST_SIZE = 150.0
#: What the columns of the three sets are multiplied by while they evolve. By powers of two round-off would be the same.
MARKS = (1.0, 0.7, 0.9)


class Setup:
    """One task, solved for values (orders = (None,)) or for coefficients in N^{−1/2} (orders = (0, 1, …, l)).

    `factors` are what multiplies the initial state, see `response`. Conserved numbers are used unless `whole`.
    """

    #: Whether the columns of `start` are real and imaginary parts by turns.
    complex = False

    def __init__(
        self,
        task: Task,
        orders: Sequence[int | None] = (None,),
        factors: Sequence[Moment] = (),
        whole: bool = False,
    ) -> None:
        self.task, self.orders, self.cut, self.first, self.share = task, tuple(orders), 0, 0, 1.0
        self.multiplied = 1.0
        start: Held | None = task.start
        self.compiled = compile_problem(task.problem, start, whole, task.times is None)
        problem = self.compiled.problem
        self.charges, self.frame = self.compiled.charges, self.compiled.frame
        self.references = self.compiled.references()
        at_limit = problem.size == math.inf and self.orders == (None,)
        before = reached(self.compiled, factors)
        self.rotated = dark_modes.applies(self.compiled) and not any(matrix.any() for matrix in before)
        if start is not None:
            self.rotated = self.rotated and start.modes is not None
            before = (
                [a | b for a, b in zip(before, start.seeds(), strict=True)] if start.modes is None else before
            )
        self.patterns = [
            pattern(site, problem.scaling, at_limit, by | jumps.exchanged(self.compiled, c, at_limit))
            for c, (site, by) in enumerate(zip(self.compiled.sites, before, strict=True))
        ]
        self._last: tuple[SymmetricSpace, Unknowns, np.ndarray] | None = None
        self._scales: np.ndarray | None = None
        self.readout = Readout(self.compiled, task.moments, self.orders)
        occupied = None if start is None else self._occupied
        if self.rotated:
            self._modes, rotated = dark_modes.rotation(self.compiled, self.patterns, at_limit)
            power = max((m.power or 0 for m in task.moments), default=0)
            self.shape = Shape([rotated], [math.inf], [rotated > 0], power, occupied)
        else:
            weights = [p.weights for p in self.patterns]
            self.shape = Shape(
                weights, [s.count for s in self.compiled.sites], *self._needed(), occupied, self.frame
            )
        if self.frame is not None and self.charges is not None:
            self.frame.reach(self._totals(self.charges, self.frame, factors))
        if (start is not None and (start.modes is not None) != self.rotated) or (
            self.rotated and start is not None and not np.allclose(self._modes, np.asarray(start.modes))
        ):
            raise ArgumentError(
                "initial",
                "be continued with the couplings it was made with, and without collective operators in `correlation`, "
                f"where there are several classes of at least {dark_modes.SMALLEST_CLASS} sites",
                "continued with others",
            )

    def _totals(self, charges: Charges, frame: Frame, factors: Sequence[Moment]) -> np.ndarray:
        """The charges that the initial state and what multiplies it have."""
        start = self.task.start
        if self.task.problem.at_rest or self.task.times is None:
            totals = np.zeros(1, dtype=np.int64)
        elif start is None:
            totals = frame.central[np.abs(self.compiled.initial()) > NOTHING]
        else:
            n, a = np.nonzero(start.vectors.any(axis=-1))
            totals = frame.of(start.occupations)[n] + frame.central[a]
        for moment in factors:
            totals = np.add.outer(totals, np.r_[0, charges.shifts(moment)])
        return np.unique(totals)

    def _needed(self) -> tuple[list[np.ndarray], int]:
        """Which modes the readouts reach, and up to how many quanta."""
        generic = [site.equation.generic() for site in self.compiled.sites]
        rows = np.array([bath for of_order in self.readout.series(generic) for bath, _ in of_order])
        read = np.count_nonzero(rows, axis=0) > 0
        used = self.readout.occupations[read]
        ends = np.cumsum([0, *(len(p.weights) for p in self.patterns)])
        modes = used.any(axis=0)
        if self.frame is not None:  # an operator that is not Hermitian reads one mode of a pair
            modes = modes | modes[self.frame.modes_adjoint]
        return [modes[a:b] for a, b in itertools.pairwise(ends)], int(used.sum(axis=1).max(initial=0))

    def generator(self, occupations: np.ndarray) -> Any:
        """The representation that suits the problem."""
        if self.rotated:
            return dark_modes.RotatedGenerator(self.compiled, self._modes, occupations, self.orders)
        return Generator(self.compiled, self.patterns, occupations, self.orders)

    def entries(self, cut: int) -> float:
        """About how many entries a row of the generator has at a cut, before those at the same place are added.

        A quantum can only hop out of a mode that holds one, and into a mode that has room.
        """
        compiled, size = self.compiled, self.compiled.basis.size
        whole = count_box(self.shape.weights, self.shape.sizes, cut)
        total, shares = sum(len(entries(M)[2]) for M in compiled.central.matrices) / size, []
        for site, known in zip(compiled.sites, self.patterns, strict=True):
            part = {
                w: count_box(self.shape.weights, self.shape.sizes, cut - w) / whole if 0 < w <= cut else 0.0
                for w in np.unique(known.weights).tolist()
            }
            held = np.array([1.0, *(part[w] for w in known.weights.tolist())])
            share = np.where(np.arange(len(held)) == 0, held[:, None], held)  # (to, source)
            shares.append(share)
            total += float((known.local * share).sum())
            for (C, *_), coupled in zip(site.couplings, known.coupled, strict=True):
                total += float((coupled * share).sum()) * len(entries(C)[2]) / size
        generic = compiled.generic() if compiled.problem.collective_jumps else []
        for dissipator in jumps.dissipators(compiled):
            for operation, of in zip(dissipator.central, dissipator.coefficients(generic), strict=True):
                total += of.entries(shares) * len(entries(operation)[2]) / size
        return total

    def start(self, generator: Any, mask: np.ndarray) -> np.ndarray:
        """The initial state, shape (unknowns of all orders, columns): for every set its real and its imaginary part."""
        raise NotImplementedError

    def _occupied(self, cut: int) -> np.ndarray:
        """What the initial state has at a cut."""
        raise NotImplementedError

    def _named(self) -> str:
        """What is conserved."""
        if self.frame is None or not self.charges:
            return ""
        totals = self.frame.totals
        if len(self.charges) > 1 or totals is None:
            return f"; {len(self.charges)} excitation numbers are conserved"
        reached = ", ".join(f"±{c}" if c else "0" for c in totals[totals >= 0].tolist())
        return f"; an excitation number is conserved, and operators of charge {reached} are reached"

    def _prepared(self, outer: np.ndarray, inner: np.ndarray) -> tuple[Any, np.ndarray]:
        """The generator on the outer set, and which unknowns of all orders belong to the inner ones."""
        generator = self.generator(outer)
        self._inner = inner
        return generator, np.tile(inner[generator.unknowns.bath], (len(self.orders), 1))

    def _outcome(
        self, states: np.ndarray, rows: np.ndarray, unknowns: int, end: tuple[Any, ...] | None = None
    ) -> Outcome:
        """From states, shape (…, components, columns), and readouts; `end` is the last state as `_held` takes it."""
        if self.complex:
            states = states[..., ::2] + 1j * states[..., 1::2]
        values = np.einsum("...ri,...i->...r", rows, states[..., 0])
        apart = np.abs(states[..., :1] - states[..., 1:])
        change = np.einsum("...ri,...is->...rs", np.abs(rows), apart)
        return Outcome(values, change.max(axis=-1, initial=0), unknowns, end and self._held(*end))

    def _held(
        self, generator: Any, V: np.ndarray, mask: np.ndarray, references: list[np.ndarray]
    ) -> Held | None:
        """The state that can be continued from, where there is one."""
        if self.orders != (None,) or self.complex:
            return None
        task = self.task
        before = 0.0 if task.start is None else task.start.integration
        return Held(
            generator.space.occupations, self._inner,
            generator.unknowns.spread(V)[..., [0, min(1, V.shape[1] - 1), -1]],
            self.cut, references, [site.count for site in self.compiled.sites],
            [site.basis.mix for site in self.compiled.sites], self._modes if self.rotated else None,
            replace(task, progress=None, outgrown=math.inf, multiplied=None), before + INTEGRATION * task.tolerance,
            pairs=None if self.frame is None else [site.pairs for site in self.compiled.sites],
        )  # fmt: skip

    def _masks(self, mask: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Which unknowns every column of `start` has."""
        sets = masks(mask)
        return np.repeat(sets, start.shape[1] // sets.shape[1], axis=1)

    def _marks(self, sets: int, start: np.ndarray) -> np.ndarray:
        """What every column of `start` is multiplied by: then round-off differs from set to set, and shows."""
        return np.repeat(MARKS[:sets], start.shape[1] // sets)

    def _sizes(self, generator: Any) -> np.ndarray:
        r"""How large the unknowns are expected to be: :math:`\prod_i α_i^{n_i}`, with α_i from the cut before.

        A state far from the reference state has large coefficients where many quanta are; without a scale of their own
        their round-off would drown the small ones, which are read.
        """
        if self._scales is None:
            return np.ones(generator.size * len(self.orders))
        logarithms = generator.space.occupations @ np.log(self._scales)
        if (most := float(logarithms.max(initial=0))) > LARGEST_SIZE:
            raise ConvergenceError(
                f"The state holds so many quanta that its coefficients reach 1e{most / math.log(10):.0f}, and "
                "round-off hides what is asked for."
            )
        sizes = np.exp(logarithms)
        return np.tile(sizes[generator.unknowns.bath], len(self.orders))

    def _scaled_rows(self, rows: csr_matrix, sizes: np.ndarray) -> tuple[csr_matrix, float]:
        """The rows that read scaled unknowns, and what these may be off by."""
        scaled = csr_matrix(rows.multiply(sizes))
        growth = abs(scaled).max() / max(abs(rows).max(), 1e-300) if rows.nnz else 1.0
        return scaled, INTEGRATION * self.precision / max(growth, 1.0)

    @property
    def precision(self) -> float:
        """To what the values must be known for what is asked to meet the tolerance, as far as it is known yet."""
        return self.task.tolerance / self.multiplied

    def _keep(self, generator: Any, state: np.ndarray) -> None:
        """Keep a state of the lowest order as a guess for the next cut, and the scale of every mode in it."""
        state = state[: generator.size]
        self._last = generator.space, generator.unknowns, state
        occupations = generator.space.occupations
        largest = np.zeros(len(occupations))
        np.maximum.at(largest, generator.unknowns.bath, np.abs(state))
        quanta = occupations.sum(axis=1)
        modes = np.arange(occupations.shape[1])
        adjoint = modes if self.frame is None else self.frame.modes_adjoint
        self._scales = np.ones(len(modes))
        for mode in modes[modes <= adjoint]:  # the same for both of a pair
            pair = np.unique([mode, adjoint[mode]])
            alone = (occupations[:, pair].sum(axis=1) == quanta) & (quanta >= ALONE)
            if alone.any():
                found = (largest[alone] ** (SCALED / quanta[alone])).max()
                found = 2 ** (np.round(STEPS * np.log2(max(found, 1.0))) / STEPS)
                self._scales[pair] = np.clip(found, 1.0, LARGEST_SCALE)


def rescaled(L: csr_matrix, sizes: np.ndarray) -> csr_matrix:
    """S⁻¹ L S with the diagonal matrix S of the sizes."""
    if (sizes == 1).all():
        return L
    data = L.data * sizes[L.indices] / np.repeat(sizes, np.diff(L.indptr))
    return csr_matrix((data, L.indices, L.indptr), shape=L.shape)


def triangular(blocks: list[csr_matrix]) -> csr_matrix:
    """The block Toeplitz matrix with blocks[0] on the diagonal, blocks[1] below it, …."""
    if len(blocks) == 1:
        return blocks[0]
    count = len(blocks)
    grid = [[blocks[i - j] if i >= j else None for j in range(count)] for i in range(count)]
    return csr_matrix(bmat(grid, format="csr"))
