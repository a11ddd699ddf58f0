"""Animated WebP: lossy; each frame holds the bounding box of what changed."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from io import BytesIO

from PIL import Image, ImageChops

from smd_cli.errors import SmdError
from smd_cli.media.animation import Delays, Patch
from smd_cli.media.texts import xmp_of
from smd_cli.scene.frame_times import FrameTimes

TICKS = 1000  # a second
LONGEST = 0xFFFFFF / TICKS  # seconds
QUALITY = 90  # of 100
_RIFF = 12  # bytes before the first chunk
_MAX_LENGTH = 2**32 - 2  # bytes that the header can count
_HAS_XMP, _IS_ANIMATION = 0x04, 0x02


class Webp:
    """The WebP container; `loop` is how often the animation plays, 0 for ever."""

    def __init__(self, times: FrameTimes, loop: int, texts: Mapping[str, str] | None) -> None:
        self._delays = Delays(times, TICKS, LONGEST)
        self._loop = loop
        self.tail = b"" if texts is None else _chunk(b"XMP ", xmp_of(texts))

    def start(self, image: Image.Image) -> bytes:
        """Return the header and the first frame."""
        self._shown = image.copy()
        flags = _IS_ANIMATION | (_HAS_XMP if self.tail else 0)
        canvas = struct.pack("<I", flags) + _uint24(image.width - 1) + _uint24(image.height - 1)
        # The background colour, 0, is never seen: the first frame covers the canvas.
        animation = struct.pack("<IH", 0, self._loop)
        header = b"RIFF" + bytes(4) + b"WEBP" + _chunk(b"VP8X", canvas) + _chunk(b"ANIM", animation)
        return header + self._encode_frame(image, (0, 0))

    def frame(self, image: Image.Image) -> bytes:
        """Return a frame of what changed."""
        box = ImageChops.difference(image, self._shown).getbbox()
        if box is None:
            return self.repeat()
        self._shown = image.copy()
        left, top = box[0] // 2 * 2, box[1] // 2 * 2  # frames can only start at even offsets
        return self._encode_frame(image.crop((left, top, *box[2:])), (left, top))

    def repeat(self) -> bytes:
        """Return a frame of one pixel as it is already: the top left one of the last frame, decoded."""
        with Image.open(BytesIO(self._last)) as last:  # noqa: TID251 - this program's own
            pixel = last.convert("RGB").crop((0, 0, 1, 1))
        return self._frame_chunk(_encode(pixel, lossless=True), self._corner, pixel.size)

    def header_patches(self, frames: int, length: int) -> Sequence[Patch]:
        """Return the length of the file.

        Raises SmdError: the file is too long for the format.
        """
        if length - 8 > _MAX_LENGTH:
            raise SmdError("a WebP file holds at most 4 GiB; write mp4, or a folder of pictures")
        return ((4, struct.pack("<I", length - 8)),)

    def _encode_frame(self, area: Image.Image, corner: tuple[int, int]) -> bytes:
        self._last, self._corner = _encode(area, lossless=False), corner
        return self._frame_chunk(self._last, corner, area.size)

    def _frame_chunk(self, data: bytes, corner: tuple[int, int], size: tuple[int, int]) -> bytes:
        """Return the chunk of an encoded frame that is drawn over the last one."""
        sides = (corner[0] // 2, corner[1] // 2, size[0] - 1, size[1] - 1)
        place = b"".join(_uint24(value) for value in (*sides, self._delays.next()))
        return _chunk(b"ANMF", place + bytes([0b10]) + data[_RIFF:])


def _encode(image: Image.Image, *, lossless: bool) -> bytes:
    """Return a WebP file of one RGB picture, whose content behind the file header is that of a frame."""
    data = BytesIO()
    image.save(data, "webp", lossless=lossless, quality=QUALITY)
    return data.getvalue()


def _uint24(value: int) -> bytes:
    return value.to_bytes(3, "little")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
