"""The matrix of a scene: values for some of its keys, and the points that they make, variants of the scene.

matrix:                              # every combination: six points
  bootstrap.steps: [0, 1, 2]
  sampler.guidance_scale: [1, 1.5]

matrix:                              # these points
  - {bootstrap.steps: 0, sampler.guidance_scale: 1}
  - {bootstrap.steps: 2, sampler.guidance_scale: 1.5}
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from smd_cli.errors import SceneError, UsageError
from smd_cli.messages import Message, Place
from smd_cli.scene.overrides import Override
from smd_cli.scene.reader import parse
from smd_cli.scene.tree import Node, steps_of

KEY = "matrix"
MAX_POINTS = 10_000
_FIXED = ("smd", KEY)
Setting = tuple[str, Override]


@dataclass(frozen=True)
class Axis:
    """A key of a scene and its values, each as what puts it there."""

    key: str
    values: tuple[Override, ...]

    @property
    def settings(self) -> list[Setting]:
        """Each value with the key as it was written."""
        return [(self.key, value) for value in self.values]


@dataclass(frozen=True)
class Point:
    """A variant of a scene.

    Attributes:
        values: what it sets, by its key; a seed, which every picture has, is not among them.
        overrides: what sets it.
    """

    values: tuple[tuple[str, str], ...]
    overrides: tuple[Override, ...]

    @property
    def text(self) -> str:
        """What it sets, for people and for names: `bootstrap.steps=2,sampler.guidance_scale=1.5`."""
        return ",".join(f"{key}={value}" for key, value in self.values)


WHOLE = Point((), ())
"""The one point of a scene without a matrix: the scene itself."""


def parse_axis(text: str) -> Axis:
    """Read `dotted.path=VALUE,VALUE`, the values as YAML writes the items of a list. Raises UsageError."""
    key, equals, listed = text.partition("=")
    option = f"--matrix {text}"
    place = Place.of_option(option)
    if not equals or not listed.strip():
        raise UsageError(place.says("write it as key=value,value, such as bootstrap.steps=0,1,2"))
    try:
        values = parse(f"[{listed}]", place)
    except SceneError as error:
        raise UsageError(*error.problems) from error
    return _axis(key, place, option, values)


def matrix_of(node: Node) -> tuple[Point, ...]:
    """Return the points of a scene's `matrix`, whose shape is valid. Raises SceneError: as `points_of`."""
    if isinstance(node.value, dict):
        return points_of([_axis(key, _key_place(each), "", each) for key, each in node.value.items()])
    rows = node.value if isinstance(node.value, list) else []
    settings = [
        [(key, _value(key, _key_place(each), "", each)) for key, each in row.value.items()]
        for row in rows
        if isinstance(row.value, dict)
    ]
    for each in settings:
        _check_kept(each)
    return tuple(map(_point, settings))


def points_of(axes: Sequence[Axis], *, zipped: bool = False) -> tuple[Point, ...]:
    """Return every combination of the values of axes, the last one varying first; `zipped`, the first values
    of all axes, the second ones, and so on. Without axes there is one point, the scene itself.

    Raises UsageError, SceneError: axes set the same, values do not pair, or there are too many points.
    """
    if not axes:
        return (WHOLE,)
    _check_kept([(axis.key, axis.values[0]) for axis in axes])
    counts = [len(axis.values) for axis in axes]
    if zipped and len(set(counts)) > 1:
        told = ", ".join(f"{axis.key} has {count}" for axis, count in zip(axes, counts, strict=True))
        raise UsageError(Place.of_option("--zip").says(f"takes as many values of each key; {told}"))
    if not zipped and math.prod(counts) > MAX_POINTS:
        text = f"{math.prod(counts):,} combinations are too many; at most {MAX_POINTS:,} are possible"
        raise UsageError(axes[0].values[0].place.says(text))
    values = [axis.settings for axis in axes]
    return tuple(map(_point, zip(*values, strict=True) if zipped else product(*values)))


def _axis(key: str, place: Place, option: str, values: Node) -> Axis:
    items = values.value if isinstance(values.value, list) else [values]
    if not items:
        raise SceneError(place.says("names no value"))
    return Axis(key, tuple(_value(key, place, option, item) for item in items))


def _value(key: str, place: Place, option: str, value: Node) -> Override:
    keys = steps_of(key)
    if keys is None:
        raise _error(place, f"{key} is no key; write it as in regions[0].prompt or bootstrap.steps")
    if keys[0] in _FIXED:
        raise _error(place, f"{key} cannot vary")
    return Override(option, keys, value, at=place)


def _check_kept(settings: Sequence[Setting]) -> None:
    """Raise UsageError or SceneError where a key replaces what one before it has set."""
    for index, (key, value) in enumerate(settings):
        for other, before in settings[:index]:
            if before.keys == value.keys:
                is_spelled = f", as {other}" if key != other else ""
                raise _error(value.place, f"{key} is given twice{is_spelled}")
            if before.keys[: len(value.keys)] == value.keys:
                raise _error(value.place, f"{key} replaces {other}, which is set before it; name {key} first")


def _error(place: Place, text: str) -> UsageError | SceneError:
    message: Message = place.says(text)
    return UsageError(message) if place.is_option else SceneError(message)


def _key_place(node: Node) -> Place:
    return node.key_place or node.place


def _point(settings: Sequence[Setting]) -> Point:
    values = tuple((key, _text(each.value.plain())) for key, each in settings if each.keys != ("seed",))
    return Point(values, tuple(each for _, each in settings))


def _text(value: Any) -> str:  # noqa: ANN401 - plain data of any shape
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, tuple) and not any(isinstance(item, (dict, tuple)) for item in value):
        return "-".join(map(_text, value))
    return names_of(value) or json.dumps(value, ensure_ascii=False, default=str)


def names_of(value: Any) -> str | None:  # noqa: ANN401 - plain data of any shape
    """Return what people call regions, all of which would fill a file's name; None: the value is no such."""
    if not isinstance(value, list | tuple) or not value:
        return None
    if not all(isinstance(item, dict) and "name" in item for item in value):
        return None
    return "-".join(str(item["name"]) for item in value)
