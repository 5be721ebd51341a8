"""Are sizes refused from where the refusal says, and not before?"""

import re

import pytest
from fuzz import calls

from centralspin import ArgumentError, CentralSpinModel
from centralspin.theory import proposition_1, series_bound

#: A callable, one of its arguments, the first value beyond the limit, and what the refusal names.
BEYOND = [
    ("evolve", "cut", 10_001, "from 0 to 10,000"),
    ("liouvillian", "cut", 10_001, "from 0 to 10,000"),
    ("expand", "terms", 4, "from 1 to 3"),
    ("eigenvalues", "k", 201, "from 1 to 200"),
    ("Moment", "power", 41, "from 0 to 40"),
    ("Sites", "count", 10**301, "at most 1e+300"),
    ("operators", "cutoff", 421, "from 2 to 420"),
    ("stationary_density_matrix", "cutoff", 1, "from 2 to 420"),
    ("DickeBlocks", "N", 10_001, "from 0 to 10,000"),
    ("DickeBlocks", "levels", 0, "from 1 to 10,000"),
    ("matrix_elements", "degree", 7, "from 0 to 6"),
    ("boson_matrix_elements", "degree", 7, "from 0 to 6"),
    ("BathSuperoperators", "cut", 121, "from 0 to 120"),
    ("BathSuperoperators", "order", 21, "from 0 to 20"),
    ("MonomialDynamics", "cut", 121, "from 0 to 120"),
    ("MonomialDynamics", "order", 21, "from 0 to 20"),
    ("BosonDynamics", "levels", 401, "from 2 to 400"),
    ("BosonPolynomials.powers", "count", 101, "from 0 to 100"),
    ("word", "exponents", (0, 0, 101), "from 0 to 100"),
    ("exponents_of", "monomial", (0, 41, 0, 0), "from 0 to 40"),
    ("assignment_weight", "N", 10**9 + 1, "from 1 to 1,000,000,000"),
    ("assignment_weight", "fluctuations", 401, "from 0 to 400"),
    ("assignment_weight", "averages", 401, "from 0 to 400"),
    ("assignment_bound", "averages", 10**6 + 1, "from 0 to 1,000,000"),
    ("power_bound", "count", 10_001, "from 0 to 10,000"),
    ("thermal_characteristic", "levels", 10_001, "from 1 to 10,000"),
    ("thermal_characteristic", "amplitude", 25.001, "at most 25 in size"),
    ("sectors", "model", CentralSpinModel.figure_2(20_000_001), "at most 20,000,000"),
    ("sector_average", "model", CentralSpinModel.figure_2(20_001), "at most 20000"),
    ("emergent_modes", "spin", 1000.5, "between 0 and 1000"),
    ("smoothed_p", "reach", 20.1, "between 0.25 and 20"),
    ("smoothed_p", "reach", 0.24, "between 0.25 and 20"),
]


@pytest.mark.parametrize(("called", "name", "value", "said"), BEYOND)
def test_what_is_beyond_a_limit_is_refused_by_its_name(called, name, value, said):
    known = (*calls.solvers(), *calls.methods(), *calls.theory())
    call, arguments = next(c for c in known if c[0].__qualname__ == called and name in c[1])
    with pytest.raises(ArgumentError, match=re.escape(said)):
        call(**arguments | {name: value})


def test_what_is_at_a_limit_is_answered(monkeypatch):
    monkeypatch.setattr(proposition_1, "LARGEST_SPINS", 7)
    monkeypatch.setattr(proposition_1, "LARGEST_SUM", 7)
    seven, eight = CentralSpinModel.figure_2(7), CentralSpinModel.figure_2(8)
    assert proposition_1.sectors(seven)[1].sum() == pytest.approx(1)
    assert proposition_1.sector_average(seven, lambda j, n: 1.0 + 0 * n) == pytest.approx(1)
    assert proposition_1.thermal_characteristic(seven.replace(N=float("inf")), 25.0, 10) == pytest.approx(0)
    with pytest.raises(ArgumentError, match="`N` must be at most 7 for a list"):
        proposition_1.sectors(eight)
    with pytest.raises(ArgumentError, match="`N` must be at most 7 for a sum"):
        proposition_1.sector_average(eight, lambda j, n: 1.0 + 0 * n)


def test_the_series_is_bounded_up_to_the_exponent_that_overflows(monkeypatch):
    model, one = CentralSpinModel.figure_2(), (0, 0, 0, 0)
    exponent = series_bound._norms(model)[1]  # C t at t = 1
    monkeypatch.setattr(series_bound, "LARGEST_EXPONENT", exponent)
    assert series_bound.series_bound(model, one, one, one, [1.0])[0] > 0
    monkeypatch.setattr(series_bound, "LARGEST_EXPONENT", exponent * (1 - 1e-9))
    with pytest.raises(ArgumentError, match="`times` must be at most 1, where"):
        series_bound.series_bound(model, one, one, one, [1.0])
