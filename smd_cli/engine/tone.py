"""Tone matching: new area takes the light and colours of the picture that it extends."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

CELL = 16  # px: differences within a cell are forms, which stay; those between cells are tone
MEASURED_ABOVE = 0.9
"""Share of new area above which the tone is measured: below it, the painting is blended with the picture."""
EPSILON = 1e-6


@dataclass(frozen=True)
class Joint:
    """How new area meets a picture, masks (1, 1, H, W) in [0, 1].

    `new_area` is soft and reaches into the picture; `known` is 1 where the picture is.
    """

    new_area: Tensor
    known: Tensor


def match_tone(painted: Tensor, picture: Tensor, joint: Joint) -> Tensor:
    """Shift the tone of new area in `painted` to that of `picture`, both (1, 3, H, W).

    Where new area reaches into the picture, both are known; their difference there is extrapolated over the
    rest. A few-step sampler decides colours in its first step, where the noise hides most of the picture.
    """
    both = (joint.new_area > MEASURED_ABOVE) * joint.known
    shift = fill_gaps(*_pooled(picture - painted, both, CELL))
    height, width = painted.shape[-2:]
    shift = F.interpolate(shift, scale_factor=CELL, mode="bilinear")[..., :height, :width]
    return painted + (2 * joint.new_area).clamp(max=1) * shift  # whole where it was measured


def fill_gaps(values: Tensor, weights: Tensor) -> Tensor:
    """Fill values (1, C, h, w) where weights (1, 1, h, w) in [0, 1] leave gaps, the smoother the wider.

    The pull-push algorithm of Gortler et al. (The Lumigraph, 1996): a grid half as fine, filled in the same
    way, fills the gaps of this one. Zero where nothing has weight.
    """
    height, width = weights.shape[-2:]
    if max(height, width) == 1:
        return values
    coarser = F.interpolate(fill_gaps(*_pooled(values, weights, 2)), scale_factor=2, mode="bilinear")
    return torch.lerp(coarser[..., :height, :width], values, weights)


def _pooled(values: Tensor, weights: Tensor, cell: int) -> tuple[Tensor, Tensor]:
    """Average values over cells by their weights; a cell with a quarter of its weight counts as known."""
    total, weight = (F.avg_pool2d(x, cell, ceil_mode=True) for x in (values * weights, weights))
    return total / weight.clamp(min=EPSILON), (4 * weight).clamp(max=1)
