"""A random scene as a perfect model would paint it: the world's own drawings in the middle of the regions."""

import random

from PIL import Image, ImageDraw, ImageOps

from smd_cli.workshop.judge.labels import Answers
from smd_cli.workshop.quality.random_scenes import RandomScene
from smd_cli.workshop.world import people, things
from smd_cli.workshop.world.backgrounds import BACKGROUNDS
from smd_cli.workshop.world.brush import Brush, vary
from smd_cli.workshop.world.palette import SHAPE_COLORS, SHIRT_COLORS
from smd_cli.workshop.world.picture import COLORED, PEOPLE, SHAPES, SUPERSAMPLE

FITS = 0.45
"""Radius of a thing, relative to the shorter side of its region's box."""


def draw_as_asked(scene: RandomScene) -> Image.Image:
    """Draw what a scene asks for; later regions cover earlier ones."""
    rng = random.Random(scene.seed)  # noqa: S311 - a world is drawn, not a secret
    width, height = (scene.document["canvas"][side] for side in ("width", "height"))
    image = _ground(scene.background, rng, (width * SUPERSAMPLE, height * SUPERSAMPLE))
    for region in scene.regions:
        left, top, right, bottom = (SUPERSAMPLE * edge for edge in region.box)
        radius = FITS * min(right - left, bottom - top)
        brush = Brush(ImageDraw.Draw(image), ((left + right) / 2, (top + bottom) / 2), radius)
        draw_answers(brush, rng, region.answers)
    return image.reduce(SUPERSAMPLE)


def draw_answers(brush: Brush, rng: random.Random, answers: Answers) -> None:
    """Draw the thing that would get these answers."""
    kind = answers["kind"]
    if kind in PEOPLE:
        person = people.Person(kind, answers["hair"], answers["clothes"], rng.random() < 0.6, lifts_arm=False)
        people.draw_person(brush, rng, person)
    elif kind in COLORED:
        colors = SHAPE_COLORS if kind in SHAPES else SHIRT_COLORS
        getattr(things, kind)(brush, rng, vary(rng, colors[answers["color"]]))
    else:
        getattr(things, kind)(brush, rng)


def _ground(background: str, rng: random.Random, size: tuple[int, int]) -> Image.Image:
    """Draw a background as high as the picture, and beside it its mirror images: the world is square."""
    width, height = size
    square = Image.new("RGB", (height, height))
    BACKGROUNDS[background](square, rng)
    image = Image.new("RGB", size)
    for left in range(0, width, height):
        image.paste(square, (left, 0))
        square = ImageOps.mirror(square)
    return image
