"""Exact dynamics of open quantum central spin systems at any bath size."""

from .api import METHODS, central_states, evolve, steady_state
from .errors import ArgumentError, ConvergenceError, TruncationError
from .problem.central_spin import PAULI, SIGMA_MINUS, SIGMA_PLUS, CentralSpinModel
from .problem.collective import CollectiveModel, Sites
from .problem.moments import Moment
from .problem.observables import OBSERVABLES
from .result import Trajectory
from .symmetric.expansion import corrected, expand

__all__ = [
    "METHODS",
    "OBSERVABLES",
    "PAULI",
    "SIGMA_MINUS",
    "SIGMA_PLUS",
    "ArgumentError",
    "CentralSpinModel",
    "CollectiveModel",
    "ConvergenceError",
    "Moment",
    "Sites",
    "Trajectory",
    "TruncationError",
    "central_states",
    "corrected",
    "evolve",
    "expand",
    "steady_state",
]
