"""SDXL: one prompt without regions is what diffusers' own pipeline makes of the same files and noise."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, LCMScheduler, StableDiffusionXLPipeline

from tests.checkpoints import sdxl
from tests.engine.pipelines import Picture, compare, ours, relative_error, theirs

NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
EULER = "kind: euler, steps: 4"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    place = tmp_path_factory.mktemp("sdxl")
    folder = sdxl.make_folder(place / "model")
    return SimpleNamespace(folder=folder, file=sdxl.make_file(place), lora=sdxl.make_lora(place))


@pytest.fixture(scope="module")
def pipeline(files) -> StableDiffusionXLPipeline:
    return StableDiffusionXLPipeline.from_pretrained(files.folder)


def trailing() -> EulerDiscreteScheduler:
    return EulerDiscreteScheduler(**NOISE, timestep_spacing="trailing")


@pytest.mark.parametrize(
    ("guidance", "rescale"), [(1.0, 0.0), (3.0, 0.0), (3.0, 0.7)], ids=["plain", "guided", "rescaled"]
)
def test_euler_with_trailing_steps(guidance, rescale, files, pipeline):
    pipeline.scheduler = trailing()
    picture = Picture(files.folder, f"{EULER}, guidance_scale: {guidance}, guidance_rescale: {rescale}")
    compare(picture, pipeline, num_inference_steps=4, guidance_scale=guidance, guidance_rescale=rescale)


@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_consistency_steps(guidance, files, pipeline):
    pipeline.scheduler = LCMScheduler(**NOISE)
    picture = Picture(files.folder, f"kind: lcm, guidance_scale: {guidance}")
    timesteps = ours(picture)[1].method.schedule.timesteps.tolist()
    compare(picture, pipeline, timesteps=timesteps, guidance_scale=guidance)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_ddim(guidance, files, pipeline):
    pipeline.scheduler = DDIMScheduler(**NOISE, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    picture = Picture(files.folder, f"kind: ddim, steps: 5, guidance_scale: {guidance}")
    compare(picture, pipeline, num_inference_steps=5, guidance_scale=guidance)


@pytest.mark.parametrize("size", [(96, 64), (64, 104)])
def test_pictures_that_are_not_square_are_told_their_size(size, files, pipeline):
    pipeline.scheduler = trailing()
    picture = Picture(files.folder, EULER, size)
    latents = compare(picture, pipeline, num_inference_steps=4, guidance_scale=1.0)
    turned = theirs(
        picture, ours(picture)[1], pipeline, num_inference_steps=4, guidance_scale=1.0,
        original_size=size, target_size=size,
    )  # fmt: skip
    assert relative_error(latents, turned) > 1e-2, "the checkpoint does not show sizes"


def test_an_empty_negative_prompt_is_encoded_like_any_other(files, pipeline):
    pipeline.scheduler = trailing()
    picture = Picture(files.folder, f"{EULER}, guidance_scale: 3", negative_prompt="")
    compare(picture, pipeline, num_inference_steps=4, guidance_scale=3.0)


def test_a_single_file_is_the_same_model(files, pipeline):
    from_folder, _ = ours(Picture(files.folder, EULER))
    alone = Picture(files.file, EULER, choices={"config": str(files.folder)})
    assert torch.equal(ours(alone)[0], from_folder)
    loaded = StableDiffusionXLPipeline.from_single_file(files.file, config=str(files.folder))
    loaded.scheduler = trailing()
    compare(alone, loaded, num_inference_steps=4, guidance_scale=1.0)


@pytest.mark.parametrize("naming", ["kohya", "diffusers", "ldm"])
def test_a_lora_of_all_three_networks(naming, files, tmp_path):
    path = sdxl.make_lora(tmp_path, naming)
    picture = Picture(files.folder, EULER)
    styled = replace(picture, choices={"loras": ((str(path), 0.8),)})
    loaded = StableDiffusionXLPipeline.from_pretrained(files.folder)
    loaded.load_lora_weights(files.lora)
    loaded.fuse_lora(lora_scale=0.8)
    loaded.scheduler = trailing()
    latents = compare(styled, loaded, num_inference_steps=4, guidance_scale=1.0)
    assert relative_error(latents, ours(picture)[0]) > 1e-2
