"""From a problem to its matrices, in the modes that suit it: aligned with the couplings, with charges if it has any."""

from __future__ import annotations

import functools

import numpy as np

from ..problem.general import Problem
from . import dark_modes
from .charges import Charges, conserved
from .modes import align
from .sectors import Frame
from .site import Compiled, Site
from .state import Held

#: Entries of a charge's map on modes below this are round-off.
SAME = 1e-9


def compile_problem(
    given: Problem, start: Held | None = None, whole: bool = False, stationary: bool = False
) -> Compiled:
    """Write a problem as matrices, with modes chosen so that few of them are exchanged with a condensate, or as given.

    What is conserved is looked for unless the `whole` space is wanted, and then the modes have a charge. Where
    `stationary` the sites are at rest.
    """
    problem = given.stationary() if stationary else given
    dark = len(problem.classes) > 1 and all(c.count >= dark_modes.SMALLEST_CLASS for c in problem.classes)
    charges = None if whole or dark else conserved(problem)
    charged = bool(charges) if start is None else start.pairs is not None
    if start is None and not charged and all(c.dimension == 2 for c in problem.classes):
        return as_written(given, stationary)  # there is nothing to choose
    compiled = Compiled(problem, charged)
    for index, site in enumerate(compiled.sites):
        if start is None:
            turning = None if charges is None else turns(charges.classes[index])
            align(site, turning)
            site.pairs = pairs_of(site, turning)
        else:
            if (mix := start.mixes[index]) is not None:
                site.transform(mix)
            site.equation.start = start.references[
                index
            ]  # without the round-off of a way through density matrices
            site.pairs = start.pairs[index] if start.pairs else site.pairs
    if charged:
        compiled.charges, compiled.frame = framed(compiled, charges)
    return compiled


def turns(levels: np.ndarray) -> np.ndarray:
    """A diagonal operator of one site that tells all of its charges apart."""
    return np.diag(np.sqrt(np.arange(2.0, 2 + len(levels))) @ levels)


def pairs_of(site: Site, turning: np.ndarray | None) -> np.ndarray:
    """The pairs of modes that −i[Q, ·] turns into each other."""
    if turning is None:
        return np.zeros((0, 2), dtype=int)
    Q = site.basis.commutator(turning)[1:, 1:]
    i, j = np.nonzero(np.abs(Q) > SAME * np.abs(Q).max(initial=0))
    lone = (np.bincount(i, minlength=len(Q))[i] == 1) & (np.bincount(j, minlength=len(Q))[j] == 1)
    return np.column_stack([i, j])[lone & (i < j)]


def framed(compiled: Compiled, charges: Charges | None) -> tuple[Charges | None, Frame]:
    """The charges of which all modes have one, and what they are."""
    if charges is None:
        charges = Charges(
            np.zeros((0, compiled.basis.dimension), int),
            [np.zeros((0, s.basis.dimension), int) for s in compiled.sites],
        )
    of_modes, good = [], np.ones(len(charges), dtype=bool)
    adjoint, count = [], 0
    for site, levels in zip(compiled.sites, charges.classes, strict=True):
        maps = [1j * site.turned(site.basis.commutator(np.diag(q.astype(float))))[1:, 1:] for q in levels]
        found = np.array(maps).reshape(len(levels), site.basis.size - 1, site.basis.size - 1)
        of_modes.append(np.round(np.einsum("kii->ki", found).real).astype(np.int64))
        off = found - np.einsum("ki,ij->kij", of_modes[-1], np.eye(site.basis.size - 1))
        good &= np.abs(off).max(axis=(1, 2), initial=0) < SAME
        r = np.abs(site.turned(np.diag(np.r_[0, site.equation.initial()]))[1:, 1:]).max(axis=1)
        good &= ~((of_modes[-1] != 0) & (r > SAME)).any(axis=1)
        here = np.arange(site.basis.size - 1)
        here[site.pairs] = site.pairs[:, ::-1]
        adjoint.append(count + here)
        count += len(here)
    basis = compiled.basis
    frame = Frame(
        basis.charges(charges.central)[good], np.concatenate(of_modes, axis=1)[good], basis.adjoint,
        np.concatenate(adjoint),
    )  # fmt: skip
    return charges[good], frame


@functools.lru_cache(maxsize=4)
def as_written(problem: Problem, stationary: bool) -> Compiled:
    """A problem, or that with its sites at rest, as matrices in the basis of `OperatorBasis`; not to be changed."""
    return Compiled(problem.stationary() if stationary else problem)
