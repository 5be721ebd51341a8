"""Are a reader's values read, checked and told about before anything runs?"""

import re

import pytest

from claimbook.parameters import Parameter, ParameterError, cost, declare, in_words, parse

KNOWN = {
    "g0": 4.0,
    "sizes": [6, 10, 80],
    "pump": 0.2,
    "decay": 1.0,
    "bloch": [0.6, 0.0, 0.8],
    "pairs": [[1, 2]],
}
DECLARED = {
    "g0": Parameter("g0", "g₀", "coupling", nonzero=True, cost=2),
    "sizes": Parameter("sizes", "N", type="integers", at_least=1),
    "pump": Parameter("pump", "Γ↑", at_least=0, below="decay"),
    "decay": Parameter("decay", "Γ↓", above=0),
    "bloch": Parameter("bloch", "r", type="numbers", items=3, length_at_most=1),
    "pairs": Parameter("pairs", "s", type="pairs", fewest=1),
}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("g0=2.0 sizes=[6, 10**6]", {"g0": 2.0, "sizes": [6, 10**6]}),
        ("sizes=(7,)", {"sizes": [7]}),
        ("g0 = -1/4", {"g0": -0.25}),
        ("g0=2*3-1", {"g0": 5}),
        ("pump=1.5 decay=2", {"pump": 1.5, "decay": 2}),
        ("pairs=[[0.5,-1],[2,3]]", {"pairs": [[0.5, -1], [2, 3]]}),
    ],
)
def test_values_are_numbers_arithmetic_and_lists(text: str, values: dict) -> None:
    assert parse(text, KNOWN, DECLARED) == values


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("7", "must read `name=value name=value`, but starts with '7'"),
        ("g1=7", "no parameter 'g1'; its parameters are:\n  g0=4.0  coupling\n"),
        ("g0=1 g0=2", "`g0` must be given once"),
        ("g0=seven", "`g0` must be a number, arithmetic of numbers, or a list, such as 4.0, but is 'seven'"),
        ("g0=lambda: 1", "but is 'lambda: 1'"),
        ("g0=__import__('os').getcwd()", "must be a number, arithmetic of numbers"),
        ("g0=", "but is ''"),
        ("g0=1/0", "but is '1/0'"),
        ("g0=10**10**10", "but is '10**10**10'"),
        ("g0=(-1)**0.5", "but is '(-1)**0.5'"),
        ("g0=0", "`g0` must be a number other than zero, but is 0."),
        ("g0=True", "`g0` must be a number other than zero, but is True."),
        ("g0=[4]", "`g0` must be a number other than zero, but is [4]."),
        ("g0=1e308", "but is 1e+308."),
        ("sizes=6", "`sizes` must be a list of 1 or more integers, each at least 1, but is 6."),
        ("sizes=[]", "`sizes` must be a list of 1 or more integers, each at least 1, but is []."),
        ("sizes=[0]", "each at least 1, but is [0]."),
        ("sizes=[2.5]", "but is [2.5]."),
        ("pump=1", "`pump` must be a number, at least 0 and below `decay`, but is 1 (`decay` is 1.0)."),
        ("decay=0.1", "`pump` must be a number, at least 0 and below `decay`, but is 0.2 (`decay` is 0.1)."),
        ("bloch=[1,0]", "`bloch` must be a list of 3 numbers, of length 1 at most, but is [1, 0]."),
        ("bloch=[1,1,0]", "of length 1 at most, but is [1, 1, 0]."),
        ("pairs=[[1,2,3]]", "`pairs` must be a list of 1 or more pairs of numbers, but is [[1, 2, 3]]."),
    ],
)
def test_what_cannot_be_meant_is_told(text: str, sentence: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(sentence)):
        parse(text, KNOWN, DECLARED)


def test_a_chapter_narrows_a_declaration() -> None:
    narrowed = declare("sizes", {"symbol": "N", "type": "integers"}, {"at-most": 8})
    narrowed.check([8], {})
    with pytest.raises(ParameterError, match="each at most 8, but is"):
        narrowed.check([9], {})
    with pytest.raises(ParameterError, match="key `atmost` is unknown"):
        declare("sizes", {"atmost": 8})
    with pytest.raises(ParameterError, match="`type` must be one of number, "):
        declare("sizes", {"type": "size"})


def test_values_in_words() -> None:
    assert [in_words(value) for value in (4.0, 10**6, [6, 10], [[0.5, 1.5], [1, 2]])] == [
        "4",
        "1000000",
        "6, 10",
        "(0.5, 1.5), (1, 2)",
    ]


def test_vectors_are_written_as_such() -> None:
    assert DECLARED["bloch"].words([0.5, -1.0, 0]) == "(0.5, −1, 0)"
    assert DECLARED["sizes"].words([6, 10]) == "6, 10"


def test_cost_grows_with_what_is_declared() -> None:
    assert cost(DECLARED, KNOWN, {"g0": -8.0}) == 4
    assert cost(DECLARED, KNOWN, {"g0": 2.0}) == 1, "a shorter run is not promised"
    assert cost(DECLARED, KNOWN, {"sizes": [10**6]}) == 1
