"""Drawn things with how much of each pixel they cover: they can be laid over any ground, pale ones too."""

import random
from typing import NamedTuple

import numpy as np
from PIL import Image

from smd_cli.workshop.world.picture import SUPERSAMPLE, Thing, draw_thing

WHITE_HAIR, WHITE_SHIRT = "white hair", "white shirt"
"""People who have that; other kinds are those of `draw_thing`."""

KINDS = (
    *("sun", "moon", "goddess", WHITE_HAIR) * 4,
    *("boat", "cloud", "waterfall", "cat") * 3,
    *("star", WHITE_SHIRT) * 2,
    *("flower", "house", "owl", "tree", "circle", "boy", "girl"),
)
"""What to draw; a kind listed n times is n times as likely."""


class Matte(NamedTuple):
    """A thing on nothing.

    Attributes:
        colors: its pixels before black, (H, W, 3) float32, 0 to 255.
        covered: how much of each pixel it covers, (H, W) float32.
        words: what describes it.
    """

    colors: np.ndarray
    covered: np.ndarray
    words: str

    def over(self, ground: np.ndarray | int) -> np.ndarray:
        """Return it over a ground (H, W, 3), or over a grey level: float32."""
        shown: np.ndarray = self.colors + (1 - self.covered[..., None]) * np.float32(ground)
        return shown

    def cut(self, mask: np.ndarray) -> "Matte":
        """Return what a mask (H, W), 0 to 1, leaves of it."""
        return Matte(self.colors * mask[..., None], self.covered * mask, self.words)

    def moved(self, down: int, right: int) -> "Matte":
        """Return it so many pixels away; what leaves the picture comes in opposite."""
        by = (down, right)
        return Matte(np.roll(self.colors, by, (0, 1)), np.roll(self.covered, by, (0, 1)), self.words)


def draw_matte(
    rng: random.Random, kind: str, place: tuple[tuple[float, float], float], size: int = 256
) -> Matte:
    """Draw a thing of a kind at `place` (centre and radius, as shares of the width) of `size` px."""
    while True:
        drawn = rng.choice(("boy", "girl")) if kind in (WHITE_HAIR, WHITE_SHIRT) else kind
        seed = rng.getrandbits(32)
        before = []
        for level in (0, 255):
            canvas = Image.new("RGB", (size * SUPERSAMPLE,) * 2, (level,) * 3)
            thing, words = draw_thing(canvas, random.Random(seed), drawn, place)  # noqa: S311
            before.append(np.asarray(canvas.reduce(SUPERSAMPLE), dtype=np.float32))
        if _is(thing, kind):
            covered = (1 - (before[1] - before[0]).mean(2) / 255).clip(0, 1)
            return Matte(before[0], covered, words)


def _is(thing: Thing, kind: str) -> bool:
    if kind == WHITE_HAIR:
        return thing.hair == "white"
    return kind != WHITE_SHIRT or thing.clothes == WHITE_SHIRT
