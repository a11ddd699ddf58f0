"""Values given on the command line in place of a scene's: `--set regions[boy].prompt=…`.

They change the tree before it is validated, so the rules of a file apply to them, and errors name the option.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smd_cli.errors import SceneError, UsageError
from smd_cli.messages import Message, Place
from smd_cli.scene.data import as_plain, from_data
from smd_cli.scene.explain import did_you_mean
from smd_cli.scene.paths import Reference
from smd_cli.scene.reader import parse
from smd_cli.scene.schema import SHORTHANDS
from smd_cli.scene.tree import Node, Scalar, path_of, steps_of

_BYTE = re.compile("[\udc80-\udcff]")  # how Python reads a byte of the command line that is not UTF-8


@dataclass(frozen=True)
class Override:
    """A value for a place.

    Attributes:
        option: as the user wrote it.
        keys: what leads to the place.
        value: what to put there.
        file: in place of the value: a file that is named from elsewhere than the scene's folder.
        at: where it stands, where no option gives it.
    """

    option: str
    keys: tuple[str, ...]
    value: Node
    file: Reference | None = None
    at: Place | None = None

    def for_scene_in(self, base_dir: Path) -> Override:
        """Return the override for a scene in a folder."""
        if self.file is None:
            return self
        return replace(self, value=Node(self.file.seen_from(base_dir), self.value.place), file=None)

    @property
    def path(self) -> str:
        """Return the place that it is for, as `override_of` takes it: `regions[boy].prompt`."""
        return path_of(self.keys)

    def plain(self, base_dir: Path) -> Any:  # noqa: ANN401 - plain data of any shape
        """Return the value for a scene in a folder, as `override_of` takes it."""
        return as_plain(self.for_scene_in(base_dir).value.plain())

    @property
    def place(self) -> Place:
        """Return the place of what the option gives."""
        return self.at or Place.of_option(self.option)


def parse_override(text: str) -> Override:
    """Read `dotted.path[index or name]=yaml`. Raises UsageError."""
    path, equals, value = text.partition("=")
    option = f"--set {text}"
    place, keys = Place.of_option(option), steps_of(path)
    if not equals or keys is None:
        hint = "write it as key=value, such as regions[0].prompt=a cat or sampler.tile=256"
        raise UsageError(place.says(hint))
    if _BYTE.search(text):
        raise UsageError(place.says("is not UTF-8 text"))
    try:
        return Override(option, keys, parse(value or "''", place))
    except SceneError as error:
        raise UsageError(*error.problems) from error


def override(option: str, keys: Sequence[str], value: Scalar) -> Override:
    """Make an override of another option: override("--width 512", ("canvas", "width"), 512).

    None removes a value, so that its default applies.
    """
    return Override(option, tuple(keys), Node(value, Place.of_option(option)))


def file_override(option: str, keys: Sequence[str], text: str) -> Override:
    """Make an override of an option that names a file from the working directory."""
    return replace(override(option, keys, text), file=Reference(text, Path.cwd()) if text else None)


def override_of(path: str, value: Any, place: Place | None = None) -> Override:  # noqa: ANN401 - plain data
    """Make an override of a path and plain data: override_of("canvas.width", 512).

    `place` is where it is given, if not by an option. Raises UsageError: the path is none.
    """
    option, keys = f"override {path}", steps_of(path)
    at = place or Place.of_option(option)
    if keys is None:
        hint = "write the place as in regions[0].prompt or sampler.tile"
        raise UsageError(at.says(hint))
    return Override(option, keys, from_data(value, at), at=place)


def overrides_of(overrides: Mapping[str, Any] | Sequence[Override]) -> list[Override]:
    """Return overrides; plain data by their places become some. Raises UsageError: as `override_of`."""
    if isinstance(overrides, Mapping):
        return [override_of(*item) for item in overrides.items()]
    return [*overrides]


def apply(tree: Node, overrides: Sequence[Override], base_dir: Path) -> None:
    """Put the values into the tree of a scene in `base_dir`, creating missing mappings.

    Raises UsageError naming every value whose place does not exist; SceneError, where a file gives them.
    """
    if not isinstance(tree.value, dict):
        return  # no scene at all, which validation reports
    problems = [problem for item in overrides if (problem := _put(tree, item.for_scene_in(base_dir)))]
    if problems:
        is_given = any(problem.place and problem.place.is_option for problem in problems)
        raise (UsageError if is_given else SceneError)(*problems)


def _put(tree: Node, item: Override) -> Message | None:
    """Put one value into the tree; return what is wrong with its place, if anything is."""
    place = item.place
    node, above = tree, ""
    for key in item.keys[:-1]:
        _make_mapping(node, above, place)
        below = node.child(_key(node, key))
        if below is None and isinstance(node.value, dict):
            below = node.value[key] = Node({}, place, place)
        if below is None:
            return _no_item(node, key, item)
        node, above = below, key
    _make_mapping(node, above, place)
    last = _key(node, item.keys[-1])
    if isinstance(node.value, dict):
        node.value[str(last)] = replace(copy.deepcopy(item.value), key_place=place)
    elif isinstance(node.value, list) and isinstance(last, int) and last < len(node.value):
        node.value[last] = copy.deepcopy(item.value)
    else:
        return _no_item(node, item.keys[-1], item)
    return None


def _make_mapping(node: Node, key: str, place: Place) -> None:
    """Make a scalar a mapping; the text of a shorthand is kept under the key that it stands for."""
    if isinstance(node.value, (dict, list)):
        return
    full = SHORTHANDS.get(key) if isinstance(node.value, str) else None
    node.value = {full: Node(node.value, node.place)} if full else {}
    node.place = place


def _key(node: Node, key: str) -> str | int:
    """Return the key of a mapping, or for a list the index: as it is given, or of the item of that name."""
    if not isinstance(node.value, list):
        return key
    if key.isdecimal():
        return int(key)
    return next((i for i, item in enumerate(node.value) if _name(item) == key), len(node.value))


def _name(item: Node) -> object:
    name = item.child("name")
    return name.value if name else None


def _no_item(node: Node, key: str, item: Override) -> Message:
    items = node.value if isinstance(node.value, list) else []
    known = [str(index) for index in range(len(items))] + [str(name) for name in map(_name, items) if name]
    return item.place.says(f"there is no [{key}]" + (f"; {did_you_mean(key, known)}" if known else ""))
