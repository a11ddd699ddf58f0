"""SDXL: one prompt without regions is what diffusers' own pipeline makes of the same files and noise."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionXLPipeline

from tests.checkpoints import sdxl
from tests.engine.pipelines import SCHEDULERS, STEPS, Picture, compare, ours, relative_error, theirs

OWN = {**sdxl.NOISE, "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}
"""What published models' configs say of their schedulers."""

EULER = "kind: euler, steps: 4"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    place = tmp_path_factory.mktemp("sdxl")
    folder = sdxl.make_folder(place / "model")
    return SimpleNamespace(folder=folder, file=sdxl.make_file(place), lora=sdxl.make_lora(place))


@pytest.fixture(scope="module")
def pipeline(files) -> StableDiffusionXLPipeline:
    return StableDiffusionXLPipeline.from_pretrained(files.folder)


@pytest.fixture(scope="module")
def styled_pipeline(files) -> StableDiffusionXLPipeline:
    """The pipeline with the LoRA in its weights."""
    loaded = StableDiffusionXLPipeline.from_pretrained(files.folder)
    loaded.load_lora_weights(files.lora)
    loaded.fuse_lora(lora_scale=0.8)
    loaded.scheduler = trailing()
    return loaded


def trailing() -> EulerDiscreteScheduler:
    return EulerDiscreteScheduler(**sdxl.NOISE, timestep_spacing="trailing")


@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("sampler", SCHEDULERS)
def test_samplers_make_what_the_pipeline_makes(sampler, guidance, files, pipeline):
    kind, settings = SCHEDULERS[sampler]
    pipeline.scheduler = kind.from_config(OWN, **settings)
    eta = {"eta": 1.0 if "gamma: 1" in sampler else 0.3} if "tcd" in sampler else {}
    picture = Picture(files.folder, f"{sampler}, guidance_scale: {guidance}")
    compare(picture, pipeline, num_inference_steps=STEPS, guidance_scale=guidance, **eta)


def test_guided_predictions_are_brought_back_to_the_contrast_of_others(files, pipeline):
    pipeline.scheduler = trailing()
    picture = Picture(files.folder, f"{EULER}, guidance_scale: 3, guidance_rescale: 0.7")
    compare(picture, pipeline, num_inference_steps=4, guidance_scale=3.0, guidance_rescale=0.7)


def test_weights_that_predict_v_from_noise_alone(files, tmp_path):
    training = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    folder = shutil.copytree(files.folder, tmp_path / "v")
    config = folder / "scheduler/scheduler_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **training}))
    loaded = StableDiffusionXLPipeline.from_pretrained(folder)
    loaded.scheduler = DDIMScheduler.from_config(OWN, **training, timestep_spacing="trailing")
    picture = Picture(
        folder, "kind: ddim, steps: 3, spacing: trailing, guidance_scale: 3, guidance_rescale: 0.7"
    )
    compare(picture, loaded, num_inference_steps=3, guidance_scale=3.0, guidance_rescale=0.7)


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
def test_a_lora_of_all_three_networks(naming, files, styled_pipeline, tmp_path):
    path = sdxl.make_lora(tmp_path, naming)
    picture = Picture(files.folder, EULER)
    styled = replace(picture, choices={"loras": ((str(path), 0.8),)})
    latents = compare(styled, styled_pipeline, num_inference_steps=4, guidance_scale=1.0)
    assert relative_error(latents, ours(picture)[0]) > 1e-2
