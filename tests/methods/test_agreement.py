"""Do methods that build their equations independently give the same numbers?"""

import math

import numpy as np
import pytest
import qutip
from conftest import PAPER, blochs, models, numbers
from hypothesis import given, settings
from qutip import piqs

from centralspin import CentralSpinModel, evolve, steady_state

TIMES = np.linspace(0, 2, 5)
CENTRAL = ("tau_x", "tau_y", "tau_z")
EPSILON_FREE = (*CENTRAL, "m_x", "m_z", "x", "X2", "X3", "X4", "y", "Y2", "Y4")
BOSONIC = (*CENTRAL, "q", "p", "Q2", "Q4", "P2", "P4", "number")


def largest_difference(one, other):
    return max(np.abs(one[name] - other[name]).max() for name in one)


@given(models(), blochs(), blochs())
def test_symmetric_agrees_with_the_full_space(model, central, bath):
    arguments = {"central_state": central, "bath_bloch": bath}
    symmetric = evolve(model, TIMES, EPSILON_FREE, **arguments)
    full = evolve(model, TIMES, EPSILON_FREE, method="full_space", **arguments)
    assert largest_difference(symmetric, full) < 1e-9


@given(models(sizes=(4, 7, 12)), blochs(), blochs())
@settings(max_examples=6)
def test_symmetric_agrees_with_dicke_blocks_for_product_states(model, central, bath):
    arguments = {"central_state": central, "bath_bloch": bath}
    symmetric = evolve(model, TIMES, EPSILON_FREE, **arguments)
    dicke = evolve(model, TIMES, EPSILON_FREE, method="dicke", **arguments)
    assert largest_difference(symmetric, dicke) < 1e-8


@pytest.mark.parametrize(("N", "scaling"), [(6, 0.5), (25, 0.5), (20, 1.0)])
def test_symmetric_agrees_with_dicke_blocks_at_the_papers_parameters(N, scaling):
    model = PAPER.replace(N=N, scaling=scaling)
    symmetric = evolve(model, TIMES, BOSONIC)
    assert largest_difference(symmetric, evolve(model, TIMES, BOSONIC, method="dicke")) < 1e-8


def test_symmetric_agrees_with_the_full_space_at_the_papers_parameters():
    model = PAPER.replace(N=5)
    times = TIMES[:3]
    full = evolve(model, times, BOSONIC, method="full_space")
    assert largest_difference(evolve(model, times, BOSONIC), full) < 1e-9


@given(numbers(-3, 3), numbers(0, 0.6), numbers(-1, 1), blochs())
@settings(max_examples=5)
def test_infinite_bath_agrees_with_fock_space(g0, pump, field, central):
    model = PAPER.replace(g0=g0, bath_pump=pump, bath_field=(0, 0, field))
    arguments = {"central_state": central}
    symmetric = evolve(model, TIMES, BOSONIC, **arguments)
    fock = evolve(model, TIMES, BOSONIC, method="spin_boson", **arguments)
    assert largest_difference(symmetric, fock) < 1e-8


@given(models(sizes=(1, 2, 3, 4)))
@settings(max_examples=6)
def test_stationary_states_agree(model):
    model = model.replace(central_decay=model.central_decay + 0.1)
    symmetric = steady_state(model, EPSILON_FREE)
    assert largest_difference(symmetric, steady_state(model, EPSILON_FREE, method="full_space")) < 1e-9
    assert largest_difference(symmetric, steady_state(model, EPSILON_FREE, method="dicke")) < 1e-9


def test_stationary_states_agree_for_larger_baths():
    model = PAPER.replace(N=17)  # the Dicke blocks are evolved to stationarity here, not solved
    assert (
        largest_difference(steady_state(model, BOSONIC), steady_state(model, BOSONIC, method="dicke")) < 1e-8
    )
    fock = steady_state(PAPER, BOSONIC, method="spin_boson")
    assert largest_difference(steady_state(PAPER, BOSONIC), fock) < 1e-8


@pytest.mark.parametrize("N", [5, 20])
def test_symmetric_agrees_with_piqs(N):
    """QuTiP's PIQS keeps rates and coefficients in single precision: agreement to 1e-5 is all it can give."""
    model = PAPER.replace(N=N)
    ensemble = piqs.Dicke(N=N, emission=model.bath_decay, pumping=model.bath_pump)
    jx, jy, _ = piqs.jspin(N)
    jm = jx - 1j * jy
    dimension = piqs.num_dicke_states(N)
    one = qutip.qeye(dimension)
    H = qutip.tensor(qutip.Qobj(model.central_hamiltonian()).to("csr"), one)
    exchange = model.coupling * qutip.tensor(qutip.sigmap(), jm)
    H = H + exchange + exchange.dag()
    jumps = [
        math.sqrt(0.1) * qutip.tensor(qutip.sigmam(), one),
        math.sqrt(0.8) * qutip.tensor(qutip.sigmap(), one),
    ]
    bath = qutip.super_tensor(qutip.to_super(qutip.qeye(2)), ensemble.liouvillian())
    liouvillian = qutip.liouvillian(H, jumps) + bath
    thermal = qutip.Qobj(np.diag(_product_state_probabilities(N, (1 - model.epsilon) / 2)))
    start = qutip.tensor(qutip.fock_dm(2, 0), thermal)
    times = np.linspace(0, 2, 3)
    scale = 1 / math.sqrt(2 * model.epsilon * N)
    q = qutip.tensor(qutip.qeye(2), 2 * scale * jx)
    result = qutip.mesolve(
        liouvillian,
        start,
        times,
        e_ops=[qutip.tensor(qutip.sigmaz(), one), q],
        options={"method": "adams", "rtol": 1e-8, "atol": 1e-9, "nsteps": 100_000},
    )
    ours = evolve(model, times, ("tau_z", "q"))
    assert np.abs(result.expect[0] - ours["tau_z"]).max() < 1e-5
    assert np.abs(result.expect[1] - ours["q"]).max() < 1e-5


def _product_state_probabilities(N, up):
    """Weights of |j, m⟩ in the order of PIQS, for N independent spins that are up with probability `up`."""
    weights = []
    for k in range(N // 2 + 1):
        j = N / 2 - k
        multiplicity = math.comb(N, k) - (math.comb(N, k - 1) if k else 0)
        weights += [
            multiplicity * up ** (N / 2 + j - i) * (1 - up) ** (N / 2 - j + i)
            for i in range(round(2 * j) + 1)
        ]
    return np.array(weights)


def test_mean_field_is_exact_for_averaged_couplings_and_infinite_baths():
    model = CentralSpinModel(
        N=math.inf,
        g0=3.0,
        scaling=1.0,
        central_field=(0.3, 0.1, -0.4),
        central_pump=0.2,
        central_decay=0.5,
        bath_pump=0.3,
        bath_decay=0.6,
        bath_field=(0.2, -0.5, 0.4),
    )
    arguments = {"central_state": (0.1, 0.5, 0.3), "bath_bloch": (0.6, -0.3, 0.2)}
    names = (*CENTRAL, "m_x", "m_y", "m_z")
    exact = evolve(model, TIMES, names, **arguments)
    assert largest_difference(exact, evolve(model, TIMES, names, method="mean_field", **arguments)) < 1e-8


def test_mean_field_misses_the_fluctuation_regime():
    exact = evolve(PAPER, TIMES, CENTRAL)
    assert largest_difference(exact, evolve(PAPER, TIMES, CENTRAL, method="mean_field")) > 0.1


@pytest.mark.parametrize("rates", [(0.0, 1.0), (0.5, 0.5), (1.0, 0.3), (1.0, 0.0)])
def test_cold_balanced_and_inverted_baths(rates):
    model = PAPER.replace(N=4, bath_pump=rates[0], bath_decay=rates[1])
    full = evolve(model, TIMES, EPSILON_FREE, method="full_space")
    assert largest_difference(evolve(model, TIMES, EPSILON_FREE), full) < 1e-9
    fluctuations = [name for name in EPSILON_FREE if not name.startswith("m_")]  # averages vanish as 1/√N
    infinite = evolve(model.replace(N=math.inf), TIMES, fluctuations)
    nearly = evolve(model.replace(N=10**7), TIMES, fluctuations)
    assert largest_difference(infinite, nearly) < 1e-5
