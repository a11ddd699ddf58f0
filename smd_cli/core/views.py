"""Views: what the model is asked for. A view is one region in one tile at one step, or all that are there.

A tile is a region whose mask is full and a region is a tile as large as the canvas, so regional prompting,
inpainting and panoramas are all lists of views.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, overload

import torch
from torch import Tensor

from smd_cli.core.centering import Roll, centering_rolls
from smd_cli.core.tiling import Box, Line, Tiling

_AT_ONCE = 4096  # views whose masks are measured at once


@dataclass(frozen=True)
class View:
    """Regions in one tile at one step, by index; `roll` centres the mask of a single one in the tile's `box`.

    A view of several is coupled: the tile is evaluated once, under all of their prompts. `tile` is None where
    a region has a box of its own.
    """

    step: int
    regions: tuple[int, ...]
    tile: int | None
    box: Box
    roll: Roll


class ViewChoice(NamedTuple):
    """How views are chosen, by steps.

    Before `own_until` a region that fits into a tile has one view, in a box of its own around its mask,
    rather than one in each tile that it lies in. From `coupled_from` on there is one view a tile, of all
    regions in it; None: never.
    """

    own_until: int = 0
    coupled_from: int | None = None


EACH_IN_TILES = ViewChoice()
"""A view for each region in each tile, at all steps."""


class _ViewsOnDemand(Sequence[View], ABC):
    """Views of which none is made before one is asked for.

    A large canvas has a million, which a forecast only counts.
    """

    @overload
    def __getitem__(self, index: int) -> View: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[View]: ...
    def __getitem__(self, index: int | slice) -> View | Sequence[View]:
        """Return a view, or some of them."""
        return self._listed[index]

    def __iter__(self) -> Iterator[View]:
        return iter(self._listed)

    @cached_property
    @abstractmethod
    def _listed(self) -> tuple[View, ...]:
        """Make all of them."""


class StepViews(_ViewsOnDemand):
    """The views of one step: those in boxes of their own, then by tiles and regions."""

    def __init__(self, step: int, masks: Tensor, tiling: Tiling, alone: Tensor | None = None) -> None:
        """Find the views of a step, whose regions have masks (P, H, W).

        `alone` (P,) tells which regions may have a box of their own.
        """
        self._step, self._masks, self._tiling = step, masks, tiling
        weighing = _weighing(masks > 0, tiling)
        self._own = {} if alone is None else tiling.boxes_around((masks > 0) & alone[:, None, None])
        weighing[:, list(self._own)] = False
        self._chosen = weighing.nonzero()  # (n, 2): tile and region

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._own) + len(self._chosen)

    @cached_property
    def _listed(self) -> tuple[View, ...]:
        rolls = (roll for chosen in torch.split(self._chosen, _AT_ONCE) for roll in self._rolls(chosen))
        boxes = self._tiling.boxes
        return (
            *(
                View(self._step, (region,), None, box, self._roll(region, box))
                for region, box in self._own.items()
            ),
            *(
                View(self._step, (region,), tile, boxes[tile], roll)
                for (tile, region), roll in zip(self._chosen.tolist(), rolls, strict=True)
            ),
        )

    def _roll(self, region: int, box: Box) -> Roll:
        """Return how a region is centred in a box, which the canvas's edges may have kept from doing so."""
        down, right = centering_rolls(box.of(self._masks[region]))
        return int(down), int(right)

    def _rolls(self, chosen: Tensor) -> Iterator[Roll]:
        """Return how each of the views (n, 2) is centred."""
        tile, region = chosen.unbind(1)
        across = len(self._tiling.across.starts)
        rows = self._tiling.down.places(self._masks.shape[1])[tile // across]
        columns = self._tiling.across.places(self._masks.shape[2])[tile % across]
        crops = self._masks[region[:, None, None], rows[:, :, None], columns[:, None, :]]
        down, right = centering_rolls(crops)
        return zip(down.tolist(), right.tolist(), strict=True)


class CoupledViews(_ViewsOnDemand):
    """The views of one step, one a tile: of all regions that weigh anything there, none of them rolled."""

    def __init__(self, step: int, masks: Tensor, tiling: Tiling) -> None:
        """Find the views of a step, whose regions have masks (P, H, W)."""
        self._step, self._tiling = step, tiling
        weighing = _weighing(masks > 0, tiling)
        self._tiles = weighing.any(1).nonzero()[:, 0].tolist()
        self._weighing = weighing[self._tiles]  # (n, P)
        self.most_regions = int(self._weighing.sum(1).max()) if self._tiles else 0

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._tiles)

    @cached_property
    def _listed(self) -> tuple[View, ...]:
        return tuple(
            View(self._step, tuple(weighing.nonzero()[:, 0].tolist()), tile, self._tiling.boxes[tile], (0, 0))
            for tile, weighing in zip(self._tiles, self._weighing, strict=True)
        )


def select_views(
    masks: Tensor,
    tiling: Tiling,
    choice: ViewChoice = EACH_IN_TILES,
    behind: frozenset[int] = frozenset(),
) -> tuple[Sequence[View], ...]:
    """Return, for each step of quantized masks (P, S, 1, H, W), the views in which a region weighs anything.

    The others would be multiplied by zero: leaving them out changes nothing but the time. Regions `behind` go
    on with what is around them, and keep to the tiles.
    """
    alone = torch.ones(len(masks), dtype=torch.bool, device=masks.device)
    alone[list(behind)] = False

    def views(step: int, of_step: Tensor) -> Sequence[View]:
        if choice.coupled_from is not None and step >= choice.coupled_from:
            return CoupledViews(step, of_step, tiling)
        return StepViews(step, of_step, tiling, alone if step < choice.own_until else None)

    return tuple(views(step, of_step) for step, of_step in enumerate(masks[:, :, 0].unbind(1)))


def _weighing(inside: Tensor, tiling: Tiling) -> Tensor:
    """Tell which regions, `inside` (P, H, W), weigh anything in which tiles: (T, P)."""
    columns = _within(inside.transpose(1, 2), tiling.down)
    return _within(columns.transpose(1, 2), tiling.across).flatten(1).T


def _within(inside: Tensor, line: Line) -> Tensor:
    """Tell which tiles along the last side weigh any of the truth values (..., n): (..., tiles)."""
    return (inside[..., line.places(inside.shape[-1])] & (line.ramps > 0)).any(-1)
