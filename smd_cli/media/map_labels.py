"""The labels of painted maps: pictures in which each colour stands for a region.

A map that was drawn with soft brushes, scaled or saved as JPEG has more colours than were painted: mixtures
along its edges, and noise around them. Its own colours are those that the scene names and those that fill
flat areas. A pixel belongs to the nearest of them, but a mixture of two colours that meet can be nearest to
a third: pixels that are in no flat area belong to the nearest of the colours around them. This module
imports NumPy, for which scenes without maps need not wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from smd_cli.media.color_maps import MAX_COLORS
from smd_cli.media.pixels import has_alpha
from smd_cli.scene.resolve import Size

Array = NDArray[Any]
Flags = NDArray[np.bool_]

NOBODY = 255
"""The label of pixels that are transparent, or of a colour that the scene does not name."""
_SAME = 16  # levels a channel within which a flat colour counts as one that the scene names
_EXACT = 2  # levels within which a pixel has a colour; lossless files without soft edges have no others
_SURE = 20  # levels within which a pixel of a flat area is of its colour, in spite of JPEG's noise
_FLAT = 5  # levels by which a flat area varies in JPEG files
_MIXED = 24  # levels by which a mixture may lie beside the line between two colours
_AREAS = 4  # flat places that a colour has to have to be one of the map's own,
_AREA_SHARE = 1e-4  # and of the sampled ones this share: enlarged maps have fringes along their edges
_SAMPLES = 1 << 20  # places that are looked at for flat areas; of smaller maps every pixel
_MAX_OTHERS = 127  # colours that the scene does not name; with the named ones, at most MAX_COLORS
_SOFT_SHARE = 0.01  # of the pixels outside flat areas; if fewer are inexact, the map has hard edges
_REACH = 3  # px from an edge to the flat areas beside it
_FAR = 5  # px to look where there are not two of them within reach, as in JPEG's noise
_STRIP = 1 << 22  # pixels that are looked up at a time


def label_pixels(image: Image.Image, colors: Sequence[str]) -> Image.Image:
    """Return which of the named colours each pixel of a map belongs to: its index, or NOBODY (`L`).

    `colors` are at most MAX_COLORS, each as `#rrggbb`. At least half transparent pixels belong to nobody.
    """
    pixels, opaque = _pixels_of(image)
    named = np.array([ImageColor.getrgb(color)[:3] for color in colors], np.int16).reshape(-1, 3)
    labels = _Labels.of(pixels, opaque, _own_colors(pixels, opaque, named)).settled()
    labels[labels >= len(named)] = NOBODY
    if opaque is not None:
        labels[~opaque] = NOBODY
    return Image.fromarray(labels)


def resize_labels(labels: Image.Image, size: Size) -> Image.Image:
    """Return labels at another size: each pixel has the one that fills most of it."""
    most, chosen = np.zeros(size[::-1], np.uint8), np.full(size[::-1], NOBODY, np.uint8)
    for label, count in enumerate(labels.histogram()):
        if count:
            only = labels.point([255 * (other == label) for other in range(256)])
            share = np.asarray(only.resize(size, Image.Resampling.BILINEAR))
            chosen[share > most] = label
            most = np.maximum(most, share)
    return Image.fromarray(chosen)


def main_colors(image: Image.Image) -> list[str]:
    """Return the colours (`#rrggbb`) of a map's flat areas, the most frequent first; no two are alike."""
    pixels, opaque = _pixels_of(image)
    found = _distinct(*_flat_colors(pixels, opaque), _enough(pixels))
    ordered = sorted(found, key=lambda one: one[1], reverse=True)
    return ["#" + bytes(color.astype(np.uint8)).hex() for color, _ in ordered]


def _pixels_of(image: Image.Image) -> tuple[Array, Flags | None]:
    """Return a map's colours (height, width, 3), and which of its pixels count; None: all."""
    opaque = np.asarray(image.getchannel("A")) >= 128 if has_alpha(image) else None
    return np.asarray(image.convert("RGB")), opaque


def _own_colors(pixels: Array, opaque: Flags | None, named: Array) -> Array:
    """Return the map's own colours (k, 3): the named ones as they occur in it, then its other flat ones."""
    found, counts = _flat_colors(pixels, opaque)
    own = named.copy()
    if len(found) and len(named):
        away = np.abs(found[:, None] - named[None]).max(2)
        nearest, is_named = away.argmin(1), away.min(1) <= _SAME
        for index in range(len(named)):
            if (mine := np.flatnonzero(is_named & (nearest == index))).size:
                own[index] = found[mine[counts[mine].argmax()]]
        found, counts = found[~is_named], counts[~is_named]
    most = min(MAX_COLORS - len(named), _MAX_OTHERS)
    others = [color for color, _ in islice(_distinct(found, counts, _enough(pixels)), most)]
    return np.concatenate([own, np.array(others, np.int16).reshape(-1, 3)])


def _enough(pixels: Array) -> float:
    """Return at how many flat places a colour has to be to be one of a map's own."""
    places: int = min(_SAMPLES, pixels.shape[0] * pixels.shape[1])
    return max(_AREAS, _AREA_SHARE * places)


def _distinct(colors: Array, counts: Array, enough: float) -> Iterator[tuple[Array, int]]:
    """Yield colours that occur often enough, no two of them alike, and how often: each with those like it."""
    while len(colors):
        leader = colors[counts.argmax()]
        alike = np.abs(colors - leader).max(1) <= _SAME
        if (count := int(counts[alike].sum())) >= enough:
            yield leader, count
        colors, counts = colors[~alike], counts[~alike]


def _flat_colors(pixels: Array, opaque: Flags | None) -> tuple[Array, Array]:
    """Return the colours amid flat areas of 3x3 sampled places (n, 3), and at how many of these each is."""
    step = max(1, round((pixels.shape[0] * pixels.shape[1] / _SAMPLES) ** 0.5))
    sampled, middles = pixels[::step, ::step], (slice(1, -1), slice(1, -1))
    lowest = highest = sampled[middles]
    for down in range(3):
        for right in range(3):
            beside = sampled[down : len(sampled) - 2 + down, right : sampled.shape[1] - 2 + right]
            lowest, highest = np.minimum(lowest, beside), np.maximum(highest, beside)
    flat = (highest - lowest).max(2, initial=0) <= _FLAT
    if opaque is not None:
        flat &= opaque[::step, ::step][middles]
    packed, counts = np.unique(_packed(sampled[middles][flat]), return_counts=True)
    return _unpacked(packed), counts


class _Labels(NamedTuple):
    """The nearest own colour of each pixel, before edges are settled.

    Attributes:
        pixels: (height, width, 3).
        colors: the map's own colours (k, 3).
        nearest: the index of the nearest of them (height, width).
        core: pixels in the middle of 3x3 px that are surely of one colour.
        sure: pixels that have their nearest colour, but for noise.
        exact: pixels that have it to the level.
        opaque: pixels that count; None: all.
    """

    pixels: Array
    colors: Array
    nearest: Array
    core: Flags
    sure: Flags
    exact: Flags
    opaque: Flags | None

    @classmethod
    def of(cls, pixels: Array, opaque: Flags | None, colors: Array) -> _Labels:
        """Look up every pixel."""
        index, away = _nearest_table(pixels, colors)
        nearest, distance = (np.empty(pixels.shape[:2], np.uint8) for _ in range(2))
        for rows in _strips(pixels):
            packed = _packed(pixels[rows])
            nearest[rows], distance[rows] = index[packed], away[packed]
        sure = distance <= _SURE
        if opaque is not None:
            sure &= opaque
        core = _is_core(np.where(sure, nearest, NOBODY))
        return cls(pixels, colors, nearest, core & sure, sure, distance <= _EXACT, opaque)

    def settled(self) -> Array:
        """Return the labels with those of edges settled: each is one of the colours that meet there."""
        labels = self.nearest.copy()
        open_ones = ~self.core if self.opaque is None else ~self.core & self.opaque
        if np.count_nonzero(open_ones & ~self.exact) <= _SOFT_SHARE * np.count_nonzero(open_ones):
            return labels  # hard edges: every pixel is as it was painted
        around = _Around(np.where(self.core, self.nearest, NOBODY))
        places = around.without_neighbor(np.flatnonzero(open_ones), self.nearest)
        candidates = around.colors_near(places, _REACH, len(self.colors))
        few = np.flatnonzero(candidates.sum(1) < 2)
        candidates[few] = around.colors_near(places[few], _FAR, len(self.colors))
        colors = self.pixels.reshape(-1, 3)[places]
        thin = self.exact.reshape(-1)[places] & ~_are_mixtures(colors, candidates, self.colors)
        around.add(places[thin], self.nearest.reshape(-1)[places[thin]])
        places, colors, candidates = places[~thin], colors[~thin], candidates[~thin]
        candidates |= around.colors_near(places, 1, len(self.colors))
        known = candidates.any(1)
        away = ((colors[known, None].astype(np.int32) - self.colors) ** 2).sum(2)
        labels.reshape(-1)[places[known]] = np.where(candidates[known], away, 1 << 30).argmin(1)
        return labels


class _Around:
    """The labels of the core, framed so that every pixel has neighbours; places are indices of its pixels."""

    def __init__(self, labels: Array) -> None:
        self._width = labels.shape[1]
        self._wide = self._width + 2 * _FAR
        self._labels = np.pad(labels, _FAR, constant_values=NOBODY).reshape(-1)

    def without_neighbor(self, places: Array, labels: Array) -> Array:
        """Return the places that have no core pixel of their own label within reach."""
        own = labels.reshape(-1)[places]
        for offset in self._offsets(_REACH):
            left = self._labels[self._framed(places) + offset] != own
            places, own = places[left], own[left]
        return places

    def colors_near(self, places: Array, reach: int, count: int) -> Flags:
        """Return which labels are within reach of each place (n, count)."""
        found = np.zeros((len(places), count + 1), bool)
        rows, framed = np.arange(len(places)), self._framed(places)
        for offset in self._offsets(reach):
            found[rows, np.minimum(self._labels[framed + offset], count)] = True  # the last one for NOBODY
        return found[:, :count]

    def add(self, places: Array, labels: Array) -> None:
        """Let places count as core."""
        self._labels[self._framed(places)] = labels

    def _framed(self, places: Array) -> Array:
        framed: Array = (places // self._width + _FAR) * self._wide + places % self._width + _FAR
        return framed

    def _offsets(self, reach: int) -> list[int]:
        """Return the places within reach, the nearest first."""
        span = range(-reach, reach + 1)
        steps = sorted((x * x + y * y, y * self._wide + x) for x in span for y in span)
        return [offset for _, offset in steps]


def _nearest_table(pixels: Array, colors: Array) -> tuple[Array, Array]:
    """Return, by packed colour, the nearest own colour and the largest difference from it in a channel."""
    occurs = np.zeros(1 << 24, bool)
    for rows in _strips(pixels):
        occurs[_packed(pixels[rows])] = True
    index, away = np.zeros(1 << 24, np.uint8), np.full(1 << 24, 255, np.uint8)
    found = np.flatnonzero(occurs)
    for start in range(0, len(found), 1 << 16):
        packed = found[start : start + (1 << 16)]
        differences = np.abs(_unpacked(packed)[:, None] - colors).astype(np.int32)
        nearest = (differences**2).sum(2).argmin(1)
        index[packed] = nearest
        away[packed] = differences[np.arange(len(packed)), nearest].max(1)
    return index, away


def _is_core(labels: Array) -> Flags:
    """Return the pixels whose neighbours, eight or at the picture's edge fewer, have the same label."""
    same = np.ones(labels.shape, bool)
    across, down = labels[:, 1:] == labels[:, :-1], labels[1:] == labels[:-1]
    same[:, 1:] &= across
    same[:, :-1] &= across
    core = same.copy()
    core[1:] &= same[:-1] & down
    core[:-1] &= same[1:] & down
    return core


def _are_mixtures(pixels: Array, candidates: Flags, colors: Array) -> Flags:
    """Tell which pixels two of their candidate colours can have made: blended, or saved as JPEG.

    JPEG mixes brightness and chroma apart, and chroma farther, so the two are compared apart.
    """
    found = np.zeros(len(pixels), bool)
    own, seen = _ycc(colors), _ycc(pixels)
    together = candidates.T.astype(np.float32) @ candidates
    for one, other in zip(*np.nonzero(np.triu(together, 1)), strict=True):
        at = np.flatnonzero(candidates[:, one] & candidates[:, other] & ~found)
        found[at] = _is_between(seen[at], own[one], own[other])
    return found


def _is_between(seen: Array, one: Array, other: Array) -> Flags:
    darker, brighter = sorted((one[0], other[0]))
    line = other[1:] - one[1:]
    share = ((seen[:, 1:] - one[1:]) @ line / max(float(line @ line), 1e-6)).clip(0, 1)
    beside = np.linalg.norm(seen[:, 1:] - one[1:] - share[:, None] * line, axis=1)
    between: Flags = (seen[:, 0] >= darker - _MIXED) & (seen[:, 0] <= brighter + _MIXED) & (beside <= _MIXED)
    return between


def _ycc(colors: Array) -> Array:
    """Return brightness and chroma as JPEG has them (n, 3)."""
    matrix = np.array([[0.299, -0.168736, 0.5], [0.587, -0.331264, -0.418688], [0.114, 0.5, -0.081312]])
    return np.asarray(colors.astype(np.float32) @ matrix, np.float32)


def _strips(pixels: Array) -> Iterator[slice]:
    """Yield the rows of a picture in strips, so that lookups take little memory."""
    rows = max(1, _STRIP // max(1, pixels.shape[1]))
    for start in range(0, pixels.shape[0], rows):
        yield slice(start, start + rows)


def _packed(colors: Array) -> Array:
    red, green, blue = (colors[..., channel].astype(np.uint32) for channel in range(3))
    return red << 16 | green << 8 | blue


def _unpacked(packed: Array) -> Array:
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1).astype(np.int16)
