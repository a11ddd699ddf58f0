"""One line for a user, and what machines read of it: the place, and the text behind that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

_called: dict[str, str] = {}
"""What messages call folders that mean nothing to a user."""

_LONGEST_MEMORY = 100  # folders


def call_folder(folder: Path, name: str) -> None:
    """Let messages call a folder, and what lies in it, by another name from now on, even once it is gone."""
    _called[str(folder)] = name
    for oldest in list(_called)[:-_LONGEST_MEMORY]:
        del _called[oldest]


def as_called(text: str) -> str:
    """Return a text in which folders are called what they mean to a user."""
    for folder, name in tuple(_called.items()):
        text = text.replace(folder, name)
    return text


@dataclass(frozen=True, order=True)
class Place:
    """Where a value is given: `scene.yaml:12:7: regions[1].prompt`, or the option that gives it.

    Attributes:
        source: the file, or an option as it was written.
        line: counted from 1; 0 where there is none.
        column: counted from 1; 0 where there is none.
        key: the value's place in the scene, dotted; empty for the scene itself.
        is_option: the source is no file: an option, or data of a caller's.
    """

    source: str
    line: int = 0
    column: int = 0
    key: str = ""
    is_option: bool = False

    @classmethod
    def of_option(cls, option: str) -> Place:
        """Return the place of what an option gives: `--width 512`."""
        return cls(option, is_option=True)

    @classmethod
    def of_file(cls, path: object, option: str = "") -> Place:
        """Return the place of a file to write: `--output a.png`, or the path where no option names it."""
        return cls.of_option(f"{option} {path}") if option else cls(str(path))

    def __str__(self) -> str:
        start = f"{self.source}:{self.line}:{self.column}" if self.line else self.source
        # `--set regions[0].prompt=…` names the key already
        is_named = not self.key or (self.is_option and self.key in self.source)
        return start if is_named else f"{start}: {self.key}"

    def to_dict(self) -> dict[str, Any]:
        """Return the place for a JSON document; what there is none of is null."""
        return {
            "file": None if self.is_option else self.source or None,
            "line": self.line or None,
            "column": self.column or None,
            "key": self.key or None,
            "option": self.source if self.is_option else None,
        }

    def says(self, text: str) -> Message:
        """Return a message about the value."""
        return Message(text, self)


class Message(str):
    """A line that begins with its place, where it has one.

    Attributes:
        text: the line without its place.
        place: what it is about; None where that is not a value of a scene.
    """

    __slots__ = ("place", "text")
    text: str
    place: Place | None

    def __new__(cls, text: str, place: Place | None = None) -> Message:
        """Make a message of a text, which says at least what is wrong."""
        text = as_called(text)
        line = super().__new__(cls, text if place is None else f"{place}: {text}")
        line.text, line.place = text, place
        return line

    @classmethod
    def of(cls, line: str) -> Message:
        """Return a line as a message: itself, where it is one."""
        return line if isinstance(line, Message) else cls(line)

    def at(self, place: Place) -> Message:
        """Return the message with a place, which one that has a place already keeps."""
        return self if self.place else Message(self.text, place)

    def to_dict(self) -> dict[str, Any]:
        """Return the message for a JSON document; what there is none of is null."""
        return {**(self.place or Place("")).to_dict(), "text": self.text}


class Locate(Protocol):
    """Says where a value of a scene stands: `scene.yaml:12:7: regions[1].prompt` of (regions, 1, prompt)."""

    def __call__(self, *loc: str | int) -> Place:
        """Return the place of the value."""
        ...
