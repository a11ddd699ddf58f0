"""Pictures of what few steps get wrong: the moon, lifted arms, stars, clouds, a meadow under a blue sky."""

import random
from typing import NamedTuple

from PIL import Image

from smd_cli.workshop.world import captions
from smd_cli.workshop.world.backgrounds import BACKGROUNDS
from smd_cli.workshop.world.picture import SCENIC, SUPERSAMPLE, draw_thing

BEHIND = {
    "moon": ("night sky", "night sky", "night sky", "blue sky", "times square", "sunset"),
    "goddess": ("alps", "alps", "blue sky", "grass", "lake"),
    "star": SCENIC,
    "cloud": ("blue sky", "sunset", "summer mountains"),
}
"""Backgrounds of each thing."""

MEADOW = "meadow"
KINDS = (*("moon",) * 5, *("goddess", "star", MEADOW) * 2, "cloud")
"""What to draw; a kind listed n times is n times as likely."""

HORIZON = (0.42, 0.55)


class HardPicture(NamedTuple):
    """A picture with its caption; `alone` if its thing is on white, as a region starts."""

    image: Image.Image
    caption: str
    alone: bool


def draw_hard(rng: random.Random, radius: float, size: int = 256) -> HardPicture:
    """Draw something in the middle at `size` px: on white with a radius, a share of the width, or large.

    Hardly anything but colours is left to chance: a first estimate is the mean of all that is possible.
    """
    kind = rng.choice(KINDS)
    canvas = Image.new("RGB", (size * SUPERSAMPLE,) * 2, (255, 255, 255))
    if kind == MEADOW:
        caption = _meadow(canvas, rng)
        return HardPicture(canvas.reduce(SUPERSAMPLE), caption, alone=False)
    alone = rng.random() < (0.8 if kind == "star" else 0.5)
    place = ((0.5, 0.5), radius)
    background = rng.choice(BEHIND[kind])
    if not alone:
        BACKGROUNDS[background](canvas, rng)
        place = ((rng.uniform(0.46, 0.54), rng.uniform(0.46, 0.54)), rng.uniform(0.3, 0.42))
    image, words = _thing(canvas, rng, kind, place)
    named = not alone and rng.random() < 0.85
    caption = captions.finish(rng, words, captions.background_words(rng, background)) if named else words
    return HardPicture(image.reduce(SUPERSAMPLE), caption, alone)


def _thing(
    canvas: Image.Image, rng: random.Random, kind: str, place: tuple[tuple[float, float], float]
) -> tuple[Image.Image, str]:
    """Draw a thing over a copy of a canvas, a goddess mostly with a lifted arm; return it with its words."""
    while True:
        image = canvas.copy()
        _, words = draw_thing(image, random.Random(rng.getrandbits(32)), kind, place)  # noqa: S311
        if kind != "goddess" or "lifts arm" in words or rng.random() < 0.15:
            return image, words


def _meadow(canvas: Image.Image, rng: random.Random) -> str:
    """Draw a meadow under a deep blue sky, with the horizon near the middle; return the caption."""
    sky = canvas.copy()
    BACKGROUNDS["blue sky"](sky, rng)
    seed, horizon = 0, 0.0
    while not HORIZON[0] < horizon < HORIZON[1]:
        seed = rng.getrandbits(32)
        horizon = random.Random(seed).uniform(0.35, 0.6)  # noqa: S311 - as `grass` draws it
    BACKGROUNDS["grass"](canvas, random.Random(seed))  # noqa: S311
    top = round(horizon * canvas.height)
    canvas.paste(sky.resize((canvas.width, top)), (0, 0))
    return f"{captions.background_words(rng, 'grass')}, {captions.background_words(rng, 'blue sky')}"
