"""Pictures as they look after bootstrapped steps: objects on patches of white, some of them in wrong colours.

The UNet is trained to turn these into the right pictures. The first sampling step often gives hair and
clothes one colour, and the later steps keep it; so training shows hair in the shirt's colour, and the shirt
in the hair's, with the right colours as the target.
"""

import random

from PIL import Image, ImageDraw

from smd_cli.workshop.world.picture import CaptionedPicture, Thing, draw_picture

REGION_SCALE = (0.9, 1.5)
"""Size of a region relative to its object's box: from one that cuts the object a little to a loose one."""

ELLIPSE_SCALE = 1.15
"""Extra size of an elliptic region relative to a rectangular one, so that it holds as much."""


def draw_bootstrapped(seed: int, size: int = 256) -> tuple[CaptionedPicture, Image.Image]:
    """Draw the picture of a seed at `size` px, and the same as it looks after its objects were bootstrapped.

    A picture without objects stays as it is. Colours stay as they are where the caption leaves an object out.
    """
    picture = draw_picture(seed, size)
    if not picture.things:
        return picture, picture.image
    rng = random.Random(seed)  # noqa: S311 - a world is drawn, not a secret
    recolor = random.Random(rng.random()) if picture.caption_complete else None  # noqa: S311
    if picture.background == "white":
        return picture, draw_picture(seed, size, recolor=recolor).image
    regions = Image.new("L", picture.image.size, 0)
    for thing in picture.things:
        _draw_region(regions, rng, thing)
    alone = draw_picture(seed, size, on_white=True, recolor=recolor).image
    return picture, Image.composite(alone, picture.image, regions)


def _draw_region(regions: Image.Image, rng: random.Random, thing: Thing) -> None:
    left, top, right, bottom = (share * regions.width for share in thing.box)
    round_ = rng.random() < 0.5
    grown = [rng.uniform(*REGION_SCALE) * (ELLIPSE_SCALE if round_ else 1) for _ in range(2)]
    x, y = (left + right) / 2, (top + bottom) / 2
    rx, ry = (right - left) / 2 * grown[0], (bottom - top) / 2 * grown[1]
    draw = ImageDraw.Draw(regions)
    (draw.ellipse if round_ else draw.rectangle)((x - rx, y - ry, x + rx, y + ry), fill=255)
