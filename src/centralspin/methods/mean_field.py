r"""Method "mean_field": all correlations neglected, ρ = ρ_c ⊗ m^{⊗N}.

The central system feels the field of the averages, a site that of the central system: with the couplings
f A ⊗ B of all classes, N_c/N = s_c and without the h.c. of pairs that are Hermitian,

.. math::
    H_c^{mf} = H_c + \sum f N^{1-z} s_c (\mathrm{Tr}(B m)\, A + h.c.), \qquad
    H_m^{mf} = H + \sum f N^{-z} (\mathrm{Tr}(A ρ_c)\, B + h.c.).

With m = ω(t) + u/√N, where ω(t) is a site without the central system, u stays finite as N → ∞: for z = 1 it drops out
and Theorem 2 remains; for z = ½ it is the classical amplitude of the sites, ⟨q⟩ without its fluctuations,
which is not what the exact theory gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.linalg import block_diag, null_space

from ..errors import ArgumentError, ConvergenceError
from ..numerics.stepping import integrate
from ..problem.central_spin import PAULI, CentralSpinModel, paper_model
from ..problem.checks import checked, is_hermitian
from ..problem.collective import collective_model
from ..problem.general import Problem, Task, dimensionless
from ..problem.moments import Moment, Reading
from .small import (
    ROUND_OFF,
    at,
    cannot_start,
    central_state,
    initial_state,
    lindbladian,
    pauli,
    power_of,
    real_where_hermitian,
    require_constant,
    tell,
)

ABOUT = "reference"
OPTIONS: frozenset[str] = frozenset({"t_stops"})

#: The first implicit step to the stationary state in units of the fastest rate, by how much a step grows or shrinks,
#: and how many there are at most.
FIRST_STEP, GROWTH, MOST_STEPS = 0.1, 1.5, 1000
#: A velocity below this, in units of the fastest rate, is round-off.
SLOWEST = 1e-14


class Equations:
    """The equations of motion of y = (ρ_c, ω and u of every class), matrices written row after row.

    Parameters
    ----------
    problem : Problem
        The problem, at any N.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        sizes = [problem.central.dimension]
        for site in problem.classes:
            sizes += [site.dimension] * 2
        self._sizes = sizes
        self._cuts = np.cumsum([d * d for d in sizes])[:-1]
        N, z = problem.size, problem.scaling
        self._mean, self._fluctuation, self._root = (power_of(N, e) for e in (1 - z, 0.5 - z, -0.5))
        self._central = lindbladian(problem.central) if problem.central.constant else None
        self._sites = [lindbladian(site) if site.constant else None for site in problem.classes]

    def split(self, y: np.ndarray) -> list[np.ndarray]:
        """ρ_c, then ω and u of every class."""
        return [part.reshape(d, d) for part, d in zip(np.split(y, self._cuts), self._sizes, strict=True)]

    def join(self, matrices: list[np.ndarray]) -> np.ndarray:
        """The vector y of such matrices."""
        return np.concatenate([np.ravel(X) for X in matrices]).astype(complex)

    def initial(self, central: np.ndarray, sites: list[np.ndarray]) -> np.ndarray:
        """The vector y of a product state."""
        return self.join([central, *(X for omega in sites for X in (omega, np.zeros_like(omega)))])

    def directions(self) -> np.ndarray:
        """In which y can move where ω is at rest: traceless changes of ρ_c and of every u, as orthonormal columns."""
        blocks = []
        for k, d in enumerate(self._sizes):
            moves = k % 2 == 0  # ω and u take turns after ρ_c
            blocks.append(null_space(np.eye(d).reshape(1, -1)) if moves else np.zeros((d * d, 0)))
        return block_diag(*blocks)

    def __call__(self, time: float, y: np.ndarray) -> np.ndarray:
        """ẏ at a time."""
        problem = self.problem
        rho, *sites = self.split(y)
        field = np.zeros_like(rho)
        changes = []
        for c, site in enumerate(problem.classes):
            omega, u = sites[2 * c : 2 * c + 2]
            m = omega + self._root * u
            kick = np.zeros_like(u)
            for A, B, factor in site.couplings:
                f = at(factor, time) * (0.5 if is_hermitian(A) and is_hermitian(B) else 1.0)
                part = f * site.share * self._amplitude(B, omega, u) * A
                field = field + part
                hermitian = f * np.trace(A @ rho) * B
                adjoint = f * np.trace(A.conj().T @ rho) * B.conj().T
                field = field + f * site.share * self._amplitude(B.conj().T, omega, u) * A.conj().T
                kick = kick + self._fluctuation * (hermitian + adjoint)
            L = self._sites[c] if self._sites[c] is not None else lindbladian(site, time)
            changes += [L @ omega.ravel(), L @ u.ravel() - 1j * np.ravel(kick @ m - m @ kick)]
        L = self._central if self._central is not None else lindbladian(problem.central, time)
        return np.concatenate([L @ rho.ravel() - 1j * np.ravel(field @ rho - rho @ field), *changes])

    def derivative(self, y: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """By how much ẏ at time 0 grows along each column; exact, because ẏ is quadratic in y."""
        return np.array([(self(0.0, y + e) - self(0.0, y - e)) / 2 for e in directions.T]).T

    def _amplitude(self, B: np.ndarray, omega: np.ndarray, u: np.ndarray) -> complex:
        """N^{1−z} Tr(B m), m = ω + u/√N."""
        straight = complex(np.trace(B @ omega))
        if self._mean == math.inf:
            if abs(straight) > ROUND_OFF * np.abs(B).max():
                must = "have no mean value in the coupling at N = ∞ for z < 1, see Eq. (3)"
                raise ArgumentError("initial", must, f"a state of the sites with {straight:.3g}")
            straight = 0.0
        mean = 0.0 if self._mean == math.inf else self._mean
        return mean * straight + self._fluctuation * complex(np.trace(B @ u))


@checked(model=paper_model)
def equations(model: CentralSpinModel) -> Callable[[float, np.ndarray], np.ndarray]:
    """Return f(t, y) of ẏ = f for the nine real numbers y = (⟨τ⟩, r, u), r being the Bloch vector of ω."""
    problem = dimensionless(collective_model(model, "up", (0, 0, 0)))
    if error := _no_limit(problem):
        raise error
    exact, unit = Equations(problem), problem.unit

    def derivative(time: float, y: np.ndarray) -> np.ndarray:
        tau, r, u = (np.tensordot(part, PAULI, axes=1) / 2 for part in np.reshape(y, (3, 3)))
        half = np.eye(2) / 2
        change = exact.split(exact(time * unit, exact.join([half + tau, half + r, u])))
        return unit * 2 * np.concatenate([pauli(X)[1:].real for X in change])

    return derivative


def refuses(task: Task) -> ArgumentError | None:
    """Say why mean field cannot do a task, if so."""
    problem = task.problem
    for moment in task.moments:
        if (moment.power or 0) > 1:
            must = 'be averages with method "mean_field", which neglects fluctuations'
            return ArgumentError("observables", must, f"a moment of power {moment.power}")
        if moment.power and moment.scaling < 0.5 and problem.size == math.inf:
            return ArgumentError("scaling", "be at least 0.5 for a moment to exist at N = ∞", moment.scaling)
    if any(site.interactions for site in problem.classes):
        return ArgumentError("interactions", 'be left out with method "mean_field"', "given")
    if problem.collective_jumps:
        return ArgumentError("collective_jumps", 'be left out with method "mean_field"', "given")
    if error := _no_limit(problem) or cannot_start(problem):
        return error
    try:
        if task.times is None:
            require_constant(problem, "mean_field")
            problem = problem.stationary()
        equations_ = Equations(problem)
        equations_(0.0, _start(equations_, task.times is None))
    except ArgumentError as error:
        return error
    return None


def run(task: Task) -> Reading:
    """Read averages off the mean-field equations."""
    problem = task.problem if task.times is not None else task.problem.stationary()
    exact = Equations(problem)
    y, error = _start(exact, task.times is None), task.tolerance
    if task.times is None:
        y, error = _settle(exact, y, task)
        states = [y]
    else:
        stops, moving = task.options.get("t_stops", ()), problem.functions
        states = list(
            integrate(
                exact, y, task.times, task.tolerance, timed=bool(moving), factors=moving, t_stops=stops,
                progress=task.progress,
            )
        )  # fmt: skip
    values = np.array([[_value(exact, y, moment) for moment in task.moments] for y in states])
    values = real_where_hermitian(values, task.moments)
    return Reading(values[0] if task.times is None else values, error, {"unknowns": len(y)})


def _start(exact: Equations, settle: bool) -> np.ndarray:
    """The initial product state; the way to a stationary one starts from an unpolarized central system."""
    problem, d = exact.problem, exact.problem.central.dimension
    central = np.eye(d) / d if settle else central_state(problem)
    return exact.initial(central, [initial_state(site) for site in problem.classes])


def _value(exact: Equations, y: np.ndarray, moment: Moment) -> complex:
    """⟨A⟩ N^{½−s} Σ_c N_c/N Tr(B_c u_c), or ⟨A⟩."""
    rho, *sites = exact.split(y)
    value = complex(np.trace(rho if moment.central is None else moment.central @ rho))
    if moment.power:
        problem = exact.problem
        amplitude = sum(
            problem.classes[c].share * np.trace(B @ sites[2 * c + 1]) for c, B in moment.operators.items()
        )
        value *= power_of(problem.size, 0.5 - moment.scaling) * complex(amplitude)
    return value


def _settle(exact: Equations, y: np.ndarray, task: Task) -> tuple[np.ndarray, float]:
    """The stable stationary state that the equations reach, and the last correction to it.

    Implicit Euler steps follow the equations however stiff they are; they grow while the velocity falls and so turn
    into Newton's method. An unstable stationary state, around which the equations would circle for ever, is refused.
    """
    inside = exact.directions()
    one = np.eye(inside.shape[1])
    velocity, step = inside.T @ exact(0.0, y), 0.0
    for attempt in range(MOST_STEPS):
        J = inside.T @ exact.derivative(y, inside)
        size = float(np.linalg.norm(J, 2))
        step = step or FIRST_STEP / size
        y = y + inside @ np.linalg.solve(one / step - J, velocity)
        before, velocity = float(np.linalg.norm(velocity)), inside.T @ exact(0.0, y)
        slower = np.linalg.norm(velocity) <= max(before, SLOWEST * size)
        step *= GROWTH if slower else 1 / GROWTH
        if step * size > 1 / ROUND_OFF:
            break
        tell(task.progress, (attempt + 1) / MOST_STEPS, "the way to the stationary state")
    smallest = np.linalg.svd(J, compute_uv=False)[-1]
    error = float(np.linalg.norm(velocity)) / max(smallest, 1e-300)
    if smallest <= ROUND_OFF * size:
        raise ConvergenceError("The stationary state of the mean-field equations is not unique.")
    if error > task.tolerance or np.linalg.eigvals(J).real.max() >= 0:
        raise ConvergenceError("The mean-field equations do not settle: they circle, or have several limits.")
    return y, error


def _no_limit(problem: Problem) -> ArgumentError | None:
    if problem.size == math.inf and problem.scaling < 0.5:
        return ArgumentError("scaling", "be at least 0.5 at N = ∞", problem.scaling)
    return None
