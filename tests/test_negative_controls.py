"""Would the ledger notice a wrong constant? Each is planted in turn; the claims named with it must turn red.

The chapters' own cells are run, one after the other, until all of the named claims have been checked.
"""

import contextlib
import io
import os
from dataclasses import replace
from pathlib import Path

import jupytext
import matplotlib as mpl
import pytest

import centralspin
from centralspin import CentralSpinModel
from centralspin.methods import dicke, spin_boson
from centralspin.symmetric import lift
from claimbook import ledger

BOOK = Path(__file__).parents[1] / "book"


def verdicts(chapter, names, monkeypatch, **parameters):
    """Run a chapter in record mode, with other parameters, until the named claims are checked."""
    monkeypatch.setenv(ledger.RECORD_ONLY, "record")
    monkeypatch.chdir(BOOK)
    mpl.use("agg")
    records = {}
    check = ledger.Ledger.check

    def remember(self, name, value):
        check(self, name, value)
        records[name] = self.records[name]

    monkeypatch.setattr(ledger.Ledger, "check", remember)
    namespace: dict = {}
    for cell in jupytext.read(f"{chapter}.md").cells:
        if cell.cell_type != "code":
            continue
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(cell.source, f"{chapter}.md", "exec"), namespace)
        if "parameters" in cell.metadata.get("tags", []):
            namespace.update(parameters)
        if set(names) <= set(records):
            break
    return {name: records[name]["holds"] for name in names}


def stronger_boson_pump(monkeypatch):
    operators = spin_boson.EmergentModel.operators
    monkeypatch.setattr(
        spin_boson.EmergentModel,
        "operators",
        lambda emergent, cutoff: operators(replace(emergent, pump=1.01 * emergent.pump), cutoff),
    )


def dropped_root_of_epsilon(monkeypatch):
    operators = spin_boson.EmergentModel.operators
    monkeypatch.setattr(
        spin_boson.EmergentModel,
        "operators",
        lambda emergent, cutoff: operators(replace(emergent, epsilon=1.0), cutoff),
    )


def exchanged_bath_rates(monkeypatch):
    rates = dicke.decay_and_pump
    monkeypatch.setattr(dicke, "decay_and_pump", lambda site, method: rates(site, method)[::-1])


def undepleted_condensate(monkeypatch):
    factor = lift.Bath.factor
    monkeypatch.setattr(
        lift.Bath, "factor", lambda bath, depleted, power, scaling: factor(bath, 0 * depleted, power, scaling)
    )


def transfers_one_percent_off(monkeypatch):
    coefficients = dicke.transfer_coefficients

    def off(N, j):
        return {target: c * (1.01 if target == j else 1.0) for target, c in coefficients(N, j).items()}

    monkeypatch.setattr(dicke, "transfer_coefficients", off)


def occupation_of_the_wrong_rate(monkeypatch):
    wrong = property(lambda m: m.bath_decay / (m.epsilon * m.bath_rate))
    monkeypatch.setattr(CentralSpinModel, "thermal_occupation", wrong)


def coupling_one_percent_off(monkeypatch):
    evolve = centralspin.evolve
    monkeypatch.setattr(
        centralspin,
        "evolve",
        lambda model, *args, **options: evolve(model.replace(g0=1.01 * model.g0), *args, **options),
    )


@pytest.mark.parametrize(
    ("plant", "chapter", "red", "green"),
    [
        (
            coupling_one_percent_off,
            "model",
            ["model.large-first", "model.large-second"],
            ["model.first-commutator", "model.growth-first"],
        ),
        (occupation_of_the_wrong_rate, "proposition-1", ["prop1.width"], ["prop1.occupation"]),
        (stronger_boson_pump, "figure-2", ["fig2.agree.fock-space"], ["fig2.agree.dicke"]),
        (dropped_root_of_epsilon, "figure-2", ["fig2.agree.fock-space"], ["fig2.agree.dicke"]),
        (exchanged_bath_rates, "figure-2", ["fig2.agree.dicke"], ["fig2.agree.full-space"]),
        (
            undepleted_condensate,
            "figure-2",
            ["fig2.agree.full-space", "fig2.agree.dicke"],
            ["fig2.agree.fock-space"],
        ),
        (transfers_one_percent_off, "figure-2", ["fig2.agree.dicke"], ["fig2.agree.full-space"]),
        (undepleted_condensate, "cavity", ["cavity.full-space", "cavity.piqs"], ["cavity.amplifier"]),
        (stronger_boson_pump, "phase-diagram", ["phase.fock"], ["phase.classical", "phase.cold"]),
    ],
)
def test_a_wrong_constant_turns_its_claims_red(plant, chapter, red, green, monkeypatch):
    plant(monkeypatch)
    smaller = {"figure-2": {"bath_sizes": [6], "last_time": 1.0}, "phase-diagram": {"points": 10}}
    found = verdicts(chapter, [*red, *green], monkeypatch, **smaller.get(chapter, {}))
    assert found == dict.fromkeys(red, False) | dict.fromkeys(green, True)
    assert os.environ[ledger.RECORD_ONLY] == "record"
