"""What the commands say: results on stdout, everything else on stderr, one line each."""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import typer

from smd_cli.errors import SmdError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_ANY = 10_000  # columns of a page that nobody looks at


def result(line: str) -> None:
    """Say a result, on stdout. Flushed at once, so that a closed pipe is noticed here and not at exit.

    Raises SmdError: it cannot be written; OSError: its reader has gone.
    """
    try:
        print(line, flush=True)  # noqa: T201 - the one place that writes results
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        raise SmdError(f"standard output: cannot be written: {error.strerror}") from error


def result_json(document: Any) -> None:  # noqa: ANN401 - any JSON document
    """Say a result as the one JSON document of the run."""
    result(json.dumps(document, indent=2))


def result_layout(layout: RenderableType) -> None:
    """Say a result that Rich lays out: in colour, to fit a terminal; elsewhere in plain lines."""
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal:
        console.print(layout)
        return
    plain = Console(width=_ANY, highlight=False, color_system=None)
    with plain.capture() as captured:
        plain.print(layout)
    for line in captured.get().splitlines():
        result(line.rstrip())


@dataclass(frozen=True)
class Messages:
    """What is said beside the result; `quiet` leaves only errors."""

    quiet: bool = False

    def notes(self, lines: Iterable[str]) -> None:
        """Say what was adapted."""
        self._say("note", "cyan", lines)

    def warnings(self, lines: Iterable[str]) -> None:
        """Say what is likely a mistake."""
        self._say("warning", "yellow", lines)

    def _say(self, kind: str, color: str, lines: Iterable[str]) -> None:
        for line in () if self.quiet else lines:
            _to_stderr(f"{_colored(kind, color)}: {line}")


def report(error: SmdError) -> None:
    """Say an error: its lines as they are, so that each begins with the place where one has to go."""
    for line in error.problems:
        _to_stderr(_colored(line, "red"))


def report_internal(error: Exception, *, verbose: bool) -> None:
    """Say that the program itself is at fault, and how to learn more."""
    if verbose:
        traceback.print_exception(error)
    hint = "" if verbose else " (run with -v for the traceback)"
    said = " ".join(str(error).split())
    _to_stderr(_colored(f"internal error: {type(error).__name__}: {said}{hint}", "red"))


def rich_console() -> Console:
    """A Rich console on stderr, for progress and tables."""
    from rich.console import Console

    return Console(stderr=True)


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the one place that writes messages


def _colored(text: str, color: str) -> str:
    return typer.style(text, fg=color) if _wants_color(sys.stderr) else text


def _wants_color(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
