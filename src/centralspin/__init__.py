"""Exact dynamics of open quantum central spin systems at any bath size."""

from .collective import CollectiveModel, Sites
from .errors import ArgumentError, ConvergenceError, TruncationError
from .expansion import corrected, expand
from .model import CentralSpinModel
from .moments import Moment
from .observables import OBSERVABLES
from .solve import METHODS, central_states, evolve, steady_state
from .trajectory import Trajectory

__all__ = [
    "METHODS",
    "OBSERVABLES",
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
