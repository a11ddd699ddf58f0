"""The tone of new area: its light and colours are brought to those of the picture that it extends."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

CELL = 16  # px: differences within a cell are forms, which stay; those between cells are tone
SURE = 0.9
"""How far new area is new where it is measured: farther in, what is painted leans on the picture already."""
EPSILON = 1e-6


@dataclass(frozen=True)
class Joint:
    """How new area meets a picture, masks (1, 1, H, W) in [0, 1].

    `new_area` is soft and reaches into the picture; `known` is 1 where the picture is.
    """

    new_area: Tensor
    known: Tensor


def toned(painted: Tensor, picture: Tensor, joint: Joint) -> Tensor:
    """Shift the tone of new area in `painted` so that it goes on from `picture`, both (1, 3, H, W).

    Where new area reaches into the picture, both are known; their difference there is carried on over the
    rest. A few-step sampler settles colours in its first step, when it sees next to nothing of the picture.
    """
    both = (joint.new_area > SURE) * joint.known
    shift = carried_on(*_pooled(picture - painted, both, CELL))
    height, width = painted.shape[-2:]
    shift = F.interpolate(shift, scale_factor=CELL, mode="bilinear")[..., :height, :width]
    return painted + (2 * joint.new_area).clamp(max=1) * shift  # whole where it was measured


def carried_on(values: Tensor, weights: Tensor) -> Tensor:
    """Fill values (1, C, h, w) where weights (1, 1, h, w) in [0, 1] leave gaps, the smoother the wider.

    The pull-push algorithm of Gortler et al. (The Lumigraph, 1996): a grid half as fine, filled in the same
    way, fills the gaps of this one. Zero where nothing has weight.
    """
    height, width = weights.shape[-2:]
    if max(height, width) == 1:
        return values
    coarser = F.interpolate(carried_on(*_pooled(values, weights, 2)), scale_factor=2, mode="bilinear")
    return torch.lerp(coarser[..., :height, :width], values, weights)


def _pooled(values: Tensor, weights: Tensor, cell: int) -> tuple[Tensor, Tensor]:
    """Average values over cells by their weights; a quarter of a cell's weight is enough to be sure of it."""
    total, weight = (F.avg_pool2d(x, cell, ceil_mode=True) for x in (values * weights, weights))
    return total / weight.clamp(min=EPSILON), (4 * weight).clamp(max=1)
