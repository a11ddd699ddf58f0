"""The names of the Python API, which the package itself offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smd_cli.app.renderer import Renderer
from smd_cli.app.scenes import OpenedScene, load_scene
from smd_cli.app.settings import Batch, RenderSettings

if TYPE_CHECKING:
    from smd_cli.app.render_plan import RenderPlan

__all__ = ["OpenedScene", "Renderer", "load_scene", "plan"]


def plan(
    scene: OpenedScene,
    *,
    task: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    batch: Batch = "auto",
    offline: bool = False,
) -> RenderPlan:
    """Find what rendering a scene would take: work, tiles, memory, models. No weight is read.

    The work is that of one picture or frame. A scene that names no task is planned for `task`.

    Raises:
        DeviceError: the device or dtype is not there.
        SceneError: the canvas does not suit the model.
        AssetError: the input of a stream cannot be read.
    """
    from smd_cli.app.render_plan import plan_render  # imports torch

    planned = scene if task is None else scene.for_task(task)
    return plan_render(planned, RenderSettings(device, dtype, batch, offline))
