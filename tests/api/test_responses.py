"""Correlations, spectra and decay rates against QuTiP, the whole space and closed forms."""

import copy
import math
import pickle
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
    ConvergenceError,
    Moment,
    Sites,
    correlation,
    eigenvalues,
    evolve,
    gap,
    spectrum,
    steady_state,
)
from centralspin.methods import dicke
from centralspin.methods.full_space import FullSpace
from centralspin.problem.collective import collective_model
from centralspin.problem.general import dimensionless
from centralspin.question import ask
from centralspin.result import Response
from centralspin.symmetric import evolution, response
from centralspin.symmetric.response import Decay, Spectral

X, Y, Z = PAULI
LOWER = np.diag(np.sqrt(np.arange(1.0, 8)), 1)


def total(B: np.ndarray, about: str = "zero") -> Moment:
    """A collective operator over √N."""
    return Moment(site=B, about=about)


class Whole:
    """The same problem in the whole space, by dense matrices."""

    def __init__(self, model: object) -> None:
        problem = ask(model, {"one": Moment()}).problem
        self.space = FullSpace(problem)
        self.L = self.space.liouvillian() * problem.unit
        self.rest = qutip.steadystate(self.L)

    def operator(self, given: object) -> qutip.Qobj:
        moment = Moment() if given is None else given if isinstance(given, Moment) else Moment(central=given)
        return self.space.moment(moment)

    def correlation(self, rho: qutip.Qobj, times: np.ndarray, operators: tuple) -> np.ndarray:
        A, B, C = map(self.operator, operators)
        start = qutip.operator_to_vector(C * rho * A)
        return np.array(
            [complex((B * qutip.vector_to_operator((self.L * t).expm() * start)).tr()) for t in times]
        )

    def half(self, start: qutip.Qobj, B: qutip.Qobj, frequency: float) -> complex:
        """∫_0^∞ e^{−iωτ} Tr B e^{Lτ}[start − Tr(start) ρ] dτ."""
        one, rest = (qutip.operator_to_vector(x).full().ravel() for x in (self.operator(None), self.rest))
        x = qutip.operator_to_vector(start).full().ravel() - start.tr() * rest
        matrix = 1j * frequency * np.eye(len(x)) - self.L.full() + np.outer(rest, one.conj())
        y = np.linalg.solve(matrix, x).reshape(self.rest.shape, order="F")
        return complex((B * qutip.Qobj(y, dims=self.rest.dims)).tr())


OPERATORS = {
    "emission": (None, SIGMA_PLUS, SIGMA_MINUS),
    "g2": (SIGMA_PLUS, SIGMA_PLUS @ SIGMA_MINUS, SIGMA_MINUS),
    "collective": (None, total(SIGMA_PLUS), total(SIGMA_MINUS)),
    "left": (total(Z), total(X), None),
    "mixed": (total(SIGMA_MINUS), SIGMA_PLUS, total(Z)),
    "product": (Moment(central=Y, site=SIGMA_PLUS, power=2, about="zero"), total(Z), SIGMA_MINUS),
    "nothing": (None, Z, None),
}


@pytest.mark.parametrize("operators", OPERATORS.values(), ids=OPERATORS)
def test_correlations_in_the_stationary_state(operators: tuple) -> None:
    model, times = CentralSpinModel.figure_2(3, bath_field=(0, 0, 0.3)), np.array([0.0, 0.4, 1.7])
    whole = Whole(model)
    exact = whole.correlation(whole.rest, times, operators)
    np.testing.assert_allclose(correlation(model, times, operators), exact, atol=1e-9)


@pytest.mark.parametrize("operators", OPERATORS.values(), ids=OPERATORS)
def test_correlations_in_a_state_on_its_way(operators: tuple) -> None:
    """The sites start away from their stationary state, so that the reference moves."""
    model = driven_model()
    whole, times = Whole(model), np.array([0.0, 0.5, 1.2])
    rho = qutip.vector_to_operator((whole.L * 0.6).expm() * qutip.operator_to_vector(whole.space.initial()))
    exact = whole.correlation(rho, times, operators)
    state = evolve(model, [0.6], {"z": Z}).final
    np.testing.assert_allclose(correlation(model, times, operators, state=state), exact, atol=1e-8)


def driven_model() -> CollectiveModel:
    """Sites that start away from their stationary state, so that the reference moves."""
    sites = Sites(
        count=3, hamiltonian=0.3 * X, jumps=[SIGMA_MINUS, 0.5 * SIGMA_PLUS], couplings=[(2 * SIGMA_PLUS, SIGMA_MINUS)],
        initial=(np.eye(2) + 0.4 * X + 0.3 * Z) / 2,
    )  # fmt: skip
    return CollectiveModel(hamiltonian=0.4 * Z, jumps=[0.6 * SIGMA_MINUS], sites=sites, initial=[0.6, 0.8])


def about_mean(whole: Whole, rho: qutip.Qobj, moment: Moment) -> qutip.Qobj:
    """The operator of a moment about its mean in a state."""
    plain, one = whole.operator(replace(moment, central=None, power=1, about="zero")), whole.operator(None)
    power = (plain - (plain * rho).tr() * one) ** moment.power
    return power if moment.central is None else whole.operator(moment.central) * power


MEANS = [
    Moment(site=X, about="mean"),
    Moment(site=SIGMA_PLUS, about="mean"),
    Moment(central=Y, site=X + Z, power=2, about="mean"),
]


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("moment", MEANS)
def test_a_mean_is_that_of_the_state_and_not_of_what_operators_make_of_it(moment: Moment, place: int) -> None:
    model, times = driven_model(), np.array([0.4, 1.1])
    whole, state = Whole(model), evolve(model, [0.6], {"z": Z}).final
    given: list = [SIGMA_PLUS, Z, SIGMA_MINUS]
    for start in ("stationary", state):
        rho = whole.rest
        if start is state:
            rho = qutip.vector_to_operator(
                (whole.L * 0.6).expm() * qutip.operator_to_vector(whole.space.initial())
            )
        given[place] = moment
        found = correlation(model, times, given, state=start)
        for t, value in zip(times, found, strict=True):
            flow = (whole.L * t).expm()
            later = qutip.vector_to_operator(flow * qutip.operator_to_vector(rho)) if place == 1 else rho
            A, B, C = (
                about_mean(whole, later, moment) if i == place else whole.operator(O)
                for i, O in enumerate(given)
            )
            exact = (B * qutip.vector_to_operator(flow * qutip.operator_to_vector(C * rho * A))).tr()
            assert abs(value - exact) < 1e-8


@pytest.mark.parametrize("moment", MEANS)
def test_spectra_about_the_mean(moment: Moment) -> None:
    whole, frequencies = Whole(driven_model()), np.array([-1.0, 0.0, 2.0])
    O, z = about_mean(whole, whole.rest, moment), whole.operator(Z)
    for given, a, b in (((moment, Z), O, z), ((Z, moment), z, O)):
        exact = [whole.half(b * whole.rest, a, w) + whole.half(whole.rest * a, b, -w) for w in frequencies]
        np.testing.assert_allclose(spectrum(driven_model(), frequencies, *given), exact, atol=1e-7)


@pytest.mark.parametrize(
    ("A", "B"),
    [
        (SIGMA_PLUS, SIGMA_MINUS),
        (X, X),
        (Z, SIGMA_MINUS),
        (total(SIGMA_PLUS), total(SIGMA_MINUS)),
        (total(Z), X),
    ],
)
def test_spectra(A: object, B: object) -> None:
    model, frequencies = CentralSpinModel.figure_2(3), np.array([-30.0, -3.0, -0.5, 0.0, 1.0, 7.0])
    whole = Whole(model)
    a, b = whole.operator(A), whole.operator(B)
    exact = [whole.half(b * whole.rest, a, w) + whole.half(whole.rest * a, b, -w) for w in frequencies]
    found = spectrum(model, frequencies, A, B)
    np.testing.assert_allclose(found, exact, atol=1e-7)
    assert np.isrealobj(found) == bool((a - b.dag()).norm() < 1e-12)
    means = [complex((x * whole.rest).tr()) for x in (a, b)]
    assert found.details["coherent"] == pytest.approx(2 * math.pi * means[0] * means[1], abs=1e-7)


def test_the_sign_is_that_of_qutip() -> None:
    """An emitter at the frequency 3 that decays and is pumped, and sites that do nothing."""
    H, jumps = 1.5 * Z, [SIGMA_MINUS, 0.5 * SIGMA_PLUS]
    idle = Sites(count=5, hamiltonian=0 * Z, jumps=[SIGMA_MINUS])
    model, frequencies = CollectiveModel(hamiltonian=H, jumps=jumps, sites=idle), np.linspace(-6, 6, 7)
    operators = [qutip.Qobj(SIGMA_PLUS), qutip.Qobj(SIGMA_MINUS)]
    exact = qutip.spectrum(qutip.Qobj(H), frequencies, [qutip.Qobj(J) for J in jumps], *operators)
    found = spectrum(model, frequencies, *operators)
    np.testing.assert_allclose(found, exact, atol=1e-6)
    assert found[5] > 10 * found[1]  # ω = 4 and −4


@pytest.mark.parametrize("N", [20, 10**5, math.inf])
def test_the_spectrum_is_the_integral_of_the_correlation(N: float) -> None:
    model, times = CentralSpinModel.figure_2(N), np.linspace(0, 25, 2501)
    C = correlation(model, times, (None, SIGMA_PLUS, SIGMA_MINUS), tolerance=1e-9)
    C = (
        np.asarray(C)
        - steady_state(model, {"p": SIGMA_PLUS})["p"] * steady_state(model, {"m": SIGMA_MINUS})["m"]
    )
    weights = np.r_[1, np.tile([4, 2], 1250)[:-1], 1] * 0.01 / 3
    frequencies = np.array([-2.0, 0.0, 0.7])
    exact = [2 * np.real((weights * np.exp(-1j * w * times)) @ C) for w in frequencies]
    np.testing.assert_allclose(spectrum(model, frequencies, SIGMA_PLUS, SIGMA_MINUS), exact, atol=2e-6)


def test_both_halves_of_a_spectrum_add_to_its_error(monkeypatch) -> None:
    """One is the other's conjugate where A = B†, so that it is computed once."""
    solve = Spectral.solve
    monkeypatch.setattr(Spectral, "solve", lambda self: (*solve(self)[:2], 1.0))
    model = CentralSpinModel.figure_2(N=3)
    errors = [spectrum(model, [0.5], A, SIGMA_MINUS, tolerance=1e-4).error for A in (SIGMA_PLUS, Z)]
    assert errors[0] == pytest.approx(errors[1], rel=1e-12) and errors[0] > 0


def test_the_sum_rule() -> None:
    """∫ S(ω) dω/2π is the connected equal-time value, to what lies outside of the window."""
    model = CentralSpinModel.figure_2(80)
    frequencies = np.linspace(-400, 400, 40001)
    S = spectrum(model, frequencies, SIGMA_PLUS, SIGMA_MINUS, tolerance=1e-9)
    up = (1 + steady_state(model)["tau_z"]) / 2
    mean = steady_state(model, {"m": SIGMA_MINUS})["m"]
    inside = S.sum() * (frequencies[1] - frequencies[0]) / (2 * math.pi)
    # Outside it falls as 2 c/ω², c being what it has at the edge.
    outside = (S[0] + S[-1]) * frequencies[-1] / (2 * math.pi)
    assert inside + outside == pytest.approx(up - abs(mean) ** 2, abs=1e-6)
    assert (S > 0).all()


def weakly_coupled(g: float, damping: float, field: float) -> tuple[CollectiveModel, np.ndarray, np.ndarray]:
    """A spin beside another one that lives long, the frequencies of the latter's dip, and the spectrum there."""
    site = Sites(
        count=1,
        hamiltonian=field * Z / 2,
        jumps=[damping**0.5 * SIGMA_MINUS],
        couplings=[(g * SIGMA_PLUS, SIGMA_MINUS)],
    )
    omega = np.array([-field, damping - field])
    right = 2 * (1 / (1j * omega + 0.5 + g**2 / (1j * (omega + field) + damping / 2))).real
    return CollectiveModel(hamiltonian=0 * Z, jumps=[SIGMA_MINUS], sites=site), omega, right


@pytest.mark.parametrize("g, damping", [(2e-8, 1e-12), (3e-5, 1e-9), (1e-3, 1e-6), (0.1, 0.01)])
@pytest.mark.parametrize("field", [0.0, 0.7])
def test_a_slow_and_weak_part_of_a_correlation_is_a_narrow_dip(
    g: float, damping: float, field: float
) -> None:
    """What is read falls to next to nothing long before the other spin has given back what it holds."""
    model, omega, right = weakly_coupled(g, damping, field)
    np.testing.assert_allclose(spectrum(model, omega, SIGMA_MINUS, SIGMA_PLUS), right, atol=1e-6)


def test_what_would_take_too_long_to_decay_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(response, "SOLVED", 0)
    model, omega, _ = weakly_coupled(1e-3, 1e-6, 0.0)
    with pytest.raises(ConvergenceError, match="reached too slowly"):
        spectrum(model, omega, SIGMA_MINUS, SIGMA_PLUS)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_a_signal_that_arrives_late_is_waited_for(shift: float) -> None:
    """It travels along a chain of levels: nothing is read at first."""
    n, hop, decay = 8, 0.003, 0.001
    H = hop * (np.eye(n, k=1) + np.eye(n, k=-1)) + shift * np.eye(n)
    whole = np.zeros((n + 1, n + 1))
    whole[1:, 1:] = H
    level = np.eye(n + 1)
    jumps = [decay**0.5 * np.outer(level[0], level[i]) for i in range(1, n + 1)]
    sites = Sites(count=1, hamiltonian=0 * Z, jumps=[SIGMA_MINUS])
    model = CollectiveModel(hamiltonian=whole, jumps=jumps, sites=sites)
    omega = hop * np.array([0.5, 1.0, 1.9]) - shift
    found = spectrum(model, omega, np.outer(level[0], level[n]), np.outer(level[1], level[0]))
    amplitudes = [np.linalg.inv(1j * w * np.eye(n) + 1j * H + decay / 2 * np.eye(n))[n - 1, 0] for w in omega]
    # the half at τ < 0 is that of the transposed chain, which is the same one
    np.testing.assert_allclose(found, 2 * np.real(amplitudes), rtol=1e-6)


@pytest.mark.parametrize("N", [6, math.inf])
def test_a_spectrum_that_is_solved_for_is_that_of_the_evolution(N: float, monkeypatch) -> None:
    model, omega = CentralSpinModel.figure_2(N), np.linspace(-4, 4, 5)
    operators = SIGMA_MINUS, Moment(central=X, site=SIGMA_PLUS)
    evolved = spectrum(model, omega, *operators)
    monkeypatch.setattr(response, "PATIENCE", -1.0)
    np.testing.assert_allclose(spectrum(model, omega, *operators), evolved, atol=2e-7)


def test_what_the_stationary_state_is_off_by_adds_to_the_error_of_a_spectrum(monkeypatch) -> None:
    """A spin that jumps up and down slowly, S(ω) = 2 (1 − z²) R / (R² + ω²): R multiplies what z is off by."""
    up, down = 0.5e-4, 1e-4
    sites = Sites(count=1, hamiltonian=0.7 * Z, jumps=[SIGMA_MINUS], couplings=[(Z, Z)])
    jumps = [math.sqrt(up) * SIGMA_PLUS, math.sqrt(down) * SIGMA_MINUS]
    model = CollectiveModel(hamiltonian=0.3 * Z, jumps=jumps, sites=sites)
    right = 2 * (1 - ((up - down) / (up + down)) ** 2) / (up + down)
    found = response.Spectral.rest_state

    def off_by(part: float) -> None:
        def disturbed(*given: object) -> np.ndarray:
            V = found(*given)
            V[1:] *= 1 + part
            return V

        monkeypatch.setattr(response.Spectral, "rest_state", disturbed)

    off_by(1e-7)
    S = spectrum(model, [0.0], Z, Z, tolerance=1e-3)
    assert 2.5e-4 < abs(S[0] - right) <= S.error <= 1e-3
    off_by(3e-6)
    with pytest.raises(ConvergenceError, match="what the stationary state is off by hides its spectrum"):
        spectrum(model, [0.0], Z, Z, tolerance=1e-3)


def test_linear_optics_at_infinity() -> None:
    """A cavity beside a bath that decays only: two damped oscillators, whose spectrum is rational."""
    g, kappa, decay, pump = 0.7, 0.5, 1.0, 0.04
    M = np.array([[-(kappa - pump) / 2, -1j * g], [-1j * g, -decay / 2]])  # of ⟨a⟩ and ⟨b⟩
    noise = -np.array([pump, 0, 0, 0], dtype=complex)  # of ⟨b_i† b_j⟩
    covariance = np.linalg.solve(np.kron(M.conj(), np.eye(2)) + np.kron(np.eye(2), M), noise).reshape(2, 2)
    frequencies, missed = np.array([-1.0, -0.3, 0.0, 0.4, 1.1]), []
    exact = [  # ⟨a†(τ) a(0)⟩ = Σ_j (e^{M* τ})_{0j} ⟨b_j† a⟩
        2 * np.real(np.linalg.solve(1j * w * np.eye(2) - M.conj(), covariance[:, 0])[0]) for w in frequencies
    ]
    for levels in (4, 8):
        a = LOWER[:levels, :levels]
        sites = Sites(
            count=math.inf, hamiltonian=0 * Z, jumps=[SIGMA_MINUS], couplings=[(g * a.T, SIGMA_MINUS)]
        )
        jumps = [math.sqrt(kappa) * a, math.sqrt(pump) * a.T]
        model = CollectiveModel(hamiltonian=0 * a, jumps=jumps, sites=sites)
        missed.append(np.abs(spectrum(model, frequencies, a.T, a) - exact).max())
    # The probability of level d is about (⟨n⟩/(1 + ⟨n⟩))^d: what is missing falls by that factor for every level.
    occupation = covariance[0, 0].real
    assert missed[1] < 2 * missed[0] * (occupation / (1 + occupation)) ** 4 + 1e-6


@pytest.mark.parametrize("changes", [{}, {"bath_decay": 2.0, "bath_pump": 0.6, "g0": 1.0}])
def test_eigenvalues_are_those_of_the_whole_space(changes: dict) -> None:
    model = CentralSpinModel.figure_2(3, **changes)
    exact = np.linalg.eigvals(Whole(model).L.full())
    found = eigenvalues(model, 8)
    assert found[0] == pytest.approx(0, abs=1e-10)
    assert max(np.abs(exact - value).min() for value in found) < 1e-9
    assert (np.diff(found.real) < 1e-9).all()
    symmetric = exact[[np.abs(found - value).min() < 1e-9 for value in exact]]
    assert found.gap == pytest.approx(-np.sort(symmetric.real)[::-1][1], abs=1e-9)
    assert gap(model) == pytest.approx(found.gap, abs=1e-9)


def test_eigenvalues_come_in_an_order_that_round_off_leaves_alone(monkeypatch) -> None:
    """Of a conjugate pair the upper one comes first; the spectrum is that of a real matrix, so that it is there."""
    sought = np.array(
        [0, -0.2, -0.3 + 1j, -0.3 - 1j, -0.3 + 2j, -0.3 - 2j, -0.7 + 0.1j, -0.7 - 0.1j, -0.9 + 3j]
    )
    random = np.random.default_rng(4)
    model = CentralSpinModel.figure_2(3)
    unit = ask(model, {"one": Moment()}).problem.unit
    for _ in range(10):
        given = sought + 1e-13 * (random.standard_normal(9) + 1j * random.standard_normal(9))
        for k in (2, 4, 6):
            if random.random() < 0.5:
                given[[k, k + 1]] = given[[k + 1, k]]
        if random.random() < 0.5:
            given[2:6] = given[[4, 5, 2, 3]]
            given[8] = given[8].conj()
        monkeypatch.setattr(Decay, "solve", lambda self, given=given: (given, {}, 0.0))
        np.testing.assert_allclose(eigenvalues(model, 9) / unit, sought, atol=1e-12)


def test_there_is_a_gap_only_between_eigenvalues() -> None:
    alone = CollectiveModel(hamiltonian=[[0.0]], sites=Sites(count=2, hamiltonian=0 * Z, jumps=[SIGMA_MINUS]))
    model = CentralSpinModel.figure_2(3)
    for call in (
        lambda: gap(alone),
        lambda: eigenvalues(model, 1).gap,
        lambda: eigenvalues(model, 4)[1:].gap,
        lambda: correlation(model, [0, 1.0], (None, X, X)).gap,
    ):
        with pytest.raises(ArgumentError, match=r"`response` must (be two or more|hold the values)"):
            call()
    assert pickle.loads(pickle.dumps(eigenvalues(model, 4))).gap == gap(model)


@pytest.mark.parametrize("N", [30, math.inf])
def test_the_last_decay_is_that_of_the_slowest_eigenvalues(N: float) -> None:
    """What is left after a long time obeys the recurrence that two exponentials obey."""
    model = CentralSpinModel.figure_2(N, g0=0.3, bath_decay=0.3, bath_pump=0.06)
    rest = steady_state(model, ["tau_x"], tolerance=1e-11)["tau_x"]
    d = evolve(model, [60.0, 65.0, 70.0], ["tau_x"], tolerance=1e-13)["tau_x"] - rest
    slow = eigenvalues(model, 3)[1:].real
    assert slow[1] < 1.05 * slow[0] < 0

    def missed(*rates: float) -> float:
        x, y = np.exp(5 * np.array(rates))
        return abs(d[2] - (x + y) * d[1] + x * y * d[0]) / abs(d[2])

    assert missed(*slow) < 1e-3
    assert missed(1.03 * slow[0], slow[1]) > 3 * missed(*slow) and missed(
        0.97 * slow[0], slow[1]
    ) > 3 * missed(*slow)


@pytest.mark.parametrize(
    "model",
    [
        CentralSpinModel.figure_2(10, central_pump=0.0, central_decay=0.01),
        CentralSpinModel(
            N=11, g0=1.0, central_field=(0.3, 0, 0), central_decay=0.01, bath_pump=0.2, bath_decay=1.0
        ),
    ],
)
def test_a_slow_rate_of_one_part_does_not_hide_the_eigenvalues(model: CentralSpinModel) -> None:
    """What decays a hundred times more quickly than the central spin by itself is still told from round-off."""
    blocks = dicke.DickeBlocks(int(model.N))
    problem = dimensionless(collective_model(model))
    exact = np.linalg.eigvals(dicke.lindbladian(problem, blocks).toarray()) * problem.unit
    exact = exact[np.argsort(-exact.real)]
    found = eigenvalues(model, 6, tolerance=1e-6)
    np.testing.assert_allclose(found.real, exact[:6].real, atol=1e-5)
    assert found.gap == pytest.approx(-exact[1].real, abs=1e-5)


def test_quick_oscillations_that_hardly_decay_are_the_slowest() -> None:
    """A cavity far off resonance: its eigenvalues lie far away from 0, and close to the imaginary axis."""
    a = LOWER[:3, :3]
    sites = Sites(count=30, hamiltonian=0 * Z, jumps=[SIGMA_MINUS], couplings=[(0.01 * a.T, SIGMA_MINUS)])
    model = CollectiveModel(hamiltonian=20 * a.T @ a, jumps=[0.1 * a], sites=sites)
    found = eigenvalues(model, 3)
    assert abs(abs(found[1].imag) - 20) < 0.01 and found.gap == pytest.approx(0.005, abs=1e-4)


def test_responses_are_arrays_that_know_their_origin() -> None:
    model = CentralSpinModel.figure_2(5)
    found = correlation(model, [0, 1.0], (None, X, X))
    assert found.shape == (2,) and found[0] == pytest.approx(1, abs=1e-8)
    other = pickle.loads(pickle.dumps(found))
    assert other.problem.N == 5 and other.error == found.error and (other.axis == [0, 1]).all()
    np.testing.assert_array_equal(other, found)


def test_what_is_made_of_a_response_has_neither_its_axis_nor_its_error() -> None:
    found = eigenvalues(CentralSpinModel.figure_2(3), 4)
    for other in (found[::-1], np.sort(found), abs(found), 2 * found, found[:2], found.reshape(2, 2)):
        for what in ("axis", "error", "gap"):
            with pytest.raises(ArgumentError, match=f"`response` must hold the values .* to have an? {what}"):
                getattr(pickle.loads(pickle.dumps(other)), what)
        assert other.problem.N == 3 and other.tolerance == 1e-6
    for same in (found.copy(), found[:], pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert (same.gap, same.error) == (found.gap, found.error) and (same.axis == range(4)).all()
    found[1] = 0
    with pytest.raises(ArgumentError, match="to have a gap"):
        found.gap  # noqa: B018


def test_a_frequency_may_be_so_large_that_nothing_is_left() -> None:
    model = CentralSpinModel.figure_2(3)
    for A in (SIGMA_PLUS, SIGMA_MINUS):
        found = spectrum(model, [-1e100, 1e17, 1e100], A, SIGMA_MINUS)
        assert np.abs(found).max() <= 1e-16
        with pytest.raises(ArgumentError, match=r"`frequencies` must be between -4e\+100 and 4e\+100"):
            spectrum(model, [1e308], A, SIGMA_MINUS)


def test_what_is_no_number_is_never_returned() -> None:
    for value, error in ((math.nan, 0.0), (1.0, math.nan)):
        with pytest.raises(ConvergenceError, match="are not numbers"):
            Response.of([value], np.zeros(1), None, 1e-6, error, {})


def test_units_change_nothing() -> None:
    one = CentralSpinModel.figure_2(6)
    other = CentralSpinModel.figure_2(6, **{
        name: 1e9 * np.array(getattr(one, name))
        for name in ("g0", "central_field", "central_pump", "central_decay", "bath_pump", "bath_decay")
    })  # fmt: skip
    S = spectrum(one, [0.3], SIGMA_PLUS, SIGMA_MINUS)
    assert 1e9 * spectrum(other, [0.3e9], SIGMA_PLUS, SIGMA_MINUS)[0] == pytest.approx(S[0], abs=1e-6)
    assert 1e-9 * gap(other) == pytest.approx(gap(one), rel=1e-6)
    C = correlation(one, [0.7], (X, Y, None))
    assert correlation(other, [0.7e-9], (X, Y, None))[0] == pytest.approx(C[0], abs=1e-8)


@pytest.mark.parametrize("cut", [20, 21, 22, 23])
def test_sets_may_end_with_either_one_of_a_conjugate_pair(cut) -> None:
    found = eigenvalues(CentralSpinModel.figure_2(N=math.inf), 4, cut=cut)
    assert found[3].imag > 0 and found.error < 1e-6


def test_bad_input_is_told() -> None:
    model = CentralSpinModel.figure_2(6)
    for call, sentence in (
        (lambda: correlation(model, [1.0], (X, X)), "`operators` must be A, B, C of"),
        (lambda: correlation(model, [1.0], (X, "x", X)), "`operators[1]` must be None, an operator"),
        (lambda: correlation(model, [1.0], (np.eye(3), X, X)), "`central` must be 2×2"),
        (
            lambda: correlation(model, [1.0], (None, X, X), state="up"),
            '`state` must be "stationary" or a `State`',
        ),
        (lambda: correlation(model, [-1.0], (None, X, X)), "`times` must"),
        (lambda: spectrum(model, [], X, X), "`frequencies` must hold at least one"),
        (lambda: spectrum(model, [math.nan], X, X), "`frequencies` must be"),
        (lambda: spectrum(model, [0.0], X, np.eye(3)), "`central` must be 2×2"),
        (lambda: eigenvalues(model, 0), "`k` must be"),
        (lambda: eigenvalues(model, 3, method="dicke"), "`options` must be cut or memory_budget"),
    ):
        with pytest.raises(ArgumentError) as error:
            call()
        assert sentence in str(error.value)
    closed = CentralSpinModel(N=4, g0=1.0, scaling=0.5, bath_decay=1.0)
    open_ = closed.replace(g0=0.0, central_field=(0, 0, 1.0))
    with pytest.raises(ConvergenceError):
        correlation(open_, [1.0], (None, X, X))


@pytest.mark.parametrize("column", [2, 3])
def test_round_off_of_either_part_of_a_complex_correlation_is_seen(monkeypatch, column) -> None:
    """A set that leaves nothing out is followed twice: columns 2 and 3 are the second real and imaginary part."""
    real = evolution.evolve_linear

    def noisy(*arguments, **options):
        states, last = real(*arguments, **options)
        states = states.copy()
        assert states.shape[-1] == 4
        states[..., column] += 1e-3
        return states, last

    monkeypatch.setattr(evolution, "FAR", 0.0)
    asked = CentralSpinModel.figure_2(N=4), [0.0, 1.0], (None, SIGMA_PLUS, SIGMA_MINUS)
    assert correlation(*asked, tolerance=1e-6).error <= 1e-6
    monkeypatch.setattr(evolution, "evolve_linear", noisy)
    with pytest.raises(ConvergenceError, match=r"it is off by about 0\.00"):
        correlation(*asked, tolerance=1e-6)
