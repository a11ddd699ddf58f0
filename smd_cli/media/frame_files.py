"""Frames as files of a folder: which they are, in what order, and how smd names those that it writes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from glob import escape, glob, has_magic
from pathlib import Path

from smd_cli.errors import AssetError
from smd_cli.media.rasters import has_raster_name
from smd_cli.regular_files import is_directory, is_there
from smd_cli.scene.paths import why_missing

NUMBERED = "[0-9]" * 6 + ".png"
"""The pattern of the names that `numbered` gives."""


def numbered(frame: int) -> str:
    """Return the name of a stream's picture, counted from 0."""
    return f"{frame:06}.png"


FIRST_FRAME = numbered(0)
"""The first of a stream's numbered pictures; each of them carries the recipe."""


def frame_files(path: Path) -> list[Path]:
    """Return the files that frames come from: one, the pictures of a folder, or those of a glob pattern.

    Raises AssetError: the folder or pattern has none.
    """
    if is_directory(path):
        return _pictures_in(path)
    return _pictures_matching(str(path)) if is_pattern(path) else [path]


def is_pattern(path: Path) -> bool:
    """Tell whether a path is a glob pattern, and not the name of something that is there."""
    return has_magic(str(path)) and not is_there(path)


def _pictures_in(folder: Path) -> list[Path]:
    """List the pictures of a folder in natural order; ignore its other files."""
    found = [path for path in folder.iterdir() if has_raster_name(path) and not path.name.startswith(".")]
    if not found:
        raise AssetError(f"{folder}: holds no pictures")
    return sorted(found, key=_natural_order)


def _pictures_matching(pattern: str) -> list[Path]:
    """List the files that match a glob pattern in natural order."""
    found = [Path(name) for name in _names_matching(pattern)]
    if not found:
        raise AssetError(f"{pattern}: no file matches{why_missing(pattern)}")
    return sorted(found, key=_natural_order)


def _names_matching(pattern: str) -> Iterator[str]:
    """Yield what matches a pattern; its first `**/` is any depth of folders.

    A folder that is there is no pattern, whatever its name: scenes may lie in one called `a [1]`. Links to
    folders are not followed to any depth: two that lead back double the folders at each of forty levels.
    """
    path = Path(pattern).absolute()
    there = next(str(folder) for folder in path.parents if is_directory(folder))
    pattern = str(path).replace(there, escape(there), 1)
    above, anywhere, below = pattern.partition(f"{os.sep}**{os.sep}")
    if not anywhere:
        yield from glob(pattern)  # noqa: PTH207 - takes absolute ones too
        return
    for top in glob(f"{above}{os.sep}"):  # noqa: PTH207
        for folder, folders, _ in os.walk(top):
            folders[:] = [name for name in folders if not name.startswith(".")]
            yield from glob(f"{escape(folder)}{os.sep}{below}")  # noqa: PTH207


def _natural_order(path: Path) -> list[tuple[int, str]]:
    """Return a key that sorts numbers in names by value: frame 9 comes before frame 10."""
    parts = re.split(r"([0-9]+)", str(path))
    return [(int(part), part) if part.isdecimal() else (0, part) for part in parts]
