"""Tiles: boxes of one size that overlap, with linear ramps that sum to 1 on every pixel."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
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


class Line(NamedTuple):
    """Tiles along one side of a canvas: where they start, and their ramps (n, tile)."""

    starts: list[int]
    ramps: Tensor

    def places(self, length: int) -> Tensor:
        """Return the pixels of each tile, (n, tile), on a side of a length, which a tile may pass."""
        return (torch.tensor(self.starts)[:, None] + torch.arange(self.ramps.shape[1])) % length


@dataclass(frozen=True)
class Tiling:
    """T tiles in reading order: their boxes, the lines that they form, and the device of their weights."""

    boxes: tuple[Box, ...]
    down: Line
    across: Line
    device: torch.device

    @cached_property
    def weights(self) -> Tensor:
        """Return their weights, (T, th, tw)."""
        weights = self.down.ramps[:, None, :, None] * self.across.ramps[None, :, None, :]
        return weights.flatten(0, 1).float().to(self.device)

    def to(self, device: torch.device) -> "Tiling":
        """Return the same tiles with weights on a device."""
        return replace(self, device=device)

    def boxes_around(self, inside: Tensor) -> dict[int, Box]:
        """Return a box of a tile's size around each region, `inside` (P, H, W), that fits into one, by index.

        The region is in its middle, or as near to that as the canvas allows. One that lies across the edge of
        a canvas that wraps does not fit.
        """
        tile, found = self.boxes[0], {}
        down = _placed(inside.any(-1), tile.bottom - tile.top)
        across = _placed(inside.any(-2), tile.right - tile.left)
        for region, (y, x) in enumerate(zip(down, across, strict=True)):
            if y is not None and x is not None:
                found[region] = Box(*y, *x)
        return found


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
    down = _weighted(_line(height, tile, overlap), height)
    across = _weighted(_ring(width, tile, overlap) if wrap else _line(width, tile, overlap), width)
    (tops, rows), (lefts, columns) = down, across
    boxes = tuple(Box(y, y + rows.shape[1], x, x + columns.shape[1]) for y in tops for x in lefts)
    return Tiling(boxes, down, across, torch.device("cpu"))


def _line(length: int, tile: int, overlap: float) -> Line:
    """Place tiles along a side that ends."""
    tile = min(length, tile)
    stride = _stride(tile, overlap)
    starts = [*range(0, length - tile, stride), length - tile]
    ramps = torch.ones(len(starts), tile, dtype=torch.float64)
    _fade(ramps[1:], ramps[:-1], tile - stride)
    return Line(starts, ramps)


def _ring(length: int, tile: int, overlap: float) -> Line:
    """Place tiles evenly along a side that closes on itself."""
    if length < tile:
        raise ValueError(f"a canvas that wraps is {length} wide, less than a tile of {tile}")
    count = -(-length // _stride(tile, overlap))
    starts = [place * length // count for place in range(count)]
    ramps = torch.ones(count, tile, dtype=torch.float64)
    _fade(ramps, ramps, tile - -(-length // count))
    return Line(starts, ramps)


def _placed(inside: Tensor, tile: int) -> Iterator[tuple[int, int] | None]:
    """Yield where a tile begins and ends whose middle is that of what is set in truth values (P, n).

    None: nothing is set, or more than a tile.
    """
    length = inside.shape[-1]
    for line in inside.cpu():
        places = line.nonzero()[:, 0].tolist()
        if not places or places[-1] + 1 - places[0] > tile:
            yield None
            continue
        start = min(max((places[0] + places[-1] + 1) // 2 - tile // 2, 0), length - tile)
        yield start, start + tile


def _stride(tile: int, overlap: float) -> int:
    return max(int(tile * (1 - overlap)), 1)


def _fade(fade_in: Tensor, fade_out: Tensor, overlap: int) -> None:
    """Multiply ramps into the first `overlap` px of some rows (n, tile) and into the last ones of others."""
    fade_in[:, :overlap] *= torch.linspace(0, 1, overlap)
    fade_out[:, fade_out.shape[1] - overlap :] *= torch.linspace(1, 0, overlap)


def _weighted(line: Line, length: int) -> Line:
    """Scale ramps so that they sum to 1 on each pixel of a side of `length`."""
    covered, ramps = line.places(length), line.ramps
    total = torch.zeros(length, dtype=torch.float64).index_add(0, covered.flatten(), ramps.flatten())
    return Line(line.starts, ramps / total[covered])
