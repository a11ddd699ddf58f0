"""Where the files of a scene lie in its bundle, and what the scene calls them there.

What a scene names by a relative path keeps that path, and with it the picture keeps its recipe to the byte:
the scene lies as deep in the bundle as its paths lead up. Other paths become what recipes write in their
place. Only where that would be another file's, or is no name for every system, a file gets a new one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from glob import has_magic
from itertools import count
from pathlib import Path, PurePosixPath

from smd_cli.app.bundle.names import TakenNames, folded, why_unfit
from smd_cli.errors import SceneError
from smd_cli.media.frame_files import is_pattern, numbered
from smd_cli.regular_files import is_directory
from smd_cli.scene.named import NamedReference

LOCK = "smd.lock"
"""The lock of a bundle, which lies at its top."""

_HOME = "scene"
_NEW = "files"
_SUFFIX = re.compile(r"\.\w{1,8}", re.ASCII)


@dataclass(frozen=True)
class Named:
    """What a scene names, and its files: of one file that first; none where it is left out of the bundle."""

    named: NamedReference
    files: tuple[Path, ...] = ()

    @property
    def text(self) -> str:
        """Return what the scene calls it."""
        return self.named.reference.text

    @property
    def is_pattern(self) -> bool:
        """Tell whether it is a pattern of frames."""
        return self.named.is_frames and is_pattern(self.named.reference.path)

    @property
    def is_several(self) -> bool:
        """Tell whether it is a folder or a pattern."""
        return self.is_pattern or is_directory(self.named.reference.path)


@dataclass
class Layout:
    """The files of a bundle by their paths in it, and the folders that are there for their own sake.

    Attributes:
        scene: the path of the scene.
        texts: what the scene calls what it names, in the order in which it was given.
    """

    scene: str
    texts: list[str] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)


def lay_out(scene: str, everything: Sequence[Named]) -> Layout:
    """Find a place for everything that a scene names; `scene` is the name of the scene's own file.

    Raises SceneError: a file of a model has a name that not every system takes.
    """
    relative = [each.text.split("/") for each in everything if not each.named.reference.is_absolute]
    depth = max(map(_leads_up, relative), default=0)
    steps = {folded(step) for text in relative for step in text}
    folder = next(name for name in _names(_HOME) if name not in steps)
    placing = _Placing(PurePosixPath(*[folder] * depth), scene)
    texts = {}
    # Those whose paths stay come first, and of them frames, beside which no other picture may turn up.
    for each in sorted(everything, key=lambda each: (each.named.reference.is_absolute, not each.is_several)):
        texts[id(each)] = placing.place(each)
    layout = placing.layout
    layout.texts = [texts[id(each)] for each in everything]
    for name in (layout.scene, *layout.files):
        layout.folders -= {str(folder) for folder in PurePosixPath(name).parents}
    return layout


class _Placing:
    """A bundle in the making, whose scene lies in the folder `home`."""

    def __init__(self, home: PurePosixPath, scene: str) -> None:
        self.layout = Layout(str(home / scene))
        self._home = home
        self._taken = TakenNames()
        self._taken.take(self.layout.scene)
        self._taken.take(LOCK)
        self._frames: set[PurePosixPath] = set()  # folders in which every picture is a frame

    def place(self, each: Named) -> str:
        """Take the files of what a scene names; return what the scene calls it."""
        text = each.named.reference.portable
        if not each.files or self._take(each, self._kept(each, text)):
            return text
        numbers = map(str, count(1))
        return next(
            new
            for new, placed in (_new(each, number) for number in numbers)
            if self._take(each, {self._home / name: file for name, file in placed.items()})
        )

    def _kept(self, each: Named, text: str) -> dict[PurePosixPath, Path]:
        """Return where files lie under a text from the scene's folder; empty where that cannot be told."""
        reference, steps, above = each.named.reference, text.split("/"), each.named.reference.path
        if each.is_pattern:
            fixed = next(index for index, step in enumerate(steps) if has_magic(step))
            if reference.is_absolute or os.pardir in steps[fixed:]:
                return {}
            steps, above = steps[:fixed], reference.base_dir.joinpath(*steps[:fixed])
        elif not each.is_several:
            if reference.is_absolute and len(each.files) > 1:  # a neighbour could be one of other files too
                return {}
            steps, above = steps[:-1], above.parent
        folder = self._walk(steps)
        names = [PurePosixPath(os.path.relpath(file, above)) for file in each.files]
        if any(name.parts[0] == os.pardir for name in names):
            return {}
        return {folder / name: file for name, file in zip(names, each.files, strict=True)}

    def _walk(self, steps: Sequence[str]) -> PurePosixPath:
        """Return the folder that steps lead to; one that they only pass through has to be there too."""
        folder = self._home
        for step in steps:
            if step == os.pardir:
                self.layout.folders |= {str(folder)} - {"."}
                folder = folder.parent
            else:
                folder /= step
        return folder

    def _take(self, each: Named, placed: Mapping[PurePosixPath, Path]) -> bool:
        """Take files, where no other files are in the way."""
        new = {str(name): file for name, file in placed.items() if not self._has(str(name), file)}
        folders = {name.parent for name in placed}
        is_frames = each.named.is_frames and each.is_several
        moves = each.named.reference.is_absolute
        if not placed or (moves and self._frames & folders) or any(map(why_unfit, new)):
            return False
        if moves and is_frames and any(PurePosixPath(name).parent in folders for name in self.layout.files):
            return False
        for name in new:
            if self._taken.why_taken(name):
                return False
            self._taken.take(name)
        self.layout.files |= new
        self._frames |= folders if is_frames else set()
        return True

    def _has(self, name: str, file: Path) -> bool:
        there = self.layout.files.get(name)
        return there is not None and there.samefile(file)


def _new(each: Named, number: str) -> tuple[str, dict[str, Path]]:
    """Return a new name for what a scene names, and its files under that name, from the scene's folder."""
    first, *_ = each.files
    if each.named.is_model:
        above = each.named.reference.path if each.is_several else first.parent
        placed = {f"{_NEW}/{number}/{file.relative_to(above).as_posix()}": file for file in each.files}
        if unfit := next((name for name in placed if why_unfit(name)), None):
            raise SceneError(f"{placed[unfit]}: the name {why_unfit(unfit)}; rename it")
        return f"./{_NEW}/{number}" if each.is_several else f"./{next(iter(placed))}", placed
    if each.is_several:
        frames = (
            f"{_NEW}/{number}/{Path(numbered(at)).stem}{_suffix(file)}" for at, file in enumerate(each.files)
        )
        return f"./{_NEW}/{number}", dict(zip(frames, each.files, strict=True))
    name = f"{_NEW}/{number}{_suffix(first)}"
    return f"./{name}", {name: first}


def _leads_up(steps: Sequence[str]) -> int:
    """Return how many folders a path leads up at most, from where it starts."""
    depth = least = 0
    for step in steps:
        depth += -1 if step == os.pardir else step not in ("", os.curdir)
        least = min(least, depth)
    return -least


def _names(name: str) -> Iterator[str]:
    """Yield names: scene, scene2, …."""
    yield name
    yield from (f"{name}{number}" for number in count(2))


def _suffix(file: Path) -> str:
    return file.suffix if _SUFFIX.fullmatch(file.suffix) else ""
