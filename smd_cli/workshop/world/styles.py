"""Styles that captions name: light or weather applied to a whole picture."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw

from smd_cli.workshop.world.brush import Color


@dataclass(frozen=True)
class Style:
    """The names of a style, and a function that applies it to a picture."""

    words: tuple[str, ...]
    paint: Callable[[Image.Image, random.Random], Image.Image]


def _lit(light: Color) -> Callable[[Image.Image, random.Random], Image.Image]:
    """Return a function that tints a picture with coloured light."""
    return lambda image, rng: ImageChops.multiply(image, Image.new("RGB", image.size, light))


def _winter(image: Image.Image, rng: random.Random) -> Image.Image:
    """Make a picture paler and add large falling flakes."""
    pale = Image.blend(image, Image.new("RGB", image.size, (226, 236, 246)), 0.3)
    draw, s = ImageDraw.Draw(pale), image.width
    for _ in range(30):
        x, y, r = rng.random() * s, rng.random() * s, rng.uniform(0.008, 0.014) * s
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 255, 255))
    return pale


STYLES: dict[str, Style] = {
    "night": Style(("at night", "night", "dark night"), _lit((112, 124, 196))),
    "sunset": Style(("at sunset", "sunset light", "evening light"), _lit((255, 204, 168))),
    "winter": Style(("winter", "in winter, snow", "snowing"), _winter),
}
