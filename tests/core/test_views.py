"""Views: exactly those that weigh something, and the count of the work that they are."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from smd_cli.core.centering import centering_rolls
from smd_cli.core.guidance import Guidance
from smd_cli.core.regions import Work, arrange_regions
from smd_cli.core.tiling import tile_canvas
from smd_cli.core.views import View, select_views

WHITE = torch.full((1, 4, 8, 12), 9.0)


def quadrants() -> Tensor:
    """Two regions on 8 by 12 over three steps: a corner that opens at step 1, and the right half."""
    masks = torch.zeros(2, 3, 1, 8, 12)
    masks[0, 1:, :, :4, :4] = 1
    masks[1, :, :, :, 6:] = 1
    return masks


@given(seed=st.integers(0, 2**32), tile=st.integers(1, 9))
def test_views_are_those_with_weight(seed: int, tile: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    masks = (torch.rand(3, 2, 1, 7, 9, generator=generator) > 0.9).float()
    tiling = tile_canvas(7, 9, tile)
    views = select_views(masks, tiling)
    for step, of_step in enumerate(views):
        weighing = {
            (region, index)
            for region in range(3)
            for index, box in enumerate(tiling.boxes)
            if (box.of(masks[region, step, 0]) * tiling.weights[index]).sum() > 0
        }
        assert {(view.regions[0], view.tile) for view in of_step} == weighing
        assert len(of_step) == len(weighing)
        assert all(view.step == step and view.box == tiling.boxes[view.tile] for view in of_step)


@given(
    seed=st.integers(0, 2**32),
    sides=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    tile=st.integers(1, 9),
    overlap=st.sampled_from([0.0, 0.25, 0.5, 0.75, 0.9]),
    wrap=st.booleans(),
    share=st.sampled_from([0.0, 0.03, 0.3, 1.0]),
)
def test_views_are_listed_in_order_and_centred_and_counted_before(
    seed: int, sides: tuple[int, int], tile: int, overlap: float, wrap: bool, share: float
) -> None:
    height, width = sides
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(2, 3, 1, height, width, generator=generator)
    masks = masks * (torch.rand(masks.shape, generator=generator) < share)
    tiling = tile_canvas(height, width, tile, overlap=overlap, wrap=wrap and tile <= width)
    listed: list[list[View]] = [[], [], []]
    for step, of_step in enumerate(listed):
        for index, box in enumerate(tiling.boxes):
            for region in range(2):
                inside = box.of(masks[region, step, 0])
                if (inside * tiling.weights[index] > 0).any():
                    down, right = centering_rolls(inside)
                    of_step.append(View(step, (region,), index, box, (int(down), int(right))))
    views = select_views(masks, tiling)
    assert [len(of_step) for of_step in views] == [len(of_step) for of_step in listed]
    assert [list(of_step) for of_step in views] == listed


def test_weights_of_all_views_add_up_to_the_masks() -> None:
    regions = arrange_regions(quadrants(), 4)
    for step, of_step in enumerate(regions.views):
        total = torch.zeros(8, 12)
        for view in of_step:
            view.box.of(total).add_(regions.weight(view))
        torch.testing.assert_close(total, regions.masks[:, step, 0].sum(0))


def test_a_region_that_opens_late_is_viewed_late() -> None:
    regions = arrange_regions(quadrants(), 12)
    assert [[view.regions[0] for view in of_step] for of_step in regions.views] == [[1], [0, 1], [0, 1]]


def test_work_counts_model_rows() -> None:
    regions = arrange_regions(quadrants(), 12)
    everything = 2 * 2 * 3  # both halves of two prompts in one tile at three steps
    assert regions.work(Guidance("full", 1.0)) == Work(5, everything)
    assert regions.work(Guidance("none", 3.0)) == Work(5, everything)
    assert regions.work(Guidance("full", 1.5)) == Work(10, everything)


@pytest.mark.parametrize("covered", [True, False])
def test_white_stands_in_where_nothing_is_painted(covered: bool) -> None:
    masks = torch.ones(1, 3, 1, 8, 12)
    masks[0, 1, 0, 0, 0] = float(covered)
    assert arrange_regions(masks, 8).over(None, WHITE).background is (None if covered else WHITE)
    image = torch.zeros(1, 4, 8, 12)
    assert arrange_regions(masks, 8).over(image, WHITE).background is image
