"""What the commands print: results on stdout, everything else on stderr, one line each.

All of it is visible text: the streams spell out what is not (see `cli.streams`). What is coloured here is
spelled out here, and written behind them.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

import typer

from smd_cli.cli.document import Document, document
from smd_cli.cli.streams import behind
from smd_cli.engine.events import Event, Noted, Printed, Warned
from smd_cli.errors import SmdError
from smd_cli.messages import Message, as_called
from smd_cli.visible import visible, visible_lines

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_WIDE = 10_000  # columns of a page that is not shown


def print_result(line: str) -> None:
    """Print a result of one line on stdout. Raises BrokenPipeError: its reader has gone."""
    _print(visible(line), sys.stdout)


def print_text(text: str) -> None:
    """Print a result of several lines on stdout. Raises BrokenPipeError: its reader has gone."""
    _print(visible_lines(text), sys.stdout)


def print_json(document: Any) -> None:  # noqa: ANN401 - any JSON document
    """Print a result as the one JSON document of the run, in ASCII: what it tells is exact."""
    print_text(json.dumps(_as_called(document), indent=2))


def _as_called(data: Any) -> Any:  # noqa: ANN401 - any JSON document
    """Return data in which folders are called what they mean to a user (see `messages.call_folder`)."""
    if isinstance(data, dict):
        return {key: _as_called(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_as_called(value) for value in data]
    return as_called(data) if isinstance(data, str) else data


def print_layout(layout: RenderableType) -> None:
    """Print a result that Rich lays out: in colour, to fit a terminal; elsewhere in plain lines."""
    from smd_cli.cli.rich_console import VisibleConsole

    console = VisibleConsole(file=sys.stdout and behind(sys.stdout), highlight=False)
    if console.is_terminal:
        console.print(layout)
        return
    plain = VisibleConsole(width=_WIDE, highlight=False, color_system=None)
    with plain.capture() as captured:
        plain.print(layout)
    print_text("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_report(layout: RenderableType, *, json: bool, quiet: bool) -> None:
    """Print a benchmark's table as the result; where that is a JSON document, beside it, unless quiet."""
    if not json:
        print_layout(layout)
    elif not quiet:
        rich_console().print(layout)


@dataclass(frozen=True)
class MessagePrinter:
    """A listener that prints notes and warnings on stderr, each once a run; `quiet` leaves them out.

    What workers print, it prints too. Notes and warnings are added to the document of the run, quiet or not.
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
            case Printed(worker, line):  # quiet or not: in one process nobody would be asked either
                _print_message(visible(f"worker {worker}: {line}"))

    def _print(self, kind: str, color: str, line: str) -> None:
        if not self.quiet and line not in self.document.printed:
            self.document.printed.add(line)
            _print_message(f"{_colored(kind, color)}: {visible(line)}")


def print_error(error: SmdError) -> None:
    """Print an error: its lines as they are, so that each begins with the place where one has to go."""
    for line in error.problems:
        _print_message(_colored(visible(line), "red"))


def print_internal_error(error: Exception, *, verbose: bool) -> Message:
    """Print that the program itself is at fault, and how to learn more; return what was printed."""
    if verbose:
        traceback.print_exception(error)
    hint = "" if verbose else " (run with -v for the traceback)"
    text = " ".join(str(error).split())
    line = Message(f"internal error: {type(error).__name__}: {text}{hint}")
    _print_message(_colored(visible(line), "red"))
    return line


def rich_console() -> Console:
    """Make a Rich console on stderr, for progress and tables."""
    from smd_cli.cli.rich_console import VisibleConsole

    return VisibleConsole(file=behind(sys.stderr))


def print_progress(line: str) -> None:
    """Print how far something is, where no bars are drawn, on stderr."""
    _print_message(visible(line))


def _print_message(line: str) -> None:
    """Print a line of visible text and colours."""
    _print(line, behind(sys.stderr))


def _print(text: str, stream: TextIO) -> None:
    """Print text, and hand it on at once, so that a closed pipe is noticed here and not at exit."""
    print(text, file=stream, flush=True)


def _colored(text: str, color: str) -> str:
    return typer.style(text, fg=color) if _wants_color(sys.stderr) else text


def _wants_color(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
