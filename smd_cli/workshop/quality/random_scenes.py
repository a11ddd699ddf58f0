"""Random region scenes of flatland's world, with the answers that the judge should give for each region.

A seed determines a scene: a background and one to five regions (boxes, ellipses or polygons; some small,
off-centre or overlapping), each with an object of a kind and colour that no other region has.
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

PixelBox = tuple[int, int, int, int]
"""Left, top, right and bottom, px."""

CANVASES = ((256, 256), (384, 256), (512, 256))
"""Widths and heights of the canvases, px."""

MOST_REGIONS = (3, 4, 5)
"""The most regions on each of the canvases."""

SIDES = (72, 168)
"""The shortest and the longest side of a region's box, px."""

OVERLAP = 0.25
"""Two boxes overlap by less than this share of the smaller one."""

TRIES = 60


@dataclass(frozen=True)
class ExpectedRegion:
    """A region's name, what it should show, and the bounding box of its mask, px."""

    name: str
    answers: Answers
    box: PixelBox


@dataclass(frozen=True)
class RandomScene:
    """A scene and what its picture should show.

    Attributes:
        seed: of the scene, and of the noise that it is rendered from.
        document: the scene in the scene language.
        background: the world's name of the background.
        regions: what each region should show.
    """

    seed: int
    document: dict[str, Any]
    background: str
    regions: tuple[ExpectedRegion, ...]


def draw_scene(seed: int) -> RandomScene:
    """Return the random scene of a seed."""
    rng = random.Random(seed)  # noqa: S311 - a benchmark is drawn, not a secret
    size = rng.randrange(len(CANVASES))
    width, height = CANVASES[size]
    background = rng.choice(list(BACKGROUND_WORDS))
    boxes = _boxes(rng, width, height, rng.randint(1, MOST_REGIONS[size]))
    wanted = _things(rng, len(boxes))
    regions = tuple(
        ExpectedRegion(f"r{i}", answers, box)
        for i, (answers, box) in enumerate(zip(wanted, boxes, strict=True), start=1)
    )
    document = {
        "smd": 1,
        "canvas": {"width": width, "height": height},
        "seed": seed,
        "background": {"prompt": BACKGROUND_WORDS[background][0]},
        "regions": [
            {"name": r.name, "prompt": prompt_of(r.answers), "mask": _mask(rng, r.box, (width, height))}
            for r in regions
        ],
    }
    return RandomScene(seed, document, background, regions)


def square_around(box: PixelBox, size: tuple[int, int]) -> PixelBox:
    """Return the smallest square around a box, moved and, if necessary, shrunk to fit into a picture."""
    left, top, right, bottom = box
    side = min(max(right - left, bottom - top), *size)
    x = min(max((left + right - side) // 2, 0), size[0] - side)
    y = min(max((top + bottom - side) // 2, 0), size[1] - side)
    return x, y, x + side, y + side


def prompt_of(answers: Answers) -> str:
    """Return the prompt for an object that should get these answers."""
    kind = answers["kind"]
    if "hair" in answers:
        return f"1{kind}, {answers['hair']} hair, {answers['clothes']}, looking at viewer"
    words = THING_WORDS[kind][0]
    return f"a {answers['color']} {words}" if "color" in answers else words


def _things(rng: random.Random, count: int) -> list[Answers]:
    """Choose `count` objects of different kinds; no colour and no hair colour appears twice."""
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


def _boxes(rng: random.Random, width: int, height: int, count: int) -> list[PixelBox]:
    """Place up to `count` boxes, px, that overlap by less than `OVERLAP`; fewer where no more fit."""
    placed: list[PixelBox] = []
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


def _shared(a: PixelBox, b: PixelBox) -> float:
    """Return the overlap of two boxes as a share of the smaller one."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    area = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return max(0, w) * max(0, h) / min(area)


def _mask(rng: random.Random, box: PixelBox, size: tuple[int, int]) -> dict[str, Any]:
    """Return a mask in the scene language: the box, or an ellipse or a polygon inscribed in it."""
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
