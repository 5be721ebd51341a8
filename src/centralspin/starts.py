r"""Initial states of the sites that are symmetric and entangled: superpositions of product states, and Dicke states.

A product of N equal operators A = t ω + Σ a_i e_i has the coordinates

.. math:: v_n = \sqrt{\frac{N!}{n_0! \prod_i n_i!}}\; t^{n_0} \prod_i a_i^{n_i}

in symmetric Liouville space, and :math:`|Ψ⟩⟨Ψ|` with :math:`|Ψ⟩ = \sum_i c_i |φ_i⟩^{⊗N}` is a sum of such products.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import gammaln

from .errors import ArgumentError
from .problem.central_spin import CentralSpinModel
from .problem.checks import complex_array, integer, short
from .problem.collective import CollectiveModel
from .problem.moments import Moment
from .question import ask, prepare
from .state import State
from .symmetric.solver import MEMORY_BUDGET, Solver
from .symmetric.space import box, count_box
from .symmetric.state import Held

#: The coordinates of entangled states are as large as 2^N, so that more sites leave too few digits.
MOST_SITES = 24
#: Measured peak memory while a state is made, per set of occupations and mode, or coordinate of the central system.
BYTES = 32


def superposition_state(
    model: CentralSpinModel | CollectiveModel,
    kets: Sequence[Any],
    amplitudes: Sequence[complex] | None = None,
    *,
    central_state: Any = "up",
) -> State:
    r"""Return the central system's initial state times a superposition :math:`\sum_i c_i |φ_i⟩^{⊗N}` of the sites.

    Parameters
    ----------
    model : CentralSpinModel or CollectiveModel
        The model, with one class of at most 24 sites.
    kets : sequence of kets
        φ_i, of one site; two orthogonal ones with equal amplitudes make a Greenberger–Horne–Zeilinger state.
    amplitudes : sequence of complex, optional
        c_i, equal by default; the state is normalised.
    central_state
        Of a `CentralSpinModel`, see `evolve`; a `CollectiveModel` carries its own.

    Returns
    -------
    State
        To be given to `evolve` as `initial`.

    Raises
    ------
    ArgumentError
        If an argument is outside its domain, or the space cannot hold the state.
    """
    question = ask(model, {"trace": Moment()}, central_state)
    task, _ = prepare(question, np.zeros(1), 1e-8, "symmetric", {}, math.inf)
    solver = Solver(task, whole=True)
    sites = solver.compiled.sites
    N = sites[0].count
    if len(sites) > 1 or N > MOST_SITES:
        raise ArgumentError(
            "model",
            f"have one class of at most {MOST_SITES} sites for entangled initial states",
            f"with {' + '.join(f'{site.count:g}' for site in sites)}",
        )
    (site,), (r,) = sites, solver.references
    if not isinstance(kets, (list, tuple, np.ndarray)):
        raise ArgumentError("kets", "be a sequence of kets", short(kets))
    states = [_ket(f"kets[{i}]", ket, site.basis.dimension) for i, ket in enumerate(kets)]
    if not states:
        raise ArgumentError("kets", "hold at least one ket", "empty")
    c = (
        np.ones(len(states), dtype=complex)
        if amplitudes is None
        else np.ravel(complex_array("amplitudes", amplitudes))
    )
    if len(c) != len(states):
        raise ArgumentError("amplitudes", f"be as many as the {len(states)} kets", f"{len(c)}")
    modes = [np.ones(len(r), dtype=int)]
    needed = count_box(modes, [N], int(N)) * BYTES * (len(r) + solver.compiled.basis.size)
    if needed > MEMORY_BUDGET:
        must = f"have fewer sites or levels: entangled initial states may take {MEMORY_BUDGET / 1e9:.3g} GB"
        value = f"of {N:g} sites of {site.basis.dimension} levels, whose states take {needed / 1e9:.3g} GB"
        raise ArgumentError("model", must, value)
    occupations = box(modes, [N], int(N))
    rest = N - occupations.sum(axis=1)
    logarithm = gammaln(N + 1) - gammaln(rest + 1) - gammaln(occupations + 1).sum(axis=1)
    total = np.zeros(len(occupations), dtype=complex)
    for (i, x), (j, y) in itertools.product(enumerate(states), repeat=2):
        coordinates = site.basis.coordinates(np.outer(x, y.conj()))
        t, a = coordinates[0], coordinates[1:] - coordinates[0] * r
        total += c[i] * c[j].conj() * t**rest * np.prod(a**occupations, axis=1)
    total = total.real * np.exp(logarithm / 2)
    if not total[0] > 1e-12 * float(np.abs(c).sum()) ** 2:
        raise ArgumentError("amplitudes", "leave something of the state", "such that it cancels")
    bath = total / total[0]
    vector = np.multiply.outer(bath, solver.compiled.initial())
    held = Held(
        occupations, np.ones((len(occupations), 2), dtype=bool), np.repeat(vector[..., None], 3, axis=2), int(N),
        solver.references, [N], [site.basis.mix], None, task,
    )  # fmt: skip
    return State(model, 0.0, task.tolerance, held)


def dicke_state(
    model: CentralSpinModel | CollectiveModel, excitations: int, *, central_state: Any = "up"
) -> State:
    r"""Return the central system's initial state times the Dicke state with k of N spins up and N − k down.

    It is :math:`\sum_m e^{-2πi mk/(N+1)} |φ_m⟩^{⊗N}`, with φ_m on a circle of the Bloch sphere.

    Parameters
    ----------
    model, central_state
        As for `superposition_state`; the sites are spins-½.
    excitations : int
        k.
    """
    question = ask(model, {"trace": Moment()}, central_state)
    site = question.problem.classes[0]
    if site.dimension != 2:
        raise ArgumentError(
            "model", "have sites of two levels for a Dicke state", f"of {site.dimension} levels"
        )
    if not site.count <= MOST_SITES:
        raise ArgumentError(
            "model", f"have at most {MOST_SITES} sites for a Dicke state", f"with {site.count:g}"
        )
    N = int(site.count)
    k = integer("excitations", excitations, maximum=N)
    up, turns = math.sqrt(k / N), 2 * math.pi * np.arange(N + 1) / (N + 1)
    kets = [[up * np.exp(1j * turn), math.sqrt(1 - k / N)] for turn in turns]
    return superposition_state(model, kets, np.exp(-1j * k * turns), central_state=central_state)


def _ket(name: str, ket: Any, dimension: int) -> np.ndarray:
    vector = np.ravel(complex_array(name, ket))
    size = float(np.linalg.norm(vector))
    if len(vector) != dimension or not abs(size - 1) < 1e-9:
        raise ArgumentError(
            name, f"be a normalised ket of {dimension} entries", f"{len(vector)} of norm {size:.9g}"
        )
    return vector / size
