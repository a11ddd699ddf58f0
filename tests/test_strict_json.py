"""JSON whose meaning does not depend on who reads it."""

import math

import pytest

from smd_cli.strict_json import parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, -2.5, 1e3, null, true], "b": {}}', {"a": [1, -2.5, 1000.0, None, True], "b": {}}),
        (r'"\ud83d\ude00 \u0120"', "😀 Ġ"),
        (str(2**63 - 1), 2**63 - 1),
        ("[" * 65 + "]" * 65, None),
    ],
)
def test_ordinary_json_is_read(text, value):
    assert value is None or parse(text) == value
    parse(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Expecting value"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' is there twice"),
        ("NaN", "^nan is no finite number"),
        ('{"a": {"b": NaN}}', "^b: nan is no finite number"),
        ('{"a": [0, -Infinity]}', "^a: -inf is no finite number"),
        ("[1e999]", "inf is no finite number"),
        (str(2**63), "too large a number"),
        ("-" + "9" * 10_000, "no finite number"),
        (r'{"a": "\ud800"}', "^a: holds half of a character"),
        (r'{"\udfff": 1}', "half of a character"),
        ("[" * 66 + "]" * 66, "nested too deeply"),
        ('{"a":' * 300_000 + "1" + "}" * 300_000, "nested too deeply"),
    ],
)
def test_what_readers_would_take_differently_is_refused(text, why):
    with pytest.raises(ValueError, match=why):
        parse(text)


def test_numbers_that_libraries_write_for_no_limit_are_read_where_they_are_expected():
    text = f'{{"a": [-Infinity, NaN], "b": {10**30}, "c": {2**63}, "d": {"9" * 10_000}}}'
    value = parse(text, any_number=True)
    assert (str(value["a"]), value["b"], value["c"], value["d"]) == ("[-inf, nan]", math.inf, 2**63, math.inf)
    with pytest.raises(ValueError, match="twice"):
        parse('{"a": NaN, "a": 1}', any_number=True)
