"""Random models of the kinds that are hard: sparse, rates far apart, balanced, weakly damped, degenerate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from centralspin import CentralSpinModel, CollectiveModel, Moment, Sites

SIGMA = {
    "x": np.array([[0, 1], [1, 0]], dtype=complex),
    "y": np.array([[0, -1j], [1j, 0]]),
    "z": np.diag([1.0, -1.0]).astype(complex),
    "-": np.array([[0, 0], [1, 0]], dtype=complex),
    "+": np.array([[0, 1], [0, 0]], dtype=complex),
}
NAMES = ("tau_x", "tau_y", "tau_z", "m_x", "m_y", "m_z", "x", "X2", "X4", "Y2", "Y3")


class Draws(np.random.Generator):
    """Random numbers that remember the model and the moments drawn, and can leave out some of the model's terms.

    Parameters
    ----------
    seed : sequence of int
    without : sequence of str
        Names of terms, see `terms`. What is drawn afterwards stays the same.
    seconds : float
        What is drawn may be computed on for so long; no part of the draws.
    """

    def __init__(self, seed: Sequence[int], without: Sequence[str] = (), seconds: float = math.inf) -> None:
        super().__init__(np.random.PCG64(list(seed)))
        self.without, self.seconds = list(without), seconds
        self.model: Any = None
        self.moments: dict[str, Moment] = {}

    def take(self, model: Any) -> Any:
        """The model without those terms."""
        for name in self.without:
            model = leave_out(model, name)
        self.model = model
        return model


def terms(model: Any) -> list[str]:
    """Names of what may be left out of a model."""
    found = []
    if isinstance(model, CentralSpinModel):
        for name in model.__dataclass_fields__:
            value = getattr(model, name)
            if name in ("central_field", "bath_field"):
                found += [f"{name}.{i}" for i in range(3) if value[i]]
            elif name not in ("N", "scaling") and value:
                found.append(name)
        return found
    for owner, part in (("central", model), *((str(c), s) for c, s in enumerate(model.sites))):
        moving = isinstance(part.hamiltonian, tuple)
        found += [f"{owner}.hamiltonian"] if moving or np.any(part.hamiltonian) else []
        for i, jump in enumerate(getattr(part, "collective_jumps", ())):
            found += [f"{owner}.collective_jumps.{i}"] if any(np.any(B) for B in jump[1]) else []
        for kind in ("jumps", "couplings", "interactions"):
            for i, term in enumerate(getattr(part, kind, ())):
                found += [f"{owner}.{kind}.{i}"] if np.any(term[0] if kind != "jumps" else term) else []
        found += [f"{owner}.count"] if owner != "central" and part.count > 1 else []
    return found


def leave_out(model: Any, name: str) -> Any:
    """The model with a term that is zero, or with one site less."""
    if isinstance(model, CentralSpinModel):
        field, _, i = name.partition(".")
        if not i:
            return model.replace(**{field: 0.0})
        return model.replace(
            **{field: [0.0 if k == int(i) else v for k, v in enumerate(getattr(model, field))]}
        )
    owner, kind, *place = name.split(".")
    part = model if owner == "central" else model.sites[int(owner)]
    if kind == "count":
        change: Any = part.count - 1
    elif kind == "hamiltonian":
        change = np.zeros((part.dimension, part.dimension))
    else:
        change = list(getattr(part, kind))
        term = change[int(place[0])]
        if kind == "jumps":
            change[int(place[0])] = 0 * term
        elif kind == "collective_jumps":
            change[int(place[0])] = (term[0], [0 * B for B in term[1]])
        else:
            change[int(place[0])] = tuple(0 * operator for operator in term[:2])
    if owner == "central":
        return model.replace(**{kind: change})
    sites = list(model.sites)
    sites[int(owner)] = replace(part, **{kind: change})
    return model.replace(sites=sites)


def rate(random: np.random.Generator, tiny: float = 0.2, least: float = -7) -> float:
    """A rate: usually of order 1, now and then zero or smaller by orders of magnitude."""
    kind = random.random()
    if kind < 0.15:
        return 0.0
    if kind < 0.15 + tiny:
        return float(10 ** random.uniform(least, -1))
    return float(round(random.uniform(0.05, 1.5), 3))


def field(random: np.random.Generator) -> tuple[float, ...]:
    """Three components, most often few of them."""
    return tuple(
        0.0 if random.random() < 0.5 else float(random.choice([-1, 1])) * rate(random) for _ in range(3)
    )


def bloch(random: np.random.Generator) -> tuple[float, ...]:
    """A vector in the unit ball, now and then on its surface or along an axis."""
    v = random.normal(size=3) * (random.random(3) < 0.7)
    length = np.linalg.norm(v)
    return (
        tuple((v / length * (1.0 if random.random() < 0.2 else random.random())).tolist())
        if length
        else (0, 0, 0.0)
    )


def spin_model(random: Draws, sizes: Any, scalings: Any = (0.5, 1.0, 0.4, 0.0)) -> CentralSpinModel:
    """A model of the paper's kind."""
    down = rate(random)
    model = CentralSpinModel(
        N=random.choice(sizes),
        g0=float(random.choice([-1, 1]))
        * float(random.choice([0.0, 0.3, 1.0, 2.0, 4.0], p=[0.05, 0.2, 0.3, 0.25, 0.2])),
        scaling=float(random.choice(scalings)),
        central_field=field(random),
        central_pump=rate(random),
        central_decay=rate(random),
        bath_pump=down if random.random() < 0.15 else rate(random),
        bath_decay=down,
        bath_field=field(random) if random.random() < 0.5 else (0, 0, 0),
    )
    return random.take(model)


def laser(random: Draws) -> CentralSpinModel:
    """A pumped spin at N = ∞ and a boson that is damped weakly, now and then so weakly that it holds many quanta."""
    down = float(10 ** random.uniform(-1.9, 0))
    model = CentralSpinModel(
        N=np.inf,
        g0=float(random.uniform(0.5, 5)),
        central_field=(
            float(random.uniform(0, 1.5)) if random.random() < 0.7 else 0.0,
            0.0,
            float(random.uniform(-1, 1)),
        ),
        central_pump=float(10 ** random.uniform(-1.5, 0.3)),
        central_decay=float(10 ** random.uniform(-2, 0.3)),
        bath_pump=down * float(random.choice([0.0, 0.2, 0.5, 0.8])),
        bath_decay=down,
    )
    return random.take(model)


def sparse(random: np.random.Generator, d: int, hermitian: bool = False, least: float = -7) -> np.ndarray:
    """A matrix with few entries of very different size."""
    A = np.zeros((d, d), dtype=complex)
    for _ in range(random.integers(1, d + 1)):
        A[random.integers(d), random.integers(d)] = rate(random, 0.3, least) * np.exp(
            2j * np.pi * random.random()
        )
    return A + A.conj().T if hermitian else A


@dataclass(frozen=True)
class Wave:
    """A function of time that can be written down."""

    mean: float
    amplitude: float
    frequency: float
    phase: float

    def __call__(self, time: float) -> float:
        return self.mean + self.amplitude * math.cos(self.frequency * time + self.phase)


def wave(random: np.random.Generator) -> Wave:
    """One of some turns in the time of a campaign, at the most."""
    return Wave(*random.normal(size=2).round(3).tolist(), *random.uniform(0, 6, size=2).round(3).tolist())


def levels_model(
    random: Draws, largest: int = 64, least: float = -7, drives: bool = False
) -> CollectiveModel:
    """A model with few-level sites in one or two classes; at most `largest` states in all.

    Some have collective jumps and, where `drives` are wanted, Hamiltonians, couplings and rates that change in time.
    Few have interactions, which take ten times as long. A third conserves an excitation number.
    """
    conserving = bool(random.random() < 0.33)
    fast = (
        float(10 ** random.uniform(0, 1.2)) if random.random() < 0.25 else 1.0
    )  # decay above all frequencies

    def some(d: int, hermitian: bool = False, up: int | None = None) -> np.ndarray:
        found = sparse(random, d, hermitian, least)
        if not conserving:
            return found
        up = 0 if hermitian else int(random.integers(1 - d, d)) if up is None else up
        return np.diag(np.diagonal(found, up), up) if abs(up) < d else np.zeros_like(found)

    def pair(central: int, d: int) -> tuple[np.ndarray, np.ndarray]:
        up = int(random.integers(1 - central, central))
        return some(central, up=up), some(d, up=-up)

    central = int(random.choice([1, 2, 3]))
    sites, room = [], largest // central
    for _ in range(random.choice([1, 1, 2])):
        d = int(random.choice([2, 3, 4], p=[0.5, 0.3, 0.2]))
        most = int(math.log(room) / math.log(d) + 1e-9) if room > 1 else 0
        if most < 1:
            break
        count = int(random.integers(1, most + 1))
        room //= d**count
        sites.append(
            Sites(
                count=count,
                hamiltonian=some(d, True),
                jumps=[fast * some(d) for _ in range(random.integers(1, 4))],
                couplings=[pair(central, d) for _ in range(random.integers(1, 3))],
                interactions=[(some(d), some(d))] if random.random() < 0.15 else [],
                initial=np.diag(random.dirichlet(np.ones(d))),
            )
        )
    model = CollectiveModel(
        hamiltonian=some(central, True),
        jumps=[some(central) for _ in range(random.integers(0, 3))],
        sites=sites,
        scaling=float(random.choice([0.0, 0.5, 1.0])),
        initial=np.diag(random.dirichlet(np.ones(central))),
    )
    if random.random() < 0.3:
        A = some(central) if central > 1 and random.random() < 0.5 else None
        up = int(random.integers(-1, 2))
        model = model.replace(collective_jumps=[(A, [some(s.dimension, up=up) for s in model.sites])])
    if drives and random.random() < 0.4:
        changed = [
            replace(
                s,
                hamiltonian=[s.hamiltonian, [some(s.dimension, True), wave(random)]]
                if random.random() < 0.3
                else s.hamiltonian,
                couplings=[(*both, wave(random)) for both in s.couplings],
            )
            for s in model.sites
        ]
        model = model.replace(
            sites=changed,
            hamiltonian=[model.hamiltonian, [some(central, True), wave(random)]],
            rates=[wave(random) for _ in model.jumps],
        )
    return random.take(model)


def moments(random: Draws, model: CollectiveModel) -> dict[str, Moment]:
    """Moments of every kind."""
    d = model.dimension
    found = {"central": Moment(central=sparse(random, d))}
    for i in range(3):
        last = int(random.integers(len(model.sites)))
        found[f"site {i}"] = Moment(
            central=None if random.random() < 0.6 else sparse(random, d),
            site=sparse(random, model.sites[last].dimension, bool(random.random() < 0.5)),
            site_class=last,
            power=int(random.integers(1, 4)),
            scaling=float(random.choice([0.0, 0.5, 1.0])),
            about=str(random.choice(["zero", "mean", "reference"])),
        )
    random.moments = found
    return found
