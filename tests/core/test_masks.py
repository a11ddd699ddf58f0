"""Masks against the recorded units, and what must hold for any masks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from smd_cli.core.masks import cover, quantize, soften, uncovered
from tests.core.models import lcm, training
from tests.golden import needs_golden, units

LEVELS = lcm(training(), [0, 4, 12, 25, 37]).noise_levels
KINDS = ["discrete", "semi-continuous", "continuous"]


def boxes(count: int, size: int = 48) -> Tensor:
    """Binary masks (count, 1, size, size) that overlap."""
    masks = torch.zeros(count, 1, size, size)
    for i, mask in enumerate(masks):
        mask[0, 5 * i : 5 * i + 20, 9 * i : 9 * i + 25] = 1
    return masks


@needs_golden
@pytest.mark.parametrize("std", [0, 4, 8])
def test_blur_is_the_recorded_one(std: int) -> None:
    recorded = units()
    masks = soften(recorded["masks.input"], [std] * 3, [1.0] * 3)
    torch.testing.assert_close(masks, recorded[f"masks.blurred.std{std}"], rtol=0, atol=3e-6)


@needs_golden
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strength", ["1", "0.97"])
@pytest.mark.parametrize("std", [0, 4, 8])
def test_quantized_masks_are_the_recorded_ones(std: int, strength: str, kind: str) -> None:
    recorded = units()
    softened = soften(recorded["masks.input"], [std] * 3, [float(strength)] * 3)
    quantized = quantize(softened, LEVELS, (16, 16), kind)
    expected = recorded[f"masks.{kind}.std{std}.strength{strength}"]
    torch.testing.assert_close(quantized, expected, rtol=0, atol=0 if kind == "discrete" else 1e-3)


@needs_golden
@pytest.mark.parametrize("alpha", ["0", "0.3", "1"])
def test_covered_masks_are_the_recorded_ones(alpha: str) -> None:
    recorded = units("units_layers")
    softened = soften(cover(recorded["cover.input"], float(alpha)), [3.0] * 3, [1.0] * 3)
    torch.testing.assert_close(softened, recorded[f"cover.alpha{alpha}.blurred"], rtol=0, atol=3e-6)
    quantized = quantize(softened, LEVELS, (16, 16), "discrete")
    torch.testing.assert_close(quantized, recorded[f"cover.alpha{alpha}.quantized"], rtol=0, atol=0)


def test_later_regions_cover_earlier_ones_once() -> None:
    masks = boxes(3)
    covered = cover(masks, 0.3)
    later = [masks[1:].amax(0) > 0, masks[2] > 0]
    for i, hidden in enumerate(later):
        torch.testing.assert_close(covered[i], masks[i] * torch.where(hidden, 0.3, 1.0))
    torch.testing.assert_close(covered[2], masks[2])


def test_each_region_has_its_own_blur_and_strength() -> None:
    masks = boxes(3)
    together = soften(masks, [0.0, 2.0, 5.0], [1.0, 0.5, 0.9])
    torch.testing.assert_close(together[0], masks[0])
    for i, (std, strength) in enumerate([(0.0, 1.0), (2.0, 0.5), (5.0, 0.9)]):
        alone = soften(masks[[i]], [std], [strength])  # a narrower window cuts the tails elsewhere
        torch.testing.assert_close(together[[i]], alone, rtol=0, atol=5e-3)
    assert 0 < together[2][0, 9, 17] < 0.9, "no blur at the edge"


def test_blur_keeps_a_full_mask_full() -> None:
    torch.testing.assert_close(
        soften(torch.ones(2, 1, 30, 20), [7.0, 3.0], [1.0, 1.0]), torch.ones(2, 1, 30, 20)
    )


def test_quantized_masks_only_open() -> None:
    softened = soften(boxes(3), [4.0] * 3, [1.0] * 3)
    for kind in KINDS:
        steps = quantize(softened, LEVELS, (6, 6), kind)
        assert ((steps >= 0) & (steps <= 1)).all()
        assert (steps.diff(dim=1) >= 0).all(), kind


def test_kinds_of_masks_agree_on_what_is_inside() -> None:
    softened = soften(boxes(3), [4.0] * 3, [1.0] * 3)
    discrete, semi, continuous = (quantize(softened, LEVELS, (6, 6), kind) for kind in KINDS)
    torch.testing.assert_close(discrete == 1, continuous == 1)
    torch.testing.assert_close(semi[:, :-1], discrete[:, :-1])
    torch.testing.assert_close(semi[:, -1], continuous[:, -1])
    assert ((continuous > 0) & (continuous < 1)).any()


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 6)), min_size=1, max_size=4),
    st.sampled_from(KINDS),
    st.sampled_from([0.0, 2.0, 6.0]),
)
def test_regions_and_rest_cover_the_canvas_at_every_step(
    placed: list[tuple[int, int, int]], kind: str, std: float
) -> None:
    masks = torch.zeros(len(placed), 1, 48, 48)
    for mask, (top, left, side) in zip(masks, placed, strict=True):
        mask[0, 8 * top : 8 * (top + side), 8 * left : 8 * (left + side)] = 1
    softened = soften(masks, [std] * len(placed), [1.0] * len(placed))
    quantized = quantize(softened, LEVELS, (6, 6), kind)
    complete = torch.cat([uncovered(quantized), quantized])
    torch.testing.assert_close(complete[1:], quantized)
    assert not uncovered(complete).any()
    assert (complete.sum(0) >= 1 - 1e-6).all()
    assert not complete[0][quantized.sum(0) >= 1].any(), "the rest reaches under the regions"
