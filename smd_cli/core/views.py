"""Views: what the model is asked for. A view is one region in one tile at one step.

A tile is a region whose mask is full and a region is a tile as large as the canvas, so regional prompting,
inpainting and panoramas are all lists of views.
"""

from dataclasses import dataclass

from torch import Tensor

from smd_cli.core.centering import Roll, centering_rolls
from smd_cli.core.tiling import Box, Tiling


@dataclass(frozen=True)
class View:
    """One region in one tile at one step, by index; `roll` centres the mask in the tile's `box`."""

    step: int
    region: int
    tile: int
    box: Box
    roll: Roll


def select_views(masks: Tensor, tiling: Tiling) -> tuple[tuple[View, ...], ...]:
    """Return, for each step of quantized masks (P, S, 1, H, W), the views in which a region weighs anything.

    The others would be multiplied by zero: leaving them out changes nothing but the time.
    """
    views: list[list[View]] = [[] for _ in range(masks.shape[1])]
    for tile, (box, weights) in enumerate(zip(tiling.boxes, tiling.weights, strict=True)):
        inside = box.of(masks[:, :, 0])
        down, right = (offsets.tolist() for offsets in centering_rolls(inside))
        for region, step in (inside * weights > 0).flatten(2).any(2).nonzero().tolist():
            views[step].append(View(step, region, tile, box, (down[region][step], right[region][step])))
    return tuple(tuple(of_step) for of_step in views)
