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
    bosonic_state,
    evolve,
    steady_state,
    wigner,
)
from centralspin.methods import spin_boson
from centralspin.symmetric import compile

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
    found = bosonic_state(steady_state(model, NAMES, tolerance=1e-9).state, levels)
    assert np.abs(found - exact).max() < 2e-8


def test_a_state_on_its_way_after_a_pulse() -> None:
    model = MODEL.replace(central_field=(0.3, -0.7, 0.5))
    state = evolve(model, [0.4], NAMES, central_state=(0.6, 0.0, -0.3), tolerance=1e-10).final
    (exact,) = spin_boson.states(model, [0.4], (0.6, 0.0, -0.3), cutoff=30)
    assert np.abs(bosonic_state(state, 30) - exact.full()).max() < 1e-8
    pulse = qutip.tensor(qutip.sigmay(), qutip.qeye(30))
    turned = bosonic_state(state.apply(PAULI[1]), 30)
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
        bosonic_state(steady_state(m, NAMES, tolerance=1e-10).state, 20) for m in (inverted, mirrored)
    )
    flip = np.kron(PAULI[0], np.eye(20))
    assert np.abs(found - flip @ exact @ flip).max() < 1e-10


def test_fewer_levels_are_a_part_of_more() -> None:
    state = steady_state(MODEL.replace(bath_pump=0.8), NAMES).state
    whole, part = bosonic_state(state, 60), bosonic_state(state, 5)
    kept = np.r_[:5, 60:65]
    assert np.abs(whole[np.ix_(kept, kept)] - part).max() < 1e-12
    assert np.trace(part).real < 0.9 < 0.999 < np.trace(whole).real < 1 + 1e-12


@pytest.mark.parametrize("pump", [0.2, 1.6])
def test_charged_modes_hold_the_same_state(monkeypatch, pump: float) -> None:
    """Without a transverse field an excitation number is conserved, and a pulse leaves the sector."""
    model = MODEL.replace(
        g0=1.5, central_field=(0, 0, 0.5), bath_pump=pump, bath_decay=0.4 if pump > 1 else 1.0
    )
    run = lambda: evolve(model, [0.7], NAMES, tolerance=1e-9).final  # noqa: E731
    found = run()
    assert found.held.pairs is not None
    monkeypatch.setattr(compile, "conserved", lambda problem: None)
    right = run()
    assert right.held.pairs is None
    K = np.array([[0.8, 0.6j], [0.6j, 0.8]])
    x, p = np.linspace(-2, 2, 5), np.linspace(-1, 3, 4)
    for a, b in ((found, right), (found.apply(K), right.apply(K))):
        assert np.abs(bosonic_state(a, 25) - bosonic_state(b, 25)).max() < 1e-8
        assert np.abs(wigner(a, x, p) - wigner(b, x, p)).max() < 1e-8


@pytest.mark.parametrize("bath", [{}, {"bath_pump": 1.3, "bath_decay": 0.2}])
def test_the_wigner_function_is_that_of_qutip(bath: dict) -> None:
    model = MODEL.replace(g0=2.0, central_field=(0.4, 0.3, 0.5), **bath)
    state = evolve(model, [0.8], NAMES, central_state=(0.6, 0.0, -0.3), tolerance=1e-9).final
    levels = 60
    rho = qutip.Qobj(bosonic_state(state, levels), dims=[[2, levels], [2, levels]]).ptrace(1)
    x, p = np.linspace(-3, 3, 7), np.linspace(-2, 4, 6)
    found = wigner(state, x, p)
    assert found.shape == (6, 7)
    assert np.abs(found - qutip.wigner(rho, x, p)).max() < 1e-7
    assert np.abs(found - found[::-1]).max() > 1e-3 and np.abs(found - found[:, ::-1]).max() > 1e-3


def test_other_central_systems_keep_their_own_state() -> None:
    a = np.diag(np.sqrt([1.0, 2.0]), 1)
    sites = replace(bath(1.0), couplings=[(0.7 * a.T, SIGMA_MINUS)])
    model = CollectiveModel(hamiltonian=0.5 * (a + a.T), jumps=[0.9 * a], sites=sites, initial=[1, 0, 0])
    state = steady_state(model, {"n": a.T @ a}, tolerance=1e-9).state
    rho = bosonic_state(state, 25).reshape(3, 25, 3, 25)
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
        bosonic_state(state, 10)
    with pytest.raises(
        ArgumentError, match=r"^Argument `state` must be a `State` of infinitely many bath spins-½"
    ):
        wigner(state, [0.0], [0.0])
