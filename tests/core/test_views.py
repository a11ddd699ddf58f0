"""Views: exactly those that weigh something, and the count of the work that they are."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from smd_cli.core.centering import centering_rolls
from smd_cli.core.guidance import Guidance
from smd_cli.core.regions import Work, arrange_regions
from smd_cli.core.tiling import Box, tile_canvas
from smd_cli.core.views import View, ViewChoice, select_views

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


def alone_and_large() -> Tensor:
    """Two regions on 8 by 20 over three steps: one of 2 by 6 across three tiles of side 8, one too large."""
    masks = torch.zeros(2, 3, 1, 8, 20)
    masks[0, :, :, 3:5, 6:12] = 1
    masks[1, :, :, 6:, :] = 1
    return masks


def test_a_region_that_fits_into_a_tile_is_bootstrapped_once_in_one_around_it() -> None:
    tiling = tile_canvas(8, 20, 8)
    shared, *_ = select_views(alone_and_large(), tiling)
    steps = select_views(alone_and_large(), tiling, ViewChoice(own_until=2))
    assert [[view.tile for view in shared if view.regions == (at,)] for at in (0, 1)] == [
        [0, 1, 2],
        [0, 1, 2, 3],
    ]
    for of_step in steps[:2]:
        own, *others = of_step
        assert own == View(own.step, (0,), None, Box(0, 8, 5, 13), (0, 0))
        assert [(view.regions, view.tile) for view in others] == [((1,), tile) for tile in range(4)]
        assert len(of_step) == 5
    assert [view.tile for view in steps[2] if view.regions == (0,)] == [0, 1, 2]


def test_a_tile_of_its_own_stays_on_the_canvas_and_is_rolled_for_the_rest() -> None:
    masks = torch.zeros(1, 1, 1, 8, 20)
    masks[..., :2, 18:] = 1
    (view,) = select_views(masks, tile_canvas(8, 20, 8), ViewChoice(own_until=1))[0]
    assert (view.box, view.roll) == (Box(0, 8, 12, 20), (3, -3))


def test_regions_behind_and_those_across_the_edge_of_a_ring_keep_to_the_tiles() -> None:
    choice = ViewChoice(own_until=3)
    behind = arrange_regions(alone_and_large(), 8, behind=frozenset({0}), choice=choice)
    assert [view.tile for view in behind.views[0] if view.regions == (0,)] == [0, 1, 2]
    across = alone_and_large().roll(-8, -1)
    ring = arrange_regions(across, 8, wrap=True, choice=choice)
    assert all(view.tile is not None for view in ring.views[0])


def test_weights_of_tiles_of_their_own_add_up_to_the_masks() -> None:
    regions = arrange_regions(alone_and_large(), 8, choice=ViewChoice(own_until=3))
    for step, of_step in enumerate(regions.views):
        total = torch.zeros(8, 20)
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
