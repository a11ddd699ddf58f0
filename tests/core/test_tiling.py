"""Tiles against the recorded ones, and what must hold on any canvas."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from smd_cli.core.tiling import Tiling, tile_canvas
from tests.golden import FOLDER, needs_golden, units

RECORDED = ["16x16.8", "24x40.16", "16x24.8", "8x64.8", "96x240.96"]


def on_canvas(tiling: Tiling, height: int, width: int) -> Tensor:
    """Lay every tile's weights (T, th, tw) out on the canvas, (T, H, W)."""
    canvas = torch.zeros(len(tiling.boxes), height, width)
    for layer, box, weights in zip(canvas, tiling.boxes, tiling.weights, strict=True):
        box.add(layer, weights)
    return canvas


@needs_golden
@pytest.mark.parametrize("name", RECORDED)
def test_tiles_are_the_recorded_ones(name: str) -> None:
    size, tile = name.split(".")
    height, width = map(int, size.split("x"))
    tiling = tile_canvas(height, width, int(tile))
    assert [list(box) for box in tiling.boxes] == units()[f"views.{name}.boxes"].tolist()
    torch.testing.assert_close(on_canvas(tiling, height, width), units()[f"views.{name}.weights"])


@needs_golden
def test_no_recorded_tiling_is_left_out() -> None:
    recorded = {
        key.removeprefix("views.").removesuffix(".boxes") for key in units() if key.endswith(".boxes")
    }
    assert recorded == set(RECORDED), f"{FOLDER} has other tilings"


OVERLAPS = st.sampled_from((0.0, 0.25, 0.5, 0.75))


@given(height=st.integers(1, 40), width=st.integers(1, 40), tile=st.integers(1, 20), overlap=OVERLAPS)
def test_tiles_of_one_size_cover_any_canvas_with_weights_that_sum_to_one(
    height: int, width: int, tile: int, overlap: float
) -> None:
    tiling = tile_canvas(height, width, tile, overlap=overlap)
    side = min(height, tile), min(width, tile)
    for box in tiling.boxes:
        assert (box.bottom - box.top, box.right - box.left) == side
        assert box.top >= 0
        assert box.left >= 0
        assert box.bottom <= height
        assert box.right <= width
    assert (tiling.weights >= 0).all()
    torch.testing.assert_close(on_canvas(tiling, height, width).sum(0), torch.ones(height, width))


def test_a_last_tile_that_does_not_fit_is_shifted_back() -> None:
    tiling = tile_canvas(8, 18, 8)
    assert [box.left for box in tiling.boxes] == [0, 4, 8, 10]
    assert tiling.boxes[-1].right == 18


def test_a_canvas_smaller_than_a_tile_is_one_tile() -> None:
    tiling = tile_canvas(5, 7, 8)
    assert [list(box) for box in tiling.boxes] == [[0, 5, 0, 7]]
    assert (tiling.weights == 1).all()


@given(width=st.integers(8, 60), tile=st.integers(2, 8), overlap=OVERLAPS)
def test_tiles_close_a_canvas_that_wraps_with_weights_that_sum_to_one(
    width: int, tile: int, overlap: float
) -> None:
    tiling = tile_canvas(tile, width, tile, overlap=overlap, wrap=True)
    assert {box.right - box.left for box in tiling.boxes} == {tile}
    assert all(0 <= box.left < width for box in tiling.boxes)
    torch.testing.assert_close(on_canvas(tiling, tile, width).sum(0), torch.ones(tile, width))


def test_the_seam_of_a_canvas_that_wraps_lies_inside_a_tile() -> None:
    tiling = tile_canvas(8, 24, 8, wrap=True)
    assert [box.left for box in tiling.boxes] == [0, 4, 8, 12, 16, 20]
    across = tiling.weights[-1, 0]
    assert across[3] > 0  # the last column of the canvas
    assert across[4] > 0  # the first one
    columns = torch.arange(24.0).expand(8, 24)
    assert tiling.boxes[-1].of(columns)[0].tolist() == [20, 21, 22, 23, 0, 1, 2, 3]


def test_less_overlap_takes_fewer_tiles() -> None:
    assert [box.left for box in tile_canvas(8, 32, 8, overlap=0.25).boxes] == [0, 6, 12, 18, 24]
    assert [box.left for box in tile_canvas(8, 32, 8, overlap=0).boxes] == [0, 8, 16, 24]


def test_a_canvas_that_wraps_is_no_narrower_than_a_tile() -> None:
    with pytest.raises(ValueError, match="less than a tile of 8"):
        tile_canvas(8, 7, 8, wrap=True)
