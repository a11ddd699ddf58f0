"""The SD1.5 backbone gives what diffusers' own pipeline gives, from every layout."""

from pathlib import Path

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.loading import load

CPU = torch.device("cpu")
PROMPTS = ["a red house", "1girl, pink hair, (smile)"]


def load_spec(base: Path, dtype=torch.float32, **choices):
    return load(locate(ModelSpec(str(base), **choices), offline=True), CPU, dtype)


@pytest.fixture(scope="module")
def backbone(folder):
    return load_spec(folder)


@pytest.fixture(scope="module")
def pipeline(folder):
    return StableDiffusionPipeline.from_pretrained(folder)


def test_prompts_are_encoded_as_by_the_pipeline(backbone, pipeline):
    expected, _ = pipeline.encode_prompt(PROMPTS, "cpu", 1, do_classifier_free_guidance=False)
    assert torch.equal(backbone.encode_prompts(PROMPTS).embeds, expected)
    assert backbone.encode_prompts(PROMPTS).pooled is None


def test_predict_takes_a_timestep_and_a_prompt_for_each_row(backbone, pipeline):
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    conditioning = backbone.encode_prompts(PROMPTS)
    got = backbone.predict(latents, torch.tensor([999, 19]), conditioning)
    for row, timestep in enumerate((999, 19)):
        expected = pipeline.unet(latents[row, None], timestep, conditioning.embeds[row, None]).sample
        torch.testing.assert_close(got[row, None], expected, rtol=1e-4, atol=1e-5)
    assert not got.requires_grad


def test_pictures_go_in_and_out_as_by_the_autoencoder(backbone, pipeline):
    pixels = torch.rand(1, 3, 64, 48, generator=torch.Generator().manual_seed(2)) * 2 - 1
    latents = backbone.encode_image(pixels)
    assert latents.shape == (1, 4, 8, 6)
    torch.testing.assert_close(latents, pipeline.vae.encode(pixels).latent_dist.mean * 0.18215)
    expected = pipeline.vae.decode(latents / 0.18215).sample.clamp(-1, 1)
    torch.testing.assert_close(backbone.decode(latents), expected)


def test_single_file_holds_the_same_model(single_file, folder, backbone):
    alone = load_spec(single_file, config=str(folder))
    for part in ("unet", "vae", "text_encoder"):
        ours, theirs = getattr(alone, part).state_dict(), getattr(backbone, part).state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert alone.facts == backbone.facts
    assert torch.equal(alone.encode_prompts(PROMPTS).embeds, backbone.encode_prompts(PROMPTS).embeds)
