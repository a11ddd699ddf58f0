"""Z-Image on small random weights: what diffusers makes of them, alone and in every kind of scene."""

from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, ZImagePipeline

from smd_cli.core.noise import SeededNoise
from smd_cli.engine.events import Clock
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.prepare import prepare
from smd_cli.engine.render import denoise
from smd_cli.models.assets import locate
from smd_cli.models.backbone import Backbone
from smd_cli.models.loading import load
from smd_cli.models.spec import ModelSpec
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from tests.checkpoints import zimage

PROMPT, NEGATIVE, SEED, STEPS, LORA_WEIGHT = "a red house", "snow, fog", 3, 4, 0.6
SHAPE = (1, zimage.CHANNELS, 10, 8)
SCHEDULING = "diffusers.schedulers.scheduling_flow_match_euler_discrete"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return zimage.make_folder(tmp_path_factory.mktemp("zimage") / "model")


def loaded(base: Path, *loras: tuple[str, float], config: Path | None = None) -> Backbone:
    spec = ModelSpec(str(base), loras=loras, config=None if config is None else str(config))
    return load(locate(spec), torch.device("cpu"), torch.float32)


def ours(
    backbone: Backbone,
    sampler: str,
    negative: str = "",
    size: tuple[int, int] = (64, 80),
    noise: torch.Tensor | None = None,
) -> torch.Tensor:
    text = (
        f"smd: 1\ncanvas: {{width: {size[0]}, height: {size[1]}}}\nsampler: {{steps: {STEPS}, {sampler}}}\n"
    )
    text += f"background: {{prompt: '{PROMPT}', negative_prompt: '{negative}'}}\n"
    plan = resolve(load_text(text, "scene").scene, "scene", Path())
    with torch.inference_mode():
        stage = prepare(plan, CanvasImages(()), backbone, batch=4)
        return denoise(stage, SeededNoise(SEED) if noise is None else lambda *_: noise, Clock())


def theirs(folder: Path, **settings) -> torch.Tensor:
    scheduler = settings.pop("scheduler", {})
    pipeline = ZImagePipeline.from_pretrained(folder)
    pipeline.scheduler = FlowMatchEulerDiscreteScheduler.from_config(pipeline.scheduler.config, **scheduler)
    for name, (down, up) in settings.pop("lora", {}).items():
        pipeline.transformer.get_submodule(name).weight.data += LORA_WEIGHT * up @ down
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        PROMPT,
        height=80,
        width=64,
        latents=SeededNoise(SEED)("init", 0, SHAPE),
        output_type="latent",
        num_inference_steps=STEPS,
        **{"guidance_scale": 0.0, **settings},
    ).images


def assert_equal(latents: torch.Tensor, expected: torch.Tensor) -> None:
    """To 1e-4 of the largest number."""
    assert expected.abs().max() > 0.5
    assert (latents - expected).abs().max() < 1e-4 * expected.abs().max()


def test_euler_is_the_pipeline(folder):
    assert_equal(ours(loaded(folder), "kind: euler, tile: 128"), theirs(folder))


def test_lcm_is_the_pipeline_with_a_stochastic_scheduler(folder, monkeypatch):
    draws = iter(SeededNoise(SEED)("renoise", step, SHAPE) for step in range(1, STEPS + 1))
    monkeypatch.setattr(f"{SCHEDULING}.randn_tensor", lambda *args, **kwargs: next(draws))
    expected = theirs(folder, scheduler={"stochastic_sampling": True})
    assert_equal(ours(loaded(folder), "kind: lcm, indices: [0, 1, 2, 3], tile: 128"), expected)


def test_guidance_is_the_pipelines_which_counts_it_from_zero(tmp_path):
    """Its noise - clean is c + g (c - u), which is u + (g + 1) (c - u)."""
    folder = zimage.make_folder(tmp_path / "base", shift=6.0)
    expected = theirs(folder, guidance_scale=1.5, negative_prompt=NEGATIVE)
    assert_equal(ours(loaded(folder), "kind: euler, guidance_scale: 2.5, tile: 128", NEGATIVE), expected)


def test_shift_follows_the_tokens_of_a_view_where_the_config_says_so(tmp_path):
    folder = zimage.make_folder(tmp_path / "dynamic")
    settings = {
        "use_dynamic_shifting": True,
        "base_image_seq_len": 8,
        "max_image_seq_len": 64,
        "max_shift": 2.5,
    }
    FlowMatchEulerDiscreteScheduler(**settings).save_pretrained(folder / "scheduler")
    assert_equal(ours(loaded(folder), "kind: euler, tile: 128"), theirs(folder))


def test_lora_is_the_pipelines(folder, tmp_path):
    lora = str(zimage.make_lora(tmp_path))
    plain, expected = theirs(folder), theirs(folder, lora=zimage.lora_layers())
    assert (plain - expected).abs().max() > 1e-2
    assert_equal(ours(loaded(folder, (lora, LORA_WEIGHT)), "kind: euler, tile: 128"), expected)


def test_tiles_are_views_by_themselves(folder):
    """Two that do not overlap are two pictures: places of tokens are counted from the corner of each."""
    backbone, noise = loaded(folder), torch.randn(1, zimage.CHANNELS, 8, 16)
    both = ours(backbone, "kind: euler, overlap: 0, tile: 64", size=(128, 64), noise=noise)
    for half in (slice(0, 8), slice(8, 16)):
        one = ours(backbone, "kind: euler, tile: 64", size=(64, 64), noise=noise[..., half])
        assert_equal(both[..., half], one)
