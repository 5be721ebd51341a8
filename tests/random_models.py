"""Random valid models with everything in them, moments to read, and the way from both to a method's numbers."""

from dataclasses import replace

import numpy as np

from centralspin import CollectiveModel, Moment, Sites, evolve, steady_state

LOWER, RAISE = np.array([[0, 0], [1, 0]]), np.array([[0, 1], [0, 0]])


def matrix(random, d, hermitian=False):
    A = random.normal(size=(d, d)) + 1j * random.normal(size=(d, d))
    return (A + A.conj().T) / 2 if hermitian else A


def state(random, d):
    A = matrix(random, d)
    rho = A @ A.conj().T
    return rho / np.trace(rho).real


def spins(random, count, central=2, hermitian_couplings=False, **changes):
    """Spins-½ that decay and are pumped, with phases, in any field, coupled by any operators."""
    phases = np.exp(2j * np.pi * random.random(3))
    parts = {
        "count": count,
        "hamiltonian": matrix(random, 2, True),
        "jumps": [phases[0] * LOWER, 0.7 * phases[1] * RAISE, 0.4 * phases[2] * LOWER],
        "rates": [random.random(), None, random.random()],
        "couplings": [
            (0.5 * matrix(random, central, hermitian_couplings), matrix(random, 2, hermitian_couplings)),
            (0.5 * matrix(random, central, True), matrix(random, 2, True)),
            (0.3 * matrix(random, central, True), matrix(random, 2)),
        ],
        "initial": state(random, 2),
    }
    return Sites(**(parts | changes))


def levels(random, count, d, central=2, interactions=True, **changes):
    """Sites of d levels with jumps of any kind and interactions."""
    parts = {
        "count": count,
        "hamiltonian": matrix(random, d, True),
        "jumps": [0.5 * matrix(random, d) for _ in range(2)],
        "couplings": [(0.5 * matrix(random, central), 0.5 * matrix(random, d))],
        "interactions": [(matrix(random, d), 0.5 * matrix(random, d))] if interactions else [],
        "initial": state(random, d),
    }
    return Sites(**(parts | changes))


def thermal(random, central, count):
    """Spins-½ whose fluctuation is a boson: stationary, decaying faster than they are pumped, in a field along z."""
    flips = [
        np.array([[0, a], [b, 0]]) for a, b in random.normal(size=(2, 2)) + 1j * random.normal(size=(2, 2))
    ]
    hermitian = flips[1] + flips[1].conj().T
    couplings = [(0.3 * matrix(random, central), flips[0]), (0.3 * matrix(random, central, True), hermitian)]
    field = np.diag(random.normal(size=2))
    return spins(random, count, hamiltonian=field, couplings=couplings, initial=None, rates=[2.5, 0.6, 0.3])


def boson_moments(random, d):
    """Moments of the central system and of combinations of σ− and σ+."""
    a, b, c = random.normal(size=3) + 1j * random.normal(size=3)
    return [
        Moment(central=matrix(random, d, True)),
        Moment(site=[[0, a], [b, 0]]),
        Moment(site=[[0, a], [a.conj(), 0]], power=4),
        Moment(central=matrix(random, d), site=[[0, c], [b, 0]], power=2),
        Moment(central=matrix(random, d, True), site=[[0, c], [c.conj(), 0]], power=3),
    ]


def around(random, sites, central=2, scaling=0.5):
    """A model of these sites around a random central system."""
    return CollectiveModel(
        hamiltonian=matrix(random, central, True),
        jumps=[0.4 * matrix(random, central) for _ in range(2)],
        sites=sites,
        scaling=scaling,
        initial=state(random, central),
    )


def moments(random, model, scaling=0.5, about="zero"):
    """Central, collective and mixed moments of Hermitian and of other operators, up to the fourth power."""
    d, sizes = model.dimension, [s.dimension for s in model.sites]
    everywhere = [matrix(random, size) for size in sizes]
    last = len(sizes) - 1
    found = (
        Moment(central=matrix(random, d, True)),
        Moment(central=matrix(random, d)),
        Moment(site=[matrix(random, size, True) for size in sizes], scaling=1.0),
        Moment(site=matrix(random, sizes[last], True), site_class=last, power=4, scaling=scaling),
        Moment(site=matrix(random, sizes[0]), power=3, scaling=scaling),
        Moment(central=matrix(random, d, True), site=everywhere, power=2, scaling=scaling),
        Moment(central=matrix(random, d), site=everywhere, power=1, scaling=scaling),
    )
    return [replace(moment, about=about) for moment in found]


def reading(method, model, times, wanted, tolerance=1e-9, **options):
    """What a method answers, shape (times, moments); None asks for the stationary state."""
    named = {str(i): moment for i, moment in enumerate(wanted)}
    if times is None:
        found = steady_state(model, named, method=method, tolerance=tolerance, **options)
    else:
        found = evolve(model, times, named, method=method, tolerance=tolerance, **options)
    return np.array([found[name] for name in named]).T


def rescaled(model, s):
    """The same model with all rates and frequencies multiplied by s."""
    root = np.sqrt(s)
    sites = [
        replace(
            c,
            hamiltonian=s * c.hamiltonian,
            jumps=[root * J for J in c.jumps],
            couplings=[(s * A, B) for A, B in c.couplings],
            interactions=[(s * A, B) for A, B in c.interactions],
        )
        for c in model.sites
    ]
    jumps = [root * J for J in model.jumps]
    return model.replace(hamiltonian=s * model.hamiltonian, jumps=jumps, sites=sites)
