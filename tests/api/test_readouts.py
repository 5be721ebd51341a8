"""Reduced density matrices and squeezing against the whole space and closed forms."""

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
    Sites,
    dicke_state,
    evolve,
    reduced_state,
    steady_state,
    superposition_state,
    total_spin,
)
from centralspin.methods.full_space import FullSpace
from centralspin.question import ask

X, Y, Z = PAULI


def whole_state(model: CollectiveModel, time: float) -> tuple[FullSpace, qutip.Qobj]:
    problem = ask(model, {"z": np.eye(len(model.hamiltonian))}).problem
    space = FullSpace(problem)
    flow = (space.liouvillian() * time * problem.unit).expm()
    return space, qutip.vector_to_operator(flow * qutip.operator_to_vector(space.initial()))


@pytest.mark.parametrize("dimension", [2, 3])
def test_reduced_states_are_partial_traces(dimension: int) -> None:
    rng = np.random.default_rng(dimension)
    matrices = [
        rng.standard_normal((dimension,) * 2) + 1j * rng.standard_normal((dimension,) * 2) for _ in range(4)
    ]
    jumps = [0.4 * m for m in matrices[:2]]
    sites = [
        Sites(
            count=2, hamiltonian=matrices[2] + matrices[2].conj().T, jumps=jumps, couplings=[(X, matrices[3])]
        ),
        Sites(
            count=2 if dimension == 2 else 1, hamiltonian=X, jumps=[SIGMA_MINUS], couplings=[(Y, SIGMA_PLUS)]
        ),
    ]
    model = CollectiveModel(hamiltonian=0.3 * Z, jumps=[0.2 * SIGMA_MINUS], sites=sites, initial=[0.6, 0.8])
    state = evolve(model, [0.5], {"z": Z}, tolerance=1e-10).final
    _, rho = whole_state(model, 0.5)
    for arguments, kept in (
        ({"sites": 0}, [0]), ({}, [0, 1]), ({"sites": 2}, [0, 1, 2]), ({"sites": 2, "central": False}, [1, 2]),
        ({"sites": 1, "site_class": 1}, [0, 3]), ({"sites": 1, "site_class": 1, "central": False}, [3]),
    ):  # fmt: skip
        np.testing.assert_allclose(reduced_state(state, **arguments), rho.ptrace(kept).full(), atol=1e-8)


def test_one_site_among_many() -> None:
    """At large N two sites are independent of each other up to 1/N, at N = ∞ altogether."""
    for N in (1000, math.inf):
        state = evolve(CentralSpinModel.figure_2(N), [1.0], ["tau_z"]).final
        one, two = (reduced_state(state, k, central=False) for k in (1, 2))
        apart = np.abs(two - np.kron(one, one)).max()
        assert (apart < 1e-7) if math.inf == N else (1e-5 < apart < 1e-2)
        joint = qutip.Qobj(reduced_state(state), dims=[[2, 2], [2, 2]])
        assert joint.tr() == pytest.approx(1, abs=1e-8)
        np.testing.assert_allclose(joint.ptrace(0).full(), state.central, atol=1e-8)


@pytest.mark.parametrize("N", [2, 7, 40])
def test_one_axis_twisting(N: int) -> None:
    """Spins that start along x and twist about z, χ S_z²: the closed form of Kitagawa and Ueda."""
    chi, times = 0.05, np.array([0.5, 1.5])
    sites = Sites(
        count=N,
        hamiltonian=0 * Z,
        jumps=[],
        interactions=[(chi * N * Z / 2, Z / 2)],
        initial=(np.eye(2) + X) / 2,
    )
    model = CollectiveModel(hamiltonian=0 * Z, sites=sites, initial=[1, 0])
    for t in times:
        spin = total_spin(evolve(model, [t], {"z": Z}, tolerance=1e-9).final)
        mu = 2 * chi * t
        A, B = 1 - math.cos(mu) ** (N - 2), 4 * math.sin(mu / 2) * math.cos(mu / 2) ** (N - 2)
        expected = 1 + (N - 1) / 4 * (A - math.hypot(A, B))
        assert spin.kitagawa_ueda == pytest.approx(expected, abs=1e-6)
        length = math.cos(mu / 2) ** (N - 1) / 2
        np.testing.assert_allclose(spin.mean, [length, 0, 0], atol=1e-7)
        assert spin.wineland == pytest.approx(expected / (2 * length) ** 2, abs=1e-6)


def test_squeezing_of_the_paper_s_bath() -> None:
    state = steady_state(CentralSpinModel.figure_2(50), ["Q2"]).state
    spin = total_spin(state)
    assert spin.covariance.shape == (3, 3) and np.linalg.eigvalsh(spin.covariance)[0] > 0
    assert spin.wineland > spin.kitagawa_ueda > 0


@pytest.mark.parametrize("N", [2, 6, 24])
def test_squeezing_is_refused_where_the_mean_spin_is_round_off(N: int) -> None:
    """A Dicke state, a Greenberger–Horne–Zeilinger state, and spins that nothing polarises."""
    model = CentralSpinModel.figure_2(N)
    idle = Sites(count=N, hamiltonian=0.3 * Y, jumps=[SIGMA_MINUS, SIGMA_PLUS])
    mixed = CollectiveModel(hamiltonian=X, jumps=[SIGMA_MINUS], sites=idle, initial=[1, 0])
    for state in (
        dicke_state(model, N // 2),
        superposition_state(model, [[1, 0], [0, 1]]),
        steady_state(mixed, {"z": Z}).state,
        evolve(mixed, [1.0], {"z": Z}, tolerance=1e-4).final,
    ):
        spin = total_spin(state)
        for name in ("least_variance", "kitagawa_ueda", "wineland"):
            with pytest.raises(ArgumentError, match=r"`state` must have a mean spin .* but is one of"):
                getattr(spin, name)


def test_a_short_mean_spin_that_is_known_has_a_direction() -> None:
    """Spins that are hardly polarised are not squeezed: 4 Var = 1 across."""
    spin = total_spin(
        evolve(
            CollectiveModel(
                hamiltonian=X,
                sites=Sites(count=5, hamiltonian=0 * Z, initial=(np.eye(2) + 1e-4 * X) / 2),
                initial=[1, 0],
            ),
            [0.0],
            {"z": Z},
        ).final
    )
    assert spin.kitagawa_ueda == pytest.approx(1, abs=1e-7)
    assert spin.wineland == pytest.approx(1e8, rel=1e-3)


def test_few_sites_beside_many_are_known_as_well_as_alone() -> None:
    """The squeezing of one-axis twisting, of sites that are a millionth of all."""
    N, mu = 20, 0.3
    many = Sites(count=10**7, hamiltonian=0 * Z, jumps=[SIGMA_MINUS], couplings=[(0.1 * X, X)])
    few = Sites(
        count=N, hamiltonian=0 * Z, interactions=[(mu / 3 * N * Z / 2, Z / 2)], initial=(np.eye(2) + X) / 2
    )
    model = CollectiveModel(hamiltonian=0.5 * Z, jumps=[SIGMA_MINUS], sites=[many, few], initial=[1, 0])
    state = evolve(model, [1.5], {"z": Z}, tolerance=1e-6).final
    spin, one = total_spin(state, site_class=1), reduced_state(state, site_class=1, central=False)
    A, B = 1 - math.cos(mu) ** (N - 2), 4 * math.sin(mu / 2) * math.cos(mu / 2) ** (N - 2)
    assert spin.error <= 2e-6
    assert spin.kitagawa_ueda == pytest.approx(1 + (N - 1) / 4 * (A - math.hypot(A, B)), abs=1e-6)
    assert one[0, 1] == pytest.approx(math.cos(mu / 2) ** (N - 1) / 2, abs=1e-6)


def test_bad_input_is_told() -> None:
    state = evolve(CentralSpinModel.figure_2(1), [0.1], ["tau_z"]).final
    for call, sentence in (
        (lambda: reduced_state(state, 3), "`sites` must be"),
        (lambda: reduced_state(state, 2), "`sites` must be at most the 1 of the class"),
        (lambda: reduced_state(state, site_class=1), "`site_class` must be"),
        (lambda: total_spin(state, site_class=-1), "`site_class` must be"),
    ):
        with pytest.raises(ArgumentError) as error:
            call()
        assert sentence in str(error.value)
