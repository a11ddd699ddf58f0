"""Prompts as they are read: weights, parts, and what stays words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smd_cli.prompt_text import MOST, Span, read_prompt


def spans(text: str) -> list[tuple[str, float]]:
    (part,) = read_prompt(text).parts
    return [(span.text, round(span.weight, 6)) for span in part]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a (red hat:1.2), snow", [("a ", 1), ("red hat", 1.2), (", snow", 1)]),
        ("(a cat : .5 )", [("a cat ", 0.5)]),
        ("((deep:1.5) sea:1.2)", [("deep", 1.8), (" sea", 1.2)]),
        ("(a (b:0.5) c)", [("(a ", 1), ("b", 0.5), (" c)", 1)]),
        ("(a:0)", [("a", 0)]),
        (r"\(a:1.2\) (b\) c:2)", [("(a:1.2) ", 1), ("b) c", 2)]),
        (r"\[a\|b\] \{c\} \_\_d\_\_ \\", [("[a|b] {c} __d__ \\", 1)]),
    ],
)
def test_weights_and_plain_brackets(text: str, expected: list[tuple[str, float]]) -> None:
    assert spans(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "1girl, saber (fate), (smile)",
        "((masterpiece))",
        "a clock (12:30)",  # beyond the largest weight
        "(a:-1)",
        "16:9) b",
        "(a: 1.2",
        "C:\\pictures",
        "BREAKFAST, heart break",
    ],
)
def test_all_else_stays_as_it_is(text: str) -> None:
    told = read_prompt(text)
    assert told.parts == ((Span(text),),)
    assert told.unread == text


def test_nested_weights_stay_below_the_largest() -> None:
    assert spans("((a:3):3)") == [("(", 1), ("a", 3), (":3)", 1)]
    assert spans("((a:30) b:2)") == [("(a:30) b", 2)]
    assert spans("((a:0.1):4)") == [("a", 0.4)]


def test_parts_end_at_break() -> None:
    told = read_prompt("a cat,\nBREAK (a dog BREAK an owl:1.5)BREAK")
    assert told.parts == ((Span("a cat,"),), (Span("a dog", 1.5),), (Span("an owl", 1.5),))
    assert read_prompt(" BREAK ").parts == read_prompt("").parts == ((),)


def test_what_is_understood_is_blank_in_what_is_not() -> None:
    text = r"a (b [c|d]:1.2) BREAK \[e\] ((f))"
    assert read_prompt(text).unread == "a  b [c|d]              e   ((f))"


@given(st.text(alphabet="(){}[]:|\\ .19ab-\nBREAK_"))
def test_every_text_can_be_read(text: str) -> None:
    told = read_prompt(text)
    assert len(told.unread) == len(text)
    assert all(0 <= span.weight <= MOST and span.text for part in told.parts for span in part)
    if not set(text) & set("(\\") and "BREAK" not in text:
        assert told.parts == (((Span(text),),) if text else ((),))


@pytest.mark.parametrize("row", [" ", "1", "(", "(: ", ":1.0)", "\\(", " BREAK"])
@pytest.mark.slow
def test_a_long_prompt_of_one_thing_is_read_in_one_go(row: str) -> None:
    """What looked at each rest of a row again would take many minutes here."""
    text = f"(:{row * 100_000}"
    assert len(read_prompt(text).unread) == len(text)


def test_pairs_as_many_as_there_can_be_are_read_in_one_go() -> None:
    text = "(" * 100_000 + "a" + ":1.0)" * 100_000
    assert spans(text) == [("a", 1.0)]
