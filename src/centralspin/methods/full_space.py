r"""Method "full_space": the Lindblad equation of all sites in the whole space by QuTiP; obviously right, and slow.

Every model can be asked: any central system, several classes of sites of any dimension, factors that change in
time, interactions. The density matrix has :math:`d_c^2 \prod_c d_c^{2N_c}` entries, which limits it to a few sites.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import ArgumentError, ConvergenceError
from ..numerics.null_space import null_vector
from ..numerics.stepping import integrate
from ..optional import qutip
from ..problem.central_spin import PAULI, CentralSpinModel, paper_model
from ..problem.checks import checked, is_hermitian
from ..problem.collective import collective_model
from ..problem.general import Factor, Problem, Task, dimensionless
from ..problem.moments import Moment, Reading
from .small import (
    ROUND_OFF,
    at,
    cannot_start,
    central_state,
    followed,
    initial_state,
    real_where_hermitian,
    require_constant,
    sparse,
    tell,
)

ABOUT = "zero"
OPTIONS: frozenset[str] = frozenset({"t_stops"})

#: Entries of the largest density matrix: a central spin and six others.
LARGEST_SIZE = 4**7
#: From so many unknowns on it is found out how long a stationary state takes, before it is sought.
_LARGE = 4000
#: A matrix with an entry larger than 1 by this is no density matrix, and is found again with a tolerance so many times
#: as large. No run has one below this.
_NO_STATE, _OTHER_STEPS, _LEAST = 1e-6, 10.0, 1e-10


class FullSpace:
    """All sites of a finite problem, the central system first.

    Parameters
    ----------
    problem : Problem
        The problem, with finitely many sites.

    Attributes
    ----------
    dimensions : list of int
        Of the central system and of every site, class by class.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.dimensions = [problem.central.dimension]
        self._sites: list[range] = []
        for site in problem.classes:
            first = len(self.dimensions)
            self.dimensions += [site.dimension] * int(site.count)
            self._sites.append(range(first, len(self.dimensions)))

    def place(self, operator: np.ndarray, k: int) -> Any:
        """An operator of subsystem k, 0 being the central one, on the whole space."""
        factors = [qutip.qeye(d) for d in self.dimensions]
        factors[k] = qutip.Qobj(operator).to("csr")  # early versions make dense products of dense ones
        return qutip.tensor(factors)

    def total(self, operator: np.ndarray, site_class: int) -> Any:
        """Σ_k B^{(k)} over the sites of a class."""
        return sum(self.place(operator, k) for k in self._sites[site_class])

    def hamiltonian(self) -> list[tuple[Any, Factor]]:
        """The parts of the Hamiltonian with their factors."""
        problem = self.problem
        parts = [(self.place(H, 0), f) for H, f in problem.central.hamiltonian]
        for c, site in enumerate(problem.classes):
            parts += [(self.total(H, c), f) for H, f in site.hamiltonian]
            for A, B, f in site.couplings:
                part = problem.size**-problem.scaling * self.place(A, 0) * self.total(B, c)
                parts.append((part if is_hermitian(A) and is_hermitian(B) else part + part.dag(), f))
            for A, B in site.interactions:
                part = self.total(A, c) * self.total(B, c) / site.count
                parts.append(((part + part.dag()) / 2, 1.0))
        return parts

    def jumps(self) -> list[tuple[Any, Factor]]:
        """The jump operators with the factors of their dissipators."""
        jumps = [(self.place(J, 0), f) for J, f in self.problem.central.jumps]
        for site, places in zip(self.problem.classes, self._sites, strict=True):
            jumps += [(self.place(J, k), f) for k in places for J, f in site.jumps]
        for A, by_class in self.problem.collective_jumps:
            S = sum(self.total(B, c) for c, B in by_class.items())
            jumps.append((self.problem.size**-0.5 * self.place(A, 0) * S, 1.0))
        return jumps

    def liouvillian(self) -> Any:
        """The generator as a superoperator of QuTiP, a `QobjEvo` if it changes in time."""
        constant, moving = self.superoperators()
        return qutip.QobjEvo([constant, *([L, _of_time(f)] for L, f in moving)]) if moving else constant

    def superoperators(self) -> tuple[Any, list[tuple[Any, Callable[[float], float]]]]:
        """The constant part of the generator, and those that change in time with their factors."""
        parts = [(qutip.liouvillian(H), f) for H, f in self.hamiltonian()]
        parts += [(qutip.lindblad_dissipator(J), f) for J, f in self.jumps()]
        constant = sum((f * L for L, f in parts if not callable(f)), 0 * parts[0][0])
        return constant, [(L, f) for L, f in parts if callable(f)]

    def initial(self) -> Any:
        """The initial product state."""
        states = [qutip.Qobj(central_state(self.problem))]
        for site in self.problem.classes:
            states += [qutip.Qobj(initial_state(site))] * int(site.count)
        return qutip.tensor(states)

    def moment(self, moment: Moment) -> Any:
        """The operator A ⊗ (N^{−s} Σ_k B^{(k)})^p."""
        central = np.eye(self.dimensions[0]) if moment.central is None else moment.central
        operator = self.place(central, 0)
        if moment.power:
            scale = self.problem.size**-moment.scaling
            X = scale * sum(self.total(B, c) for c, B in moment.operators.items())
            operator = operator * X**moment.power
        return operator


@checked(model=paper_model)
def operators(model: CentralSpinModel) -> tuple[Any, list[Any], dict[str, list[Any]]]:
    """Return H, the jump operators, and σ_x, σ_y, σ_z of every spin (the central one first), in the model's units."""
    problem = dimensionless(collective_model(model, bath_bloch=(0, 0, 0)))
    if error := _too_large(problem):
        raise error
    require_constant(problem, "full_space")
    space = FullSpace(problem)
    H = sum(at(f, 0.0) * part for part, f in space.hamiltonian()) * problem.unit
    jumps = [math.sqrt(at(f, 0.0) * problem.unit) * J for J, f in space.jumps()]
    places = range(len(space.dimensions))
    spin = {axis: [space.place(s, k) for k in places] for axis, s in zip("xyz", PAULI, strict=True)}
    return H, jumps, spin


def refuses(task: Task) -> ArgumentError | None:
    """Say why the whole space cannot do a task, if so."""
    if error := _too_large(task.problem):
        return error
    if task.times is not None:
        return cannot_start(task.problem)
    try:
        require_constant(task.problem, "full_space")
    except ArgumentError as error:
        return error
    return None


def run(task: Task) -> Reading:
    """Read moments off the full density matrix."""
    space = FullSpace(task.problem)
    observables = [space.moment(moment) for moment in task.moments]

    def read(states: Sequence[Any]) -> np.ndarray:
        return np.array([[complex((O * rho).tr()) for O in observables] for rho in states])

    if task.times is None:
        _expect(task.problem, task.progress)
        rho, error = _stationary(space.liouvillian(), space.dimensions)
        values = read([rho])[0]
        error *= max((float(O.norm("fro")) for O in observables), default=0.0)
    else:
        follow, error = _evolve if task.problem.constant else _driven, task.tolerance
        values = read(states := follow(space, task))
        if max(float(np.abs(rho.full()).max()) for rho in states) > 1 + _NO_STATE:
            # Nothing bounds what negative rates make of an error, round-off included: other steps show it.
            other = replace(task, tolerance=_OTHER_STEPS * max(task.tolerance, _LEAST))
            error = max(error, float(np.abs(values - read(follow(space, other))).max(initial=0)))
    values = real_where_hermitian(values, task.moments)
    details = {"unknowns": math.prod(space.dimensions) ** 2}
    return Reading(values, error, details)


def _expect(problem: Problem, progress: Any) -> None:
    """Refuse what will take too long, from how long one site less takes: a factorisation cannot be stopped."""
    crowd = max(range(len(problem.classes)), key=lambda c: problem.classes[c].count)
    site = problem.classes[crowd]
    if progress is None or site.count < 2 or math.prod(FullSpace(problem).dimensions) ** 2 < _LARGE:
        return
    fewer = replace(site, count=site.count - 1)
    smaller = replace(problem, classes=(*problem.classes[:crowd], fewer, *problem.classes[crowd + 1 :]))
    _expect(smaller, progress)
    began, space = progress.seconds, FullSpace(smaller)
    with contextlib.suppress(ConvergenceError):  # only its time matters
        _stationary(space.liouvillian(), space.dimensions)
    # Work grows at least as the square of the unknowns.
    progress.expect(progress.seconds - began, site.dimension**4, "the stationary state")


def _stationary(L: Any, dimensions: Sequence[int]) -> tuple[Any, float]:
    """The only stationary density matrix, and the round-off in it."""
    d = math.prod(dimensions)
    v, error = null_vector(sparse(L), np.eye(d).ravel())
    rho = v.reshape(d, d, order="F")  # QuTiP stacks columns
    return qutip.Qobj((rho + rho.conj().T) / 2, dims=[list(dimensions)] * 2), error


def _evolve(space: FullSpace, task: Task) -> list[Any]:
    """The density matrices at the times of a task."""
    times, rho = task.times, space.initial()
    assert times is not None
    accuracy = max(task.tolerance, _LEAST) * 1e-3
    last = float(times[-1])
    return followed(
        space.liouvillian(),
        rho,
        times,
        accuracy,
        lambda now, _: tell(task.progress, now / last, "the master equation"),
    )


def _driven(space: FullSpace, task: Task) -> list[Any]:
    """The same where the generator changes in time, by SciPy.

    Without interpolation QuTiP's steps may write beyond their memory; with it, they may pass over a pulse.
    """
    times, rho = task.times, space.initial()
    assert times is not None
    constant, parts = space.superoperators()
    L, moving = sparse(constant), [(sparse(part), f) for part, f in parts]
    vectors = integrate(
        lambda t, v: sum((f(t) * (part @ v) for part, f in moving), L @ v),
        qutip.operator_to_vector(rho).full().ravel(), times, task.tolerance, timed=True, factors=task.problem.functions,
        t_stops=[*times, *task.options.get("t_stops", ())],  # steps end at all times: nothing is interpolated
        progress=task.progress,
    )  # fmt: skip
    return [qutip.Qobj(v.reshape(rho.shape, order="F"), dims=rho.dims) for v in vectors]


def _too_large(problem: Problem) -> ArgumentError | None:
    levels = [(site.dimension, site.count) for site in problem.classes]
    logarithm = 2 * (math.log(problem.central.dimension) + sum(count * math.log(d) for d, count in levels))
    room = math.log(LARGEST_SIZE) * (1 + ROUND_OFF)
    if logarithm <= room:
        return None
    most = max(0, int((room / 2 - math.log(problem.central.dimension)) / math.log(max(d for d, _ in levels))))
    around = (
        f"sites of {max(d for d, _ in levels)} levels around a central system of {problem.central.dimension}"
    )
    return ArgumentError("N", f'be at most {most} with method "full_space" for {around}', f"{problem.size:g}")


def _of_time(function: Callable[[float], float]) -> Callable[[float], float]:
    """A function with the signature that QuTiP expects."""
    return lambda t: function(t)
