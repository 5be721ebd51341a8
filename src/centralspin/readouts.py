r"""What people read out of many spins: reduced density matrices, means and covariances of the total spin, squeezing."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import ArgumentError
from .problem.central_spin import PAULI
from .problem.checks import integer, short
from .problem.moments import Moment
from .state import State
from .symmetric.basis import OperatorBasis
from .symmetric.state import Held

#: Matrices that a reduced density matrix has as factors: the central system, and at most so many sites.
MOST_SITES = 2
#: How many times its own error a mean spin must be long at least, so that it has a direction to a hundredth.
LEAST_LENGTH = 100
#: Of ⟨S⟩/N, which is at most ½, where no larger error is known.
ROUND_OFF = 1e-12


def reduced_state(state: State, sites: int = 1, *, site_class: int = 0, central: bool = True) -> np.ndarray:
    r"""Return the density matrix of the central system and of one or two sites of a class.

    All sites of a class are alike: what is read is :math:`⟨A ⊗ B^{(1)}⟩ = ⟨A \sum_k B^{(k)}⟩ / N`, and for two of them
    :math:`\sum_{k≠l} ⟨A\, B^{(k)} C^{(l)}⟩ / N(N-1)`.

    Parameters
    ----------
    state : State
        Any state of finite or infinite N.
    sites : int
        0, 1 or 2.
    site_class : int
        Which class the sites are of.
    central : bool
        Whether the central system is kept, as the first factor.

    Returns
    -------
    ndarray, shape (d, d)
        With d the product of the dimensions; ``qutip.Qobj(rho, dims=[[2, 2], [2, 2]])`` makes it an operator of QuTiP,
        whose concurrence and negativity are then a call away.
    """
    count = integer("sites", sites, maximum=MOST_SITES)
    held, index = _of_class(state, site_class)
    if not isinstance(central, (bool, np.bool_)):
        raise ArgumentError("central", "be True or False", short(central))
    if not (count or central):
        raise ArgumentError("sites", "be at least 1 where the central system is left out", "0")
    N = held.counts[index]
    if count > N:
        raise ArgumentError("sites", f"be at most the {N:g} of the class", str(count))
    # A mean over the class is one over all sites of 1/share times as much: the accuracy is that of what is returned.
    scale = 1 / held.task.problem.classes[index].share
    inner = OperatorBasis(math.isqrt(len(held.references[index]) + 1))
    factors = [OperatorBasis(math.isqrt(held.vectors.shape[1])).elements if central else np.eye(1)[None]]

    def moment(A: np.ndarray, B: np.ndarray | None, power: int) -> Moment:
        given: dict[str, Any] = {"central": A if central else None, "power": power}
        return (
            Moment(**given)
            if B is None
            else Moment(**given, site=scale * B, site_class=index, scaling=1.0, about="zero")
        )

    # Hermitian operators that span all of the site's; d_s times their duals.
    e = inner.elements
    pairs = list(itertools.combinations_with_replacement(range(len(e)), 2))
    asked: dict[str, Moment] = {}
    for a, A in enumerate(factors[0]):
        if count == 0:
            asked[f"{a}"] = moment(A, None, 0)
        else:
            asked |= {f"{a},{i}": moment(A, B, 1) for i, B in enumerate(e)}
        if count == 2:
            for i, j in pairs:  # {X, Y} = ((X + Y)² − (X − Y)²)/2
                asked[f"{a},{i},{j}+"] = moment(A, e[i] + e[j], 2)
                asked[f"{a},{i},{j}*"] = moment(A, (e[i] @ e[j] + e[j] @ e[i]) / 2, 1)
                if i != j:
                    asked[f"{a},{i},{j}-"] = moment(A, e[i] - e[j], 2)
    found = state.expect(asked)
    shape = (len(factors[0]), *(len(e),) * count)
    values = np.zeros(shape)
    for place in np.ndindex(shape):
        a, *rest = place
        if count == 0:
            values[place] = found[f"{a}"]
        elif count == 1:
            values[place] = found[f"{a},{rest[0]}"]
        else:
            i, j = sorted(rest)
            both = found[f"{a},{i},{j}+"] - (found[f"{a},{i},{j}-"] if i != j else 0.0)
            own = found[f"{a},{i},{j}*"]
            pair = both / 4  # of Σ_kl, over N_c²
            if math.inf > N:
                pair = (pair * N - own) / (N - 1)
            values[place] = pair
    bases = [inner.dimension * e] * count
    if central:
        bases = [len(factors[0][0]) * factors[0], *bases]
    total: Any = 0.0
    for place in np.ndindex(shape):
        rho = np.ones((1, 1))
        for basis, i in zip(bases, place if central else place[1:], strict=True):
            rho = np.kron(rho, basis[i])
        total = total + values[place] * rho
    return np.asarray(total)


def _of_class(state: Any, site_class: Any) -> tuple[Held, int]:
    if not isinstance(state, State):
        raise ArgumentError("state", "be a `State`, such as `evolve(…).final`", short(state))
    return state.held, integer("site_class", site_class, maximum=len(state.held.counts) - 1)


@dataclass(frozen=True)
class TotalSpin:
    r"""Mean and covariance of the total spin :math:`S_α = \tfrac12 \sum_k σ_α^{(k)}` of N spins-½.

    Attributes
    ----------
    count : float
        N.
    mean : ndarray, shape (3,)
        ⟨S_α⟩/N.
    covariance : ndarray, shape (3, 3)
        (⟨{S_α, S_β}⟩/2 − ⟨S_α⟩⟨S_β⟩)/N.
    error : float
        To what the mean is known. There is no squeezing where it is no longer than a hundred times that.
    """

    count: float
    mean: np.ndarray
    covariance: np.ndarray
    error: float = ROUND_OFF

    @property
    def least_variance(self) -> float:
        """The least variance, over N, perpendicular to the mean spin."""
        length = float(np.linalg.norm(self.mean))
        if not length > (least := LEAST_LENGTH * max(self.error, ROUND_OFF)):
            must = f"have a mean spin |⟨S⟩|/N above {least:.2g}, across which squeezing is looked for"
            raise ArgumentError("state", must, f"one of {length:.2g}, known to {self.error:.2g}")
        across = np.linalg.svd(self.mean[None])[2][1:]
        return float(np.linalg.eigvalsh(across @ self.covariance @ across.T)[0])

    @property
    def kitagawa_ueda(self) -> float:
        r"""The squeezing parameter :math:`ξ_S^2 = 4 \min_⊥ \mathrm{Var}(S_⊥)/N`; 1 for a coherent state."""
        return 4 * self.least_variance

    @property
    def wineland(self) -> float:
        r"""The squeezing parameter :math:`ξ_R^2 = N \min_⊥ \mathrm{Var}(S_⊥)/|⟨S⟩|^2`; below 1 only if entangled."""
        return self.least_variance / float(self.mean @ self.mean)


def total_spin(state: State, *, site_class: int = 0) -> TotalSpin:
    """Return mean and covariance of the total spin of a class of spins-½, from which its squeezing follows.

    Parameters
    ----------
    state : State
        Any state.
    site_class : int
        Which class.
    """
    held, index = _of_class(state, site_class)
    if len(held.references[index]) != 3:
        raise ArgumentError(
            "site_class", "be one of spins-½", f"one of {len(held.references[index]) + 1} operators"
        )
    share = held.task.problem.classes[index].share
    axes, asked = range(3), {}
    for i in axes:
        asked[f"{i}"] = Moment(site=PAULI[i] / 2 / share, site_class=index, scaling=1.0, about="zero")
    for i, j in itertools.combinations_with_replacement(axes, 2):
        for sign in (1, -1) if i != j else (1,):
            B = (PAULI[i] + sign * PAULI[j]) / 2 / math.sqrt(share)
            asked[f"{i},{j},{sign}"] = Moment(site=B, site_class=index, power=2, about="mean")
    found = state.expect(asked)
    covariance = np.zeros((3, 3))
    for i, j in itertools.product(axes, axes):
        a, b = sorted((i, j))
        covariance[i, j] = (found[f"{a},{b},1"] - (found[f"{a},{b},-1"] if a != b else 0.0)) / 4
    mean = np.array([found[f"{i}"] for i in axes])
    error = max(found.error or 0.0, found.tolerance or 0.0)
    return TotalSpin(held.counts[index], mean, covariance, error)
