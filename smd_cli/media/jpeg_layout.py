"""What Pillow does not tell about a JPEG file: how many scans its pixels are stored in.

Each scan of a progressive file costs a pass over all of its pixels, and can be a dozen bytes long. Source of
the layout: ITU-T T.81, Annex B (https://www.w3.org/Graphics/JPEG/itu-t81.pdf).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from smd_cli.regular_files import open_regular

MAX_SCANS = 100
"""Encoders write about ten."""

_BEGIN = b"\xff\xd8"
_SCAN, _END = 0xDA, 0xD9
_FILL = 0xFF
_MARKER = re.compile(b"\xff[^\x00\xd0-\xd7\xff]")  # amid coded pixels, those others stand for pixels or gaps
_PIECE = 1 << 20  # bytes that are searched at a time


def check_scans(path: Path) -> None:
    """Check that a JPEG file does not have too many scans; do nothing about other files.

    Raises OSError: it has more than MAX_SCANS, or cannot be read.
    """
    with open_regular(path) as file:
        if file.read(2) == _BEGIN and next(islice(_scans(file), MAX_SCANS, None), None):
            raise OSError(f"its pixels are stored in more than {MAX_SCANS} scans")


def _scans(file: BinaryIO) -> Iterator[bool]:
    """Yield for each scan of the first picture, as far as the file makes sense."""
    while len(head := file.read(4)) == 4 and head[0] == _FILL and head[1] != _END:
        if head[1] == _FILL:  # markers may be preceded by any number of these
            file.seek(-3, 1)
            continue
        file.seek(max(0, int.from_bytes(head[2:]) - 2), 1)
        if head[1] == _SCAN:
            yield True
            _skip_pixels(file)


def _skip_pixels(file: BinaryIO) -> None:
    """Move to the next marker, or to the end."""
    while piece := file.read(_PIECE):
        if found := _MARKER.search(piece):
            file.seek(found.start() - len(piece), 1)
            return
        if len(piece) > 1 and piece[-1] == _FILL:
            file.seek(-1, 1)
