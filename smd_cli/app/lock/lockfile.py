"""The file `smd.lock`: read strictly, and written so that a change of it reads well. Knows no torch."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from smd_cli.app.bundle.place import bundle_at
from smd_cli.app.lock.pictures import KEY, MAX_PICTURES, LockedPicture, data_of, pictures_of
from smd_cli.errors import AssetError, SmdError, UsageError
from smd_cli.media.files import write_bytes
from smd_cli.messages import Place
from smd_cli.regular_files import is_there, open_regular, read_text, why_unread
from smd_cli.strict_json import parse

SUFFIX = ".lock"
VERSION = 1
MAX_BYTES = 2**26
_NUMBERS = re.compile(r'\[\n([^\[\]{}"]+)\n\s*\]')
"""A list without texts, which is written on one line; no text of JSON holds a line feed."""

_CONFLICT = re.compile(r"^(<{7}|={7}|>{7})( |$)", re.MULTILINE)


@dataclass(frozen=True)
class Lock:
    """The pictures that a lock file holds, and where that lies."""

    path: Path
    pictures: tuple[LockedPicture, ...] = ()

    @cached_property
    def _by_scene_and_seed(self) -> Mapping[tuple[str, int], list[LockedPicture]]:
        found: dict[tuple[str, int], list[LockedPicture]] = {}
        for picture in self.pictures:
            found.setdefault((picture.scene, picture.seed), []).append(picture)
        return found

    def pictures_of(self, scene: str, seed: int) -> Sequence[LockedPicture]:
        """Return the pictures of a scene, by its name in the lock, and a seed."""
        return self._by_scene_and_seed.get((scene, seed), ())

    def pictures_of_scene(self, scene: str) -> Sequence[LockedPicture]:
        """Return all pictures of a scene, by its name in the lock."""
        return [picture for picture in self.pictures if picture.scene == scene]

    def has_scene(self, scene: str) -> bool:
        """Tell whether there is a picture of a scene, by its name in the lock."""
        return bool(self.pictures_of_scene(scene))

    def path_of(self, name: str) -> Path:
        """Return where a file lies, by its name in the lock."""
        folder = self.path.parent
        if not folder.exists():  # the system finds no `..` from there
            return Path(os.path.normpath(folder / name))
        return folder / name

    def name_of(self, file: Path) -> str:
        """Return how the lock writes the path of a file. Raises UsageError: there is no such way."""
        # Links to folders are followed, so that `..` leads where it says; the file's own name is the user's.
        where, folder = file.absolute(), self.path.absolute().parent
        try:
            name = Path(os.path.relpath(where.parent.resolve() / where.name, folder.resolve())).as_posix()
            name.encode()
        except UnicodeEncodeError as error:
            raise UsageError(Place(str(file)).says("is no UTF-8 name, which a lock cannot hold")) from error
        except ValueError as error:  # on Windows
            raise UsageError(Place(str(file)).says(f"lies on another drive than {self.path}")) from error
        return name

    def updated(self, pictures: Iterable[LockedPicture]) -> Lock:
        """Return the lock with pictures in place of those that it has of the same scenes, in order."""
        new = {picture.identity: picture for picture in pictures}
        scenes = {picture.scene for picture in new.values()}
        kept = [picture for picture in self.pictures if picture.scene not in scenes]
        return Lock(self.path, tuple(sorted([*kept, *new.values()], key=lambda each: each.identity)))

    def to_json(self) -> str:
        """Return the file's text."""
        data = {KEY: VERSION, "scenes": data_of(self.pictures)}
        text = json.dumps(data, ensure_ascii=False, indent=1)
        return _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"

    def write(self) -> None:
        """Write the file, whole or not at all. Raises SmdError: it is too large, or the system refuses."""
        data = self.to_json().encode()
        if len(data) > MAX_BYTES or len(self.pictures) > MAX_PICTURES:
            limit = f"{MAX_PICTURES:,} pictures and {MAX_BYTES // 2**20} MiB"
            raise SmdError(f"{self.path}: would hold more than {limit}; lock fewer scenes in each of several")
        write_bytes(self.path, data)


def is_scene(path: Path) -> bool:
    """Tell whether a scene lies at a path, by itself or in a bundle."""
    return is_there(path) or bundle_at(path) is not None


def looks_like_lock(path: Path) -> bool:
    """Tell whether a file is a lock by its name, or by how it begins. Raises OSError: it cannot be read."""
    if path.suffix == SUFFIX:
        return True
    with open_regular(path) as file:
        return file.read(64).lstrip().startswith(b"{")


def read_lock(path: str | Path) -> Lock:
    """Read a lock file, which may lie in a bundle: `a.smd.zip/smd.lock`.

    Raises AssetError: it is missing or unreadable, of a version that is not known, or damaged, with a line
    for each problem.
    """
    path = Path(path)
    place = Place(str(path))
    try:
        data = parse(_without_conflicts(_read(path)))
    except FileNotFoundError:
        raise AssetError(place.says("no such file; smd lock SCENE… makes one")) from None
    except OSError as error:
        raise AssetError(place.says(why_unread(error))) from error
    except ValueError as error:
        raise AssetError(place.says(f"is no lock: {error}")) from error
    _check_version(data, place)
    return Lock(path, tuple(pictures_of(data, place)))


def _read(path: Path) -> str:
    if at := bundle_at(path):
        from smd_cli.app.bundle.opened import open_bundle

        bundle = open_bundle(at[0])  # which has to be there until the file has been read
        return read_text(bundle.file_named(at[1]), MAX_BYTES)
    return read_text(path, MAX_BYTES)


def _without_conflicts(text: str) -> str:
    """Return a text. Raises ValueError: git has left a merge conflict in it."""
    if _CONFLICT.search(text):
        raise ValueError("a merge conflict in it is not solved; take one side, and lock its scenes again")
    return text


def _check_version(data: object, place: Place) -> None:
    if not isinstance(data, dict) or KEY not in data:
        raise AssetError(place.says(f"is no lock: it has no key {KEY}"))
    if data[KEY] != VERSION or type(data[KEY]) is not int:
        hint = f"this smd knows {VERSION}; lock the scenes again with it, or take the smd that wrote the lock"
        raise AssetError(place.says(f"is a lock of version {json.dumps(data[KEY])[:20]}; {hint}"))
