"""SDXL and SD3 from a scene file and a checkpoint, against recorded runs of the published implementations."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from smd_cli.core.noise import Purpose
from smd_cli.engine.events import Clock
from smd_cli.engine.render import decode_image, denoise
from smd_cli.engine.stream_batch import FrameJob, StreamOptions, StreamSampler
from smd_cli.models.spec import T5_LENGTH
from tests.engine.recorded_scenes import CountingBackbone, backbone, prepared, recorded
from tests.golden import FAMILIES, Case, cases, relative_error
from tests.published_slips import UNSHIFTED, Unshifted, with_slips

SAMPLERS = {"sdxl": "euler", "sd3": "lcm"}
"""The sampler of each family's recorded runs."""


def of_families(*tasks: str) -> list[Any]:
    return [each for each in cases(*tasks, folder=FAMILIES) if each.values[0].settings["family"] in SAMPLERS]


def tolerance(case: Case) -> float:
    """Continuous masks divide the rounding of the recorded blur by small gaps between levels."""
    return 1e-3 if case.settings["mask_type"] == "continuous" else 1e-4


def prepare(case: Case, folder: Path) -> tuple[CountingBackbone, Any]:
    settings = case.settings
    length = settings.get("t5_tokens", T5_LENGTH)
    model = CountingBackbone(backbone(FAMILIES / f"tiny-{settings['family']}", t5_length=length))
    if case.name in UNSHIFTED:
        model = CountingBackbone(Unshifted(model.backbone))
    sampler = {
        "kind": SAMPLERS[settings["family"]],
        "steps": settings["schedule_steps"],
        "guidance_scale": max(settings["guidance_scale"], 1.0),
        "guidance_rescale": settings.get("guidance_rescale", 0.0),
        "tile": settings.get("tile_size", settings["height"]),
    }
    return model, with_slips(case, prepared(case, folder, model, sampler))


@pytest.mark.parametrize("case", of_families("generate", "inpaint"))
def test_a_scene_file_reproduces_the_recorded_picture(case: Case, tmp_path):
    model, stage = prepare(case, tmp_path)
    torch.testing.assert_close(
        stage.table.pooled[: len(stage.regions)], pooled(case, stage), rtol=1e-4, atol=1e-5
    )
    latents = denoise(stage, recorded(case), Clock())
    assert relative_error(latents, case.tensors["latent.final"]) < tolerance(case)
    assert model.rows == stage.work.model_evaluations <= case.settings["pruned_model_evals"]
    picture = np.asarray(decode_image(stage, latents), dtype=int)
    assert abs(picture - case.tensors["image"].numpy()).max() <= 1


def pooled(case: Case, stage) -> torch.Tensor:
    """The recorded vectors of the positive prompts, which follow the negatives where these are asked for."""
    return case.tensors["text.pooled"][-len(stage.regions) :]


@pytest.mark.parametrize("case", of_families("stream"))
def test_the_frames_of_a_stream_are_the_recorded_ones(case: Case, tmp_path):
    """Frame j is the one that starts at tick j + 1, from the noise that is drawn then."""

    def noise(purpose: Purpose, step: int, shape) -> torch.Tensor:
        if purpose == "frame":
            return case.tensors["noise.fresh"][[step + 1]]
        return case.tensors["noise.init"][[step if purpose == "renoise" else 0]]

    model, stage = prepare(case, tmp_path)
    expected = case.tensors["frames.latent"]
    jobs = [FrameJob(frame, stage) for frame in range(len(expected))]
    frames = list(StreamSampler(noise, StreamOptions(variation=1.0)).batched(jobs))
    for frame, latent in zip(frames, expected, strict=True):
        assert relative_error(frame.latent[0], latent) < tolerance(case), frame.frame
    assert model.rows <= case.settings["pruned_model_evals"]
