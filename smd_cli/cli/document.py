"""The JSON document of a run, which `--json` prints on stdout whatever ends the run."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from smd_cli.messages import Message


@dataclass
class Document:
    """What a run tells machines.

    Attributes:
        parts: what the command found or made so far, by key.
        notes: what was adapted or is worth knowing, quiet or not.
        warnings: what was warned of, quiet or not.
        problems: what ended the run, or was wrong with one of several scenes.
        printed: notes and warnings that people have read; the same picture of several scenes earns one.
    """

    parts: dict[str, Any] = field(default_factory=dict)
    notes: list[Message] = field(default_factory=list)
    warnings: list[Message] = field(default_factory=list)
    problems: list[Message] = field(default_factory=list)
    printed: set[str] = field(default_factory=set)

    def add(self, **parts: Any) -> None:  # noqa: ANN401 - any JSON value
        """Add parts of the document, or replace them."""
        self.parts |= parts

    def append(self, part: str, value: Any) -> None:  # noqa: ANN401
        """Add a value to a part that is a list."""
        self.parts.setdefault(part, []).append(value)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {
            **self.parts,
            "notes": [message.to_dict() for message in dict.fromkeys(self.notes)],
            "warnings": [message.to_dict() for message in dict.fromkeys(self.warnings)],
            "problems": [message.to_dict() for message in self.problems],
        }


def begin_document() -> Document:
    """Begin the document of a run."""
    _document.set(begun := Document())
    return begun


def document() -> Document:
    """Return the document of this run."""
    return _document.get()


_document: ContextVar[Document] = ContextVar("document")
