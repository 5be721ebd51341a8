"""Entangled initial states against the whole space."""

import math

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
    Moment,
    Sites,
    dicke_state,
    evolve,
    reduced_state,
    superposition_state,
    total_spin,
)
from centralspin.methods.full_space import FullSpace
from centralspin.question import ask

X, Y, Z = PAULI


def exact(model: CollectiveModel, ket: qutip.Qobj, time: float, moments: list[Moment]) -> list[complex]:
    """Moments after a time, from a ket of the sites."""
    problem = ask(model, {"z": np.eye(2)}).problem
    space = FullSpace(problem)
    start = qutip.tensor(qutip.Qobj(model.initial), ket.proj())
    start.dims = space.initial().dims
    flow = (space.liouvillian() * time * problem.unit).expm()
    rho = qutip.vector_to_operator(flow * qutip.operator_to_vector(start))
    return [complex((space.moment(m) * rho).tr()) for m in moments]


def model_of(N: int, dimension: int = 2) -> CollectiveModel:
    lower = np.diag(np.sqrt(np.arange(1.0, dimension)), 1).T
    sites = Sites(
        count=N,
        hamiltonian=0.3 * (lower + lower.T),
        jumps=[lower, 0.4 * lower.T],
        couplings=[(SIGMA_PLUS, lower)],
    )
    return CollectiveModel(hamiltonian=0.4 * Z, jumps=[0.3 * SIGMA_MINUS], sites=sites, initial=[0.6, 0.8])


@pytest.mark.parametrize("k", range(4))
def test_dicke_states(k: int) -> None:
    model = model_of(3)
    state = dicke_state(model, k)
    moments = [
        Moment(central=X, site=Y, about="zero"),
        Moment(site=Z, power=2, about="zero"),
        Moment(central=Z),
    ]
    basis = [qutip.tensor([qutip.basis(2, int(s)) for s in np.binary_repr(i, 3)]) for i in range(8)]
    ket = sum(b for i, b in enumerate(basis) if np.binary_repr(i, 3).count("0") == k).unit()
    for time in (0.0, 0.8):
        found = evolve(model, [time], {str(i): m for i, m in enumerate(moments)}, initial=state)
        for i, value in enumerate(exact(model, ket, time, moments)):
            assert abs(found[str(i)][0] - value) < 1e-9


@pytest.mark.parametrize("dimension", [2, 3])
def test_superpositions(dimension: int) -> None:
    rng = np.random.default_rng(dimension)
    kets = rng.standard_normal((3, dimension)) + 1j * rng.standard_normal((3, dimension))
    kets = kets / np.linalg.norm(kets, axis=1)[:, None]
    c = np.array([1.0, 0.5 - 0.3j, -0.7j])
    N = 5 - dimension
    model = model_of(N, dimension)
    B = rng.standard_normal((dimension, dimension))
    moments = [Moment(central=X, site=B + B.T, power=2, about="zero"), Moment(site=B, about="zero")]
    ket = sum(a * qutip.tensor([qutip.Qobj(x)] * N) for a, x in zip(c, kets, strict=True)).unit()
    state = superposition_state(model, list(kets), c)
    found = evolve(model, [0.5], {"a": moments[0], "b": moments[1]}, initial=state)
    for name, value in zip("ab", exact(model, ket, 0.5, moments), strict=True):
        assert abs(found[name][0] - value) < 1e-8


def test_what_dicke_states_are_known_for() -> None:
    """Half of twenty up: no mean spin, and S_x² + S_y² as large as it can be; two sites are entangled."""
    N = 20
    state = dicke_state(CentralSpinModel.figure_2(N), N // 2, central_state="down")
    spin = total_spin(state)
    np.testing.assert_allclose(spin.mean, 0, atol=1e-8)
    np.testing.assert_allclose(np.diag(spin.covariance), [(N / 2 + 1) / 4, (N / 2 + 1) / 4, 0], atol=1e-7)
    rho = qutip.Qobj(reduced_state(state, 2, central=False), dims=[[2, 2], [2, 2]])
    assert qutip.concurrence(rho) == pytest.approx(1 / (N - 1), abs=1e-6)
    np.testing.assert_allclose(state.central, np.diag([0, 1]), atol=1e-9)


def test_bad_input_is_told() -> None:
    model = CentralSpinModel.figure_2(4)
    for call, sentence in (
        (lambda: dicke_state(model, 5), "`excitations` must be"),
        (lambda: dicke_state(model.replace(N=100), 5), "`model` must have at most 24 sites"),
        (lambda: dicke_state(model.replace(N=math.inf), 5), "`model` must have at most 24 sites"),
        (
            lambda: superposition_state(model_of(20, 4), [[1, 0, 0, 0]]),
            "`model` must have fewer sites or levels",
        ),
        (
            lambda: superposition_state(model_of(24, 7), [np.eye(7)[0]]),
            "of 24 sites of 7 levels, whose states take",
        ),
        (lambda: superposition_state(model, []), "`kets` must hold at least one"),
        (lambda: superposition_state(model, [[1, 1]]), "`kets[0]` must be a normalised ket of 2 entries"),
        (lambda: superposition_state(model, [[1, 0], [1, 0]], [1, -1]), "`amplitudes` must leave something"),
        (lambda: superposition_state(model, [[1, 0]], [1, 2]), "`amplitudes` must be as many as the 1 kets"),
    ):
        with pytest.raises(ArgumentError) as error:
            call()
        assert sentence in str(error.value)
