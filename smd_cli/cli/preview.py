"""The picture of a scene's regions that `--preview` asks for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from smd_cli.errors import UsageError
from smd_cli.media.files import check_plain_target, write_bytes
from smd_cli.messages import Place

if TYPE_CHECKING:
    from smd_cli.app.scenes import OpenedScene
    from smd_cli.media.canvas import PixelBox


def check_preview(path: Path) -> None:
    """Raise UsageError, before any work, where the preview cannot be written."""
    check_drawing(path, "--preview", "previews")


def check_drawing(path: Path, option: str, what: str) -> None:
    """Raise UsageError, before any work, where an option names a file that no drawing can be written to."""
    if path.suffix.lower() != ".png":
        place = Place.of_file(path, option)
        raise UsageError(place.says(f"{what} are written as PNG; give a name that ends in .png"))
    check_plain_target(path)


def draw_scene(opened: OpenedScene, path: Path, tiles: Sequence[PixelBox] = ()) -> None:
    """Write the region map of a scene; `tiles` (left, top, right, bottom), px, are outlined on it.

    Raises UsageError: the scene is made of that file, or it has become one that must stay; SmdError.
    """
    from smd_cli.app.apart import check_apart
    from smd_cli.media.png import encode_png
    from smd_cli.media.preview import draw_preview

    plan = opened.plan
    names = [region.name for region in plan.regions]
    picture = draw_preview(names, opened.images, (plan.canvas.width, plan.canvas.height), tiles=tiles)
    check_apart(opened, path, "--preview")
    write_bytes(path, encode_png(picture, {}), partial(check_plain_target, path))
