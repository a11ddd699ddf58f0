"""What differs between recipes, value by value, and how that is told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from smd_cli.scene.explain import quoted
from smd_cli.visible import visible

_SHORT = 40  # characters of a list


class Change(NamedTuple):
    """What differs at a place, such as `regions[boy].prompt`: two values; None: there is none."""

    place: str
    before: Any
    now: Any

    def told(self) -> str:
        """Tell it in short, as of one picture over time: `bootstrap.steps 3, now 2`."""
        return f"{self.place} {self.since()}"

    def since(self, where: str = "") -> str:
        """Tell both values in short: `3, now 2`, or `3 in smd.lock, now 2`."""
        return f"{' '.join(filter(None, (_short(self.before), where)))}, now {_short(self.now)}"

    def beside(self) -> str:
        """Tell all of it, as of two pictures: `bootstrap.steps: 3 / 2`."""
        return f"{self.place}: {_whole(self.before)} / {_whole(self.now)}"


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Return what differs between values by their place."""
    return [
        Change(place, before.get(place), now.get(place))
        for place in dict.fromkeys([*before, *now])
        if before.get(place) != now.get(place)
    ]


def scene_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Return what differs between two recipes' scenes. Of a region that only one has, that is its name."""
    one, other = _flat(before), _flat(now)
    alone = set(_names(before)).symmetric_difference(_names(now))
    beginnings = tuple(f"regions[{name}]." for name in alone)
    return [change for change in changes(one, other) if not change.place.startswith(beginnings)]


def _names(scene: Mapping[str, Any]) -> Iterable[str]:
    return (region["name"] for region in scene["regions"])


def _flat(value: Any, place: str = "") -> dict[str, Any]:  # noqa: ANN401 - plain data of any shape
    """Return the single values of nested data by their place, such as `regions[boy].prompt`.

    Regions go by their names, whose order is a value too: later ones cover earlier ones.
    """
    if isinstance(value, dict):
        below = [(f"{place}.{key}" if place else str(key), item) for key, item in value.items()]
    elif place == "regions":
        names = [region["name"] for region in value]
        regions = [(f"{place}[{name}]", region) for name, region in zip(names, value, strict=True)]
        return {place: names, **_all_flat(regions)}
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        below = [(f"{place}[{index}]", item) for index, item in enumerate(value)]
    else:
        return {place: value}
    return _all_flat(below)


def _all_flat(below: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {key: found for name, item in below for key, found in _flat(item, name).items()}


def _short(value: Any) -> str:  # noqa: ANN401 - plain data
    """Return a value as messages quote it, of a list what it holds: that is what differs."""
    if not isinstance(value, list):
        return quoted(value)
    text = _whole(value)
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


def _whole(value: Any) -> str:  # noqa: ANN401
    """Return a value in full: two long prompts may differ in their last word."""
    if value is None:
        return quoted(value)
    return visible(repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
