"""Drawn crops with known answers, to train and test the judge.

Crops resemble those that the benchmark cuts around regions: the object fills the crop to a varying degree,
neighbours reach into it, and the object may be on a patch of its own background, whole or cut by its edge.
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
"""Hidden shares of an object: from the first on it counts as cut, below the second as whole."""
UNNAMEABLE = {"shape": 0.15, "thing": 0.3}
"""Hidden shares above which the answer is 'cut' alone, since an object cannot be recognised any more."""
TIGHT, WIDE = (0.35, 0.85), (1.1, 1.8)
"""Half sides of patches, relative to the object's radius: those that cut it, and those that seldom do."""


@dataclass(frozen=True)
class Crop:
    """A square crop with a side of `SIDE` px, and the answers to the judge's questions about it."""

    image: Image.Image
    answers: Answers


def draw_crop(seed: int) -> Crop:
    """Draw the crop of a seed: an object in front of a background, or a background alone."""
    rng = random.Random(seed)  # noqa: S311 - a world is drawn, not a secret
    background = "white" if rng.random() < 0.3 else rng.choice(SCENIC)
    backdrop = _background(background, rng)
    if rng.random() < 0.12:
        return _empty(backdrop, rng, background)
    radius = rng.uniform(0.13, 0.4)
    center = _place(rng, radius)
    patched = rng.random() < 0.6
    surroundings = _background(rng.choice(SCENIC), rng) if patched else backdrop
    if rng.random() < 0.4:
        _neighbour(surroundings, rng, center, radius)
    drawing = backdrop.copy()
    kind = rng.choice(PEOPLE) if rng.random() < 0.15 else rng.choice(KINDS)
    thing, _ = draw_thing(drawing, rng, kind, (center, radius))
    answers = _name(thing)
    if patched:
        mask = _patch(rng, center, radius)
        answers = _with_wholeness(answers, _hidden(drawing, backdrop, mask))
        drawing = Image.composite(
            drawing, surroundings, mask.filter(ImageFilter.GaussianBlur(rng.uniform(0, 3)))
        )
    else:
        answers |= {"background": background, "whole": "whole"}
    side = rng.uniform(2.0, 4.2) * radius
    x, y = (value + rng.uniform(-0.16, 0.16) * side for value in center)
    return Crop(_finish(drawing, rng, (x, y), side), answers)


def draw_picture_crop(seed: int) -> Crop:
    """Draw a whole picture of the world, shrunk to a crop; the only answer is its background."""
    picture = draw_picture(seed, 2 * SIDE)
    image = picture.image.resize((SIDE, SIDE), Image.Resampling.BOX)
    return Crop(image, {} if picture.background is None else {"background": picture.background})


def pixels_of(images: list[Image.Image]) -> np.ndarray:
    """Stack crops: (N, SIDE, SIDE, 3) uint8."""
    return np.stack([np.asarray(image) for image in images])


def _name(thing: Thing) -> Answers:
    attributes = {"kind": thing.kind, "color": thing.color, "hair": thing.hair, "clothes": thing.clothes}
    return {question: answer for question, answer in attributes.items() if answer is not None}


def _empty(scene: Image.Image, rng: random.Random, background: str) -> Crop:
    """Cut a crop that shows a background alone; a small one has no answer for the background."""
    side = rng.uniform(0.4, 1.0)
    center = rng.uniform(side / 2, 1 - side / 2), rng.uniform(side / 2, 1 - side / 2)
    answers = {"kind": NOTHING, "background": background}
    return Crop(_finish(scene, rng, center, side), answers if side > 0.6 else {"kind": NOTHING})


def _background(background: str, rng: random.Random) -> Image.Image:
    backdrop = Image.new("RGB", (CANVAS, CANVAS))
    BACKGROUNDS[background](backdrop, rng)
    return backdrop


def _place(rng: random.Random, radius: float) -> tuple[float, float]:
    """Choose a centre for an object so that it stays inside the picture."""
    slack = 0.9 * (0.5 - radius)
    return 0.5 + rng.uniform(-slack, slack), 0.5 + rng.uniform(-slack, slack)


def _neighbour(image: Image.Image, rng: random.Random, center: tuple[float, float], radius: float) -> None:
    """Draw another object beside a place, so that a crop of that place shows its edge."""
    size = rng.uniform(0.12, 0.3)
    side = rng.choice((-1, 1))
    x = center[0] + side * (radius + size) * rng.uniform(0.95, 1.3)
    y = center[1] + rng.uniform(-0.7, 0.7) * radius
    draw_thing(image, rng, rng.choice(KINDS), ((x, y), size))


def _patch(rng: random.Random, center: tuple[float, float], radius: float) -> Image.Image:
    """Draw the mask of a patch around a place, often too small for the object there."""
    mask = Image.new("L", (CANVAS, CANVAS), 0)
    x, y = (value + rng.uniform(-0.3, 0.3) * radius for value in center)
    sides = (TIGHT, WIDE) if rng.random() < 0.7 else (WIDE, WIDE)
    rx, ry = (rng.uniform(*side) * radius for side in rng.sample(sides, 2))
    draw = ImageDraw.Draw(mask)
    shape = draw.ellipse if rng.random() < 0.4 else draw.rectangle
    shape([value * CANVAS for value in (x - rx, y - ry, x + rx, y + ry)], fill=255)
    return mask


def _hidden(drawing: Image.Image, backdrop: Image.Image, mask: Image.Image) -> float:
    """Return the share of the pixels drawn on `backdrop` that lie outside the mask."""
    drawn = np.asarray(ImageChops.difference(drawing, backdrop)).max(axis=2) > 0
    return float((drawn & (np.asarray(mask) == 0)).sum() / max(1, drawn.sum()))


def _with_wholeness(answers: Answers, hidden: float) -> Answers:
    """Add the answer 'whole' or 'cut' for an object with this hidden share; no answer in between.

    An object hidden beyond `UNNAMEABLE` keeps no other answer. A square gets no 'cut': it is then a
    rectangle, which looks whole.
    """
    named = answers if hidden <= UNNAMEABLE["shape" if answers["kind"] in SHAPES else "thing"] else {}
    if WHOLE_BELOW <= hidden < CUT_FROM or (answers["kind"] == "square" and hidden >= CUT_FROM):
        return named
    return named | {"whole": "cut" if hidden >= CUT_FROM else "whole"}


def _finish(image: Image.Image, rng: random.Random, center: tuple[float, float], side: float) -> Image.Image:
    """Cut out a crop and shrink it, sometimes blurred or noisy as a decoder's output is."""
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
