"""Reading a scene's plain data in which some values are invalid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Data = Any  # a scene's mapping, as a file gives it
INVALID = object()  # stands for each value that is invalid by itself, for which there is a problem already


def valid_value(data: Data, *keys: str, default: Data = None) -> Data:
    """Return the value below `keys`, or the default where it is left out or INVALID."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return default if data is None or data is INVALID else data


def items_of(data: Data, *keys: str) -> Iterator[tuple[int, Data]]:
    """Yield the items of the list below `keys` with their indices; none where that is no list."""
    value = valid_value(data, *keys)
    yield from enumerate(value if isinstance(value, list | tuple) else ())


def regions_of(data: Data) -> Iterator[tuple[int, Data]]:
    """Yield the regions with their indices."""
    return items_of(data, "regions")


def background_of(data: Data) -> Data:
    """Return the background's mapping, or INVALID; INVALID values in it count as given."""
    return data.get("background") or {}
