"""Pairs of drawn crops: a thing drawn properly in front of its background, and the same with a flaw.

They teach and test the critic. Flaws are patches around things, and things cut, pale, melted or missing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageChops

from smd_cli.workshop.judge.patched import (
    CANVAS,
    RADII,
    Place,
    mask_patch,
    paint_background,
    paint_fill,
    paint_thing,
    wear,
)
from smd_cli.workshop.world.backgrounds import BACKGROUNDS

SIDE = 64
"""Side of a crop, px."""

FLAWS = {"patch": 6, "cut": 1, "pale": 1, "melted": 1, "missing": 1}
"""What is wrong with the flawed one, and how often."""

SEEN = 2.0
"""Mean difference of a pair, grey levels, below which the flaw is not one."""


@dataclass(frozen=True)
class Pair:
    """A crop without a flaw and the same one with a flaw.

    Attributes:
        proper: without, `SIDE` px.
        flawed: with, `SIDE` px.
        background: the name of the background.
        rows: heights of the crops' top and bottom in the picture, 0 to 1.
        flaw: which of `FLAWS` it is.
    """

    proper: Image.Image
    flawed: Image.Image
    background: str
    rows: tuple[float, float]
    flaw: str


@dataclass(frozen=True)
class _Thing:
    """A thing and the ground that it stands on.

    Attributes:
        place: where it is.
        drawing: the thing, `CANVAS` px.
        outline: its outline, filled (`L`).
        ground: what is behind it.
        background: the name of that.
    """

    place: Place
    drawing: Image.Image
    outline: Image.Image
    ground: Image.Image
    background: str

    def painted(self) -> Image.Image:
        """Return the thing on its ground."""
        return Image.composite(self.drawing, self.ground, self.outline)


def draw_pair(seed: int) -> Pair:
    """Draw the pair of a seed."""
    rng = random.Random(seed)  # noqa: S311 - a world is drawn, not a secret
    background = rng.choice(list(BACKGROUNDS))
    ground = paint_background(background, rng)
    place = _place(rng)
    if rng.random() < 0.5:  # a neighbour
        beside, outline = paint_thing(rng, _place(rng))
        ground.paste(beside, mask=outline)
    thing = _Thing(place, *paint_thing(rng, place), ground, background)
    flaw = rng.choices(list(FLAWS), list(FLAWS.values()))[0]
    box = _crop_box(rng, place)
    good = _cut_out(thing.painted(), box)
    bad = _cut_out(_spoiled(rng, flaw, thing).painted(), box)
    if np.asarray(ImageChops.difference(good, bad)).mean() < SEEN:
        flaw, bad = "missing", _cut_out(ground, box)
    return Pair(good, bad, background, (box[1] / CANVAS, box[3] / CANVAS), flaw)


def _place(rng: random.Random) -> Place:
    radius = rng.uniform(*RADII)
    return (rng.uniform(0.9 * radius, 1 - 0.9 * radius), rng.uniform(0.9 * radius, 1 - 0.9 * radius)), radius


def _spoiled(rng: random.Random, flaw: str, thing: _Thing) -> _Thing:
    """Give a thing a flaw."""
    place, outline = thing.place, thing.outline
    if flaw == "patch":
        patch = mask_patch(rng, place)
        ground = Image.composite(paint_fill(rng, thing.background), thing.ground, wear(rng, patch))
        outline = ImageChops.darker(outline, patch) if rng.random() < 0.3 else outline
        return replace(thing, ground=ground, outline=outline)
    if flaw == "cut":
        return replace(thing, outline=ImageChops.darker(outline, mask_patch(rng, place, (0.4, 0.8))))
    if flaw == "pale":
        opaque = rng.uniform(0.1, 0.6)
        return replace(thing, outline=outline.point(lambda value: int(value * opaque)))
    if flaw == "melted":
        drawing, outline = _melted(rng, place[1], thing.drawing, outline)
        return replace(thing, drawing=drawing, outline=outline)
    return replace(thing, outline=Image.new("L", outline.size, 0))


def _melted(rng: random.Random, radius: float, *images: Image.Image) -> list[Image.Image]:
    """Move the pixels of all images alike, by smooth noise."""
    noise = np.random.default_rng(rng.getrandbits(32))
    reach, cells = rng.uniform(0.25, 0.6) * radius * CANVAS, rng.randint(5, 12)
    x, y = (
        np.asarray(
            Image.fromarray(noise.normal(0, reach, (cells, cells)).astype(np.float32)).resize(
                (CANVAS,) * 2, Image.Resampling.BICUBIC
            )
        )
        for _ in range(2)
    )
    rows, columns = np.indices((CANVAS, CANVAS))
    at = (rows + y).clip(0, CANVAS - 1).astype(int), (columns + x).clip(0, CANVAS - 1).astype(int)
    return [Image.fromarray(np.asarray(image)[at]) for image in images]


def _crop_box(rng: random.Random, place: Place) -> tuple[int, int, int, int]:
    """Choose a square around a thing, px, with more or less of what is around it."""
    (x, y), radius = place
    side = round(min(2 * radius * rng.uniform(1.1, 1.9), 1) * CANVAS)
    jitter = [rng.uniform(-0.1, 0.1) * side for _ in range(2)]
    left, top = (
        min(max(round(value * CANVAS - side / 2 + by), 0), CANVAS - side)
        for value, by in zip((x, y), jitter, strict=True)
    )
    return left, top, left + side, top + side


def _cut_out(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    return image.resize((SIDE, SIDE), Image.Resampling.BOX, box=box)
