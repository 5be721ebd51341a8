"""Conserved numbers are found, used, and change nothing but the number of unknowns."""

import math

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from centralspin import (
    PAULI,
    SIGMA_MINUS,
    SIGMA_PLUS,
    CentralSpinModel,
    CollectiveModel,
    Moment,
    Sites,
    correlation,
    evolve,
    expand,
    spectrum,
    steady_state,
)
from centralspin.problem.collective import collective_model
from centralspin.problem.general import Task, dimensionless
from centralspin.symmetric import compile
from centralspin.symmetric.basis import OperatorBasis
from centralspin.symmetric.charges import conserved, null_vectors
from centralspin.symmetric.solver import Solver

X, Y, Z = PAULI


def ladder(levels: int) -> np.ndarray:
    return np.diag(np.sqrt(np.arange(1.0, levels)), 1)


def spin(levels: int) -> np.ndarray:
    m = np.arange(levels - 1)
    return np.diag(np.sqrt((m + 1.0) * (levels - 1 - m)), 1)


def random_model(seed: int, N: float, classes: int = 1, coherent: bool = True) -> CollectiveModel:
    """A model that conserves an excitation number, of random strengths and initial states."""
    random = np.random.default_rng(seed)
    d, levels = random.integers(2, 4), random.integers(2, 4 if N < 10 or math.inf == N else 3)
    a, s = ladder(d), spin(levels)
    r = lambda: random.uniform(0.2, 1.0)  # noqa: E731
    share = {"share": 1 / classes} if math.inf == N else {}
    sites = [
        Sites(
            count=N if math.inf == N else int(N) // classes + (c < int(N) % classes),
            hamiltonian=r() * np.diag(np.arange(levels)),
            jumps=[r() * s, r() * s.T, r() * np.diag(np.arange(levels))],
            couplings=[(r() * a.T * np.exp(2j * r()), s)],
            **share,
        )
        for c in range(classes)
    ]
    ket = random.normal(size=(d, 2)) @ [1, 1j]
    rho = np.outer(ket, ket.conj()) / np.vdot(ket, ket).real
    rho = rho if coherent else np.diag(rho.diagonal().real)
    return CollectiveModel(
        hamiltonian=r() * a.T @ a, jumps=[r() * a, 0.4 * r() * a.T, r() * a.T @ a], sites=sites, initial=rho
    )


def observables(model: CollectiveModel) -> dict:
    a, s = ladder(model.dimension), spin(model.sites[0].dimension)
    x = s + s.T
    return {
        "n": a.T @ a, "x": a + a.T, "X": Moment(site=x), "X2": Moment(site=x, power=2),
        "nX2": Moment(central=a.T @ a, site=x, power=2), "aX": Moment(central=1j * (a - a.T), site=x),
    }  # fmt: skip


@pytest.fixture
def whole(monkeypatch):
    """A function that makes a run blind to what is conserved."""

    def without(run):
        with monkeypatch.context() as patch:
            patch.setattr(compile, "conserved", lambda problem: None)
            found = run()
        assert "conserved" not in found.details.get("symmetry", "")
        return found

    return without


@pytest.mark.parametrize("N", [1, 3, 30, math.inf])
@pytest.mark.parametrize("seed", range(4))
def test_sectors_change_nothing_but_the_unknowns(whole, seed: int, N: float) -> None:
    model = random_model(seed, N)
    read = observables(model)
    run = lambda: evolve(model, [0.3, 1.0], read, tolerance=1e-7)  # noqa: E731
    found, right = run(), whole(run)
    assert found.details["unknowns"] < right.details["unknowns"]
    rest, its = (f(lambda: steady_state(model, read, tolerance=1e-7)) for f in (lambda g: g(), whole))
    assert rest.details["unknowns"] < 0.5 * its.details["unknowns"]
    assert "charge 0 are reached" in rest.details["symmetry"]
    for name in read:
        np.testing.assert_allclose(found[name], right[name], atol=2e-7)
        assert rest[name] == pytest.approx(its[name], abs=2e-7)


@pytest.mark.parametrize("seed", [5, 6])
def test_sectors_agree_with_the_whole_space(seed: int) -> None:
    model = random_model(seed, 3)
    read = observables(model)
    found = evolve(model, [0.7], read)
    right = evolve(model, [0.7], read, method="full_space", tolerance=1e-10)
    for name in read:
        np.testing.assert_allclose(found[name], right[name], atol=3e-8)


@pytest.mark.parametrize("N", [4, 5])
def test_two_classes(whole, N: int) -> None:
    model = random_model(7, N, classes=2, coherent=False)
    levels = np.diag(np.arange(model.sites[1].dimension))
    read = {
        "n": observables(model)["n"],
        "second": Moment(site=levels, site_class=1, about="zero", scaling=1.0),
    }
    run = lambda: evolve(model, [0.5], read, tolerance=1e-6)  # noqa: E731
    found, right = run(), whole(run)
    for name in read:
        np.testing.assert_allclose(found[name], right[name], atol=2e-6)
    assert found.details["unknowns"] < 0.5 * right.details["unknowns"]


@pytest.mark.parametrize("N", [6, math.inf])
def test_correlations_and_spectra_leave_the_sector_and_come_back(whole, N: float) -> None:
    model = random_model(11, N)
    a, s = ladder(model.dimension), spin(model.sites[0].dimension)
    triple = (a.T, Moment(site=s.T), a)
    for run in (
        lambda: correlation(model, [0.0, 0.4, 1.1], (None, a.T, a), tolerance=1e-7),
        lambda: correlation(model, [0.0, 0.4, 1.1], triple, tolerance=1e-7),
        lambda: correlation(model, [0.0, 0.4], (None, Moment(site=s.T), Moment(site=s)), tolerance=1e-7),
        lambda: spectrum(model, [-1.0, 0.0, 2.0], a.T, a, tolerance=1e-7),
    ):
        np.testing.assert_allclose(run(), whole(run), atol=3e-7)


def test_sets_hold_both_modes_of_what_an_operator_reads() -> None:
    """Also where it is not Hermitian, and reads one of them."""
    seed = next(k for k in range(20) if random_model(k, 3).sites[0].dimension == 3)
    lower = np.zeros((3, 3))
    lower[0, 2] = 1.0
    read = (Moment(site=lower, power=2),)
    solver = Solver(Task(dimensionless(random_model(seed, 3)), np.array([1.0]), read, 1e-8))
    (needed,) = solver.shape.needed
    assert needed.any() and (needed == needed[solver.frame.modes_adjoint]).all()


@pytest.mark.parametrize("N", [3, math.inf])
def test_a_bath_by_itself_emits(N: float) -> None:
    """Nothing but what multiplies the state reaches its modes, and one of a pair alone."""
    sites = Sites(count=N, hamiltonian=0.35 * Z, jumps=[SIGMA_MINUS, 0.5 * SIGMA_PLUS])
    model = CollectiveModel(hamiltonian=X, jumps=[SIGMA_MINUS], sites=sites)
    up, down = Moment(site=SIGMA_PLUS), Moment(site=SIGMA_MINUS)
    excited, width, tau = 0.25 / 1.25, 1.25 / 2, np.array([0.0, 0.5, 2.0])
    # ⟨S₊(τ)S₋(0)⟩/N: each site by itself, which turns at the frequency 0.7.
    np.testing.assert_allclose(
        correlation(model, tau, (None, up, down)), excited * np.exp((0.7j - width) * tau), atol=1e-7
    )
    light = spectrum(model, [0.7, 1.3], up, down)
    np.testing.assert_allclose(light, 2 * excited * width / (width**2 + np.array([0.0, 0.6]) ** 2), atol=1e-6)


def test_what_has_a_charge_leaves_nothing_behind() -> None:
    """A correlation over so long a time that its end is read from what does not change any more."""
    model = random_model(11, 3)
    a = ladder(model.dimension)
    found = correlation(model, [0.0, 1.0, 1e5], (None, a.T, a), tolerance=1e-7)
    assert abs(found[1]) > 1e-3 > 1e-7 > abs(found[2])


def test_coefficients_of_the_expansion(whole) -> None:
    model = random_model(12, math.inf)
    read = {"n": observables(model)["n"]}
    for times in (None, [0.5]):
        found = expand(model, times, read, terms=2, tolerance=1e-7)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compile, "conserved", lambda problem: None)
            right = expand(model, times, read, terms=2, tolerance=1e-7)
        np.testing.assert_allclose([c["n"] for c in found], [c["n"] for c in right], atol=1e-6)


@pytest.mark.parametrize("broken", [False, True])
def test_a_state_that_leaves_its_sector_goes_on(broken: bool) -> None:
    """After a rotation of the central system, with the same model and with one that conserves nothing."""
    K = np.array([[0.8, 0.6j], [0.6j, 0.8]])
    atoms = lambda drive: Sites(  # noqa: E731
        count=3, hamiltonian=drive * X, jumps=[SIGMA_MINUS, 0.4 * SIGMA_PLUS],
        couplings=[(SIGMA_PLUS, SIGMA_MINUS)], initial=np.diag([0.3, 0.7]),
    )  # fmt: skip
    first = CollectiveModel(hamiltonian=0.3 * Z, jumps=[0.5 * SIGMA_MINUS], sites=atoms(0.0), initial=[1, 0])
    second = first.replace(sites=atoms(0.4 if broken else 0.0))
    read = {"x": X, "y": Y, "z": Z, "X2": Moment(site=X, power=2, about="zero")}
    state = evolve(first, [0.0, 0.6], read).final.apply(K)
    found = evolve(second, [0.0, 0.5], read, initial=state)
    assert ("symmetry" in found.details) == (not broken)
    H, jumps, rho, central, *_ = oracle.build(first)
    rho = expm(0.6 * oracle.liouvillian(H, jumps)) @ rho.ravel(order="F")
    rho = central(K) @ rho.reshape(H.shape, order="F") @ central(K).conj().T
    rho = expm(0.5 * oracle.liouvillian(*oracle.build(second)[:2])) @ rho.ravel(order="F")
    for name, A in zip("xyz", (X, Y, Z), strict=True):
        right = np.trace(central(A) @ rho.reshape(H.shape, order="F")).real
        assert found[name][-1] == pytest.approx(right, abs=3e-8)
    np.testing.assert_allclose(
        state.central, K @ evolve(first, [0.6], read).final.central @ K.conj().T, atol=1e-9
    )


def test_what_is_conserved_is_found() -> None:
    def numbers(**changes) -> int:
        given = {
            "hamiltonian": Z, "jumps": [SIGMA_MINUS],
            "sites": Sites(
                count=5, hamiltonian=Z, jumps=[SIGMA_MINUS, SIGMA_PLUS], couplings=[(SIGMA_PLUS, SIGMA_MINUS)]
            ),
        } | changes  # fmt: skip
        found = conserved(dimensionless(CollectiveModel(**given)))
        return 0 if found is None else len(found)

    site = lambda couplings, **more: Sites(  # noqa: E731
        count=5, hamiltonian=Z, jumps=[SIGMA_MINUS], couplings=couplings, **more
    )
    assert numbers() == 1
    assert numbers(hamiltonian=X) == 0
    assert numbers(jumps=[SIGMA_MINUS + SIGMA_PLUS]) == 0
    assert numbers(jumps=[SIGMA_MINUS + Z]) == 0
    assert numbers(sites=site([(X, X), (Y, Y)])) == 1  # neither of the two conserves it
    assert numbers(sites=site([(X, X), (Y, 0.9 * Y)])) == 0
    assert numbers(sites=site([(SIGMA_PLUS, SIGMA_PLUS)])) == 1  # that of the sites counts backwards
    assert numbers(sites=site([(Z, Z)])) == 2
    assert numbers(sites=site([(SIGMA_PLUS, SIGMA_MINUS)], initial=[0.6, 0.8])) == 0
    assert numbers(collective_jumps=[(None, SIGMA_MINUS), (SIGMA_MINUS, SIGMA_PLUS)]) == 1
    assert numbers(collective_jumps=[(SIGMA_MINUS, SIGMA_PLUS + SIGMA_MINUS)]) == 0
    two = [site([(SIGMA_PLUS, SIGMA_MINUS)]), site([(Z, Z)])]
    assert numbers(sites=two) == 2


@given(st.integers(0, 10**6))
def test_null_vectors_solve_integer_equations(seed: int) -> None:
    random = np.random.default_rng(seed)
    M = random.integers(-1, 2, size=(random.integers(1, 5), 5)).astype(float)
    found = null_vectors(M)
    assert len(found) == 5 - np.linalg.matrix_rank(M)
    assert not len(found) or (np.abs(M @ found.T).max() == 0 and np.linalg.matrix_rank(found) == len(found))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(3, 12), st.sampled_from([math.inf, 4.0, 200.0]))
def test_unknowns_are_foreseen(seed: int, cut: int, N: float) -> None:
    model = random_model(seed, N)
    solver = Solver(
        Task(dimensionless(model), np.array([1.0]), (Moment(central=np.eye(model.dimension)),), 1e-8)
    )
    occupations, _ = solver.shape.sets(cut)
    size = solver.generator(occupations).size
    foreseen = solver.shape.unknowns(cut, model.dimension**2)
    assert size <= foreseen <= 6 * size


@pytest.mark.parametrize("cut", [4, 9])
def test_unknowns_of_a_boson_are_foreseen_exactly(cut: int) -> None:
    model = CentralSpinModel.figure_2(math.inf).replace(central_field=(0, 0, 0.3))
    solver = Solver(Task(dimensionless(collective_model(model)), np.array([1.0]), (Moment(),), 1e-8))
    occupations, _ = solver.shape.sets(cut)
    size = solver.generator(occupations).size
    assert solver.shape.unknowns(cut, 4) == size < 4 * solver.shape.count(cut)


@pytest.mark.parametrize("charged", [False, True])
@pytest.mark.parametrize("levels", [2, 3, 9])
def test_sparse_superoperators_are_the_dense_ones(levels: int, charged: bool) -> None:
    few, many = (OperatorBasis(levels, charged=charged, sparse=sparse) for sparse in (False, True))
    A = np.random.default_rng(3).normal(size=(levels, levels, 2)) @ [1, 1j]
    H = A + A.conj().T
    for name, operator in [("left", A), ("right", A), ("sandwich", A), ("dissipator", A), ("commutator", H)]:
        np.testing.assert_allclose(
            getattr(many, name)(operator).toarray(), getattr(few, name)(operator), atol=1e-12
        )
    X = A @ H
    np.testing.assert_allclose(few.left(A) @ few.coordinates(X), few.coordinates(A @ X), atol=1e-11)
    np.testing.assert_allclose(few.right(A) @ few.coordinates(X), few.coordinates(X @ A), atol=1e-11)
    expected = -0.5j * (H @ X - X @ H)
    np.testing.assert_allclose(
        0.5 * few.commutator(H) @ few.coordinates(X), few.coordinates(expected), atol=1e-10
    )
    adjoint = few.coordinates(X.conj().T)[few.adjoint]
    np.testing.assert_allclose(adjoint, few.coordinates(X).conj(), atol=1e-11)


@pytest.mark.parametrize("N", [3, 40, math.inf])
@pytest.mark.parametrize("field", [0.0, 0.7])
def test_references_that_relax_are_followed_as_any_others(monkeypatch, N: float, field: float) -> None:
    """The polynomial in exponentials against Runge and Kutta, with and without precession, beyond the time of rest."""
    sites = Sites(
        count=N, hamiltonian=field * X, jumps=[SIGMA_MINUS, 0.5 * SIGMA_PLUS],
        couplings=[(0.7 * SIGMA_PLUS, SIGMA_MINUS)], initial=[0, 1] if field == 0 else np.diag([0.4, 0.6]),
    )  # fmt: skip
    model = CollectiveModel(
        hamiltonian=0.3 * Z,
        jumps=[0.5 * SIGMA_MINUS],
        sites=sites,
        initial=[1, 0],
        scaling=1.0 if field else 0.5,
    )
    read = {"z": Z, "X2": Moment(site=X, power=2)}
    found = evolve(model, [0.5, 2.0, 90.0], read, tolerance=1e-8)
    monkeypatch.setattr(Solver, "_relaxation", lambda self: None)
    right = evolve(model, [0.5, 2.0, 90.0], read, tolerance=1e-8)
    assert found["z"][0] != found["z"][1]
    for name in read:
        np.testing.assert_allclose(found[name], right[name], atol=2e-8)
