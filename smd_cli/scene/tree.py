"""A scene's values as a tree, each with its place in the text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from smd_cli.messages import Place

Scalar = str | int | float | bool | None
Loc = tuple[str | int, ...]
_PATH = re.compile(r"\w+(\.\w+|\[[^\[\]]+\])*", re.ASCII)
_STEP = re.compile(r"(\w+)|\[([^\[\]]+)\]", re.ASCII)


@dataclass
class Node:
    """A value of a scene and its place: a scalar, a dict of nodes or a list of nodes.

    Attributes:
        key_place: the place of its key, where it has one.
        comment: what follows a text on its line like one more word: ` #1 of 3`, which YAML leaves out.
        is_quoted: whether a text is written in quotes.
    """

    value: Scalar | dict[str, Node] | list[Node]
    place: Place
    key_place: Place | None = None
    comment: str = ""
    is_quoted: bool = False

    def child(self, key: str | int) -> Node | None:
        """Return the node below `key`, or None."""
        if isinstance(self.value, dict):
            return self.value.get(str(key))
        if isinstance(self.value, list) and isinstance(key, int) and 0 <= key < len(self.value):
            return self.value[key]
        return None

    def plain(self) -> Any:  # noqa: ANN401 - a value of any shape
        """Return the value without places; lists become tuples."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return tuple(node.plain() for node in self.value)
        return self.value

    def nodes(self) -> Iterator[Node]:
        """Yield this node and those below it."""
        yield self
        if not isinstance(self.value, Scalar):
            for node in self.value.values() if isinstance(self.value, dict) else self.value:
                yield from node.nodes()

    def leaves(self, loc: Loc = ()) -> Iterator[tuple[Loc, Node]]:
        """Yield what is no mapping below this node, with its place."""
        if not isinstance(self.value, dict):
            yield loc, self
            return
        for key, node in self.value.items():
            yield from node.leaves((*loc, key))

    def size(self) -> int:
        """Count this node and those below it."""
        below = self.value.values() if isinstance(self.value, dict) else self.value
        return 1 + sum(node.size() for node in below) if not isinstance(below, Scalar) else 1

    def depth(self) -> int:
        """Count the levels of nodes below this one."""
        below = self.value.values() if isinstance(self.value, dict) else self.value
        return max((1 + node.depth() for node in below), default=0) if not isinstance(below, Scalar) else 0

    def nearest(self, loc: Loc) -> Node:
        """Return the node at `loc`, or the deepest one on the way to it."""
        node = self
        for key in loc:
            below = node.child(key)
            if below is None:
                break
            node = below
        return node


def dotted(loc: Loc) -> str:
    """Write a place as users do: ("regions", 1, "prompt") as regions[1].prompt."""
    text = ""
    for key in loc:
        word = key if isinstance(key, int) or key.isidentifier() else repr(key)
        text += f"[{key}]" if isinstance(key, int) else f".{word}" if text else str(word)
    return text


def path_of(steps: Iterable[str]) -> str:
    """Write steps as `steps_of` reads them."""
    first, *more = steps
    bare = [step.isidentifier() and step.isascii() for step in more]
    return first + "".join(
        f".{step}" if is_bare else f"[{step}]" for step, is_bare in zip(more, bare, strict=True)
    )


def steps_of(path: str) -> tuple[str, ...] | None:
    """Read a place as users write it, its indices and names as texts; None: it is none."""
    if not _PATH.fullmatch(path):
        return None
    return tuple(word or bracketed for word, bracketed in _STEP.findall(path))
