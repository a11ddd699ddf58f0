"""Bootstrapping: its background over the steps, the centred view, the weight of what leaks."""

import pytest
import torch
from torch import Tensor

from smd_cli.core.bootstrap import Base, Bootstrap, BootstrapBackground, bootstrap_background
from smd_cli.core.samplers import SamplerSteps, euler
from smd_cli.core.tiling import Box
from smd_cli.core.views import View
from tests.core.models import lcm, training

SCHEDULE = lcm(training(), [0, 12, 25, 37])
WHITE, BASE, NOISE = (torch.full((1, 4, 6, 8), value) for value in (8.0, -2.0, 0.5))
PICTURE = Base(BASE, is_row=False)
VIEW = View(step=0, regions=(0,), tile=0, box=Box(1, 5, 2, 8), roll=(1, 2))


@pytest.mark.parametrize(("mix_steps", "shares"), [(1.0, [1, 0, 0]), (1.5, [1, 0.5, 0]), (0.0, [0, 0, 0])])
def test_background_turns_from_white_to_the_pictures_own(mix_steps: float, shares: list[float]) -> None:
    bootstrap = Bootstrap(WHITE, steps=3, mix_steps=mix_steps)
    for step, share in enumerate(shares):
        behind = bootstrap_background(bootstrap, SCHEDULE, step, PICTURE, NOISE)
        clean = share * WHITE + (1 - share) * BASE
        expected = SCHEDULE.start.alpha[step] * clean + SCHEDULE.start.sigma[step] * NOISE
        torch.testing.assert_close(behind.planes[0], expected[0])


def test_a_row_is_noised_again_where_levels_preserve_the_variance_alone() -> None:
    """As published for SD1.5, and for SDXL and SD3."""
    row, bootstrap = Base(BASE, is_row=True), Bootstrap(WHITE, steps=2, mix_steps=1.5)
    preserving, growing = SCHEDULE, euler(training(), SamplerSteps(50, (0, 12, 25, 37), (8, 8)))
    again = bootstrap_background(bootstrap, preserving, 1, row, NOISE)
    torch.testing.assert_close(
        again.planes[:1], preserving.noise_to_start((WHITE + BASE) / 2, NOISE, [1]), msg="again"
    )
    once = bootstrap_background(bootstrap, growing, 1, row, NOISE)
    torch.testing.assert_close(once.planes[:1], (growing.noise_to_start(WHITE, NOISE, [1]) + BASE) / 2)


def test_only_the_first_steps_have_a_background_of_their_own() -> None:
    laid = [
        bootstrap_background(Bootstrap(WHITE, steps=2), SCHEDULE, step, PICTURE, NOISE) for step in range(4)
    ]
    assert [behind is not None for behind in laid] == [True, True, False, False]
    assert bootstrap_background(None, SCHEDULE, 0, BASE, NOISE) is None


def test_a_view_shows_its_region_alone_and_centred() -> None:
    planes = torch.tensor([0.0, 7.0]).view(2, 1, 1, 1).expand(2, 4, 6, 8)
    behind, crop, mask = BootstrapBackground(planes, planes[:1], None), torch.ones(1, 4, 4, 6), corner()
    placed = behind.compose(crop, mask, VIEW)
    torch.testing.assert_close(placed, mask.roll((1, 2), (0, 1)).expand(1, 4, 4, 6))
    both = behind.compose(crop.expand(2, 4, 4, 6), mask, VIEW)
    assert torch.equal(both[:1], placed)
    torch.testing.assert_close(both[1:], placed + (1 - mask.roll((1, 2), (0, 1))) * 7)
    back, kept = behind.extract(placed, VIEW)
    torch.testing.assert_close(back, mask.expand(1, 4, 4, 6))
    assert (kept == 1).all(), "weight was taken without being asked"


def test_what_looks_like_its_background_loses_weight() -> None:
    behind = BootstrapBackground(torch.ones(2, 4, 6, 8), torch.zeros(1, 4, 6, 8), leak_sensitivity=0.5)
    estimate = torch.zeros(1, 4, 4, 6)
    estimate[0, :, 0, 0] = torch.tensor([1.0, 1.0, 0.0, 0.0])  # mean square 0.5, the sensitivity itself
    estimate[0, :, 0, 1] = 30
    kept = behind.extract(estimate.roll(VIEW.roll, (-2, -1)), VIEW)[1]
    at_sensitivity = 2 * torch.sigmoid(torch.tensor(1.0)) - 1
    torch.testing.assert_close(
        kept[0, :3], torch.stack([at_sensitivity, torch.tensor(1.0), torch.tensor(0.0)])
    )
    assert not kept[1:].any()


def test_what_is_empty_is_told_by_the_noisy_background_in_every_step() -> None:
    for step in range(3):
        behind = bootstrap_background(Bootstrap(WHITE, 3, 1.5, 0.2), SCHEDULE, step, PICTURE, NOISE)
        assert behind.leak_sensitivity == 0.2
        torch.testing.assert_close(behind.empty, behind.planes[:1])


def test_what_shows_through_is_told_by_clean_white_in_the_last_step() -> None:
    bootstrap = Bootstrap(WHITE, 3, 0.5, 0.2, show_through=True)
    backgrounds = [bootstrap_background(bootstrap, SCHEDULE, step, PICTURE, NOISE) for step in range(4)]
    assert [behind and behind.leak_sensitivity for behind in backgrounds] == [None, None, 0.2, None]
    assert backgrounds[2] is not None
    torch.testing.assert_close(backgrounds[2].empty, WHITE)
    torch.testing.assert_close(backgrounds[2].planes[:1], SCHEDULE.noise_to_start(WHITE, NOISE, [2]))


def corner() -> Tensor:
    mask = torch.zeros(4, 6)
    mask[:2, :2] = 1
    return mask
