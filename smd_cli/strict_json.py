"""JSON that means one thing: as the standard has it (RFC 8259), and without what readers take differently."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

_MAX_DEPTH = 64
_MAX_INTEGER = 2**63


def parse(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of a JSON text. Its texts can be written in UTF-8; its numbers are finite.

    Raises:
        ValueError: it is no JSON, has a key twice, a number or a text that no program means, or is nested too
            deeply to be gone through by recursion.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_once, parse_constant=_finite, parse_float=_finite, parse_int=_integer
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _check_depth(value)
    if "\\u" in text:
        _check_writable(value)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object. Of a key that is there twice readers differ in which one counts."""
    value = dict(pairs)
    if len(value) < len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice[:80]!r} is there twice")
    return value


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number[:20]} is no finite number")
    return value


def _integer(number: str) -> int:
    if len(number) > 20 or abs(value := int(number)) >= _MAX_INTEGER:
        raise ValueError(f"{number[:20]}… is too large a number")
    return value


def _check_depth(value: Any) -> None:  # noqa: ANN401 - any JSON value
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [each for above in level for each in _below(above) if isinstance(each, (dict, list))]
        if not level:
            return
    raise ValueError("nested too deeply")


def _below(value: Any) -> Iterable[Any]:  # noqa: ANN401 - any JSON value
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _check_writable(value: Any) -> None:  # noqa: ANN401 - any JSON value
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("a text holds half of a character (a lone surrogate)") from None
