"""From a loaded scene to written pictures.

Imports torch; the commands import it when there is something to render.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from smd_cli import __version__
from smd_cli.cli.options import Rendering
from smd_cli.cli.scenes import OpenScene
from smd_cli.engine.events import Clock
from smd_cli.engine.layout import tile_side
from smd_cli.engine.masks import Setting
from smd_cli.engine.oneshot import paint as paint_picture
from smd_cli.engine.stage import Stage, set_stage
from smd_cli.errors import SceneError
from smd_cli.media.files import write_bytes
from smd_cli.media.paint import SceneImages
from smd_cli.media.png import encode_png
from smd_cli.media.recipe import Recipe
from smd_cli.models.assets import Assets, ModelSpec, locate
from smd_cli.models.backbone import Backbone
from smd_cli.models.device import (
    choose_device,
    choose_dtype,
    device_name,
    enough_memory,
    peak_memory_bytes,
)
from smd_cli.models.facts import ModelFacts
from smd_cli.models.loading import load
from smd_cli.scene.resolve import ModelPlan, Plan

LIBRARIES = ("torch", "diffusers", "transformers")


@dataclass(frozen=True)
class Job:
    """A scene to render, a file for each seed, and how to do it."""

    scene: OpenScene
    targets: Sequence[tuple[int, Path]]
    how: Rendering


@dataclass(frozen=True)
class Output:
    """A picture that was written."""

    path: str
    seed: int
    sha256: str
    width: int
    height: int


@dataclass(frozen=True)
class Report:
    """What a render did; `work` is that of all its pictures."""

    outputs: tuple[Output, ...]
    timing: dict[str, float]
    work: dict[str, int]
    device: dict[str, Any]
    steps: int

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `--json` prints."""
        return {
            "outputs": [asdict(output) for output in self.outputs],
            "timing": {name: round(seconds, 4) for name, seconds in self.timing.items()},
            "work": self.work,
            "device": self.device,
        }


def load_model(scene: OpenScene, how: Rendering) -> Backbone:
    """Find, check and load a scene's model, and take its hash where recipes need it.

    Raises:
        DeviceError: the device or dtype is not there, or its memory is not enough.
        AssetError: the model is not to be had.
        SceneError: the canvas is too narrow for the model's tiles.
    """
    device = choose_device(how.device)
    dtype = choose_dtype(how.dtype, device)
    plan = scene.plan
    assets = locate(model_spec(plan.model), few_step=plan.sampler.kind == "lcm", offline=how.offline)
    check_tiles(scene, assets.facts)
    if how.metadata:
        _ = assets.sha256  # read here, once: gigabytes take seconds, which belong to loading
    with enough_memory(device):
        return load(assets, device, dtype)


def render(
    job: Job, backbone: Backbone, clock: Clock, on_written: Callable[[Output], None] | None = None
) -> Report:
    """Render and write a job's pictures; `on_written` hears of each as soon as its file is there.

    Raises:
        DeviceError: the memory of the device is not enough; pictures written before stay.
    """
    plan, painted = job.scene.plan, job.scene.painted
    outputs = []
    with enough_memory(backbone.device):
        with clock.phase("encode"), torch.inference_mode():
            stage = set_stage(plan, setting(painted), backbone, batch=job.how.batch)
        for seed, path in job.targets:
            image = paint_picture(stage, seed, clock)
            with clock.phase("save"):
                recipe = build_recipe(plan, painted, seed, backbone.assets) if job.how.metadata else None
                outputs.append(save(image, path, seed, recipe))
            if on_written is not None:
                on_written(outputs[-1])
    return _report(tuple(outputs), clock, stage, backbone)


def check_tiles(scene: OpenScene, facts: ModelFacts) -> None:
    """Hold a scene to the one rule that depends on its model. Raises SceneError, with its place."""
    try:
        tile_side(scene.plan, facts)
    except SceneError as error:
        raise SceneError(f"{scene.locate('canvas', 'width')}: {error}") from error


def model_spec(model: ModelPlan) -> ModelSpec:
    """Say a plan's model in the words of the loader."""
    return ModelSpec(
        base=model.base,
        family=model.family,
        vae=None if model.vae == "own" else model.vae,
        loras=tuple((lora.path, lora.weight) for lora in model.loras),
        config=None if model.config == "family" else model.config,
        lcm_lora=None if model.lcm_lora == "family" else model.lcm_lora,
    )


def setting(painted: SceneImages) -> Setting:
    """Hand a scene's pictures to the engine."""
    return Setting(painted.masks, painted.background, painted.new_area)


def save(image: Image.Image, path: Path, seed: int, recipe: Recipe | None) -> Output:
    """Write a picture whole or not at all."""
    data = encode_png(image, recipe.texts() if recipe else None)
    write_bytes(path, data)
    return Output(str(path), seed, sha256(data).hexdigest(), *image.size)


def build_recipe(plan: Plan, painted: SceneImages, seed: int, assets: Assets) -> Recipe:
    """Gather what made a picture."""
    masks = zip(plan.regions, painted.masks, strict=True)
    return Recipe(
        scene=plan.to_dict(),
        seed=seed,
        model={
            "base": plan.model.base,
            "family": assets.facts.family,
            "revision": assets.base.revision,
            "sha256": assets.sha256,
        },
        masks={region.name: _digest(mask) for region, mask in masks},
        versions={"smd-cli": __version__, **{name: version(name) for name in LIBRARIES}},
        background=_digest(painted.background) if painted.background else None,
    )


def _digest(image: Image.Image) -> str:
    return sha256(image.tobytes()).hexdigest()


def _report(outputs: tuple[Output, ...], clock: Clock, stage: Stage, backbone: Backbone) -> Report:
    timing: dict[str, float] = {f"{phase}_s": seconds for phase, seconds in clock.seconds.items()}
    timing["total_s"] = clock.total()
    work = {name: count * len(outputs) for name, count in stage.work._asdict().items()}
    return Report(outputs, timing, work, device_facts(backbone), len(stage.method.schedule))


def device_facts(backbone: Backbone) -> dict[str, Any]:
    """Tell what a model ran on, and how much memory that took at most."""
    return {
        "name": device_name(backbone.device),
        "dtype": str(backbone.dtype).removeprefix("torch."),
        "peak_memory_bytes": peak_memory_bytes(backbone.device),
    }
