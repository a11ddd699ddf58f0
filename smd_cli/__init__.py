"""smd: pictures composed region by region with few-step diffusion.

    import smd_cli as smd

    scene = smd.load_scene("scenes/times_square.yaml")
    with smd.Renderer() as renderer:
        renderer.render(scene, seed=7).save("a.png")

docs/api.md tells all of it. Importing this package imports no torch; rendering does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from smd_cli.errors import (
    AssetError,
    DeviceError,
    SceneError,
    SmdError,
    UsageError,
)

if TYPE_CHECKING:
    from smd_cli.app.api import OpenedScene, Renderer, load_scene, plan

__version__ = "0.1.0"
__all__ = [
    "AssetError",
    "DeviceError",
    "OpenedScene",
    "Renderer",
    "SceneError",
    "SmdError",
    "UsageError",
    "load_scene",
    "plan",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any of the names above
    """Import the API when one of its names is first asked for: commands import what they need of it."""
    if name in __all__:
        return getattr(import_module("smd_cli.app.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
