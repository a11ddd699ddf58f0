"""One prompt without regions is what diffusers' own pipeline makes of the same noise and scheduler."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, LCMScheduler, StableDiffusionPipeline
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from smd_cli.core.noise import SeededNoise
from smd_cli.engine.events import Clock
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.prepare import prepare
from smd_cli.engine.render import denoise
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from tests.embedded import backbone

SHAPE = (1, 4, 24, 32)
PROMPT, NEGATIVE = "a red house, snow", "a blue circle"


def ours(sampler: str, seed: int) -> tuple[torch.Tensor, list[int]]:
    """This program's latents, and the timesteps it took."""
    text = f"smd: 1\ncanvas: {{width: 256, height: 192}}\nsampler: {{{sampler}}}\n"
    text += f"background: {{prompt: '{PROMPT}', negative_prompt: '{NEGATIVE}'}}\n"
    plan = resolve(load_text(text, "scene").scene, "scene", Path())
    with torch.inference_mode():
        stage = prepare(plan, CanvasImages(()), backbone(), batch=4)
    return denoise(stage, SeededNoise(seed), Clock()), stage.method.schedule.timesteps.tolist()


def theirs(scheduler, seed: int, **settings) -> torch.Tensor:
    """diffusers' latents, from the same networks."""
    own = backbone()
    tokenizer = CLIPTokenizer.from_pretrained(own.assets.configs / "tokenizer")
    pipeline = StableDiffusionPipeline(
        own.networks["vae"], own.networks["text_encoder"], tokenizer, own.networks["unet"], scheduler,
        None, None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        width=256,
        height=192,
        latents=SeededNoise(seed)("init", 0, SHAPE),
        output_type="latent",
        **settings,
    )
    return made.images


def training_noise() -> dict[str, Any]:
    """What the model's scheduler config says of its noise levels, as schedulers take it."""
    config = json.loads((backbone().assets.configs / "scheduler" / "scheduler_config.json").read_text())
    return {key: config[key] for key in ("beta_start", "beta_end", "beta_schedule", "trained_betas")}


@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_few_steps_are_those_of_the_consistency_pipeline(guidance, monkeypatch):
    seed = 11
    latents, timesteps = ours(f"guidance_scale: {guidance}", seed)
    draws = iter(SeededNoise(seed)("renoise", step, SHAPE) for step in range(1, 5))
    module = "diffusers.schedulers.scheduling_lcm.randn_tensor"
    monkeypatch.setattr(module, lambda *args, **kwargs: next(draws))
    scheduler = LCMScheduler(**training_noise())
    expected = theirs(scheduler, seed, timesteps=timesteps, guidance_scale=guidance)
    assert next(draws, None) is None
    torch.testing.assert_close(latents, expected, atol=2e-4, rtol=1e-3)


def test_many_steps_are_those_of_the_ddim_pipeline():
    latents, _ = ours("kind: ddim, steps: 8, guidance_scale: 3", 12)
    scheduler = DDIMScheduler(**training_noise(), clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    expected = theirs(scheduler, 12, num_inference_steps=8, guidance_scale=3.0)
    torch.testing.assert_close(latents, expected, atol=2e-4, rtol=1e-3)
