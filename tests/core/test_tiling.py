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
        box.of(layer).copy_(weights)
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


@given(height=st.integers(1, 40), width=st.integers(1, 40), tile=st.integers(1, 20))
def test_tiles_of_one_size_cover_any_canvas_with_weights_that_sum_to_one(
    height: int, width: int, tile: int
) -> None:
    tiling = tile_canvas(height, width, tile)
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
