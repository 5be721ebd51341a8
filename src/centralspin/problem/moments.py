"""What is read out: moments of the central system and of collective operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import hermitian_matrix


@dataclass(frozen=True)
class Moment:
    r"""The expectation value ⟨A ⊗ (Σ_k (B^{(k)} − b) / N^s)^p⟩ with b = ⟨B⟩ in the reference state.

    Attributes
    ----------
    central : ndarray or None
        The Hermitian operator A; None is the identity.
    site : ndarray, sequence of ndarrays, or None
        The Hermitian operator B of one site; None with `power` 0 leaves the bath alone. A sequence has one
        operator (or None) for every class of sites, and the sum runs over all classes.
    power : int
        The power p.
    scaling : float
        The exponent s.
    site_class : int
        Which class of sites a single B belongs to; N is its number of sites, in every class its own.
    """

    central: np.ndarray | None = None
    site: Any = None
    power: int = 0
    scaling: float = 0.5
    site_class: int = 0

    def per_class(self) -> dict[int, np.ndarray]:
        """The operator B of every class that takes part."""
        operators = {self.site_class: self.site} if _is_operator(self.site) else dict(enumerate(self.site))
        return {index: hermitian_matrix("site", B) for index, B in operators.items() if B is not None}


def _is_operator(value: Any) -> bool:
    return callable(getattr(value, "full", None)) or (isinstance(value, np.ndarray) and value.ndim == 2)
