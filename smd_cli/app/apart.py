"""No command writes over a file that it reads: the one comparison of outputs with inputs. Knows no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from smd_cli.app.existing import GIVE_ANOTHER
from smd_cli.app.model_spec import named_models
from smd_cli.app.named_files import picture_files
from smd_cli.app.scenes import OpenedScene
from smd_cli.errors import AssetError, UsageError
from smd_cli.media.frame_files import frame_files
from smd_cli.media.sinks import Target, files_at, is_folder
from smd_cli.messages import Place
from smd_cli.models.sources import local_files
from smd_cli.scene.resolve import Plan


def check_apart(opened: OpenedScene, target: Target, option: str = "") -> None:
    """Check that what is written to a target replaces nothing that a scene is made of, and lies not among it.

    Files are compared as the system knows them, whatever links or spellings lead to them. The message begins
    with the option that names the target, if any.

    Raises UsageError: it does. An input without frames is left to what opens it.
    """
    if target is None or str(target) == "-":
        return
    place = Place.of_file(target, option)
    replaced = {identity: path for path in files_at(target) if (identity := _identity(path))}
    for what, path in _files_read(opened) if replaced else ():
        identity = _identity(path)
        if there := identity and replaced.get(identity):
            which = "" if there == Path(target) else f"{there} "
            raise UsageError(place.says(f"{which}is {what}, which is read; {GIVE_ANOTHER}"))
    folder = _identity(Path(target)) if is_folder(target) else None
    if folder and folder in map(_identity, _input_folders(opened.plan)):
        raise UsageError(place.says(f"the input comes from there; {GIVE_ANOTHER}"))


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what the system knows a file or folder by; None: there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - of a name too long, Path's raises
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _files_read(opened: OpenedScene) -> Iterator[tuple[str, Path]]:
    """Yield what each file is that a scene is made of, and the file."""
    if file := opened.origin.file:
        yield "the scene", file
    for what, reference in named_models(opened.plan.model):
        yield from ((what, path) for path in local_files(reference.source))
    with suppress(AssetError):
        for named in picture_files(opened.plan):
            yield from ((named.what, path) for path in named.files)


def _input_folders(plan: Plan) -> set[Path]:
    """Return the folders that a stream's input is all or a part of, by a pattern."""
    frames = plan.stream.input
    if frames is None or plan.task != "stream":
        return set()
    with suppress(AssetError):
        return {path.parent for path in frame_files(frames.path) if path != frames.path}
    return set()
