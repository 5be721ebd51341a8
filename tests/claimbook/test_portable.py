"""Is a chapter plain Markdown, with its numbers, once it leaves the book?"""

import pytest

from claimbook.portable import Links, Text

LINKS = Links(
    document=lambda name: f"*{name}*",
    equation=lambda label: f"({label})",
    numbered=lambda label: f"Fig. {label}",
    citation=lambda key: f"[{key}]",
)
TEXT = Text({"n": "3", "x": "0.12345", "list": "'6, 10'"}, LINKS)


@pytest.mark.parametrize(
    ("myst", "markdown"),
    [
        ("$N =$ {glue:text}`list` of {glue:text}`n`, {glue:text}`x:.2f`", "$N =$ 6, 10 of 3, 0.12"),
        ("{doc}`one` and {doc}`the other <two>`", "*one* and the other"),
        ("{eq}`a`, {numref}`b`, {ref}`there <c>`, {cite}`d,e`", "(a), Fig. b, there, [d], [e]"),
        ("[text](other.md#place) [far](https://example.org)", "text [far](https://example.org)"),
        ("(target)=\n## Title\n% a comment\nwords", "## Title\nwords"),
        ("$$\nx\n$$ (label)", "$$\nx\n$$\n\n(label)"),
        (
            ":::{admonition} Title\n:class: tip\nOne\ntwo {glue:text}`n`\n:::",
            "\n> **Title**\n>\n> One\n> two 3\n",
        ),
        ("::::{note}\n:::{dropdown} More\nx\n:::\n::::\ny", None),
        (":::{container} live\n```{raw} html\n:file: _static/live.html\n```\n:::\nwords", "\nwords"),
        (":::{source-parameters}\nIt is four.\n:::", "It is four."),
        ("```python\n{x}\n```", "```python\n{x}\n```"),
    ],
)
def test_directives_and_roles_become_markdown(myst: str, markdown: str | None) -> None:
    written = TEXT.markdown(myst)
    if markdown is None:
        assert written.endswith("\ny") and "<details>" in written and ":::" not in written
    else:
        assert written == markdown


def test_what_holds_at_the_sources_parameters_only_is_marked() -> None:
    elsewhere = Text({}, LINKS, "sketch", changed=True)
    written = elsewhere.markdown(":::{source-parameters}\nIt is four.\n:::")
    assert written == "\n> **At the sketch's parameters**\n>\n> It is four.\n"


def test_what_has_no_plain_form_is_refused() -> None:
    for text in ("{unknown}`x`", ":::{unknown}\nx\n:::", "{glue:text}`missing`"):
        with pytest.raises(ValueError, match=r"unknown|missing"):
            TEXT.markdown(text)
