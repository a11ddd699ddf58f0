"""A bundle in place of a scene: it is looked at, unpacked for this process alone, and its scene is read."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from glob import has_magic
from pathlib import Path, PurePosixPath
from weakref import WeakValueDictionary

from smd_cli.app.bundle.archive import Archive, open_archive
from smd_cli.app.bundle.folder import PrivateFolder
from smd_cli.digests import Stamp, stamp_of
from smd_cli.errors import SceneError, SmdError
from smd_cli.messages import Place
from smd_cli.models.configs import DEFAULTS
from smd_cli.scene.loader import NOTHING_ELSE, Asked, LoadedScene, load
from smd_cli.scene.named import NamedReference, named_references

_SCENES = (".yaml", ".yml")


@dataclass(frozen=True)
class Bundle:
    """An unpacked bundle. Its folder is there as long as this object is.

    Attributes:
        file: the bundle itself.
        scenes: the paths of its scenes, in it.
        files: the sizes of all its files in bytes, by their paths.
    """

    file: Path
    scenes: tuple[str, ...]
    files: Mapping[str, int] = field(repr=False, compare=False)
    _folder: PrivateFolder = field(repr=False, compare=False)

    @property
    def folder(self) -> Path:
        """Where it lies unpacked."""
        return self._folder.path

    def file_named(self, name: str) -> Path:
        """Return where a file of it lies. Raises FileNotFoundError: it has no such file."""
        if name not in self.files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), f"{self.file}/{name}")
        return self.folder / name

    def scene_named(self, name: str = "") -> str:
        """Return the path of a scene in it, by default of its only one. Raises SceneError: it has no such."""
        place = Place(str(self.file))
        if not name and len(self.scenes) > 1:
            named = ", ".join(f"{self.file}/{each}" for each in self.scenes)
            raise SceneError(place.says(f"is a bundle of {len(self.scenes)} scenes; give one of {named}"))
        if name and name not in self.scenes:
            raise SceneError(place.says(f"has no scene {name}; it has {', '.join(self.scenes)}"))
        return name or self.scenes[0]

    def load(self, scene: str, asked: Asked = NOTHING_ELSE) -> LoadedScene:
        """Read one of its scenes. Raises SceneError: that is none; AssetError: as the adviser."""
        return load(self.folder / scene, asked, f"{self.file}/{scene}")

    def check_inside(self, loaded: LoadedScene) -> None:
        """Check that a scene in it, or a point of its matrix, names no file outside; options may.

        Raises SceneError: it does.
        """
        home = PurePosixPath(loaded.base_dir.relative_to(self.folder))
        if outside := [each for each in named_references(loaded) if _leads_out(each, home)]:
            says = "leads out of the bundle; a scene in a bundle names files of the bundle alone"
            raise SceneError(
                *(loaded.locate(*each.loc).says(f"{each.node.value!r} {says}") for each in outside)
            )


def open_bundle(file: Path) -> Bundle:
    """Unpack a bundle, or return it where it is unpacked already.

    Raises SceneError: it is no good zip file, or holds no scene; SmdError: there is no room for it.
    """
    key = _identity(file)
    if bundle := _unpacked.get(key):
        return bundle
    with open_archive(file) as archive:
        scenes = scenes_of(archive)
        if not scenes:
            raise SceneError(archive.place().says("is a bundle without a scene (a .yaml file)"))
        sizes = {name: entry.file_size for name, entry in archive.files.items()}
        bundle = Bundle(file, scenes, sizes, _unpack(archive))
    _unpacked[key] = bundle
    return bundle


def scenes_of(archive: Archive) -> tuple[str, ...]:
    """Return the scenes of a bundle: of its YAML files those in the fewest folders, if no model's.

    (A checkpoint's config lies beside it, under its name; a model folder's defaults have their own name.)
    """
    found = [PurePosixPath(name) for name in archive.files if name.endswith(_SCENES)]
    found = [each for each in found if each.name != DEFAULTS]
    found = [each for each in found if str(each.with_suffix(".safetensors")) not in archive.files]
    least = min((len(each.parts) for each in found), default=0)
    return tuple(sorted(str(each) for each in found if len(each.parts) == least))


def _leads_out(named: NamedReference, home: PurePosixPath) -> bool:
    """Tell whether a scene, not an option, names what is not below the bundle, whatever lies there."""
    if named.node.place.is_option:
        return False
    text = named.reference.text
    if os.path.isabs(os.path.expanduser(text)) or os.path.splitdrive(text)[0]:  # noqa: PTH111, PTH117
        return True
    steps = text.replace(os.sep, "/").split("/")
    magic = next((index for index, step in enumerate(steps) if has_magic(step)), len(steps))
    is_out = Path(os.path.normpath(home / "/".join(steps))).parts[:1] == (os.pardir,)
    return is_out or (named.is_frames and os.pardir in steps[magic:])


def _unpack(archive: Archive) -> PrivateFolder:
    """Unpack all files of a bundle. Raises SceneError: one is damaged; SmdError: they cannot be written."""
    try:
        folder = PrivateFolder(str(archive.path))
        try:
            for name in archive.folders:
                (folder.path / name).mkdir(parents=True, exist_ok=True)
            for name in archive.files:
                path = folder.path / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as target:
                    archive.copy(name, target)
        except BaseException:
            folder.remove()
            raise
    except OSError as error:
        raise SmdError(archive.place().says(f"cannot be unpacked: {error.strerror}")) from error
    return folder


def _identity(path: Path) -> tuple[str, Stamp]:
    """Return what tells a bundle from others, and from itself once it is changed. Raises SceneError."""
    try:
        return str(path), stamp_of(path)
    except OSError as error:
        raise SceneError(Place(str(path)).says(f"cannot be read: {error.strerror}")) from error


_unpacked: WeakValueDictionary[tuple[str, Stamp], Bundle] = WeakValueDictionary()
