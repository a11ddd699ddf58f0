"""Random region scenes of the drawn world, with what a judge should find where.

A seed is a scene: one to five regions (boxes, ellipses, polygons; some small, off-centre or overlapping),
each with a thing of its own kind and colours, on a background.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

from smd_cli.workshop.judge.labels import Answers
from smd_cli.workshop.world import people
from smd_cli.workshop.world.captions import BACKGROUND_WORDS, THING_WORDS
from smd_cli.workshop.world.palette import HAIR_COLORS, SHAPE_COLORS
from smd_cli.workshop.world.picture import COLORED, PLAIN, SHAPES

Box = tuple[int, int, int, int]

CANVASES = ((256, 256), (384, 256), (512, 256))
MOST_REGIONS = (3, 4, 5)
SIDES = (72, 168)
OVERLAP = 0.25
TRIES = 60


@dataclass(frozen=True)
class Expected:
    """What a region should show, and the box around it, in px."""

    name: str
    answers: Answers
    box: Box


@dataclass(frozen=True)
class Layout:
    """A scene as the scene language writes it, and what it should show."""

    seed: int
    scene: dict[str, Any]
    background: str
    regions: tuple[Expected, ...]


def draw_layout(seed: int) -> Layout:
    """Draw the scene of a seed."""
    rng = random.Random(seed)  # noqa: S311 - a benchmark is drawn, not a secret
    size = rng.randrange(len(CANVASES))
    width, height = CANVASES[size]
    background = rng.choice(list(BACKGROUND_WORDS))
    boxes = _boxes(rng, width, height, rng.randint(1, MOST_REGIONS[size]))
    wanted = _things(rng, len(boxes))
    regions = tuple(
        Expected(f"r{i}", answers, box)
        for i, (answers, box) in enumerate(zip(wanted, boxes, strict=True), start=1)
    )
    scene = {
        "smd": 1,
        "canvas": {"width": width, "height": height},
        "seed": seed,
        "background": {"prompt": BACKGROUND_WORDS[background][0]},
        "regions": [
            {"name": r.name, "prompt": prompt_of(r.answers), "mask": _mask(rng, r.box, (width, height))}
            for r in regions
        ],
    }
    return Layout(seed, scene, background, regions)


def prompt_of(answers: Answers) -> str:
    """Say in a prompt what a judge should find."""
    kind = answers["kind"]
    if "hair" in answers:
        return f"1{kind}, {answers['hair']} hair, {answers['clothes']}, looking at viewer"
    words = THING_WORDS[kind][0]
    return f"a {answers['color']} {words}" if "color" in answers else words


def _things(rng: random.Random, count: int) -> list[Answers]:
    """Choose things of different kinds, no colour and no hair twice."""
    kinds = [*SHAPES, *SHAPES, "house", "flower", *PLAIN, *("boy", "girl") * 4]
    rng.shuffle(kinds)
    colors, hair = rng.sample(list(SHAPE_COLORS), len(SHAPE_COLORS)), rng.sample(list(HAIR_COLORS), 9)
    chosen: list[Answers] = []
    for kind in dict.fromkeys(kinds):
        if kind in COLORED:
            chosen.append({"kind": kind, "color": colors.pop()})
        elif kind in PLAIN:
            chosen.append({"kind": kind})
        else:
            chosen.append({"kind": kind, "hair": hair.pop(), "clothes": rng.choice(list(people.TOPS))})
        if len(chosen) == count:
            break
    return chosen


def _boxes(rng: random.Random, width: int, height: int, count: int) -> list[Box]:
    """Place boxes that cover little of one another; where no more fit, there are fewer."""
    placed: list[Box] = []
    for _ in range(TRIES):
        w, h = rng.randint(*SIDES), rng.randint(*SIDES)
        if not 0.6 < w / h < 1.6:
            continue
        x, y = rng.randint(0, width - w), rng.randint(0, height - h)
        box = (x, y, x + w, y + h)
        if all(_shared(box, other) < OVERLAP for other in placed):
            placed.append(box)
        if len(placed) == count:
            break
    return placed


def _shared(a: Box, b: Box) -> float:
    """Return the share of the smaller box that the other one covers."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    area = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return max(0, w) * max(0, h) / min(area)


def _mask(rng: random.Random, box: Box, size: tuple[int, int]) -> dict[str, Any]:
    """Say a box, or the ellipse or a polygon in it, as a mask of the scene language."""
    width, height = size
    left, top, right, bottom = (round(v / s, 4) for v, s in zip(box, (width, height) * 2, strict=True))
    x, y, rx, ry = (left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2
    shape = rng.choice(("box", "ellipse", "polygon"))
    if shape == "box":
        return {"box": [left, top, right, bottom]}
    if shape == "ellipse":
        return {"ellipse": [round(v, 4) for v in (x, y, rx, ry)]}
    corners, turn = rng.randint(5, 8), rng.uniform(0, math.tau)
    angles = [turn + math.tau * i / corners for i in range(corners)]
    return {"polygon": [[round(x + rx * math.cos(a), 4), round(y + ry * math.sin(a), 4)] for a in angles]}
