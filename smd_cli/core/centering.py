"""Centering: models draw what they are asked for in the middle, so masks are rolled to lie there."""

from torch import Tensor

Roll = tuple[int, int]


def centering_rolls(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Return how far to roll masks (..., h, w) down and right, (...) each, to centre their bounding boxes."""
    inside = masks > 0
    return _offset(inside.any(-1)), _offset(inside.any(-2))


def roll(x: Tensor, by: Roll) -> Tensor:
    """Roll x (..., h, w) cyclically by (down, right)."""
    return x.roll(by, (-2, -1))


def unroll(x: Tensor, by: Roll) -> Tensor:
    """Undo `roll`."""
    return x.roll((-by[0], -by[1]), (-2, -1))


def _offset(support: Tensor) -> Tensor:
    """Measure from the middle of what is set in (..., n) truth values to the middle of the side."""
    length = support.shape[-1]
    first = support.int().argmax(-1)
    end = length - support.flip(-1).int().argmax(-1)
    return length // 2 - (first + end) // 2
