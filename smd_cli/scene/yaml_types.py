"""YAML 1.2's core types, read from and written as text: `no` and `2024-01-01` are text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

from smd_cli.scene.tree import Scalar
from smd_cli.visible import visible, visible_lines

_C_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MERGE = "<<"
"""The key whose mappings lend their values to the mapping that it stands in."""
TAG = "tag:yaml.org,2002:"


class Events(_C_LOADER):  # type: ignore[misc, valid-type]
    """The events of PyYAML's (C) parser, with the YAML 1.2 core types in place of 1.1's."""

    yaml_implicit_resolvers: dict[str | None, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


class _Text(yaml.SafeDumper):
    """Writes YAML that quotes what `Events` would not read as text."""

    yaml_implicit_resolvers: dict[str | None, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


def _integer(text: str) -> int:
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


def _real(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def read_scalar(event: yaml.ScalarEvent, tag: str) -> Scalar:
    """Return the value of a scalar.

    Raises LookupError: the tag is unknown; ValueError: the text is not of it, or an integer has thousands of
    digits.
    """
    return _SCALARS[tag](event.value)


def short_tag(tag: str) -> str:
    """Return the name of a core type's tag."""
    return tag.removeprefix(TAG)


_SCALARS: dict[str, Callable[[str], Scalar]] = {
    f"{TAG}str": str,
    f"{TAG}null": lambda _: None,
    f"{TAG}bool": lambda text: ("false", "true").index(text.lower()) == 1,
    f"{TAG}int": _integer,
    f"{TAG}float": _real,
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
    for _side in (Events, _Text):
        _side.add_implicit_resolver(TAG + _name, re.compile(rf"(?:{_pattern})$"), _first)
# A merge is the reader's business; what is written as data is none.
_Text.add_implicit_resolver(f"{TAG}merge", re.compile(rf"{MERGE}$"), [MERGE[0]])


def dump(data: Any) -> str:  # noqa: ANN401 - plain data of any shape
    """Write plain data as YAML that `parse` reads back unchanged; keys keep their order.

    What does not show itself is spelled out, in double quotes, where YAML reads such escapes.
    """
    text = yaml.dump(data, Dumper=_Text, sort_keys=False, allow_unicode=True)
    return visible_lines(text.rstrip("\n"))


def _write_text(dumper: _Text, text: str) -> yaml.ScalarNode:
    shows_all = all(visible(line) == line for line in text.split("\n"))
    return dumper.represent_scalar(f"{TAG}str", text, style=None if shows_all else '"')


_Text.add_representer(str, _write_text)
