"""One prompt without regions on Stable Diffusion 3 is what diffusers' pipeline makes of the same noise."""

from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, StableDiffusion3Pipeline
from safetensors.torch import load_file
from torch import Tensor

from tests.checkpoints import sd3
from tests.engine.pipelines import Picture, compare

STEPS = 3
SAMPLERS = {"euler": {}, "lcm": {"stochastic_sampling": True}}
"""What the scheduler of each sampler is told beside its config."""


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """The same small model as a folder, without T5, as one file and as a file without text encoders."""
    folder = tmp_path_factory.mktemp("sd3")
    sd3.make_folder(folder / "folder")
    sd3.without_t5(folder / "folder", folder / "no_t5")
    sd3.make_file(folder)
    sd3.make_file(folder, encoders="")
    sd3.make_lora(folder)
    return folder


def picture(models: Path, base: str, sampler: str, **choices: object) -> Picture:
    if base.endswith(".safetensors"):
        choices["config"] = str(models / "folder")
    return Picture(models / base, f"{sampler}, steps: {STEPS}", choices={"lcm_lora": "none", **choices})


def pipeline(folder: Path, **scheduling: object) -> StableDiffusion3Pipeline:
    without = {} if (folder / sd3.T5).exists() else {sd3.T5: None, "tokenizer_3": None}
    made = StableDiffusion3Pipeline.from_pretrained(folder, **without)
    made.scheduler = FlowMatchEulerDiscreteScheduler.from_config(made.scheduler.config, **scheduling)
    return made


def check(
    made: Picture, theirs: StableDiffusion3Pipeline, guidance: float = 1.0, **settings: object
) -> Tensor:
    return compare(made, theirs, num_inference_steps=STEPS, guidance_scale=guidance, **settings)


@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("base", ["folder", "no_t5"])
def test_a_folder(models, base, sampler, guidance):
    made = picture(models, base, f"kind: {sampler}, guidance_scale: {guidance}")
    check(made, pipeline(models / base, **SAMPLERS[sampler]), guidance)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("base", ["sd3_lgt.safetensors", "sd3_.safetensors"])
def test_a_single_file(models, base, sampler):
    made = picture(models, base, f"kind: {sampler}")
    check(made, pipeline(models / "folder", **SAMPLERS[sampler]))


def test_stable_diffusion_3_that_is_not_3_5(tmp_path):
    sd3.make_folder(tmp_path / "folder", **sd3.STABLE_3)
    sd3.make_file(tmp_path, **sd3.STABLE_3)
    for base in ("folder", "sd3_lgt.safetensors"):
        check(picture(tmp_path, base, "kind: euler"), pipeline(tmp_path / "folder"))


def test_shifts_that_follow_from_the_size(models, tmp_path):
    folder = sd3.make_folder(tmp_path / "folder")
    FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True).save_pretrained(folder / "scheduler")
    dynamic = check(picture(tmp_path, "folder", "kind: euler"), pipeline(folder))
    fixed = check(picture(models, "folder", "kind: euler"), pipeline(models / "folder"))
    assert (dynamic - fixed).abs().max() > 1e-2


@pytest.mark.parametrize("base", ["folder", "sd3_lgt.safetensors"])
def test_a_lora(models, base):
    lora = models / "lora.safetensors"
    changed = pipeline(models / "folder")
    add_lora(changed, load_file(lora))
    with_it = check(picture(models, base, "kind: euler", loras=((str(lora), 1.0),)), changed)
    without = check(picture(models, base, "kind: euler"), pipeline(models / "folder"))
    assert (with_it - without).abs().max() > 1e-2


def add_lora(made: StableDiffusion3Pipeline, tensors: dict[str, Tensor]) -> None:
    """Change weights as a LoRA's authors say (2106.09685): by the product of its factors."""
    for name, down in tensors.items():
        if name.endswith(".lora_A.weight"):
            component, _, layer = name.removesuffix(".lora_A.weight").partition(".")
            up = tensors[name.replace("lora_A", "lora_B")]
            getattr(made, component).get_submodule(layer).weight.data += up @ down


@pytest.mark.parametrize("base", ["folder", "no_t5"])
def test_the_length_of_t5(models, base):
    made = picture(models, base, "kind: euler", t5_length=77)
    short = check(made, pipeline(models / base), max_sequence_length=77)
    usual = check(picture(models, base, "kind: euler"), pipeline(models / base))
    assert (short - usual).abs().max() > 1e-3


def test_t5_may_be_left_out(models):
    left_out = check(picture(models, "folder", "kind: euler", left_out=(sd3.T5,)), pipeline(models / "no_t5"))
    torch.testing.assert_close(
        left_out, check(picture(models, "no_t5", "kind: euler"), pipeline(models / "no_t5"))
    )
