"""A scene's model: what the loader is asked for, its files, its weights on a device. Imports torch."""

from __future__ import annotations

from typing import Any

from smd_cli.app.scenes import OpenedScene
from smd_cli.app.settings import RenderSettings
from smd_cli.engine.device import (
    choose_device,
    choose_dtype,
    device_name,
    enough_memory,
    peak_memory_bytes,
)
from smd_cli.engine.layout import tile_side
from smd_cli.errors import SceneError
from smd_cli.models.assets import Assets, ModelSpec, locate
from smd_cli.models.backbone import Backbone
from smd_cli.models.facts import ModelFacts
from smd_cli.models.loading import load
from smd_cli.scene.resolve import Plan


def model_key(plan: Plan) -> tuple[ModelSpec, bool]:
    """Return what decides which weights a plan needs: its model, and whether they are to be few-step ones."""
    return model_spec(plan), needs_few_step(plan)
