"""FLUX.2 klein: what diffusers' own pipeline makes of the same noise; views depend on nobody else."""

from functools import partial
from pathlib import Path

import pytest
import torch
from diffusers import Flux2KleinPipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

from smd_cli.core.guidance import ModelInput
from smd_cli.core.tiling import Box
from tests.checkpoints import klein
from tests.engine.pipelines import Picture, backbone_of, compare

STEPS = 3
Klein = partial(
    Picture,
    size=(96, 64),
    negative_prompt=None,
    pack=lambda noise: noise.flatten(2).transpose(1, 2),
    unpack=lambda latents, model: model.autoencoder.to_z(latents),
)
"""A picture whose latents the pipeline packs into tokens, and gives out as the autoencoder reads them."""


@pytest.fixture(scope="module")
def distilled(tmp_path_factory) -> Path:
    return klein.make_folder(tmp_path_factory.mktemp("klein") / "distilled")


def pipeline(folder: Path, **changes: object) -> Flux2KleinPipeline:
    made = Flux2KleinPipeline.from_pretrained(folder)
    made.scheduler = FlowMatchEulerDiscreteScheduler(**{**klein.SCHEDULER, **changes})
    return made


settings = {"num_inference_steps": STEPS, "guidance_scale": 1.0}


def test_euler(distilled):
    latents = compare(Klein(distilled, f"kind: euler, steps: {STEPS}"), pipeline(distilled), **settings)
    assert latents.shape == (1, klein.CHANNELS // 4, 8, 12)


def test_lcm_is_the_stochastic_scheduler(distilled):
    stochastic = pipeline(distilled, stochastic_sampling=True)
    compare(Klein(distilled, f"kind: lcm, steps: {STEPS}"), stochastic, **settings)


def test_a_shift_that_the_scheduler_fixes(distilled, tmp_path):
    fixed = klein.make_folder(tmp_path / "fixed", use_dynamic_shifting=False)
    compare(
        Klein(fixed, f"kind: euler, steps: {STEPS}"), pipeline(fixed, use_dynamic_shifting=False), **settings
    )


def test_guidance_of_a_model_that_is_not_distilled(tmp_path):
    base = klein.make_folder(tmp_path / "base", is_distilled=False)
    picture = Klein(base, f"kind: euler, steps: {STEPS}, guidance_scale: 3")
    compare(picture, pipeline(base), **{**settings, "guidance_scale": 3.0})


def test_a_transformer_alone_in_the_published_layout(distilled):
    """What it lacks comes from the folder of its configs."""
    picture = Klein(
        klein.make_file(distilled), f"kind: euler, steps: {STEPS}", choices={"config": str(distilled)}
    )
    compare(picture, pipeline(distilled), **settings)


def test_a_lora(distilled, tmp_path):
    lora = klein.make_lora(tmp_path / "lora")
    sampler = f"kind: euler, steps: {STEPS}"
    with_it = pipeline(distilled)
    with_it.load_lora_weights(str(lora))
    changed = compare(Klein(distilled, sampler, choices={"loras": ((str(lora), 1.0),)}), with_it, **settings)
    plain = compare(Klein(distilled, sampler), pipeline(distilled), **settings)
    assert (plain - changed).abs().max() > 0.1 * plain.abs().max()


def test_a_view_depends_on_no_other_and_on_no_place_of_its_tile(distilled):
    model = backbone_of(Klein(distilled, ""))
    generator = torch.Generator().manual_seed(5)
    latents = torch.randn((3, klein.CHANNELS, 4, 4), generator=generator)
    boxes = (Box(0, 0, 4, 4), Box(4, 0, 8, 4), Box(2, 2, 6, 6))
    times = torch.tensor([900.0, 500.0, 20.0])
    asked = ModelInput(latents, times, torch.zeros(3), torch.arange(3), boxes, (8, 8))
    with torch.inference_mode():
        table = model.prepare(model.encode_prompts(["a red house, snow", "x " * 300, ""]))
        together = model.predict(asked, table)
        for row in range(3):
            alone = model.predict(asked.at([row]), table.rows([row]))
            torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-4)
        elsewhere = ModelInput(latents[:1], times[:1], torch.zeros(1), torch.arange(1), boxes[2:], (8, 8))
        assert torch.equal(
            model.predict(elsewhere, table.rows([0])), model.predict(asked.at([0]), table.rows([0]))
        )
        short = model.encode_prompts(["a red house, snow"])
    assert torch.equal(short.embeds[0], model.encode_prompts(["a red house, snow"]).embeds[0])
    torch.testing.assert_close(short.embeds[0], table.embeds[0], rtol=1e-4, atol=1e-4)
    assert (together[0] - together[1]).abs().max() > 0.1
