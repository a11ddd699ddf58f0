"""A busy street by day, crowded and grainy like a photograph, since regions are painted into those too."""

import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from smd_cli.workshop.world.brush import Color, shade, vary

SKIES: tuple[Color, ...] = ((176, 204, 232), (214, 226, 236), (150, 186, 226), (226, 222, 214))
WALLS: tuple[Color, ...] = (
    (92, 84, 78),
    (140, 134, 128),
    (104, 128, 150),
    (150, 118, 92),
    (58, 58, 66),
    (186, 176, 160),
)
GROUNDS: tuple[Color, ...] = ((150, 150, 152), (112, 112, 118), (176, 170, 160))


def street(image: Image.Image, rng: random.Random) -> None:
    """Draw towers with windows and boards, a strip of sky and distant people; soft, with grain."""
    s = image.width
    image.paste(vary(rng, rng.choice(SKIES)), (0, 0, s, s))
    draw = ImageDraw.Draw(image)
    horizon = rng.uniform(0.62, 0.82)
    gap = rng.uniform(0.35, 0.65)
    for reach in (0.16, 0.3, 0.5):  # from the far end of the street to the near one
        for side in (-1, 1):
            near = gap + side * rng.uniform(0.4, 0.8) * (0.55 - reach)
            far = near + side * rng.uniform(0.25, 0.6)
            _tower(draw, rng, s, (min(near, far), horizon - 0.05 - 1.9 * reach, max(near, far), horizon))
    draw.rectangle((0, horizon * s, s, s), fill=vary(rng, rng.choice(GROUNDS)))
    for _ in range(rng.randint(6, 22)):
        x, tall = rng.random(), rng.uniform(0.02, 0.09)
        y = horizon + rng.uniform(0, 0.08)
        color = vary(rng, (60, 56, 60), 40)
        draw.rounded_rectangle(
            ((x - 0.2 * tall) * s, y * s, (x + 0.2 * tall) * s, (y + tall) * s), 0.1 * tall * s, fill=color
        )
    image.paste(_photographed(image, rng))


def _tower(
    draw: ImageDraw.ImageDraw, rng: random.Random, s: int, box: tuple[float, float, float, float]
) -> None:
    left, top, right, bottom = box
    wall = vary(rng, rng.choice(WALLS), 16)
    draw.rectangle((left * s, top * s, right * s, bottom * s), fill=wall)
    pane, step = shade(wall, rng.choice((0.6, 0.75, 1.25))), rng.uniform(0.025, 0.05)
    rows, columns = int((bottom - top) / step), int((right - left) / step)
    for row in range(rows):
        for column in range(columns):
            x, y = left + (column + 0.25) * step, top + (row + 0.25) * step
            draw.rectangle((x * s, y * s, (x + 0.5 * step) * s, (y + 0.5 * step) * s), fill=pane)
    for _ in range(rng.randint(0, 4)):
        x, y = rng.uniform(left, right), rng.uniform(max(top, 0.1), bottom)
        w, h = rng.uniform(0.05, 0.22), rng.uniform(0.05, 0.2)
        color = tuple(rng.randint(20, 250) for _ in range(3))
        draw.rectangle((x * s, y * s, (x + w) * s, (y + h) * s), fill=color)
        for line in range(rng.randint(0, 3)):
            rule = y + (0.25 + 0.22 * line) * h
            ends = ((x + 0.1 * w) * s, rule * s, (x + rng.uniform(0.4, 0.9) * w) * s, (rule + 0.1 * h) * s)
            draw.rectangle(ends, fill=tuple(255 - value for value in color))


def _photographed(image: Image.Image, rng: random.Random) -> Image.Image:
    """Return a picture slightly out of focus, unevenly lit and with grain."""
    soft = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.004) * image.width))
    noise = np.random.default_rng(rng.getrandbits(32))
    light = noise.normal(1, 0.12, (5, 5, 1)).clip(0.6, 1.4) * 128
    lit = Image.fromarray(light[..., 0].astype(np.uint8)).resize(image.size, Image.Resampling.BICUBIC)
    pixels = np.asarray(soft) * (np.asarray(lit)[..., None] / 128)
    pixels = pixels + noise.normal(0, rng.uniform(0, 14), (*pixels.shape[:2], 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
