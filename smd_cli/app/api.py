"""The names of the Python API, which the package itself offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from smd_cli.app.renderer import Renderer
from smd_cli.app.scenes import OpenedScene, load_scene
from smd_cli.app.settings import RenderSettings

if TYPE_CHECKING:
    from smd_cli.app.render_plan import RenderPlan

__all__ = ["OpenedScene", "Renderer", "load_scene", "plan"]


def plan(
    scene: OpenedScene,
    *,
    device: str = "auto",
    dtype: str = "auto",
    batch: int | Literal["auto"] = "auto",
    offline: bool = False,
) -> RenderPlan:
    """Find what rendering a scene would take: work, tiles, memory, models. No weight is read.

    Raises:
        DeviceError: the device or dtype is not there.
        SceneError: the canvas does not suit the model.
    """
    from smd_cli.app.render_plan import plan_render  # imports torch

    return plan_render(scene, RenderSettings(device, dtype, batch, offline))
