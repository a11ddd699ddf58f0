"""The backgrounds that captions name, each drawn over a whole square picture."""

import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageOps

from smd_cli.workshop.world.brush import Color, Point, shade, vary
from smd_cli.workshop.world.street import street

Painter = Callable[[Image.Image, random.Random], None]

WINDOW_LIGHTS: tuple[Color, ...] = ((255, 222, 120), (255, 196, 92), (180, 220, 255))
NEON: tuple[Color, ...] = (
    (240, 70, 120),
    (70, 200, 240),
    (250, 180, 50),
    (150, 90, 240),
    (90, 220, 130),
    (240, 80, 60),
)


def _gradient(image: Image.Image, top: Color, bottom: Color, y0: float = 0.0, y1: float = 1.0) -> None:
    """Fill the rows from y0 to y1 (fractions of the height) from one colour to another."""
    size = image.width
    first, last = int(y0 * size), max(int(y0 * size) + 1, int(y1 * size))
    ramp = Image.linear_gradient("L").resize((size, last - first))
    image.paste(ImageOps.colorize(ramp, top, bottom), (0, first))


def _pixels(image: Image.Image, points: list[Point]) -> list[Point]:
    return [(x * image.width, y * image.height) for x, y in points]


def _disc(image: Image.Image, x: float, y: float, rx: float, ry: float, fill: Color) -> None:
    s = image.width
    ImageDraw.Draw(image).ellipse(((x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s), fill=fill)


def white(image: Image.Image, rng: random.Random) -> None:
    """Draw plain white."""
    image.paste((255, 255, 255), (0, 0, *image.size))


def deep_blue_sky(image: Image.Image, rng: random.Random) -> None:
    """Draw a clear deep blue sky."""
    _gradient(image, vary(rng, (24, 84, 190)), vary(rng, (92, 164, 236)))


def sunset(image: Image.Image, rng: random.Random) -> None:
    """Draw an orange and purple evening sky with bars of cloud."""
    middle = rng.uniform(0.45, 0.6)
    _gradient(image, vary(rng, (110, 62, 140)), vary(rng, (240, 110, 96)), 0, middle)
    _gradient(image, vary(rng, (240, 110, 96)), vary(rng, (255, 204, 110)), middle, 1)
    draw, s = ImageDraw.Draw(image), image.width
    for _ in range(rng.randint(2, 4)):
        x, y, w = rng.uniform(-0.1, 0.8), rng.uniform(0.08, 0.55), rng.uniform(0.2, 0.45)
        draw.rounded_rectangle(
            (x * s, y * s, (x + w) * s, (y + 0.03) * s), 0.015 * s, fill=vary(rng, (226, 104, 122))
        )


def starry_night(image: Image.Image, rng: random.Random) -> None:
    """Draw a dark blue night sky full of stars."""
    _gradient(image, vary(rng, (10, 14, 48), 5), vary(rng, (36, 42, 100), 6))
    for _ in range(rng.randint(22, 36)):
        r = rng.choice((0.008, 0.01, 0.014))
        _disc(image, rng.random(), rng.random(), r, r, (250, 246, 214))


def _sky_over(image: Image.Image, rng: random.Random, horizon: float) -> None:
    _gradient(image, vary(rng, (118, 190, 244)), vary(rng, (206, 232, 250)), 0, horizon + 0.02)


def grass(image: Image.Image, rng: random.Random) -> None:
    """Draw a green meadow under a pale sky."""
    horizon = rng.uniform(0.35, 0.6)
    _sky_over(image, rng, horizon)
    _gradient(image, vary(rng, (126, 196, 92)), vary(rng, (72, 152, 62)), horizon, 1)
    draw, s = ImageDraw.Draw(image), image.width
    for _ in range(26):
        x, y = rng.random(), rng.uniform(horizon + 0.06, 1.0)
        blade = [(x - 0.014, y), (x, y - 0.045), (x + 0.014, y)]
        draw.polygon([(px * s, py * s) for px, py in blade], fill=(56, 130, 54))


def lake(image: Image.Image, rng: random.Random) -> None:
    """Draw clean deep blue water with ripples under a pale sky."""
    horizon = rng.choice((0.0, rng.uniform(0.2, 0.5)))
    _sky_over(image, rng, horizon)
    _gradient(image, vary(rng, (58, 138, 212)), vary(rng, (20, 74, 160)), horizon, 1)
    draw, s = ImageDraw.Draw(image), image.width
    for _ in range(16):
        x, y, w = rng.uniform(-0.05, 0.9), rng.uniform(horizon + 0.05, 0.98), rng.uniform(0.06, 0.2)
        draw.rounded_rectangle((x * s, y * s, (x + w) * s, (y + 0.012) * s), 0.006 * s, fill=(132, 190, 238))


def sand(image: Image.Image, rng: random.Random) -> None:
    """Draw sand dunes under a pale sky."""
    horizon = rng.uniform(0.35, 0.55)
    _sky_over(image, rng, horizon + 0.1)
    _gradient(image, vary(rng, (246, 222, 164)), vary(rng, (226, 190, 120)), horizon, 1)
    for _ in range(3):
        y = rng.uniform(horizon + 0.15, 1.0)
        _disc(image, rng.random(), y + 0.24, rng.uniform(0.4, 0.7), 0.26, vary(rng, (238, 208, 144)))


def snow(image: Image.Image, rng: random.Random) -> None:
    """Draw a snow field under a grey-blue sky with falling flakes."""
    horizon = rng.uniform(0.4, 0.6)
    _gradient(image, vary(rng, (140, 168, 200)), vary(rng, (196, 214, 232)), 0, horizon + 0.12)
    _gradient(image, (236, 243, 250), (250, 252, 255), horizon + 0.08, 1)
    _disc(image, rng.uniform(0.1, 0.9), horizon + 0.2, 0.62, 0.18, (236, 243, 250))
    for _ in range(24):
        _disc(image, rng.random(), rng.random() * horizon, 0.01, 0.01, (255, 255, 255))


def city_night(image: Image.Image, rng: random.Random) -> None:
    """Draw a city square at night: towers with lit windows and neon boards."""
    _gradient(image, vary(rng, (22, 18, 54), 6), vary(rng, (84, 52, 110)))
    draw, s = ImageDraw.Draw(image), image.width
    x = -0.04
    while x < 1.0:
        w, top = rng.uniform(0.16, 0.26), rng.uniform(0.05, 0.42)
        draw.rectangle((x * s, top * s, (x + w) * s, 0.9 * s), fill=vary(rng, (44, 42, 76), 8))
        _windows(draw, rng, s, (x, top, x + w))
        if rng.random() < 0.75:
            by = rng.uniform(top + 0.08, 0.6)
            box = ((x + 0.02) * s, by * s, (x + w - 0.02) * s, (by + rng.uniform(0.1, 0.2)) * s)
            draw.rounded_rectangle(box, 0.012 * s, fill=rng.choice(NEON))
        x += w + 0.01
    draw.rectangle((0, 0.86 * s, s, s), fill=vary(rng, (54, 50, 70), 6))
    for i in range(5):
        draw.rectangle(((0.05 + 0.2 * i) * s, 0.92 * s, (0.15 + 0.2 * i) * s, 0.94 * s), fill=(220, 214, 190))


def _windows(
    draw: ImageDraw.ImageDraw, rng: random.Random, s: int, tower: tuple[float, float, float]
) -> None:
    left, top, right = tower
    y = top + 0.04
    while y < 0.8:
        x = left + 0.025
        while x < right - 0.03:
            if rng.random() < 0.6:
                draw.rectangle(
                    (x * s, y * s, (x + 0.024) * s, (y + 0.034) * s), fill=rng.choice(WINDOW_LIGHTS)
                )
            x += 0.046
        y += 0.07


def _peak(
    image: Image.Image, rng: random.Random, x: float, top: float, half: float, base: float, rock: Color
) -> None:
    draw = ImageDraw.Draw(image)
    draw.polygon(_pixels(image, [(x - half, base), (x, top), (x + half, base)]), fill=rock)
    lean = x + 0.1 * half
    draw.polygon(_pixels(image, [(lean, base), (x, top), (x + half, base)]), fill=shade(rock, 0.8))
    cut, slope = 0.34, half / (base - top)
    y = top + cut * (base - top)
    reach = slope * cut * (base - top)
    cap = [
        (x - reach, y),
        (x, top),
        (x + reach, y),
        (x + 0.45 * reach, y - 0.03),
        (x + 0.1 * reach, y + 0.03),
        (x - 0.4 * reach, y - 0.03),
    ]
    draw.polygon(_pixels(image, cap), fill=(246, 250, 255))


def alps(image: Image.Image, rng: random.Random) -> None:
    """Draw grey peaks with snow caps under a blue sky, green at the foot."""
    horizon = rng.uniform(0.72, 0.86)
    _gradient(image, vary(rng, (84, 160, 232)), vary(rng, (206, 232, 250)), 0, horizon + 0.02)
    rock = vary(rng, (124, 126, 142))
    for i in range(4):
        x = (i + rng.uniform(0.1, 0.9)) / 4
        _peak(
            image, rng, x, rng.uniform(0.14, 0.4), rng.uniform(0.26, 0.4), horizon + 0.02, vary(rng, rock, 8)
        )
    _gradient(image, vary(rng, (110, 170, 96)), vary(rng, (80, 144, 74)), horizon, 1)


def summer_mountains(image: Image.Image, rng: random.Random) -> None:
    """Draw round green mountains in layers under a pale sky."""
    top = rng.uniform(0.2, 0.45)
    _sky_over(image, rng, min(1.0, top + 0.35))
    for layer, color in enumerate(((126, 184, 148), (92, 164, 104), (62, 138, 74))):
        level = top + 0.2 * layer
        for i in range(3):
            x = (i + rng.uniform(0.1, 0.9)) / 3
            height = rng.uniform(0.55, 0.75)
            _disc(image, x, level + height, rng.uniform(0.26, 0.4), height, vary(rng, color, 6))


BACKGROUNDS: dict[str, Painter] = {
    "white": white,
    "blue sky": deep_blue_sky,
    "sunset": sunset,
    "night sky": starry_night,
    "grass": grass,
    "lake": lake,
    "sand": sand,
    "snow": snow,
    "times square": city_night,
    "street": street,
    "alps": alps,
    "summer mountains": summer_mountains,
}
