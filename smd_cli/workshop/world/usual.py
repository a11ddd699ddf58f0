"""Things alone on white in their usual look: what words leave open is the same each time.

A first estimate is the mean of all that words can mean. Of four colours of cats, or of lifted and hanging
arms, that is a pale haze, which the next steps take for white.
"""

import random
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from smd_cli.workshop.world import captions, people, things
from smd_cli.workshop.world.brush import Brush
from smd_cli.workshop.world.palette import SHAPE_COLORS
from smd_cli.workshop.world.picture import COLORED, PEOPLE, SUPERSAMPLE

KINDS = (*("goddess",) * 7, *("moon",) * 5, *("boat", "cat") * 4, *("sun",) * 3, *("star",) * 2)
"""What is lost most; a kind listed n times is n times as likely."""

HAIR = "brown"
LOOK = 5
"""Seed of the look, in which cats are dark and suns have twelve rays."""


def draw_usual(rng: random.Random, kind: str, radius: float, size: int = 256) -> tuple[np.ndarray, str]:
    """Draw a thing in the middle, with a radius that is a share of the width, at `size` px.

    Returns pixels (H, W, 3) uint8 and words.
    """
    side = size * SUPERSAMPLE
    canvas = Image.new("RGB", (side, side), "white")
    brush = Brush(ImageDraw.Draw(canvas), (side / 2, side / 2), radius * side)
    look = random.Random(LOOK)  # noqa: S311 - a world is drawn, not a secret
    if kind in PEOPLE:
        person, words = _usual_person(rng, kind)
        people.draw_person(brush, look, person)
    elif kind in COLORED:
        color = rng.choice(list(SHAPE_COLORS))
        words = captions.thing_words(rng, kind, color)
        getattr(things, kind)(brush, look, SHAPE_COLORS[color])
    else:
        words = captions.thing_words(rng, kind, None)
        getattr(things, kind)(brush, look)
    return np.asarray(canvas.reduce(SUPERSAMPLE)), words


def _usual_person(rng: random.Random, kind: str) -> tuple[people.Person, str]:
    """Return a person and words for it; what these leave out is usual."""
    person = replace(people.random_person(rng, kind), smile=True)
    words = captions.person_words(rng, person)
    hair = person.hair if f"{person.hair} hair" in words else HAIR
    return replace(person, hair=hair, lifts_arm="lifts arm" in words), words
