"""The core against recorded runs of the published implementations."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from smd_cli.core.guidance import Guidance, ModelInput
from smd_cli.core.regions import Regions
from smd_cli.core.rows import Rows
from smd_cli.core.schedule import Schedule, TrainingSchedule
from smd_cli.core.step import Method, denoise_step
from tests.core import recorded
from tests.core.models import lcm
from tests.golden import Case, cases, needs_golden, relative_error, tiny_pipeline

# What an exact pruning leaves of `reference_unet_evals`.
EVALUATIONS = {
    "regional_single_view": 15,
    "regional_tiled": 105,
    "regional_tiled_guided": 112,
    "regional_continuous": 95,
    "regional_noboot": 74,
    "inpaint_single_view": 10,
    "inpaint_tiled": 39,
    "panorama": 35,
}


class CountingPredict:
    """The tiny UNet under one case's prompts, counting the rows it is given."""

    def __init__(self, case: Case) -> None:
        self.embeddings = tiny_pipeline().conditioning(case)
        self.rows = 0

    def __call__(self, asked: ModelInput) -> Tensor:
        self.rows += len(asked)
        return tiny_pipeline().predict(asked.latents, asked.timesteps, self.embeddings[asked.prompts])


def schedule(case: Case) -> Schedule:
    return lcm(TrainingSchedule(tiny_pipeline().alphas_cumprod), case.settings["schedule_indices"])


def method(case: Case) -> Method:
    settings = case.settings
    guidance = Guidance(
        settings.get("cfg_type", "full"), settings["guidance_scale"], settings.get("rcfg_delta", 1.0)
    )
    return Method(schedule(case), guidance, recorded.bootstrap(case, tiny_pipeline()))


def regions(case: Case) -> Regions:
    return recorded.regions(case, schedule(case).noise_levels, tiny_pipeline())


@pytest.mark.parametrize("case", cases("generate", "inpaint", "panorama"))
def test_one_shot_pictures_are_those_of_the_published_code(case: Case) -> None:
    predict, arranged, how = CountingPredict(case), regions(case), method(case)
    recorded.check_picture(case, case.tensors["noise.init"], arranged, how, predict)
    assert predict.rows == arranged.work(how.guidance).model_evaluations
    assert predict.rows <= EVALUATIONS.get(case.name, predict.rows)
    reference = case.settings.get("reference_unet_evals", arranged.work(how.guidance).without_savings)
    assert arranged.work(how.guidance).without_savings == reference


@needs_golden
def test_every_counted_case_is_still_recorded() -> None:
    assert set(EVALUATIONS) <= {parameter.id for parameter in cases("generate", "inpaint", "panorama")}


@pytest.mark.parametrize("case", cases("stream"))
def test_streams_are_the_same_step_with_more_rows(case: Case) -> None:
    frames = list(stream(case))
    for frame, expected in zip(frames, case.tensors["frames.latent"], strict=True):
        assert relative_error(frame, expected) < recorded.TOLERANCE


def stream(case: Case) -> Iterator[Tensor]:
    """Yield the frames (C, h, w) of a recorded stream: row i stands at step i and has its own renoise.

    It starts with rows of zeros, and the residual noise of the first row is `noise.init[0]`, as published.
    """
    noise, how, arranged, predict = (
        case.tensors["noise.init"],
        method(case),
        regions(case),
        CountingPredict(case),
    )
    waiting = Rows(torch.zeros_like(noise[1:]), tuple(range(1, len(noise))), torch.zeros_like(noise[1:]))
    for tick, incoming in enumerate(first_rows(case, how)):
        rows = Rows(incoming[None], (0,), noise[:1]).append(waiting)
        estimates = denoise_step(rows, noise[:1].expand_as(rows.x), arranged, how, predict)
        waiting = estimates.at(range(len(noise) - 1)).renoised(how.schedule, noise[1:])
        if tick >= warm_up(case):
            yield estimates.x[-1]


def first_rows(case: Case, how: Method) -> Tensor:
    """What enters the first row at each tick: fresh noise, or the frames of a video brought to its level."""
    if "frames.input" not in case.tensors:
        return case.tensors["noise.fresh"]
    noise = case.tensors["noise.init"][:1]
    frames = [tiny_pipeline().encode_image(frame[None]) for frame in case.tensors["frames.input"]]
    return torch.cat([how.schedule.noise_to_start(frame, noise, [0]) for frame in frames])


def warm_up(case: Case) -> int:
    """Ticks that emit nothing; StreamDiffusion's recording starts with the first."""
    return 0 if case.settings.get("source") == "StreamDiffusion" else len(case.settings["schedule_indices"])
