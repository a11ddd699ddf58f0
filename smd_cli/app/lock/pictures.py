"""Pictures that a lock holds, and how its file writes them: those of a scene's seeds share one recipe."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from smd_cli.errors import AssetError
from smd_cli.media.recipe import Recipe
from smd_cli.messages import Message, Place
from smd_cli.scene.matrix import names_of
from smd_cli.scene.seeds import LAST_SEED
from smd_cli.scene.tree import dotted
from smd_cli.scene.values import SHA256

KEY = "smd_lock"
MAX_PICTURES = 100_000
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
        changes = [
            f"{key}={names_of(value) or json.dumps(value, ensure_ascii=False)}"
            for key, value in self.overrides.items()
        ]
        return ", ".join([self.scene, f"seed {self.seed}", *changes])


def data_of(pictures: Iterable[LockedPicture]) -> list[dict[str, Any]]:
    """Return pictures, which are in order, as a lock's file has them."""

    def shared(picture: LockedPicture) -> tuple[str, str, str]:
        return *picture.identity[:2], json.dumps(_shared_recipe(picture.recipe))

    groups = (list(group) for _, group in groupby(pictures, shared))
    return [
        {
            "scene": group[0].scene,
            "overrides": dict(group[0].overrides),
            "sha256": group[0].recipe.sha256,
            "recipe": _shared_recipe(group[0].recipe),
            "pictures": [_own_data(picture) for picture in group],
        }
        for group in groups
    ]


def pictures_of(data: Any, place: Place) -> Iterator[LockedPicture]:  # noqa: ANN401 - what a file holds
    """Yield the pictures of a lock's data. Raises AssetError: some of it is damaged, or there twice."""
    try:
        file = _File.model_validate(data)
    except ValidationError as error:
        raise AssetError(*_lines(error, place)) from error
    if sum(len(group.pictures) for group in file.scenes) > MAX_PICTURES:
        raise AssetError(place.says(f"holds more than {MAX_PICTURES:,} pictures"))
    seen: set[Identity] = set()
    for index, group in enumerate(file.scenes):
        at = replace(place, key=f"scenes[{index}]")
        for picture in _of_group(group, at):
            if picture.identity in seen:
                raise AssetError(at.says(f"holds a picture once more: {picture.name}"))
            seen.add(picture.identity)
            yield picture


def _shared_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return what pictures of several seeds have in common."""
    data = recipe.to_data()
    scene = {key: value for key, value in data["scene"].items() if key != "seed"}
    return {key: value for key, value in data.items() if key not in ("pixels", "latents")} | {"scene": scene}


def _own_data(picture: LockedPicture) -> dict[str, Any]:
    """Return what a picture has of its own."""
    return {
        "seed": picture.seed,
        "pixels": picture.recipe.pixels,
        "latents": picture.recipe.latents,
        "latents_sha256": picture.latents_sha256,
        "file": picture.file,
    }


class _Strict(BaseModel):
    """Data of a file: exactly the keys that are declared, of exactly their types."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


_Path = Annotated[str, Field(min_length=1, max_length=4096)]
_Sha256 = Annotated[str, Field(pattern=SHA256)]


class _Picture(_Strict):
    seed: Annotated[int, Field(ge=0, le=LAST_SEED)]
    pixels: _Sha256 | None
    latents: Annotated[str, Field(max_length=2**16)] | None
    latents_sha256: _Sha256 | None
    file: _Path | None


class _Group(_Strict):
    scene: _Path
    overrides: dict[str, JsonValue]
    sha256: _Sha256
    recipe: dict[str, JsonValue]
    pictures: Annotated[list[_Picture], Field(min_length=1)]


class _File(_Strict):
    smd_lock: int
    scenes: list[_Group]


def _of_group(group: _Group, place: Place) -> Iterator[LockedPicture]:
    shared, first = group.recipe, group.pictures[0].seed
    try:
        recipe = Recipe.from_data({**shared, "scene": {**shared["scene"], "seed": first}})  # type: ignore[dict-item]
    except (ValueError, TypeError, LookupError) as error:
        raise AssetError(place.says(f"its recipe is damaged ({error})")) from error
    if recipe.sha256 != group.sha256:
        raise AssetError(place.says("was changed by hand: its recipe is not that of its sha256"))
    for each in group.pictures:
        for path in filter(None, (group.scene, each.file)):
            _check_path(path, place)
        own = replace(
            recipe, scene={**recipe.scene, "seed": each.seed}, pixels=each.pixels, latents=each.latents
        )
        yield LockedPicture(group.scene, group.overrides, each.seed, own, each.latents_sha256, each.file)


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
