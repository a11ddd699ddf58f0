"""Reading YAML text into a tree of values with their places in the text.

Reads the YAML 1.2 core types (so `no` and `2024-01-01` are text), refuses duplicate keys, several documents,
tags and oversized trees, and reports every such problem of a text at once.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from smd_cli.errors import SceneError
from smd_cli.messages import Message, Place

MAX_NODES = 20_000  # far above any real scene; reached in practice only by aliases that multiply
MAX_DEPTH = 40
TOO_DEEP = f"the scene is nested more than {MAX_DEPTH} levels deep"
_SCANNER_TOO_DEEP = "exceeded maximum nesting depth"  # libyaml 0.2.6 stops at a thousand levels
_C_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG = "tag:yaml.org,2002:"

Scalar = str | int | float | bool | None
Loc = tuple[str | int, ...]


@dataclass
class Node:
    """A value of a scene and its place: a scalar, a dict of nodes or a list of nodes.

    `key_place` is the place of its key, where it has one.
    """

    value: Scalar | dict[str, Node] | list[Node]
    place: Place
    key_place: Place | None = None

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


class _Events(_C_LOADER):  # type: ignore[misc, valid-type]
    """The events of PyYAML's (C) parser, with the YAML 1.2 core types in place of 1.1's."""

    yaml_implicit_resolvers: dict[str | None, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


class _Text(yaml.SafeDumper):
    """Writes YAML that quotes what `_Events` would not read as text."""

    yaml_implicit_resolvers: dict[str | None, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


def _integer(text: str) -> int:
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


def _real(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: dict[str, Callable[[str], Scalar]] = {
    f"{_TAG}str": str,
    f"{_TAG}null": lambda _: None,
    f"{_TAG}bool": lambda text: ("false", "true").index(text.lower()) == 1,
    f"{_TAG}int": _integer,
    f"{_TAG}float": _real,
}
_CORE_TYPES = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
)
for _name, _pattern, _first in _CORE_TYPES:
    for _side in (_Events, _Text):
        _side.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})$"), _first)


def dump(data: Any) -> str:  # noqa: ANN401 - plain data of any shape
    """Write plain data as YAML that `parse` reads back unchanged; keys keep their order."""
    return yaml.dump(data, Dumper=_Text, sort_keys=False, allow_unicode=True).rstrip("\n")


def parse(text: str, source: str, *, one_place: bool = False) -> Node:
    """Read one YAML document.

    `source` names the text in places (`scene.yaml`); with `one_place`, places are the source alone, without
    line and column. Raises SceneError naming every problem.
    """
    reader = _Reader(source, one_place)
    try:
        root = reader.document(text)
    except yaml.YAMLError as error:
        raise SceneError(*reader.problems, _syntax_problem(error, text, reader)) from error
    if reader.problems:
        raise SceneError(*reader.problems)
    return root


def _syntax_problem(error: yaml.YAMLError, text: str, reader: _Reader) -> Message:
    """Return the one line that reports a YAML error."""
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        place = reader.place(before.count("\n"), error.position - before.rfind("\n") - 1)
        return place.says("YAML syntax: a control character")
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = reader.place(mark.line, mark.column) if mark else Place(reader.source, is_option=reader.one_place)
    context, problem = getattr(error, "context", None), getattr(error, "problem", None)
    if problem == _SCANNER_TOO_DEEP:
        return place.says(TOO_DEEP)
    return place.says(f"YAML syntax: {', '.join(filter(None, (context, problem))) or error}")


class _Reader:
    """Builds the tree from the parser's events, and stops where nesting or aliases exceed the limits."""

    def __init__(self, source: str, one_place: bool) -> None:
        self.source = source
        self.one_place = one_place
        self.problems: list[Message] = []
        self.anchors: dict[str, Node] = {}
        self.count = 0

    def document(self, text: str) -> Node:
        """Read the text's single document."""
        self.events = _Events(text)
        self.events.get_event()  # stream start
        if self.events.check_event(yaml.StreamEndEvent):
            raise SceneError(Place(self.source).says("empty; `smd new NAME` writes a starter scene"))
        self.events.get_event()  # document start
        root = self._node(depth=0)
        self.events.get_event()  # document end
        if not self.events.check_event(yaml.StreamEndEvent):
            self._problem(
                self.events.peek_event(), "a second YAML document begins here; a scene is one document"
            )
        return root

    def _node(self, depth: int) -> Node:
        event = self.events.get_event()
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        self._grow(event, 1, depth)
        node = Node(None, self._place(event))
        if isinstance(event, yaml.MappingStartEvent):
            node.value = self._mapping(depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            node.value = self._sequence(depth)
        else:
            node.value = self._scalar(event)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def _mapping(self, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        while not self.events.check_event(yaml.MappingEndEvent):
            event = self.events.peek_event()
            key, value = self._node(depth + 1), self._node(depth + 1)
            word = event.value if isinstance(event, yaml.ScalarEvent) else None
            if word is None:
                self._problem(event, "a key must be a word")
            elif word in entries:
                self._problem(event, f"{word!r} is given twice, first at {entries[word].key_place}")
            else:
                entries[word] = value
                value.key_place = key.place
        self.events.get_event()
        return entries

    def _sequence(self, depth: int) -> list[Node]:
        items = []
        while not self.events.check_event(yaml.SequenceEndEvent):
            items.append(self._node(depth + 1))
        self.events.get_event()
        return items

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self.events.resolve(yaml.ScalarNode, event.value, event.implicit)
        read = _SCALARS.get(tag)
        if read is None:
            self._problem(event, f"the tag {tag!r} is not allowed in a scene")
            return None
        try:
            return read(event.value)
        except ValueError:  # a tag that its text does not fit, or an integer of thousands of digits
            self._problem(event, f"{event.value[:30]!r} is not readable as {tag.removeprefix(_TAG)}")
            return None

    def _alias(self, event: yaml.AliasEvent, depth: int) -> Node:
        if event.anchor not in self.anchors:
            self._problem(event, f"the alias *{event.anchor} stands for nothing above it")
            return Node(None, self._place(event))
        node = self.anchors[event.anchor]
        self._grow(event, node.size(), depth + node.depth())
        return copy.deepcopy(node)

    def _grow(self, event: yaml.Event, nodes: int, depth: int) -> None:
        self.count += nodes
        if self.count > MAX_NODES:
            self._problem(event, f"the scene has more than {MAX_NODES} values, aliases expanded")
            raise SceneError(*self.problems)
        if depth > MAX_DEPTH:
            self._problem(event, TOO_DEEP)
            raise SceneError(*self.problems)

    def _problem(self, event: yaml.Event, text: str) -> None:
        self.problems.append(self._place(event).says(text))

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        return self.place(mark.line, mark.column) if mark else Place(self.source, is_option=self.one_place)

    def place(self, line: int, column: int) -> Place:
        """Return the place at a line and column counted from 0."""
        if self.one_place:
            return Place(self.source, is_option=True)
        return Place(self.source, line + 1, column + 1)
