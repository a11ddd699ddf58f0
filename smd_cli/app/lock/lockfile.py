"""The file `smd.lock`: read strictly, and written so that a change of it reads well. Knows no torch."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from smd_cli.app.bundle.place import bundle_at
from smd_cli.errors import AssetError, SmdError, UsageError
from smd_cli.media.files import write_bytes
from smd_cli.media.recipe import Recipe
from smd_cli.messages import Message, Place
from smd_cli.regular_files import is_there, open_regular, read_text, why_unread
from smd_cli.scene.seeds import LAST_SEED
from smd_cli.scene.tree import dotted
from smd_cli.scene.values import SHA256
from smd_cli.strict_json import parse

SUFFIX = ".lock"
VERSION = 1
MAX_BYTES = 2**26
MAX_PICTURES = 100_000
_KEY = "smd_lock"
_NUMBERS = re.compile(r'\[\n([^\[\]{}"]+)\n\s*\]')
"""A list without texts, which is written on one line; no text of JSON holds a line feed."""
_SHOWN_PROBLEMS = 10

Identity = tuple[str, str, int]
"""What tells pictures of a lock apart: the scene, the overrides as JSON, the seed."""


@dataclass(frozen=True)
class LockedPicture:
    """A picture or stream that a lock holds.

    Attributes:
        scene: the path of the scene's file, from the lock's folder, with `/`.
        overrides: the values that options gave in place of the scene's, in their order.
        seed: of its noise.
        recipe: what made it. `pixels` is of a stream that of all frames; None: only inputs were locked.
        latents_sha256: of a picture's latents, of which `recipe` has a coarse copy; None: of a stream, or
            only inputs were locked.
        file: the path of a file that shows it, as `scene` is one; None: none was written.
    """

    scene: str
    overrides: Mapping[str, Any]
    seed: int
    recipe: Recipe
    latents_sha256: str | None = None
    file: str | None = None

    @cached_property
    def identity(self) -> Identity:
        """Return what tells it from the lock's other pictures."""
        return self.scene, json.dumps(self.overrides, sort_keys=True), self.seed

    @property
    def name(self) -> str:
        """Return it in words, for people."""
        changes = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in self.overrides.items()]
        return ", ".join([self.scene, f"seed {self.seed}", *changes])

    def to_data(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "scene": self.scene,
            "overrides": dict(self.overrides),
            "seed": self.seed,
            "sha256": self.recipe.sha256,
            "recipe": self.recipe.to_data(),
            "latents_sha256": self.latents_sha256,
            "file": self.file,
        }


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
        return self.path.parent / name

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
        data = {_KEY: VERSION, "pictures": [picture.to_data() for picture in self.pictures]}
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
        data = parse(_read(path))
    except FileNotFoundError:
        raise AssetError(place.says("no such file; smd lock SCENE… makes one")) from None
    except OSError as error:
        raise AssetError(place.says(why_unread(error))) from error
    except ValueError as error:
        raise AssetError(place.says(f"is no lock: {error}")) from error
    _check_version(data, place)
    try:
        file = _File.model_validate(data)
    except ValidationError as error:
        raise AssetError(*_lines(error, place)) from error
    return Lock(path, tuple(_pictures(file, place)))


def _read(path: Path) -> str:
    if at := bundle_at(path):
        from smd_cli.app.bundle.opened import open_bundle

        bundle = open_bundle(at[0])  # which has to be there until the file has been read
        return read_text(bundle.file_named(at[1]), MAX_BYTES)
    return read_text(path, MAX_BYTES)


def _check_version(data: object, place: Place) -> None:
    if not isinstance(data, dict) or _KEY not in data:
        raise AssetError(place.says(f"is no lock: it has no key {_KEY}"))
    if data[_KEY] != VERSION or type(data[_KEY]) is not int:
        hint = f"this smd knows {VERSION}; lock the scenes again with it, or take the smd that wrote the lock"
        raise AssetError(place.says(f"is a lock of version {json.dumps(data[_KEY])[:20]}; {hint}"))


class _Strict(BaseModel):
    """Data of a file: exactly the keys that are declared, of exactly their types."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


_Path = Annotated[str, Field(min_length=1, max_length=4096)]
_Sha256 = Annotated[str, Field(pattern=SHA256)]


class _Picture(_Strict):
    scene: _Path
    overrides: dict[str, JsonValue]
    seed: Annotated[int, Field(ge=0, le=LAST_SEED)]
    sha256: _Sha256
    recipe: dict[str, JsonValue]
    latents_sha256: _Sha256 | None
    file: _Path | None


class _File(_Strict):
    smd_lock: int
    pictures: Annotated[list[_Picture], Field(max_length=MAX_PICTURES)]


def _pictures(file: _File, place: Place) -> Iterator[LockedPicture]:
    """Yield the pictures of a file. Raises AssetError: one is damaged, or there twice."""
    seen: dict[Identity, int] = {}
    for index, each in enumerate(file.pictures):
        at = Place(place.source, key=f"pictures[{index}]")
        try:
            recipe = Recipe.from_data(each.recipe)
        except ValueError as error:
            raise AssetError(at.says(f"its recipe is damaged ({error})")) from error
        for path in filter(None, (each.scene, each.file)):
            _check_path(path, at)
        if recipe.sha256 != each.sha256 or recipe.seed != each.seed:
            raise AssetError(at.says("was changed by hand: its recipe is not that of its seed and sha256"))
        picture = LockedPicture(each.scene, each.overrides, each.seed, recipe, each.latents_sha256, each.file)
        if (first := seen.setdefault(picture.identity, index)) != index:
            raise AssetError(at.says(f"is the picture of pictures[{first}] again: {picture.name}"))
        yield picture


def _check_path(path: str, place: Place) -> None:
    """Raise AssetError unless a path starts at the lock's folder; it may lead out of it by `..`."""
    is_whole = PurePosixPath(path).is_absolute() or PureWindowsPath(path).anchor
    if is_whole or path != str(PurePosixPath(path)):
        raise AssetError(place.says(f"{path!r} is no path from the lock's folder"))


def _lines(error: ValidationError, place: Place) -> list[Message]:
    """Return a line for each of the first problems."""
    problems = error.errors(include_url=False)
    lines = [
        Place(place.source, key=dotted(problem["loc"])).says(problem["msg"])
        for problem in problems[:_SHOWN_PROBLEMS]
    ]
    more = len(problems) - len(lines)
    return [*lines, place.says(f"and {more} more problems")] if more else lines
