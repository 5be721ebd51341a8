"""Measure the methods against each other, as ratios within one run: `make bench`, or `python -m benchmarks.run`.

Evolutions are Fig. 2's curves (161 times, ⟨τ_z⟩, ⟨q⟩, ⟨Q²⟩, ⟨Q⁴⟩) at the paper's parameters. The rivals run at the
accuracy they are usually run at, and are told what they need to know beforehand, such as a number of Fock states; ours
is given at the same accuracy and at 1e-8, with the search for its own cut included. The rows are printed and written to
`_build/bench.json`, from which `history` keeps them and `page` writes README and the book's page. The whole takes about
four minutes and 3 GB; `--quick` leaves out what takes longer than ten seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import os
import platform
import re
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import qutip
import scipy
from qutip import piqs
from scipy.integrate import solve_ivp
from scipy.sparse.linalg import expm_multiply

from centralspin import (
    OBSERVABLES,
    SIGMA_MINUS,
    SIGMA_PLUS,
    BudgetError,
    CentralSpinModel,
    CollectiveModel,
    ConvergenceError,
    Sites,
    TruncationError,
    collective_model,
    correlation,
    eigenvalues,
    evolve,
    expand,
    liouvillian,
    spectrum,
    steady_state,
    sweep,
)
from centralspin.methods import spin_boson
from centralspin.methods.dicke import DickeBlocks, lindbladian
from centralspin.numerics import stepping
from centralspin.problem.general import dimensionless
from centralspin.question import ask, combined, prepare

MODEL = CentralSpinModel.figure_2()
TIMES = np.linspace(0, 4, 161)
NAMES = ("tau_z", "q", "Q2", "Q4")
OUTPUT = Path(__file__).parents[1] / "_build" / "bench.json"


def seconds(function: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Shortest time of several runs, and the last result."""
    best, result = math.inf, None
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - start)
    return best, result


def piqs_raw(N: int) -> np.ndarray:
    """PIQS as its documentation uses it: the Liouvillian on all of the Dicke space, DOP853 at rtol 1e-5."""
    model = MODEL.replace(N=N)
    ensemble = piqs.Dicke(N=N, emission=model.bath_decay, pumping=model.bath_pump)
    jx, jy, _ = piqs.jspin(N)
    one = qutip.qeye(piqs.num_dicke_states(N))
    exchange = model.coupling * qutip.tensor(qutip.sigmap(), jx - 1j * jy)
    H = qutip.tensor(qutip.Qobj(model.central_hamiltonian()), one) + exchange + exchange.dag()
    jumps = [qutip.tensor(qutip.Qobj(J), one) for J in model.central_jumps()]
    bath = qutip.super_tensor(qutip.to_super(qutip.qeye(2)), ensemble.liouvillian())
    L = (qutip.liouvillian(H, jumps) + bath).data.as_scipy().tocsr()
    up = (1 - model.epsilon) / 2
    weights = [
        DickeBlocks(N).multiplicity(j) * up ** (N / 2 + m) * (1 - up) ** (N / 2 - m)
        for j in DickeBlocks(N).spins
        for m in j - np.arange(round(2 * j) + 1)
    ]
    rho = qutip.tensor(qutip.fock_dm(2, 0), qutip.Qobj(np.diag(weights))).full().ravel(order="F")
    result = solve_ivp(lambda t, y: L @ y, (0, 4), rho, "DOP853", t_eval=TIMES, rtol=1e-5, atol=1e-8)
    tau_z = qutip.tensor(qutip.sigmaz(), one).full()
    return np.real(np.diag(tau_z) @ result.y.reshape(*tau_z.shape, -1, order="F").diagonal().T)


def dicke_fair(N: int, stepper: str) -> Callable[[], Any]:
    """The physical part of the Dicke space alone, with our stepper or SciPy's `expm_multiply`."""
    model = MODEL.replace(N=N)
    if stepper == "own":  # `evolve` may run twice, to know what is made of moments as well as these

        def once() -> Any:
            question = ask(model, NAMES, times=TIMES)
            task, chosen = prepare(question, TIMES, 1e-6, "dicke", {}, math.inf)
            return combined(question, task, chosen.ABOUT, chosen.run(task))[0]

        return once
    space = DickeBlocks(N)

    def run() -> Any:
        L = (
            lindbladian(dimensionless(collective_model(model)), space)
            * dimensionless(collective_model(model)).unit
        )
        v = space.product_state(model.stationary_bath_bloch(), model.central_density_matrix("up"))
        return expm_multiply(L, v, start=0, stop=4, num=9, endpoint=True)

    return run


#: Fock states that suffice for Fig. 2's parameters and those of the sweep.
LEVELS = 24


def fock_curves() -> dict[str, np.ndarray]:
    """Fig. 2's curves at N = ∞ by QuTiP's `mesolve` in Fock space."""
    H, jumps, a = spin_boson.operators(MODEL, LEVELS)
    q = (a + a.dag()) / math.sqrt(2)
    tau_z = qutip.tensor(qutip.sigmaz(), qutip.qeye(LEVELS))
    start = qutip.tensor(qutip.fock_dm(2, 0), spin_boson.thermal_state(MODEL, LEVELS))
    found = qutip.mesolve(H, start, TIMES, jumps, e_ops=[tau_z, q, q**2, q**3, q**4], options=ACCURATE)
    z, *raw = map(np.asarray, found.expect)
    return {"tau_z": z, "q": raw[0]} | centred(*raw)


def fock_at_rest(model: CentralSpinModel, levels: int = LEVELS) -> dict[str, Any]:
    """The stationary values at N = ∞ by QuTiP's `steadystate` in Fock space."""
    H, jumps, a = spin_boson.operators(model, levels)
    rho, q = qutip.steadystate(H, jumps), (a + a.dag()) / math.sqrt(2)
    tau_z = qutip.tensor(qutip.sigmaz(), qutip.qeye(levels))
    raw = [qutip.expect(q**k, rho) for k in (1, 2, 3, 4)]
    return {"tau_z": qutip.expect(tau_z, rho), "q": raw[0]} | centred(*raw)


def fock_correlation() -> np.ndarray:
    """⟨τ_+(t) τ_-(0)⟩ at N = ∞ by QuTiP in Fock space."""
    H, jumps, _ = spin_boson.operators(MODEL, LEVELS)
    plus = qutip.tensor(qutip.Qobj(SIGMA_PLUS), qutip.qeye(LEVELS))
    return qutip.correlation_2op_1t(H, None, TIMES, jumps, plus, plus.dag(), options=ACCURATE)


ACCURATE = {"atol": 1e-10, "rtol": 1e-8, "method": "vern9", "nsteps": 10**6, "progress_bar": ""}


def centred(q1: Any, q2: Any, q3: Any, q4: Any) -> dict[str, Any]:
    """Central moments from raw ones."""
    return {"Q2": q2 - q1**2, "Q4": q4 - 4 * q1 * q3 + 6 * q1**2 * q2 - 3 * q1**4}


def floor(N: int, cut: int) -> dict[str, float]:
    """How much of the stepping is the sparse product, and how near that is to what memory can deliver."""
    read = {
        str(i): moment for i, (_, moment) in enumerate(term for n in NAMES for term in OBSERVABLES[n].terms)
    }
    assembly, generator = seconds(lambda: liouvillian(MODEL.replace(N=N), cut, read), 5)
    L, v, rows = generator.matrix, generator.initial, generator.rows
    total, _ = seconds(lambda: stepping.evolve_linear(L, v, TIMES, rows, 1e-9), 5)
    calls, steps = count_products(L, v, rows)
    product, _ = seconds(lambda: [L @ v for _ in range(calls)], 5)
    bytes_moved = L.nnz * 12 + 20 * len(v)  # value 8, column 4; row pointer 4, x 8 and y 8 per row
    copy_from = np.zeros(max(bytes_moved // 16, 1))
    copy_to = np.empty_like(copy_from)
    copy, _ = seconds(lambda: [np.copyto(copy_to, copy_from) for _ in range(1000)], 5)
    bandwidth = 1000 * 2 * copy_from.nbytes / copy
    return {
        "unknowns": len(v),
        "entries": L.nnz,
        "products": calls,
        "steps": steps,
        "assembly ms": 1e3 * assembly,
        "stepping ms": 1e3 * total,
        "share of sparse products": product / total,
        "GB/s of the sparse product": calls * bytes_moved / product / 1e9,
        "GB/s of copying as many bytes": bandwidth / 1e9,
    }


def count_products(L: Any, v: np.ndarray, rows: Any) -> tuple[int, int]:
    """Number of sparse products, and of steps, in one run."""
    made: list[stepping.Stepper] = []
    original = stepping.Stepper

    def kept(*arguments: Any, **options: Any) -> stepping.Stepper:
        made.append(original(*arguments, **options))
        return made[-1]

    with mock.patch.object(stepping, "Stepper", kept):
        stepping.evolve_linear(L, v, TIMES, rows, 1e-9)
    return sum(stepper.products for stepper in made), sum(stepper.steps for stepper in made)


def cavity(N: int, levels: int) -> CollectiveModel:
    """A lossy cavity with one photon and N emitters that decay and are pumped, each for itself."""
    a = np.diag(np.sqrt(np.arange(1.0, levels)), 1)
    atoms = Sites(
        count=N, hamiltonian=np.zeros((2, 2)), jumps=[SIGMA_MINUS, 0.5 * SIGMA_PLUS],
        couplings=[(0.8 * a.T, SIGMA_MINUS)], initial=[0, 1],
    )  # fmt: skip
    return CollectiveModel(hamiltonian=0 * a, jumps=[0.8 * a], sites=atoms, initial=np.eye(levels)[1])


def cavity_by_piqs(N: int, levels: int, times: np.ndarray) -> np.ndarray:
    """The number of photons of the same by QuTiP's PIQS and `mesolve`."""
    ensemble = piqs.Dicke(N=N, emission=1.0, pumping=0.25)
    a, one = qutip.destroy(levels), qutip.qeye(piqs.num_dicke_states(N))
    minus = piqs.jspin(N, "-")
    hop = 0.8 / math.sqrt(N) * qutip.tensor(a.dag(), minus)
    photons = qutip.tensor(a.dag() * a, one)
    L = qutip.liouvillian(hop + hop.dag(), [0.8 * qutip.tensor(a, one)])
    L = L + qutip.super_tensor(qutip.to_super(qutip.qeye(levels)), ensemble.liouvillian())
    start = qutip.tensor(qutip.fock_dm(levels, 1), piqs.ground(N))
    options = {"atol": 1e-9, "rtol": 1e-7, "nsteps": 10**6}
    return np.asarray(qutip.mesolve(L, start, times, e_ops=[photons], options=options).expect[0])


def weakly_damped(factor: float, N: float) -> tuple[float, float]:
    """Seconds of a stationary state and of evolving to ten relaxation times, both bath rates times a factor.

    They are not a number where a minute, or the memory, does not suffice.
    """
    model = MODEL.replace(N=N, bath_pump=0.2 * factor, bath_decay=factor)
    names, options = ("tau_z", "Q2", "Q4"), {"tolerance": 1e-6, "time_budget": 60.0}
    found = []
    for answer in (
        lambda: steady_state(model, names, **options),
        lambda: evolve(model, [10 / (model.bath_rate / 2)], names, **options),
    ):
        try:
            found.append(seconds(answer)[0])
        except (BudgetError, ConvergenceError, TruncationError):
            found.append(math.nan)
    return found[0], found[1]


def peak_memory(N: int) -> float:
    """Peak memory in MB that Python and NumPy allocate during one evolution."""
    tracemalloc.start()
    evolve(MODEL.replace(N=N), TIMES, NAMES)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


@dataclasses.dataclass
class Row:
    """One measurement.

    Attributes
    ----------
    task, size, method : str
        What is computed, for how many bath spins, and how.
    tolerance : float or None
        The accuracy that was asked for; None where a method has none.
    seconds : float
    error : float or None
        How far the result was from that of a more accurate, or another, method.
    """

    task: str
    size: str
    method: str
    tolerance: float | None
    seconds: float
    error: float | None = None


OURS = "symmetric Liouville space"


class Bench:
    """The rows measured so far."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def measure(
        self,
        task: str,
        N: float,
        method: str,
        tolerance: float | None,
        function: Callable[[], Any],
        repeats: int = 1,
        exact: Any = None,
    ) -> Any:
        """Time a function, compare what it returns with `exact` if that is given, and return it."""
        row = Row(task, size(N), method, tolerance, 0.0)
        print(f"{task}, {row.size}, {method} …", end=" ", flush=True)
        row.seconds, result = seconds(function, repeats)
        if exact is not None:
            row.error = distance(result, exact)
        print(f"{row.seconds:.3g} s" + ("" if row.error is None else f", off by {row.error:.1e}"), flush=True)
        self.rows.append(row)
        return result

    def seconds(self, task: str, N: float, method: str = OURS, tolerance: float | None = 1e-8) -> float:
        """What a row took."""
        (found,) = [
            row.seconds
            for row in self.rows
            if (row.task, row.size, row.method, row.tolerance) == (task, size(N), method, tolerance)
        ]
        return found


def size(N: float) -> str:
    """The number of bath spins in words."""
    if N in (10**4, 10**7):
        return "N = 10" + {4: "⁴", 7: "⁷"}[round(math.log10(N))]
    return "N = ∞" if math.isinf(N) else f"N = {N:g}"


def distance(found: Any, exact: Any) -> float:
    """The largest difference of arrays, or of the values of a mapping that the other one has as well."""
    if isinstance(exact, np.ndarray):
        return float(np.abs(np.asarray(found) - exact).max())
    return float(max(np.abs(found[name] - exact[name]).max() for name in exact if name in found))


EVOLUTION, STATIONARY, WEAK = "evolution, 161 times", "stationary state", "stationary state, weakly damped"
CORRELATION, SWEEP, CAVITY = "correlation, 161 times", "sweep of 400 stationary states", "cavity of 4 levels"
EXPANSION = "coefficients of 1/N, 161 times"
SPECTRUM = {1: "spectrum, 1 frequency", 1000: "spectrum, 1000 frequencies"}


def evolutions(bench: Bench, quick: bool) -> None:
    """Fig. 2's curves."""
    exact = {N: dict(evolve(MODEL.replace(N=N), TIMES, NAMES, tolerance=1e-12)) for N in (40, 80, math.inf)}

    def ours(N: float, tolerance: float) -> None:
        model = MODEL.replace(N=N)
        run = lambda: evolve(model, TIMES, NAMES, tolerance=tolerance)  # noqa: E731
        bench.measure(EVOLUTION, N, OURS, tolerance, run, 5, exact.get(N))

    for N in (40, 80, 1000, 10**7, math.inf):
        ours(N, 1e-8)
    ours(40, 1e-5)
    ours(80, 1e-6)
    bench.measure(EXPANSION, math.inf, OURS, 1e-8, lambda: expand(MODEL, TIMES, NAMES), 3)
    bench.measure(EVOLUTION, math.inf, "QuTiP mesolve in Fock space", 1e-8, fock_curves, 3, exact[math.inf])
    for order in (2, 4):
        run = lambda order=order: evolve(MODEL.replace(N=80), TIMES, NAMES, method="cumulants", order=order)  # noqa: E731
        bench.measure(EVOLUTION, 80, f"cumulants, order {order}", None, run, 3, exact[80])
    bench.measure(EVOLUTION, 40, "PIQS as documented", 1e-5, lambda: {"tau_z": piqs_raw(40)}, 1, exact[40])
    if not quick:
        bench.measure(EVOLUTION, 80, "Dicke blocks, our stepper", 1e-6, dicke_fair(80, "own"), 1, exact[80])
        bench.measure(EVOLUTION, 80, "Dicke blocks, expm_multiply", 1e-6, dicke_fair(80, "expm_multiply"))


def at_rest(bench: Bench, quick: bool) -> None:
    """Stationary states, weakly damped ones, and many of them."""
    for N in (10, 30, 80, 1000, 10**7, math.inf):
        model = MODEL.replace(N=N)
        bench.measure(STATIONARY, N, OURS, 1e-8, lambda model=model: steady_state(model, NAMES), 5)
    thirty, limit = (dict(steady_state(MODEL.replace(N=N), NAMES, tolerance=1e-11)) for N in (30, math.inf))
    blocks = lambda: steady_state(MODEL.replace(N=30), NAMES, method="dicke")  # noqa: E731
    bench.measure(STATIONARY, 30, "Dicke blocks", 1e-8, blocks, 1, thirty)
    bench.measure(
        STATIONARY, math.inf, "QuTiP steadystate in Fock space", 1e-8, lambda: fock_at_rest(MODEL), 3, limit
    )
    weak = MODEL.replace(bath_pump=0.02, bath_decay=0.1)
    for N in (80, math.inf):
        found = bench.measure(WEAK, N, OURS, 1e-8, lambda N=N: steady_state(weak.replace(N=N), NAMES), 3)
    fock = lambda: fock_at_rest(weak, 2 * LEVELS)  # noqa: E731
    bench.measure(WEAK, math.inf, "QuTiP steadystate in Fock space", 1e-8, fock, 3, dict(found))
    long = [10 / (weak.bath_rate / 2)]
    bench.measure(WEAK, 80, "evolution until then", 1e-8, lambda: evolve(weak.replace(N=80), long, NAMES))
    axes = {"g0": np.linspace(0.5, 4, 20), "bath_pump": np.linspace(0.1, 0.3, 20)}
    for N in (math.inf,) if quick else (80, math.inf):
        many = lambda N=N: sweep(MODEL.replace(N=N), axes, NAMES, progress=False)["Q4"].values  # noqa: E731
        found = bench.measure(SWEEP, N, f"{OURS}, {os.cpu_count()} processes", 1e-8, many)
    each = lambda: np.array(  # noqa: E731
        [
            [fock_at_rest(MODEL.replace(g0=g, bath_pump=p))["Q4"] for p in axes["bath_pump"]]
            for g in axes["g0"]
        ]
    )
    bench.measure(SWEEP, math.inf, "QuTiP steadystate, 1 process", 1e-8, each, 1, found)


def two_times(bench: Bench) -> None:
    """Correlations, spectra, eigenvalues."""
    emitted = (None, SIGMA_PLUS, SIGMA_MINUS)
    for N in (80, math.inf):
        model = MODEL.replace(N=N)
        found = bench.measure(
            CORRELATION, N, OURS, 1e-8, lambda model=model: correlation(model, TIMES, emitted), 3
        )
    bench.measure(CORRELATION, math.inf, "QuTiP in Fock space", 1e-8, fock_correlation, 3, np.asarray(found))
    model = MODEL.replace(N=80)
    for count in (1, 1000):
        frequencies = np.linspace(-20, 20, count) if count > 1 else [1.0]
        run = lambda w=frequencies: spectrum(model, w, SIGMA_PLUS, SIGMA_MINUS)  # noqa: E731
        bench.measure(SPECTRUM[count], 80, OURS, 1e-6, run, 3)
    bench.measure("six eigenvalues", 80, OURS, 1e-6, lambda: eigenvalues(model, 6), 3)


def cavities(bench: Bench, quick: bool) -> int:
    """A cavity with emitters; returns how many of them PIQS was given."""
    when, found = np.linspace(0, 10, 41), {}
    for N, d in ((12, 4), (20, 4), (10**4, 12), (10**4, 20)):
        number = {"n": np.diag(np.arange(float(d)))}
        run = lambda N=N, d=d, number=number: evolve(cavity(N, d), when, number, tolerance=1e-6)  # noqa: E731
        found[N, d] = bench.measure(f"cavity of {d} levels", N, OURS, 1e-6, run, 3)
    small = 12 if quick else 20
    by_piqs = lambda: cavity_by_piqs(small, 4, when)  # noqa: E731
    bench.measure(CAVITY, small, "PIQS and mesolve", 1e-6, by_piqs, 1, np.asarray(found[small, 4]["n"]))
    return small


def main() -> None:
    """Run, print and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out what takes longer than ten seconds")
    parser.add_argument("--weak", action="store_true", help="damp the bath a hundred times more weakly, too")
    arguments = parser.parse_args()
    quick, weak = arguments.quick, arguments.weak
    bench = Bench()
    evolutions(bench, quick)
    at_rest(bench, quick)
    two_times(bench)
    small = cavities(bench, quick)
    details = {str(N): floor(N, 20) for N in (80, 10**7)}
    memory = peak_memory(80)
    damped = {}
    for factor in (1, 0.3, 0.1, 0.03, 0.01, 0.003) if weak else (1, 0.3, 0.1):
        for N in (30, 80, 10**4, math.inf):
            damped[f"{factor:g}, {N}"] = pair = weakly_damped(factor, N)
            print(
                f"bath rates × {factor:g}, N = {N}: stationary state {pair[0]:.3g} s, evolution {pair[1]:.3g} s",
                flush=True,
            )

    took = bench.seconds
    piqs, ours = took(EVOLUTION, 40, "PIQS as documented", 1e-5), took(EVOLUTION, 80)
    fock = "QuTiP mesolve in Fock space"
    ratios = {
        "PIQS as documented / symmetric, both 1e-5, N = 40": piqs / took(EVOLUTION, 40, tolerance=1e-5),
        "PIQS as documented at N = 40 / symmetric at N = 80 and 1e-8": piqs / ours,
        "N = 10^7 / N = 80": took(EVOLUTION, 10**7) / ours,
        "N = ∞ / N = 80": took(EVOLUTION, math.inf) / ours,
        "QuTiP mesolve / symmetric, N = ∞": took(EVOLUTION, math.inf, fock) / took(EVOLUTION, math.inf),
        f"PIQS / symmetric, cavity of 4 levels, N = {small}": took(CAVITY, small, "PIQS and mesolve", 1e-6)
        / took(CAVITY, small, tolerance=1e-6),
        "correlation / evolution, both 1e-8, N = 80": took(CORRELATION, 80) / ours,
        "spectrum of 1000 frequencies / of one, N = 80": took(
            "spectrum, 1000 frequencies", 80, tolerance=1e-6
        )
        / took(SPECTRUM[1], 80, tolerance=1e-6),
    }
    if not quick:
        fair = min(
            took(EVOLUTION, 80, f"Dicke blocks, {by}", 1e-6) for by in ("our stepper", "expm_multiply")
        )
        loose = took(EVOLUTION, 80, tolerance=1e-6)
        ratios["best of Dicke blocks / symmetric, both 1e-6, N = 80"] = fair / loose
        ratios["best of Dicke blocks at 1e-6 / symmetric at 1e-8, N = 80"] = fair / ours
    print()
    for name, value in ratios.items():
        print(f"{value:10.3g}  {name}")
    print(f"peak memory of a run at N = 80: {memory:.0f} MB")
    for N, detail in details.items():
        print(f"floor at N = {N}, cut 20: " + ", ".join(f"{k} {v:.3g}" for k, v in detail.items()))
    OUTPUT.parent.mkdir(exist_ok=True)
    found = {"machine": machine(), "complete": not quick, "rows": list(map(dataclasses.asdict, bench.rows))}
    found |= {"ratios": ratios, "floor": details, "memory MB": memory, "weakly damped": damped}
    OUTPUT.write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")
    print(f"written to {OUTPUT.relative_to(Path.cwd()) if OUTPUT.is_relative_to(Path.cwd()) else OUTPUT}")


def machine() -> dict[str, Any]:
    """What was measured on, and with which versions."""
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        named = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
        processor = named[1] if named else processor
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "qutip": qutip.__version__,
    }


if __name__ == "__main__":
    main()
