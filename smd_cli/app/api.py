"""The names of the Python API, which the package itself offers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from smd_cli.app.renderer import Renderer
from smd_cli.app.scenes import OpenedScene, load_scene
from smd_cli.app.settings import Batch, RenderSettings
from smd_cli.engine.events import Listener, ignore_events

if TYPE_CHECKING:
    from smd_cli.app.render_plan import RenderPlan
    from smd_cli.app.verification.verdict import Verdict

__all__ = ["OpenedScene", "Renderer", "load_scene", "plan", "verify"]


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


def verify(
    *pictures: str | Path,
    metric: str = "pixels",
    tolerance: int | None = None,
    threshold: float | None = None,
    device: str = "auto",
    dtype: str = "auto",
    offline: bool = False,
    listener: Listener = ignore_events,
) -> list[Verdict]:
    """Render pictures, films and those that locks hold again, and compare them with what was recorded.

    `tolerance` is for `metric="pixels"`, `threshold` for `latent` and `ssim`. A picture is computed as it
    was, unless `device` or `dtype` say otherwise. What cannot be compared is a verdict too.

    Raises UsageError: the metric is unknown, or a number out of range or for another one.
    """
    from smd_cli.app.verification.claims import gather_claims
    from smd_cli.app.verification.computation import Wanted
    from smd_cli.app.verification.criterion import Criterion
    from smd_cli.app.verification.run import Verifier
    from smd_cli.app.verification.verdict import in_order

    found = gather_claims(map(Path, pictures), offline=offline)
    criterion, wanted = Criterion.of(metric, tolerance, threshold), Wanted(device, dtype, offline)
    verdicts = Verifier(criterion, wanted, listener=listener).verify(found)
    return in_order(verdicts, [each.name for each in found])
