"""One prompt without regions on Stable Diffusion 3 is what diffusers' pipeline makes of the same noise."""

from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, StableDiffusion3Pipeline
from safetensors.torch import load_file

from smd_cli.core.noise import SeededNoise
from smd_cli.engine.events import Clock
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.prepare import prepare
from smd_cli.engine.render import denoise
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.loading import load
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from tests.checkpoints import sd3

PROMPT, NEGATIVE = "a red house, snow", "a blue circle"
SHAPE, SEED, STEPS = (1, 16, 8, 8), 5, 3


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The same small model as a folder, without T5, as one file and as a file without text encoders."""
    folder = tmp_path_factory.mktemp("sd3")
    sd3.make_folder(folder / "folder")
    sd3.without_t5(folder / "folder", folder / "no_t5")
    sd3.make_file(folder)
    sd3.make_file(folder, encoders="")
    sd3.make_lora(folder)
    return folder


def ours(models: Path, base: str, sampler: str, **model) -> torch.Tensor:
    """This program's latents."""
    config = str(models / "folder") if base.endswith(".safetensors") else None
    spec = ModelSpec(str(models / base), config=config, lcm_lora="none", **model)
    backbone = load(locate(spec), torch.device("cpu"), torch.float32)
    text = f"smd: 1\ncanvas: {{width: 64, height: 64}}\nsampler: {{{sampler}, steps: {STEPS}}}\n"
    text += f"background: {{prompt: '{PROMPT}', negative_prompt: '{NEGATIVE}'}}\n"
    plan = resolve(load_text(text, "scene").scene, "scene", Path())
    with torch.inference_mode():
        stage = prepare(plan, CanvasImages(()), backbone)
    return denoise(stage, SeededNoise(SEED), Clock())


def theirs(folder: Path, monkeypatch, lora: Path | None = None, *, stochastic: bool = False, **settings):
    """diffusers' latents."""
    without = {} if (folder / sd3.T5).exists() else {sd3.T5: None, "tokenizer_3": None}
    pipeline = StableDiffusion3Pipeline.from_pretrained(folder, **without)
    if lora:
        add_lora(pipeline, load_file(lora))
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = FlowMatchEulerDiscreteScheduler.from_config(
        pipeline.scheduler.config, stochastic_sampling=stochastic
    )
    noise = SeededNoise(SEED)
    draws = iter([*(noise("renoise", step, SHAPE) for step in range(1, STEPS)), torch.zeros(SHAPE)])
    module = "diffusers.schedulers.scheduling_flow_match_euler_discrete.randn_tensor"
    monkeypatch.setattr(module, lambda *args, **kwargs: next(draws))
    return pipeline(
        PROMPT, negative_prompt=NEGATIVE, width=64, height=64, latents=noise("init", 0, SHAPE),
        num_inference_steps=STEPS, output_type="latent", **settings,
    ).images  # fmt: skip


def add_lora(pipeline: StableDiffusion3Pipeline, tensors: dict[str, torch.Tensor]) -> None:
    """Change weights as a LoRA's authors say (2106.09685): by the product of its factors."""
    for name, down in tensors.items():
        if name.endswith(".lora_A.weight"):
            component, _, layer = name.removesuffix(".lora_A.weight").partition(".")
            up = tensors[name.replace("lora_A", "lora_B")]
            getattr(pipeline, component).get_submodule(layer).weight.data += up @ down


def relative_error(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


SAMPLERS = {"euler": False, "lcm": True}


@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("base", ["folder", "no_t5", "sd3_lgt.safetensors", "sd3_.safetensors"])
def test_a_picture_is_that_of_the_pipeline(models, monkeypatch, base, sampler, guidance):
    latents = ours(models, base, f"kind: {sampler}, guidance_scale: {guidance}")
    folder = models / ("no_t5" if base == "no_t5" else "folder")
    expected = theirs(folder, monkeypatch, stochastic=SAMPLERS[sampler], guidance_scale=guidance)
    assert relative_error(latents, expected) < 1e-4


@pytest.mark.parametrize("base", ["folder", "sd3_lgt.safetensors"])
def test_with_a_lora_too(models, monkeypatch, base):
    lora = models / "lora.safetensors"
    latents = ours(models, base, "kind: euler", loras=((str(lora), 1.0),))
    expected = theirs(models / "folder", monkeypatch, lora, guidance_scale=1.0)
    assert relative_error(latents, expected) < 1e-4
    assert relative_error(ours(models, base, "kind: euler"), expected) > 1e-2


@pytest.mark.parametrize("base", ["folder", "no_t5"])
def test_the_length_of_t5_is_a_setting(models, monkeypatch, base):
    latents = ours(models, base, "kind: euler", t5_length=77)
    expected = theirs(models / base, monkeypatch, guidance_scale=1.0, max_sequence_length=77)
    assert relative_error(latents, expected) < 1e-4
    assert relative_error(ours(models, base, "kind: euler"), expected) > 1e-3


def test_t5_may_be_left_out(models):
    latents = ours(models, "folder", "kind: euler", left_out=("text_encoder_3",))
    torch.testing.assert_close(latents, ours(models, "no_t5", "kind: euler"))
    assert relative_error(latents, ours(models, "folder", "kind: euler")) > 1e-2
