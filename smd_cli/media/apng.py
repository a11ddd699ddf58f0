"""Animated PNG: lossless; each frame holds the bounding box of what changed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from PIL import Image, ImageChops

from smd_cli.media.animation import Patch
from smd_cli.media.canvas import PixelBox
from smd_cli.media.png import encode_png
from smd_cli.scene.frame_times import FrameTimes

_SIGNATURE = 8  # bytes
_UINT16 = 0xFFFF
LONGEST = float(_UINT16)  # seconds


class Apng:
    """The APNG container; `loop` is how often the animation plays, 0 for ever."""

    def __init__(self, times: FrameTimes, loop: int, texts: Mapping[str, str] | None) -> None:
        self.tail = _chunk(b"IEND", b"")
        self._times = times
        self._frames = 0
        self._shown_for = Fraction(0)  # seconds
        self._loop = loop
        self._texts = texts
        self._sequence_number = 0  # of the next animation chunk
        self._animation_control_at = 0  # offset in bytes

    def start(self, image: Image.Image) -> bytes:
        """Return the header and the first frame, which programs that do not know APNG show alone."""
        self._shown = image.copy()
        data = encode_png(image, self._texts)
        header = data[:_SIGNATURE]
        for kind, content in _chunks(data):
            if kind not in (b"IDAT", b"IEND"):
                header += _chunk(kind, content)
        self._animation_control_at = len(header)
        pixels = _chunk(b"IDAT", _pixel_data(data))
        return header + self._animation_control(1) + self._frame_control((0, 0, *image.size)) + pixels

    def frame(self, image: Image.Image) -> bytes:
        """Return a frame of what changed."""
        box = ImageChops.difference(image, self._shown).getbbox()
        if box is None:
            return self.repeat()
        self._shown = image.copy()
        return self._encode_frame(box)

    def repeat(self) -> bytes:
        """Return a frame that draws one pixel as it is already."""
        return self._encode_frame((0, 0, 1, 1))

    def header_patches(self, frames: int, length: int) -> Sequence[Patch]:
        """Return the chunk that holds the number of frames."""
        return ((self._animation_control_at, self._animation_control(frames)),)

    def _animation_control(self, frames: int) -> bytes:
        return _chunk(b"acTL", struct.pack(">II", frames, self._loop))

    def _encode_frame(self, box: PixelBox) -> bytes:
        control = self._frame_control(box)
        pixels = _pixel_data(encode_png(self._shown.crop(box), None))
        return control + _chunk(b"fdAT", self._next_sequence_number() + pixels)

    def _frame_control(self, box: PixelBox) -> bytes:
        """Return the chunk with a frame's box and delay; the frame replaces what is there, and stays."""
        left, top, right, bottom = box
        place = struct.pack(">IIII", right - left, bottom - top, left, top)
        delay = self._next_delay()
        shown = struct.pack(">HHBB", delay.numerator, delay.denominator, 0, 0)
        return _chunk(b"fcTL", self._next_sequence_number() + place + shown)

    def _next_delay(self) -> Fraction:
        """Return the seconds of one more frame, without adding up rounding errors."""
        self._frames += 1
        end = Fraction(self._times.start(self._frames), self._times.clock)
        delay = _short_fraction(end - self._shown_for)
        self._shown_for += delay
        return delay

    def _next_sequence_number(self) -> bytes:
        self._sequence_number += 1
        return struct.pack(">I", self._sequence_number - 1)


def _short_fraction(seconds: Fraction) -> Fraction:
    """Return the nearest fraction of two 16-bit numbers."""
    return min(seconds, Fraction(_UINT16)).limit_denominator(int(_UINT16 / max(seconds, Fraction(1))) or 1)


def _pixel_data(data: bytes) -> bytes:
    """Return the compressed pixels of a PNG file."""
    return b"".join(content for kind, content in _chunks(data) if kind == b"IDAT")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and content of each chunk of a PNG file."""
    start = _SIGNATURE
    while start < len(data):
        length = int.from_bytes(data[start : start + 4], "big")
        yield data[start + 4 : start + 8], data[start + 8 : start + 8 + length]
        start += length + 12


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
