"""People: a boy, a girl or a Greek goddess, with hair and clothes that a caption can name."""

import random
from dataclasses import dataclass, replace

from smd_cli.workshop.world.brush import Brush, Color, shade, vary
from smd_cli.workshop.world.palette import DARK, HAIR_COLORS, SHIRT_COLORS, SKIN

HEAD_Y = -0.42

TOPS: dict[str, tuple[Color, ...]] = {
    "casual shirt": ((96, 150, 200), (200, 206, 214), (130, 176, 120), (214, 178, 130)),
    "leather jacket": ((46, 40, 42), (92, 56, 36)),
    **{f"{name} shirt": (color,) for name, color in SHIRT_COLORS.items()},
}
"""The possible colours of each kind of clothes. Choosing one always takes one random number, so that other
clothes leave the rest of a picture as it is."""


@dataclass(frozen=True)
class Person:
    """What a person looks like, in the words that captions use."""

    kind: str
    hair: str
    clothes: str
    smile: bool
    lifts_arm: bool


def random_person(rng: random.Random, kind: str) -> Person:
    """Choose the attributes of a person of a kind (boy, girl or goddess)."""
    if kind == "goddess":
        hair = rng.choice(("brown", "blonde", "black", "red"))
        return Person(kind, hair, "robe", rng.random() < 0.6, rng.random() < 0.4)
    clothes = rng.choice([*TOPS, *["casual shirt", "leather jacket"] * 3])
    return Person(kind, rng.choice(list(HAIR_COLORS)), clothes, rng.random() < 0.6, rng.random() < 0.08)


def with_wrong_colors(rng: random.Random, person: Person, words: str) -> Person:
    """Return a person whose hair, clothes or both have another colour than the caption `words` name.

    Only what `words` name is changed. Hair takes the colour of the shirt and the shirt that of the hair,
    where those colours exist for them; otherwise a random other colour.
    """
    tags = {"hair": f"{person.hair} hair", "clothes": person.clothes}
    named = [part for part, tag in tags.items() if tag in words]
    changed = rng.sample(named, rng.randint(1, len(named))) if named else []
    shirt = person.clothes.split()[0]
    hair = _other(rng, list(HAIR_COLORS), person.hair, shirt)
    clothes = f"{_other(rng, list(SHIRT_COLORS), shirt, person.hair)} shirt"
    return replace(
        person,
        hair=hair if "hair" in changed else person.hair,
        clothes=clothes if "clothes" in changed else person.clothes,
    )


def _other(rng: random.Random, colors: list[str], own: str, wish: str) -> str:
    """Return `wish` where it is among `colors` and differs from `own`, else a random other colour."""
    others = [color for color in colors if color != own]
    return wish if wish in others else rng.choice(others)


def draw_person(brush: Brush, rng: random.Random, person: Person) -> None:
    """Draw a whole figure: feet at y = 1, the top of the hair near y = -1."""
    skin = vary(rng, SKIN[0] if person.kind == "goddess" else rng.choice(SKIN), 5)
    hair = vary(rng, HAIR_COLORS[person.hair], 7)
    if person.kind != "boy":
        _long_hair(brush, rng, hair)
    if person.clothes == "robe":
        _robe(brush, person, skin)
    else:
        _dressed_body(brush, rng, person, skin)
    _head(brush, person, skin)
    _fringe(brush, rng, person, hair)
    if person.kind == "goddess":
        for x, y in ((-0.36, -0.62), (-0.2, -0.76), (0.0, -0.8), (0.2, -0.76), (0.36, -0.62)):
            brush.ellipse(x, y, 0.09, 0.055, (236, 190, 60))


def _long_hair(brush: Brush, rng: random.Random, hair: Color) -> None:
    length = rng.uniform(0.3, 0.52)
    brush.box(0, HEAD_Y + length / 2, 0.47, 0.3 + length / 2, fill=shade(hair, 0.88), round_by=0.3)


def _head(brush: Brush, person: Person, skin: Color) -> None:
    for x in (-0.4, 0.4):
        brush.ellipse(x, HEAD_Y + 0.06, 0.07, 0.1, skin)
    brush.ellipse(0, HEAD_Y, 0.4, 0.42, skin)
    for x in (-0.16, 0.16):
        brush.ellipse(x, HEAD_Y + 0.07, 0.066, 0.092, DARK)
        brush.ellipse(x + 0.02, HEAD_Y + 0.04, 0.022, 0.026, (255, 255, 255))
        brush.ellipse(x * 1.6, HEAD_Y + 0.2, 0.06, 0.035, (244, 168, 160))
    if person.smile:
        brush.half(0, HEAD_Y + 0.21, 0.12, 0.11, fill=(196, 62, 66), start=0, end=180)
    else:
        brush.line([(-0.06, HEAD_Y + 0.25), (0.06, HEAD_Y + 0.25)], 0.03, (170, 84, 78))


def _fringe(brush: Brush, rng: random.Random, person: Person, hair: Color) -> None:
    brush.half(0, HEAD_Y - 0.06, 0.45, 0.46, fill=hair, start=180, end=360)
    if person.kind == "boy":
        for x in (-0.34, -0.12, 0.12, 0.34):
            brush.polygon(
                [(x - 0.12, HEAD_Y - 0.1), (x + 0.12, HEAD_Y - 0.1), (x + 0.03, HEAD_Y + 0.02)], hair
            )
        brush.polygon([(-0.2, -0.86), (0.06, -1.0), (0.16, -0.86)], hair)
        return
    brush.polygon([(-0.44, HEAD_Y - 0.1), (0.05, HEAD_Y - 0.1), (-0.4, HEAD_Y + 0.1)], hair)
    brush.polygon([(0.44, HEAD_Y - 0.1), (-0.05, HEAD_Y - 0.1), (0.4, HEAD_Y + 0.1)], hair)
    for side in (-1, 1):
        brush.box(side * 0.41, HEAD_Y + 0.12, 0.07, 0.26, fill=hair, round_by=0.06)


def _arms(brush: Brush, person: Person, sleeve: Color, skin: Color) -> None:
    brush.line([(-0.3, 0.12), (-0.44, 0.5)], 0.17, sleeve)
    brush.ellipse(-0.45, 0.56, 0.085, 0.085, skin)
    if person.lifts_arm:
        brush.line([(0.3, 0.14), (0.62, -0.1), (0.66, -0.42)], 0.16, sleeve)
        brush.ellipse(0.66, -0.5, 0.085, 0.085, skin)
    else:
        brush.line([(0.3, 0.12), (0.44, 0.5)], 0.17, sleeve)
        brush.ellipse(0.45, 0.56, 0.085, 0.085, skin)


def _dressed_body(brush: Brush, rng: random.Random, person: Person, skin: Color) -> None:
    jacket = person.clothes == "leather jacket"
    tops = TOPS[person.clothes]
    top = vary(rng, tops[int(rng.random() * len(tops))])
    trousers = vary(rng, rng.choice(((52, 66, 104), (70, 70, 78), (96, 84, 66))))
    for x in (-0.15, 0.15):
        brush.box(x, 0.78, 0.13, 0.17, fill=trousers, round_by=0.03)
        brush.ellipse(x * 1.1, 0.95, 0.16, 0.065, DARK)
    _arms(brush, person, shade(top, 0.88), skin)
    brush.box(0, 0.34, 0.34, 0.36, fill=top, round_by=0.14)
    brush.half(0, -0.02, 0.13, 0.14, fill=skin, start=0, end=180)
    if jacket:
        brush.polygon([(-0.1, -0.02), (0.1, -0.02), (0.07, 0.68), (-0.07, 0.68)], (236, 236, 238))
        for side in (-1, 1):
            brush.polygon([(side * 0.08, -0.02), (side * 0.26, 0.02), (side * 0.1, 0.3)], shade(top, 1.25))


def _robe(brush: Brush, person: Person, skin: Color) -> None:
    robe = (244, 242, 236)
    fold = (208, 204, 200)
    _arms(brush, person, skin, skin)
    brush.polygon([(-0.32, 0.02), (0.32, 0.02), (0.52, 0.98), (-0.52, 0.98)], fold)
    brush.polygon([(-0.29, 0.02), (0.29, 0.02), (0.47, 0.96), (-0.47, 0.96)], robe)
    for x in (-0.2, 0.02, 0.22):
        brush.line([(x * 0.7, 0.42), (x * 1.35, 0.92)], 0.03, fold)
    brush.half(0, 0.0, 0.14, 0.12, fill=skin, start=0, end=180)
    brush.box(0, 0.34, 0.34, 0.05, fill=(236, 190, 60))
