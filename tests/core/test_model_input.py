"""What a step tells the model of each row: its place on the canvas, the canvas's size, both its times.

The latents of these canvases hold where each of their px lies, which canvas it belongs to and at which step
that is. What the model is told of a row is compared with what its latents show.
"""

from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from smd_cli.core.bootstrap import Bootstrap
from smd_cli.core.guidance import Guidance, ModelInput
from smd_cli.core.regions import Regions, arrange_regions
from smd_cli.core.rows import Rows
from smd_cli.core.schedule import Schedule
from smd_cli.core.step import Method, denoise_step
from smd_cli.core.tiling import Box
from tests.core.models import ddim, lcm, model_input, training

HEIGHT, WIDTH, TILE = 6, 20, 4
STEPS = (4, 1, 0, 1)  # of the rows; 4 is the last one
PROMPTS = 3
INDICES = [0, 4, 12, 25, 37]
SCHEDULES = {"lcm": lcm(training(), INDICES), "ddim": ddim(training(), 5)}
GUIDANCES = [Guidance(), Guidance("full", 1.5), Guidance("initialize", 1.5)]


def canvases() -> Tensor:
    """Latents whose channels are the px's row and column, the number of the canvas, and its step."""
    ys, xs = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    each = [[ys, xs, torch.full_like(ys, row), torch.full_like(ys, step)] for row, step in enumerate(STEPS)]
    return torch.stack([torch.stack(channels) for channels in each]).float()


def regions(*, wrap: bool) -> Regions:
    """Three overlapping regions, each in some of the tiles alone; the last one opens late."""
    masks = torch.zeros(PROMPTS, 5, 1, HEIGHT, WIDTH)
    masks[0, ..., :9], masks[1, ..., 2:5, 7:], masks[2, 1:, :, :3, 12:15] = 1, 1, 1
    return arrange_regions(masks, TILE, wrap=wrap)


def asked_of(schedule: Schedule, guidance: Guidance, *, wrap: bool, batch: int) -> list[ModelInput]:
    """Take a step of all rows; return what the model was asked, a row at a time."""
    rows: list[ModelInput] = []

    def predict(asked: ModelInput) -> Tensor:
        assert len(asked) == len(asked.latents) == len(asked.timesteps) == len(asked.prompts)
        rows.extend(asked.at([place]) for place in range(len(asked)))
        return torch.zeros_like(asked.latents)

    x = canvases()
    method = Method(schedule, guidance, batch=batch)
    denoise_step(Rows(x, STEPS, x), torch.zeros_like(x), regions(wrap=wrap), method, predict)
    return rows


def seen_at(row: ModelInput) -> tuple[list[int], list[int], int, int]:
    """Read rows and columns, number and step of the canvas off the latents of one model row."""
    ys, xs, number, step = row.latents[0].int()
    return ys[:, 0].tolist(), xs[0].tolist(), int(number[0, 0]), int(step[0, 0])


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("guidance", GUIDANCES, ids=lambda guidance: guidance.kind)
@pytest.mark.parametrize("sampler", SCHEDULES)
def test_each_row_comes_with_its_own_tile_and_times(
    sampler: str, guidance: Guidance, batch: int, wrap: bool
) -> None:
    for row in asked_of(SCHEDULES[sampler], guidance, wrap=wrap, batch=batch):
        ys, xs, _, step = seen_at(row)
        box = row.boxes[0]
        assert row.canvas == (HEIGHT, WIDTH)
        assert list(range(box.top, box.bottom)) == ys
        assert [column % WIDTH for column in range(box.left, box.right)] == xs
        assert (row.timesteps.item(), row.end_timesteps.item()) == times(sampler)[step]


def times(sampler: str) -> list[tuple[int, int]]:
    """The times at which steps start and end: LCM's end at 0, DDIM's where the next one starts."""
    if sampler == "lcm":
        return [(999 - 20 * index, 0) for index in INDICES]
    reference = DDIMScheduler(steps_offset=1)
    reference.set_timesteps(5)
    starts = reference.timesteps.tolist()
    return list(zip(starts, [*starts[1:], 0], strict=True))


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("guidance", GUIDANCES, ids=lambda guidance: guidance.kind)
def test_every_prompt_is_asked_where_its_region_lies_and_its_negative_in_the_same_tiles(
    guidance: Guidance, wrap: bool
) -> None:
    masks = regions(wrap=wrap).masks
    asked: dict[int, list[tuple[list[int], list[int], int, int]]] = {}
    for row in asked_of(SCHEDULES["lcm"], guidance, wrap=wrap, batch=5):
        prompt = int(row.prompts)
        seen = seen_at(row)
        ys, xs, _, step = seen
        assert masks[prompt % PROMPTS, step, 0][ys][:, xs].any()
        asked.setdefault(prompt, []).append(seen)
    for prompt in range(PROMPTS):
        negated = [seen for seen in asked[prompt] if guidance.asks_negative(seen[-1])]
        assert asked.get(prompt + PROMPTS, []) == negated
        assert len({str(seen) for seen in asked[prompt]}) == len(asked[prompt])


def test_centring_a_region_moves_it_in_its_tile_and_not_the_tile() -> None:
    boxes = []

    def predict(asked: ModelInput) -> Tensor:
        boxes.extend(asked.boxes)
        return torch.zeros_like(asked.latents)

    x, arranged = canvases(), regions(wrap=False)
    white = torch.zeros(1, 4, HEIGHT, WIDTH)
    method = Method(SCHEDULES["lcm"], Guidance(), Bootstrap(white, steps=5))
    denoise_step(Rows(x, STEPS), torch.zeros_like(x), arranged, method, predict)
    views = [view for step in STEPS for view in arranged.views[step]]
    assert any(view.roll != (0, 0) for view in views)
    assert boxes == [view.box for view in views]


def test_rows_are_taken_and_appended_with_all_that_belongs_to_them() -> None:
    rows = replace(
        model_input(torch.arange(4.0).view(4, 1, 1, 1), torch.arange(10, 14)),
        end_timesteps=torch.arange(20, 24),
        boxes=tuple(Box(row, row + 1, row, row + 1) for row in range(4)),
        canvas=(5, 9),
    )
    picked = rows.at([3, 1]).append(rows.at(range(2)))
    assert len(picked) == 4
    order = torch.tensor([3, 1, 0, 1])
    assert torch.equal(picked.latents.flatten(), order.float())
    assert torch.equal(picked.timesteps, order + 10)
    assert torch.equal(picked.end_timesteps, order + 20)
    assert torch.equal(picked.prompts, order)
    assert [box.top for box in picked.boxes] == order.tolist()
    assert picked.canvas == (5, 9)
