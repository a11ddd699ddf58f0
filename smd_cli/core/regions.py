"""Regions: what is painted where on a canvas, and the work that it takes."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from smd_cli.core.guidance import Guidance
from smd_cli.core.masks import uncovered
from smd_cli.core.tiling import Tiling, tile_canvas
from smd_cli.core.views import View, select_views


class Work(NamedTuple):
    """Model rows of a picture: those evaluated, and every prompt in every tile with both guidance halves."""

    model_evaluations: int
    without_savings: int


@dataclass(frozen=True)
class Regions:
    """P regions on a canvas over S steps, in latent pixels.

    `masks` (P, S, 1, H, W) are quantized; `views[i]` are evaluated at step i; `background` (1, C, H, W),
    where there is one, is composited where the masks leave the canvas uncovered. Immutable: an edit arranges
    other regions and hands them to the next step.
    """

    masks: Tensor
    tiling: Tiling
    views: tuple[tuple[View, ...], ...]
    background: Tensor | None = None

    def __len__(self) -> int:
        """Return the number of regions P."""
        return len(self.masks)

    def mask(self, view: View) -> Tensor:
        """Return the quantized mask of a view, (th, tw)."""
        return view.box.of(self.masks[view.region, view.step, 0])

    def weight(self, view: View) -> Tensor:
        """Return the weight of a view in the average, (th, tw)."""
        return self.mask(view) * self.tiling.weights[view.tile]

    def work(self, guidance: Guidance) -> Work:
        """Count the model rows that one picture takes."""
        views = sum(len(of_step) for of_step in self.views)
        everything = 2 * len(self) * len(self.tiling.boxes) * len(self.views)
        return Work(views * guidance.rows_per_view, everything)


def arrange_regions(
    masks: Tensor, tile: int, *, background: Tensor | None = None, white: Tensor | None = None
) -> Regions:
    """Arrange quantized masks (P, S, 1, H, W) on tiles of side `tile`, in latent pixels.

    `background` (1, C, H, W) is the latent of the background image. Without one, `white`, the latent of a
    white picture, stands in where the masks leave any of the canvas uncovered at any step.
    """
    height, width = masks.shape[-2:]
    tiling = tile_canvas(height, width, tile)
    views = select_views(masks.cpu(), tiling)
    if background is None and uncovered(masks).any():
        background = white
    return Regions(masks, Tiling(tiling.boxes, tiling.weights.to(masks.device)), views, background)
