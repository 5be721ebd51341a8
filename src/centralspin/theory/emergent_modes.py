r"""The emergent modes of a bath of spins S with local decay and pump: 2S bosons in place of one.

With the jumps √Γ↓ S_− and √Γ↑ S_+ of every spin, the stationary state ω has the populations p_m ∝ (Γ↑/Γ↓)^m. The
2S operators A_m = |m−1⟩⟨m| span the smallest space of local operators that contains S_− = Σ_m c_m A_m,
c_m² = S(S+1) − m(m−1), and that the dissipator leaves invariant. Their fluctuations b_m = Σ_k A_m^{(k)} / √(N d_m)
with d_m = p_{m−1} − p_m become bosons, and

.. math::
    \frac{S_-}{\sqrt N} → \sum_m v_m b_m, \quad v_m = c_m \sqrt{d_m}, \qquad
    \tilde D[b_m] = −\sum_n K_{mn} b_n, \qquad ⟨b_m^† b_n⟩ = δ_{mn} \frac{Γ_↑}{Γ_↓ − Γ_↑} .

Detailed balance makes K real and symmetric, so that an orthogonal transformation decouples the modes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..problem.checks import LARGEST_NUMBER, checked, number, real_array

#: A matrix of 2S modes is made dense.
LARGEST_SPIN = 1000.0


def _not_negative(name: str, value: Any) -> np.ndarray:
    return real_array(name, value, minimum=0)


@dataclass(frozen=True)
class EmergentModes:
    r"""Independent bosons B_j that a bath of spins S turns into at N = ∞, z = ½.

    The emergent generator has the Hamiltonian :math:`g_0 \sum_j G_j (τ_+ B_j + τ_- B_j^†)` and the dissipator
    :math:`\sum_j 2λ_j [(n + 1) W_{B_j} + n W_{B_j^†}]`, in units in which all rates are given.

    Attributes
    ----------
    rates : ndarray, shape (2S,)
        Damping rates λ_j of the amplitudes, D[B_j] = −λ_j B_j, in increasing order.
    couplings : ndarray, shape (2S,)
        G_j, up to a sign: S_−/√N → Σ_j G_j B_j.
    occupation : float
        n = Γ↑/(Γ↓ − Γ↑), of every mode.
    """

    rates: np.ndarray
    couplings: np.ndarray
    occupation: float

    @property
    def epsilon(self) -> float:
        """ε = ω([S_−, S_+]) = Σ_j G_j² = −2⟨S_z⟩."""
        return float(self.couplings @ self.couplings)

    @property
    def mean_rate(self) -> float:
        """Σ_j G_j² λ_j / ε, the initial decay rate of ω([S_−(t), S_+]): what a single mode would be given."""
        return float(self.couplings**2 @ self.rates) / self.epsilon

    @checked(times=_not_negative)
    def correlation(self, times: np.ndarray) -> np.ndarray:
        """ω(S_−(t) S_+) of one spin, (n + 1) Σ_j G_j² e^{−λ_j t}, at the given times."""
        decays = np.exp(-np.multiply.outer(times, self.rates))
        return np.asarray((self.occupation + 1) * decays @ self.couplings**2)


@checked(spin=number(0, LARGEST_SPIN), pump=number(0, LARGEST_NUMBER), decay=number(0, LARGEST_NUMBER))
def emergent_modes(spin: float, pump: float, decay: float) -> EmergentModes:
    """Return the 2S emergent modes of a bath of spins S with local jumps √Γ↓ S_− and √Γ↑ S_+.

    Parameters
    ----------
    spin : float
        S = ½, 1, 3/2, ….
    pump, decay : float
        Γ↑ and Γ↓.

    Raises
    ------
    ArgumentError
        If 2S is not a positive integer, or not 0 < Γ↑ < Γ↓. (At Γ↑ = 0 all modes but one are empty and unseen; at
        Γ↑ = Γ↓ the fluctuations commute and are no bosons.)
    """
    levels = 2 * spin + 1
    if levels < 2 or levels != round(levels):
        raise ArgumentError("spin", "be a positive multiple of ½", spin)
    if not 0 < pump < decay:
        raise ArgumentError("pump", f"lie between 0 and `decay` = {decay:g}, both excluded", pump)
    m = np.arange(-spin + 1, spin + 1)  # the transition m → m − 1

    def squared(m: np.ndarray) -> np.ndarray:
        return spin * (spin + 1) - m * (m - 1)  # c_m²

    p = (pump / decay) ** np.arange(round(levels))
    d = -np.diff(p / p.sum())
    diagonal = decay * (squared(m - 1) + squared(m)) / 2 + pump * (squared(m) + squared(m + 1)) / 2
    beside = -math.sqrt(pump * decay) * np.sqrt(squared(m[1:]) * squared(m[:-1]))
    K = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    rates, O = np.linalg.eigh(K)
    return EmergentModes(rates, np.abs(O.T @ np.sqrt(squared(m) * d)), pump / (decay - pump))
