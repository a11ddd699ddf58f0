"""What the commands print: results on stdout, everything else on stderr, one line each."""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

import typer

from smd_cli.cli.document import Document, document
from smd_cli.engine.events import Event, Noted, Warned
from smd_cli.errors import SmdError
from smd_cli.media.files import report_write_errors
from smd_cli.messages import Message

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What moves the cursor, colours, or turns the direction of text around; all but line feeds."""

_WIDE = 10_000  # columns of a page that is not shown


def print_result(line: str) -> None:
    """Print a result on stdout, for a terminal without what could command it, for a program as it is.

    Flushed at once, so that a closed pipe is noticed here and not at exit.

    Raises SmdError: it cannot be written; BrokenPipeError: its reader has gone.
    """
    with report_write_errors("standard output"):
        is_seen = sys.stdout is not None and sys.stdout.isatty()
        print(_harmless(line) if is_seen else line, flush=True)  # noqa: T201 - the one place that writes results


def print_json(document: Any) -> None:  # noqa: ANN401 - any JSON document
    """Print a result as the one JSON document of the run."""
    print_result(json.dumps(document, indent=2))


def print_layout(layout: RenderableType) -> None:
    """Print a result that Rich lays out: in colour, to fit a terminal; elsewhere in plain lines."""
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal:
        console.print(layout)
        return
    plain = Console(width=_WIDE, highlight=False, color_system=None)
    with plain.capture() as captured:
        plain.print(layout)
    for line in captured.get().splitlines():
        print_result(line.rstrip())


def print_report(layout: RenderableType, *, json: bool, quiet: bool) -> None:
    """Print a benchmark's table as the result; where that is a JSON document, beside it, unless quiet."""
    if not json:
        print_layout(layout)
    elif not quiet:
        rich_console().print(layout)


@dataclass(frozen=True)
class MessagePrinter:
    """A listener that prints notes and warnings on stderr, each once a run; `quiet` leaves them out.

    Both are added to the document of the run too, quiet or not.
    """

    quiet: bool = False
    document: Document = field(default_factory=document)

    def __call__(self, event: Event) -> None:
        """Handle an event."""
        match event:
            case Noted(text):
                self.document.notes.append(Message.of(text))
                self._print("note", "cyan", text)
            case Warned(text):
                self.document.warnings.append(Message.of(text))
                self._print("warning", "yellow", text)

    def _print(self, kind: str, color: str, line: str) -> None:
        if not self.quiet and line not in self.document.printed:
            self.document.printed.add(line)
            _print_to_stderr(f"{_colored(kind, color)}: {_one_line(line)}")


def print_error(error: SmdError) -> None:
    """Print an error: its lines as they are, so that each begins with the place where one has to go."""
    for line in error.problems:
        _print_to_stderr(_colored(_one_line(line), "red"))


def print_internal_error(error: Exception, *, verbose: bool) -> Message:
    """Print that the program itself is at fault, and how to learn more; return what was printed."""
    if verbose:
        traceback.print_exception(error)
    hint = "" if verbose else " (run with -v for the traceback)"
    text = " ".join(str(error).split())
    line = Message(f"internal error: {type(error).__name__}: {text}{hint}")
    _print_to_stderr(_colored(_one_line(line), "red"))
    return line


def rich_console() -> Console:
    """Make a Rich console on stderr, for progress and tables."""
    from rich.console import Console

    return Console(stderr=True)


def _print_to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the one place that writes messages


def _harmless(text: str) -> str:
    """Return text with control characters spelled out: names and prompts come from other people's files."""
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _one_line(text: str) -> str:
    return _harmless(text).replace("\n", "\\n")


def _colored(text: str, color: str) -> str:
    return typer.style(text, fg=color) if _wants_color(sys.stderr) else text


def _wants_color(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
