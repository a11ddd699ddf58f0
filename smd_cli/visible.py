"""Text as it can be shown: what could command a terminal, hide, or turn text around is spelled out.

Names, prompts and messages come from other people's files. What is shown of them is what they hold.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""The categories of Unicode that show nothing of themselves: controls, formats, halves of characters, private
ones, separators of lines and paragraphs."""

_JOINERS = {"\u200c", "\u200d"}  # Persian, the scripts of India and emoji are written with them
_SHOWN_FORMATS = {
    *map(chr, range(0x600, 0x606)),  # Arabic and Syriac signs that stand around numbers or names
    *("\u06dd", "\u070f", "\u0890", "\u0891", "\u08e2"),
    "\u180e",  # parts a Mongolian vowel, which then has another shape
    *("\U000110bd", "\U000110cd"),  # Kaithi signs around numbers
    *map(chr, range(0x13430, 0x13440)),  # how Egyptian hieroglyphs are stacked
}
"""Formats that are drawn, or shape the letters beside them."""

_FILLERS = {"\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u3164", "\uffa0"}
"""Letters and marks that show nothing."""


def visible(text: str) -> str:
    r"""Return a text as one line that shows all it holds: `a\x1b[31m` for an escape that colours.

    A joiner stays where it can join: behind a character that is not ASCII.
    """
    return visible_lines(text, kept="")


def visible_lines(text: str, *, kept: str = "\n") -> str:
    """Return a text that shows all it holds, in its own lines; what is `kept` stays as it is."""
    return _with_hidden(_spelled_out, text, kept)


def replace_hidden(text: str, instead: str) -> str:
    """Return a text with something else in place of each character that does not show itself."""
    return _with_hidden(lambda _: instead, text)


def is_visible(character: str, before: str = "") -> bool:
    """Tell whether a character, behind another one or none, shows itself."""
    if character in _JOINERS:
        return before > "\x7f" and before not in _JOINERS
    hidden = unicodedata.category(character) in HIDDEN
    return not (hidden or character in _FILLERS) or character in _SHOWN_FORMATS


def _spelled_out(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _with_hidden(become: Callable[[str], str], text: str, kept: str = "") -> str:
    """Return a text in which every character that does not show itself has become another text."""
    if text.isascii() and text.isprintable():
        return text
    pairs = zip(["", *text], text, strict=False)
    return "".join(
        each if each in kept or is_visible(each, before) else become(each) for before, each in pairs
    )
