"""Measure the methods against each other, as ratios within one run: `make bench`, or `python -m benchmarks.run`.

All of them compute Fig. 2's curves (161 times, ⟨τ_z⟩, ⟨q⟩, ⟨Q²⟩, ⟨Q⁴⟩) at the paper's parameters. The rivals run at
the loose accuracy they are usually run at (1e-5, 1e-6), ours is also given at that accuracy and at 1e-8, each with the
search for its own cut included. The table is printed and written to `_build/bench.json`. The whole takes about four
minutes and 3 GB; `--quick` leaves out what takes longer than ten seconds.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import qutip
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
)
from centralspin.methods.dicke import DickeBlocks, lindbladian
from centralspin.numerics import stepping
from centralspin.problem.general import dimensionless

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
    if stepper == "own":
        return lambda: evolve(model, TIMES, NAMES, method="dicke", tolerance=1e-6)
    space = DickeBlocks(N)

    def run() -> Any:
        L = (
            lindbladian(dimensionless(collective_model(model)), space)
            * dimensionless(collective_model(model)).unit
        )
        v = space.product_state(model.stationary_bath_bloch(), model.central_density_matrix("up"))
        return expm_multiply(L, v, start=0, stop=4, num=9, endpoint=True)

    return run


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


def main() -> None:
    """Run, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out what takes longer than ten seconds")
    parser.add_argument("--weak", action="store_true", help="damp the bath a hundred times more weakly, too")
    arguments = parser.parse_args()
    quick, weak = arguments.quick, arguments.weak
    rows: list[dict[str, Any]] = []

    def measure(what: str, function: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
        print(f"{what} …", end=" ", flush=True)
        duration, result = seconds(function, repeats)
        print(f"{duration:.3g} s", flush=True)
        rows.append({"what": what, "seconds": duration})
        return duration, result

    exact = evolve(MODEL.replace(N=80), TIMES, NAMES, tolerance=1e-12)
    ours: dict[Any, float] = {}
    for N in (40, 80, 1000, 10**7, math.inf):
        ours[N], result = measure(
            f"symmetric, N = {N}, 1e-8", lambda N=N: evolve(MODEL.replace(N=N), TIMES, NAMES), 5
        )
        if N == 80:
            error = max(np.abs(result[name] - exact[name]).max() for name in NAMES)
    loose = {}
    for N, tolerance in ((40, 1e-5), (80, 1e-6)):
        run = lambda N=N, tolerance=tolerance: evolve(MODEL.replace(N=N), TIMES, NAMES, tolerance=tolerance)  # noqa: E731
        loose[N], _ = measure(f"symmetric, N = {N}, {tolerance:g}", run, 5)
    measure("exact 1/N coefficients", lambda: expand(MODEL, TIMES, NAMES), 3)
    steady = {N: measure(f"steady state, N = {N}, 1e-8", lambda N=N: steady_state(MODEL.replace(N=N), NAMES), 5)[0]
              for N in (10, 80, 1000, 10**7, math.inf)}  # fmt: skip
    model, emitted = MODEL.replace(N=80), (None, SIGMA_PLUS, SIGMA_MINUS)
    answers = {
        "correlation, 161 times, 1e-8": lambda: correlation(model, TIMES, emitted),
        "spectrum, 1 frequency, 1e-6": lambda: spectrum(model, [1.0], SIGMA_PLUS, SIGMA_MINUS),
        "spectrum, 1000 frequencies, 1e-6": lambda: spectrum(
            model, np.linspace(-20, 20, 1000), SIGMA_PLUS, SIGMA_MINUS
        ),
        "six eigenvalues, 1e-6": lambda: eigenvalues(model, 6),
    }
    responses = {what: measure(f"{what}, N = 80", answer, 3)[0] for what, answer in answers.items()}
    when = np.linspace(0, 10, 41)
    many = lambda N, d: evolve(cavity(N, d), when, {"n": np.diag(np.arange(float(d)))}, tolerance=1e-6)  # noqa: E731
    cavities = {
        (N, d): measure(f"cavity of {d} levels, N = {N}, 1e-6", lambda N=N, d=d: many(N, d), 3)
        for N, d in ((12, 4), (20, 4), (10**4, 12), (10**4, 20))
    }
    small = 12 if quick else 20
    cavity_piqs, theirs = measure(
        f"cavity of 4 levels by PIQS, N = {small}", lambda: cavity_by_piqs(small, 4, when)
    )
    cavity_error = float(np.abs(theirs - cavities[small, 4][1]["n"]).max())
    rivals = {}
    rivals["piqs"], tau_z = measure("PIQS as documented, N = 40, 1e-5", lambda: piqs_raw(40))
    reference = evolve(MODEL.replace(N=40), TIMES, NAMES)["tau_z"]
    piqs_error = float(np.abs(tau_z - reference).max())
    if not quick:
        fair = [
            measure(f"Dicke blocks by {name}, N = 80, 1e-6", dicke_fair(80, name))[0]
            for name in ("own", "expm_multiply")
        ]
        rivals["fair"] = min(fair)
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

    print(
        f"\nerror of symmetric at N = 80 against a converged run: {error:.1e}; of PIQS at N = 40: {piqs_error:.1e}; "
        f"of the cavity against PIQS: {cavity_error:.1e}"
    )
    ratios = {
        "PIQS as documented / symmetric, both 1e-5, N = 40": rivals["piqs"] / loose[40],
        "PIQS as documented at N = 40 / symmetric at N = 80 and 1e-8": rivals["piqs"] / ours[80],
        "N = 10^7 / N = 80": ours[10**7] / ours[80],
        "N = ∞ / N = 80": ours[math.inf] / ours[80],
    }
    ratios[f"PIQS / symmetric, cavity of 4 levels, N = {small}"] = cavity_piqs / cavities[small, 4][0]
    ratios["correlation / evolution, both 1e-8, N = 80"] = (
        responses["correlation, 161 times, 1e-8"] / ours[80]
    )
    ratios["spectrum of 1000 frequencies / of one, N = 80"] = (
        responses["spectrum, 1000 frequencies, 1e-6"] / responses["spectrum, 1 frequency, 1e-6"]
    )
    if "fair" in rivals:
        ratios["best of Dicke blocks / symmetric, both 1e-6, N = 80"] = rivals["fair"] / loose[80]
        ratios["best of Dicke blocks at 1e-6 / symmetric at 1e-8, N = 80"] = rivals["fair"] / ours[80]
    for name, value in ratios.items():
        print(f"{value:10.3g}  {name}")
    print(
        f"slowest steady state: {1e3 * max(steady.values()):.0f} ms; peak memory of a run at N = 80: {memory:.0f} MB"
    )
    for N, detail in details.items():
        print(f"floor at N = {N}, cut 20: " + ", ".join(f"{k} {v:.3g}" for k, v in detail.items()))
    OUTPUT.parent.mkdir(exist_ok=True)
    machine = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()}
    found = {"machine": machine, "runs": rows, "ratios": ratios, "floor": details, "memory MB": memory}
    found |= {"weakly damped": damped, "error": float(error)}
    OUTPUT.write_text(json.dumps(found, indent=1))
    print(f"written to {OUTPUT.relative_to(Path.cwd()) if OUTPUT.is_relative_to(Path.cwd()) else OUTPUT}")


if __name__ == "__main__":
    main()
