r"""Which unknowns a run has, and how they are written as real numbers.

Without a conserved number every occupation n goes with every element a of the central basis; all elements are
Hermitian, so that all unknowns are real. With one, the elements |i⟩⟨j| and the modes made like them have a charge, and
only pairs (n, a) of the charges that are reached are unknowns. They are complex, but those of (n, a) and of its adjoint
(n̄, ā) are conjugate to each other: with x = (α + iβ)/√2, α and β take their places, a unitary transformation.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array

from .basis import entries

#: Charges of different numbers are added with these weights, so that no two sums are the same.
RADIX = 2**20


def encoded(charges: np.ndarray) -> np.ndarray:
    """One integer for the charges of several numbers, shape (numbers, …)."""
    return np.tensordot(RADIX ** np.arange(len(charges)), charges, axes=1).astype(np.int64)


class Frame:
    """The charges of the central elements and of all modes.

    Parameters
    ----------
    central, modes : ndarray of int, shapes (numbers, d_c²) and (numbers, D)
        The charges of the elements and modes.
    central_adjoint, modes_adjoint : ndarray of int
        Which element, and which mode, is the adjoint of each.
    """

    def __init__(
        self, central: np.ndarray, modes: np.ndarray, central_adjoint: np.ndarray, modes_adjoint: np.ndarray
    ) -> None:
        self.numbers = len(central)
        zero = np.zeros(modes.shape[1], dtype=np.int64)
        self.first_modes = modes[0] if self.numbers else zero
        self._first_central = central[0] if self.numbers else np.zeros(central.shape[1], dtype=np.int64)
        self.central, self.modes = encoded(central), encoded(modes)
        self.central_adjoint, self.modes_adjoint = central_adjoint, modes_adjoint
        #: The total charges that are reached, or None where all are kept.
        self.totals: np.ndarray | None = None

    def reach(self, totals: np.ndarray) -> None:
        """Keep these charges and their opposites, and 0, which the trace has."""
        if self.numbers:
            self.totals = np.unique(np.concatenate([[0], totals, -totals]))

    def of(self, occupations: np.ndarray) -> np.ndarray:
        """The charge of every row of occupations."""
        return np.asarray(occupations @ self.modes)

    def allowed(self, charges: np.ndarray) -> np.ndarray:
        """Which central elements go with occupations of these charges, shape (charges, d_c²)."""
        if self.totals is None:
            return np.ones((len(charges), len(self.central)), dtype=bool)
        return np.isin(np.add.outer(charges, self.central), self.totals)

    def allowed_first(self, largest: int) -> np.ndarray:
        """How many central elements at most go with occupations of the first number's charge −M, …, M."""
        totals = np.zeros(0, dtype=np.int64) if self.totals is None else self.totals
        first = (totals + RADIX // 2) % RADIX - RADIX // 2
        charges = np.arange(-largest, largest + 1)
        return np.asarray(np.isin(np.add.outer(charges, self._first_central), first).sum(axis=1))

    def keeps(self, occupations: np.ndarray) -> np.ndarray:
        """Which rows of occupations go with any central element."""
        charges, place = np.unique(self.of(occupations), return_inverse=True)
        return np.asarray(self.allowed(charges).any(axis=1))[place.ravel()]


class Unknowns:
    """The unknowns on a set of occupations.

    Parameters
    ----------
    occupations : ndarray
        The set, all of whose rows the frame keeps.
    find : callable
        From occupations to their indices in the set.
    elements : int
        The number d_c² of central elements.
    frame : Frame or None
        None where all unknowns are real and none is left out.

    Attributes
    ----------
    size : int
        How many real numbers there are.
    bath : ndarray of int, shape (size,)
        The index of the occupations of every one of them.
    neutral : ndarray of bool, shape (size,)
        Which of them have the charge 0, as all of a stationary state have.
    """

    def __init__(self, occupations: np.ndarray, find: Any, elements: int, frame: Frame | None) -> None:
        self._shape, self._frame = (len(occupations), elements), frame
        if frame is None:
            self.size = len(occupations) * elements
            self.bath = np.repeat(np.arange(len(occupations)), elements)
            self.neutral = np.ones(self.size, dtype=bool)
            return
        charges, kind = np.unique(frame.of(occupations), return_inverse=True)
        self._kind = kind.ravel()
        allowed = frame.allowed(charges)
        #: The place of (n, a) is that of n plus the rank of a among what goes with the charge of n; −1 if a does not.
        self._rank = np.where(allowed, np.cumsum(allowed, axis=1) - 1, -1)
        counts = allowed.sum(axis=1)[self._kind]
        self._first = np.concatenate([[0], np.cumsum(counts)])
        n = np.repeat(np.arange(len(occupations)), counts)
        a = np.nonzero(allowed[self._kind])[1]
        adjoint = find(occupations[:, frame.modes_adjoint])
        assert (adjoint >= 0).all(), "the set has no occupations without their adjoint"
        partner = self.place(adjoint[n], frame.central_adjoint[a])
        here = np.arange(len(n))
        self._n, self._a = n, a
        #: Of two that are adjoint to each other the first one is kept.
        self._kept = here <= partner
        self._double = (here != partner)[self._kept]
        self._partner = partner
        ends = np.cumsum(1 + self._double)
        self.size = int(ends[-1])
        #: The real unknown α of every complex one; β follows it where there is one.
        self._real = np.zeros(len(n), dtype=np.intp)
        self._real[self._kept] = ends - 1 - self._double
        self._real[~self._kept] = self._real[partner[~self._kept]]
        self._sign = np.where(self._kept, 1.0, -1.0)
        self.bath = np.repeat(n[self._kept], 1 + self._double)
        total = charges[self._kind[n]] + frame.central[a]
        self.neutral = np.repeat(total[self._kept] == 0, 1 + self._double) | (frame.totals is None)

    def place(self, n: np.ndarray, a: np.ndarray) -> np.ndarray:
        """The complex unknown of n and a, −1 where it is left out."""
        if self._frame is None:
            return np.asarray(n * self._shape[1] + a)
        rank = self._rank[self._kind[n], a]
        return np.where(rank < 0, -1, self._first[n] + rank)

    def products(
        self, rows: np.ndarray, columns: np.ndarray, central: tuple[np.ndarray, np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The elements of a product of a map on occupations, and one on central elements.

        Returns
        -------
        rows, columns : ndarray of int
            Complex unknowns.
        first, second : ndarray of int
            Which element of the first map, and which of the second, are multiplied.
        """
        a, b, _ = central
        if self._frame is None:
            count = self._shape[1]
            first = np.repeat(np.arange(len(rows)), len(a))
            second = np.tile(np.arange(len(a)), len(rows))
            return (
                (rows[:, None] * count + a).ravel(),
                (columns[:, None] * count + b).ravel(),
                first,
                second,
            )
        kinds, entries = np.nonzero(self._rank[:, b] >= 0)  # sorted by kind
        ends = np.searchsorted(kinds, np.arange(len(self._rank) + 1))
        begin, count = ends[self._kind[columns]], np.diff(ends)[self._kind[columns]]
        first = np.repeat(np.arange(len(columns)), count)
        within = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
        second = entries[np.repeat(begin, count) + within]
        to = self.place(rows[first], a[second])
        inside = to >= 0
        first, second, to = first[inside], second[inside], to[inside]
        return to, self.place(columns[first], b[second]), first, second

    def realified(
        self, rows: np.ndarray, columns: np.ndarray, values: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        r"""The elements of the real matrix of a complex one that keeps adjoints, and of which element each is a part.

        Where y = c x with c = p + iq, :math:`α' = pα - qβ` and :math:`β' = qα + pβ`, the signs of q and of the last
        p being turned round where x is the conjugate of what is kept.
        """
        source = np.arange(len(rows))
        if self._frame is None:
            return rows, columns, values, source
        source = np.flatnonzero(self._kept[rows])
        rows, columns, values = rows[source], columns[source], values[source]
        double = np.repeat(False, len(self._kept))
        double[self._kept] = self._double
        double[~self._kept] = True
        two, from_two, sign = double[rows], double[columns], self._sign[columns]
        R, C = self._real[rows], self._real[columns]
        values = values * np.sqrt((1.0 + two) / (1.0 + from_two))
        p, q = values.real, values.imag
        parts = [
            (np.ones_like(two), 0, 0, p),
            (from_two, 0, 1, -sign * q),
            (two, 1, 0, q),
            (two & from_two, 1, 1, sign * p),
        ]
        chosen = [
            (R[m] + i, C[m] + j, v[m], source[m])
            for where, i, j, v in parts
            for m in (np.flatnonzero(where & (v != 0)),)
        ]
        return tuple(np.concatenate(part) for part in zip(*chosen, strict=True))  # type: ignore[return-value]

    @cached_property
    def unitary(self) -> csr_array:
        """The matrix from the real numbers to the complex unknowns."""
        if self._frame is None:
            return csr_array(coo_array((np.ones(self.size), (np.arange(self.size),) * 2)))
        count = len(self._n)
        here = np.arange(count)
        single = here == self._partner
        alpha = np.where(single, 1.0, np.sqrt(0.5))
        beta = 1j * np.sqrt(0.5) * self._sign[~single]
        rows = np.concatenate([here, here[~single]])
        columns = np.concatenate([self._real, self._real[~single] + 1])
        values = np.concatenate([alpha.astype(complex), beta])
        return csr_array(coo_array((values, (rows, columns)), shape=(count, self.size)))

    def matrix(self, bath: Any, central: Any) -> csr_array:
        """The product of a map on occupations and one on elements, acting on the real numbers; complex."""
        bath, factor = bath.tocoo(), entries(central)
        rows, columns, first, second = self.products(bath.row, bath.col, factor)
        values = (bath.data[first] * factor[2][second]).astype(complex)
        count = self.size if self._frame is None else len(self._n)
        product = csr_array(coo_array((values, (rows, columns)), shape=(count, count)))
        return product if self._frame is None else self.unitary.conj().T @ product @ self.unitary

    def spread(self, V: np.ndarray) -> np.ndarray:
        """From the real numbers, shape (size, …), to coordinates, shape (occupations, d_c², …)."""
        if self._frame is None:
            return V.reshape(*self._shape, *V.shape[1:])
        found = np.zeros((*self._shape, *V.shape[1:]), dtype=complex)
        found[self._n, self._a] = self.unitary @ V
        return found

    def product(self, central: np.ndarray) -> np.ndarray:
        """The real numbers of coordinates of the central system, times n = 0, which comes first."""
        if self._frame is None:
            return np.concatenate([central, np.zeros(self.size - len(central))])
        found = np.where(self._n == 0, central[self._a], 0)
        return np.asarray((self.unitary.conj().T @ found).real)

    def gather(self, coordinates: np.ndarray) -> np.ndarray:
        """The inverse: the real numbers of the coordinates of a Hermitian operator."""
        if self._frame is None:
            return coordinates.reshape(self.size, *coordinates.shape[2:])
        return np.asarray((self.unitary.conj().T @ coordinates[self._n, self._a]).real)

    def row(self, places: np.ndarray, bath: np.ndarray, central: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Complex unknowns that the product of a row on occupations and one on elements reads, and the values."""
        read, a = places[bath != 0], np.flatnonzero(central)
        place = self.place(np.repeat(read, len(a)), np.tile(a, len(read)))
        values = np.outer(bath[bath != 0], central[a]).ravel()
        return place[place >= 0], values[place >= 0]

    def rows(self, found: Sequence[tuple[np.ndarray, np.ndarray]], real: bool) -> Any:
        """The rows that read the real numbers, from those of `row`."""
        counts = [len(place) for place, _ in found]
        count = self.size if self._frame is None else len(self._n)
        number = np.repeat(np.arange(len(found)), counts)
        place, values = (np.concatenate(part) for part in zip(*found, strict=True))
        matrix = csr_array(coo_array((values, (number, place)), shape=(len(found), count)))
        if self._frame is not None:
            matrix = matrix @ self.unitary
        return matrix.real if real else matrix
