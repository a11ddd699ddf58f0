"""Lessons of drawn things as a bootstrap leaves them: pale ones above all, which cannot be cut out of white.

The student estimates a drawn thing on white, as the last bootstrapped step would; what differs from white is
laid over a ground that the student painted. The right picture is the drawn thing on that ground.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from smd_cli.core.coupling import shares_of
from smd_cli.workshop.train.left import WAYS, PaintedGround, SceneLesson
from smd_cli.workshop.train.painted import CELL, SIZE, Artist, random_move, random_region, timestep_of
from smd_cli.workshop.world import usual
from smd_cli.workshop.world.matte import KINDS, Matte, draw_matte
from smd_cli.workshop.world.usual import draw_usual

LEAK = 0.1
"""The program's `leak_sensitivity`, by which it tells what a region shows from white."""

CUT = 3.0
"""A thing is cut where its region's softened mask is below a third."""


class Placed(NamedTuple):
    """A thing in the middle, the cells (h, w) of its region there, and how many cells away both belong."""

    thing: Matte
    region: Tensor
    move: tuple[int, int]

    @property
    def mask(self) -> Tensor:
        """The region where it belongs, (h, w) float32, softened."""
        return _soft(self.region.roll(self.move, (-2, -1)))


class Drawer(Artist):
    """Draws lessons."""

    def lesson(self, ground: PaintedGround) -> SceneLesson:
        """Draw one to three things on a ground, and what a bootstrap would leave of them."""
        way = self.rng.choice(WAYS)
        placed = [self._placed() for _ in range(self.rng.choice((1, 1, 2, 2, 3)))]
        picture, masks = ground.picture.astype(np.float32), list[Tensor]()
        for each in placed:
            down, right = each.move
            picture = each.thing.moved(down * CELL, right * CELL).over(picture)
            masks = [mask * (1 - each.mask) for mask in masks] + [each.mask]
        latents = self._encode([picture])
        timestep = timestep_of(way.indices[way.bootstrapped - 1])
        shown = ground.begun.clone()
        for each, mask in zip(placed, masks, strict=True):
            estimate, kept = self._left(each, mask, (ground.begun, latents[0]), timestep)
            shown = shown.lerp(estimate, mask * kept)
        everywhere = torch.stack([(1 - torch.stack(masks).sum(0)).clamp(0, 1), *masks])
        words = (ground.words, *(each.thing.words for each in placed))
        return SceneLesson(shown, latents[0], words, shares_of(everywhere), way.late)

    def alone(self) -> tuple[Tensor, Tensor, str]:
        """Draw a thing in its usual look; return its latents (4, h, w), region (h, w) bool and words."""
        region = random_region(self.rng)
        radius = _radius(region) * self.rng.uniform(0.9, 0.97)
        picture, words = draw_usual(self.rng, self.rng.choice(usual.KINDS), radius, SIZE)
        return self._encode([picture])[0], region, words

    def _placed(self) -> Placed:
        region = random_region(self.rng)
        radius = _radius(region) * self.rng.uniform(0.72, 0.97)
        thing = draw_matte(self.rng, self.rng.choice(KINDS), ((0.5, 0.5), radius), SIZE)
        inside = (_soft(region).numpy() * CUT).clip(0, 1).repeat(CELL, 0).repeat(CELL, 1)
        return Placed(thing.cut(inside), region, random_move(self.rng, region))

    def _left(
        self, placed: Placed, mask: Tensor, canvases: tuple[Tensor, Tensor], timestep: int
    ) -> tuple[Tensor, Tensor]:
        """Return the estimate (4, h, w) of a placed thing, and how much of it is kept, (h, w).

        `canvases` are latents of the ground alone and of the right picture: a thing that hardly differs from
        white is bootstrapped there.
        """
        white = self.white[0]
        drawn = self._encode([placed.thing.over(255)])[0]
        begun = white.lerp(drawn, _soft(placed.region))
        back = tuple(placed.move)
        estimate = self._estimated(begun, placed.thing.words, timestep).roll(back, (-2, -1))
        leak = (estimate - white).square().mean(0)
        if (leak * mask).sum() < LEAK * mask.sum():
            ground, right = canvases
            estimate = self._estimated(ground.lerp(right, mask), placed.thing.words, timestep)
            leak = (estimate - ground).square().mean(0)
        return estimate, 2 * torch.sigmoid(leak / LEAK) - 1

    def _estimated(self, clean: Tensor, words: str, timestep: int) -> Tensor:
        """Return the estimate (4, h, w) of latents (4, h, w), on the CPU."""
        return self.estimate(clean[None], self.states([words]), timestep)[0].cpu()

    def _encode(self, pictures: Sequence[np.ndarray]) -> Tensor:
        return self.codec.encode(np.stack(pictures).clip(0, 255).astype(np.uint8))


def _radius(region: Tensor) -> float:
    """Return half the shorter side of a region's cells (h, w), as a share of the width."""
    return min(int(region.any(axis).sum()) for axis in (0, 1)) / 2 / len(region)


def _soft(region: Tensor) -> Tensor:
    """Return a region's cells (h, w) as a mask whose edge is half a cell soft, as blurred masks are."""
    image = Image.fromarray((region.numpy() * 255).astype(np.uint8))
    side = 2 * len(region)
    soft = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR).reduce(2), dtype=np.float32)
    return torch.from_numpy(soft / 255)
