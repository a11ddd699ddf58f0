"""Compose one picture and its caption from a seed."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageDraw

from smd_cli.workshop.world import captions, people, things
from smd_cli.workshop.world.backgrounds import BACKGROUNDS
from smd_cli.workshop.world.brush import Brush, vary
from smd_cli.workshop.world.palette import SHAPE_COLORS, SHIRT_COLORS
from smd_cli.workshop.world.styles import STYLES

SUPERSAMPLE = 2
SHAPES = ("circle", "square", "triangle", "star")
COLORED = (*SHAPES, "house", "flower")
PLAIN = ("sun", "moon", "tree", "waterfall", "cloud", "boat", "owl", "cat")
PEOPLE = ("boy", "girl", "goddess")
MANY_PARTS = (*("house", "flower", "cat", "owl") * 2, *("flower", "cat") * 2, "moon", "cloud", "star")
KINDS = (*SHAPES, *SHAPES, *MANY_PARTS, *PLAIN, *("boy", "girl") * 5, "goddess")
"""What may be drawn, as often as it is named: people have most to be told about, and parts take learning.

So do things that are pale, or slender."""

SCENIC = (*(name for name in BACKGROUNDS if name != "white"), "times square")
"""Backgrounds behind things; the busiest twice, because colours are hardest to tell in front of it."""


@dataclass(frozen=True)
class Layout:
    """How things stand in a picture.

    Attributes:
        spots: x of each thing's centre, as a share of the width; one thing stands anywhere.
        scale: least and greatest radius, as shares of the width.
        people: how likely a thing is drawn as a person where chance chose something else.
        named: how likely the caption names the background: a region's prompt seldom does.
        scattered: the most things that stand anywhere, instead of at spots.
        one_said: how likely the caption tells one thing alone, as a region's prompt does.
        background_said: how likely it tells the background alone.
    """

    spots: tuple[float, ...]
    scale: tuple[float, float]
    people: float
    named: float
    scattered: int = 0
    one_said: float = 0.25
    background_said: float = 0.06


LAYOUTS: dict[str, tuple[int, Layout]] = {
    "white": (18, Layout((0.5,), (0.12, 0.46), people=0.5, named=0.2)),
    "small on white": (14, Layout((0.5,), (0.11, 0.3), people=0.45, named=0.2)),
    "one": (28, Layout((0.5,), (0.12, 0.46), people=0.5, named=0.6)),
    "two": (8, Layout((0.26, 0.74), (0.16, 0.25), people=0.5, named=0.6)),
    "three": (3, Layout((0.18, 0.5, 0.82), (0.12, 0.17), people=0.3, named=0.6)),
    "scattered": (
        20,
        Layout((), (0.13, 0.3), people=0.3, named=0.1, scattered=4, one_said=0.65, background_said=0.25),
    ),
    "background": (12, Layout((), (0, 0), people=0.0, named=1.0)),
}
"""The layouts and how often each is drawn. A small thing on white is how a bootstrapped region starts;
scattered things, of which the caption tells one, are what the view of a region shows later."""

ON_WHITE = ("white", "small on white")
WHITE_ANYWAY = 0.03
PATCHES = 0.35
STYLED = 0.08
CENTERED = 0.4
APART = 0.85
TRIES = 20


@dataclass(frozen=True)
class Thing:
    """A drawn thing, in the words of its caption; `box` is (left, top, right, bottom) in shares of a side."""

    kind: str
    color: str | None
    hair: str | None
    clothes: str | None
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Picture:
    """A drawn picture, the caption it is trained with, and what is in it.

    `background` is None where two share the picture; `told` says whether the caption leaves no thing out.
    """

    image: Image.Image
    caption: str
    background: str | None
    things: tuple[Thing, ...]
    told: bool = True


def draw_picture(
    seed: int, size: int = 256, *, on_white: bool = False, astray: random.Random | None = None
) -> Picture:
    """Draw the picture of a seed at `size` px.

    `on_white`: its things with nothing behind them; `astray`: with half of those whose colour, hair or
    clothes are told in others, which that chooses.
    """
    rng = random.Random(seed)  # noqa: S311 - a world is drawn, not a secret
    canvas = size * SUPERSAMPLE
    image = Image.new("RGB", (canvas, canvas), (255, 255, 255))
    name = rng.choices(list(LAYOUTS), [share for share, _ in LAYOUTS.values()])[0]
    layout = LAYOUTS[name][1]
    background = "white" if name in ON_WHITE or rng.random() < WHITE_ANYWAY else rng.choice(SCENIC)
    if name == "background" and rng.random() < PATCHES:
        caption = _patch(image, rng, background)
        return Picture(image.reduce(SUPERSAMPLE), caption, None, ())
    BACKGROUNDS[background](image, rng)
    if on_white:
        image.paste((255, 255, 255), (0, 0, *image.size))
    drawn = _things(image, rng, layout, astray)
    style = rng.choice(list(STYLES)) if background != "white" and rng.random() < STYLED else None
    said = _said(rng, layout, background, [words for _, words in drawn])
    caption = _caption(rng, layout, background, said)
    if style is not None:
        image = STYLES[style].paint(image, rng)
        caption = f"{caption}, {rng.choice(STYLES[style].words)}"
    things = tuple(thing for thing, _ in drawn)
    return Picture(image.reduce(SUPERSAMPLE), caption, background, things, told=len(said) == len(drawn))


def _said(rng: random.Random, layout: Layout, background: str, words: list[str]) -> list[str]:
    """Choose what is told: now and then only a part, as a region's prompt does not tell of its neighbours."""
    if background != "white" and rng.random() < layout.background_said:
        return []
    if len(words) > 1 and rng.random() < layout.one_said:
        return [rng.choice(words)]
    return words[::-1] if rng.random() < 0.4 else words


def _caption(rng: random.Random, layout: Layout, background: str, said: list[str]) -> str:
    """Tell things and, as often as the layout says or where nothing else is told, the background."""
    named = not said or rng.random() < layout.named
    where = captions.background_words(rng, background) if named else ""
    return captions.finish(rng, rng.choice((", ", " and ", " beside ")).join(said), where)


def _patch(image: Image.Image, rng: random.Random, background: str) -> str:
    """Draw a background inside a patch on white or on another one, as regions of them stand together."""
    patch = Image.new("RGB", image.size)
    BACKGROUNDS[background](patch, rng)
    if rng.random() < 0.5:
        BACKGROUNDS[rng.choice(SCENIC)](image, rng)
    mask = Image.new("L", image.size, 0)
    s = image.width
    x, y, rx, ry = (rng.uniform(a, b) * s for a, b in ((0.4, 0.6), (0.4, 0.6), (0.25, 0.5), (0.2, 0.5)))
    draw = ImageDraw.Draw(mask)
    shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
    shape((x - rx, y - ry, x + rx, y + ry), fill=255)
    image.paste(patch, mask=mask)
    return captions.finish(rng, captions.background_words(rng, background), "")


def _things(
    image: Image.Image, rng: random.Random, layout: Layout, astray: random.Random | None
) -> list[tuple[Thing, str]]:
    """Draw what stands in front of the background; return the things, each with the words for it."""
    drawn = []
    for center, radius in _scattered(rng, layout) if layout.scattered else _standing(rng, layout):
        person = rng.random() < layout.people
        kind = rng.choice(PEOPLE[:2]) if person else rng.choice(KINDS)
        drawn.append(draw_thing(image, rng, kind, (center, radius), astray))
    return drawn


def _standing(rng: random.Random, layout: Layout) -> Iterator[tuple[tuple[float, float], float]]:
    """Give the centre and the radius of a thing at each spot of a layout."""
    for spot in layout.spots:
        radius = rng.uniform(*layout.scale)
        slack = 0.8 * (0.5 - radius)
        if len(layout.spots) > 1:
            yield (spot + rng.uniform(-0.03, 0.03), rng.uniform(0.38, 0.62)), radius
        elif rng.random() < CENTERED:
            yield (spot, 0.5), radius
        else:
            yield (spot + rng.uniform(-slack, slack), 0.5 + rng.uniform(-slack, slack)), radius


def _scattered(rng: random.Random, layout: Layout) -> list[tuple[tuple[float, float], float]]:
    """Choose centres and radii of things that stand anywhere and hide little of one another."""
    placed: list[tuple[tuple[float, float], float]] = []
    count = rng.randint(1, layout.scattered)
    for _ in range(TRIES):
        radius = rng.uniform(*layout.scale)
        center = rng.uniform(0.9 * radius, 1 - 0.9 * radius), rng.uniform(0.9 * radius, 1 - 0.9 * radius)
        if all(math.dist(center, other) > APART * (radius + size) for other, size in placed):
            placed.append((center, radius))
        if len(placed) == count:
            break
    return placed


def draw_thing(
    image: Image.Image,
    rng: random.Random,
    kind: str,
    place: tuple[tuple[float, float], float],
    astray: random.Random | None = None,
) -> tuple[Thing, str]:
    """Draw one thing; `place` is its centre and radius, shares of the width. Return it and the words for it.

    `astray`: it may be drawn in other colours than the words tell.
    """
    s = image.width
    (x, y), radius = place
    stray = astray if astray is not None and astray.random() < 0.5 else None
    brush = Brush(ImageDraw.Draw(image), (x * s, y * s), radius * s, mirror=rng.random() < 0.5)
    box = (x - radius, y - radius, x + radius, y + radius)
    if kind in PEOPLE:
        person = people.random_person(rng, kind)
        words = captions.person_words(rng, person)
        if rng.random() < 0.35 and radius > 0.3:
            brush = brush.at(0, 0.55, 1.45)
        people.draw_person(brush, rng, people.gone_astray(stray, person, words) if stray else person)
        return Thing(kind, None, person.hair, person.clothes, box), words
    if kind in COLORED:
        colors = SHAPE_COLORS if kind in SHAPES else SHIRT_COLORS
        color = rng.choice(list(colors))
        shown = stray.choice([other for other in colors if other != color]) if stray else color
        getattr(things, kind)(brush, rng, vary(rng, colors[shown]))
        return Thing(kind, color, None, None, box), captions.thing_words(rng, kind, color)
    getattr(things, kind)(brush, rng)
    return Thing(kind, None, None, None, box), captions.thing_words(rng, kind, None)
