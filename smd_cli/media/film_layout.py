"""Whether a film's file has all of its parts: what a cut or a damaged place leaves out, ffmpeg passes over.

A file of each kind is parts that say how long they are, and that lie one behind the other: boxes (MP4:
ISO/IEC 14496-12), elements (Matroska, WebM: RFC 9559), chunks (AVI: RIFF).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from smd_cli.media.mp4 import boxes
from smd_cli.regular_files import open_regular

_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_LONGEST_RIFF = 0x7FFF0000  # bytes; programs that cannot go back to write a length say more


def check_parts(path: Path) -> None:
    """Check that the parts of a film's file fill it; do nothing about a file of another kind.

    Of an MP4 file whose header lists every frame, those tell more than its boxes: only one in fragments is
    looked at.

    Raises OSError: it is cut off or damaged, or cannot be read.
    """
    with open_regular(path) as file:
        head, end = file.read(12), os.fstat(file.fileno()).st_size
        if head[4:8] == b"ftyp":
            _check_boxes(file, end)
        elif int.from_bytes(head[:4]) == _EBML:
            _check_elements(file, end)
        elif head[:4] == b"RIFF":
            _check_riffs(file, end)


def _check_boxes(file: BinaryIO, end: int) -> None:
    reached, in_fragments = 0, False
    for kind, _, stop in boxes(file, 0, end):
        in_fragments |= kind == b"moof"
        reached = stop
    if in_fragments and reached > end:
        raise OSError("cut off")
    if in_fragments and reached < end:
        raise _damaged(reached)


def _check_elements(file: BinaryIO, end: int) -> None:
    """Check the elements of a segment and of its clusters, whose own contents matter to nobody here."""
    start, stop, cluster = 0, end, 0
    while start < stop:
        file.seek(start)
        kind, width = _vint(file, keep_marker=True)
        length, length_width = _vint(file)
        content = start + width + length_width
        if not width or not length_width:
            raise _damaged(start)
        is_unknown = length == (1 << 7 * length_width) - 1
        if kind == _SEGMENT and not is_unknown:
            stop = content + length
        after = stop if is_unknown else content + length
        if after > end:
            raise OSError("cut off")
        if start < cluster < after:
            raise _damaged(start)
        if kind == _CLUSTER:
            cluster = 0 if is_unknown else after
        start = content if kind in (_SEGMENT, _CLUSTER) else after


def _vint(file: BinaryIO, *, keep_marker: bool = False) -> tuple[int, int]:
    """Return a number of variable width, and that width in bytes; 0 bytes where there is none."""
    first = file.read(1)
    width = 9 - first[0].bit_length() if first and first[0] else 0
    rest = file.read(max(0, width - 1))
    if not width or len(rest) < width - 1:
        return 0, 0
    value = int.from_bytes(first + rest)
    return (value if keep_marker else value - (1 << 7 * width)), width


def _check_riffs(file: BinaryIO, end: int) -> None:
    start = 0
    while start < end:
        file.seek(start)
        header = file.read(8)
        length = int.from_bytes(header[4:8], "little")
        if header[:4] != b"RIFF" or not 0 < length < _LONGEST_RIFF:
            return
        if start + 8 + length > end:
            raise OSError("cut off")
        start += 8 + length + length % 2


def _damaged(place: int) -> OSError:
    return OSError(f"damaged at byte {place:,}")
