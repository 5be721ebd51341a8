"""Every public callable with arguments that are right, to replace one of them by something that is not."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

import centralspin
from centralspin import (
    CentralSpinModel,
    CollectiveModel,
    Moment,
    Sites,
    evolve,
    expand,
    steady_state,
)
from centralspin.methods import dicke, full_space, mean_field, spin_boson
from centralspin.result import Result
from centralspin.theory import (
    corollary_1,
    emergent_modes,
    heisenberg,
    lemma_1,
    non_gaussianity,
    proposition_1,
    series_bound,
    theorem_1,
)

#: What is raised or given back, and made by nobody else.
GIVEN = (
    Exception, Result, centralspin.State, centralspin.Expansion, centralspin.Liouvillian, emergent_modes.EmergentModes,
    proposition_1.CompositionDefect,
)  # fmt: skip
#: A callable and its arguments by name.
Call = tuple[Callable[..., Any], dict[str, Any]]
THEORY = (
    corollary_1, emergent_modes, heisenberg, lemma_1, non_gaussianity, proposition_1, series_bound, theorem_1,
)  # fmt: skip
SIGMA_MINUS, ONE = np.array([[0, 0], [1, 0]], dtype=complex), np.eye(2)


@functools.cache
def solvers() -> list[Call]:
    """Models, moments and the front door."""
    spin = CentralSpinModel.figure_2(3)
    sites: dict[str, Any] = {
        "count": 2, "hamiltonian": ONE, "jumps": [SIGMA_MINUS], "couplings": [(SIGMA_MINUS.T, SIGMA_MINUS)],
        "rates": [1.0], "interactions": [], "initial": ONE / 2, "share": None,
    }  # fmt: skip
    general: dict[str, Any] = {
        "hamiltonian": np.diag([1.0, -1.0]), "jumps": [SIGMA_MINUS], "sites": Sites(**sites), "scaling": 0.5,
        "initial": ONE / 2, "rates": [1.0], "collective_jumps": [(None, SIGMA_MINUS)],
    }  # fmt: skip
    moment = {"central": ONE, "site": ONE, "power": 2, "scaling": 0.5, "site_class": 0, "about": "mean"}
    short: dict[str, Any] = {"model": spin, "times": [0, 0.1]}
    start = {"central_state": "up", "bath_bloch": None}
    limits: dict[str, Any] = {"method": "symmetric", "tolerance": 1e-6, "cut": 4}
    budgets = {"time_budget": 1e9, "memory_budget": 1e9}

    @functools.wraps(Sites)
    def model_of_sites(**changed: Any) -> Any:
        model = CollectiveModel(**general | {"sites": Sites(**changed)})
        return evolve(model, [0, 0.1], {"a": Moment(central=ONE)})

    @functools.wraps(CollectiveModel)
    def general_model(**changed: Any) -> Any:
        return evolve(CollectiveModel(**changed), [0, 0.1], {"a": Moment(site=ONE, about="zero")})

    @functools.wraps(Moment)
    def moments(**changed: Any) -> Any:
        return evolve(spin, [0, 0.1], {"a": Moment(**changed)})

    @functools.wraps(centralspin.sweep)
    def sweep(**changed: Any) -> Any:
        return centralspin.sweep(executor="serial", **changed)

    tolerance = {"tolerance": 1e-5}
    state = evolve(spin, [0, 0.1]).final
    emergent = evolve(spin.replace(N=math.inf), [0, 0.1]).final
    limit, coefficient = expand(spin, [0, 0.1])
    space = centralspin.SymmetricSpace(np.array([[0, 0], [1, 0]]), [0, 0])
    return [
        (CentralSpinModel, {name: getattr(spin, name) for name in spin.__dataclass_fields__}),
        (CentralSpinModel.figure_2, {"N": 3, "g0": 1.0}),
        (spin.replace, {"N": 3, "g0": 1.0}),
        (spin.central_density_matrix, {"state": "up"}),
        (spin.initial_bath_bloch, {"bloch": (0, 0, 1)}),
        (centralspin.collective_model, {"model": spin} | start),
        (model_of_sites, sites),
        (general_model, general),
        (moments, moment),
        (
            evolve,
            short | limits | start | budgets | {"observables": ("tau_z",), "t_stops": ()},
        ),
        (steady_state, {"model": spin, "observables": ("tau_z",), "time_budget": 1e9} | limits),
        (
            expand,
            short | start | budgets | {"observables": ("tau_z",), "tolerance": 1e-6, "cut": 4, "terms": 1},
        ),
        (centralspin.central_states, short | start | {"tolerance": 1e-6}),
        (evolve, short | {"method": "cumulants", "order": 2}),
        (centralspin.liouvillian, {"model": spin, "cut": 3, "observables": None} | start),
        (evolve, short | {"initial": state}),
        (state.apply, {"operator": ONE}),
        (state.at, {"time": 1.0}),
        (state.expect, {"observables": ("tau_z",), "tolerance": 1e-3}),
        (
            centralspin.correlation,
            short
            | {"operators": (None, ONE, ONE), "state": "stationary", "tolerance": 1e-5, "time_budget": 1e9},
        ),
        (
            centralspin.spectrum,
            {"model": spin, "frequencies": [0.0, 1.0], "A": ONE, "B": ONE, "connected": True} | tolerance,
        ),
        (centralspin.eigenvalues, {"model": spin, "k": 3, "time_budget": 1e9} | tolerance),
        (centralspin.gap, {"model": spin} | tolerance),
        (centralspin.reduced_state, {"state": state, "sites": 1, "site_class": 0, "central": True}),
        (centralspin.dicke_state, {"model": spin, "excitations": 1, "central_state": "up"}),
        (
            centralspin.superposition_state,
            {"model": spin, "kets": [[1, 0], [0, 1]], "amplitudes": [1, 1j], "central_state": "up"},
        ),
        (centralspin.total_spin, {"state": state, "site_class": 0}),
        (centralspin.bosonic_state, {"state": emergent, "levels": 4}),
        (centralspin.wigner, {"state": emergent, "x": [0.0, 1.0], "p": [0.5]}),
        # Without `store`, for any word is a folder's name.
        (
            sweep,
            {
                "model_of": spin,
                "axes": {"g0": [1.0]},
                "observables": "tau_z",
                "times": [0.0],
                "progress": False,
                "tolerance": 1e-4,
            },
        ),
        (centralspin.load, {"path": "no such file"}),
        (centralspin.corrected, {"limit": limit, "coefficient": coefficient, "N": 10}),
        (expand(spin, [0.1]).at, {"N": 10}),
        (centralspin.SymmetricSpace, {"occupations": np.array([[0, 0], [1, 0]]), "class_of": [0, 0]}),
        (centralspin.Bath, {"size": 10, "share": 1.0, "order": None}),
        (
            centralspin.Lift,
            {"space": space, "bath": centralspin.Bath(10), "scaling": 0.5, "site_class": 0, "growing": False},
        ),
        (centralspin.Lift(space, centralspin.Bath(10)).__call__, {"M": np.eye(3)}),
    ]


@functools.cache
def methods() -> list[Call]:
    """What chapters take from other methods."""
    spin, limit = CentralSpinModel.figure_2(3), CentralSpinModel.figure_2()
    short = {"model": limit, "central_state": "up", "cutoff": 12, "tolerance": 1e-4, "times": [0, 0.1]}
    return [
        (full_space.operators, {"model": spin}),
        (mean_field.equations, {"model": spin}),
        (spin_boson.operators, {"model": limit, "cutoff": 4}),
        (spin_boson.thermal_state, {"model": limit, "cutoff": 4}),
        (spin_boson.states, short),
        (spin_boson.stationary_density_matrix, {"model": limit, "cutoff": 12, "tolerance": 1e-4}),
        (dicke.DickeBlocks, {"N": 3, "levels": 2}),
        (dicke.DickeBlocks(2).product_state, {"bloch": np.array([0, 0, 1.0]), "central": ONE / 2}),
    ]


@functools.cache
def theory() -> list[Call]:
    """The paper's statements."""
    spin, times, sigma = CentralSpinModel.figure_2(3), [0, 0.1], np.array([[0, 1], [1, 0]])
    one = {"model": spin, "times": times, "operator": sigma}
    nu, mu, eta = (0, 0, 0, 0), (1, 1, 0, 0), (0, 0, 1, 1)
    three = {"nu": nu, "mu": mu, "eta": eta}
    elements = {"degree": 1, "central_state": "up", "action": "generator", "model": spin}
    rho = np.diag([0.9, 0.1, 0, 0]).astype(complex)
    finite = corollary_1.MonomialDynamics(spin, 4)
    boson = corollary_1.BosonDynamics(spin, 6)
    tolerance = {"tolerance": 1e-6}

    def elements_of(dynamics: Any) -> list[Call]:
        begin = dynamics.start(nu, eta)
        return [
            (dynamics.start, {"nu": nu, "eta": eta, "central_state": "up"}),
            (dynamics.rows, {"mus": [mu]}),
            (dynamics.elements, {"start": begin, "mus": [mu], "times": times} | tolerance),
            (dynamics.powers, {"start": begin, "mus": [mu], "count": 2}),
        ]

    def of_amplitudes(function: Callable[..., Any]) -> Callable[..., Any]:
        return functools.wraps(function)(lambda model, s1, s2: function(model, s1, s2))

    blocks = heisenberg.HeisenbergBlocks(spin, 1)
    bath = theorem_1.BathSuperoperators(spin, 3)
    modes = emergent_modes.emergent_modes(1.0, 0.2, 1.0)
    return [
        (lemma_1.deviation_norms, one | tolerance),
        (
            lemma_1.average_deviation_norms,
            {"model": spin, "times": times, "axis": "x", "power": 1} | tolerance,
        ),
        (lemma_1.central_deviation_norms, one | {"expected": [sigma, sigma]} | tolerance),
        (lemma_1.evolved_norms, one | {"operator": np.kron(sigma, sigma)} | tolerance),
        (lemma_1.bath_evolution, one),
        (lemma_1.exchange_commutator, {"operator": sigma}),
        (lemma_1.lemma_bound, one),
        (lemma_1.uniform_bound, one),
        (lemma_1.commutator_bound, one),
        (heisenberg.HeisenbergBlocks, {"model": spin, "sites": 1}),
        (blocks.lift, {"operator": np.kron(sigma, sigma)}),
        (blocks.embed, {"operator": sigma, "site": 0}),
        (theorem_1.bath_monomials, {"degree": 2}),
        (theorem_1.BathSuperoperators, {"model": spin, "cut": 3, "order": None, "weight_z": 1}),
        (bath.sandwich, {"nu": (0, 0, 1), "eta": (1, 0, 0)}),
        (bath.row, {"word": ["a", "m"]}),
        (theorem_1.matrix_elements, elements | {"order": None}),
        (theorem_1.boson_matrix_elements, elements),
        (theorem_1.multiply, {"operator": [ONE, ONE], "series": [ONE, ONE]}),
        (theorem_1.word, {"exponents": (1, 0, 1)}),
        (corollary_1.MonomialDynamics, {"model": spin, "cut": 4, "order": None}),
        (corollary_1.BosonDynamics, {"model": spin, "levels": 6}),
        (corollary_1.BosonPolynomials, {"model": spin}),
        (
            corollary_1.BosonPolynomials(spin).powers,
            three | {"count": 2, "central_state": "up"},
        ),
        *elements_of(finite),
        *elements_of(boson),
        (corollary_1.exponents_of, {"monomial": mu}),
        (series_bound.assignment_weight, {"N": 4, "fluctuations": 2, "averages": 1}),
        (series_bound.assignment_bound, {"fluctuations": 2, "averages": 1}),
        (series_bound.power_bound, three | {"model": spin, "count": 2}),
        (series_bound.series_bound, three | {"model": spin, "times": times}),
        (series_bound.rate_bound, three | {"model": spin, "times": times}),
        (series_bound.log_defect, {"y": 1.0, "z": 1.0}),
        (series_bound.number_weight, {"model": spin}),
        (of_amplitudes(proposition_1.displacement), {"model": spin, "s1": 0.3, "s2": 0.2j}),
        (of_amplitudes(proposition_1.displacement_coefficient), {"model": spin, "s1": 0.3, "s2": 0.2j}),
        (proposition_1.thermal_characteristic, {"model": spin, "amplitude": 0.3, "levels": 30}),
        (proposition_1.composition_defect, {"model": spin, "s1": 0.3, "s2": 0.2j}),
        (proposition_1.sectors, {"model": spin}),
        (proposition_1.sector_average, {"model": spin, "function": lambda j, n: n}),
        (proposition_1.excitation_distance, {"model": spin}),
        (emergent_modes.emergent_modes, {"spin": 1.0, "pump": 0.2, "decay": 1.0}),
        (modes.correlation, {"times": [0.0, 1.0]}),
        (non_gaussianity.covariance, {"rho": rho}),
        (non_gaussianity.relative_entropy_to_gaussian, {"rho": rho}),
        (non_gaussianity.wigner_minimum, {"rho": rho}),
        (non_gaussianity.partial_transpose_minimum, {"rho": rho}),
        (non_gaussianity.negativity, {"rho": rho}),
        (non_gaussianity.entanglement_margin, {"rho": rho}),
        (non_gaussianity.smoothed_p, {"rho": rho, "q": [0.0], "p": [0.0], "reach": 2.0}),
    ]


def missing() -> set[str]:
    """The public functions and classes of the package and of the paper's statements that no call is about."""
    offered = {name: getattr(centralspin, name) for name in centralspin.__all__}
    for module in THEORY:
        offered |= {
            f"{module.__name__}.{name}": value
            for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
        }
    known = {(call.__module__, call.__qualname__) for call, _ in (*solvers(), *methods(), *theory())}
    return {
        name
        for name, value in offered.items()
        if (inspect.isfunction(value) or inspect.isclass(value))
        and not (inspect.isclass(value) and issubclass(value, GIVEN))
        and list(inspect.signature(value).parameters) not in ([], ["name", "value"])  # the latter are rules
        and (value.__module__, value.__qualname__) not in known
    }
