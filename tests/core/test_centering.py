"""Centering against the recorded rolls, and back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smd_cli.core.centering import centering_rolls, roll, unroll
from tests.golden import needs_golden, units


@needs_golden
@pytest.mark.parametrize("index", range(4))
def test_masks_are_centred_as_recorded(index: int) -> None:
    recorded = {
        key: value[index] for key, value in units("units_layers").items() if key.startswith("center.")
    }
    down, right = centering_rolls(recorded["center.masks"][0])
    centred = roll(recorded["center.image"], (int(down), int(right)))
    torch.testing.assert_close(centred, recorded["center.centered"], rtol=0, atol=0)
    restored = unroll(centred, (int(down), int(right)))
    torch.testing.assert_close(restored, recorded["center.restored"], rtol=0, atol=0)


@given(data=st.data(), height=st.integers(1, 12), width=st.integers(1, 12))
def test_any_box_ends_in_the_middle_and_comes_back(data: st.DataObject, height: int, width: int) -> None:
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom, right = data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width))
    mask = torch.zeros(height, width)
    mask[top:bottom, left:right] = 0.01  # any weight counts
    down, across = (int(offset) for offset in centering_rolls(mask))

    centred = roll(mask, (down, across))
    ys, xs = (side.any(axis).nonzero() for side, axis in ((centred, 1), (centred, 0)))
    for found, side in ((ys, height), (xs, width)):
        before, after = int(found.min()), side - 1 - int(found.max())
        assert abs(before - after) <= 2, "not in the middle"
        spare = (before + after) % 2  # what cannot be halved lies before on an even side, after on an odd one
        assert before - after == (spare if side % 2 == 0 else -spare)
        assert len(found) == found.max() - found.min() + 1, "wrapped around the edge"
    torch.testing.assert_close(unroll(centred, (down, across)), mask)


@pytest.mark.parametrize(
    ("painted", "centred"),
    [
        ("##......", "...##..."),
        ("......##", "...##..."),
        ("###.....", "...###.."),
        (".....###", "...###.."),
        ("##.......", "...##...."),
        (".......##", "...##...."),
        ("###......", "...###..."),
        ("......###", "...###..."),
        ("#......", "...#..."),
        ("......#", "...#..."),
        ("#.#....", "..#.#.."),
        ("...#....", "....#..."),
    ],
)
def test_boxes_of_odd_and_even_sides_are_centred_to_the_px_on_both_axes(painted: str, centred: str) -> None:
    before, after = (torch.tensor([float(px == "#") for px in line]) for line in (painted, centred))
    elsewhere = torch.tensor([0.0, 1.0, 0.0])  # the other axis is centred already
    for mask, expected in (
        (before.outer(elsewhere), after.outer(elsewhere)),
        (elsewhere.outer(before), elsewhere.outer(after)),
    ):
        down, right = centering_rolls(mask)
        assert torch.equal(roll(mask, (int(down), int(right))), expected)


def test_rolls_of_many_masks_are_those_of_each() -> None:
    masks = (torch.rand(3, 2, 7, 9, generator=torch.Generator().manual_seed(1)) > 0.97).float()
    down, right = centering_rolls(masks)
    for i in range(3):
        for j in range(2):
            assert (down[i, j], right[i, j]) == centering_rolls(masks[i, j])


def test_an_empty_mask_stays() -> None:
    assert centering_rolls(torch.zeros(6, 5)) == (0, 0)
