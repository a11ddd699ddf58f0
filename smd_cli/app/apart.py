"""No command writes over a file that it reads: the one comparison of outputs with inputs. Knows no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
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

Identity = tuple[int, int]
"""What the system knows a file or folder by: its device and inode."""


def check_apart(opened: OpenedScene, target: Target, option: str = "") -> None:
    """Check a target against the one scene that is read; see `Inputs.check_apart`."""
    Inputs([opened]).check_apart(target, option)


class Inputs:
    """The files and folders that scenes are made of, looked for once, where there is an output to compare."""

    def __init__(self, scenes: Sequence[OpenedScene]) -> None:
        self._scenes = scenes

    def check_apart(self, target: Target, option: str = "") -> None:
        """Check that what is written to a target replaces nothing that is read, and lies not among it.

        Files are compared as the system knows them, whatever links or spellings lead to them. The message
        begins with the option that names the target, if any.

        Raises UsageError: it does. An input without frames is left to what opens it.
        """
        if target is None or str(target) == "-":
            return
        place = Place.of_file(target, option)
        for path in files_at(target):
            identity = _identity(path)
            if there := identity and self._files.get(identity):
                which = "" if path == Path(target) else f"{path} "
                raise UsageError(place.says(f"{which}is {there}, which is read; {GIVE_ANOTHER}"))
        folder = _identity(Path(target)) if is_folder(target) else None
        if folder and folder in self._folders:
            raise UsageError(place.says(f"the input comes from there; {GIVE_ANOTHER}"))

    @cached_property
    def _files(self) -> dict[Identity, str]:
        """What each file is, by what the system knows it by."""
        found: dict[Identity, str] = {}
        seen: set[Path | str] = set()  # scenes of a batch name the same files
        several = len({scene.locate().source for scene in self._scenes}) > 1
        for scene in self._scenes:
            of = f" of {scene.locate().source}" if several else ""
            for what, path in _files_read(scene, seen):
                if identity := _identity(path):
                    found.setdefault(identity, what if what == "the scene" else f"{what}{of}")
        return found

    @cached_property
    def _folders(self) -> set[Identity]:
        """The folders that the inputs of streams come from."""
        folders = {folder for scene in self._scenes for folder in _input_folders(scene.plan)}
        return {identity for folder in folders if (identity := _identity(folder))}


def _identity(path: Path) -> Identity | None:
    """Return what the system knows a file or folder by; None: there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - of a name too long, Path's raises
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _files_read(opened: OpenedScene, seen: set[Path | str]) -> Iterator[tuple[str, Path]]:
    """Yield what each file is that a scene is made of, and the file; without what was `seen` before."""
    if file := opened.origin.file:
        yield "the scene", file
    for what, reference in named_models(opened.plan):
        if reference.source not in seen:
            seen.add(reference.source)
            yield from ((what, path) for path in local_files(reference.source))
    with suppress(AssetError):
        for named in picture_files(opened.plan):
            yield from ((named.what, path) for path in named.files if path not in seen)
            seen.update(named.files)


def _input_folders(plan: Plan) -> set[Path]:
    """Return the folders that a stream's input is all or a part of, by a pattern."""
    frames = plan.stream.input
    if frames is None or plan.task != "stream":
        return set()
    with suppress(AssetError):
        return {path.parent for path in frame_files(frames.path) if path != frames.path}
    return set()
