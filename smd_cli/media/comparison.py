"""How two pictures differ: level by level, over all of it or an area. Pillow alone, no NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from PIL import Image, ImageChops

from smd_cli.media.pixels import has_alpha, in_mode
from smd_cli.scene.resolve import Size

LEVELS = 256
BEYOND = (1, 8, 32)
"""Levels that shares of pixels are reported beyond: rounding, what an eye may see, and another picture."""
_INSIDE = 128  # of a mask: its soft edge is split in the middle


@dataclass(frozen=True)
class PixelDifference:
    """How two pictures of one size differ over an area, in levels of 0 to 255.

    It adds up: of the areas of a picture, or the frames of a film.

    Attributes:
        histogram: how many pixels differ by 0, 1, … 255 levels, in the channel in which they differ most.
        absolute: the sum of the levels by which each channel differs.
        signed: the same with a sign: above 0 where the second picture has more.
    """

    histogram: tuple[int, ...]
    absolute: tuple[int, ...]
    signed: tuple[int, ...]

    @property
    def pixels(self) -> int:
        """Return how many pixels the area has."""
        return sum(self.histogram)

    @property
    def largest(self) -> int:
        """Return by how many levels the pixel differs that differs most; 0: the pictures are equal."""
        return max((level for level, count in enumerate(self.histogram) if count), default=0)

    @property
    def mean(self) -> float:
        """Return the mean difference of a channel of a pixel; 0 for an area without pixels."""
        return sum(self.absolute) / (self.pixels * len(self.absolute)) if self.pixels else 0.0

    @property
    def shift(self) -> tuple[float, ...]:
        """Return by how many levels each channel's mean is higher in the second picture."""
        return tuple(total / self.pixels if self.pixels else 0.0 for total in self.signed)

    def beyond(self, levels: int = 0) -> float:
        """Return the share of the area's pixels that differ by more than some levels in a channel."""
        return sum(self.histogram[levels + 1 :]) / self.pixels if self.pixels else 0.0

    def __add__(self, other: PixelDifference) -> PixelDifference:
        """Return the difference over both areas."""
        return PixelDifference(
            _added(self.histogram, other.histogram),
            _added(self.absolute, other.absolute),
            _added(self.signed, other.signed),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON documents tell of it."""
        names = CHANNELS[: len(self.signed)]
        return {
            "pixels": self.pixels,
            "changed": self.beyond(),
            "beyond": {str(levels): self.beyond(levels) for levels in BEYOND},
            "largest": self.largest,
            "mean": round(self.mean, 4),
            "shift": {name: round(value, 4) for name, value in zip(names, self.shift, strict=True)},
        }


CHANNELS = ("red", "green", "blue", "alpha")


def alike(one: Image.Image, other: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Return two pictures, as `shown_pixels` gives them, in one mode: RGB, or RGBa where one has alpha.

    Where a pixel is transparent, its colour does not show, so that it does not count: RGBa is multiplied.
    """
    if has_alpha(one) or has_alpha(other):
        return in_mode(in_mode(one, "RGBA"), "RGBa"), in_mode(in_mode(other, "RGBA"), "RGBa")
    return in_mode(one, "RGB"), in_mode(other, "RGB")


def compare_pixels(one: Image.Image, other: Image.Image, area: Image.Image | None = None) -> PixelDifference:
    """Compare two pictures of one size and mode (see `alike`), within an area: a mask, `L`; None: everywhere.

    Raises ValueError: their sizes or modes differ.
    """
    if (one.size, one.mode) != (other.size, other.mode):
        raise ValueError(f"{one.mode} {one.size} cannot be compared with {other.mode} {other.size}")
    inside = None if area is None else _inside(area)
    differences = ImageChops.difference(one, other).split()
    channels = [_histogram(band, inside) for band in differences]
    before, after = ([_total(_histogram(band, inside)) for band in image.split()] for image in (one, other))
    return PixelDifference(
        histogram=_histogram(largest_difference(differences), inside),
        absolute=tuple(map(_total, channels)),
        signed=tuple(now - was for was, now in zip(before, after, strict=True)),
    )


def largest_difference(bands: Sequence[Image.Image]) -> Image.Image:
    """Return the largest of several bands at each pixel (`L`)."""
    return reduce(ImageChops.lighter, bands)


def split_areas(masks: Iterable[Image.Image], size: Size) -> tuple[list[Image.Image], Image.Image]:
    """Return masks that share no pixel, each without what later ones cover, and one of what is left.

    All are `L`, 0 or 255: each pixel of a picture is in exactly one.
    """
    left, areas = Image.new("L", size, 255), []
    for mask in reversed(list(masks)):
        areas.append(ImageChops.multiply(_inside(mask).convert("L"), left))
        left = ImageChops.subtract(left, areas[-1])
    return areas[::-1], left


def _inside(mask: Image.Image) -> Image.Image:
    """Return which pixels belong to a mask, as Pillow's histograms want to know it."""
    return mask.point([255 * (value >= _INSIDE) for value in range(LEVELS)], "1")


def _histogram(band: Image.Image, inside: Image.Image | None) -> tuple[int, ...]:
    return tuple(band.histogram(inside))


def _total(histogram: Sequence[int]) -> int:
    return sum(level * count for level, count in enumerate(histogram))


def _added(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    return tuple(each + more for each, more in zip(one, other, strict=True))
