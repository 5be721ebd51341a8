"""The open quantum central spin model of Eqs. (1) and (2): its parameters and what follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import ArgumentError
from . import terms
from .checks import (
    density_matrix,
    entries,
    hermitian_matrix,
    is_operator,
    is_vector,
    real_number,
    real_vector,
    short,
    site_count,
)

#: Pauli matrices (x, y, z), |↑⟩ first.
PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
SIGMA_MINUS = np.array([[0, 0], [1, 0]], dtype=complex)
SIGMA_PLUS = SIGMA_MINUS.T.copy()


@dataclass(frozen=True, kw_only=True)
class CentralSpinModel:
    r"""One central spin-½ coupled to N identical bath spins-½, Eqs. (1)–(2).

    The Hamiltonian and the dissipators are

    .. math::
        H = \sum_α w_α τ_α + \frac{g_0}{N^z} (τ_+ S_- + τ_- S_+) + \sum_α h_α \sum_k σ_α^{(k)}, \\
        D = γ_↓ W[τ_-] + γ_↑ W[τ_+] + \sum_k \bigl( Γ_↓ W[σ_-^{(k)}] + Γ_↑ W[σ_+^{(k)}] \bigr),

    with ħ = 1. All rates and frequencies are in one unit γ of your choice, times in 1/γ.

    Parameters
    ----------
    N : int or math.inf
        Number of bath spins; `math.inf` is the thermodynamic limit.
    g0 : float
        Coupling constant :math:`g_0`; the coupling is :math:`g = g_0/N^z`.
    scaling : float
        The exponent z ≥ 0: ½ is the fluctuation regime, 1 the mean-field regime.
    central_field : sequence of 3 floats or functions of time, or a Hermitian 2×2 array or QuTiP operator
        :math:`(w_x, w_y, w_z)`, or :math:`H_τ` itself (its trace has no effect and is dropped). A component w(t) is a
        function that takes the time in units of 1/γ and returns a real number. `evolve` samples it 4000 times; name the
        times at which something shorter happens, or at which it jumps, in `t_stops` of `evolve`.
    central_pump, central_decay : float
        :math:`γ_↑` and :math:`γ_↓`.
    bath_pump, bath_decay : float
        :math:`Γ_↑` and :math:`Γ_↓`.
    bath_field : sequence of 3 floats
        :math:`(h_x, h_y, h_z)` of :math:`H_{bath}` (Theorem 2).

    Raises
    ------
    ArgumentError
        If an argument is outside its domain.

    Examples
    --------
    >>> from centralspin import CentralSpinModel
    >>> model = CentralSpinModel(N=16, g0=4.0, central_decay=0.1, bath_pump=0.2, bath_decay=1.0)
    >>> model.coupling, model.epsilon
    (1.0, 0.6666667)
    >>> model.replace(N=64).coupling
    0.5
    """

    N: float
    g0: float
    scaling: float = 0.5
    central_field: Any = (0.0, 0.0, 0.0)
    central_pump: float = 0.0
    central_decay: float = 0.0
    bath_pump: float = 0.0
    bath_decay: float = 0.0
    bath_field: Any = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "N", site_count("N", self.N))
        object.__setattr__(self, "g0", real_number("g0", self.g0))
        for name in ("scaling", "central_pump", "central_decay", "bath_pump", "bath_decay"):
            object.__setattr__(self, name, real_number(name, getattr(self, name), minimum=0))
        object.__setattr__(self, "bath_field", real_vector("bath_field", self.bath_field))
        field = self.central_field
        if is_operator(field):
            H = hermitian_matrix("central_field", field, 2)
            field = [np.trace(H @ sigma).real / 2 for sigma in PAULI]
        object.__setattr__(self, "central_field", _field("central_field", field))

    @classmethod
    def figure_2(cls, N: float = math.inf, **changes: Any) -> CentralSpinModel:
        """The parameters of the paper's Fig. 2 in units of γ, at bath size N; any of them can be changed."""
        return cls(
            N=N, g0=4.0, scaling=0.5, central_field=(1.0, 0.0, 0.5), central_pump=0.8, central_decay=0.1,
            bath_pump=0.2, bath_decay=1.0,
        ).replace(**changes)  # fmt: skip

    def replace(self, **changes: Any) -> CentralSpinModel:
        """Return a copy with the given parameters changed."""
        return replace(self, **changes)

    @property
    def coupling(self) -> float:
        """The coupling g = g0 / N^z at this bath size (0 at N = ∞ if z > 0)."""
        return self.g0 * float(self.N) ** -self.scaling

    @property
    def bath_rate(self) -> float:
        """Γ+ = Γ↑ + Γ↓, the relaxation rate of a bath spin's polarization."""
        return self.bath_pump + self.bath_decay

    @property
    def epsilon(self) -> float:
        """ε = −Ω_SS(σz) = (Γ↓ − Γ↑)/Γ+, positive for a bath that decays faster than it is pumped."""
        if self.bath_rate == 0:
            raise ArgumentError(
                "bath_decay",
                "be positive where the bath's stationary state is needed and `bath_pump` = 0",
                0.0,
            )
        return (self.bath_decay - self.bath_pump) / self.bath_rate

    def require_boson(self) -> float:
        """Return ε, or raise if it is not positive, i.e. if a_N = S−/√(εN) of Eq. (5) does not exist."""
        epsilon = self.epsilon
        if epsilon <= 0:
            raise ArgumentError(
                "bath_pump",
                f"be smaller than `bath_decay` = {self.bath_decay:g} for the boson a_N = S−/√(εN) to exist",
                f"{self.bath_pump:g}",
            )
        return epsilon

    @property
    def thermal_occupation(self) -> float:
        """n_β = Γ↑/(εΓ+) = Γ↑/(Γ↓ − Γ↑), the occupation of the emergent boson (Proposition 1)."""
        return self.bath_pump / (self.require_boson() * self.bath_rate)

    @property
    def boson_pump(self) -> float:
        """κ↑ = Γ↑/ε of Eq. (8)."""
        return self.bath_pump / self.require_boson()

    @property
    def boson_loss(self) -> float:
        """κ↓ = Γ+ + Γ↑/ε of Eq. (8)."""
        return self.bath_rate + self.bath_pump / self.require_boson()

    def central_hamiltonian(self) -> np.ndarray:
        """H_τ = Σ_α w_α τ_α as a 2×2 array; refused if a component changes in time."""
        if any(map(callable, self.central_field)):
            raise ArgumentError("central_field", "be constant in time here", "a function of time")
        return np.tensordot(self.central_field, PAULI, axes=1)

    def central_terms(self) -> Any:
        """H_τ as `CollectiveModel` takes it: a 2×2 array, or a list with functions of time."""
        if not any(map(callable, self.central_field)):
            return self.central_hamiltonian()
        still = [0.0 if callable(w) else w for w in self.central_field]
        moving = [
            [sigma, terms.Function(f"central_field[{i}]", w)]
            for i, (w, sigma) in enumerate(zip(self.central_field, PAULI, strict=True))
            if callable(w)
        ]
        return [np.tensordot(still, PAULI, axes=1), *moving]

    def bath_hamiltonian(self) -> np.ndarray:
        """The Hamiltonian Σ_α h_α σ_α of one bath spin as a 2×2 array."""
        return np.tensordot(self.bath_field, PAULI, axes=1)

    def central_jumps(self) -> list[np.ndarray]:
        """Return the jump operators √γ↓ τ− and √γ↑ τ+ whose rate is not zero."""
        return _jumps(self.central_decay, self.central_pump)

    def bath_jumps(self) -> list[np.ndarray]:
        """Return the jump operators √Γ↓ σ− and √Γ↑ σ+ of one bath spin whose rate is not zero."""
        return _jumps(self.bath_decay, self.bath_pump)

    def bath_equation(self) -> tuple[np.ndarray, np.ndarray]:
        r"""Return A (3×3) and c (3) of the Bloch equation ṙ = A r + c of one bath spin without the central one."""
        hx, hy, hz = self.bath_field
        rotation = 2 * np.array([[0, -hz, hy], [hz, 0, -hx], [-hy, hx, 0]])
        damping = self.bath_rate * np.diag([0.5, 0.5, 1.0])
        return rotation - damping, np.array([0.0, 0.0, self.bath_pump - self.bath_decay])

    def stationary_bath_bloch(self) -> np.ndarray:
        """Bloch vector of the stationary state of one bath spin; (0, 0, −ε) of Ω_SS without a bath field."""
        self.epsilon  # noqa: B018 - raises where no stationary state exists
        A, c = self.bath_equation()
        return np.linalg.solve(A, -c)

    def central_density_matrix(self, state: Any) -> np.ndarray:
        """Read an initial state of the central spin: "up", "down", a Bloch vector, a ket or a 2×2 density matrix."""
        name, must = "central_state", 'be "up", "down", a Bloch vector, a ket or a 2×2 density matrix'
        if isinstance(state, str):
            if state not in ("up", "down"):
                raise ArgumentError(name, must, short(state))
            state = (0, 0, 1) if state == "up" else (0, 0, -1)
        length = len(entries(state)) if is_vector(state) else 0
        if length == 3:
            return (np.eye(2) + np.tensordot(bloch_vector(name, state), PAULI, axes=1)) / 2
        if is_operator(state) or length == 2:
            return density_matrix(name, state, 2)
        raise ArgumentError(name, must, short(state))

    def initial_bath_bloch(self, bloch: Any) -> np.ndarray:
        """Read the initial Bloch vector of every bath spin; None is the stationary state."""
        return self.stationary_bath_bloch() if bloch is None else np.array(bloch_vector("bath_bloch", bloch))


def _field(name: str, value: Any) -> tuple[Any, Any, Any]:
    """Return three finite floats or functions of time."""
    if not isinstance(value, (list, tuple)) or len(value) != 3 or not any(map(callable, value)):
        return real_vector(name, value)
    x, y, z = (terms.factor(f"{name}[{i}]", w) for i, w in enumerate(value))
    return x, y, z


def paper_model(name: str, value: Any) -> CentralSpinModel:
    """Return `value` if it is the paper's model."""
    if not isinstance(value, CentralSpinModel):
        raise ArgumentError(name, "be a CentralSpinModel", short(value))
    return value


def bloch_vector(name: str, value: Any) -> tuple[float, float, float]:
    """Return `value` as three real numbers of length 1 at most."""
    vector = real_vector(name, value)
    length = math.hypot(*vector)
    if length > 1 + 1e-12:
        raise ArgumentError(name, "have length at most 1", f"{vector} of length {length:.6g}")
    return vector


def _jumps(decay: float, pump: float) -> list[np.ndarray]:
    pairs = ((decay, SIGMA_MINUS), (pump, SIGMA_PLUS))
    return [math.sqrt(rate) * operator for rate, operator in pairs if rate > 0]
