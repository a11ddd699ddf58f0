"""From a scene file to latents: the whole way, against recorded runs of the published implementations."""

from functools import cache

import pytest
import torch
import yaml
from PIL import Image

from smd_cli.core.noise import Purpose
from smd_cli.engine.events import Clock
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.prepare import prepare
from smd_cli.engine.render import denoise
from smd_cli.media.paint import paint_scene
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.loading import load
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from tests.golden import FOLDER, Case, cases, relative_error

TOLERANCE = 1e-3


@cache
def backbone():
    spec = ModelSpec(str(FOLDER / "tiny-sd15"), lcm_lora="none")
    return load(locate(spec), torch.device("cpu"), torch.float32)


def recorded(case: Case):
    def noise(purpose: Purpose, step: int, shape):
        draw = case.tensors[f"noise.{purpose}"]
        return draw if purpose == "init" else draw[[step]]

    return noise


def scene_of(case: Case, folder) -> str:
    """The case as a scene file, its masks and background as pictures beside it."""
    settings = case.settings
    count = len(settings["prompts"])
    for index, mask in enumerate(case.masks):
        Image.fromarray((mask[0] * 255).byte().numpy()).save(folder / f"{index}.png")
    background = {
        "prompt": settings.get("background_prompt", ""),
        "negative_prompt": settings.get("background_negative_prompt", ""),
    }
    if "background" in case.tensors:
        Image.fromarray(case.tensors["background"].numpy()).save(folder / "background.png")
        background["image"] = "background.png"
    regions = [
        {
            "name": f"region {index}",
            "prompt": settings["prompts"][index],
            "negative_prompt": settings["negative_prompts"][index],
            "mask": f"{index}.png",
            "prompt_strength": settings.get("prompt_strengths", [1.0] * count)[index],
        }
        for index in range(count)
    ]
    masks = {
        "type": settings.get("mask_type", "discrete"),
        "std": settings.get("mask_std", 0.0),
        "strength": settings.get("mask_strength", 1.0),
        "cover_alpha": case.cover_alpha,
    }
    bootstrap = {
        "steps": settings.get("bootstrap_steps", 0),
        "mix_steps": settings.get("bootstrap_mix_steps", 1.0),
        "leak_sensitivity": settings.get("bootstrap_leak_sensitivity", 0.0),
    }
    sampler = {
        "indices": settings["schedule_indices"],
        "guidance_scale": settings["guidance_scale"],
        "tile": settings["tile_size"],
    }
    scene = {
        "smd": 1,
        "canvas": {"width": settings["width"], "height": settings["height"]},
        "sampler": sampler,
        "bootstrap": bootstrap,
        "masks": masks,
        "background": background,
        "regions": regions,
    }
    return yaml.safe_dump(scene)


@pytest.mark.parametrize("case", cases("generate", "inpaint"))
def test_a_scene_file_reproduces_the_recorded_latents(case, tmp_path):
    loaded = load_text(scene_of(case, tmp_path), "case.yaml", base_dir=tmp_path)
    plan = resolve(loaded.scene, "case", tmp_path)
    painted = paint_scene(plan, loaded.locate)
    with torch.inference_mode():
        stage = prepare(plan, CanvasImages(painted.masks, painted.background), backbone(), batch=4)
    latents = denoise(stage, recorded(case), Clock())
    assert relative_error(latents, case.tensors["latent.final"]) < TOLERANCE
