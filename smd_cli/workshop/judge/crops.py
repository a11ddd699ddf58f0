"""Drawn crops with known answers: what the judge learns from and is examined on.

A crop is cut as the benchmark cuts one around a region: the thing fills it more or less, neighbours reach in,
and the thing may stand in a patch of its own background, whole or cut by the patch's edge.
"""

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from smd_cli.workshop.judge.labels import NOTHING, Answers
from smd_cli.workshop.world.backgrounds import BACKGROUNDS
from smd_cli.workshop.world.picture import KINDS, PEOPLE, SCENIC, SHAPES, Thing, draw_picture, draw_thing

SIDE = 64
CANVAS = 256
CUT_FROM, WHOLE_BELOW = 0.15, 0.04
"""Shares of a thing outside its patch from which it counts as cut, and below which as whole."""
UNNAMEABLE = {"shape": 0.15, "thing": 0.3}
"""Shares outside its patch from which nobody could name a thing: a circle without sides is no circle."""
TIGHT, WIDE = (0.35, 0.85), (1.1, 1.8)
"""Half sides of patches as shares of the thing's radius: those that cut it, and those that seldom do."""


@dataclass(frozen=True)
class Crop:
    """A square crop of `SIDE` px and the answers to the judge's questions about it."""

    image: Image.Image
    answers: Answers


def draw_crop(seed: int) -> Crop:
    """Draw the crop of a seed."""
    rng = random.Random(seed)  # noqa: S311 - a world is drawn, not a secret
    background = "white" if rng.random() < 0.3 else rng.choice(SCENIC)
    ground = _ground(background, rng)
    if rng.random() < 0.12:
        return _empty(ground, rng, background)
    radius = rng.uniform(0.13, 0.4)
    center = _place(rng, radius)
    patched = rng.random() < 0.6
    around = _ground(rng.choice(SCENIC), rng) if patched else ground
    if rng.random() < 0.4:
        _neighbour(around, rng, center, radius)
    stage = ground.copy()
    kind = rng.choice(PEOPLE) if rng.random() < 0.15 else rng.choice(KINDS)
    thing, _ = draw_thing(stage, rng, kind, (center, radius))
    answers = _name(thing)
    if patched:
        mask = _patch(rng, center, radius)
        answers = _judged(answers, _hidden(stage, ground, mask))
        stage = Image.composite(stage, around, mask.filter(ImageFilter.GaussianBlur(rng.uniform(0, 3))))
    else:
        answers |= {"background": background, "whole": "whole"}
    side = rng.uniform(2.0, 4.2) * radius
    x, y = (value + rng.uniform(-0.16, 0.16) * side for value in center)
    return Crop(_finish(stage, rng, (x, y), side), answers)


def draw_view(seed: int) -> Crop:
    """Draw a whole picture of the world as a crop; its only answer is the background."""
    picture = draw_picture(seed, 2 * SIDE)
    image = picture.image.resize((SIDE, SIDE), Image.Resampling.BOX)
    return Crop(image, {} if picture.background is None else {"background": picture.background})


def pixels_of(images: list[Image.Image]) -> np.ndarray:
    """Stack crops: (N, SIDE, SIDE, 3) uint8."""
    return np.stack([np.asarray(image) for image in images])


def _name(thing: Thing) -> Answers:
    told = {"kind": thing.kind, "color": thing.color, "hair": thing.hair, "clothes": thing.clothes}
    return {question: answer for question, answer in told.items() if answer is not None}


def _empty(scene: Image.Image, rng: random.Random, background: str) -> Crop:
    """Cut a crop that shows nothing but a background."""
    side = rng.uniform(0.4, 1.0)
    center = rng.uniform(side / 2, 1 - side / 2), rng.uniform(side / 2, 1 - side / 2)
    answers = {"kind": NOTHING, "background": background}
    return Crop(_finish(scene, rng, center, side), answers if side > 0.6 else {"kind": NOTHING})


def _ground(background: str, rng: random.Random) -> Image.Image:
    ground = Image.new("RGB", (CANVAS, CANVAS))
    BACKGROUNDS[background](ground, rng)
    return ground


def _place(rng: random.Random, radius: float) -> tuple[float, float]:
    """Return a centre from which a thing stays in the picture."""
    slack = 0.9 * (0.5 - radius)
    return 0.5 + rng.uniform(-slack, slack), 0.5 + rng.uniform(-slack, slack)


def _neighbour(image: Image.Image, rng: random.Random, center: tuple[float, float], radius: float) -> None:
    """Draw another thing beside a place, so that a crop of that place shows its edge."""
    size = rng.uniform(0.12, 0.3)
    side = rng.choice((-1, 1))
    x = center[0] + side * (radius + size) * rng.uniform(0.95, 1.3)
    y = center[1] + rng.uniform(-0.7, 0.7) * radius
    draw_thing(image, rng, rng.choice(KINDS), ((x, y), size))


def _patch(rng: random.Random, center: tuple[float, float], radius: float) -> Image.Image:
    """Draw the mask of a patch around a place, too small for the thing there as often as not."""
    mask = Image.new("L", (CANVAS, CANVAS), 0)
    x, y = (value + rng.uniform(-0.3, 0.3) * radius for value in center)
    sides = (TIGHT, WIDE) if rng.random() < 0.7 else (WIDE, WIDE)
    rx, ry = (rng.uniform(*side) * radius for side in rng.sample(sides, 2))
    draw = ImageDraw.Draw(mask)
    shape = draw.ellipse if rng.random() < 0.4 else draw.rectangle
    shape([value * CANVAS for value in (x - rx, y - ry, x + rx, y + ry)], fill=255)
    return mask


def _hidden(stage: Image.Image, ground: Image.Image, mask: Image.Image) -> float:
    """Return the share of what was drawn on the ground that the mask hides."""
    drawn = np.asarray(ImageChops.difference(stage, ground)).max(axis=2) > 0
    return float((drawn & (np.asarray(mask) == 0)).sum() / max(1, drawn.sum()))


def _judged(answers: Answers, hidden: float) -> Answers:
    """Say whether a thing is whole, unless it is in between; of what is hidden too far, only that.

    A square that is cut is an oblong, which is no less whole to look at.
    """
    named = answers if hidden <= UNNAMEABLE["shape" if answers["kind"] in SHAPES else "thing"] else {}
    if WHOLE_BELOW <= hidden < CUT_FROM or (answers["kind"] == "square" and hidden >= CUT_FROM):
        return named
    return named | {"whole": "cut" if hidden >= CUT_FROM else "whole"}


def _finish(image: Image.Image, rng: random.Random, center: tuple[float, float], side: float) -> Image.Image:
    """Cut and shrink a crop, as soft and as noisy as a decoder might paint it."""
    if rng.random() < 0.6:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 2.2)))
    side = min(side, 1.0)
    left, top = (min(max(value - side / 2, 0.0), 1 - side) * CANVAS for value in center)
    box = (left, top, left + side * CANVAS, top + side * CANVAS)
    crop = image.resize((SIDE, SIDE), Image.Resampling.BOX, box=box)
    if rng.random() < 0.5:
        grain = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(1, 10), (SIDE, SIDE, 3))
        crop = Image.fromarray((np.asarray(crop) + grain).clip(0, 255).astype(np.uint8))
    return crop
