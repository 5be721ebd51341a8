"""How far a state of one boson is from Gaussian and from classical, and whether a spin is entangled with it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.linalg import expm
from scipy.optimize import minimize

from ..errors import ArgumentError
from ..optional import qutip
from ..problem.checks import checked, density_matrix, hermitian_matrix, number, real_array

#: Largest population of the last Fock state for which moments in a truncated space can be trusted.
LARGEST_TAIL = 1e-6
#: Populations below this are left out of a scaled partial transpose: solvers do not know them to many digits.
SMALLEST_POPULATION = 1e-12
#: Values of the Wigner function above minus this are not called negative.
ROUND_OFF = 1e-10
#: Spacing of characteristic functions; P is then periodic with π/spacing in q and p over √2, far outside the state.
SPACING = 0.25
#: Negative eigenvalues and errors of the trace that are accepted from a numerical solution.
SOLVER_ROUND_OFF = 1e-8
#: Beyond it e^{|β|²/2} leaves no digits.
LARGEST_REACH = 20.0


def _quadrature(name: str, value: Any) -> np.ndarray:
    array = np.atleast_1d(real_array(name, value, minimum=-1e6, maximum=1e6))
    if array.ndim > 1:
        raise ArgumentError(name, "be a sequence of real numbers", f"of shape {array.shape}")
    return array


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


def wigner_minimum(rho: Any) -> tuple[float, float, float]:
    """Return the lowest value of the Wigner function and the point (q, p) where it is found.

    A grid of four standard deviations around the means finds the valley, a minimiser its bottom. The parameter and the
    errors are those of `covariance`.
    """
    spreads = np.sqrt(np.diag(covariance(rho)))
    state = qutip.Qobj(density_matrix("rho", rho, slack=SOLVER_ROUND_OFF))
    mean = math.sqrt(2) * complex(qutip.expect(qutip.destroy(state.shape[0]), state))
    q, p = (m + 4 * s * np.linspace(-1, 1, 61) for m, s in zip((mean.real, mean.imag), spreads, strict=True))
    values = qutip.wigner(state, q, p)  # (p, q)
    row, column = np.unravel_index(int(values.argmin()), values.shape)
    if values.min() > -ROUND_OFF:  # positive, and smallest where it fades away
        return float(values.min()), float(q[column]), float(p[row])
    found = minimize(
        lambda point: float(qutip.wigner(state, point[:1], point[1:])[0, 0]),
        [q[column], p[row]],
        method="Nelder-Mead",
        options={"xatol": 1e-6, "fatol": 1e-12},
    )
    return float(found.fun), float(found.x[0]), float(found.x[1])


def partial_transpose_minimum(rho: Any) -> float:
    """Return the smallest eigenvalue of the partial transpose of spin ⊗ boson; the two are entangled if it is negative.

    Parameters
    ----------
    rho : Qobj or ndarray, shape (2n, 2n)
        A density matrix of the central spin and n Fock states.

    Raises
    ------
    ArgumentError
        If `rho` is not a density matrix of even dimension.
    """
    return float(np.linalg.eigvalsh(_partial_transpose(rho))[0])


def negativity(rho: Any) -> float:
    """Return minus the sum of the negative eigenvalues of the partial transpose of spin ⊗ boson.

    Parameters
    ----------
    rho : Qobj or ndarray, shape (2n, 2n)
        A density matrix of the central spin and n Fock states, or its part in the lowest n: that has at most the
        negativity of the whole, because the eigenvalues of a part of a Hermitian matrix interlace with those of the
        matrix.

    Raises
    ------
    ArgumentError
        If `rho` is not Hermitian or of odd dimension.
    """
    eigenvalues = np.linalg.eigvalsh(_transposed(hermitian_matrix("rho", rho)))
    return float(-eigenvalues[eigenvalues < 0].sum())


def entanglement_margin(rho: Any) -> float:
    r"""Return the smallest eigenvalue of the partial transpose scaled to a unit diagonal.

    :math:`D ρ^{T} D` with a positive diagonal D has as many negative eigenvalues as :math:`ρ^{T}` (Sylvester), but they
    are not dwarfed by the small populations of the states that they concern: this number crosses zero at a finite
    slope where entanglement begins or ends. States with a population below `SMALLEST_POPULATION` are left out. A
    negative value still proves entanglement, a positive one is about the states kept. Parameter and errors as
    for `partial_transpose_minimum`.
    """
    transpose = _partial_transpose(rho)
    populations = np.diag(transpose).real
    kept = np.flatnonzero(populations > SMALLEST_POPULATION)
    scale = 1 / np.sqrt(populations[kept])
    return float(np.linalg.eigvalsh(scale[:, None] * transpose[np.ix_(kept, kept)] * scale)[0])


@checked(q=_quadrature, p=_quadrature, reach=number(SPACING, LARGEST_REACH))
def smoothed_p(rho: Any, q: Any, p: Any, reach: float = 7.0) -> np.ndarray:
    r"""Return the Glauber–Sudarshan P function, smoothed over a width of about 1/`reach`.

    The characteristic function :math:`χ(β) = ⟨e^{βa^†} e^{−β^*a}⟩` is multiplied by a filter that vanishes beyond
    \|β\| = `reach` and is 1 at 0, the overlap of two discs, and transformed. The filter's own transform is positive
    everywhere. Where the result is negative P is no probability density, and the state no mixture of coherent states.

    Parameters
    ----------
    rho : Qobj or ndarray, shape (n, n)
        A density matrix in Fock space. Its errors count :math:`e^{β^2/2}`-fold at the largest β.
    q, p : sequence of float
        Values of the quadratures, α = (q + ip)/√2.
    reach : float
        Radius of the filter.

    Returns
    -------
    ndarray, shape (p, q)
        The density with respect to dq dp, arranged as `qutip.wigner` does.

    Raises
    ------
    ArgumentError
        As for `covariance`.
    """
    covariance(rho)  # checks
    matrix = density_matrix("rho", rho, slack=SOLVER_ROUND_OFF)
    half = np.arange(-math.ceil(reach / SPACING), math.ceil(reach / SPACING) + 1) * SPACING
    beta = half[:, None] + 1j * half
    radius = np.abs(beta) / reach
    inside = radius < 1
    disc = np.where(inside, np.minimum(radius, 1), 1)
    filtered = (2 / math.pi * (np.arccos(disc) - disc * np.sqrt(1 - disc**2))).astype(complex)
    lower = qutip.destroy(len(matrix)).full()
    # the exponentials of nilpotent matrices end, so that the truncation adds nothing; χ(−β) = χ(β)*
    for i, j in zip(
        *np.nonzero(inside & ((beta.imag > 0) | ((beta.imag == 0) & (beta.real >= 0)))), strict=True
    ):
        raised = expm(beta[i, j] * lower.conj().T)
        chi = np.sum((matrix @ raised) * expm(-beta[i, j].conj() * lower).T)
        filtered[i, j] *= chi
        if (i, j) != (mirror := (len(half) - 1 - i, len(half) - 1 - j)):
            filtered[mirror] *= chi.conj()
    x, y = np.asarray(q, dtype=float) / math.sqrt(2), np.asarray(p, dtype=float) / math.sqrt(2)
    # P(α) = π⁻² ∫ d²β χ(β) e^{αβ* − α*β}, and d²α = ½ dq dp
    along_p, along_q = np.exp(2j * np.outer(y, half)), np.exp(-2j * np.outer(x, half))
    return np.real(along_p @ filtered @ along_q.T) * SPACING**2 / (2 * math.pi**2)


def _partial_transpose(rho: Any) -> np.ndarray:
    return _transposed(density_matrix("rho", rho, slack=SOLVER_ROUND_OFF))


def _transposed(matrix: np.ndarray) -> np.ndarray:
    if len(matrix) % 2:
        raise ArgumentError(
            "rho", "be a density matrix of a spin-½ and a boson", f"of dimension {len(matrix)}"
        )
    n = len(matrix) // 2
    return matrix.reshape(2, n, 2, n).transpose(2, 1, 0, 3).reshape(2 * n, 2 * n)


def _x_log_x(x: float) -> float:
    return x * math.log(x) if x > 0 else 0.0
