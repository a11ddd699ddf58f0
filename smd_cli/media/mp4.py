"""MP4 files without a video library: nested boxes, each with its size and kind."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from smd_cli.regular_files import open_regular

_PATH_TO_COMMENT = (b"moov", b"udta", b"meta", b"ilst", b"\xa9cmt", b"data")
_MAX_COMMENT = 1 << 24  # bytes that are read at most


def is_mp4(path: Path) -> bool:
    """Tell whether a file begins like an MP4 file. AVIF pictures begin like that too, but for their brand."""
    with open_regular(path) as file:
        kind, brand = struct.unpack("4x4s4s", file.read(12).ljust(12, b"\0"))
    return kind == b"ftyp" and brand not in (b"avif", b"avis")


def read_comment(path: Path) -> bytes:
    """Return the comment in UTF-8, empty where there is none."""
    with open_regular(path) as file:
        start, end = 0, os.fstat(file.fileno()).st_size
        for kind in _PATH_TO_COMMENT:
            found = _find_box(file, kind, start, end)
            if found is None:
                return b""
            start, end = found
            if kind == b"meta":
                start += 4  # its version and flags
        start += 8  # type and locale of the text
        file.seek(start)
        return file.read(min(max(0, end - start), _MAX_COMMENT))


def cut_to_fragments(path: Path, end: int | None) -> tuple[bool, bool]:
    """Cut a file that is written in fragments to those that are whole.

    A full disk ends a file in the middle of a fragment; what follows `end`, in bytes, was written after that.

    Return whether a fragment is there, and whether the table is that follows the last one. Raises OSError.
    """
    with path.open("r+b") as file:
        size, kept, last = os.fstat(file.fileno()).st_size, 0, b""
        end = size if end is None else min(size, end)
        for kind, _, stop in boxes(file, 0, end):
            if stop > end:
                break
            if kind in (b"mdat", b"mfra"):  # a fragment's last box, and that table
                kept, last = stop, kind
        if kept < size:
            file.truncate(kept)
        return kept > 0, last == b"mfra"


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each box between `start` and `end`, and where its content begins and should end.

    It ends at what is no box.
    """
    while start + 8 <= end:
        file.seek(start)
        header = file.read(16)
        size, kind, content = int.from_bytes(header[:4], "big"), header[4:8], start + 8
        if size == 1:  # the size is in the next eight bytes
            size, content = int.from_bytes(header[8:16], "big"), start + 16
        stop = end if size == 0 and kind == b"mdat" else start + size  # 0: up to the end
        if stop < content:
            return
        yield kind, content, stop
        start = stop


def _find_box(file: BinaryIO, kind: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Return where the content of the first box of a kind between `start` and `end` begins and ends."""
    for found, content, stop in boxes(file, start, end):
        if found == kind:
            return content, min(stop, end)
    return None
