"""Z-Image: what diffusers' own pipeline makes of the same noise; tiles are pictures by themselves."""

from functools import partial
from pathlib import Path

import pytest
import torch
from diffusers import ZImagePipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

from smd_cli.engine.events import Clock
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.prepare import prepare
from smd_cli.engine.render import denoise
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from tests.checkpoints import zimage
from tests.engine.pipelines import Picture, backbone_of, compare, ours

STEPS = 4
EULER = f"kind: euler, steps: {STEPS}"
Turbo = partial(Picture, size=(64, 80), negative_prompt=None)
"""A picture of 20 tokens, which are filled up to 32."""

settings = {"num_inference_steps": STEPS, "guidance_scale": 0.0}


@pytest.fixture(scope="module")
def turbo(tmp_path_factory) -> Path:
    return zimage.make_folder(tmp_path_factory.mktemp("zimage") / "turbo")


def pipeline(folder: Path, **changes: object) -> ZImagePipeline:
    made = ZImagePipeline.from_pretrained(folder)
    made.scheduler = FlowMatchEulerDiscreteScheduler.from_config(made.scheduler.config, **changes)
    return made


def test_euler(turbo):
    compare(Turbo(turbo, EULER), pipeline(turbo), **settings)


@pytest.mark.parametrize("layout", ["transformer", "transformer, no prefix", "whole"])
def test_single_files(turbo, tmp_path, layout):
    """Of a transformer alone the other networks come from where the configs do."""
    start = "" if "no prefix" in layout else "model.diffusion_model."
    whole = layout == "whole"
    path = zimage.make_whole_file(tmp_path, turbo) if whole else zimage.make_file(tmp_path, start=start)
    picture = Turbo(path, EULER, choices={"config": str(turbo)})
    assert torch.equal(compare(picture, pipeline(turbo), **settings), ours(Turbo(turbo, EULER))[0])
    ours_decoded, expected = (
        backbone_of(each).decode(torch.ones(1, zimage.CHANNELS, 2, 2))
        for each in (picture, Turbo(turbo, EULER))
    )
    assert torch.equal(ours_decoded, expected)


def test_lcm_is_the_stochastic_scheduler(turbo):
    every = list(range(STEPS))
    picture = Turbo(turbo, f"kind: lcm, steps: {STEPS}, indices: {every}")
    compare(picture, pipeline(turbo, stochastic_sampling=True), **settings)


def test_guidance_is_the_pipelines_which_counts_it_from_zero(tmp_path):
    """Its velocity is c + g (c - u), which is u + (g + 1) (c - u)."""
    base = zimage.make_folder(tmp_path / "base", shift=6.0)
    picture = Picture(base, f"{EULER}, guidance_scale: 2.5")
    guided = compare(picture, pipeline(base), **{**settings, "guidance_scale": 1.5})
    plain = compare(Picture(base, EULER), pipeline(base), **settings)
    assert (guided - plain).abs().max() > 0.02 * plain.abs().max()


@pytest.mark.parametrize(
    "dynamic",
    [
        {"max_shift": 2.5, "time_shift_type": "linear"},
        {"base_shift": 1.2, "max_shift": 1.21, "time_shift_type": "exponential"},
    ],
)
def test_a_shift_that_follows_the_tokens_of_a_view(tmp_path, dynamic):
    folder = zimage.make_folder(tmp_path / "dynamic")
    between = {"base_image_seq_len": 8, "max_image_seq_len": 64}
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, **between, **dynamic)
    scheduler.save_pretrained(folder / "scheduler")
    compare(Turbo(folder, EULER), pipeline(folder), **settings)


def test_a_lora(turbo, tmp_path):
    lora = zimage.make_lora(tmp_path)
    with_it = pipeline(turbo)
    with_it.load_lora_weights(str(tmp_path), weight_name=lora.name)
    changed = compare(Turbo(turbo, EULER, choices={"loras": ((str(lora), 1.0),)}), with_it, **settings)
    plain = compare(Turbo(turbo, EULER), pipeline(turbo), **settings)
    assert (plain - changed).abs().max() > 0.1 * plain.abs().max()


def paint(folder: Path, width: int, noise: torch.Tensor) -> torch.Tensor:
    """Latents of a canvas of tiles that do not overlap."""
    text = f"smd: 1\ncanvas: {{width: {width}, height: 64}}\nbackground: {{prompt: a red house}}\n"
    plan = resolve(load_text(f"{text}sampler: {{{EULER}, overlap: 0}}", "scene").scene, "scene", Path())
    with torch.inference_mode():
        scene = prepare(plan, CanvasImages(()), backbone_of(Turbo(folder, "")), batch=4)
        return denoise(scene, lambda *_: noise, Clock())


def test_tiles_are_pictures_by_themselves(turbo):
    """Places of tokens are counted from the corner of each."""
    noise = torch.randn(1, zimage.CHANNELS, 8, 16, generator=torch.Generator().manual_seed(2))
    both = paint(turbo, 128, noise)
    for half in (slice(0, 8), slice(8, 16)):
        one = paint(turbo, 64, noise[..., half])
        assert (both[..., half] - one).abs().max() < 1e-4 * one.abs().max()
