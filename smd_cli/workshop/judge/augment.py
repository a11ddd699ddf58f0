"""Augmentation that makes drawn crops look like those of a small model: wavy outlines and bleeding colours.

A judge that was trained on clean drawings alone takes a star with round corners for a circle.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

SHARE = 0.6
"""Share of the crops in a batch that are changed."""

GRID = 6
"""Points per side of the grid of random displacements."""

SHIFT = 0.05
"""Standard deviation of the displacements, as a share of the crop's side."""

BLUR = 9
"""Side of the box blur, px."""


def distort(pixels: Tensor, rng: torch.Generator) -> Tensor:
    """Return crops (N, 3, s, s), most of them warped and locally blurred, each by a random amount."""
    amount = torch.rand(len(pixels), 1, 1, 1, generator=rng)
    amount *= torch.rand(amount.shape, generator=rng) < SHARE
    warped = _warp(pixels, amount, rng)
    blurred = F.avg_pool2d(warped, BLUR, stride=1, padding=BLUR // 2, count_include_pad=False)
    where = _smooth(torch.rand(len(pixels), 1, GRID, GRID, generator=rng), pixels.shape[-1]).clamp(0, 1)
    return warped.lerp(blurred, amount * where)


def _warp(pixels: Tensor, amount: Tensor, rng: torch.Generator) -> Tensor:
    """Warp crops by a smooth random displacement, scaled by `amount` (N, 1, 1, 1); edges are replicated."""
    count, side = len(pixels), pixels.shape[-1]
    offsets = _smooth(2 * SHIFT * torch.randn(count, 2, GRID, GRID, generator=rng), side) * amount
    identity = F.affine_grid(torch.eye(2, 3).expand(count, 2, 3), [count, 1, side, side], align_corners=False)
    return F.grid_sample(
        pixels, identity + offsets.permute(0, 2, 3, 1), padding_mode="border", align_corners=False
    )


def _smooth(points: Tensor, side: int) -> Tensor:
    """Upsample (N, C, w, w) to (N, C, side, side) smoothly."""
    return F.interpolate(points, (side, side), mode="bicubic", align_corners=True)
