"""Pictures as few steps leave them: white still around things in their regions, things in wrong colours.

A first step paints somebody in one colour, and what follows takes hair and clothes from that; a model that
has seen hair in the shirt's colour and a shirt in the hair's where others were asked for knows better.
"""

import random

from PIL import Image, ImageDraw

from smd_cli.workshop.world.picture import Picture, Thing, draw_picture

REACH = (0.9, 1.5)
"""How far a region reaches, against its thing: between a little cut and loose."""

ROUND = 1.15
"""How much farther an ellipse reaches than a box, so that it holds as much."""


def draw_bootstrapped(seed: int, size: int = 256) -> tuple[Picture, Image.Image]:
    """Draw the picture of a seed at `size` px, and what is seen of it after its things were bootstrapped.

    A picture without things is seen as it is, and so are colours where the caption leaves a thing out.
    """
    picture = draw_picture(seed, size)
    if not picture.things:
        return picture, picture.image
    rng = random.Random(seed)  # noqa: S311 - a world is drawn, not a secret
    astray = random.Random(rng.random()) if picture.told else None  # noqa: S311
    if picture.background == "white":
        return picture, draw_picture(seed, size, astray=astray).image
    regions = Image.new("L", picture.image.size, 0)
    for thing in picture.things:
        _draw_region(regions, rng, thing)
    alone = draw_picture(seed, size, on_white=True, astray=astray).image
    return picture, Image.composite(alone, picture.image, regions)


def _draw_region(regions: Image.Image, rng: random.Random, thing: Thing) -> None:
    left, top, right, bottom = (share * regions.width for share in thing.box)
    round_ = rng.random() < 0.5
    grown = [rng.uniform(*REACH) * (ROUND if round_ else 1) for _ in range(2)]
    x, y = (left + right) / 2, (top + bottom) / 2
    rx, ry = (right - left) / 2 * grown[0], (bottom - top) / 2 * grown[1]
    draw = ImageDraw.Draw(regions)
    (draw.ellipse if round_ else draw.rectangle)((x - rx, y - ry, x + rx, y + ry), fill=255)
