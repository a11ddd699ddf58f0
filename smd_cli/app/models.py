"""A scene's model: its files, checked, and its weights on a device. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from smd_cli.app.model_fit import find_fitting
from smd_cli.app.model_spec import at_model
from smd_cli.app.named_files import digests_of, model_files
from smd_cli.app.scenes import OpenedScene
from smd_cli.app.settings import Batch, RenderSettings
from smd_cli.digests import Stamp, stamp_of
from smd_cli.engine.deterministic import DeterministicBackbone, fixed_order
from smd_cli.engine.device import (
    HALVES,
    Placement,
    choose_device,
    choose_dtype,
    device_name,
    enough_memory,
    free_memory_bytes,
    peak_memory_bytes,
)
from smd_cli.engine.events import PhaseProgress
from smd_cli.engine.memory import NetworkSize, fitting_memory
from smd_cli.errors import AssetError
from smd_cli.models.assets import Assets
from smd_cli.models.backbone import Backbone, dtype_name
from smd_cli.models.hub import go_offline
from smd_cli.models.loading import load
from smd_cli.models.quantization import check_weights
from smd_cli.models.thrifty import memory_of
from smd_cli.regular_files import is_there
from smd_cli.scene.resolve import Plan


def choose_place(
    settings: RenderSettings, halves: Sequence[str] = HALVES
) -> tuple[torch.device, torch.dtype]:
    """Choose where and in what precision to compute, the latter for a family of such `halves`.

    Raises DeviceError.
    """
    if settings.offline:
        go_offline()
    device = choose_device(settings.device)
    return device, choose_dtype(settings.dtype, device, halves)


def asked_placement(assets: Assets, settings: RenderSettings) -> Placement:
    """Return where and how a model is to compute; its memory may be `auto` still. Raises DeviceError."""
    device, dtype = choose_place(settings, assets.family.dtypes)
    check_weights(settings.weights, device)
    return Placement(device, dtype, settings.memory, settings.weights)


def placement_of(
    plan: Plan, assets: Assets, asked: Placement, networks: Sequence[NetworkSize] | None = None
) -> Placement:
    """Choose how a plan's model lies in memory where that is open; `networks` as for `fitting_memory`."""
    if asked.memory != "auto":
        return asked
    free = free_memory_bytes(asked.device)
    return replace(asked, memory=fitting_memory(plan, assets, asked, free, networks))


@dataclass(frozen=True)
class FoundModel:
    """A model's files, found and checked, and where it is to be loaded; what the files were then."""

    assets: Assets
    placement: Placement
    stamps: Mapping[Path, Stamp]


def find_checked(scene: OpenedScene, settings: RenderSettings) -> FoundModel:
    """Find and check a scene's model, and take its hash where recipes need it.

    Raises:
        DeviceError: the device or dtype is not there.
        AssetError: the model is not available.
        SceneError: the scene does not suit the model.
    """
    choose_place(settings)  # what is not there is told before anything is fetched
    assets = find_fitting(scene, offline=settings.offline)
    placement = placement_of(scene.plan, assets, asked_placement(assets, settings))
    named = list(model_files(scene.plan, assets))
    stamps = {path: stamp_of(path) for file in named for path in file.files}
    if settings.metadata:
        digests_of(named)  # kept with the assets: reading gigabytes takes seconds of loading
    return FoundModel(assets, placement, stamps)


def load_found(model: FoundModel, settings: RenderSettings, progress: PhaseProgress) -> Backbone:
    """Load a model.

    Raises AssetError: weights do not fit, or files are not those any more that were found; DeviceError: the
    memory is not enough.
    """
    placement = model.placement
    with enough_memory(placement.device):
        backbone = load(
            model.assets,
            placement.device,
            placement.dtype,
            progress.reach,
            memory=placement.memory,
            weights=placement.weights,
        )
    for path, stamp in model.stamps.items():
        if not is_there(path) or stamp_of(path) != stamp:
            raise AssetError(f"{path}: has changed while the model was loaded; start again")
    return DeterministicBackbone.of(backbone) if settings.deterministic else backbone


@contextmanager
def computing(scene: OpenedScene, backbone: Backbone) -> Iterator[None]:
    """Guard a block in which a scene's model computes, in a fixed order if it is deterministic.

    Raises DeviceError: the memory is not enough.
    """
    with at_model(scene), enough_memory(backbone.device), fixed_order(backbone):
        yield


def device_facts(backbone: Backbone, settings: RenderSettings) -> dict[str, Any]:
    """Return the name and dtype that a model runs on, how it lies there, and the most memory that took."""
    return {
        "name": device_name(backbone.device),
        "dtype": dtype_name(backbone.dtype),
        "memory": memory_of(backbone),
        "weights": settings.weights,
        "peak_memory_bytes": peak_memory_bytes(backbone.device),
    }


def computation(backbone: Backbone, settings: RenderSettings, batch: Batch) -> dict[str, Any]:
    """Return what rounding depends on beside the versions of libraries, for recipes."""
    is_deterministic = isinstance(backbone, DeterministicBackbone)
    return {
        "device": device_name(backbone.device),
        "dtype": dtype_name(backbone.dtype),
        "batch": 1 if is_deterministic else batch,
        "threads": 1 if is_deterministic else torch.get_num_threads(),
        "deterministic": is_deterministic,
        "memory": memory_of(backbone),
        "weights": settings.weights,
    }
