"""Halos: what is in a region's mask, outside of any thing, and is not what the background shows there.

The segmenter says which pixels are things, ground and neither. What is known of the scene corrects it: where
a thing has nothing pale, pale pixels are not of it, and what has its colours otherwise is not a halo. So the
white around things is told from their own white where they have none; for things that are white themselves,
a cloud, a sail, white hair, the segmenter decides alone, by their shapes.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from smd_cli.media.paint import paint_scene
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from smd_cli.workshop.judge.segmenter import NEITHER, SHRINK, THING, Segmenter, segment
from smd_cli.workshop.quality.drawn import draw_answers
from smd_cli.workshop.quality.random_scenes import RandomScene
from smd_cli.workshop.world.brush import Brush

RING = 2
"""Width of the ring around things that is left out, in pixels of the segmenter's map: outlines are soft."""

INSIDE = 128
"""Masks (`L`) are taken from this value on."""

PALE = 200
"""The least value of a pale colour's channels. Regions are bootstrapped on white."""

NEAR, NEAR_PALE = 40, 24
"""The largest differences in a channel to a colour of a thing, and to a pale one: a sail is not white."""

NOTABLE, DRAWINGS = 0.1, 8
"""A colour is a thing's if it covers this share of one of so many drawings."""


@dataclass(frozen=True)
class HaloMap:
    """Where a picture of a scene could have halos, and where it has them.

    Attributes:
        around: (h, w) bool, what is in a mask and neither in a thing nor in the ring around one.
        halo: (h, w) bool, what of it is not the background either.
    """

    around: np.ndarray
    halo: np.ndarray


def find_halos(segmenter: Segmenter, scene: RandomScene, image: Image.Image) -> HaloMap:
    """Find the halos in a picture of a scene; a pixel of the maps is `SHRINK` px a side."""
    scores = segment(segmenter, image, scene.background)
    pixels = np.asarray(image.convert("RGB").reduce(SHRINK)).astype(np.int16)
    pale = pixels.min(axis=2) >= PALE
    likely = _nearest_colors(scene, pixels) <= np.where(pale, NEAR_PALE, NEAR)
    scores[THING, pale & ~likely] = -np.inf
    scores[NEITHER, likely & ~pale] = -np.inf
    classes = scores.argmax(axis=0)
    thing = Image.fromarray(np.where(classes == THING, 255, 0).astype(np.uint8))
    ringed = np.asarray(thing.filter(ImageFilter.MaxFilter(2 * RING + 1))) > 0
    around = (np.asarray(mask_of(scene).reduce(SHRINK)) >= INSIDE) & ~ringed
    return HaloMap(around, around & (classes == NEITHER))


def _nearest_colors(scene: RandomScene, pixels: np.ndarray) -> np.ndarray:
    """Return how far (h, w) pixels are from the colours of the things in whose regions' boxes they are."""
    found = np.full(pixels.shape[:2], 256)
    for region in scene.regions:
        left, top, right, bottom = (edge // SHRINK for edge in region.box)
        here = slice(top, bottom), slice(left, right)
        apart = np.abs(pixels[here][:, :, None] - _colors_of(tuple(region.answers.items())))
        found[here] = np.minimum(found[here], apart.max(axis=3).min(axis=2))
    return found


@lru_cache(maxsize=256)
def _colors_of(answers: tuple[tuple[str, str], ...]) -> np.ndarray:
    """Return the colours (N, 3) that cover `NOTABLE` or more of a drawn thing, in several drawings of it."""
    colors: set[tuple[int, int, int]] = set()
    for seed in range(DRAWINGS):
        drawing = Image.new("RGBA", (64, 64))
        rng = random.Random(seed)  # noqa: S311 - a world is drawn, not a secret
        draw_answers(Brush(ImageDraw.Draw(drawing), (32, 32), 32), rng, dict(answers))
        drawn = np.asarray(drawing)[..., :3][np.asarray(drawing)[..., 3] > 0]
        each, counts = np.unique(drawn, axis=0, return_counts=True)
        colors.update(map(tuple, each[counts >= NOTABLE * len(drawn)].tolist()))
    return np.array(sorted(colors), dtype=np.int16)


def mask_of(scene: RandomScene) -> Image.Image:
    """Paint the masks of a scene's regions into one (`L`)."""
    loaded = load_text(json.dumps(scene.document), f"scene {scene.seed}")
    first, *others = paint_scene(resolve(loaded.scene, str(scene.seed), Path()), loaded.locate).masks
    for other in others:
        first = ImageChops.lighter(first, other)
    return first
