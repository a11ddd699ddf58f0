"""A scene's model: its files, checked, and its weights on a device. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from smd_cli.app.model_spec import find_model
from smd_cli.app.named_files import digests_of, model_files
from smd_cli.app.scenes import OpenedScene
from smd_cli.app.settings import RenderSettings
from smd_cli.engine.device import (
    choose_device,
    choose_dtype,
    device_name,
    enough_memory,
    peak_memory_bytes,
)
from smd_cli.engine.events import PhaseProgress
from smd_cli.engine.layout import scene_schedule
from smd_cli.errors import AssetError, SceneError
from smd_cli.models.assets import Assets
from smd_cli.models.backbone import Backbone, dtype_name
from smd_cli.models.configs import SCHEDULER_CONFIG
from smd_cli.models.hub import go_offline
from smd_cli.models.loading import load


def choose_place(settings: RenderSettings) -> tuple[torch.device, torch.dtype]:
    """Choose where and in what precision to compute. Raises DeviceError."""
    if settings.offline:
        go_offline()
    device = choose_device(settings.device)
    return device, choose_dtype(settings.dtype, device)


@dataclass(frozen=True)
class FoundModel:
    """A model's files, found and checked, and where it is to be loaded."""

    assets: Assets
    device: torch.device
    dtype: torch.dtype


def find_checked(scene: OpenedScene, settings: RenderSettings) -> FoundModel:
    """Find and check a scene's model, and take its hash where recipes need it.

    Raises:
        DeviceError: the device or dtype is not there.
        AssetError: the model is not available.
        SceneError: the scene does not suit the model.
    """
    device, dtype = choose_place(settings)
    assets = find_model(scene.plan, offline=settings.offline)
    check_fit(scene, assets)
    if settings.metadata:
        digests_of(model_files(scene.plan, assets))  # kept: reading gigabytes takes seconds of loading
    return FoundModel(assets, device, dtype)


def load_found(model: FoundModel, progress: PhaseProgress) -> Backbone:
    """Load a model. Raises AssetError: weights do not fit; DeviceError: the memory is not enough."""
    with enough_memory(model.device):
        return load(model.assets, model.device, model.dtype, progress.reach)


def check_fit(scene: OpenedScene, assets: Assets) -> None:
    """Check sampler, canvas and tile against what the model can do.

    Raises:
        SceneError: they do not go together, with their places.
        AssetError: the model's noise levels leave nothing to predict from at a step.
    """
    plan, family = scene.plan, assets.family
    multiple = family.size_multiple
    sides = {
        ("canvas", "width"): plan.canvas.width,
        ("canvas", "height"): plan.canvas.height,
        ("sampler", "tile"): plan.sampler.tile,
    }
    problems = [
        scene.locate(*place).says(f"{side} is not a multiple of {multiple}, as {family.name} models need")
        for place, side in sides.items()
        if isinstance(side, int) and side % multiple
    ]
    if not plan.sampler.facts.supports(family.name):
        text = f"{plan.sampler.kind} does not go with {family.name} models"
        problems.append(scene.locate("sampler", "kind").says(text))
    if problems:
        raise SceneError(*problems)
    try:
        schedule = scene_schedule(plan, assets.facts, family.schedules(assets.configs, assets.facts))
    except SceneError as error:
        raise error.at(scene.locate("canvas", "width")) from error
    if steps := schedule.undefined_steps():
        cause = "rescale_betas_zero_snr" if assets.facts.zero_terminal_snr else "its betas"
        raise AssetError(
            f"{assets.configs / SCHEDULER_CONFIG}: only noise is left at timestep "
            f"{int(schedule.timesteps[steps[0]])} ({cause}), where predicted noise tells nothing of the "
            "picture; set prediction_type there to v_prediction if the model was trained for that, or avoid "
            "this timestep (sampler.indices, sampler.steps)",
            parts=[assets.spec.configs_part if assets.base.file else ("base",)],
        )


def device_facts(backbone: Backbone) -> dict[str, Any]:
    """Return the name and dtype that a model runs on, and the most memory that took."""
    return {
        "name": device_name(backbone.device),
        "dtype": dtype_name(backbone.dtype),
        "peak_memory_bytes": peak_memory_bytes(backbone.device),
    }
