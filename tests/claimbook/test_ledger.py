"""Does the ledger accept what is right, refuse what is wrong, and say so in one sentence?"""

import math
from pathlib import Path

import numpy as np
import pytest
import yaml

from claimbook.ledger import ClaimFailed, Ledger, LedgerError, carry, evaluate, read_claims

CLAIM = {
    "id": "a.b",
    "chapter": "one",
    "where": "Eq. (1)",
    "kind": "verified",
    "says": "Something is $-1$.",
    "quantity": "the thing",
    "relation": "within",
    "expected": -1,
    "tolerance": 0.01,
    "because": "rounding",
}
CHAPTERS = {"one": {"parameters": {"g0": 4.0, "sizes": [6, 10]}}, "two": None}
PAPER = {"g0": 4, "sizes": (6, 10)}


def write(folder: Path, *claims: dict) -> Path:
    path = folder / "claims.yml"
    content = {"parameters": {"g0": {"symbol": "g₀"}}, "chapters": CHAPTERS, "claims": list(claims)}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def variant(**changes: object) -> dict:
    """The claim with changes; None removes a key."""
    entry = {**CLAIM, **{key.replace("_", "-"): value for key, value in changes.items()}}
    return {key: value for key, value in entry.items() if value is not None}


def relation(name: str, expected: object, tolerance: object = None) -> dict:
    return variant(relation=name, expected=expected, tolerance=tolerance)


@pytest.mark.parametrize(
    ("entry", "good", "bad"),
    [
        (relation("within", 2, 0.5), [1.5, 2.5, np.float64(2)], [1.49, 2.51, math.nan, math.inf]),
        (relation("relative", -200, "1e-2"), [-198, np.int64(-202)], [-197.9, 200]),
        (relation("at-most", 1), [1, -math.inf], [1.0001, math.nan, math.inf]),
        (relation("at-least", 1), [1, 2], [0.9, math.nan]),
        (relation("below", 1), [0.99], [1, math.nan]),
        (relation("above", 1), [1.01, math.inf], [1, math.nan]),
        (relation("true", None), [True, np.True_], [False, np.bool_(False)]),
        (relation(True, None), [True], [False]),  # YAML's own reading of an unquoted `true`
    ],
)
def test_relations(tmp_path: Path, entry: dict, good: list, bad: list) -> None:
    path = write(tmp_path, entry)
    for value in good:
        Ledger("one", PAPER, path=path).check("a.b", value)
    for value in bad:
        with pytest.raises(ClaimFailed, match=r"`a\.b` \(Eq\. \(1\)\) fails: the thing must be"):
            Ledger("one", PAPER, path=path).check("a.b", value)


@pytest.mark.parametrize("value", [1j, np.zeros(2), "1", None, True, [1]])
def test_only_real_scalars_are_measured(tmp_path: Path, value: object) -> None:
    with pytest.raises(TypeError, match="`measured` must be one real number, but is"):
        Ledger("one", PAPER, path=write(tmp_path, CLAIM)).check("a.b", value)


def test_truth_needs_a_truth_value(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="must be true or false, but is int 1"):
        Ledger("one", PAPER, path=write(tmp_path, relation("true", None))).check("a.b", 1)


def test_record_can_be_judged_afresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAIMBOOK_CLAIMS", "record")
    path = write(tmp_path, CLAIM, variant(id="c"), relation("at-most", 1) | {"id": "d"})
    ledger = Ledger("one", PAPER, path=path)
    for name, value in (("a.b", -0.995), ("c", math.nan), ("d", -math.inf)):
        ledger.check(name, value)
    claims, _ = read_claims(path)
    for name, holds in (("a.b", True), ("c", False), ("d", True)):
        record = ledger.records[name]
        assert record["holds"] is holds
        assert evaluate(claims[name], record["measured"]) is holds
        assert {"id", "where", "kind", "says", "quantity", "relation", "expected"} < set(record)
        assert {"tolerance", "because", "chapter"} < set(record)


def test_verdicts_at_other_parameters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(
        tmp_path,
        CLAIM,
        relation("at-most", 0.5) | {"id": "limit", "kind": "corrected"},
        variant(id="always", holds_for="any"),
        variant(id="too", holds_for="any", kind="beyond"),
    )
    ledger = Ledger("one", {"g0": 2.0, "sizes": np.array([6, 10])}, path=path)
    for name, value in (("a.b", 7), ("limit", 0.25), ("too", -1)):
        ledger.check(name, value)
    with pytest.raises(ClaimFailed):
        ledger.check("always", 7)
    assert [record["holds"] for record in ledger.records.values()] == [None, True, True, False]
    assert capsys.readouterr().out.splitlines() == [
        "This run differs from the paper: g₀ = 2 (paper: 4).",
        "– differs here | verified | Eq. (1) | the thing: paper: -1, here: 7 [a.b]",
        "✓ also holds here | corrected | Eq. (1) | the thing: 0.25, must be at most 0.5 [limit]",
        "✓ also holds here | beyond the paper | Eq. (1) | the thing: -1, must be within 0.01 of -1 [too]",
        "✗ fails here | verified | Eq. (1) | the thing: 7, must be within 0.01 of -1 [always]",
    ]


def test_skipped_where_it_cannot_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, CLAIM)
    elsewhere = Ledger("one", PAPER | {"g0": 2.0}, path=path)
    elsewhere.skip("a.b", "eight spins at most")
    assert capsys.readouterr().out.splitlines()[1:] == [
        "– skipped: eight spins at most | verified | Eq. (1) | the thing [a.b]"
    ]
    record = elsewhere.records["a.b"]
    assert (record["measured"], record["holds"], record["skipped"]) == (None, None, "eight spins at most")
    with pytest.raises(LedgerError, match="must be checked once, but is checked again"):
        elsewhere.check("a.b", -1)
    own = Ledger("one", PAPER, path=path)
    with pytest.raises(
        LedgerError, match="must be checked at the paper's own parameters, but is skipped: no"
    ):
        own.skip("a.b", "no time")
    with pytest.raises(LedgerError, match="must say why"):
        Ledger("one", PAPER | {"g0": 2.0}, path=path).skip("a.b", " ")
    assert own.records == {}


def test_record_in_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    (tmp_path / "pyproject.toml").write_text('[tool.claimbook]\nname = "toy"\n', encoding="utf-8")
    ledger = Ledger("one", PAPER, path=write(tmp_path, variant(quantity="$x<1$")))
    ledger.check("a.b", -0.995)
    (bundle,) = shown
    assert bundle["application/vnd.toy.claim+json"] == ledger.records["a.b"]
    markup = bundle["text/html"]
    assert "<strong>−0.995</strong>, must be within 0.01 of −1" in markup
    assert "\\(x&lt;1\\)" in markup and 'claim-verified"' in markup


def test_misuse_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, CLAIM, variant(id="other", chapter="two"))
    ledger = Ledger("one", PAPER, path=path)
    ledger.check("a.b", -1)
    for name, sentence in (
        ("a.b", "must be checked once"),
        ("other", "belongs to chapter 'two'"),
        ("new", "'new' is unknown"),
    ):
        with pytest.raises(LedgerError, match=sentence):
            ledger.check(name, -1)
    with pytest.raises(LedgerError, match="must be one of one, two, but is 'three'"):
        Ledger("three", path=path)
    with pytest.raises(LedgerError, match="must hold the chapter's parameters, but lacks sizes"):
        Ledger("one", {"g0": 4.0}, path=path)
    with pytest.raises(LedgerError, match="must exist"):
        Ledger("one", path=tmp_path / "none.yml")


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (variant(says=None), "key `says` is missing"),
        (variant(extra=1), "key `extra` is unknown"),
        (variant(kind="true"), "`kind` must be one of verified, corrected, beyond"),
        (variant(relation="near"), "`relation` must be one of"),
        (variant(tolerance=None), "needs a `tolerance`"),
        (variant(tolerance=0), "`tolerance` must be positive"),
        (variant(tolerance="small"), "`tolerance` must be a number"),
        (variant(expected=None), "needs an `expected`"),
        (variant(expected=math.nan), "`expected` must be a number"),
        (variant(because=None), "`because` must say why"),
        (variant(relation="at-most"), "takes no `tolerance`"),
        (relation("relative", 0, 0.1), "non-zero `expected`"),
        (variant(slack=1), "`slack` must be text"),
        (variant(holds_for="some"), "`holds-for` must be paper or any"),
        (variant(id="Two Words"), "`id` must consist of"),
        (variant(chapter="three"), "must be listed under `chapters`"),
        (variant(where=" "), "`where` must be text"),
    ],
)
def test_malformed_claims_are_refused(tmp_path: Path, entry: dict, sentence: str) -> None:
    with pytest.raises(LedgerError, match=sentence):
        read_claims(write(tmp_path, entry))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            {"parameters": {"g0": {"above": 5}}},
            r"Chapter `one`: Parameter `g0` must be a number, above 5, but is 4.0",
        ),
        ({"parameters": {"g0": {"over": 5}}}, r"Chapter `one`: Parameter `g0`: key `over` is unknown"),
        (
            {"chapters": {"one": {"parameters": {"g0": 4}, "limits": {"g1": {}}}}},
            "`limits` names g1, no parameter",
        ),
        ({"chapters": {"one": {"values": {}}}}, "must have the keys `parameters`, `limits`, `about` only"),
    ],
)
def test_malformed_parameters_are_refused(tmp_path: Path, content: dict, sentence: str) -> None:
    path = tmp_path / "claims.yml"
    path.write_text(yaml.safe_dump({"chapters": CHAPTERS, "claims": [], **content}), encoding="utf-8")
    with pytest.raises(LedgerError, match=sentence):
        read_claims(path)


def test_a_ledger_that_travels_needs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = write(tmp_path, CLAIM).read_text(encoding="utf-8")
    monkeypatch.setattr("claimbook.ledger._carried", [])
    carry(text)
    ledger = Ledger("one", PAPER, path=tmp_path / "none.yml")
    ledger.check("a.b", -1)
    assert ledger.records["a.b"]["holds"] is True


def test_malformed_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="occurs twice"):
        read_claims(write(tmp_path, CLAIM, CLAIM))
    path = tmp_path / "bad.yml"
    path.write_text("claims: [", encoding="utf-8")
    with pytest.raises(LedgerError, match="must be valid YAML"):
        read_claims(path)
    path.write_text("statements: []", encoding="utf-8")
    with pytest.raises(LedgerError, match="`parameters`, `chapters` and `claims` and no other"):
        read_claims(path)
