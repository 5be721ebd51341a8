"""Exact dynamics of open quantum central spin systems at any bath size."""

from .api import METHODS, central_states, evolve, expand, steady_state
from .errors import ArgumentError, BudgetError, ConvergenceError, TruncationError
from .problem.central_spin import PAULI, SIGMA_MINUS, SIGMA_PLUS, CentralSpinModel
from .problem.collective import CollectiveModel, Sites, collective_model
from .problem.moments import Moment
from .problem.observables import OBSERVABLES
from .result import Expansion, Stationary, Trajectory, corrected

__all__ = [
    "METHODS",
    "OBSERVABLES",
    "PAULI",
    "SIGMA_MINUS",
    "SIGMA_PLUS",
    "ArgumentError",
    "BudgetError",
    "CentralSpinModel",
    "CollectiveModel",
    "ConvergenceError",
    "Expansion",
    "Moment",
    "Sites",
    "Stationary",
    "Trajectory",
    "TruncationError",
    "central_states",
    "collective_model",
    "corrected",
    "evolve",
    "expand",
    "steady_state",
]
