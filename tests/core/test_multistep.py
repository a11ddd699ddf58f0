"""What a multistep sampler remembers: the clean latents of the whole canvas, in every kind of picture."""

import math
from dataclasses import replace

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler
from torch import Tensor

from smd_cli.core.bootstrap import Bootstrap
from smd_cli.core.guidance import Guidance
from smd_cli.core.noise import SeededNoise
from smd_cli.core.regions import Regions, arrange_regions
from smd_cli.core.rows import Rows
from smd_cli.core.sample import sample
from smd_cli.core.samplers import SAMPLERS, SamplerSteps
from smd_cli.core.step import Method, denoise_step
from tests.core.models import ConvModel, alphas_cumprod, training

HEIGHT, WIDTH, TILE, STEPS = 6, 9, 6, 5
SHAPE = (1, 4, HEIGHT, WIDTH)
SCHEDULE = SAMPLERS["dpmpp"](training(), SamplerSteps(STEPS, tuple(range(STEPS)), (6, 6), spacing="trailing"))
NOISE = SeededNoise(5)
WHITE = SeededNoise(90)("init", 0, SHAPE)
IMAGE = SeededNoise(91)("init", 0, SHAPE)
MODEL = ConvModel(prompts=4)


def regions(*boxes: tuple[int, int]) -> Regions:
    """Regions of whole height, from one column to another, on two tiles."""
    masks = torch.zeros(len(boxes), STEPS, 1, HEIGHT, WIDTH)
    for mask, (left, right) in zip(masks, boxes, strict=True):
        mask[..., left:right] = 1
    return arrange_regions(masks, TILE)


def estimates(of: Regions, method: Method) -> list[Tensor]:
    """The estimate of every step."""
    made: list[Tensor] = []
    init = NOISE("init", 0, SHAPE)
    sample(Rows(init, (0,), init), of, method, MODEL, NOISE, lambda _, estimate: made.append(estimate))
    return made


def clean_of(x: Tensor, noise: Tensor, timestep: int) -> Tensor:
    alpha = float(alphas_cumprod()[timestep])
    return (x - math.sqrt(1 - alpha) * noise) / math.sqrt(alpha)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # diffusers' scheduler with NumPy 2
def test_a_tiled_canvas_takes_the_steps_of_one_picture() -> None:
    """All views are averaged as clean latents, and diffusers' scheduler goes on with the whole canvas."""
    of = regions((0, 5), (5, 9))
    scheduler = DPMSolverMultistepScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="trailing"
    )
    scheduler.set_timesteps(STEPS)
    x, found = NOISE("init", 0, SHAPE), estimates(of, Method(SCHEDULE, Guidance()))
    for step, timestep in enumerate(scheduler.timesteps.tolist()):
        total, weight = torch.zeros(SHAPE), torch.zeros(SHAPE)
        for view in of.views[step]:
            rows, columns = slice(view.box.top, view.box.bottom), slice(view.box.left, view.box.right)
            crop = x[..., rows, columns]
            clean = clean_of(crop, MODEL.one(crop, timestep, view.regions[0]), timestep)
            share = of.masks[view.regions[0], step, 0, rows, columns] * of.tiling.weights[view.tile]
            total[..., rows, columns] += share * clean
            weight[..., rows, columns] += share
        alpha = float(alphas_cumprod()[timestep])
        noise = (x - math.sqrt(alpha) * total / weight) / math.sqrt(1 - alpha)
        x = scheduler.step(noise, timestep, x).prev_sample
        torch.testing.assert_close(found[step], x, rtol=1e-4, atol=1e-4)


def test_a_region_is_bootstrapped_with_its_own_past_on_a_clean_ground() -> None:
    """The second step, told in full: latents and clean latents of the step before are cut out and rolled."""
    of = arrange_regions(0.6 * regions((0, 4)).masks[..., :6], TILE)
    shape = (1, 4, HEIGHT, 6)
    x, past, noise = (SeededNoise(seed)("init", 0, shape) for seed in (1, 2, 3))
    white = WHITE[..., :6]
    method = Method(SCHEDULE, Guidance(), Bootstrap(white, steps=3, mix_steps=9.0))
    found = denoise_step(Rows(x, (1,), past), noise, of.over(None, white), method, MODEL)

    sigma = [float(level) for level in SCHEDULE.start.sigma / SCHEDULE.start.alpha][:3]
    alpha = [1 / math.sqrt(level**2 + 1) for level in sigma]
    mask = of.masks[0, 1, 0]
    shown = mask * x + (1 - mask) * alpha[1] * (white + sigma[1] * noise)
    before = mask * past + (1 - mask) * white
    predicted = MODEL.one(shown.roll(1, -1), int(SCHEDULE.timesteps[1]), 0).roll(-1, -1)
    clean = shown / alpha[1] - sigma[1] * predicted
    length, length_before = math.log(sigma[1] / sigma[2]), math.log(sigma[0] / sigma[1])
    slope = length / (2 * length_before) * (clean - before)
    kept = alpha[2] * sigma[2] / (alpha[1] * sigma[1])
    estimate = kept * shown + alpha[2] * (1 - math.exp(-length)) * (clean + slope)

    ground = alpha[2] * (white + sigma[2] * noise)
    torch.testing.assert_close(found.x, torch.lerp(ground, estimate, mask), rtol=1e-4, atol=1e-4)
    assert found.carried is not None
    torch.testing.assert_close(found.carried, torch.lerp(white, clean, mask), rtol=1e-4, atol=1e-4)


def test_what_is_remembered_of_a_background_is_the_background() -> None:
    closed = arrange_regions(torch.zeros(1, STEPS, 1, HEIGHT, WIDTH), TILE).over(IMAGE)
    init = NOISE("init", 0, SHAPE)
    rows = denoise_step(Rows(init, (0,), init), init, closed, Method(SCHEDULE, Guidance()), MODEL)
    assert rows.carried is not None
    torch.testing.assert_close(rows.carried, IMAGE)
    after = rows.renoised(SCHEDULE, NOISE("renoise", 1, SHAPE))
    torch.testing.assert_close(after.carried, IMAGE)
    torch.testing.assert_close(after.x, SCHEDULE.noise_to_start(IMAGE, init, [1]))


@pytest.mark.parametrize("show_through", [False, True])
def test_rows_at_several_steps_are_those_of_single_pictures(show_through: bool) -> None:
    """As streams take them: each row remembers its own past, behind its regions too."""
    masks = torch.cat([torch.ones(1, STEPS, 1, HEIGHT, WIDTH), regions((0, 4)).masks])
    of = arrange_regions(masks, TILE, behind=frozenset({0}))
    bootstrap = Bootstrap(WHITE, steps=3, leak_sensitivity=0.3, show_through=show_through)
    method = Method(SCHEDULE, Guidance(), bootstrap)
    init = NOISE("init", 0, SHAPE)

    def taken(rows: Rows) -> Rows:
        noise = torch.cat([NOISE("bootstrap", step, SHAPE) for step in rows.steps])
        return denoise_step(rows, noise, of, method, MODEL)

    flight = taken(Rows(init, (0,), init))
    for _ in range(2):
        flight = flight.renoised(SCHEDULE, init.expand_as(flight.x)).append(Rows(init, (0,), init))
        flight = taken(flight)
    for row, steps in enumerate((3, 2, 1)):
        alone = Rows(init, (0,), init)
        for _ in range(steps - 1):
            alone = taken(alone).renoised(SCHEDULE, init)
        alone = taken(alone)
        torch.testing.assert_close(flight.x[[row]], alone.x, rtol=1e-4, atol=1e-4)
        assert flight.carried is not None
        assert alone.carried is not None
        torch.testing.assert_close(flight.carried[[row]], alone.carried, rtol=1e-4, atol=1e-4)


def test_steps_before_have_no_say_in_single_step_samplers() -> None:
    plain = replace(SCHEDULE, multistep=None)
    with pytest.raises(ValueError, match="one by one"):
        plain.estimate_after(WHITE, IMAGE, IMAGE, [0])
