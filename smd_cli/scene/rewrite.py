"""Other texts in place of some of a scene's, all else staying as its author wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import yaml

from smd_cli.messages import Place
from smd_cli.scene.yaml_types import Events

_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")  # an anchor and a tag
_PLAIN = re.compile(r"[./][\w./-]*[\w/-]", re.ASCII)
_LINE_END = re.compile(r"\r\n|\r|\n")
_SINGLE, _DOUBLE = "'", '"'


def rewrite(text: str, changes: Mapping[Place, str]) -> str:
    """Return a scene's text with other values at the places of some of its texts.

    A value keeps its anchor and its kind of quotes, where those can hold it.
    """
    lines = [0, *(match.end() for match in _LINE_END.finditer(text))]
    values = {lines[place.line - 1] + place.column - 1: value for place, value in changes.items()}
    parts, done = [], 0
    for start, end in _scalars(text):
        if start not in values:
            continue
        begin = start + len(match[0] if (match := _PROPERTIES.match(text[start:end])) else "")
        parts += [text[done:begin], _written(values[start], text[begin])]
        done = begin + len(text[begin:end].rstrip())
    return "".join([*parts, text[done:]])


def _scalars(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each scalar of a YAML text begins and ends."""
    events = Events(text)
    while events.check_event():
        event = events.get_event()
        start, end = event.start_mark, event.end_mark
        if isinstance(event, yaml.ScalarEvent) and start is not None and end is not None:
            yield start.index, end.index


def _written(value: str, first: str) -> str:
    """Write a text of printable characters as YAML; `first` is the character that the old one began with."""
    if first == _DOUBLE:
        escaped = value.replace("\\", "\\\\").replace(_DOUBLE, f"\\{_DOUBLE}")
        return f"{_DOUBLE}{escaped}{_DOUBLE}"
    if first != _SINGLE and _PLAIN.fullmatch(value):
        return value
    return f"{_SINGLE}{value.replace(_SINGLE, 2 * _SINGLE)}{_SINGLE}"
