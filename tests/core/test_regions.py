"""Regions that wrap around the canvas, and regions that are not bootstrapped."""

import torch
from torch import Tensor

from smd_cli.core.bootstrap import Bootstrap
from smd_cli.core.guidance import Guidance, ModelInput
from smd_cli.core.noise import SeededNoise
from smd_cli.core.regions import arrange_regions
from smd_cli.core.rows import Rows
from smd_cli.core.sample import sample
from smd_cli.core.schedule import TrainingSchedule
from smd_cli.core.step import Method
from tests.core.models import lcm

SCHEDULE = lcm(TrainingSchedule(torch.linspace(0.999, 0.005, 1000)), [0, 4, 12, 25, 37])
HEIGHT, WIDTH, TILE = 8, 24, 8


class Turned:
    """A source of noise that another one's canvas turned sideways gives."""

    def __init__(self, seed: int, by: int) -> None:
        self.noise = SeededNoise(seed)
        self.by = by

    def __call__(self, purpose, step, shape) -> Tensor:
        return self.noise(purpose, step, shape).roll(self.by, -1)


def blurring(asked: ModelInput) -> Tensor:
    """A model whose prediction at a pixel depends on the whole tile."""
    return 0.5 * asked.latents + 0.5 * asked.latents.flip(-1) + asked.prompts[:, None, None, None]


def picture(masks: Tensor, by: int, *, wrap: bool) -> Tensor:
    regions = arrange_regions(masks.roll(by, -1), TILE, wrap=wrap)
    noise = Turned(3, by)
    start = noise("init", 0, (1, 4, HEIGHT, WIDTH))
    return sample(Rows(start, (0,)), regions, Method(SCHEDULE, Guidance()), blurring, noise)


def test_on_a_canvas_that_wraps_no_column_is_special():
    masks = torch.zeros(2, 5, 1, HEIGHT, WIDTH)
    masks[0, ..., :12], masks[1, ..., 12:] = 1, 1
    # A turn by whole strides meets the same tiles, so that the picture must turn with it.
    straight, turned = (picture(masks, by, wrap=True) for by in (0, 8))
    torch.testing.assert_close(straight.roll(8, -1), turned)
    assert not torch.allclose(picture(masks, 0, wrap=False).roll(8, -1), picture(masks, 8, wrap=False))


def test_a_region_behind_the_others_sees_the_canvas_from_the_first_step_on():
    """It must not be cut out and laid on white, nor moved to the middle of its tile."""
    masks = torch.zeros(2, 5, 1, HEIGHT, WIDTH)
    masks[0, ..., :2], masks[1, ..., 2:] = 1, 1
    seen: list[Tensor] = []

    def watching(asked: ModelInput) -> Tensor:
        rows = zip(asked.latents, asked.prompts.tolist(), strict=True)
        seen.extend(row for row, prompt in rows if prompt == 0)
        return blurring(asked)

    bootstrap = Bootstrap(torch.full((1, 4, HEIGHT, WIDTH), 9.0), steps=1)
    start = torch.randn(1, 4, HEIGHT, WIDTH)
    for behind in (frozenset({0}), frozenset[int]()):
        seen.clear()
        regions = arrange_regions(masks, TILE, behind=behind)
        sample(Rows(start, (0,)), regions, Method(SCHEDULE, Guidance(), bootstrap), watching, SeededNoise(0))
        assert torch.equal(seen[0], start[0, ..., :TILE]) is (0 in behind)
