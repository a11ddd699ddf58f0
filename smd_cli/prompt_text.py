r"""What the text of a prompt says: words and their weights, in parts. Scenes and models read it alike.

`(word:1.2)` weighs its words, nested weights multiply, `BREAK` ends a part, and a backslash before one of
`()[]{}<>|_:\` makes it an ordinary character. Brackets without a number are ordinary characters as well, as
tags have them: `saber (fate)`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

MOST = 4.0
"""The largest weight, nested ones multiplied; brackets with a larger number are not read as weights."""

LEARNED_WORD = r"^[^\s\\\x00-\x1f\x7f]([^\\\x00-\x1f\x7f]*[^\s\\\x00-\x1f\x7f])?$"
"""How the word of a textual inversion looks, so that a prompt can have it."""

LONGEST_WORD = 100
"""Characters of such a word, at most."""

_MARKS = re.compile(
    r"\\(?P<escaped>[()\[\]{}<>|_:\\])"
    r"|(?P<opens>\()"
    r"|:\s*+(?P<weight>[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)\s*+\)"
    r"|(?P<closes>\))"
    r"|(?:(?<!\s)\s++)?\b(?P<breaks>BREAK)\b\s*"
)  # each character is looked at a few times only, however long a row of spaces or digits is


@dataclass(frozen=True)
class Span:
    """Words in a row that have one weight, from 0 to `MOST`."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True)
class PromptText:
    """A prompt as it is read.

    Attributes:
        parts: the spans of each part; there is one part at least, and it may be empty.
        unread: the prompt with all marks that have been understood made blank, character for character.
    """

    parts: tuple[tuple[Span, ...], ...]
    unread: str


def read_prompt(text: str) -> PromptText:
    """Read a prompt. Every text can be read; what has no meaning stays words."""
    marks = list(_MARKS.finditer(text))
    factors = _factors(marks)
    parts: list[list[Span]] = [[]]
    weights = [1.0]
    unread, at = "", 0
    for mark in marks:
        start, end = mark.span()
        if not (mark["escaped"] or mark["breaks"] or start in factors):
            continue
        _extend(parts[-1], text[at:start] + (mark["escaped"] or ""), weights[-1])
        unread += text[at:start] + " " * (end - start)
        at = end
        if mark["breaks"]:
            parts.append([])
        elif mark["opens"]:
            weights.append(weights[-1] * factors[start])
        elif mark["weight"]:
            weights.pop()
    _extend(parts[-1], text[at:], weights[-1])
    filled = tuple(tuple(part) for part in parts if part)
    return PromptText(filled or ((),), unread + text[at:])


def plain_text(text: str) -> str:
    """Return a prompt for what reads neither weights nor parts: without marks, its parts in a row."""
    return " ".join("".join(span.text for span in part) for part in read_prompt(text).parts)


def has_weights(text: str) -> bool:
    """Tell whether a prompt weighs any of its words."""
    return any(span.weight != 1 for part in read_prompt(text).parts for span in part)


def whole_words(words: Iterable[str]) -> re.Pattern[str]:
    """Return what finds words as they are written, next to anything but letters and digits of others."""
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile("|".join(_whole(word) for word in longest_first) or "(?!)")


def _whole(word: str) -> str:
    before, behind = (r"\w" * bool(re.match(r"\w", end)) for end in (word[0], word[-1]))
    return (f"(?<!{before})" if before else "") + re.escape(word) + (f"(?!{behind})" if behind else "")


def _factors(marks: list[re.Match[str]]) -> dict[int, float]:
    """Pair the brackets; return the weight of each pair that has one, by the place of either mark."""
    factors: dict[int, float] = {}
    opened: list[
        tuple[int, float]
    ] = []  # where brackets open, and the largest product of weights in each yet
    for mark in marks:
        if mark["opens"]:
            opened.append((mark.start(), 0.0))
        elif opened and (mark["closes"] or mark["weight"]):
            start, largest = opened.pop()
            factor = float(mark["weight"] or 1)
            product = max(factor, factor * (largest or 1.0))
            if mark["weight"] and product <= MOST:
                factors[start] = factors[mark.start()] = factor
                largest = max(largest, product)
            if opened:
                around, largest_there = opened.pop()
                opened.append((around, max(largest, largest_there)))
    return factors


def _extend(spans: list[Span], text: str, weight: float) -> None:
    """Add text to spans, to the last one where the weight is the same."""
    if not text:
        return
    if spans and spans[-1].weight == weight:
        text = spans.pop().text + text
    spans.append(Span(text, weight))
