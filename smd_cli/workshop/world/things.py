"""The objects that captions name, each drawn in its brush's local coordinates, [-1, 1] on both axes."""

import math
import random

from smd_cli.workshop.world.brush import Brush, Color, shade, star_points, vary
from smd_cli.workshop.world.palette import DARK, WHITE


def circle(brush: Brush, rng: random.Random, color: Color) -> None:
    """Draw a disc."""
    brush.ellipse(0, 0, 0.9, 0.9, color)


def square(brush: Brush, rng: random.Random, color: Color) -> None:
    """Draw a square."""
    brush.box(0, 0, 0.82, 0.82, fill=color)


def triangle(brush: Brush, rng: random.Random, color: Color) -> None:
    """Draw a triangle with a horizontal base."""
    brush.polygon([(0, -0.92), (0.95, 0.8), (-0.95, 0.8)], color)


def star(brush: Brush, rng: random.Random, color: Color) -> None:
    """Draw a five-pointed star."""
    brush.polygon(star_points(5, 0.42), color)


def sun(brush: Brush, rng: random.Random) -> None:
    """Draw a yellow disc with rays."""
    brush.polygon(star_points(rng.choice((10, 12)), 0.76), vary(rng, (255, 180, 40)))
    brush.ellipse(0, 0, 0.66, 0.66, vary(rng, (255, 218, 60)))


def moon(brush: Brush, rng: random.Random) -> None:
    """Draw a pale yellow crescent: an outer arc, then back along the arc of a second disc."""
    outer = [math.radians(a) for a in range(50, 311, 10)]
    inner = [math.radians(a) for a in range(280, 79, -10)]
    points = [(0.9 * math.cos(a), 0.9 * math.sin(a)) for a in outer]
    points += [(0.45 + 0.7 * math.cos(a), 0.7 * math.sin(a)) for a in inner]
    brush.polygon(points, vary(rng, (250, 226, 120)))
    brush.ellipse(-0.58, -0.16, 0.08, 0.08, (228, 196, 92))
    brush.ellipse(-0.42, 0.34, 0.11, 0.11, (228, 196, 92))


def tree(brush: Brush, rng: random.Random) -> None:
    """Draw a large leafy tree with a brown trunk."""
    trunk = vary(rng, (112, 74, 44))
    leaf = vary(rng, (62, 142, 66), 12)
    brush.polygon([(-0.13, 0), (0.13, 0), (0.2, 0.98), (-0.2, 0.98)], trunk)
    for x, y, r in ((-0.42, -0.08, 0.42), (0.42, -0.08, 0.42), (0, -0.02, 0.45), (0, -0.48, 0.48)):
        brush.ellipse(x, y, r, r, shade(leaf, 0.86))
    for x, y, r in ((-0.46, -0.16, 0.32), (0.36, -0.18, 0.34), (-0.04, -0.55, 0.38)):
        brush.ellipse(x, y, r, r, leaf)


def waterfall(brush: Brush, rng: random.Random) -> None:
    """Draw a giant waterfall between grey cliffs, ending in foam."""
    rock = vary(rng, (122, 116, 112), 10)
    water = vary(rng, (150, 208, 242))
    brush.polygon([(-0.9, 0.9), (-0.8, -0.8), (-0.3, -0.95), (0.35, -0.92), (0.8, -0.78), (0.92, 0.9)], rock)
    brush.polygon([(-0.9, 0.9), (-0.8, -0.8), (-0.62, -0.85), (-0.6, 0.9)], shade(rock, 0.82))
    brush.polygon([(-0.34, -0.92), (0.34, -0.92), (0.46, 0.85), (-0.46, 0.85)], water)
    for x in (-0.22, -0.02, 0.2):
        brush.line([(x * 0.8, -0.86), (x * 1.25, 0.7)], 0.05, WHITE)
    for x, r in ((-0.5, 0.2), (-0.2, 0.26), (0.15, 0.24), (0.48, 0.2)):
        brush.ellipse(x, 0.8, r, 0.16, (238, 248, 255))


def house(brush: Brush, rng: random.Random, color: Color) -> None:
    """Draw a house: walls in a colour, a roof, a door and two windows."""
    roof = vary(rng, (120, 72, 58) if sum(color) > 150 else (150, 70, 60))
    brush.box(0.5, -0.55, 0.1, 0.28, fill=shade(roof, 0.8))
    brush.box(0, 0.36, 0.76, 0.54, fill=color)
    brush.polygon([(-0.95, -0.14), (0, -0.88), (0.95, -0.14)], roof)
    brush.box(0, 0.56, 0.16, 0.34, fill=(92, 58, 38))
    for x in (-0.46, 0.46):
        brush.box(x, 0.22, 0.17, 0.17, fill=WHITE)
        brush.box(x, 0.22, 0.13, 0.13, fill=(160, 214, 244))


def cloud(brush: Brush, rng: random.Random) -> None:
    """Draw a white cloud with a blue-grey belly."""
    puffs = ((-0.52, 0.1, 0.36), (0.52, 0.1, 0.36), (-0.14, -0.18, 0.46), (0.3, -0.1, 0.4))
    for x, y, r in puffs:
        brush.ellipse(x, y + 0.08, r, r, (196, 212, 230))
    brush.box(0, 0.32, 0.62, 0.2, fill=(196, 212, 230), round_by=0.2)
    for x, y, r in puffs:
        brush.ellipse(x, y, r * 0.93, r * 0.93, (244, 248, 253))


def flower(brush: Brush, rng: random.Random, color: Color) -> None:
    """Draw a flower with petals in a colour, a stem and two leaves."""
    stem = vary(rng, (58, 140, 60))
    brush.line([(0, -0.2), (0, 0.92)], 0.09, stem)
    brush.ellipse(-0.26, 0.55, 0.25, 0.11, stem)
    brush.ellipse(0.26, 0.68, 0.25, 0.11, stem)
    for i in range(6):
        angle = math.radians(60 * i + 30)
        brush.ellipse(0.36 * math.cos(angle), -0.38 + 0.36 * math.sin(angle), 0.25, 0.25, color)
    heart = (250, 205, 60) if color[0] < 240 or color[2] > 120 else (150, 88, 40)
    brush.ellipse(0, -0.38, 0.22, 0.22, heart)


def boat(brush: Brush, rng: random.Random) -> None:
    """Draw a sailing boat."""
    brush.line([(0, -0.9), (0, 0.4)], 0.06, (96, 66, 46))
    brush.polygon([(0.07, -0.82), (0.72, 0.24), (0.07, 0.24)], vary(rng, (240, 238, 230), 6))
    brush.polygon([(-0.07, -0.66), (-0.56, 0.24), (-0.07, 0.24)], vary(rng, (226, 84, 66)))
    brush.polygon([(-0.9, 0.36), (0.9, 0.36), (0.6, 0.8), (-0.6, 0.8)], vary(rng, (140, 82, 48)))


def owl(brush: Brush, rng: random.Random) -> None:
    """Draw a small sitting owl that looks at the viewer."""
    fur = vary(rng, (136, 94, 60), 10)
    brush.polygon([(-0.56, -0.5), (-0.52, -0.96), (-0.16, -0.72)], fur)
    brush.polygon([(0.56, -0.5), (0.52, -0.96), (0.16, -0.72)], fur)
    brush.ellipse(0, 0.2, 0.62, 0.72, fur)
    brush.ellipse(0, -0.34, 0.6, 0.5, fur)
    brush.ellipse(0, 0.36, 0.38, 0.46, (226, 200, 160))
    brush.ellipse(-0.54, 0.24, 0.17, 0.46, shade(fur, 0.75))
    brush.ellipse(0.54, 0.24, 0.17, 0.46, shade(fur, 0.75))
    for x in (-0.25, 0.25):
        brush.ellipse(x, -0.36, 0.25, 0.25, (255, 244, 214))
        brush.ellipse(x, -0.36, 0.13, 0.13, DARK)
    brush.polygon([(-0.1, -0.2), (0.1, -0.2), (0, 0.02)], (246, 168, 48))
    for x in (-0.2, 0.2):
        brush.ellipse(x, 0.9, 0.14, 0.07, (246, 168, 48))


CAT_FURS: tuple[Color, ...] = ((232, 150, 74), (104, 104, 112), (52, 48, 54), (222, 206, 182))


def cat(brush: Brush, rng: random.Random) -> None:
    """Draw a sitting cat with pointed ears, whiskers and a tail."""
    fur = vary(rng, rng.choice(CAT_FURS))
    brush.line([(0.42, 0.8), (0.8, 0.6), (0.78, 0.16)], 0.16, shade(fur, 0.85))
    for side in (-1, 1):
        brush.polygon([(side * 0.52, -0.4), (side * 0.5, -0.94), (side * 0.1, -0.66)], fur)
        brush.polygon([(side * 0.44, -0.5), (side * 0.43, -0.78), (side * 0.22, -0.62)], (244, 166, 166))
    brush.ellipse(0, 0.42, 0.46, 0.52, fur)
    brush.ellipse(0, -0.28, 0.54, 0.46, fur)
    brush.ellipse(0, 0.5, 0.24, 0.36, shade(fur, 1.45))
    for x in (-0.22, 0.22):
        brush.ellipse(x, -0.32, 0.12, 0.14, (196, 226, 110))
        brush.ellipse(x, -0.32, 0.05, 0.12, DARK)
        brush.ellipse(x * 0.9, 0.88, 0.17, 0.09, shade(fur, 1.25))
        for lift in (-0.02, 0.08):
            brush.line([(x * 1.0, -0.08 + lift), (x * 3.2, -0.14 + 2 * lift)], 0.018, shade(fur, 0.55))
    brush.polygon([(-0.07, -0.16), (0.07, -0.16), (0, -0.07)], (232, 110, 120))
