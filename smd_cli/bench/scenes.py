"""The scenes that benchmarks run where the user names none."""

from collections.abc import Sequence
from pathlib import Path

from smd_cli.errors import UsageError

PANORAMA = Path(__file__).with_name("panorama.yaml")
"""One prompt on a wide canvas, for programs that know no regions."""

BATCH = Path(__file__).with_name("batch.yaml")
"""One prompt on a small canvas, for a script with diffusers."""

READY = ("valley.yaml", "times_square.yaml")
STREAM = ("olympus_stream.yaml",)

_PACKAGE = Path(__file__).parents[1]
_PLACES = (_PACKAGE / "scenes", _PACKAGE.parent / "scenes")  # as installed; in a checkout


def ready_scenes(names: Sequence[str] = READY) -> list[Path]:
    """Find ready scenes, those with regions. Raises UsageError: they did not come with this installation."""
    for place in _PLACES:
        scenes = [place / name for name in names]
        if all(scene.exists() for scene in scenes):
            return scenes
    raise UsageError(f"SCENE: give a scene file; the ready ones ({', '.join(names)}) are not installed here")
