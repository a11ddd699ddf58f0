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

from pydantic import ValidationError

from smd_cli.errors import SceneError, UsageError
from smd_cli.messages import Message, Place
from smd_cli.regular_files import UnfitFileError, open_regular
from smd_cli.scene.data import from_data
from smd_cli.scene.matrix import KEY as MATRIX
from smd_cli.scene.matrix import WHOLE, Point, matrix_of
from smd_cli.scene.model_section import ANY_FAMILY, Model, model_from_text
from smd_cli.scene.overrides import Override, apply
from smd_cli.scene.reader import parse, place_behind
from smd_cli.scene.recommended import Advice, Adviser, Filled, fill_in, no_advice
from smd_cli.scene.schema import Scene
from smd_cli.scene.tree import Loc, Node, dotted
from smd_cli.scene.validate import InvalidScene, validate

MAX_BYTES = 2**20
STDIN = "-"
_PICTURES = re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF|....ftyp", re.DOTALL)
"""How files begin that are PNG, JPEG, GIF, WebP, and AVIF or MP4."""


@dataclass(frozen=True)
class Asked:
    """What is asked of a scene beside what it says.

    Attributes:
        overrides: values in place of its own.
        task: that of a scene that names none.
        adviser: tells what its model recommends.
    """

    overrides: Sequence[Override] = ()
    task: str | None = None
    adviser: Adviser = no_advice


NOTHING_ELSE = Asked()


@dataclass(frozen=True)
class LoadedScene:
    """A valid scene.

    Attributes:
        scene: its values, with those that its model recommends for keys that it leaves out.
        name: the file's, without suffix.
        base_dir: where its paths start.
        filled: its own values and the recommended ones, with their places.
        family: of its model; `auto` where nobody knows.
        knows_model: its model was here to be asked.
        adviser: asks the model, again where another point of its matrix names another.
        text: what it was read from, as its author wrote it; None where that does not say all of the scene.
    """

    scene: Scene
    name: str
    base_dir: Path
    filled: Filled = field(repr=False, compare=False)
    family: str = ANY_FAMILY
    knows_model: bool = True
    adviser: Adviser = field(default=no_advice, repr=False, compare=False)
    text: str | None = field(default=None, repr=False, compare=False)

    @property
    def tree(self) -> Node:
        """Return what its author wrote, and options have changed, with places."""
        return self.filled.own

    def locate(self, *loc: str | int) -> Place:
        """Return the place of a value: `scene.yaml:20:11: regions[1].mask`."""
        return replace(self.filled.nearest(loc).place, key=dotted(loc))

    def advised_by(self, adviser: Adviser) -> LoadedScene:
        """Return the scene with what another adviser tells of its model. Raises SceneError, AssetError."""
        loaded = _load_tree(self.tree, self.name, self.base_dir, Asked(adviser=adviser))
        return replace(loaded._with_seed_of(self), text=self.text)

    def with_task(self, task: str) -> LoadedScene:
        """Return the scene for a task, where it names none. Raises SceneError: it does not suit that task."""
        tree = copy.deepcopy(self.tree)
        asked = Asked(task=task, adviser=self.adviser)
        return _load_tree(tree, self.name, self.base_dir, asked)._with_seed_of(self)

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
        asked = Asked(point.overrides, adviser=self.adviser)
        loaded = _load_tree(tree, self.name, self.base_dir, asked)
        is_seeded = any(each.keys == ("seed",) for each in point.overrides)
        return loaded if is_seeded else loaded._with_seed_of(self)

    def _with_seed_of(self, other: LoadedScene) -> LoadedScene:
        """Return the scene with another's seed: one that was left to chance is drawn once."""
        return replace(self, scene=self.scene.model_copy(update={"seed": other.scene.seed}))


def load(path: str | Path, asked: Asked = NOTHING_ELSE, source: str = "") -> LoadedScene:
    """Read a scene file, or standard input for `-`; `source` is what messages call it, by default its path.

    Raises SceneError with every problem, one line each; AssetError: as the adviser that is asked.
    """
    if str(path) == STDIN:
        return load_text(_decode(_read_stdin(), "stdin"), "stdin", asked=asked)
    file = Path(path)
    called = source or str(file)
    text = _decode(_read(file), called)
    return load_text(text, called, file.stem, file.parent, asked)


def looks_like_picture(path: Path) -> bool:
    """Tell whether a file begins like a picture or film, as no scene does. Raises OSError."""
    with open_regular(path) as file:
        return _PICTURES.match(file.read(16)) is not None


def load_text(
    text: str, source: str, name: str = "scene", base_dir: Path = Path(), asked: Asked = NOTHING_ELSE
) -> LoadedScene:
    """Read a scene from text; `source` is its name in messages. Raises SceneError, AssetError: as `load`."""
    loaded = _load_tree(parse(text, source), name, base_dir, asked)
    return loaded if asked.overrides else replace(loaded, text=text)


def load_data(
    data: Mapping[str, Any],
    *,
    base_dir: Path = Path(),
    asked: Asked = NOTHING_ELSE,
    place: Place = Place("scene", is_option=True),  # noqa: B008
    name: str = "scene",
) -> LoadedScene:
    """Read a scene from plain data; `place` is where messages say that it is. Raises as `load_text`."""
    return _load_tree(from_data(data, place), name, base_dir, asked)


def _load_tree(tree: Node, name: str, base_dir: Path, asked: Asked) -> LoadedScene:
    apply(tree, asked.overrides, base_dir)
    if asked.task and isinstance(tree.value, dict):
        tree.value.setdefault("task", Node(asked.task, tree.place))
    folder = base_dir.absolute()
    model = _model_of(tree)
    advice = asked.adviser(model, folder) if model else Advice()
    scene, filled = _validated(fill_in(tree, advice.settings), advice.family)
    named = scene.model.family
    family = advice.family if named == ANY_FAMILY else named
    return LoadedScene(scene, name, folder, filled, family, advice.is_known, asked.adviser)


def _model_of(tree: Node) -> Model | None:
    """Return a scene's model; None where it is no good, which validation reports."""
    node = tree.child("model")
    try:
        return Model.model_validate(model_from_text(node.plain())) if node else Model()
    except ValidationError:
        return None


def _validated(filled: Filled, family: str) -> tuple[Scene, Filled]:
    """Validate a scene, without the recommended values that do not go with what it says itself."""
    try:
        return validate(filled.whole.plain(), family), filled
    except InvalidScene as error:
        if unfit := filled.keys.intersection(problem.loc[:2] for problem in error.problems):
            return _validated(filled.without(unfit), family)
        raise SceneError(*_lines(error, filled, family)) from error


def _lines(error: InvalidScene, filled: Filled, family: str) -> list[Message]:
    """Return a line for each problem, in the order of the file."""
    placed, causes = [], _causes(error, filled, family)
    for problem in error.problems:
        place = problem.place_at(filled.nearest(problem.loc))
        recommended = " and ".join(sorted(map(dotted, causes[problem.loc])))
        text = f"{problem.text}; the model recommends {recommended}" if recommended else problem.text
        placed.append((place, replace(place, key=dotted(problem.loc)).says(text)))
    placed.sort(key=lambda pair: pair[0])
    # a value that is written once, and used in several places by an alias, has one problem
    once: dict[Any, Message] = {}
    for place, line in placed:
        once.setdefault((place, line.text) if place.line else line, line)
    return list(once.values())


def _causes(error: InvalidScene, filled: Filled, family: str) -> dict[Loc, set[Loc]]:
    """Return which recommended values alone make problems of what the scene says, by the problems' places.

    The scene is validated once for each of those values, however many problems it has.
    """
    told = {problem.loc for problem in error.problems}
    causes: dict[Loc, set[Loc]] = {loc: set() for loc in told}
    for key in filled.keys:
        for loc in told - _problem_places(filled.without({key}), family):
            causes[loc].add(key)
    return causes


def _problem_places(filled: Filled, family: str) -> set[Loc]:
    try:
        validate(filled.whole.plain(), family)
    except InvalidScene as error:
        return {problem.loc for problem in error.problems}
    return set()


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
