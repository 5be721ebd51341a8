r"""Method "cumulants": the hierarchy of moments, closed by neglecting all joint cumulants above a given order.

The unknowns are the moments of at most one Pauli matrix of the central spin and of fluctuations of distinct
bath spins about their reference state r(t),

.. math:: u_a(n) = N^{|n|/2} \Bigl\langle τ_a \prod_{k=1}^{|n|} (σ_{α_k}^{(k)} − r_{α_k}) \Bigr\rangle, \qquad τ_0 = 1.

The bath spins are equal, so that only the numbers n = (n_x, n_y, n_z) of the axes among the factors matter.
Subtracting r leaves joint cumulants of degree ≥ 2 alone, and the factor keeps them of order 1: the equations
then have a limit at N = ∞. A sum of single-site superoperators with the matrix M in the basis (ω, e_i) of
`site` acts as

.. math:: (\textstyle\sum_k M^{(k)}\, u)(n) = \sum_{μν} M_{μν}\, N^{([ν=0] − [μ=0])/2}\, n_μ\, u(n − e_μ + e_ν),
          \qquad n_0 = N − |n|,\; e_0 = 0.

The coupling takes the degree |n| + [a ≠ 0] up by one at most. The expansion of order M keeps the moments of
degree ≤ M; the missing ones follow from the generating function :math:`G = \sum_{a,n} u_a(n)\, t_a s^n/n!` with
t_0 = 1 and :math:`t_a t_b = 0` otherwise: log G generates the joint cumulants, and those above M are set to zero.
Order 1 is mean field. For M > N no moment is missing and the equations are exact.

Sources: R. Kubo, J. Phys. Soc. Jpn. 17, 1100 (1962); for central spins P. Fowler-Wright et al.,
Phys. Rev. Research 5, 033148 (2023).
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from ..errors import ArgumentError, ConvergenceError
from ..problem.central_spin import PAULI, CentralSpinModel
from ..problem.collective import CollectiveModel, collective_model
from ..problem.observables import Raw, RawMoments
from ..symmetric.basis import in_reference_basis
from ..symmetric.generator import rounded, site_matrices
from ..symmetric.solver import raw_moments

DEFAULT_ORDER = 2
#: Beyond this size of any unknown the closed equations have diverged; exact moments are of order 1.
DIVERGED = 1e6
#: Stationarity is sought in steps of so many slowest local relaxation times, and for so many of them at most.
RELAXATION_STEP, LONGEST_RELAXATION = 10.0, 400.0


class DivergenceError(ConvergenceError):
    """The closed equations diverge at the time `time`."""

    def __init__(self, time: float) -> None:
        super().__init__(f"The cumulant expansion diverges at t = {time:.4g}.")
        self.time = time


class Hierarchy:
    """The equations of motion of the moments and their closure.

    A table of moments has shape (S, A): one row per n, one column per central operator τ_a.

    Parameters
    ----------
    model : CollectiveModel
        The problem, with one class of sites; infinitely many are taken to the limit.
    order : int
        Joint cumulants above this order are neglected.
    top : int
        Moments are tabulated up to this degree, at least `order` + 1.

    Attributes
    ----------
    n : ndarray, shape (S, 3)
        The numbers n; |n| never exceeds N.
    kept : ndarray of bool, shape (S, A)
        Which moments are unknowns.
    """

    def __init__(self, model: CollectiveModel, order: int, top: int) -> None:
        self._model, self._order = model, order
        (self._sites,) = model.classes
        self._size = size = self._sites.count
        axes, most = self._sites.basis.size - 1, int(min(top, size))
        numbers = (n for n in itertools.product(range(most + 1), repeat=axes) if sum(n) <= most)
        self.n = np.array(sorted(numbers, key=lambda n: (sum(n), n)))
        self._degree = self.n.sum(axis=1)[:, None] + (np.arange(model.central_basis.size) > 0)
        self.kept = (self._degree > 0) & (self._degree <= order)
        self._place = {tuple(n): i for i, n in enumerate(self.n.tolist())}
        self._factorials = np.array([math.prod(map(math.factorial, n)) for n in self.n.tolist()])[:, None]
        self._products = [self._products_of_degree(d) for d in range(1, top + 1)]
        # Index of n − e_μ + e_ν, S where that is not tabulated; n_μ, with n_0/N in place of n_0.
        step = np.vstack([np.zeros(axes, dtype=int), np.eye(axes, dtype=int)])
        moved = (self.n[:, None, None] - step[:, None] + step).reshape(-1, axes)
        targets = [self._place.get(tuple(n), len(self.n)) for n in moved.tolist()]
        self._targets = np.array(targets).reshape(-1, axes + 1, axes + 1)
        self._counts = np.column_stack([1 - self.n.sum(axis=1) / size, self.n])[..., None, None]
        from_condensate = 0.5 * (np.arange(axes + 1) == 0)
        self._power = np.add.outer(from_condensate, from_condensate)
        self._constant = None if self._sites.moves() else self.sites_generator(self._sites.reference())

    def _products_of_degree(self, degree: int) -> tuple[np.ndarray, ...]:
        """Indices of u_a(n) of this degree and of the two factors of its products; share of the first in the degree."""
        found = []
        for out, a in np.argwhere(self._degree == degree).tolist():
            n = self.n[out].tolist()
            for left in itertools.product(*(range(k + 1) for k in n)):
                i, j = self._place[left], self._place[tuple(k - l for k, l in zip(n, left, strict=True))]
                for first, second in {(0, a), (a, 0)}:  # two central operators multiply to zero
                    share = self._degree[i, first] / degree
                    if 0 < share < 1:
                        found.append((out, a, i, first, j, second, share))
        *indices, shares = np.array(found).reshape(-1, 7).T
        pairs = np.array(indices, dtype=int).reshape(3, 2, -1)
        return *(np.ravel_multi_index(tuple(pair), self._degree.shape) for pair in pairs), shares

    def close(self, u: np.ndarray, top: int | None = None) -> np.ndarray:
        r"""Fill in the moments above the order, up to degree `top`, so that all joint cumulants above it vanish.

        In degree d, G = exp K reads :math:`d\,G_d = \sum_{j=1}^{d} j K_j G_{d-j}`: it gives K_d up to the order,
        and G_d above.
        """
        G = (u / self._factorials).ravel()
        K = np.zeros_like(G)
        for d, (out, left, right, share) in enumerate(self._products[:top], start=1):
            here = (self._degree == d).ravel()
            rest = np.bincount(out, share * K[left] * G[right], minlength=len(G))
            if d <= self._order:
                K[here] = G[here] - rest[here]
            else:
                G[here] = rest[here]
        return G.reshape(u.shape) * self._factorials

    def prepare(self, M: np.ndarray, scaling: float) -> np.ndarray:
        """N^{−scaling} Σ_k M^{(k)} in the form `act` takes; M is (4, 4), or (4, 4, A, A) with a central part."""
        if M.ndim == 2:
            M = np.multiply.outer(M, np.eye(self.kept.shape[1]))
        power = self._power - scaling
        absent = np.all(M == 0, axis=(2, 3))
        if self._size == math.inf and not np.all(absent | (power <= 0)):
            must = "be large enough for the limit N = ∞ to exist (at ½ the bath must have ⟨σ±⟩ = 0)"
            raise ArgumentError("scaling", must, scaling)
        factor = float(self._size) ** np.where(absent, 0.0, power)
        return (factor[..., None, None] * M).swapaxes(2, 3).reshape(-1, M.shape[2])  # (μ ν b, a)

    def act(self, prepared: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Apply what `prepare` returned to the table u."""
        terms = self._counts * np.vstack([u, np.zeros_like(u[:1])])[self._targets]  # (n, μ, ν, b)
        return terms.reshape(len(u), -1) @ prepared

    def sites_generator(self, r: np.ndarray) -> np.ndarray:
        """Contribution of all sites and their couplings to u̇ around the reference state r, for `act`."""
        local, coupled = site_matrices(self._sites, r, self._sites.lindbladian)
        return self.prepare(local, 0.0) + self.prepare(coupled, self._model.scaling)

    def derivative(self, y: np.ndarray) -> np.ndarray:
        """ẏ of y = (unknown moments, reference state r)."""
        u, r = self.split(y)
        u = self.close(u, self._order + 1)
        generator = self.sites_generator(r) if self._constant is None else self._constant
        change = u @ self._model.central_lindbladian.T + self.act(generator, u)
        return np.concatenate([change[self.kept], self._sites.velocity(r)])

    def initial(self) -> np.ndarray:
        """The vector y of the initial product state, in which nothing fluctuates jointly."""
        u = np.zeros(self._degree.shape)
        u[0] = self._model.central_basis.coordinates(self._model.initial).real
        return np.concatenate([u[self.kept], self._sites.reference()])

    def split(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The table of moments, zero above the order, and the reference state of y."""
        u = np.zeros(self._degree.shape)
        u[0, 0] = 1.0
        count = int(self.kept.sum())
        u[self.kept] = y[:count]
        return u, y[count:]

    def read(self, y: np.ndarray, raw: tuple[Raw, ...]) -> np.ndarray:
        """The raw moments of y, those of the bath about r."""
        u, r = self.split(y)
        u = self.close(u)
        values = []
        for kind, argument in raw:
            axis = "xyz".index(argument if kind in ("tau", "m") else kind)
            if kind == "tau":
                values.append(u[0, 1 + axis])
                continue
            power, scaling = (1, 1.0) if kind == "m" else (argument, 0.5)
            M = in_reference_basis(self._sites.basis.anticommutator(PAULI[axis]) / 2, r)
            M = rounded(M - M[0, 0] * np.eye(len(M)))
            prepared, moment = self.prepare(M, scaling), u
            for _ in range(power):  # the trace of ½{S − N r, ·} applied `power` times
                moment = self.act(prepared, moment)
            values.append(moment[0, 0])
        return np.array(values)


def evolve(
    model: CentralSpinModel,
    times: np.ndarray,
    raw: tuple[Raw, ...],
    central_state: Any,
    bath_bloch: Any,
    tolerance: float,
    order: int = DEFAULT_ORDER,
) -> tuple[RawMoments, dict[str, Any]]:
    """Raw moments in time from the cumulant expansion of an order.

    Raises
    ------
    DivergenceError
        If the closed equations diverge before the last time.
    """
    hierarchy = _hierarchy(model, raw, central_state, bath_bloch, order)
    states = _integrate(hierarchy, hierarchy.initial(), times, tolerance)
    values = np.array([hierarchy.read(y, raw) for y in states])
    return raw_moments(raw, values, states[:, -3:]), _details(hierarchy, order)


def steady_state(
    model: CentralSpinModel, raw: tuple[Raw, ...], tolerance: float, order: int = DEFAULT_ORDER
) -> tuple[RawMoments, dict[str, Any]]:
    """Raw moments of the state that the cumulant expansion reaches from an unpolarized central spin.

    Raises
    ------
    DivergenceError
        If the closed equations diverge.
    ConvergenceError
        If they do not settle.
    """
    hierarchy = _hierarchy(model, raw, (0, 0, 0), None, order)
    rates = (model.bath_rate / 2, (model.central_pump + model.central_decay) / 2)
    step = RELAXATION_STEP / min(rate for rate in rates if rate > 0)
    y = hierarchy.initial()
    for attempt in range(round(LONGEST_RELAXATION / RELAXATION_STEP)):
        y = _integrate(hierarchy, y, np.array([step]), tolerance, start=attempt * step)[0]
        drift = np.abs(hierarchy.derivative(y)).max()
        if drift <= tolerance:
            return raw_moments(raw, hierarchy.read(y, raw), y[-3:]), _details(hierarchy, order)
    raise ConvergenceError(
        f"The cumulant expansion of order {order} does not settle; the drift after {LONGEST_RELAXATION:g} "
        f"relaxation times is {drift:.2g}."
    )


def _hierarchy(
    model: CentralSpinModel, raw: tuple[Raw, ...], central_state: Any, bath_bloch: Any, order: Any
) -> Hierarchy:
    if isinstance(order, bool) or not isinstance(order, (int, np.integer)) or order < 1:
        raise ArgumentError("order", "be a positive integer", repr(order))
    highest = max((argument for kind, argument in raw if kind in ("x", "y")), default=1)
    problem = collective_model(model, central_state, bath_bloch)
    return Hierarchy(problem, int(order), max(int(order) + 1, highest))


def _details(hierarchy: Hierarchy, order: int) -> dict[str, Any]:
    return {"order": int(order), "unknowns": int(hierarchy.kept.sum())}


def _integrate(
    hierarchy: Hierarchy, y: np.ndarray, times: np.ndarray, tolerance: float, start: float = 0.0
) -> np.ndarray:
    """States at the given times; `start` is only added to the time of a divergence."""

    def room(_: float, y: np.ndarray) -> float:
        return DIVERGED - float(np.abs(y).max())

    room.terminal = True  # type: ignore[attr-defined]
    accuracy = max(tolerance * 1e-2, 1e-13)
    result = solve_ivp(
        lambda _, y: hierarchy.derivative(y),
        (0.0, max(float(times[-1]), 1e-300)),
        y,
        "DOP853",
        t_eval=times,
        events=room,
        rtol=accuracy,
        atol=accuracy,
    )
    if result.status == 1:
        raise DivergenceError(start + float(result.t_events[0][0]))
    if not result.success:
        raise ConvergenceError(f"The integration in time stopped: {result.message}")
    return np.asarray(result.y.T)
