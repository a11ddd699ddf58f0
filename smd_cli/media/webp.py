"""Animated WebP: lossy; each frame holds the box of what changed."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from io import BytesIO

from PIL import ExifTags, Image, ImageChops

from smd_cli.errors import SmdError
from smd_cli.media.animation import Delays, Patch
from smd_cli.media.texts import packed

TICKS = 1000  # a second
QUALITY = 90  # of 100
_RIFF = 12  # bytes before the first chunk
_LONGEST = 2**32 - 2  # bytes that the head can count
_HAS_EXIF, _IS_ANIMATION = 0x08, 0x02


class Webp:
    """A WebP file as a container; `loop` is how often it plays, 0 without end."""

    def __init__(self, fps: float, loop: int, texts: Mapping[str, str] | None) -> None:
        self._delays = Delays(fps, TICKS)
        self._loop = loop
        self.tail = b"" if texts is None else _chunk(b"EXIF", _exif(packed(texts)))

    def start(self, image: Image.Image) -> bytes:
        """Return the head and the first frame."""
        self._shown = image.copy()
        flags = _IS_ANIMATION | (_HAS_EXIF if self.tail else 0)
        canvas = struct.pack("<I", flags) + _three(image.width - 1) + _three(image.height - 1)
        animation = struct.pack("<IH", 0, self._loop)  # on black, which no frame leaves to be seen
        head = b"RIFF" + bytes(4) + b"WEBP" + _chunk(b"VP8X", canvas) + _chunk(b"ANIM", animation)
        return head + self._drawn(image, (0, 0))

    def frame(self, image: Image.Image) -> bytes:
        """Return a frame of what changed."""
        box = ImageChops.difference(image, self._shown).getbbox()
        if box is None:
            return self.again()
        self._shown = image.copy()
        left, top = box[0] // 2 * 2, box[1] // 2 * 2  # places are counted in twos
        return self._drawn(image.crop((left, top, *box[2:])), (left, top))

    def again(self) -> bytes:
        """Return a frame of one pixel that is there already: the first of the last frame, as decoded."""
        with Image.open(BytesIO(self._last)) as last:
            pixel = last.convert("RGB").crop((0, 0, 1, 1))
        return self._placed(_encoded(pixel, lossless=True), self._corner, pixel.size)

    def totals(self, frames: int, length: int) -> Sequence[Patch]:
        """Return the length of the file.

        Raises SmdError: the format cannot count it.
        """
        if length - 8 > _LONGEST:
            raise SmdError("a WebP file holds at most 4 GiB; write mp4, or a folder of pictures")
        return ((4, struct.pack("<I", length - 8)),)

    def _drawn(self, area: Image.Image, corner: tuple[int, int]) -> bytes:
        self._last, self._corner = _encoded(area, lossless=False), corner
        return self._placed(self._last, corner, area.size)

    def _placed(self, data: bytes, corner: tuple[int, int], size: tuple[int, int]) -> bytes:
        """A frame over what is there."""
        sides = (corner[0] // 2, corner[1] // 2, size[0] - 1, size[1] - 1)
        place = b"".join(_three(value) for value in (*sides, self._delays.next()))
        return _chunk(b"ANMF", place + bytes([0b10]) + data[_RIFF:])


def _encoded(image: Image.Image, *, lossless: bool) -> bytes:
    """A WebP file of one RGB picture: behind its head stands what a frame holds."""
    data = BytesIO()
    image.save(data, "webp", lossless=lossless, quality=QUALITY)
    return data.getvalue()


def _exif(text: str) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = text
    return exif.tobytes().removeprefix(b"Exif\0\0")


def _three(value: int) -> bytes:
    return value.to_bytes(3, "little")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
