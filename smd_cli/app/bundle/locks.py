"""The lock in a bundle: what the lock of its scene holds, under the scene's path in there. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from smd_cli.app.bundle.layout import LOCK, Layout, Named
from smd_cli.app.bundle.opened import open_bundle
from smd_cli.app.bundle.place import bundle_at
from smd_cli.app.lock.drift import name_in, overrides_of
from smd_cli.app.lock.lockfile import Lock, read_lock
from smd_cli.app.model_advice import ModelAdviser
from smd_cli.app.origin import read_source
from smd_cli.app.scenes import OpenedScene
from smd_cli.errors import SmdError, UsageError
from smd_cli.messages import Place
from smd_cli.scene.loader import Asked
from smd_cli.scene.named import named_references
from smd_cli.scene.overrides import override_of


def lock_beside(scenes: Sequence[str | Path]) -> Path:
    """Return where the lock of scenes is looked for, if none is named.

    That is `smd.lock` in the working directory or, where none is there, in the bundle that they are.
    """
    own = Path(LOCK)
    bundles = set() if own.exists() else {at and at[0] for at in map(bundle_at, scenes)}
    bundle = bundles.pop() if len(bundles) == 1 else None
    return bundle / LOCK if bundle else own


def lock_there(scene: str | Path) -> Lock | None:
    """Return the lock that `lock_beside` finds; None: there is none. Raises AssetError: it is damaged."""
    path = lock_beside([scene])
    at = bundle_at(path)
    is_there = at[1] in open_bundle(at[0]).files if at else path.exists()
    return read_lock(path) if is_there else None


def lock_of_bundle(lock: Lock, opened: OpenedScene, named: Sequence[Named], layout: Layout) -> Lock:
    """Return what a lock holds of a scene as the lock in the scene's bundle has it.

    Left out are pictures that options made of files which are not in the bundle. Files of pictures are not in
    a bundle either, and no longer named.

    Raises UsageError: it holds no picture of the scene, or would not hold in the bundle, where the scene's
    paths have to be others than recipes write.
    """
    place = Place(str(lock.path))
    texts = {each.text: text for each, text in zip(named, layout.texts, strict=True)}
    if other := next((each for each in named if texts[each.text] != each.named.reference.portable), None):
        has = f"has to be called {texts[other.text]} in the bundle, of which the lock would not hold"
        raise UsageError(place.says(f"{other.text} {has}; rename it"))
    name, own = name_in(lock, opened), overrides_of(opened)
    pictures = []
    for picture in lock.pictures_of_scene(name):
        more = {key: value for key, value in picture.overrides.items() if key not in own}
        if own.items() <= picture.overrides.items() and _names(opened, picture.overrides) <= texts.keys():
            there = {
                key: texts.get(value, value) if isinstance(value, str) else value
                for key, value in more.items()
            }
            pictures.append(replace(picture, scene=layout.scene, overrides=there, file=None))
    if not pictures:
        raise UsageError(place.says(f"holds no picture of {opened.origin.path} that the bundle can make"))
    return Lock(Path(LOCK)).updated(pictures)


def _names(opened: OpenedScene, overrides: Mapping[str, Any]) -> set[str]:
    """Return what a scene names that options change; of a scene that they do not suit any more, nothing."""
    path = opened.origin.path
    if path is None:
        return set()
    try:
        changes = [override_of(*item) for item in overrides.items()]
        loaded, _ = read_source(path, Path(), Asked(changes, adviser=ModelAdviser(offline=True)))
    except SmdError:
        return {""}
    return {each.reference.text for each in named_references(loaded)}
