"""Do the steppers follow a linear or any other equation to the tolerance that was asked for?"""

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.linalg import block_diag, expm
from scipy.sparse import csr_matrix, eye_array
from scipy.special import jv

from centralspin.errors import ConvergenceError
from centralspin.numerics.stepping import (
    DEGREE,
    SAMPLES,
    RoundOffError,
    Stepper,
    StoppedError,
    TaylorStepper,
    bessel,
    breakpoints,
    evolve_driven,
    evolve_linear,
    integrate,
    largest_frequency,
    propagate,
)

TIMES = np.linspace(0, 4, 9)
ROTATION = csr_matrix([[0.0, -1.0], [1.0, 0.0]])


def random_problem(seed, complex_valued=False, n=6):
    random = np.random.default_rng(seed)
    L = random.normal(size=(n, n)) - 4 * np.eye(n)
    v = random.normal(size=n)
    if complex_valued:
        L, v = L + 1j * random.normal(size=(n, n)), v + 1j * random.normal(size=n)
    return L, v, np.sort(random.uniform(0, 3, size=5))


@given(st.integers(0, 10**6), st.booleans())
def test_steps_agree_with_the_matrix_exponential(seed, complex_valued):
    L, v, times = random_problem(seed, complex_valued)
    values, last = evolve_linear(csr_matrix(L), v, times, csr_matrix(np.eye(6)), 1e-10)
    expected = [expm(L * t) @ v for t in times]
    np.testing.assert_allclose(values, expected, atol=1e-10 * max(1, np.abs(v).max()))
    np.testing.assert_allclose(last, expected[-1], atol=1e-10 * max(1, np.abs(v).max()))


@given(st.integers(0, 10**6), st.booleans())
def test_whole_states_agree_with_the_matrix_exponential(seed, complex_valued):
    L, v, times = random_problem(seed, complex_valued)
    states = propagate(csr_matrix(L), v, times, 1e-11)
    np.testing.assert_allclose(states, [expm(L * t) @ v for t in times], atol=1e-11 * np.abs(v).max())


def test_a_stepper_can_be_used_for_one_state_after_another():
    L, v, times = random_problem(7, complex_valued=False)
    stepper = Stepper(csr_matrix(L), v[None])
    for state in (v, v[::-1], np.zeros_like(v)):
        found = propagate(stepper, state, times, 1e-11)
        np.testing.assert_allclose(found, propagate(csr_matrix(L), state, times, 1e-11), atol=1e-11)
    assert stepper._read.size == 0, "nothing was asked for, so that no terms are kept"
    with pytest.raises(TypeError, match="complex"):
        propagate(stepper, 1j * v, times, 1e-11)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-8, 1e-11])
@pytest.mark.parametrize("last", [4.0, 200.0])
def test_the_tolerance_holds_for_a_whole_run(tolerance, last):
    """A closed oscillation forgets no error: one per step would add up."""
    times = np.linspace(0, last, 7)
    L = csr_matrix(30 * ROTATION)
    exact = np.cos(30 * times)
    values, _ = evolve_linear(L, np.array([1.0, 0.0]), times, csr_matrix([[1.0, 0.0]]), tolerance)
    assert np.abs(values[:, 0] - exact).max() < tolerance
    if tolerance < 1e-10 and last > 100:  # the round-off of whole states: their terms cancel more
        return
    states = propagate(L, np.array([1.0, 0.0]), times[1:], tolerance)
    assert np.abs(states[:, 0] - exact[1:]).max() < tolerance


def test_a_closed_oscillation_is_right_after_3000_periods():
    times = np.array([10000.0, 20000.0])
    values, _ = evolve_linear(ROTATION, np.array([1.0, 0.0]), times, csr_matrix(np.eye(2)), 1e-8)
    np.testing.assert_allclose(values, np.column_stack([np.cos(times), np.sin(times)]), atol=1e-8)


@pytest.mark.parametrize("x", [0.0, 1e-9, 0.3, 2.404825557695773, 50.0, 191.7])
def test_bessel_functions_are_right_to_many_digits(x):
    """Each to 12 digits of itself, except beside its zeros: high orders multiply large numbers."""
    found = bessel(120, np.array([x, 1.0]))
    orders = np.arange(120)
    np.testing.assert_allclose(found[:, 0], jv(orders, x), rtol=1e-11, atol=1e-14 if x > 1 else 1e-200)
    np.testing.assert_allclose(found[:, 1], jv(orders, 1.0), rtol=1e-11, atol=1e-200)


def test_a_state_that_grows_does_not_shorten_the_steps():
    """Coefficients of an expansion grow with powers of t: what round-off they carry no shorter step takes away."""
    span = 300.0
    L = np.diag([1.0, 1.0, 1.0, 0.0, 0.0], -1)[:, :6]  # 1, t, t²/2, t³/6, and a rotation beside them
    L[4:, 4:] = ROTATION.toarray()
    steps = []

    class Told:
        seconds = 0.0

        def expect(self, *_):
            pass

        def __call__(self, fraction, what):
            steps.append(fraction)

    V = np.array([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    _, state = evolve_linear(
        csr_matrix(L), V, np.array([span]), csr_matrix(np.eye(6)), 1e-10, progress=Told()
    )
    exact = [1.0, span, span**2 / 2, span**3 / 6, math.cos(span), math.sin(span)]
    np.testing.assert_allclose(state, exact, rtol=1e-9)
    assert len(steps) < span / 4


def test_an_output_at_the_start_does_not_loosen_the_tolerance():
    """What a step may be off by follows from the last time, not from the first."""
    span = 40.0
    _, state = propagate(ROTATION, np.array([1.0, 0.0]), [0.0, span], 1e-12)
    np.testing.assert_allclose(state, [math.cos(span), math.sin(span)], rtol=0, atol=1e-12)


def test_steps_that_an_output_cuts_short_say_nothing_about_their_length():
    """Many close outputs, and a far one: steps that had grown with each of them would lose all digits."""
    times = [*np.linspace(0.01, 0.5, 60), 20.0]
    states = propagate(csr_matrix(10 * ROTATION), np.array([1.0, 0.0]), times, 1e-10)
    np.testing.assert_allclose(states[:, 0], np.cos(10 * np.array(times)), rtol=0, atol=1e-10)


def test_what_is_to_come_is_told_from_the_time_of_the_first_step():
    """Nothing that has passed before counts: a clock that shows 100 s, and 2 s more at every look."""
    expected = []

    class Told:
        now = 100.0

        @property
        def seconds(self):
            self.now += 2.0
            return self.now

        def expect(self, seconds, more, what):
            expected.append((seconds, more, what))

        def __call__(self, fraction, what):
            assert 0 < fraction <= 1

    evolve_linear(
        ROTATION, np.array([1.0, 0.0]), np.array([5000.0]), csr_matrix(np.eye(2)), 1e-8, progress=Told()
    )
    ((seconds, more, what),) = expected
    assert seconds == 2.0 and what == "evolution in time"
    assert 5000 / (more + 1) < 200  # a step has no more terms than its series is of use for


def test_one_step_is_a_taylor_polynomial_of_high_degree():
    """The error of one step of length h falls as h^(DEGREE + 1)."""
    errors = []
    for h in (12.0, 13.0):
        stepper = TaylorStepper(ROTATION, np.array([[1.0, 0.0]]))
        stepper.expand()
        stepper.advance(h)
        errors.append(np.abs(stepper.V[0] - [math.cos(h), math.sin(h)]).max())
    order = math.log(errors[1] / errors[0]) / math.log(13 / 12)
    assert order == pytest.approx(DEGREE + 1, abs=1.5)
    assert stepper.time == 13.0 and stepper.steps == 1


@pytest.mark.parametrize("seed", range(3))
def test_the_largest_frequency_is_that_of_the_oscillating_part(seed):
    L, _, _ = random_problem(seed, complex_valued=seed == 2)
    exact = np.linalg.norm((L - L.conj().T) / 2, 2)
    assert largest_frequency(csr_matrix(L)) == pytest.approx(exact, rel=0.2)
    assert largest_frequency(csr_matrix(-np.eye(3))) == 0


@pytest.mark.parametrize("damping", [0.0, 0.1, 1.0, 10.0])
def test_a_step_is_accurate_whatever_its_frequency(damping):
    """It is exact for every f: only the number of terms depends on it."""
    L = np.array([[-0.1, -2.0, 0.0], [2.0, -0.1, damping], [0.0, 0.0, -damping]])
    for factor in (0.3, 1.0, 3.0):
        stepper = Stepper(csr_matrix(L), np.array([[1.0, -2.0, 3.0]]))
        stepper._frequency *= factor
        stepper._double[0].data /= factor
        length = stepper.advance(2.0, 1e-13, 1e-14, np.arange(3))
        assert stepper.time == length > 0 and stepper.steps == 1
        for part in (0.0, 0.4, 1.0):
            expected = expm(L * part * length) @ [1.0, -2.0, 3.0]
            np.testing.assert_allclose(stepper.at(np.array([part * length]))[0, 0], expected, atol=1e-12)
        np.testing.assert_allclose(stepper.V[0], expected, atol=1e-12)


@pytest.mark.parametrize("ratio", [0.5, 1.0, 3.0, 10.0])
def test_terms_fall_only_beyond_the_rise(ratio):
    """r^k J_k(fs), the terms of what decays at a distance fx from the mean, r = x + √(1 + x²), are largest there."""
    L = block_diag(np.diag([-ratio, ratio]), [[0.0, -1.0], [1.0, 0.0]])
    stepper = Stepper(csr_matrix(L), np.ones((1, 4)))
    x = ratio / stepper._frequency
    arguments, k = 40.0, np.arange(1.0, 1000.0)
    with np.errstate(divide="ignore"):
        terms = k * math.log(x + math.hypot(1, x)) + np.log(np.abs(jv(k, arguments)))
    assert k[terms.argmax()] == pytest.approx(stepper._rise * arguments, rel=0.03, abs=1)


def test_what_oscillates_takes_little_more_than_one_product_per_radian():
    stepper = Stepper(30 * ROTATION, np.array([[1.0, 0.0]]))
    while stepper.time < 100:
        stepper.advance(100 - stepper.time, 1e-12, 1e-15)
    assert stepper.products < 1.4 * 30 * 100
    np.testing.assert_allclose(stepper.V[0], [math.cos(3000), math.sin(3000)], atol=1e-10)


def test_a_step_that_loses_too_many_digits_is_taken_shorter():
    """Terms grow where the frequency was taken to be too small, and cancel."""
    stepper = Stepper(ROTATION, np.array([[1.0, 0.0]]))
    stepper._frequency *= 0.3
    stepper._double[0].data /= 0.3
    length = stepper.advance(400.0, 1e-12, 1e-12)
    assert 1 < length < 30
    np.testing.assert_allclose(stepper.V[0], [math.cos(length), math.sin(length)], atol=1e-10)
    assert stepper.advance(400.0, 1e-12, 1e-12) <= length


def test_what_is_not_finite_is_refused():
    with pytest.raises(ConvergenceError, match="round-off"):
        evolve_linear(ROTATION, np.array([np.nan, 0.0]), TIMES, csr_matrix(np.eye(2)), 1e-8)


def test_output_times_do_not_change_the_result():
    L, v, _ = random_problem(2)
    readout = csr_matrix(np.eye(6)[[1, 4]])
    many, end = evolve_linear(csr_matrix(L), v, np.linspace(0, 3, 301), readout, 1e-10)
    few, same = evolve_linear(csr_matrix(L), v, np.array([1.5, 3.0]), readout, 1e-10)
    np.testing.assert_array_equal(end, same)
    np.testing.assert_allclose(many[[150, 300]], few, atol=1e-14)
    np.testing.assert_array_equal(many[0], v[[1, 4]])


def test_a_mask_restricts_a_column_to_what_it_keeps():
    L, v, times = random_problem(3)
    keep = np.array([True, True, False, True, False, True])
    columns = np.column_stack([v, v * keep])
    mask = np.column_stack([np.ones(6, dtype=bool), keep])
    values, last = evolve_linear(csr_matrix(L), columns, times, csr_matrix(np.eye(6)), 1e-10, mask)
    inside = L * np.outer(keep, keep)
    for k, t in enumerate(times):
        np.testing.assert_allclose(values[k, :, 0], expm(L * t) @ v, atol=1e-9)
        np.testing.assert_allclose(values[k, :, 1], (expm(inside * t) @ (v * keep)) * keep, atol=1e-9)
    assert not last[~keep, 1].any()


def test_a_state_that_does_not_change_is_returned_at_all_times():
    values, _ = evolve_linear(csr_matrix((2, 2)), np.array([1.0, 2.0]), TIMES, csr_matrix(np.eye(2)), 1e-8)
    np.testing.assert_array_equal(values, np.tile([1.0, 2.0], (len(TIMES), 1)))


def test_a_state_that_has_settled_answers_for_the_rest():
    L = csr_matrix([[-1.0, 0.0], [1.0, 0.0]])
    rest, steps = np.array([[0.0, 1.0]]), []

    def settle(stepper):
        steps.append(stepper.time)
        return rest if np.abs(stepper.V - rest).max() < 1e-9 else None

    values, last = evolve_linear(
        L, np.array([1.0, 0.0]), np.array([1.0, 1e9]), csr_matrix(np.eye(2)), 1e-6, settle=settle
    )
    np.testing.assert_allclose(values, [[math.exp(-1), 1 - math.exp(-1)], [0, 1]], atol=1e-6)
    np.testing.assert_array_equal(last, rest[0])
    assert steps[-1] < 1e5


def test_progress_is_told():
    class Told(list):
        seconds = 0.0

        def __call__(self, fraction, what):
            self.append(fraction)

        def expect(self, seconds, more, what):
            self.expected = more

    told = Told()
    evolve_linear(
        csr_matrix(30 * ROTATION), np.array([1.0, 0.0]), TIMES, csr_matrix(np.eye(2)), 1e-8, progress=told
    )
    assert told == sorted(told) and told[-1] == 1.0
    assert told.expected == pytest.approx(len(told) - 1, rel=0.2)


# --- equations that are not linear or change in time ---


@pytest.mark.parametrize("tolerance", [1e-5, 1e-9])
def test_equations_that_change_in_time_agree_with_a_closed_form(tolerance):
    states = integrate(lambda t, v: math.cos(t) * v, np.array([2.0]), TIMES, tolerance, timed=True)
    np.testing.assert_allclose(states[:, 0], 2 * np.exp(np.sin(TIMES)), atol=tolerance)


def gaussian(width, center):
    return lambda t: math.exp(-(((t - center) / width) ** 2)) / (width * math.sqrt(math.pi))


@pytest.mark.parametrize("width", [0.1, 0.03])
def test_a_pulse_between_two_output_times_is_seen(width):
    pulse = gaussian(width, 37.3)
    (end,) = integrate(
        lambda t, v: -pulse(t) * v, np.ones(1), np.array([100.0]), 1e-8, timed=True, factors=[pulse]
    )
    assert end[0] == pytest.approx(math.exp(-1), abs=1e-8)


def test_a_shorter_pulse_is_seen_if_it_is_named():
    pulse = gaussian(1e-4, 37.3)
    arguments = (lambda t, v: -pulse(t) * v, np.ones(1), np.array([100.0]), 1e-8)
    (end,) = integrate(*arguments, timed=True, factors=[pulse], t_stops=[37.2999, 37.3])
    assert end[0] == pytest.approx(math.exp(-1), abs=1e-8)


def test_a_jump_of_a_factor_is_where_the_integration_starts_afresh():
    def step(t):
        return 1.0 if t < 1.2345 else 5.0

    found = breakpoints([step], 4.0)
    assert found.min() <= 1.2345 <= found.max() and np.ptp(found) <= 4.0 / 1000
    assert len(breakpoints([lambda t: 3.0], 4.0)) == 0
    assert len(breakpoints([], 4.0)) == 0
    states = integrate(lambda t, v: -step(t) * v, np.ones(1), TIMES[1:], 1e-9, timed=True, factors=[step])
    exponent = np.where(TIMES[1:] < 1.2345, TIMES[1:], 1.2345 + 5 * (TIMES[1:] - 1.2345))
    np.testing.assert_allclose(states[:, 0], np.exp(-exponent), atol=1e-8)


def test_breakpoints_enclose_every_half_of_the_range():
    """Between neighbours a slow function changes by half of its range at most."""
    found = np.r_[0.0, breakpoints([math.sin], 20.0), 20.0]
    for a, b in itertools.pairwise(found):
        assert np.ptp(np.sin(np.linspace(a, b, 50))) <= 0.5 * 2 + 1e-2


def test_an_event_stops_with_its_time():
    def room(t, v):
        return 10 - v[0]

    room.terminal = True
    with pytest.raises(StoppedError) as stopped:
        integrate(lambda t, v: v, np.ones(1), np.array([1.0, 9.0]), 1e-8, event=room)
    assert stopped.value.time == pytest.approx(math.log(10), abs=1e-6)


# --- linear equations with functions of time ---


def decay(rate, times, tolerance, t_stops=()):
    """v̇ = −f(t) v, and how often f was asked."""
    calls = 0

    def f(t):
        nonlocal calls
        calls += 1
        return rate(t)

    nothing, minus = csr_matrix((1, 1)), csr_matrix([[-1.0]])
    one = eye_array(1, format="csr")
    values, _ = evolve_driven(
        nothing, [(f, minus)], np.ones(1), np.asarray(times), one, tolerance, t_stops=t_stops
    )
    return values[:, 0], calls


@pytest.mark.parametrize("tolerance", [1e-5, 1e-12])
@pytest.mark.parametrize("t_stops", [(), (1.2345,)])
def test_a_driven_step_ends_at_a_jump_of_its_function(tolerance, t_stops):
    found, calls = decay(lambda t: 1.0 if t < 1.2345 else 5.0, TIMES[1:], tolerance, t_stops=t_stops)
    exponent = np.where(TIMES[1:] < 1.2345, TIMES[1:], 1.2345 + 5 * (TIMES[1:] - 1.2345))
    np.testing.assert_allclose(found, np.exp(-exponent), atol=tolerance)
    if t_stops:  # beside the samples few
        assert calls < SAMPLES + 500


@pytest.mark.parametrize(("width", "t_stops"), [(0.1, ()), (1e-3, (37.299, 37.3)), (1e-5, (37.29999, 37.3))])
def test_driven_steps_pass_over_no_pulse(width, t_stops):
    """One that lasts some samples, or one that is named."""
    (end,), calls = decay(gaussian(width, 37.3), [100.0], 1e-9, t_stops=t_stops)
    assert end == pytest.approx(math.exp(-1), abs=1e-9)
    assert calls < SAMPLES + 6000


@pytest.mark.parametrize("width", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("start", [37.3, 50.0])  # the second is a sample
def test_driven_steps_follow_a_box_that_is_named(width: float, start: float) -> None:
    """Steps that end at a jump see one side of it, even where places close to it round onto it."""
    stop = start + width
    (end,), calls = decay(
        lambda t: 1 / width if start <= t < stop else 0.0, [100.0], 1e-9, t_stops=(start, stop)
    )
    assert end == pytest.approx(math.exp(-(stop - start) / width), abs=1e-9)
    assert calls < SAMPLES + 5000
    values = integrate(
        lambda t, v: -v / width * (start <= t < stop),
        np.ones(1),
        np.array([100.0]),
        1e-9,
        timed=True,
        t_stops=[start, stop],
    )
    assert values[0, 0] == pytest.approx(math.exp(-(stop - start) / width), abs=1e-9)


def test_a_jump_too_large_for_the_round_off_of_its_time_is_refused_unless_it_is_named() -> None:
    start, stop, size = 0.734567, 0.735567, 1e6
    parts = [(lambda t: size if start <= t < stop else 0.0, ROTATION)]
    arguments = csr_matrix((2, 2)), parts, np.eye(2)[0], np.ones(1), eye_array(2, format="csr"), 1e-9
    with pytest.raises(RoundOffError, match="name the time"):
        evolve_driven(*arguments)
    (found,), _ = evolve_driven(*arguments, t_stops=(start, stop))
    angle = size * (stop - start)
    np.testing.assert_allclose(found, [math.cos(angle), math.sin(angle)], atol=1e-9)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_function_that_is_no_number_stops_the_steps(wrong: float) -> None:
    with pytest.raises(ConvergenceError), np.errstate(invalid="ignore"):
        decay(lambda t: wrong if t > 0.4 else 1.0, [1.0], 1e-9)


def test_driven_steps_of_a_rotation_in_a_turning_field():
    """Ẋ = (ω + a cos t) J X is a rotation by ωt + a sin t; two columns, one of them masked."""
    J = csr_matrix([[0.0, -1, 0], [1, 0, 0], [0, 0, -1]])
    V = np.array([[1.0, 1], [0, 0], [1, 1]])
    mask = np.array([[True, True], [True, True], [True, False]])
    values, last = evolve_driven(
        2.0 * J, [(math.cos, 3.0 * J)], V * mask, TIMES, eye_array(3, format="csr"), 1e-11, mask
    )
    angle = 2 * TIMES + 3 * np.sin(TIMES)
    for column in range(2):
        np.testing.assert_allclose(values[:, 0, column], np.cos(angle), atol=1e-10)
        np.testing.assert_allclose(values[:, 1, column], np.sin(angle), atol=1e-10)
    np.testing.assert_allclose(values[:, 2, 0], np.exp(-angle), atol=1e-10)
    np.testing.assert_array_equal(values[:, 2, 1], 0)
    np.testing.assert_allclose(last, values[-1], atol=1e-15)


def test_a_mask_restricts_a_driven_column_to_what_it_keeps() -> None:
    """What it leaves out is coupled to what it keeps, by the constant part and by the driven one."""
    L, v, times = random_problem(4)
    part = np.random.default_rng(5).normal(size=(6, 6))
    keep = np.array([True, True, False, True, False, True])
    mask = np.column_stack([np.ones(6, dtype=bool), keep])
    values, last = evolve_driven(
        csr_matrix(L - part), [(lambda t: 1.0, csr_matrix(part))], np.column_stack([v, v * keep]), times,
        eye_array(6, format="csr"), 1e-10, mask,
    )  # fmt: skip
    inside = L * np.outer(keep, keep)
    for k, t in enumerate(times):
        np.testing.assert_allclose(values[k, :, 0], expm(L * t) @ v, atol=1e-9)
        np.testing.assert_allclose(values[k, :, 1], expm(inside * t) @ (v * keep) * keep, atol=1e-9)
    assert not last[~keep, 1].any()


def spread_problem(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A generator whose rates of decay are up to 10⁵ times its frequencies, a vector and times."""
    random = np.random.default_rng(seed)
    n = int(random.integers(2, 30))
    decay, frequency = 10 ** random.uniform(-1, 4), 10 ** random.uniform(-1, 2)
    rates = decay * random.uniform(size=n) ** random.choice([1, 8])
    A = frequency * random.normal(size=(n, n)) * (random.uniform(size=(n, n)) < 4 / n)
    B = random.choice([0.0, 0.5]) * random.normal(size=(n, n)) * (random.uniform(size=(n, n)) < 2 / n)
    L = A - A.T - np.diag(rates) + B
    growth = max(float(np.linalg.eigvals(L).real.max()), 0.0)
    last = min(10 ** random.uniform(-1, 1), 2 / max(growth, 1e-9))
    return L, random.normal(size=n), np.sort(random.uniform(0, last, size=3))


@example(8)
@example(12)
@example(49)
@given(st.integers(0, 10**6))
def test_decay_may_be_any_number_of_times_faster_than_oscillations(seed):
    """The terms of the series start as small as exp(−μs), and rise, before they fall."""
    L, v, times = spread_problem(seed)
    exact = np.array([expm(L * t) @ v for t in times])
    size = max(np.abs(v).max(), np.abs(exact).max())
    one = csr_matrix(np.eye(len(v)))
    found, _ = evolve_linear(csr_matrix(L), v[:, None], times, one, 1e-8)
    assert np.abs(found[..., 0] - exact).max() <= 2e-8 * size
    part = csr_matrix(0.3 * L)
    driven, _ = evolve_driven(csr_matrix(0.7 * L), [(lambda t: 1.0, part)], v[:, None], times, one, 1e-8)
    assert np.abs(driven[..., 0] - exact).max() <= 2e-8 * size
    assert np.abs(propagate(csr_matrix(L), v, times, 1e-8) - exact).max() <= 2e-8 * size
