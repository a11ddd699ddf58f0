"""smd: pictures composed region by region with few-step diffusion.

    import smd_cli as smd

    scene = smd.load_scene("scenes/times_square.yaml")
    with smd.Renderer() as renderer:
        renderer.render(scene, seed=7).save("a.png")

docs/api.md tells all of it. Importing this package imports no torch; rendering does.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as in typing, which takes longer to import than the program does to handle signals
if TYPE_CHECKING:
    from typing import Any

    from smd_cli.app.api import (
        OpenedScene,
        Renderer,
        RenderSettings,
        load_scene,
        matrix,
        plan,
        render_batch,
        verify,
    )
    from smd_cli.app.batch.jobs import Outcome
    from smd_cli.app.batch.request import Request
    from smd_cli.app.render_plan import RenderPlan
    from smd_cli.app.rendering import RenderedPicture
    from smd_cli.app.streaming import SceneStream, StreamFrame
    from smd_cli.app.verification.verdict import Verdict
    from smd_cli.engine import events
    from smd_cli.errors import AssetError, DeviceError, SceneError, SmdError, UsageError
    from smd_cli.media.files import Existing

__version__ = "0.1.0"
__all__ = [
    "AssetError",
    "DeviceError",
    "Existing",
    "OpenedScene",
    "Outcome",
    "RenderPlan",
    "RenderSettings",
    "RenderedPicture",
    "Renderer",
    "Request",
    "SceneError",
    "SceneStream",
    "SmdError",
    "StreamFrame",
    "UsageError",
    "Verdict",
    "events",
    "load_scene",
    "matrix",
    "plan",
    "render_batch",
    "verify",
]
_PLACES = {
    **dict.fromkeys(("AssetError", "DeviceError", "SceneError", "SmdError", "UsageError"), "errors"),
    **dict.fromkeys(("RenderSettings", "matrix", "render_batch"), "app.api"),
    "Existing": "media.files",
    "OpenedScene": "app.api",
    "Outcome": "app.batch.jobs",
    "Request": "app.batch.request",
    "RenderPlan": "app.render_plan",
    "RenderedPicture": "app.rendering",
    "Renderer": "app.api",
    "SceneStream": "app.streaming",
    "StreamFrame": "app.streaming",
    "Verdict": "app.verification.verdict",
    "load_scene": "app.api",
    "plan": "app.api",
    "verify": "app.api",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any of the names above
    """Import the API when one of its names is first asked for.

    Commands import what they need of it, and none of it before the program handles signals.
    """
    if name == "events":
        return import_module("smd_cli.engine.events")
    if name in _PLACES:
        return getattr(import_module(f"smd_cli.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the names of the API, imported or not."""
    return sorted({*globals(), *__all__})
