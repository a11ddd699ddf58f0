"""The comment of an MP4 file, read without a video library: boxes within boxes, each with size and kind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_WAY = (b"moov", b"udta", b"meta", b"ilst", b"\xa9cmt", b"data")
_LONGEST = 1 << 24  # bytes of a comment worth reading


def is_mp4(path: Path) -> bool:
    """Tell whether a file begins as MP4 files do."""
    with path.open("rb") as file:
        return file.read(8)[4:] == b"ftyp"


def read_comment(path: Path) -> bytes:
    """Return the comment in UTF-8, empty where there is none."""
    with path.open("rb") as file:
        start, end = 0, os.fstat(file.fileno()).st_size
        for kind in _WAY:
            found = _find(file, kind, start, end)
            if found is None:
                return b""
            start, end = found
            if kind == b"meta":
                start += 4  # its version and flags
        start += 8  # type and locale of the text
        file.seek(start)
        return file.read(min(max(0, end - start), _LONGEST))


def _find(file: BinaryIO, kind: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Where the content of the first box of a kind begins and ends, among those from `start` to `end`."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(16)
        size, content = int.from_bytes(head[:4], "big"), start + 8
        if size == 1:  # too large for four bytes
            size, content = int.from_bytes(head[8:16], "big"), start + 16
        stop = end if size == 0 else start + size  # 0: up to the end
        if stop < content:
            return None
        if head[4:8] == kind:
            return content, min(stop, end)
        start = stop
    return None
