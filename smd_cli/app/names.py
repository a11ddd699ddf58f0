"""Names of files, made of a template such as `{scene}_{seed}_{hash:8}.png` and values made safe for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Any

from smd_cli.errors import UsageError
from smd_cli.messages import Place
from smd_cli.scene.explain import nearest
from smd_cli.scene.resolve import Plan
from smd_cli.scene.tree import steps_of
from smd_cli.visible import replace_hidden

_LONGEST = 80  # bytes of a value; a file system takes some 255 of a whole name
_UNSAFE = re.compile(r'[/\\<>:"|?*]+')
_NUMBER_FORMAT = re.compile(r"0?[0-9]{0,2}(\.[0-9]f)?")
_LENGTH = re.compile(r"[0-9]{1,3}")


@dataclass(frozen=True)
class NamedPicture:
    """What a name can be made of.

    Attributes:
        plan: of this picture, its seed included.
        index: of the picture in its run, from 0.
        digest: gives the SHA-256 of what shapes the picture, for which the model's files are read.
        point: what the matrix sets.
        set_by_point: the same by its keys, of which a plan does not have all: `masks.std` is in its regions.
    """

    plan: Plan
    index: int
    digest: Callable[[], str]
    point: str = ""
    set_by_point: Mapping[str, str] = field(default_factory=dict)

    def values(self) -> Mapping[str, Callable[[], Any]]:
        """Return the values that have a name of their own."""
        plan = self.plan
        return {
            "scene": lambda: plan.name,
            "task": lambda: plan.task,
            "seed": lambda: plan.seed,
            "index": lambda: self.index,
            "model": lambda: plan.model.base.portable.rpartition("/")[2].removesuffix(".safetensors"),
            "hash": self.digest,
            "point": lambda: self.point,
        }


def fill_name(template: str, picture: NamedPicture) -> str:
    """Return a template with the values of a picture in place of its `{key}` and `{key:format}`.

    Raises UsageError: a key is unknown or has no single value, or the template cannot be read.
    """
    place = Place.of_option(f"--name {template}")
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise UsageError(place.says(f"cannot be read ({error}); a brace is written twice")) from error
    name = ""
    for text, key, spec, conversion in parts:
        name += text
        if key is not None:
            if conversion:
                raise UsageError(place.says(f"{{{key}!{conversion}}} is unknown; a format follows a colon"))
            try:
                name += safe(_formatted(_value(key, picture), spec or ""))
            except LookupError as error:
                raise UsageError(place.says(f"{{{key}}} {error.args[0]}")) from error
    if not name.strip("/"):
        raise UsageError(place.says("is empty"))
    if "\0" in name:
        raise UsageError(place.says("holds a NUL, which no file's name can"))
    return name


def safe(text: str) -> str:
    """Return a text as a part of a file's name: visible, no separators or dots at its ends, not long."""
    line = " ".join(_UNSAFE.sub("_", replace_hidden(" ".join(text.split()), "/")).split())
    return line.encode()[:_LONGEST].decode(errors="ignore").strip(". ") or "_"


def _value(key: str, picture: NamedPicture) -> Any:  # noqa: ANN401 - a value of any key
    """Return a value by its name. Raises LookupError: there is none; says what there is."""
    own = picture.values()
    if key in own:
        return own[key]()
    value: Any = picture.plan.to_dict()
    known: Iterable[str] = dict.fromkeys([*own, *value])
    steps = steps_of(key)
    if steps is None:
        raise LookupError(_unknown(key, known))
    for step in steps:
        items = value if isinstance(value, dict) else dict(_items(value)) if isinstance(value, list) else {}
        if step not in items:
            if key in picture.set_by_point:
                return picture.set_by_point[key]
            raise LookupError(_unknown(step, known))
        value = items[step]
        known = value if isinstance(value, dict) else [name for name, _ in _items(value)]
    if any(isinstance(each, (dict, list)) for each in (value if isinstance(value, list) else [value])):
        raise LookupError(f"is no single value; known below it: {', '.join(known)}")
    return value


def _items(value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield the items of a list by their index, and by their name where they have one."""
    for index, item in enumerate(value if isinstance(value, list) else ()):
        yield str(index), item
        if isinstance(item, dict) and "name" in item:
            yield item["name"], item


def _unknown(word: str, known: Iterable[str]) -> str:
    names = list(known)
    near = nearest(word, names)
    hint = f"did you mean {near}? " if near else ""
    return f"is unknown; {hint}known: {', '.join(names) or 'nothing below it'}"


def _formatted(value: Any, spec: str) -> str:  # noqa: ANN401
    """Return a value as text: a number in a format such as 04, a text cut to a length.

    Raises LookupError: there is no such format.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not _NUMBER_FORMAT.fullmatch(spec):
            raise LookupError(f"cannot have the format {spec}; a number takes a width, such as 04")
        return format(value, spec if isinstance(value, float) or "." in spec else f"{spec}d")
    if spec and not _LENGTH.fullmatch(spec):
        raise LookupError(f"cannot have the format {spec}; a text takes its longest length, such as 8")
    text = "-".join(map(str, value)) if isinstance(value, list) else _word(value)
    return text[: int(spec)] if spec else text


def _word(value: Any) -> str:  # noqa: ANN401
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
