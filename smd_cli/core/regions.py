"""Regions: what is painted where on a canvas, and the work that it takes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from smd_cli.core.coupling import shares_of
from smd_cli.core.guidance import Guidance
from smd_cli.core.masks import uncovered
from smd_cli.core.tiling import OVERLAP, Tiling, tile_canvas
from smd_cli.core.views import EACH_IN_TILES, CoupledViews, View, ViewChoice, select_views


class Work(NamedTuple):
    """Model rows of a picture: those evaluated, and every prompt in every tile with both guidance halves."""

    model_evaluations: int
    without_savings: int

    def plus(self, other: "Work") -> "Work":
        """Return the work of both."""
        return Work(*(sum(pair) for pair in zip(self, other, strict=True)))


@dataclass(frozen=True)
class Regions:
    """P regions on a canvas over S steps, in latent pixels.

    `masks` (P, S, 1, H, W) are quantized; `views[i]` are evaluated at step i; `background` (1, C, H, W),
    where there is one, is composited where the masks leave the canvas uncovered. `behind` regions go on
    with what is around them, so they are never bootstrapped alone on white; they lie behind the others, and
    show as far as those fall short of full weight. Immutable: an edit arranges other
    regions and hands them to the next step.
    """

    masks: Tensor
    tiling: Tiling
    views: tuple[Sequence[View], ...]
    background: Tensor | None = None
    behind: frozenset[int] = frozenset()

    def __len__(self) -> int:
        """Return the number of regions P."""
        return len(self.masks)

    def mask(self, view: View) -> Tensor:
        """Return the quantized mask of a view, (th, tw): of a coupled one the sum of its regions'."""
        return self._masks(view, view.regions).sum(0)

    def weight(self, view: View) -> Tensor:
        """Return the weight of a view in the average, (th, tw)."""
        return self.mask(view) * self._ramps(view)

    def weights(self, view: View) -> Iterator[tuple[int, Tensor]]:
        """Yield the depths of a view's regions, 1 behind the others, and its weight at each, (th, tw)."""
        for depth, is_behind in enumerate((False, True)):
            of_depth = [region for region in view.regions if (region in self.behind) is is_behind]
            if of_depth:
                yield depth, self._masks(view, of_depth).sum(0) * self._ramps(view)

    def shares(self, view: View) -> Tensor:
        """Return how much of each latent pixel of a view its regions have, (R, th, tw).

        That is what the picture shows of them: those behind have what the others leave.
        """
        masks = dict(zip(view.regions, self._masks(view, view.regions), strict=True))
        before = [mask for region, mask in masks.items() if region not in self.behind]
        left = (1 - torch.stack(before).sum(0)).clip(0, 1) if before else 1.0
        return shares_of(
            torch.stack([mask * left if region in self.behind else mask for region, mask in masks.items()])
        )

    def _ramps(self, view: View) -> Tensor | float:
        """Return the weights of a view's tile, (th, tw); what a region has for itself counts whole."""
        return 1.0 if view.tile is None else self.tiling.weights[view.tile]

    def _masks(self, view: View, regions: Sequence[int]) -> Tensor:
        """Return the quantized masks of some regions in a view, (R, th, tw)."""
        return torch.stack([view.box.of(self.masks[region, view.step, 0]) for region in regions])

    def to(self, device: torch.device) -> "Regions":
        """Return the same regions on a device."""
        return replace(self, masks=self.masks.to(device), tiling=self.tiling.to(device))

    @property
    def is_complete(self) -> bool:
        """Tell whether the masks cover the whole canvas at every step."""
        return not uncovered(self.masks).any()

    @property
    def most_in_a_view(self) -> int:
        """Return how many regions a view has at most."""
        return max([1, *(views.most_regions for views in self.views if isinstance(views, CoupledViews))])

    def over(self, background: Tensor | None, white: Tensor | None = None) -> "Regions":
        """Lay the regions over a background latent (1, C, H, W).

        Without one, `white`, the latent of a white picture, stands in where the masks are not complete.
        """
        if background is None and not self.is_complete:
            background = white
        return replace(self, background=background)

    def work(self, guidance: Guidance, steps: Iterable[int] | None = None) -> Work:
        """Count the model rows that steps take, by default all steps of one picture."""
        counted = range(len(self.views)) if steps is None else tuple(steps)
        rows = sum(len(self.views[step]) * guidance.rows_per_view(step) for step in counted)
        return Work(rows, 2 * len(self) * len(self.tiling.boxes) * len(counted))


def arrange_regions(
    masks: Tensor,
    tile: int,
    *,
    overlap: float = OVERLAP,
    wrap: bool = False,
    behind: frozenset[int] = frozenset(),
    choice: ViewChoice = EACH_IN_TILES,
) -> Regions:
    """Arrange quantized masks (P, S, 1, H, W) on tiles of side `tile`, in latent pixels.

    Tiles share `overlap` of their side with their neighbours; with `wrap` the canvas closes on itself.
    """
    height, width = masks.shape[-2:]
    tiling = tile_canvas(height, width, tile, overlap=overlap, wrap=wrap)
    views = select_views(masks, tiling, choice, behind)
    return Regions(masks, tiling, views, behind=behind)
