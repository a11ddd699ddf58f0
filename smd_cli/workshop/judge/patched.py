"""Drawn scenes whose things stand in patches of what is not their ground, with a map of what is what.

They teach and test the segmenter: a patch may be white, another background, a plain colour or clouds of
several; whole or seen through, sharp or soft, smooth or ragged. Many things have none, as is right.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from smd_cli.workshop.world.backgrounds import BACKGROUNDS
from smd_cli.workshop.world.picture import KINDS, PEOPLE, draw_thing

SIDE = 128
"""Side of a map, px."""

CANVAS = 256
"""Side of the pictures that maps are made from, px: each of a map's is two of theirs."""

RADII = (0.12, 0.34)
"""Radii of things, as shares of the side: those that the regions of the benchmark have room for."""

FILLS = {"white": 10, "background": 4, "color": 2, "clouds": 4}
"""What a patch is filled with, and how often."""

NOISY = ("street", "times square")
"""Grounds of so many parts that another piece of the same one is no flaw."""

UNSEEN, SEEN = 16, 40
"""Differences to the ground, grey levels: up to the first one there is no patch, from the second on one."""

Place = tuple[tuple[float, float], float]
"""Centre and radius of a thing, as shares of the side."""


@dataclass(frozen=True)
class PatchedScene:
    """A picture (`CANVAS` px) of a background with things.

    Attributes:
        image: the picture.
        background: the name of its background.
        things: `L`, where things are.
        halos: `L`, where neither a thing nor what the background shows there is.
    """

    image: Image.Image
    background: str
    things: Image.Image
    halos: Image.Image


def draw_patched(seed: int) -> PatchedScene:
    """Draw the scene of a seed."""
    rng = random.Random(seed)  # noqa: S311 - a world is drawn, not a secret
    background = rng.choice(list(BACKGROUNDS))
    ground = paint_background(background, rng)
    image, things = ground.copy(), Image.new("L", ground.size, 0)
    share = rng.choice((0.0, 0.5, 1.0))  # of things with a patch
    for place in _places(rng):
        drawing, outline = paint_thing(rng, place)
        if rng.random() < share:
            patch = mask_patch(rng, place)
            worn = wear(rng, patch)
            image.paste(paint_fill(rng, background), mask=worn)
            things.paste(0, mask=worn)
            fate = rng.choices(("whole", "cut", "missing"), (5, 3, 1))[0]
            if fate != "whole":
                outline = (
                    ImageChops.darker(outline, patch) if fate == "cut" else Image.new("L", ground.size, 0)
                )
        image.paste(drawing, mask=outline)
        things.paste(255, mask=outline)
    halos = ImageChops.subtract(_difference(image, ground), things)
    return PatchedScene(image, background, things, halos)


def paint_background(name: str, rng: random.Random) -> Image.Image:
    """Paint a background."""
    image = Image.new("RGB", (CANVAS, CANVAS))
    BACKGROUNDS[name](image, rng)
    return image


def _places(rng: random.Random) -> list[Place]:
    """Choose centres and radii of one to four things that overlap little, as shares of the side."""
    placed: list[Place] = []
    for _ in range(rng.randint(1, 4) * 3):
        radius = rng.uniform(*RADII)
        x, y = (rng.uniform(0.9 * radius, 1 - 0.9 * radius) for _ in range(2))
        if all(math.dist((x, y), other) > 0.8 * (radius + size) for other, size in placed):
            placed.append(((x, y), radius))
    return placed


def paint_thing(rng: random.Random, place: Place) -> tuple[Image.Image, Image.Image]:
    """Draw a thing; return the drawing and its outline, filled (`L`)."""
    kind = rng.choice(PEOPLE[:2]) if rng.random() < 0.3 else rng.choice(KINDS)
    seed, drawings = rng.random(), []
    for shade in (0, 255):
        drawing = Image.new("RGB", (CANVAS, CANVAS), (shade,) * 3)
        draw_thing(drawing, random.Random(seed), kind, place)  # noqa: S311
        drawings.append(drawing)
    apart = np.asarray(ImageChops.difference(*drawings)).max(axis=2)
    return drawings[0], Image.fromarray(np.where(apart == 0, 255, 0).astype(np.uint8))


def mask_patch(rng: random.Random, place: Place, sides: tuple[float, float] = (0.9, 1.7)) -> Image.Image:
    """Draw the mask of a region around a thing: a box, an ellipse or a polygon.

    `sides` are the bounds of its half sides, relative to the thing's radius.
    """
    (x, y), radius = place
    x, y = (value + rng.uniform(-0.25, 0.25) * radius for value in (x, y))
    rx, ry = (rng.uniform(*sides) * radius for _ in range(2))
    mask = Image.new("L", (CANVAS, CANVAS), 0)
    draw, box = ImageDraw.Draw(mask), [value * CANVAS for value in (x - rx, y - ry, x + rx, y + ry)]
    shape = rng.choice(("box", "ellipse", "polygon"))
    if shape == "polygon":
        corners, turn = rng.randint(5, 8), rng.uniform(0, math.tau)
        angles = [turn + math.tau * i / corners for i in range(corners)]
        draw.polygon(
            [((x + rx * math.cos(a)) * CANVAS, (y + ry * math.sin(a)) * CANVAS) for a in angles], fill=255
        )
    else:
        (draw.rectangle if shape == "box" else draw.ellipse)(box, fill=255)
    return mask


def paint_fill(rng: random.Random, background: str) -> Image.Image:
    """Draw what fills a patch: white, another ground, a colour, or clouds of several colours."""
    fill = rng.choices(list(FILLS), list(FILLS.values()))[0]
    if fill == "background":
        return paint_background(
            rng.choice([b for b in BACKGROUNDS if b != background or b not in NOISY]), rng
        )
    if fill == "clouds":
        return _noise(rng, "RGB", rng.randint(3, 9))
    plain = (255, 255, 255) if fill == "white" else tuple(rng.randint(0, 255) for _ in range(3))
    return Image.new("RGB", (CANVAS, CANVAS), plain)


def wear(rng: random.Random, patch: Image.Image) -> Image.Image:
    """Return a patch's mask as steps after the bootstrap leave it: thin, soft or in pieces."""
    if rng.random() < 0.45:  # pieces
        pieces, cut = _noise(rng, "L", rng.randint(6, 24)), rng.uniform(90, 150)
        patch = ImageChops.darker(patch, pieces.point(lambda value: 255 * (value > cut)))
    patch = patch.filter(ImageFilter.GaussianBlur(rng.choice((0, 1, 3, 6))))
    opaque = 1.0 if rng.random() < 0.5 else rng.uniform(0.3, 1.0)
    return patch.point(lambda value: int(value * opaque))


def _noise(rng: random.Random, mode: str, cells: int) -> Image.Image:
    """Draw smooth noise of so many cells a side."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    points = np.random.default_rng(rng.getrandbits(32)).integers(0, 256, (cells, cells, channels), np.uint8)
    small = Image.fromarray(points.squeeze(2) if channels == 1 else points)
    return small.resize((CANVAS, CANVAS), Image.Resampling.BICUBIC)


def _difference(image: Image.Image, ground: Image.Image) -> Image.Image:
    """Return (`L`) how surely a picture is not its ground: 0 below `UNSEEN` grey levels, 255 from `SEEN`."""
    apart = np.asarray(ImageChops.difference(image, ground)).max(axis=2).astype(np.float32)
    return Image.fromarray((255 * (apart - UNSEEN) / (SEEN - UNSEEN)).clip(0, 255).astype(np.uint8))
