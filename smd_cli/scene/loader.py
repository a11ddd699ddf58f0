"""Reading scene files, and reporting every problem with its line and column."""

from __future__ import annotations

import codecs
import copy
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from smd_cli.errors import SceneError, UsageError
from smd_cli.messages import Message, Place
from smd_cli.regular_files import UnfitFileError, open_regular
from smd_cli.scene.data import from_data
from smd_cli.scene.matrix import KEY as MATRIX
from smd_cli.scene.matrix import WHOLE, Point, matrix_of
from smd_cli.scene.overrides import Override, apply
from smd_cli.scene.reader import parse, place_behind
from smd_cli.scene.schema import Scene
from smd_cli.scene.tree import Node, dotted
from smd_cli.scene.validate import InvalidScene, validate

MAX_BYTES = 2**20
STDIN = "-"
_PICTURES = re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF|....ftyp", re.DOTALL)
"""How files begin that are PNG, JPEG, GIF, WebP, and AVIF or MP4."""


@dataclass(frozen=True)
class LoadedScene:
    """A valid scene, its name (the file's without suffix), where its paths start, its values' places.

    `text` is what it was read from, as its author wrote it; None where that does not say all of the scene.
    """

    scene: Scene
    name: str
    base_dir: Path
    tree: Node = field(repr=False, compare=False)
    text: str | None = field(default=None, repr=False, compare=False)

    def locate(self, *loc: str | int) -> Place:
        """Return the place of a value: `scene.yaml:20:11: regions[1].mask`."""
        return replace(self.tree.nearest(loc).place, key=dotted(loc))

    def with_task(self, task: str) -> LoadedScene:
        """Return the scene for a task, where it names none. Raises SceneError: it does not suit that task."""
        loaded = _load_tree(copy.deepcopy(self.tree), self.name, self.base_dir, (), task)
        return loaded._with_seed_of(self)

    def points(self) -> tuple[Point, ...]:
        """Return the points of the scene's matrix. Raises SceneError: one is no point of a scene."""
        node = self.tree.child(MATRIX)
        return (matrix_of(node) if node else ()) or (WHOLE,)

    def at_point(self, point: Point) -> LoadedScene:
        """Return the scene of one point of a matrix, its own or another; it has no matrix itself.

        Raises SceneError, UsageError: it does not suit the scene.
        """
        if point is WHOLE and self.tree.child(MATRIX) is None:
            return self
        tree = copy.deepcopy(self.tree)
        if isinstance(tree.value, dict):
            tree.value.pop(MATRIX, None)
        loaded = _load_tree(tree, self.name, self.base_dir, point.overrides, None)
        is_seeded = any(each.keys == ("seed",) for each in point.overrides)
        return loaded if is_seeded else loaded._with_seed_of(self)

    def _with_seed_of(self, other: LoadedScene) -> LoadedScene:
        """Return the scene with another's seed: one that was left to chance is drawn once."""
        return replace(self, scene=self.scene.model_copy(update={"seed": other.scene.seed}))


def load(
    path: str | Path, overrides: Sequence[Override] = (), task: str | None = None, source: str = ""
) -> LoadedScene:
    """Read a scene file, or standard input for `-`; `task` is that of a scene that names none.

    `source` is what messages call the file, by default its path. Raises SceneError with every problem, one
    line each.
    """
    if str(path) == STDIN:
        text = _decode(_read_stdin(), "stdin")
        return load_text(text, "stdin", overrides=overrides, task=task)
    file = Path(path)
    called = source or str(file)
    return load_text(_decode(_read(file), called), called, file.stem, file.parent, overrides, task)


def looks_like_picture(path: Path) -> bool:
    """Tell whether a file begins like a picture or film, as no scene does. Raises OSError."""
    with open_regular(path) as file:
        return _PICTURES.match(file.read(16)) is not None


def load_text(
    text: str,
    source: str,
    name: str = "scene",
    base_dir: Path = Path(),
    overrides: Sequence[Override] = (),
    task: str | None = None,
) -> LoadedScene:
    """Read a scene from text; `source` is its name in messages. Raises SceneError."""
    loaded = _load_tree(parse(text, source), name, base_dir, overrides, task)
    return loaded if overrides else replace(loaded, text=text)


def load_data(
    data: Mapping[str, Any],
    *,
    base_dir: Path = Path(),
    overrides: Sequence[Override] = (),
    task: str | None = None,
    place: Place = Place("scene", is_option=True),  # noqa: B008
    name: str = "scene",
) -> LoadedScene:
    """Read a scene from plain data; `place` is where messages say that it is. Raises SceneError."""
    return _load_tree(from_data(data, place), name, base_dir, overrides, task)


def _load_tree(
    tree: Node, name: str, base_dir: Path, overrides: Sequence[Override], task: str | None
) -> LoadedScene:
    apply(tree, overrides, base_dir)
    if task and isinstance(tree.value, dict):
        tree.value.setdefault("task", Node(task, tree.place))
    try:
        scene = validate(tree.plain())
    except InvalidScene as error:
        raise SceneError(*_lines(error, tree)) from error
    return LoadedScene(scene, name, base_dir.absolute(), tree)


def _lines(error: InvalidScene, tree: Node) -> list[Message]:
    """Return a line for each problem, in the order of the file."""
    placed = []
    for problem in error.problems:
        node = tree.nearest(problem.loc)
        place = (problem.on_key and node.key_place) or node.place
        placed.append((place, replace(place, key=dotted(problem.loc)).says(problem.text)))
    placed.sort(key=lambda pair: pair[0])
    # a value that is written once, and used in several places by an alias, has one problem
    once: dict[Any, Message] = {}
    for place, line in placed:
        once.setdefault((place, line.text) if place.line else line, line)
    return list(once.values())


def _read(path: Path) -> bytes:
    """Return the file's bytes, at most one more than the limit."""
    place = Place(str(path))
    try:
        if path.is_dir():
            raise SceneError(place.says("is a directory, not a scene file"))
        if path.is_symlink() and not path.exists():
            raise SceneError(place.says(f"is a broken link to {path.readlink()}"))
        with open_regular(path) as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SceneError(place.says("no such file")) from None
    except UnfitFileError as error:
        hint = "give - as the scene to read standard input"
        raise SceneError(place.says(f"is {error.strerror}; {hint}")) from None
    except OSError as error:
        raise SceneError(place.says(f"cannot be read: {error.strerror}")) from error


def _read_stdin() -> bytes:
    """Return the bytes of standard input, at most one more than the limit."""
    if sys.stdin is None:
        raise UsageError("-: standard input is closed; give a scene file")
    try:
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    except OSError as error:
        raise SceneError(Place("stdin").says(f"cannot be read: {error.strerror}")) from error


def _decode(raw: bytes, source: str) -> str:
    if _PICTURES.match(raw):
        raise SceneError(Place(source).says("is a picture; `smd inspect --scene` prints the scene of one"))
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SceneError(Place(source).says("is UTF-16 text; save it as UTF-8"))
    if len(raw) > MAX_BYTES:
        text = f"is larger than {MAX_BYTES // 2**20} MiB; a scene is a short text"
        raise SceneError(Place(source).says(text))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        given = error.object  # without the mark at its beginning, which editors do not count
        place = Place(source, *place_behind(given[: error.start].decode()))
        raise SceneError(place.says(f"is not UTF-8 text (byte 0x{given[error.start]:02x})")) from error
