"""The streams that a program is started with, which may be closed, full, or of a narrow encoding."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def open_standard_streams() -> None:
    """Give standard streams that were closed a place that keeps nothing, and let every text be written.

    Otherwise the next file opened would have their number, and what a library writes to standard error would
    land in a picture. Standard output stays None for Python: raw frames must not be lost unsaid.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            lowest = os.open(os.devnull, os.O_RDWR)  # of those that are free: this one
            os.set_inheritable(lowest, True)  # workers need it as well
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - open until the end
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def close_standard_streams() -> None:
    """Drop what could not be written, so that the end of Python does not fail on it once more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
