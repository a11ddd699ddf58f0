"""JSON that means one thing: as the standard has it (RFC 8259), and without what readers take differently."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

_MAX_DEPTH = 64
_MAX_INTEGER = 2**63
_LONGEST = 20  # digits and sign of an integer below that


def parse(text: str, *, any_number: bool = False) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of a JSON text. Its texts can be written in UTF-8; its numbers are finite.

    Args:
        text: what to read.
        any_number: let pass what Python's libraries write for a limit that is none: infinity, NaN, and
            integers of any size, of which the longest become infinity.

    Raises:
        ValueError: it is no JSON, has a key twice, a number or a text that no program means, or is nested too
            deeply to be gone through by recursion. It names the key.
    """
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_int=_integer)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _check(value, any_number=any_number)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object. Of a key that is there twice readers differ in which one counts."""
    value = dict(pairs)
    if len(value) < len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {_shown(twice)} is there twice")
    return value


def _integer(number: str) -> float:
    return int(number) if len(number) <= _LONGEST else math.inf


def _check(value: Any, *, any_number: bool) -> None:  # noqa: ANN401 - any JSON value
    """Look at all values, level by level; raise ValueError for one that no program means."""
    level = [("", value)]
    for _ in range(_MAX_DEPTH + 1):
        for key, each in level:
            if problem := _text_problem(each) or ("" if any_number else _number_problem(each)):
                raise ValueError(f"{key}: {problem}" if key else problem)
            if not key.isascii() and not _is_writable(key):
                raise ValueError(f"the key {_shown(key)} holds half of a character (a lone surrogate)")
        level = [pair for key, each in level for pair in _below(key, each)]
        if not level:
            return
    raise ValueError("nested too deeply")


def _number_problem(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is no finite number"
    if isinstance(value, int) and abs(value) >= _MAX_INTEGER:
        return f"{value} is too large a number"
    return ""


def _text_problem(value: object) -> str:
    if isinstance(value, str) and not _is_writable(value):
        return "holds half of a character (a lone surrogate)"
    return ""


def _below(key: str, value: Any) -> Iterable[tuple[str, Any]]:  # noqa: ANN401 - any JSON value
    """Return the values in a value, each with the last key that leads to it."""
    if isinstance(value, dict):
        return value.items()
    return ((key, each) for each in value) if isinstance(value, list) else ()


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(key: str) -> str:
    return ascii(key[:80])
