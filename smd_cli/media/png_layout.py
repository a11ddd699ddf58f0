"""What Pillow does not tell about a PNG file: how deep its samples are, and whether all rows are there.

Pillow takes a file whose compressed pixels end early, but properly, for a whole one. Source of the layout:
the PNG specification, third edition (https://www.w3.org/TR/png-3/).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from smd_cli.regular_files import open_regular

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
# Adam7's passes: the first column and row of each, and the steps to the next ones.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE = 1 << 16  # bytes that are read and unpacked at a time


@dataclass(frozen=True)
class _Header:
    """What the first chunk says; `bits` are those of one sample."""

    width: int
    height: int
    bits: int
    channels: int
    interlaced: bool

    def pixel_bytes(self, width: int, height: int) -> int:
        """Return the bytes of the unpacked rows of a picture; each row has one more for its filter."""
        if not self.interlaced:
            return height * self._row_bytes(width)
        total = 0
        for left, top, across, down in _PASSES:
            columns, rows = -(-(width - left) // across), -(-(height - top) // down)
            if columns > 0 and rows > 0:
                total += rows * self._row_bytes(columns)
        return total

    def _row_bytes(self, width: int) -> int:
        return 1 + (width * self.channels * self.bits + 7) // 8


def sample_bits(path: Path) -> int | None:
    """Return the bits of a sample of a PNG file; None for other files. Raises OSError."""
    with open_regular(path) as file:
        header = _read_header(file)
    return header.bits if header else None


def check_rows(path: Path) -> None:
    """Check that each picture of a PNG file has all of its rows; do nothing about other files.

    Raises OSError: rows are missing, or the file cannot be read.
    """
    with open_regular(path) as file:
        header = _read_header(file)
        if header is None:
            return
        rows: _Rows | None = None
        size = (header.width, header.height)
        for kind, data in _chunks(file):
            if kind == b"fcTL":
                size = struct.unpack(">II", data[4:12])
            if kind in (b"fcTL", b"IEND"):
                _finish(rows)
                rows = None
            else:
                rows = rows or _Rows(header.pixel_bytes(*size))
                rows.add(data)
        _finish(rows)


class _Rows:
    """Counts the bytes of the rows of one picture, as far as they are wanted."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.found = 0
        self._unpacker = zlib.decompressobj()

    def add(self, packed: bytes) -> None:
        """Unpack some more. Raises OSError: the data are damaged."""
        try:
            while packed and self.found < self.wanted:
                self.found += len(self._unpacker.decompress(packed, _PIECE))
                packed = self._unpacker.unconsumed_tail
        except zlib.error as error:
            raise OSError(f"its compressed pixels are damaged: {error}") from error


def _finish(rows: _Rows | None) -> None:
    if rows and rows.found < rows.wanted:
        raise OSError(f"rows are missing: of {rows.wanted} bytes of pixels, {rows.found} are there")


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and content of the chunks that matter; long ones of pixels in several pieces."""
    while len(head := file.read(8)) == 8:
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind == b"fdAT":
            length -= len(file.read(4))  # its number in the sequence
        if kind in (b"IDAT", b"fdAT"):
            while length > 0 and (data := file.read(min(length, _PIECE))):
                length -= len(data)
                yield kind, data
            file.seek(length + 4, 1)
            continue
        if kind in (b"fcTL", b"IEND"):
            yield kind, file.read(min(length, _PIECE)).ljust(12, b"\0")
            if kind == b"IEND":  # whatever is behind it, and however much
                return
            length = 0
        file.seek(length + 4, 1)


def _read_header(file: BinaryIO) -> _Header | None:
    start = file.read(33)
    if len(start) < 33 or start[:8] != _SIGNATURE or start[12:16] != b"IHDR":
        return None
    width, height, bits, color, _, _, interlace = struct.unpack(">IIBBBBB", start[16:29])
    return _Header(width, height, bits, _CHANNELS.get(color, 1), bool(interlace))
