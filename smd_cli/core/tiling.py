"""Tiles: boxes of one size that overlap, with linear ramps that sum to 1 on every pixel."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

OVERLAP = 0.5  # of a tile's side, as published (Bar-Tal et al., arXiv 2302.08113)


class Box(NamedTuple):
    """A rectangle of latent pixels; `bottom` and `right` lie outside.

    `right` may pass the canvas's width: the box then goes on at the left edge.
    """

    top: int
    bottom: int
    left: int
    right: int

    def of(self, canvas: Tensor) -> Tensor:
        """Return what lies inside the box of a canvas (..., H, W); to be read, not written."""
        inside = canvas[..., self.top : self.bottom, self.left : self.right]
        beyond = self.right - canvas.shape[-1]
        if beyond <= 0:
            return inside
        return torch.cat([inside, canvas[..., self.top : self.bottom, :beyond]], dim=-1)

    def add(self, canvas: Tensor, values: Tensor) -> None:
        """Add values (..., h, w) to what lies inside the box of a canvas (..., H, W)."""
        within = min(self.right, canvas.shape[-1]) - self.left
        canvas[..., self.top : self.bottom, self.left : self.right] += values[..., :within]
        if within < values.shape[-1]:
            canvas[..., self.top : self.bottom, : values.shape[-1] - within] += values[..., within:]


@dataclass(frozen=True)
class Tiling:
    """T tiles in reading order: their boxes and their weights (T, th, tw)."""

    boxes: tuple[Box, ...]
    weights: Tensor


def tile_canvas(
    height: int, width: int, tile: int, *, overlap: float = OVERLAP, wrap: bool = False
) -> Tiling:
    """Cover a canvas with square tiles of side `tile` that share `overlap` of it, all in latent pixels.

    A side shorter than the tile takes one tile of its own length. Where a side is no multiple of the stride
    the last tile is shifted back inside, so that all tiles have one size and batch. With `wrap` the left edge
    goes on at the right one, and tiles lie across it as anywhere else.

    Raises:
        ValueError: a canvas that wraps is narrower than a tile.
    """
    down = _line(height, tile, overlap)
    across = _ring(width, tile, overlap) if wrap else _line(width, tile, overlap)
    (tops, rows), (lefts, columns) = (_weighted(*down, height), _weighted(*across, width))
    boxes = tuple(Box(y, y + rows.shape[1], x, x + columns.shape[1]) for y in tops for x in lefts)
    weights = rows[:, None, :, None] * columns[None, :, None, :]
    return Tiling(boxes, weights.flatten(0, 1).float())


def _line(length: int, tile: int, overlap: float) -> tuple[list[int], Tensor]:
    """Place tiles along a side that ends: return their starts and their ramps (n, tile)."""
    tile = min(length, tile)
    stride = _stride(tile, overlap)
    starts = [*range(0, length - tile, stride), length - tile]
    ramps = torch.ones(len(starts), tile, dtype=torch.float64)
    _fade(ramps[1:], ramps[:-1], tile - stride)
    return starts, ramps


def _ring(length: int, tile: int, overlap: float) -> tuple[list[int], Tensor]:
    """Place tiles evenly along a side that closes on itself: return their starts and ramps (n, tile)."""
    if length < tile:
        raise ValueError(f"a canvas that wraps is {length} wide, less than a tile of {tile}")
    count = -(-length // _stride(tile, overlap))
    starts = [place * length // count for place in range(count)]
    ramps = torch.ones(count, tile, dtype=torch.float64)
    _fade(ramps, ramps, tile - -(-length // count))
    return starts, ramps


def _stride(tile: int, overlap: float) -> int:
    return max(int(tile * (1 - overlap)), 1)


def _fade(fade_in: Tensor, fade_out: Tensor, overlap: int) -> None:
    """Multiply ramps into the first `overlap` px of some rows (n, tile) and into the last ones of others."""
    fade_in[:, :overlap] *= torch.linspace(0, 1, overlap)
    fade_out[:, fade_out.shape[1] - overlap :] *= torch.linspace(1, 0, overlap)


def _weighted(starts: list[int], ramps: Tensor, length: int) -> tuple[list[int], Tensor]:
    """Scale ramps so that they sum to 1 on each pixel of a side of `length`."""
    covered = (torch.tensor(starts)[:, None] + torch.arange(ramps.shape[1])) % length
    total = torch.zeros(length, dtype=torch.float64).index_add(0, covered.flatten(), ramps.flatten())
    return starts, ramps / total[covered]
