"""Whether pictures are those that a lock holds: told before anything is rendered. Knows no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smd_cli.app.lock.lockfile import Lock
from smd_cli.app.lock.pictures import LockedPicture
from smd_cli.app.model_spec import place_in_scene
from smd_cli.app.reports import WrittenFile
from smd_cli.app.scenes import OpenedScene
from smd_cli.errors import MismatchError, UsageError
from smd_cli.media.recipe import Recipe
from smd_cli.media.recipe_changes import Change, changes
from smd_cli.messages import Message, Place
from smd_cli.scene.region import INHERITED
from smd_cli.scene.tree import Loc, steps_of

_BASE = "model.base"
_SHOWN = 10  # seeds


@dataclass(frozen=True)
class Held:
    """A scene whose pictures a lock holds.

    Attributes:
        lock: that holds them.
        pictures: by their seeds.
        notes: what of the machine differs, and may round pixels otherwise.
    """

    lock: Lock
    pictures: Mapping[int, LockedPicture]
    notes: tuple[Message, ...] = ()

    def other_pixels(self, written: WrittenFile) -> Message | None:
        """Tell where a file that was written shows other pixels than the lock has; None: the same, or it
        has none.
        """
        locked = self.pictures[written.seed].recipe.pixels
        if None in (locked, written.pixels_sha256) or locked == written.pixels_sha256:
            return None
        hint = f"smd verify {self.lock.path} tells by how much"
        return Message(f"{written.path}: its pixels are not those of {self.lock.path}; {hint}")


def hold(lock: Lock, scene: OpenedScene, seeds: Sequence[int], coming: Callable[[int], Recipe]) -> Held:
    """Find the pictures of a scene's seeds in a lock; `coming` gives the recipes that they will have.

    Raises:
        MismatchError: the lock has no such pictures, or their scene or a file of theirs is another, a line
            for each difference.
        UsageError: the scene has no file, so a lock cannot hold it.
        AssetError: a file of the scene is missing.
    """
    name = name_in(lock, scene)
    pictures: dict[int, LockedPicture] = {}
    missing: list[int] = []
    problems: list[Message] = []
    notes: list[Message] = []
    for seed in seeds:
        if not (candidates := lock.pictures_of(name, seed)):
            missing.append(seed)
            continue
        now = coming(seed)
        picture = _nearest(candidates, overrides_of(scene), now)
        pictures[seed] = picture
        problems += differences(lock, picture, now, scene)
        notes += _other_versions(lock, picture, now)
    if missing:
        problems.insert(0, _missing(lock, scene, name, missing))
    if problems:
        raise MismatchError(*dict.fromkeys(problems))  # seeds have most of them in common
    return Held(lock, pictures, tuple(dict.fromkeys(notes)))


def name_in(lock: Lock, scene: OpenedScene) -> str:
    """Return how a lock names a scene. Raises UsageError: the scene has no file."""
    if scene.origin.path is None:
        raise UsageError(
            Place(scene.locate().source).says("a lock holds scenes that are files; save it as one")
        )
    return lock.name_of(scene.origin.path)


def overrides_of(scene: OpenedScene) -> dict[str, Any]:
    """Return what options changed of a scene but its seed, which each picture has of its own."""
    return {key: value for key, value in scene.origin.overrides.items() if key != "seed"}


def differences(lock: Lock, picture: LockedPicture, now: Recipe, scene: OpenedScene) -> list[Message]:
    """Tell what shapes another picture now than the lock holds, at its place in the scene."""
    if _is_same(picture.recipe, now):
        return []
    found, holds = picture.recipe.compared(now), Place(str(lock.path))
    problems = [_told(change, lock, scene) for change in found.values]
    problems += [
        _place(_loc(key, scene), scene).says(
            f"is another file than that of {lock.path}{_revisions(key, picture, now)}"
        )
        for key in found.files
    ]
    if found.is_rendered_otherwise:
        made, renders = picture.recipe.rendering, now.rendering
        text = (
            f"holds pictures of rendering version {made}, and this smd has {renders}; lock the scenes again"
        )
        problems.append(holds.says(text))
    return problems or [holds.says(f"holds another {picture.name}")]


def _told(change: Change, lock: Lock, scene: OpenedScene) -> Message:
    """Tell a value that differs, and whether the model recommends what it is now."""
    loc = _loc(change.place, scene)
    hint = ", which the model recommends" * scene.loaded.filled.recommends(_decided_at(loc))
    return _place(loc, scene).says(f"{change.since(f'in {lock.path}')}{hint}")


def _decided_at(loc: Loc) -> Loc:
    """Return where a scene says a value that regions have from `masks`, or any other value."""
    inherited = INHERITED.get(str(loc[-1])) if loc[:1] == ("regions",) else None
    return ("masks", inherited) if inherited else loc


def _is_same(locked: Recipe, now: Recipe) -> bool:
    """Tell whether recipes are of one picture; digests take longer than a look at equal values."""
    one, other = ((each.scene, each.digests, each.family, each.rendering) for each in (locked, now))
    return one == other or locked.sha256 == now.sha256


def _revisions(key: str, picture: LockedPicture, now: Recipe) -> str:
    """Return which revision of a model was locked, and which there is now, where these differ."""
    before, after = picture.recipe.revision, now.revision
    return f": revision {before or 'none'}, now {after or 'none'}" if key == _BASE and before != after else ""


def _nearest(candidates: Sequence[LockedPicture], overrides: Mapping[str, Any], now: Recipe) -> LockedPicture:
    """Return the picture that options made in the same way; if there is none, the one that is most alike."""

    def distance(picture: LockedPicture) -> int:
        if _is_same(picture.recipe, now):
            return 0
        return 1 + len(picture.recipe.compared(now).values)

    made_alike = [picture for picture in candidates if picture.overrides == overrides]
    return min(made_alike or candidates, key=distance)


def _missing(lock: Lock, scene: OpenedScene, name: str, seeds: Sequence[int]) -> Message:
    if not lock.has_scene(name):
        path = str(scene.origin.path)
        return Place(path).says(f"{lock.path} does not hold this scene; smd lock {path} adds it")
    text = f"{lock.path} holds no picture of seed {_shown(seeds)}"
    if scene.has_drawn_seeds:
        held = sorted({picture.seed for picture in lock.pictures_of_scene(name)})
        text += f", which was drawn; give one that it holds by --seed: {_shown(held)}"
    return scene.locate("seed").says(text)


def _shown(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds[:_SHOWN])) + ", …" * (len(seeds) > _SHOWN)


def _other_versions(lock: Lock, picture: LockedPicture, now: Recipe) -> list[Message]:
    before = picture.recipe.versions
    told = [
        f"{change.place} {change.since('there')}"
        for change in changes(before, {library: now.versions.get(library) for library in before})
    ]
    text = f"{lock.path} was made by other libraries, and pixels may be rounded otherwise: {', '.join(told)}"
    return [Message(text)] if told else []


def _place(loc: Loc, scene: OpenedScene) -> Place:
    """Return the place of a value, of a model's part too."""
    return place_in_scene(scene, loc[1:]) if loc[:1] == ("model",) else scene.locate(*loc)


def _loc(key: str, scene: OpenedScene) -> Loc:
    """Return where a scene says what a recipe has under a key, in which regions go by their names."""
    loc: list[str | int] = []
    names = [region.name for region in scene.plan.regions]
    for step in steps_of(key) or ():
        if loc == ["regions"] and step in names:
            loc.append(names.index(step))
        else:
            loc.append(int(step) if step.isdecimal() else step)
    return ("model", "family") if loc == ["family"] else tuple(loc)
