"""What locks claim: that the pictures that they hold come out again. Knows no torch."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from smd_cli.app.bundle.place import bundle_at
from smd_cli.app.existing import ComingRecipes
from smd_cli.app.lock.drift import differences
from smd_cli.app.lock.lockfile import Lock, is_scene, read_lock
from smd_cli.app.lock.pictures import LockedPicture
from smd_cli.app.scenes import OpenedScene, load_scene
from smd_cli.app.settings import RenderSettings
from smd_cli.app.verification.claim import Claim, model_of
from smd_cli.errors import MismatchError, SceneError
from smd_cli.messages import Place
from smd_cli.scene.overrides import Override, override_of


def lock_claims(path: Path, *, offline: bool) -> list[Claim]:
    """Return what a lock claims, a picture or stream each. Raises AssetError: it is missing or damaged."""
    lock = read_lock(path)
    scenes = _Scenes(lock, offline=offline)
    return [
        Claim(
            name=replace(picture, scene=str(lock.path_of(picture.scene))).name,
            suite=str(path),
            open=partial(scenes.open, picture),
            seed=picture.seed,
            model=model_of(picture.recipe),
            pixels=picture.recipe.pixels,
            latents=picture.recipe.latents,
            computation=picture.recipe.computation,
            versions=picture.recipe.versions,
            shown=_shown(lock, picture),
        )
        for picture in lock.pictures
    ]


class _Scenes:
    """Opens the scenes of a lock. The last one is kept: pictures of several seeds share it."""

    def __init__(self, lock: Lock, *, offline: bool) -> None:
        self._lock = lock
        self._offline = offline
        self._last: tuple[tuple[str, str], OpenedScene, ComingRecipes] | None = None

    def open(self, picture: LockedPicture) -> OpenedScene:
        """Open the scene of a picture.

        Raises MismatchError: it is gone, or not what the lock holds; SmdError: it cannot be opened.
        """
        scene, coming = self._opened(picture)
        if problems := differences(self._lock, picture, coming.of(picture.seed), scene):
            raise MismatchError(*problems)
        return scene

    def _opened(self, picture: LockedPicture) -> tuple[OpenedScene, ComingRecipes]:
        key = picture.identity[:2]
        if self._last is None or self._last[0] != key:
            path = self._lock.path_of(picture.scene)
            if not is_scene(path):
                hint = f"{self._lock.path} names it from its folder, and smd lock of other scenes drops it"
                raise MismatchError(Place(str(path)).says(f"no such file; {hint}"))
            opened = load_scene(path, overrides=self._overrides(picture), fetch=not self._offline)
            scene = _for_task(opened, picture.recipe.scene["task"])
            scene = replace(scene, origin=replace(scene.origin, recipe=None))  # verdicts tell all
            self._last = key, scene, ComingRecipes(scene, RenderSettings(offline=self._offline))
        return self._last[1:]

    def _overrides(self, picture: LockedPicture) -> list[Override]:
        """Return what options changed; of a lock in a bundle, which may name files of that alone."""
        place = Place(str(self._lock.path)) if bundle_at(self._lock.path) else None
        return [override_of(key, value, place) for key, value in picture.overrides.items()]


def _for_task(scene: OpenedScene, task: str) -> OpenedScene:
    """Return a scene for the task of a picture; one that names another, as it is, which is a difference."""
    try:
        return scene.for_task(task)
    except SceneError:
        return scene


def _shown(lock: Lock, picture: LockedPicture) -> Path | None:
    """Return the file that shows a picture, where one was written and is still there."""
    path = lock.path_of(picture.file) if picture.file else None
    return path if path and path.exists() else None
