"""Do Hamiltonians, couplings and rates that change in time give the right numbers, and what is no drive a sentence?"""

import math
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import qutip
from conftest import PAPER
from random_models import LOWER, around, matrix, moments, reading, rescaled, spins

from centralspin import (
    ArgumentError,
    CentralSpinModel,
    CollectiveModel,
    Moment,
    Sites,
    evolve,
    expand,
    steady_state,
)
from centralspin.methods import full_space

TIMES = np.array([0.0, 0.4, 1.1])
X, Y, Z = (s.full() for s in (qutip.sigmax(), qutip.sigmay(), qutip.sigmaz()))


def wave(t):
    return 1 + 0.7 * math.cos(3 * t)


def pulse(t):
    return 2 * math.exp(-(((t - 0.6) / 0.15) ** 2))


def switch(t):
    return 1.5 if t < 0.5 else -0.5


def driven(random, kind):
    """Random models in which the central system, its coupling and its jumps, or the sites too are driven."""
    classes = [spins(random, 2)]
    model = around(random, classes)
    drives = [[matrix(random, 2, True), pulse], [matrix(random, 2, True), switch], 0.3 * Z]
    model = model.replace(hamiltonian=[model.hamiltonian, *drives], rates=[wave, None])
    pairs = [(*pair, f) for pair, f in zip(classes[0].couplings, (wave, 0.5, pulse), strict=True)]
    classes[0] = replace(classes[0], couplings=pairs)
    if kind == "sites":
        classes[0] = replace(classes[0], hamiltonian=[[X, pulse], Z], rates=[wave, 0.3, switch])
    return model.replace(sites=classes)


@pytest.mark.parametrize(("kind", "seed"), [("central", 0), ("central", 1), ("sites", 0)])
def test_random_driven_models(kind, seed):
    random = np.random.default_rng(seed)
    model = driven(random, kind)
    if kind == "central":  # the sites stand still
        at_rest = replace(model.sites[0], initial=None, jumps=[0.7 * LOWER], rates=None, hamiltonian=Z)
        model = model.replace(sites=at_rest)
    wanted = moments(random, model)
    found, right = (reading(m, model, TIMES, wanted, t_stops=[0.5]) for m in ("symmetric", "full_space"))
    np.testing.assert_allclose(found, right, atol=1e-8 * np.abs(right).max())


@pytest.mark.parametrize("method", ["symmetric", "full_space", "mean_field", "cumulants"])
def test_no_method_depends_on_the_unit_of_time(method):
    random = np.random.default_rng(3)
    model = around(random, spins(random, 2))
    s = 1e-12

    def with_drives(model, scale):
        def slow(f):
            return lambda t: f(t * scale)

        drives = [model.hamiltonian, [scale * X, slow(pulse)]]
        pairs = [(*pair, slow(wave)) for pair in model.sites[0].couplings]
        site = replace(model.sites[0], couplings=pairs)
        return model.replace(hamiltonian=drives, sites=site, rates=[slow(wave), None])

    read = [m for m in moments(random, model) if m.power < 2]
    one = reading(method, with_drives(model, 1.0), TIMES, read)
    other = reading(method, with_drives(rescaled(model, s), s), TIMES / s, read)
    np.testing.assert_allclose(other, one, atol=1e-7)


def test_all_rates_may_be_in_the_functions():
    """The unit of time is then theirs, not that of the operators."""
    s = 1e-15
    slow = CentralSpinModel(N=2, g0=s, bath_decay=s, central_field=(lambda t: s * wave(t * s), 0, 0))
    plain = CentralSpinModel(N=2, g0=1.0, bath_decay=1.0, central_field=(wave, 0, 0))
    np.testing.assert_allclose(evolve(slow, TIMES / s)["tau_z"], evolve(plain, TIMES)["tau_z"], atol=1e-8)


@pytest.mark.parametrize("N", [3, math.inf])
def test_a_field_of_functions_and_how_qutip_writes_it_are_the_same(N):
    field = PAPER.replace(N=N, central_field=(wave, 0, 0.5), central_decay=0)
    lower = qutip.sigmam()
    sites = Sites(
        count=N, hamiltonian=0 * lower, jumps=[lower, math.sqrt(0.2) * lower.dag()],
        couplings=[(4 * lower.dag(), lower)],
    )  # fmt: skip
    parts = [0.5 * qutip.sigmaz(), [qutip.sigmax(), wave]]
    expected = evolve(field, TIMES)["tau_z"]
    for H in (parts, tuple(parts), qutip.QobjEvo(parts), [*parts[1:], 0.2 * Z, 0.3 * qutip.sigmaz()]):
        model = CollectiveModel(
            hamiltonian=H, jumps=[math.sqrt(0.8) * lower.dag()], sites=sites, initial=qutip.fock_dm(2, 0)
        )
        np.testing.assert_allclose(evolve(model, TIMES, {"z": Z})["z"], expected, atol=1e-8)
        again = model.replace(scaling=0.5)
        np.testing.assert_allclose(evolve(again, TIMES, {"z": Z})["z"], expected, atol=1e-8)


def test_constant_parts_of_a_list_are_added_up():
    model = CollectiveModel(hamiltonian=[X, [Z, 0.5]], sites=Sites(count=1, hamiltonian=[Z, Z]))
    np.testing.assert_array_equal(model.hamiltonian, X + 0.5 * Z)
    np.testing.assert_array_equal(model.sites[0].hamiltonian, 2 * Z)


def test_a_driven_model_is_shown_pickled_and_compared():
    model = PAPER.replace(central_field=(wave, 0, 0.5))
    assert pickle.loads(pickle.dumps(model)) == model
    assert hash(model) == hash(PAPER.replace(central_field=(wave, 0, 0.5)))
    assert "wave" in repr(model)
    result = evolve(model.replace(N=2), TIMES)
    assert pickle.loads(pickle.dumps(result)).data.keys() == result.data.keys()


def test_an_expansion_of_a_driven_model():
    model = PAPER.replace(g0=1.0, central_field=(wave, 0, 0.5))
    limit, first = expand(model, TIMES, ("tau_z", "Q2"))
    sizes = (4000, 8000)
    for name in ("tau_z", "Q2"):
        a, b = (
            N * (evolve(model.replace(N=N), TIMES, (name,), tolerance=1e-11)[name] - limit[name])
            for N in sizes
        )
        np.testing.assert_allclose(first[name], 2 * b - a, atol=2e-5)


def test_hahn_echo_removes_a_static_bath():
    """Free bath spins shift the splitting by N^{−1/2} g Σ σ_z: ⟨τ_x⟩ falls as Π cos and is back at twice the time.

    A π pulse about x as a strong, short drive of the area π/2 (H = f τ_x), named in `t_stops`.
    """
    N, g, wait, width = 6, 0.9, 1.3, 0.01
    area = math.pi / 2

    def flip(t):
        return area / width if wait - width / 2 <= t < wait + width / 2 else 0.0

    sites = Sites(count=N, hamiltonian=np.zeros((2, 2)), couplings=[(g * Z, Z)], initial=np.eye(2) / 2)
    plus = np.full((2, 2), 0.5)
    free = CollectiveModel(hamiltonian=0 * Z, sites=sites, initial=plus)
    echo = free.replace(hamiltonian=[0 * Z, [X, flip]])
    times = np.array([wait / 2, wait - width / 2, 2 * wait])
    stops = [wait - width / 2, wait + width / 2]
    seen = evolve(echo, times, {"x": X, "z": Z}, t_stops=stops)
    angle = 2 * g / math.sqrt(N)
    np.testing.assert_allclose(seen["x"][:2], np.cos(angle * times[:2]) ** N, atol=1e-8)
    lost = evolve(free, times, {"x": X})["x"][2]
    assert lost == pytest.approx(math.cos(angle * 2 * wait) ** N, abs=1e-8)
    # Exact: the bath is a field h = g m/√N with m = N, N − 2, …; the spin turns by exp(−iHt) in each.
    exact = 0.0
    for k in range(N + 1):
        h = g * (N - 2 * k) / math.sqrt(N)
        wait_once = np.diag(np.exp([-1j * h * (wait - width / 2), 1j * h * (wait - width / 2)]))
        H = h * Z + area / width * X
        U = wait_once @ qutip.Qobj(-1j * H * width).expm().full() @ wait_once
        exact += math.comb(N, k) / 2**N * np.trace(X @ U @ plus @ U.conj().T).real
    assert seen["x"][2] == pytest.approx(exact, abs=1e-8)
    assert exact > 0.999 and lost < 0.5


def test_a_pulse_that_is_shorter_than_a_sample_is_seen_if_it_is_named():
    lonely = Sites(count=1, hamiltonian=np.zeros((2, 2)), initial=np.eye(2) / 2)
    width, start = 1e-4, 37.3

    def flip(t):
        return math.pi / 4 / width if start <= t < start + width else 0.0

    model = CollectiveModel(hamiltonian=[0 * Z, [X, flip]], sites=lonely, initial=np.diag([1.0, 0]))
    (z,) = evolve(model, [100.0], {"z": Z}, t_stops=[start, start + width])["z"]
    assert z == pytest.approx(math.cos(math.pi / 2), abs=1e-8)
    (y,) = evolve(model, [100.0], {"y": Y}, t_stops=[start, start + width])["y"]
    assert y == pytest.approx(-1, abs=1e-8)


@pytest.mark.parametrize(
    ("method", "options"), [("symmetric", {}), ("full_space", {}), ("cumulants", {"order": 3})]
)
@pytest.mark.parametrize("start", [1.0, 5.0, 50.0])
@pytest.mark.parametrize("width", [1e-4, 1e-6])
def test_a_strong_short_pulse_that_is_named_is_three_runs(
    method: str, options: dict, start: float, width: float
) -> None:
    """It turns the central spin by π/2 in next to no time; times beside the stops round onto them."""
    stop = start + width
    field = math.pi / 2 / width

    def model(x: object) -> CentralSpinModel:
        return CentralSpinModel(N=2, g0=0.7, bath_decay=1.0, central_decay=0.3, central_field=(x, 0, 0.5))

    driven = model(lambda t: field if start <= t < stop else 0.0)
    found = evolve(driven, [start + 1], "tau_z", method=method, t_stops=[start, stop], **options)
    first = evolve(model(0), [start], "tau_z").final
    second = evolve(model(field), [stop - start], "tau_z", initial=first).final
    last = evolve(model(0), [1 - width], "tau_z", initial=second)
    assert found["tau_z"][0] == pytest.approx(last["tau_z"][0], abs=1e-8)


def test_the_whole_space_survives_output_times_that_are_close_to_each_other() -> None:
    """In a process of its own: steps that wrote beyond their memory ended the interpreter."""
    code = (
        "import numpy as np; from centralspin import CentralSpinModel, evolve\n"
        "m = CentralSpinModel.figure_2(2, central_field=(lambda t: np.cos(3 * t), 0, 0))\n"
        "t = np.geomspace(8e-5, 0.28, 12)\n"
        "found = [evolve(m, t, 'tau_z', method=x)['tau_z'] for x in ('full_space', 'symmetric')]\n"
        "np.testing.assert_allclose(*found, atol=1e-9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_driven_state_is_continued():
    """The clock goes on, and a π pulse between two runs is one in a single run."""
    model = PAPER.replace(N=5, central_field=(wave, 0, 0.5))
    once = evolve(model, [1.0, 2.0], ("tau_z", "Q2"))
    first = evolve(model, [0.7], ("tau_z", "Q2"))
    then = evolve(model, [0.3, 1.3], ("tau_z", "Q2"), initial=first.final)
    for name in once:
        np.testing.assert_allclose(then[name], once[name], atol=2e-8)


# --- what is refused ---


def nonsense(value):
    return lambda t: value


HERMITIAN = "`hamiltonian[1][0]` must be Hermitian, but is off by 1."
REFUSED = [
    ({"hamiltonian": [Z, [LOWER, wave]]}, HERMITIAN),
    ({"hamiltonian": [Z, [np.eye(3), wave]]}, "`hamiltonian[1][0]` must be 2×2, but is of shape (3, 3)."),
    ({"hamiltonian": [Z, wave]}, "`hamiltonian[1]` must be an operator, or a pair of one and a function"),
    ({"hamiltonian": (X, wave)}, "`hamiltonian[1]` must be an operator, or a pair of one and a function"),
    ({"hamiltonian": [Z, [X, "sin(t)"]]}, "`hamiltonian[1][1]` must be a finite real number, but is 'sin(t)'."),
    ({"hamiltonian": [Z, [X, np.ones(3)]]}, "`hamiltonian[1][1]` must be a finite real number, but is array"),
    (
        {"hamiltonian": [Z, [X, nonsense(math.nan)]]},
        "`hamiltonian[1][1]` must be a finite real number at all times, but is nan at t = 0.",
    ),
    (
        {"hamiltonian": [Z, [X, nonsense("a")]]},
        "`hamiltonian[1][1]` must be a finite real number at all times, but is 'a' at t = 0.",
    ),
    (
        {"hamiltonian": [Z, [X, nonsense(1j)]]},
        "`hamiltonian[1][1]` must be real at all times (a complex drive is two Hermitian terms, each with a real "
        "function), but is 1j at t = 0.",
    ),
    (
        {"hamiltonian": [Z, [X, lambda t: 1 / t]]},
        "`hamiltonian[1][1]` must be a number or a function of time, but is one that fails: float division by zero.",
    ),
    ({"hamiltonian": [Z, [X, lambda t, a: 1.0]]}, "`hamiltonian[1][1]` must be a number or a function of time, but"),
    ({"hamiltonian": qutip.QobjEvo(lambda t: t * qutip.sigmaz())}, "`hamiltonian[0][0]` must be a square matrix"),
    ({"rates": [1.0]}, "`rates` must have one entry for each of the 2 jumps, but is of length 1."),
    ({"rates": [1.0, nonsense(None)]}, "`rates[1]` must be a finite real number at all times, but is None at t = 0."),
    ({"rates": 2.0}, "`rates` must be a sequence, but is 2.0."),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), REFUSED)
def test_what_is_no_drive_is_refused_in_a_sentence(change, words):
    arguments = {"hamiltonian": Z, "jumps": [LOWER, LOWER], "sites": Sites(count=1, hamiltonian=Z)}
    with pytest.raises(ArgumentError) as refusal:
        CollectiveModel(**arguments | change)
    assert words in str(refusal.value) and str(refusal.value).endswith(".") and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (
            (X, Z, wave, 1),
            "`couplings[0]` must be a pair of operators, or one with a function of time, but is",
        ),
        ((X, Z, "a"), "`couplings[0][2]` must be a finite real number, but is 'a'."),
        (
            (X, Z, nonsense(math.inf)),
            "`couplings[0][2]` must be a finite real number at all times, but is inf at t",
        ),
        (X, "`couplings[0]` must be a pair of operators, or one with a function of time, but is array"),
    ],
)
def test_what_is_no_driven_coupling_is_refused(pair, words):
    with pytest.raises(ArgumentError) as refusal:
        Sites(count=1, hamiltonian=Z, couplings=[pair])
    assert words in str(refusal.value)


def test_a_function_that_fails_later_is_named_with_its_time():
    late = lambda t: 1.0 if t < 0.5 else math.nan  # noqa: E731
    sites = Sites(count=2, hamiltonian=Z, jumps=[LOWER])
    model = CollectiveModel(hamiltonian=[Z, [X, late]], sites=sites, initial=np.diag([1.0, 0]))
    words = r"`hamiltonian\[1\]\[1\]` must be a finite real number at all times, but is nan at t = 0\.[56]"
    for method in ("symmetric", "full_space", "mean_field"):
        with pytest.raises(ArgumentError, match=words):
            evolve(model, [1.0], {"z": Z}, method=method)
    with pytest.raises(
        ArgumentError, match=r"`central_field\[0\]` must be a finite real number at all times"
    ):
        evolve(PAPER.replace(central_field=(late, 0, 0)), [1.0])


def test_what_a_driven_model_has_not():
    model = PAPER.replace(N=3, central_field=(wave, 0, 0.5))
    stationary = (
        "`central_field` must be constant in time where a stationary state is asked for, but is a function"
    )
    for method in ("symmetric", "cumulants"):
        with pytest.raises(ArgumentError) as refusal:
            steady_state(model, method=method)
        assert stationary in str(refusal.value)
    with pytest.raises(
        ArgumentError, match="`central_field` must be constant in time where a stationary state"
    ):
        expand(model, None)
    for method in ("dicke", "spin_boson"):
        with pytest.raises(ArgumentError, match="`model` must not change in time"):
            evolve(model.replace(N=math.inf) if method == "spin_boson" else model, [1.0], method=method)
    with pytest.raises(
        ArgumentError, match="`central_field` must be constant in time here, but is a function"
    ):
        model.central_hamiltonian()
    with pytest.raises(ArgumentError, match="`model` must not change in time"):
        full_space.operators(model)
    for index, words in ((0, "`central_field[0]` must be"), (2, "`central_field[2]` must be")):
        field = [0.0, 0.0, 0.0]
        field[index] = nonsense(math.nan)
        with pytest.raises(ArgumentError) as refusal:
            CentralSpinModel(N=1, g0=1.0, central_field=field)
        assert words in str(refusal.value)
    with pytest.raises(ArgumentError, match="`hamiltonian` must be constant in time where"):
        sites = Sites(count=2, hamiltonian=[Z, [X, wave]], jumps=[LOWER])
        steady_state(CollectiveModel(hamiltonian=Z, jumps=[LOWER], sites=sites), {"z": Z})


def test_a_negative_rate_of_the_central_system_is_followed_or_refused():
    """Dissipators with a negative factor, for some time; the rate of a jump multiplies its dissipator."""
    random = np.random.default_rng(8)
    model = around(random, spins(random, 2)).replace(rates=[lambda t: math.cos(4 * t), -0.1])
    wanted = moments(random, model)[:3]
    found, right = (reading(m, model, TIMES, wanted) for m in ("symmetric", "full_space"))
    np.testing.assert_allclose(found, right, atol=1e-8)
    boson = PAPER.replace(bath_pump=0.2)
    lower = qutip.sigmam().full()
    sites = Sites(
        count=math.inf,
        hamiltonian=0 * Z,
        jumps=[lower, math.sqrt(0.2) * lower.T],
        couplings=[(lower.T, lower)],
    )
    negative = CollectiveModel(
        hamiltonian=Z, jumps=[lower], rates=[-0.1], sites=sites, initial=np.diag([1.0, 0])
    )
    assert boson.thermal_occupation > 0
    with pytest.raises(ArgumentError, match=r"`rates\[0\]` must not be negative with method"):
        evolve(negative, [0.1], {"z": Moment(central=Z)}, method="spin_boson")


def test_a_drive_that_moves_nothing() -> None:
    """All couplings vanish on what they act on: no number overflows."""
    nothing = np.zeros((2, 2))
    sites = Sites(
        count=3, hamiltonian=nothing, jumps=[nothing], couplings=[(nothing, nothing, np.cos)],
        initial=np.diag([0.3, 0.7]),
    )  # fmt: skip
    model = CollectiveModel(
        hamiltonian=[nothing, [nothing, np.sin]], jumps=[], sites=sites, initial=np.diag([0.2, 0.8])
    )
    found = evolve(model, [0.5, 3.0], {"z": Moment(central=np.diag([1.0, -1.0]))})
    np.testing.assert_allclose(found["z"], -0.6, atol=1e-12)
