"""Is the density matrix of spin and boson that of Eq. (9) in Fock space, and of an inverted bath's mirror image?"""

import math
from dataclasses import replace

import numpy as np
import pytest
import qutip

from centralspin import (
    PAULI,
    SIGMA_MINUS,
    SIGMA_PLUS,
    ArgumentError,
    CentralSpinModel,
    CollectiveModel,
    Sites,
    evolve,
    steady_state,
)
from centralspin.methods import spin_boson
from centralspin.theory.emergent_state import density_matrix

MODEL = CentralSpinModel.figure_2()
NAMES = ("X2", "X4")


def bath(share: float) -> Sites:
    return Sites(
        count=math.inf, share=share, hamiltonian=np.zeros((2, 2)), jumps=MODEL.bath_jumps(),
        couplings=[(0.7 * SIGMA_PLUS, SIGMA_MINUS)],
    )  # fmt: skip


TWO_CLASSES = CollectiveModel(
    hamiltonian=PAULI[0], jumps=[SIGMA_MINUS], sites=[bath(0.5), bath(0.5)], initial=[1, 0]
)


@pytest.mark.parametrize(
    ("g0", "pump", "levels"), [(1.0, 0.2, 24), (4.0, 0.05, 30), (1.0, 0.0, 20), (4.0, 0.7, 90)]
)
def test_stationary_states_are_those_of_fock_space(g0: float, pump: float, levels: int) -> None:
    model = MODEL.replace(g0=g0, bath_pump=pump)
    exact = spin_boson.stationary_density_matrix(model, levels).full()
    found = density_matrix(steady_state(model, NAMES, tolerance=1e-9).state, levels)
    assert np.abs(found - exact).max() < 2e-8


def test_a_state_on_its_way_after_a_pulse() -> None:
    model = MODEL.replace(central_field=(0.3, -0.7, 0.5))
    state = evolve(model, [0.4], NAMES, central_state=(0.6, 0.0, -0.3), tolerance=1e-10).final
    (exact,) = spin_boson.states(model, [0.4], (0.6, 0.0, -0.3), cutoff=30)
    assert np.abs(density_matrix(state, 30) - exact.full()).max() < 1e-8
    pulse = qutip.tensor(qutip.sigmay(), qutip.qeye(30))
    turned = density_matrix(state.apply(PAULI[1]), 30)
    assert np.abs(turned - (pulse * exact * pulse).full()).max() < 1e-8


def test_an_inverted_bath_is_the_mirror_image() -> None:
    """σx on all spins exchanges pump and decay, and turns the fields around x."""
    inverted = MODEL.replace(g0=2.0, central_field=(0.4, 0.3, 0.5), bath_pump=1.3, bath_decay=0.2)
    mirrored = MODEL.replace(
        g0=2.0,
        central_field=(0.4, -0.3, -0.5),
        central_pump=0.1,
        central_decay=0.8,
        bath_pump=0.2,
        bath_decay=1.3,
    )
    found, exact = (
        density_matrix(steady_state(m, NAMES, tolerance=1e-10).state, 20) for m in (inverted, mirrored)
    )
    flip = np.kron(PAULI[0], np.eye(20))
    assert np.abs(found - flip @ exact @ flip).max() < 1e-10


def test_fewer_levels_are_a_part_of_more() -> None:
    state = steady_state(MODEL.replace(bath_pump=0.8), NAMES).state
    whole, part = density_matrix(state, 60), density_matrix(state, 5)
    kept = np.r_[:5, 60:65]
    assert np.abs(whole[np.ix_(kept, kept)] - part).max() < 1e-12
    assert np.trace(part).real < 0.9 < 0.999 < np.trace(whole).real < 1 + 1e-12


def test_other_central_systems_keep_their_own_state() -> None:
    a = np.diag(np.sqrt([1.0, 2.0]), 1)
    sites = replace(bath(1.0), couplings=[(0.7 * a.T, SIGMA_MINUS)])
    model = CollectiveModel(hamiltonian=0.5 * (a + a.T), jumps=[0.9 * a], sites=sites, initial=[1, 0, 0])
    state = steady_state(model, {"n": a.T @ a}, tolerance=1e-9).state
    rho = density_matrix(state, 25).reshape(3, 25, 3, 25)
    assert np.abs(np.einsum("injn->ij", rho) - state.central).max() < 1e-9
    assert abs(np.einsum("inin->", rho) - 1) < 1e-9


@pytest.mark.parametrize(
    "state",
    [
        None,
        steady_state(MODEL.replace(N=5), NAMES).state,
        steady_state(MODEL.replace(bath_pump=1.0), NAMES).state,
        steady_state(MODEL.replace(scaling=1.0), "tau_z").state,
        steady_state(TWO_CLASSES, {"z": PAULI[2]}).state,
    ],
    ids=["nothing", "finite", "commuting", "mean field", "two classes"],
)
def test_what_has_no_boson_is_refused(state) -> None:
    with pytest.raises(
        ArgumentError, match=r"^Argument `state` must be a `State` of infinitely many bath spins-½"
    ):
        density_matrix(state, 10)
