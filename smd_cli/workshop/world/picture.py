"""Compose one picture and its caption from a seed."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

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
"""The kinds of objects to choose from; a kind listed n times is n times as likely.

People have the most attributes to learn. Objects of many parts, and pale or slender ones, are hard to
learn."""

ONE_WAY = ("moon", "boat", "cat")
"""Objects that are never mirrored, as people who lift an arm are not.

A first few-step estimate is the mean of all pictures that its noise may lead to. That of a crescent open to
the left and one open to the right is neither: two lumps, one over the other."""

SCENIC = (*(name for name in BACKGROUNDS if name != "white"), "times square")
"""Backgrounds behind objects; the busiest is listed twice, as colours are hardest to learn in front of it."""


@dataclass(frozen=True)
class Composition:
    """How objects are placed in a picture, and what its caption mentions.

    Attributes:
        spots: x of each object's centre, as a share of the width; a single object is placed anywhere.
        scale: smallest and largest radius, as shares of the width.
        people: probability that an object is a person before `KINDS` is consulted.
        names_background: probability that the caption names the background; prompts of regions seldom do.
        scattered: the maximum number of objects placed anywhere; 0 places one at each spot.
        one_described: probability that the caption describes only one object, as the prompt of a region does.
        background_alone: probability that the caption names only the background.
    """

    spots: tuple[float, ...]
    scale: tuple[float, float]
    people: float
    names_background: float
    scattered: int = 0
    one_described: float = 0.25
    background_alone: float = 0.06


COMPOSITIONS: dict[str, tuple[int, Composition]] = {
    "white": (18, Composition((0.5,), (0.12, 0.46), people=0.5, names_background=0.2)),
    "small on white": (14, Composition((0.5,), (0.11, 0.3), people=0.45, names_background=0.2)),
    "one": (28, Composition((0.5,), (0.12, 0.46), people=0.5, names_background=0.6)),
    "two": (8, Composition((0.26, 0.74), (0.16, 0.25), people=0.5, names_background=0.6)),
    "three": (3, Composition((0.18, 0.5, 0.82), (0.12, 0.17), people=0.3, names_background=0.6)),
    "scattered": (
        20,
        Composition(
            (),
            (0.13, 0.3),
            people=0.3,
            names_background=0.1,
            scattered=4,
            one_described=0.65,
            background_alone=0.25,
        ),
    ),
    "background": (12, Composition((), (0, 0), people=0.0, names_background=1.0)),
}
"""The compositions with their relative frequencies.

A bootstrapped region starts as a small object on white. Later the view of a region shows several objects, of
which its prompt describes one, as with scattered objects here."""

ON_WHITE = ("white", "small on white")
WHITE_ANYWAY = 0.03
"""Probability of a white background in the other compositions."""

PATCHES = 0.35
"""Probability that a background drawn alone is a patch on another one."""

STYLED = 0.08
"""Probability of a style."""

CENTERED = 0.4
"""Probability that a single object is in the middle."""

APART = 0.85
"""Smallest distance of scattered objects, as a share of the sum of their radii."""

TRIES = 20


@dataclass(frozen=True)
class Thing:
    """A drawn object in the words of captions; `box` is (left, top, right, bottom) as shares of the side."""

    kind: str
    color: str | None
    hair: str | None
    clothes: str | None
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class CaptionedPicture:
    """A drawn picture, its caption, and what it shows.

    Attributes:
        image: the picture.
        caption: what training says about it.
        background: its background; None where two share the picture.
        things: its objects.
        caption_complete: whether the caption describes every object.
    """

    image: Image.Image
    caption: str
    background: str | None
    things: tuple[Thing, ...]
    caption_complete: bool = True


def draw_picture(
    seed: int, size: int = 256, *, on_white: bool = False, recolor: random.Random | None = None
) -> CaptionedPicture:
    """Draw the picture of a seed at `size` px.

    `on_white` draws its objects on white. `recolor`, a random generator, redraws half of the objects whose
    colour, hair or clothes the caption names, in other colours that it chooses; nothing else changes.
    """
    rng = random.Random(seed)  # noqa: S311 - a world is drawn, not a secret
    canvas = size * SUPERSAMPLE
    image = Image.new("RGB", (canvas, canvas), (255, 255, 255))
    name = rng.choices(list(COMPOSITIONS), [share for share, _ in COMPOSITIONS.values()])[0]
    composition = COMPOSITIONS[name][1]
    background = "white" if name in ON_WHITE or rng.random() < WHITE_ANYWAY else rng.choice(SCENIC)
    if name == "background" and rng.random() < PATCHES:
        caption = _patch(image, rng, background)
        return CaptionedPicture(image.reduce(SUPERSAMPLE), caption, None, ())
    BACKGROUNDS[background](image, rng)
    if on_white:
        image.paste((255, 255, 255), (0, 0, *image.size))
    drawn = _things(image, rng, composition, recolor)
    style = rng.choice(list(STYLES)) if background != "white" and rng.random() < STYLED else None
    described = _described(rng, composition, background, [words for _, words in drawn])
    caption = _caption(rng, composition, background, described)
    if style is not None:
        image = STYLES[style].paint(image, rng)
        caption = f"{caption}, {rng.choice(STYLES[style].words)}"
    things = tuple(thing for thing, _ in drawn)
    return CaptionedPicture(
        image.reduce(SUPERSAMPLE), caption, background, things, caption_complete=len(described) == len(drawn)
    )


def _described(rng: random.Random, composition: Composition, background: str, words: list[str]) -> list[str]:
    """Choose what the caption describes: sometimes one object alone, as a region's prompt does."""
    if background != "white" and rng.random() < composition.background_alone:
        return []
    if len(words) > 1 and rng.random() < composition.one_described:
        return [rng.choice(words)]
    return words[::-1] if rng.random() < 0.4 else words


def _caption(rng: random.Random, composition: Composition, background: str, described: list[str]) -> str:
    """Describe objects; name the background with the composition's probability, or where there are none."""
    names_background = not described or rng.random() < composition.names_background
    where = captions.background_words(rng, background) if names_background else ""
    return captions.finish(rng, rng.choice((", ", " and ", " beside ")).join(described), where)


def _patch(image: Image.Image, rng: random.Random, background: str) -> str:
    """Draw a background in a patch on white or on another background, as regions border one another."""
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
    image: Image.Image, rng: random.Random, composition: Composition, recolor: random.Random | None
) -> list[tuple[Thing, str]]:
    """Draw the objects in front of the background; return each with the words that describe it."""
    drawn = []
    for center, radius in (
        _scattered(rng, composition) if composition.scattered else _at_spots(rng, composition)
    ):
        person = rng.random() < composition.people
        kind = rng.choice(PEOPLE[:2]) if person else rng.choice(KINDS)
        drawn.append(draw_thing(image, rng, kind, (center, radius), recolor))
    return drawn


def _at_spots(rng: random.Random, composition: Composition) -> Iterator[tuple[tuple[float, float], float]]:
    """Yield the centre and the radius of an object for each spot of a composition, as shares of the width."""
    for spot in composition.spots:
        radius = rng.uniform(*composition.scale)
        slack = 0.8 * (0.5 - radius)
        if len(composition.spots) > 1:
            yield (spot + rng.uniform(-0.03, 0.03), rng.uniform(0.38, 0.62)), radius
        elif rng.random() < CENTERED:
            yield (spot, 0.5), radius
        else:
            yield (spot + rng.uniform(-slack, slack), 0.5 + rng.uniform(-slack, slack)), radius


def _scattered(rng: random.Random, composition: Composition) -> list[tuple[tuple[float, float], float]]:
    """Choose centres and radii of objects placed anywhere with little overlap, as shares of the width."""
    placed: list[tuple[tuple[float, float], float]] = []
    count = rng.randint(1, composition.scattered)
    for _ in range(TRIES):
        radius = rng.uniform(*composition.scale)
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
    recolor: random.Random | None = None,
) -> tuple[Thing, str]:
    """Draw one object at `place` (centre and radius, as shares of the width); return it and its description.

    With `recolor` it is drawn, half the time, in other colours than the description names.
    """
    s = image.width
    (x, y), radius = place
    chooser = recolor if recolor is not None and recolor.random() < 0.5 else None
    brush = Brush(ImageDraw.Draw(image), (x * s, y * s), radius * s, mirror=rng.random() < 0.5)
    box = (x - radius, y - radius, x + radius, y + radius)
    if kind in ONE_WAY:
        brush = replace(brush, mirror=False)
    if kind in PEOPLE:
        person = people.random_person(rng, kind)
        if person.lifts_arm:
            brush = replace(brush, mirror=False)
        words = captions.person_words(rng, person)
        if rng.random() < 0.35 and radius > 0.3:
            brush = brush.at(0, 0.55, 1.45)
        people.draw_person(
            brush, rng, people.with_wrong_colors(chooser, person, words) if chooser else person
        )
        return Thing(kind, None, person.hair, person.clothes, box), words
    if kind in COLORED:
        colors = SHAPE_COLORS if kind in SHAPES else SHIRT_COLORS
        color = rng.choice(list(colors))
        shown = chooser.choice([other for other in colors if other != color]) if chooser else color
        getattr(things, kind)(brush, rng, vary(rng, colors[shown]))
        return Thing(kind, color, None, None, box), captions.thing_words(rng, kind, color)
    getattr(things, kind)(brush, rng)
    return Thing(kind, None, None, None, box), captions.thing_words(rng, kind, None)
