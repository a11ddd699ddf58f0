"""Crops as a small model paints them: outlines that waver, colours that run into one another.

A judge of drawings alone takes a star with round corners for a circle, which nobody else would.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

PAINTED = 0.6
"""How many crops of a batch are changed."""

WAVES = 6
"""Points, a side, between which outlines waver."""

WAVER = 0.05
"""How far they do, a standard deviation, as a share of the crop's side."""

SOFT = 9
"""Side, px, of the squares over which colours run."""


def as_painted(pixels: Tensor, rng: torch.Generator) -> Tensor:
    """Return crops (N, 3, s, s), most of them wavering and blurred here and there, each by its own amount."""
    amount = torch.rand(len(pixels), 1, 1, 1, generator=rng)
    amount *= torch.rand(amount.shape, generator=rng) < PAINTED
    wavered = _waver(pixels, amount, rng)
    run = F.avg_pool2d(wavered, SOFT, stride=1, padding=SOFT // 2, count_include_pad=False)
    where = _smooth(torch.rand(len(pixels), 1, WAVES, WAVES, generator=rng), pixels.shape[-1]).clamp(0, 1)
    return wavered.lerp(run, amount * where)


def _waver(pixels: Tensor, amount: Tensor, rng: torch.Generator) -> Tensor:
    """Move what crops show by smooth random ways, `amount` (N, 1, 1, 1) of `WAVER`; edges repeat."""
    count, side = len(pixels), pixels.shape[-1]
    ways = _smooth(2 * WAVER * torch.randn(count, 2, WAVES, WAVES, generator=rng), side) * amount
    still = F.affine_grid(torch.eye(2, 3).expand(count, 2, 3), [count, 1, side, side], align_corners=False)
    return F.grid_sample(pixels, still + ways.permute(0, 2, 3, 1), padding_mode="border", align_corners=False)


def _smooth(points: Tensor, side: int) -> Tensor:
    """Enlarge (N, C, w, w) to (N, C, side, side) without edges."""
    return F.interpolate(points, (side, side), mode="bicubic", align_corners=True)
