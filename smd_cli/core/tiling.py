"""Tiles: boxes of one size that overlap by half, with linear ramps that sum to 1 on every pixel."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Box(NamedTuple):
    """A rectangle of latent pixels; `bottom` and `right` lie outside."""

    top: int
    bottom: int
    left: int
    right: int

    def of(self, canvas: Tensor) -> Tensor:
        """Return what lies inside the box of a canvas (..., H, W), sharing its memory."""
        return canvas[..., self.top : self.bottom, self.left : self.right]


@dataclass(frozen=True)
class Tiling:
    """T tiles in reading order: their boxes and their weights (T, th, tw)."""

    boxes: tuple[Box, ...]
    weights: Tensor


def tile_canvas(height: int, width: int, tile: int) -> Tiling:
    """Cover a canvas with square tiles of side `tile`, half a tile apart, all in latent pixels.

    A side shorter than the tile takes one tile of its own length. Where a side is no multiple of the stride
    the last tile is shifted back inside, so that all tiles have one size and batch.
    """
    tops, down = _tile_side(height, tile)
    lefts, across = _tile_side(width, tile)
    boxes = tuple(Box(y, y + down.shape[1], x, x + across.shape[1]) for y in tops for x in lefts)
    weights = down[:, None, :, None] * across[None, :, None, :]
    return Tiling(boxes, weights.flatten(0, 1).float())


def _tile_side(length: int, tile: int) -> tuple[list[int], Tensor]:
    """Place tiles along one side: return their starts and their weights (n, tile)."""
    tile = min(length, tile)
    stride = max(tile // 2, 1)
    overlap = tile - stride
    starts = [*range(0, length - tile, stride), length - tile]
    weights = torch.ones(len(starts), tile, dtype=torch.float64)
    weights[1:, :overlap] *= torch.linspace(0, 1, overlap)
    weights[:-1, stride:] *= torch.linspace(1, 0, overlap)
    covered = torch.tensor(starts)[:, None] + torch.arange(tile)
    total = torch.zeros(length, dtype=torch.float64).index_add(0, covered.flatten(), weights.flatten())
    return starts, weights / total[covered]
