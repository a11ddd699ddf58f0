"""Animated PNG: lossless; each frame holds the box of what changed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from PIL import Image, ImageChops

from smd_cli.media.animation import Patch
from smd_cli.media.canvas import Box
from smd_cli.media.png import encode_png

_SIGNATURE = 8  # bytes


class Apng:
    """A PNG file as a container; `loop` is how often it plays, 0 without end."""

    def __init__(self, fps: float, loop: int, texts: Mapping[str, str] | None) -> None:
        self.tail = _chunk(b"IEND", b"")
        self._delay = _delay(fps)
        self._loop = loop
        self._texts = texts
        self._parts = 0  # chunks of the animation so far, each of which tells its number
        self._totals_at = 0

    def start(self, image: Image.Image) -> bytes:
        """Return the head and the first frame, which programs without animation show alone."""
        self._shown = image.copy()
        data = encode_png(image, self._texts)
        head = data[:_SIGNATURE]
        for kind, content in _chunks(data):
            if kind not in (b"IDAT", b"IEND"):
                head += _chunk(kind, content)
        self._totals_at = len(head)
        pixels = _chunk(b"IDAT", _pixels(data))
        return head + self._totals(1) + self._control((0, 0, *image.size)) + pixels

    def frame(self, image: Image.Image) -> bytes:
        """Return a frame of what changed."""
        box = ImageChops.difference(image, self._shown).getbbox()
        if box is None:
            return self.again()
        self._shown = image.copy()
        return self._drawn(box)

    def again(self) -> bytes:
        """Return a frame of one pixel that is there already."""
        return self._drawn((0, 0, 1, 1))

    def totals(self, frames: int, length: int) -> Sequence[Patch]:
        """Return the chunk that counts the frames."""
        return ((self._totals_at, self._totals(frames)),)

    def _totals(self, frames: int) -> bytes:
        return _chunk(b"acTL", struct.pack(">II", frames, self._loop))

    def _drawn(self, box: Box) -> bytes:
        control = self._control(box)
        pixels = _pixels(encode_png(self._shown.crop(box), None))
        return control + _chunk(b"fdAT", self._number() + pixels)

    def _control(self, box: Box) -> bytes:
        """A frame's place and delay; it is left in place and replaces what is there."""
        left, top, right, bottom = box
        place = struct.pack(">IIII", right - left, bottom - top, left, top)
        delay = struct.pack(">HHBB", self._delay.numerator, self._delay.denominator, 0, 0)
        return _chunk(b"fcTL", self._number() + place + delay)

    def _number(self) -> bytes:
        self._parts += 1
        return struct.pack(">I", self._parts - 1)


def _delay(fps: float) -> Fraction:
    """Seconds a frame as a fraction of two numbers of 16 bits."""
    delay = 1 / Fraction(fps).limit_denominator(1000)  # of 23.976 and its like
    while max(delay.numerator, delay.denominator) > 0xFFFF:
        delay = Fraction(round(delay.numerator / 2), max(1, round(delay.denominator / 2)))
    return delay


def _pixels(data: bytes) -> bytes:
    """The packed pixels of a PNG file."""
    return b"".join(content for kind, content in _chunks(data) if kind == b"IDAT")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kinds and contents of a PNG file's chunks."""
    place = _SIGNATURE
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        yield data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        place += length + 12


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
