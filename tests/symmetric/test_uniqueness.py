"""Is a stationary state refused where there are several, alone and after problems that have one?"""

import ast
import math
import re

import numpy as np
import pytest

from centralspin import (
    PAULI,
    SIGMA_MINUS,
    SIGMA_PLUS,
    CentralSpinModel,
    CollectiveModel,
    ConvergenceError,
    Sites,
    correlation,
    spectrum,
    steady_state,
)
from centralspin.methods import dicke
from centralspin.symmetric.neighbours import Neighbours, starting_from

X, Y, Z = PAULI
ONE = np.eye(2)
SINGLET = np.array([0, 1, -1, 0]) / math.sqrt(2)
DARK = {"singlet": np.outer(SINGLET, SINGLET)}


def pair(difference: float, N: int = 5, rates: tuple[float, float] = (0.0, 0.0)) -> CollectiveModel:
    """Two central spins that couple to the bath alike, but for a difference: without one their singlet is dark."""
    A = np.kron(SIGMA_PLUS, ONE) + (1 + difference) * np.kron(ONE, SIGMA_PLUS)
    H = 0.3 * (np.kron(Z, ONE) + np.kron(ONE, Z)) + 0.4 * (np.kron(X, ONE) + np.kron(ONE, X))
    jumps = [
        math.sqrt(rate) * J
        for rate, flip in zip(rates, (SIGMA_MINUS, SIGMA_PLUS), strict=True)
        for J in (np.kron(flip, ONE), np.kron(ONE, flip))
        if rate
    ]
    bath = Sites(
        count=N, hamiltonian=0.1 * X, jumps=[SIGMA_MINUS, 0.4 * SIGMA_PLUS], couplings=[(A, SIGMA_MINUS)]
    )
    return CollectiveModel(hamiltonian=H, jumps=jumps, sites=bath)


def along_x(field: float, N: float, g: float, bath: np.ndarray) -> CollectiveModel:
    """A central spin that couples by its x component, which is conserved without a field along z."""
    sites = Sites(count=N, hamiltonian=bath, jumps=[SIGMA_MINUS, 0.4 * SIGMA_PLUS], couplings=[(g * X, X)])
    return CollectiveModel(hamiltonian=0.7 * X + field * Z, jumps=[], sites=sites)


TILTED = 0.3 * X + 0.2 * Z
CASES = {
    "more than 700 unknowns at the first cut": (lambda d: pair(d), [0.5, 0.4, 0.0]),
    "more than 2500": (lambda d: pair(d, 8), [0.5, 0.0]),
    "modes of one weight": (lambda d: along_x(d, 20, 1.5, TILTED), [0.5, 0.4, 0.0]),
    "a small first cut": (lambda d: along_x(d, 60, 0.9, 0.2 * Z), [0.5, 0.4, 0.3, 0.2, 0.0]),
    "a large last cut": (lambda d: along_x(d, 60, 0.7, 0.2 * Z), [0.3, 0.2, 0.0]),
}


def asked(model: CollectiveModel) -> dict[str, np.ndarray]:
    return DARK if model.dimension == 4 else {"x": X}


@pytest.mark.parametrize("case", CASES)
def test_several_states_are_refused(case: str) -> None:
    model_of, path = CASES[case]
    with pytest.raises(ConvergenceError, match="not unique"):
        steady_state(model_of(path[-1]), asked(model_of(0.0)))
    with starting_from(Neighbours()):
        for value in path[:-1]:
            steady_state(model_of(value), asked(model_of(value)))
        for _ in range(2):
            with pytest.raises(ConvergenceError, match="not unique"):
                steady_state(model_of(0.0), asked(model_of(0.0)))


@pytest.mark.parametrize("operator", [X, Y, Z, X + 0.5 * Y], ids=["x", "y", "z", "tilted"])
def test_what_is_conserved_is_told(operator: np.ndarray) -> None:
    """Up to a factor, and as real numbers where it is real."""
    sites = Sites(count=2, hamiltonian=TILTED, jumps=[SIGMA_MINUS], couplings=[(operator, X)])
    model = CollectiveModel(hamiltonian=0.7 * operator, jumps=[], sites=sites)
    with pytest.raises(ConvergenceError, match="Conserved is the central operator") as refusal:
        steady_state(model, {"it": operator})
    shown = re.search(r"\[\[.*\]\]", str(refusal.value))[0]
    assert ("j" in shown) == bool(operator.imag.any())
    found = np.array(ast.literal_eval(shown))
    factor = np.vdot(operator, found) / np.vdot(operator, operator)
    np.testing.assert_allclose(found, factor * operator, rtol=0, atol=1e-3)  # three digits are shown
    assert np.abs(found).max() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("axis", range(3))
def test_dicke_blocks_refuse_several_states_whatever_is_conserved(axis: int, monkeypatch) -> None:
    """Beyond the direct solve two states are followed until they agree: they must differ in all that is conserved."""
    monkeypatch.setattr(dicke, "LARGEST_DIRECT_SIZE", 0)
    operator = PAULI[axis]
    jumps = [SIGMA_MINUS, 0.4 * SIGMA_PLUS]
    sites = Sites(count=2, hamiltonian=0 * Z, jumps=jumps, couplings=[(operator, X)])
    model = CollectiveModel(hamiltonian=0.7 * operator, jumps=[], sites=sites)
    with pytest.raises(ConvergenceError, match="not unique"):
        steady_state(model, {"conserved": operator}, method="dicke", tolerance=1e-4)


@pytest.mark.parametrize("respond", [
    lambda model: np.asarray(correlation(model, [0.0, 1.0], (None, X, None), tolerance=1e-7))[1].real,
    lambda model: np.asarray(spectrum(model, [0.3], Z, Z, tolerance=1e-5))[0].real,
], ids=["correlation", "spectrum"])  # fmt: skip
def test_responses_start_from_a_state_that_is_unique(respond) -> None:
    with starting_from(Neighbours()):
        for field in (0.5, 0.4, 0.2):
            model = along_x(field, 12, 1.0, TILTED)
            near = respond(model)
            with starting_from(Neighbours()):
                assert near == pytest.approx(respond(model), abs=1e-5)
        with pytest.raises(ConvergenceError, match="not unique"):
            respond(along_x(0.0, 12, 1.0, TILTED))


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6, 1e-8])
def test_what_is_slow_in_one_problem_only_is_seen(tolerance: float) -> None:
    """A preconditioner from another problem hides slow modes from residuals."""
    slow = [(1e-1, 0.0), (1e-7, 0.5), (1e-8, 0.1), (1e-8, 0.5), (1e-9, 0.1), (1e-9, 0.5), (1e-10, 0.0)]
    answers = 0
    with starting_from(Neighbours()):
        for rate, up in slow:
            model = pair(0.0, 5, (rate * (1 - up), rate * up))
            right = steady_state(model, DARK, method="dicke", tolerance=1e-2)[
                "singlet"
            ]  # better than it dares say
            try:
                found = steady_state(model, DARK, tolerance=tolerance)["singlet"]
            except ConvergenceError:  # round-off hides as much as is asked for
                assert tolerance < 1e-4
                continue
            answers += 1
            assert abs(found - right) < max(tolerance, 2e-6)
    assert answers >= 2


@pytest.mark.parametrize("tolerance", [1e-4, 1e-8])
def test_a_slow_central_spin_in_a_strong_field_is_seen(tolerance: float) -> None:
    def model(rate: float, up: float) -> CentralSpinModel:
        return CentralSpinModel(
            N=20, g0=1, central_field=(700, 0, 300), bath_pump=0.2, bath_decay=1,
            central_pump=rate * up, central_decay=rate * (1 - up),
        )  # fmt: skip

    with starting_from(Neighbours()):
        for rate, up in ((1.0, 0.2), (1e-6, 0.2), (1e-7, 0.9), (1e-8, 0.1)):
            found = steady_state(model(rate, up), "tau_z", cut=12, tolerance=tolerance)
            with starting_from(Neighbours()):
                right = steady_state(model(rate, up), "tau_z", cut=12, tolerance=1e-9)
            assert abs(found["tau_z"] - right["tau_z"]) < 0.1 * tolerance + 1e-8
