"""Scenes on their way to other machines: each file that one names travels once, whatever scenes name it.

What lies at a path here need not lie there. So a scene is sent with the bytes of its pictures and films, and
opened there with references that lead to copies of those; models are named as this machine found them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from smd_cli.app.model_spec import named_models
from smd_cli.app.named_files import picture_files
from smd_cli.app.scenes import OpenedScene
from smd_cli.digests import digest_of
from smd_cli.errors import AssetError
from smd_cli.media.paint import ScenePainter
from smd_cli.scene.paths import Reference

Put = Callable[[object], Any]
"""Puts an object into a store that other machines can read, and returns what stands for it."""

Get = Callable[[Any], bytes]
"""Reads the bytes in the store that something stands for."""


@dataclass(frozen=True)
class SentFile:
    """A file in the store.

    Attributes:
        sha256: of its bytes.
        name: without its folder.
        data: stands for the bytes.
    """

    sha256: str
    name: str
    data: Any


@dataclass(frozen=True)
class Parcel:
    """A scene and what it needs of the machine that it was opened on.

    Attributes:
        scene: without its images.
        files: what each reference to pictures or films leads to.
        lists: those of them that lead to a folder or pattern, however many files that has.
        models: what each reference to a model leads to (`Reference.source`).
    """

    scene: OpenedScene
    files: dict[Reference, tuple[SentFile, ...]]
    lists: frozenset[Reference]
    models: dict[Reference, str]


@dataclass(frozen=True)
class PlacedReference(Reference):
    """A reference to what another machine has found, or to a copy of it.

    Attributes:
        place: where it lies here.
        name: of a model, as the other machine found it.
        written: how a recipe writes it.
    """

    place: Path = Path()
    name: str = ""
    written: str = ""

    @property
    def path(self) -> Path:
        """Return the path of the copy."""
        return self.place

    @property
    def source(self) -> str:
        """Return the model as it was found."""
        return self.name

    @property
    def portable(self) -> str:
        """Return the text of a recipe."""
        return self.written


@dataclass(eq=False)
class _Held:
    """Keeps bytes in the store, as long as it is kept itself."""

    sha256: str
    data: Any

    def named(self, path: Path) -> SentFile:
        """Return the file of a path that has these bytes."""
        return SentFile(self.sha256, path.name, self.data)


class Sender:
    """Makes parcels; a file is in the store once, as long as any parcel needs it."""

    def __init__(self, put: Put) -> None:
        self._put = put
        self._files: WeakValueDictionary[str, _Held] = WeakValueDictionary()

    def send(self, scene: OpenedScene) -> Sent:
        """Put a scene into the store. Raises AssetError: a file that it names cannot be read."""
        held: list[_Held] = []
        files: dict[Reference, tuple[SentFile, ...]] = {}
        lists = set()
        for named in picture_files(scene.plan):
            if named.reference:
                found = [self._hold(path) for path in named.files]
                files[named.reference] = tuple(map(_Held.named, found, named.files))
                held += found
                lists |= {named.reference} if named.is_list else set()
        models = {reference: reference.source for _, reference in named_models(scene.plan)}
        without_images = scene.moved(lambda reference: reference, ScenePainter())
        return Sent(self._put(Parcel(without_images, files, frozenset(lists), models)), tuple(held))

    def _hold(self, path: Path) -> _Held:
        try:
            digest = digest_of([path])
            if (held := self._files.get(digest)) is None:
                self._files[digest] = held = _Held(digest, self._put(path.read_bytes()))
        except OSError as error:
            raise AssetError(f"{path}: cannot be read: {error.strerror}") from error
        return held


@dataclass(frozen=True)
class Sent:
    """A parcel in the store; it and its files are there as long as this is kept."""

    parcel: Any
    _held: tuple[_Held, ...] = field(repr=False)


def unpack(parcel: Parcel, folder: Path, get: Get, painter: ScenePainter) -> OpenedScene:
    """Open a scene of a parcel: put copies of its files into a folder, those that are not there yet.

    Raises OSError.
    """

    def moved(reference: Reference) -> Reference:
        if reference in parcel.models:
            return _placed(reference, reference.path, parcel.models[reference])
        if reference not in parcel.files:
            return reference
        copied = _copied_list if reference in parcel.lists else _copied
        return _placed(reference, copied(parcel.files[reference], folder, get))

    return parcel.scene.moved(moved, painter)


def _placed(reference: Reference, place: Path, name: str = "") -> PlacedReference:
    written = reference.portable
    return PlacedReference(reference.text, reference.base_dir, place=place, name=name, written=written)


def _copied(files: tuple[SentFile, ...], folder: Path, get: Get) -> Path:
    """Copy the only file, and return its path."""
    (file,) = files
    return _copy(file, folder / file.sha256, file.name, get)


def _copied_list(files: tuple[SentFile, ...], folder: Path, get: Get) -> Path:
    """Copy files, and return the path of a folder in which they are, in their order."""
    together = folder / sha256(",".join(each.sha256 for each in files).encode()).hexdigest()
    for index, each in enumerate(files):
        _copy(each, together, f"{index:06}_{each.name}", get)
    return together


def _copy(file: SentFile, folder: Path, name: str, get: Get) -> Path:
    path = folder / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(get(file.data))
    return path
