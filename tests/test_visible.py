"""What is shown of a text, over all of Unicode."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smd_cli.visible import is_visible, visible, visible_lines

EVERY = [chr(number) for number in range(sys.maxunicode + 1)]
SHAPING = (
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\u180e\U000110bd\U000110cd"
    + "".join(map(chr, range(0x13430, 0x13440)))
)
BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"


def test_what_shows_nothing_is_spelled_out_and_nothing_else():
    hidden = {char for char in EVERY if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")}
    expected = (hidden | set(BLANK)) - set(SHAPING)
    assert {char for char in EVERY if not is_visible(char, "a")} == expected
    assert {char for char in EVERY if not is_visible(char, "\u0915")} == expected - {"\u200c", "\u200d"}


def test_what_is_spelled_out_can_be_read_back():
    for char in EVERY:
        shown = visible(char)
        if shown != char:
            assert shown.isascii()
            assert shown.encode().decode("unicode_escape") == char


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\u2764\ufe0f\u200d\U0001f525",
        "\U0001f9d1\U0001f3fd\u200d\U0001f680",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian
        "\u0915\u094d\u200d\u0937",  # Hindi
        "caf\u00e9 \u732b\u3000e\u0301 \u0e01\u0e33",
    ],
)
def test_emoji_and_scripts_stay_as_they_are(text):
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31m\x9b2J", r"a\x1b[31m\x9b2J"),
        ("pass\u200dword", r"pass\u200dword"),
        ("\u0915\u200d\u200d", "\u0915\u200d\\u200d"),
        ("\u202egnp.exe\u2069", r"\u202egnp.exe\u2069"),
        ("\U000e0041 caf\udce9", r"\U000e0041 caf\udce9"),
        ("a\r\nb", r"a\r\nb"),
    ],
)
def test_what_misleads_is_spelled_out(text, shown):
    assert visible(text) == shown


@given(st.text())
def test_lines_are_what_is_between_line_feeds(text):
    assert visible_lines(text) == "\n".join(visible(line) for line in text.split("\n"))
    assert visible(visible(text)) == visible(text)
