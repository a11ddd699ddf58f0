"""Shapes in px or per cent, where a scene has fractions of the canvas, and places in fractions, not px."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from smd_cli.scene.explain import Problem
from smd_cli.scene.tree import Loc
from smd_cli.scene.valid import Data, valid_value
from smd_cli.scene.values import MAX_SIDE

_SHAPES = {"box": ", 0 to 1", "ellipse": ", 0 to 1", "polygon": ", 0 to 1", "shift": ""}
_PLACE = "place"
_MOST = 4.0  # canvases; a larger number is no fraction that somebody means
_MOST_PX = 10 * MAX_SIDE  # a larger one is no place on a canvas either
_UNIT = re.compile(r"\s*(-?[0-9]+(?:\.[0-9]+)?)\s*(px|%)\s*", re.ASCII)


def shapes_in_other_units(wrong: Iterable[Loc], data: Data) -> list[Problem]:
    """Return one problem for each shape in the wrong unit; `wrong` are the places of wrong values."""
    shapes = dict.fromkeys(shape for loc in wrong if (shape := _shape_of(loc)))
    return [Problem(shape, text) for shape in shapes if (text := _explained(shape, data))]


def _shape_of(loc: Loc) -> Loc | None:
    """Return the place of the shape that a place is in."""
    depth = next((at for at, key in enumerate(loc) if key in _SHAPES or key == _PLACE), None)
    return None if depth is None else loc[: depth + 1]


def _explained(shape: Loc, data: Data) -> str | None:
    """Say how the first value in the wrong unit would be written; None: there is none."""
    values = _numbers(_at(shape, data))
    if shape[-1] == _PLACE:
        return next(
            (_in_px(value, _side(data, axis)) for axis, value in values if type(value) is float), None
        )
    start = f"is in fractions of the canvas{_SHAPES[str(shape[-1])]}"
    for axis, value in values:
        unit = _UNIT.fullmatch(value) if isinstance(value, str) else None
        number = float(unit[1]) if unit else value
        if unit and unit[2] == "%":
            return f"{start}; {number:g}% is {number / 100:.3g}"
        if unit or (isinstance(number, (int, float)) and _MOST < abs(number) <= _MOST_PX):
            side = _side(data, axis)
            return (
                f"{start}; {number:g} px of {side} is {number / side:.3g}" if side else f"{start}, not in px"
            )
    return None


def _in_px(fraction: float, side: int | None) -> str:
    if side is None or not abs(fraction) <= _MOST:  # nor is NaN
        return "is in whole px"
    return f"is in px; {fraction:g} of {side} px is {fraction * side:.0f}"


def _side(data: Data, axis: int) -> int | None:
    """Return the width or height of the canvas; None: it is not known."""
    side = valid_value(data, "canvas", ("width", "height")[axis])
    return side if type(side) is int and side > 0 else None


def _at(loc: Loc, data: Data) -> Data:
    for key in loc:
        data = data[key]
    return data


def _numbers(shape: Data) -> Iterator[tuple[int, Any]]:
    """Yield the values of a shape with their axes: 0 along the width, 1 along the height."""
    for index, value in enumerate(shape if isinstance(shape, tuple) else ()):
        yield from _numbers(value) if isinstance(value, tuple) else [(index % 2, value)]
