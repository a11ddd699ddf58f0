"""Compose one picture and its caption from a seed."""

import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

from smd_cli.flatland.world import captions, people, things
from smd_cli.flatland.world.backgrounds import BACKGROUNDS
from smd_cli.flatland.world.brush import Brush, vary
from smd_cli.flatland.world.palette import SHAPE_COLORS, SHIRT_COLORS

SUPERSAMPLE = 2
SHAPES = ("circle", "square", "triangle", "star")
COLORED = (*SHAPES, "house", "flower")
PLAIN = ("sun", "moon", "tree", "waterfall", "cloud", "boat", "owl", "cat")
PEOPLE = ("boy", "girl", "goddess")
KINDS = (*SHAPES, *SHAPES, "house", "flower", *PLAIN, "owl", *("boy", "girl") * 5, "goddess", "goddess")


@dataclass(frozen=True)
class Picture:
    """A drawn picture, the caption it is trained with, and the names of what is in it."""

    image: Image.Image
    caption: str
    background: str
    things: tuple[str, ...]


def draw_picture(seed: int, size: int = 256) -> Picture:
    """Draw the picture of a seed at `size` px.

    Four layouts: one thing on white (the state a bootstrapped region starts from), one thing on any
    background, two things side by side, and a background alone (now and then as a patch on white).
    """
    rng = random.Random(seed)  # noqa: S311 - a world is drawn, not a secret
    canvas = size * SUPERSAMPLE
    image = Image.new("RGB", (canvas, canvas), (255, 255, 255))
    layout = rng.choices(("white", "one", "two", "background"), (34, 38, 11, 17))[0]
    scenic = [name for name in BACKGROUNDS if name != "white"]
    background = "white" if layout == "white" or rng.random() < 0.03 else rng.choice(scenic)
    if layout == "background" and rng.random() < 0.3:
        caption = _patch(image, rng, background)
        names: tuple[str, ...] = ()
    else:
        BACKGROUNDS[background](image, rng)
        names, subject = _things(image, rng, layout)
        caption = captions.finish(rng, subject, _named_background(rng, layout, background))
    return Picture(image.reduce(SUPERSAMPLE), caption, background, names)


def _named_background(rng: random.Random, layout: str, background: str) -> str:
    """Name the background, or leave it unsaid: region prompts seldom name one."""
    named = {"white": 0.2, "one": 0.65, "two": 0.7, "background": 1.0}[layout]
    return captions.background_words(rng, background) if rng.random() < named else ""


def _patch(image: Image.Image, rng: random.Random, background: str) -> str:
    """Draw a background inside a patch on white, as a region of it looks while bootstrapping."""
    patch = Image.new("RGB", image.size)
    BACKGROUNDS[background](patch, rng)
    mask = Image.new("L", image.size, 0)
    s = image.width
    x, y, rx, ry = (rng.uniform(a, b) * s for a, b in ((0.4, 0.6), (0.4, 0.6), (0.25, 0.5), (0.2, 0.5)))
    draw = ImageDraw.Draw(mask)
    shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
    shape((x - rx, y - ry, x + rx, y + ry), fill=255)
    image.paste(patch, mask=mask)
    return captions.finish(rng, captions.background_words(rng, background), "")


def _things(image: Image.Image, rng: random.Random, layout: str) -> tuple[tuple[str, ...], str]:
    """Draw what stands in front of the background; return the names and the words for it."""
    if layout == "background":
        return (), ""
    s = image.width
    if layout in ("white", "one"):
        scale = rng.uniform(0.24, 0.46)
        slack = 0.5 - scale
        center = (0.5 + rng.uniform(-0.6, 0.6) * slack, 0.5 + rng.uniform(-0.6, 0.6) * slack)
        name, words = _thing(image, rng, (center[0] * s, center[1] * s), scale * s)
        return (name,), words
    scale = rng.uniform(0.17, 0.25)
    drawn = [
        _thing(image, rng, ((x + rng.uniform(-0.03, 0.03)) * s, rng.uniform(0.4, 0.6) * s), scale * s)
        for x in (0.26, 0.74)
    ]
    if rng.random() < 0.4:
        drawn.reverse()
    return tuple(name for name, _ in drawn), rng.choice((", ", " and ", " beside ")).join(
        words for _, words in drawn
    )


def _thing(
    image: Image.Image, rng: random.Random, center: tuple[float, float], radius: float
) -> tuple[str, str]:
    """Draw one thing of a random kind; return its name and the words for it."""
    kind = rng.choice(KINDS)
    brush = Brush(ImageDraw.Draw(image), center, radius, mirror=rng.random() < 0.5)
    if kind in PEOPLE:
        person = people.random_person(rng, kind)
        if rng.random() < 0.35 and radius > 0.3 * image.width:
            brush = brush.at(0, 0.55, 1.45)
        people.draw_person(brush, rng, person)
        return f"{person.hair} {kind}", captions.person_words(rng, person)
    if kind in COLORED:
        colors = SHAPE_COLORS if kind in SHAPES else SHIRT_COLORS
        color = rng.choice(list(colors))
        getattr(things, kind)(brush, rng, vary(rng, colors[color]))
        return f"{color} {kind}", captions.thing_words(rng, kind, color)
    getattr(things, kind)(brush, rng)
    return kind, captions.thing_words(rng, kind, None)
