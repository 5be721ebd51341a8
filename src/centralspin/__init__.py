"""Exact dynamics of open quantum central spin systems at any bath size."""

from .api import Liouvillian, central_states, evolve, expand, liouvillian, steady_state
from .errors import ArgumentError, BudgetError, ConvergenceError, MissingPackageError, TruncationError
from .problem.central_spin import PAULI, SIGMA_MINUS, SIGMA_PLUS, CentralSpinModel
from .problem.collective import CollectiveModel, Sites, collective_model
from .problem.moments import Moment
from .problem.observables import OBSERVABLES
from .question import METHODS
from .readouts import reduced_state, total_spin
from .responses import correlation, eigenvalues, gap, spectrum
from .result import Expansion, Stationary, Trajectory, corrected
from .software import __version__ as __version__
from .software import about, cite
from .starts import dicke_state, superposition_state
from .state import State
from .sweeps import sweep
from .symmetric.lift import Bath, Lift
from .symmetric.space import SymmetricSpace
from .theory.emergent_state import bosonic_state, wigner
from .travel import load

__all__ = [
    "METHODS",
    "OBSERVABLES",
    "PAULI",
    "SIGMA_MINUS",
    "SIGMA_PLUS",
    "ArgumentError",
    "Bath",
    "BudgetError",
    "CentralSpinModel",
    "CollectiveModel",
    "ConvergenceError",
    "Expansion",
    "Lift",
    "Liouvillian",
    "MissingPackageError",
    "Moment",
    "Sites",
    "State",
    "Stationary",
    "SymmetricSpace",
    "Trajectory",
    "TruncationError",
    "about",
    "bosonic_state",
    "central_states",
    "cite",
    "collective_model",
    "corrected",
    "correlation",
    "dicke_state",
    "eigenvalues",
    "evolve",
    "expand",
    "gap",
    "liouvillian",
    "load",
    "reduced_state",
    "spectrum",
    "steady_state",
    "superposition_state",
    "sweep",
    "total_spin",
    "wigner",
]
