"""What a scene is opened from: a file of its own, a picture, a bundle, a text, or data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smd_cli.app.bundle.place import bundle_at
from smd_cli.media.frame_files import FIRST_FRAME
from smd_cli.messages import Place
from smd_cli.scene.loader import STDIN, Asked, LoadedScene, load, load_data, load_text, looks_like_picture
from smd_cli.scene.overrides import Override
from smd_cli.scene.recommended import no_advice

if TYPE_CHECKING:
    from smd_cli.app.bundle.opened import Bundle
    from smd_cli.media.recipe import Recipe

Source = str | Path | Mapping[str, Any]


@dataclass(frozen=True)
class Origin:
    """What a scene was opened from, with which it can be opened again.

    Attributes:
        path: of the scene or picture, in a bundle `a.smd.zip/a.yaml`; None: it was a text, data or standard
            input.
        overrides: as `load_scene` takes them. A file is named as from the scene's folder.
        recipe: of the picture; None: it was none.
        bundle: in which the scene lies, unpacked as long as this object is there; None: it lies in none.
    """

    path: Path | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe | None = None
    bundle: Bundle | None = None

    @property
    def file(self) -> Path | None:
        """The file that was read: of a scene in a bundle, the bundle."""
        return self.bundle.file if self.bundle else self.path and (picture_at(self.path) or self.path)

    def changed(self, changes: Sequence[Override], base_dir: Path) -> Origin:
        """Return it with more overrides, of a scene in a folder."""
        overrides = dict(self.overrides)
        for change in changes:
            overrides.pop(change.path, None)  # of two for one place the last one counts, where it stands
            overrides[change.path] = change.plain(base_dir)
        return replace(self, overrides=overrides)


def read_source(source: Source, base_dir: str | Path | None, asked: Asked) -> tuple[LoadedScene, Origin]:
    """Read a scene, whatever it comes from; arguments and errors are those of `load_scene`.

    A picture's recipe, which says all by itself, asks no model.
    """
    if not isinstance(source, str | Path | Mapping):
        raise TypeError(f"a scene is a path, a text or a mapping, not {type(source).__name__}")
    folder = Path(base_dir or ".")
    if isinstance(source, Mapping):
        loaded, origin = load_data(source, base_dir=folder, asked=asked), Origin()
    elif isinstance(source, str) and "\n" in source:
        loaded, origin = load_text(source, "scene", base_dir=folder, asked=asked), Origin()
    else:
        loaded, origin = _read_path(source, base_dir, asked)
    return loaded, origin.changed(asked.overrides, loaded.base_dir)


def _read_path(source: str | Path, base_dir: str | Path | None, asked: Asked) -> tuple[LoadedScene, Origin]:
    path = Path(source)
    if picture := picture_at(path):
        from smd_cli.media.recipe import read_recipe  # most scenes are none

        recipe, place = read_recipe(picture), Place(str(path))
        data, folder = recipe.to_scene(), path.parent if base_dir is None else Path(base_dir)
        alone = replace(asked, adviser=no_advice)
        loaded = load_data(data, base_dir=folder, asked=alone, place=place, name=path.stem)
        return loaded, Origin(path, recipe=recipe)
    if at := bundle_at(path):
        from smd_cli.app.bundle.opened import open_bundle  # nor are most in one

        bundle = open_bundle(at[0])
        name = bundle.scene_named(at[1])
        return bundle.load(name, asked), Origin(bundle.file / name, bundle=bundle)
    return load(source, asked), Origin(None if str(source) == STDIN else path)


def picture_at(source: str | Path) -> Path | None:
    """Return the picture or film at a path, or the first of a folder of frames; None: there is none."""
    path = Path(source)
    frame = path / FIRST_FRAME
    with suppress(OSError):  # which reading it as a scene reports
        if frame.is_file():
            return frame
        if path.is_file() and looks_like_picture(path):
            return path
    return None
