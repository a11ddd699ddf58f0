"""A recorded run as a user would ask for it: a scene file and a checkpoint, and the noise that it drew."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image
from torch import Tensor

from smd_cli.core.noise import Purpose
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.prepare import PreparedScene, prepare
from smd_cli.media.paint import paint_scene
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.backbone import Backbone
from smd_cli.models.loading import load
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve
from tests.golden import Case


@dataclass
class CountingBackbone:
    """A backbone that counts the rows it predicts for."""

    backbone: Backbone
    rows: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backbone, name)

    def predict(self, asked, conditioning) -> Tensor:
        self.rows += len(asked)
        return self.backbone.predict(asked, conditioning)


@cache
def backbone(folder: Path, **settings: Any) -> Backbone:
    """A checkpoint, loaded by this program once for all tests of a process."""
    spec = ModelSpec(str(folder), lcm_lora="none", **settings)
    return load(locate(spec), torch.device("cpu"), torch.float32)


def recorded(case: Case):
    """The noise of a one-shot run; zeros where it draws none."""

    def noise(purpose: Purpose, step: int, shape) -> Tensor:
        draw = case.tensors.get(f"noise.{purpose}", torch.zeros(step + 1, *shape[1:]))
        return draw if purpose == "init" else draw[[step]]

    return noise


def scene_of(case: Case, folder: Path, sampler: dict[str, Any]) -> str:
    """The case as a scene file, its masks and background as pictures beside it, with a sampler's own keys.

    Commas at the end of a prompt, which the scene language drops, are in brackets, where they stay.
    """
    settings = case.settings
    count = len(settings["prompts"])
    for index, mask in enumerate(case.masks):
        Image.fromarray((mask[0] * 255).round().byte().numpy()).save(folder / f"{index}.png")
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
            "negative_prompt": re.sub(r", $", "(,:1)", settings["negative_prompts"][index]),
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
    scene = {
        "smd": 1,
        "canvas": {"width": settings["width"], "height": settings["height"]},
        "sampler": {"indices": settings["schedule_indices"], **sampler},
        "bootstrap": bootstrap,
        "masks": masks,
        "background": background,
        "regions": regions,
    }
    return yaml.safe_dump(scene)


def prepared(case: Case, folder: Path, backbone: Backbone, sampler: dict[str, Any]) -> PreparedScene:
    """The case from its scene file, which is put into a folder, to what the sampler needs."""
    loaded = load_text(scene_of(case, folder, sampler), "case.yaml", base_dir=folder)
    plan = resolve(loaded.scene, "case", folder)
    painted = paint_scene(plan, loaded.locate)
    with torch.inference_mode():
        return prepare(plan, CanvasImages(painted.masks, painted.background), backbone, batch=4)
