"""What a scene's plain data gives, read by rules that must not stumble over what is wrong by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Data = Any  # a scene's mapping as a file says it
WRONG = object()  # stands for every value that is wrong by itself, which is told already


def given(data: Data, *keys: str, default: Data = None) -> Data:
    """The value below `keys`, or the default where it is left out or WRONG."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return default if data is None or data is WRONG else data


def regions_of(data: Data) -> Iterator[tuple[int, Data]]:
    """The regions with their places."""
    yield from enumerate(given(data, "regions", default=()))


def background_of(data: Data) -> Data:
    """The background's mapping, or WRONG; a value in it that is WRONG counts as given."""
    return data.get("background") or {}
