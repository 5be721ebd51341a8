"""Are the hierarchy of moments and its closure right, and does the error follow (g²N)^M?"""

import math

import numpy as np
import pytest
from conftest import PAPER, blochs, models, numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.sparse import coo_matrix

from centralspin import ArgumentError, CentralSpinModel, ConvergenceError, evolve, steady_state
from centralspin.methods.cumulants import Closure, DivergenceError, Hierarchy
from centralspin.problem.central_spin import PAULI, SIGMA_MINUS
from centralspin.problem.general import Task
from centralspin.question import ask
from centralspin.symmetric import generator
from centralspin.symmetric.space import box

TIMES = np.linspace(0, 3, 7)
CENTRAL = ("tau_x", "tau_y", "tau_z")
ALL = (*CENTRAL, "m_x", "m_z", "x", "X2", "X3", "X4", "y", "Y2", "Y4")


def largest_difference(one, other):
    return max(np.abs(one[name] - other[name]).max() for name in one)


@given(models(sizes=(1, 2)), blochs(), blochs(), st.sampled_from([1, 2]))
@settings(max_examples=8)
def test_nothing_is_neglected_above_the_number_of_bath_spins(model, central, bath, more):
    arguments = {"central_state": central, "bath_bloch": bath}
    full = evolve(model, TIMES, ALL, method="full_space", **arguments)
    order = int(model.N) + more
    assert (
        largest_difference(full, evolve(model, TIMES, ALL, method="cumulants", order=order, **arguments))
        < 1e-8
    )


def test_three_bath_spins_are_exact_at_order_four_and_not_at_order_three():
    model = PAPER.replace(N=3, bath_field=(0.2, -0.3, 0.4))
    arguments = {"central_state": (0.3, 0.4, -0.2), "bath_bloch": (0.5, -0.3, 0.2)}
    full = evolve(model, TIMES, ALL, method="full_space", **arguments)
    four, three = (evolve(model, TIMES, ALL, method="cumulants", order=o, **arguments) for o in (4, 3))
    assert largest_difference(full, four) < 1e-8
    assert largest_difference(full, three) > 1e-2


def test_the_order_is_two_unless_said_otherwise():
    model = PAPER.replace(N=10)
    given, one, two = (evolve(model, TIMES, CENTRAL, method="cumulants", order=o) for o in (None, 1, 2))
    assert largest_difference(given, two) == 0 < largest_difference(given, one)


@given(models(sizes=(1, 5, 1000)), blochs(), blochs())
def test_order_one_is_mean_field(model, central, bath):
    arguments = {"central_state": central, "bath_bloch": bath}
    names = (*CENTRAL, "m_x", "m_y", "m_z")
    mean_field = evolve(model, TIMES, names, method="mean_field", **arguments)
    cumulants = evolve(model, TIMES, names, method="cumulants", order=1, **arguments)
    assert largest_difference(mean_field, cumulants) < 1e-8


def partitions(items):
    """All ways to divide a list into non-empty groups."""
    if len(items) <= 1:
        yield [items] if items else []
        return
    first, *rest = items
    for partition in partitions(rest):
        yield [[first], *partition]
        for i, group in enumerate(partition):
            yield [*partition[:i], [first, *group], *partition[i + 1 :]]


def random_moments(seed, order, largest):
    """The numbers n up to `largest`, the closure, and random moments up to the order."""
    occupations = box([np.ones(3, dtype=int)], [math.inf], largest)
    closure = Closure(occupations, 4, order)
    u = np.where(closure.kept, np.random.default_rng(seed).normal(size=closure.kept.shape), 0.0)
    u[0, 0] = 1.0
    return occupations, closure, u


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_closure_makes_joint_cumulants_vanish(order):
    """The joint cumulant of factors 1 … p is Σ_π (−1)^{|π|−1} (|π|−1)! Π_{B∈π} ⟨B⟩ over their partitions."""
    occupations, closure, u = random_moments(1, order, order + 2)
    u = closure(u)

    def moment(factors):  # a factor is ("τ", axis) or ("σ", axis)
        n = [sum(f == ("σ", axis) for f in factors) for axis in range(3)]
        central = [axis + 1 for kind, axis in factors if kind == "τ"]
        return u[np.flatnonzero((occupations == n).all(axis=1))[0], central[0] if central else 0]

    checked = 0
    for index, row in enumerate(occupations):
        for a in range(4):
            degree = int(row.sum()) + (a > 0)
            if order < degree <= order + 2 and index % 3 == 0:
                factors = [("σ", axis) for axis in range(3) for _ in range(row[axis])] + [("τ", a - 1)] * (
                    a > 0
                )
                terms = [
                    (-1) ** (len(p) - 1) * math.factorial(len(p) - 1) * math.prod(map(moment, p))
                    for p in partitions(factors)
                ]
                assert abs(sum(terms)) < 1e-12 * sum(map(abs, terms))
                checked += 1
    assert checked > 5


def test_order_two_is_the_textbook_closure():
    occupations, closure, u = random_moments(2, 2, 3)
    at = {tuple(n): i for i, n in enumerate(occupations.tolist())}
    x, z, xz = at[1, 0, 0], at[0, 0, 1], at[1, 0, 1]
    expected = u[x, 1] * u[z, 0] + u[z, 1] * u[x, 0] + u[xz, 0] * u[0, 1] - 2 * u[0, 1] * u[x, 0] * u[z, 0]
    assert closure(u)[xz, 1] == pytest.approx(expected, rel=1e-14)


def gaussian_spin_boson(model, times):
    """Eq. (9) with third joint cumulants dropped, written out for ⟨τ⟩, ⟨a⟩, ⟨a†a⟩, ⟨a²⟩ and ⟨τ a⟩."""
    G, rate = model.g0 * math.sqrt(model.epsilon), model.bath_rate
    up, down = model.central_pump, model.central_decay
    damping, drive = (up + down) * np.array([0.5, 0.5, 1]), np.array([0, 0, up - down])
    lower = np.array([0.5, -0.5j, 0])  # τ_− = Σ_b lower_b τ_b; below, τ_b τ_− = Σ_s product_bs (1, τ)_s
    product = np.array([[np.trace(t @ SIGMA_MINUS @ s) / 2 for s in (np.eye(2), *PAULI)] for t in PAULI])

    def turn(v, X, Y):
        """Precession in the field 2w + G(a + a†, i(a − a†), 0): v = ⟨τO⟩, X = ⟨τ(a + a†)O⟩, Y = ⟨τi(a − a†)O⟩."""
        return 2 * np.cross(model.central_field, v) + G * np.array([Y[2], -X[2], X[1] - Y[0]])

    def derivative(_, y):
        T, (alpha, n, s), A = y[:3], y[3:6], y[6:]
        taa = T * s + 2 * A * alpha - 2 * T * alpha**2
        tada = T * n + A * alpha.conj() + A.conj() * alpha - 2 * T * alpha * alpha.conj()
        dT = turn(T, 2 * A.real, -2 * A.imag) - damping * T + drive
        dA = turn(A, taa + tada, 1j * (taa - tada)) - damping * A + drive * alpha
        dA += -rate / 2 * A - 1j * G * (product[:, 0] + product[:, 1:] @ T)
        boson = [
            -rate / 2 * alpha - 1j * G * lower @ T,
            -rate * n + model.boson_pump - 2 * G * (lower.conj() @ A).imag,
            -rate * s - 2j * G * lower @ A,
        ]
        return np.concatenate([dT, boson, dA])

    start = np.zeros(9, dtype=complex)
    start[2], start[4] = 1, model.thermal_occupation
    y = solve_ivp(derivative, (0, times[-1]), start, "DOP853", t_eval=times, rtol=1e-11, atol=1e-12).y
    q = math.sqrt(2) * y[3].real
    return {"tau_x": y[0].real, "tau_z": y[2].real, "q": q, "Q2": (0.5 + y[4] + y[5]).real - q**2}


def test_the_limit_of_order_two_is_the_gaussian_closure_of_the_spin_boson_model():
    ours = evolve(PAPER, TIMES, ("tau_x", "tau_z", "q", "Q2"), method="cumulants", order=2, tolerance=1e-10)
    assert largest_difference(gaussian_spin_boson(PAPER, TIMES), ours) < 1e-8


@pytest.mark.parametrize("order", [2, 3, 4])
def test_large_baths_approach_the_infinite_one_as_one_over_n(order):
    def run(N):
        return evolve(PAPER.replace(N=N), TIMES, ("tau_z", "Q2"), method="cumulants", order=order)

    limit = run(math.inf)
    far, near = (largest_difference(limit, run(N)) for N in (10**4, 10**6))
    assert far / near == pytest.approx(100, rel=0.02)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_error_grows_as_the_coupling_to_twice_the_order(order):
    error = []
    for g0 in (0.1, 0.2):
        model = PAPER.replace(g0=g0)
        exact = evolve(model, TIMES, ("tau_z",), tolerance=1e-12)
        error.append(
            largest_difference(
                exact, evolve(model, TIMES, ("tau_z",), method="cumulants", order=order, tolerance=1e-12)
            )
        )
    assert math.log2(error[1] / error[0]) == pytest.approx(2 * order, rel=0.05)


@given(numbers(-2, 2), numbers(0.1, 0.8))
@settings(max_examples=4)
def test_stationary_states_are_exact_above_the_number_of_bath_spins(g0, pump):
    model = PAPER.replace(N=2, g0=g0, central_pump=pump)
    names = (*CENTRAL, "m_z", "X2")
    ours = steady_state(model, names, method="cumulants", order=3)
    assert largest_difference(steady_state(model, names, method="full_space"), ours) < 1e-6


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({"N": 1, "g0": 3e-5}, {}),
        ({"N": 2, "g0": 3e-3}, {"order": 3, "tolerance": 1e-4}),
        ({"N": 2, "g0": 1e-3, "central_field": (1e-4, 0, 0.5)}, {"order": 3}),
        ({"N": 2, "g0": 1e-4, "central_field": (1, 0, 0.5), "central_decay": 1e-7}, {"order": 3}),
    ],
)
def test_a_stationary_state_that_is_reached_slowly_is_reached(changes: dict, options: dict) -> None:
    """That hardly anything changes does not say that it is near."""
    model = CentralSpinModel(**({"bath_decay": 1.0} | changes))
    found = steady_state(model, "tau_z", method="cumulants", **options)["tau_z"]
    assert found == pytest.approx(steady_state(model, "tau_z")["tau_z"], abs=1e-7)


@pytest.mark.parametrize("g0", [0.0, 1e-9])
def test_a_stationary_state_that_round_off_hides_is_refused(g0: float) -> None:
    with pytest.raises(ConvergenceError, match="several stationary states"):
        steady_state(CentralSpinModel(N=1, g0=g0, bath_decay=1.0), "tau_z", method="cumulants")


def test_the_derivative_of_the_equations_is_that_of_finite_differences() -> None:
    problem = ask(PAPER.replace(N=6), {"z": np.diag([1.0, -1.0])}).problem
    hierarchy = Hierarchy(Task(problem, None, (), 1e-9), 3)
    random = np.random.default_rng(0)
    y = hierarchy.initial(np.eye(1, 4)[0])
    count = int(hierarchy.closure.kept.sum())
    y[:count] += 0.1 * random.normal(size=count)
    J, step = hierarchy.jacobian(y), 1e-5
    for k, move in enumerate(step * np.eye(len(y))[:count]):
        change = hierarchy.derivative(0.0, y + move) - hierarchy.derivative(0.0, y - move)
        np.testing.assert_allclose(J[:, k], change[:count] / (2 * step), atol=1e-7)


def test_the_pattern_of_a_generator_that_moves_is_sorted_once(monkeypatch) -> None:
    """Where the sites move the generator is another one at every step; its elements stay where they are."""
    count = []

    def counted(*arguments, **more):
        count.append(1)
        return coo_matrix(*arguments, **more)

    monkeypatch.setattr(generator, "coo_matrix", counted)
    evolve(PAPER.replace(N=10), [0.5], CENTRAL, method="cumulants", bath_bloch=(0.5, -0.3, 0.2))
    assert len(count) == 1


def test_a_divergence_is_reported_with_its_time():
    model = PAPER.replace(g0=8.0)
    found = []
    for tolerance in (1e-5, 1e-8):
        with pytest.raises(DivergenceError, match=r"diverges at t = 0\.68") as refusal:
            evolve(model, TIMES, ("tau_z",), method="cumulants", order=6, tolerance=tolerance)
        found.append(refusal.value.time)
    assert found[0] == pytest.approx(found[1], abs=1e-4)
    assert issubclass(DivergenceError, ConvergenceError)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"order": 0}, "`order` must be an integer from 1 to 12"),
        ({"order": 2.5}, "`order` must be an integer from 1 to 12"),
        ({"order": True}, "`order` must be an integer from 1 to 12"),
        ({"cut": 3}, "`options` must be order with method 'cumulants'"),
    ],
)
def test_bad_orders_are_refused(arguments, words):
    with pytest.raises(ArgumentError) as refusal:
        evolve(PAPER, TIMES, method="cumulants", **arguments)
    assert words in str(refusal.value)


def test_a_limit_that_does_not_exist_is_refused():
    with pytest.raises(ArgumentError, match=r"`scaling` must be at least 0\.5"):
        evolve(PAPER.replace(scaling=0.25), TIMES, method="cumulants")
    with pytest.raises(ArgumentError, match="`scaling` must be at least 1"):
        evolve(PAPER, TIMES, method="cumulants", bath_bloch=(0.5, 0, 0))
