"""Standard output and standard error, as everything in this process writes to them.

While a command runs, what is printed is visible text (see `smd_cli.visible`), whoever prints it: this
program, Typer, a traceback, a library.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from smd_cli.errors import SmdError
from smd_cli.visible import visible_lines

_LAID_OUT = "\n\t"  # what is printed of other people's is spelled out before; shells read completions by tabs


class _Stream:
    """A text stream in front of another one; what it does not do itself, that one does."""

    def __init__(self, behind: Any) -> None:  # noqa: ANN401 - a text stream, as far as the program needs one
        self.behind = behind

    def write(self, text: str) -> int:
        """Write text."""
        self.behind.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines, which end as they end."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand on what was written."""
        self.behind.flush()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream behind has
        return getattr(self.behind, name)


class _Visible(_Stream):
    """A stream that spells out what does not show itself. What lays out visible text writes `behind` it."""

    encoding = "utf-8"  # it takes any text: Typer goes around a stream that says ASCII

    def write(self, text: str) -> int:
        """Write text."""
        self.behind.write(visible_lines(text, kept=_LAID_OUT))
        return len(text)


class _Messages(_Stream):
    """A stream whose text is lost where it cannot be written: nothing can be said about that."""

    def write(self, text: str) -> int:
        """Write text."""
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        with suppress(OSError):
            super().flush()


class Results(_Stream):
    """A stream that keeps why it cannot be written, so that what is to be done is done before that is said.

    BrokenPipeError is raised, where the reader has gone: nobody waits for the rest.
    """

    problem: SmdError | None = None

    def write(self, text: str) -> int:
        """Write text."""
        with self._kept():
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        with self._kept():
            super().flush()

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            said = f"standard output: cannot be written: {error.strerror or error}"
            self.problem = self.problem or SmdError(said)


@contextmanager
def visible_streams() -> Iterator[Results]:
    """Let standard output, which is given, and standard error be streams of visible text.

    One that was closed when the program began stays None.
    """
    before, results = (sys.stdout, sys.stderr), Results(sys.stdout)
    mine: tuple[Any, Any] = (
        _Visible(results) if sys.stdout else None,
        _Visible(_Messages(sys.stderr)) if sys.stderr else None,
    )
    sys.stdout, sys.stderr = mine
    try:
        yield results
    finally:
        # What stands there since is to stay: something that keeps a broken pipe quiet at the end.
        if sys.stdout is mine[0]:
            sys.stdout = before[0]
        if sys.stderr is mine[1]:
            sys.stderr = before[1]


def behind(stream: TextIO) -> TextIO:
    """Return the stream behind one of visible text, for what escapes text itself and adds colours."""
    given: object = stream
    return cast(TextIO, given.behind) if isinstance(given, _Visible) else stream
