"""How far a state of one boson is from Gaussian."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import qutip

from ..errors import ArgumentError
from ..problem.checks import density_matrix

#: Largest population of the last Fock state for which moments in a truncated space can be trusted.
LARGEST_TAIL = 1e-6
#: Negative eigenvalues and errors of the trace that are accepted from a numerical solution.
SOLVER_ROUND_OFF = 1e-8


def covariance(rho: Any) -> np.ndarray:
    """Symmetrised covariance matrix (2×2) of q = (a + a†)/√2 and p = (a − a†)/(i√2); ½ on the diagonal in the vacuum.

    Parameters
    ----------
    rho : Qobj or ndarray, shape (n, n)
        A density matrix in Fock space.

    Raises
    ------
    ArgumentError
        If `rho` is not a density matrix, or its last Fock state is populated.
    """
    matrix = density_matrix("rho", rho, slack=SOLVER_ROUND_OFF)
    tail = matrix[-1, -1].real
    if tail > LARGEST_TAIL:
        raise ArgumentError("rho", "have an empty last Fock state", f"populated there by {tail:.2g}")
    a = qutip.destroy(len(matrix)).full()
    q, p = (a + a.conj().T) / math.sqrt(2), (a - a.conj().T) / (1j * math.sqrt(2))
    means = [np.trace(matrix @ x).real for x in (q, p)]
    return np.array(
        [
            [
                np.trace(matrix @ (x @ y + y @ x)).real / 2 - mx * my
                for y, my in zip((q, p), means, strict=True)
            ]
            for x, mx in zip((q, p), means, strict=True)
        ]
    )


def relative_entropy_to_gaussian(rho: Any) -> float:
    r"""Relative entropy, in nats, from ρ to the Gaussian state with the same first and second moments.

    It equals the difference of the von Neumann entropies, :math:`S(ρ_G) − S(ρ)`, vanishes for Gaussian states only,
    and :math:`S(ρ_G) = (ν + ½)\ln(ν + ½) − (ν − ½)\ln(ν − ½)` with ν² the determinant of the covariance matrix.
    The parameter and the errors are those of `covariance`.
    """
    nu = math.sqrt(np.linalg.det(covariance(rho)))
    gaussian = _x_log_x(nu + 0.5) - _x_log_x(nu - 0.5)
    populations = np.linalg.eigvalsh(density_matrix("rho", rho, slack=SOLVER_ROUND_OFF))
    return gaussian + sum(_x_log_x(float(p)) for p in populations)


def _x_log_x(x: float) -> float:
    return x * math.log(x) if x > 0 else 0.0
