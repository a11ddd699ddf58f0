"""GIF animations whose still parts stay still, although each picture has to do with 255 colours.

A pixel is drawn again only where it changes, so that it keeps its colour even when the palette does not; the
dithering depends on a pixel's place alone. One palette serves the file for as long as its error is not
clearly above that of a new one; the frames after that carry the new one.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from io import BytesIO

from PIL import Image, ImageChops, ImageStat

from smd_cli.media.animation import Delays, Patch, changed
from smd_cli.media.texts import packed

TICKS = 100  # a second
_STILL = 3  # levels by which a pixel may differ from what was drawn and still count as unchanged
_COLORS = 255
_CLEAR = 255  # the index that leaves a pixel as it is
_SAMPLE = (128, 128)  # px of a picture that a palette is chosen from; all of them take seconds
_FAIR = 3.0  # levels of error that need neither a better palette nor dithering, which costs half as much
_WORSE = 1.5  # times the error of a palette's own picture from which on another one is tried
_BETTER = 0.7  # times the error that a new palette must come down to
_PATIENCE = 10  # frames after a palette was tried in vain
_DITHER = 6  # levels up and down
_SHIFTS = ((0, 0), (3, 5), (5, 2))  # of red, green and blue, whose patterns would add up to light and dark
_BAYER = (
    *(0, 32, 8, 40, 2, 34, 10, 42, 48, 16, 56, 24, 50, 18, 58, 26),
    *(12, 44, 4, 36, 14, 46, 6, 38, 60, 28, 52, 20, 62, 30, 54, 22),
    *(3, 35, 11, 43, 1, 33, 9, 41, 51, 19, 59, 27, 49, 17, 57, 25),
    *(15, 47, 7, 39, 13, 45, 5, 37, 63, 31, 55, 23, 61, 29, 53, 21),
)  # the order, row by row, in which an 8x8 cell of ordered dithering fills


class Palette:
    """255 colours chosen for a picture, and the dithering that goes with how far apart they lie."""

    def __init__(self, picture: Image.Image) -> None:
        sample = picture.copy()
        sample.thumbnail(_SAMPLE, Image.Resampling.NEAREST)
        chosen = (sample.quantize(_COLORS).getpalette("RGB") or [])[: 3 * _COLORS]
        # What is left over repeats the first colour, which is found before it.
        self.colors = bytes(chosen) + bytes(chosen[:3]) * (256 - len(chosen) // 3)
        self._image = Image.new("P", (1, 1))
        self._image.putpalette(self.colors)
        self._dithers = False
        self._dithers = _error(picture, self.index(picture, (0, 0))) > _FAIR
        self.error = _error(picture, self.index(picture, (0, 0)))

    def index(self, picture: Image.Image, corner: tuple[int, int]) -> Image.Image:
        """The picture in these colours (`P`); `corner` is where it lies in the frame."""
        if self._dithers:
            orders = [_bayer(picture.size, (corner[0] + x, corner[1] + y)) for x, y in _SHIFTS]
            lift = Image.merge("RGB", orders).point([order * 2 * _DITHER // 63 for order in range(256)] * 3)
            picture = ImageChops.add(picture, lift, 1, -_DITHER)
        return picture.quantize(palette=self._image, dither=Image.Dither.NONE)


class Gif:
    """A GIF file as a container; `loop` is how often it plays, 0 without end."""

    tail = b";"

    def __init__(self, fps: float, loop: int, texts: Mapping[str, str] | None) -> None:
        self._delays = Delays(fps, TICKS)
        self._loop = loop
        self._comment = packed(texts)
        self._patience = 0

    def start(self, image: Image.Image) -> bytes:
        """Return the head, with the first picture's palette for the whole file, and the first frame."""
        self._shown = image.copy()
        self._palette = self._global = Palette(image)
        return self._head() + self._drawn(self._palette.index(image, (0, 0)), (0, 0))

    def frame(self, image: Image.Image) -> bytes:
        """Return a frame of what changed."""
        mask = changed(image, self._shown, _STILL)
        box = mask.getbbox()
        if box is None:
            return self.again()
        area, mask = image.crop(box), mask.crop(box)
        indexed = self._indexed(image, area, mask, (box[0], box[1]))
        self._shown.paste(area, box[:2], mask)
        indexed.paste(_CLEAR, mask=ImageChops.invert(mask))
        return self._drawn(indexed, (box[0], box[1]))

    def again(self) -> bytes:
        """Return a frame of one pixel that leaves it as it is."""
        return self._drawn(Image.new("P", (1, 1), _CLEAR), (0, 0))

    def totals(self, frames: int, length: int) -> Sequence[Patch]:
        """Return nothing: a GIF file does not tell."""
        return ()

    def _indexed(
        self, image: Image.Image, area: Image.Image, mask: Image.Image, corner: tuple[int, int]
    ) -> Image.Image:
        """The changed area in the palette's colours, or in a new one's where that serves clearly better."""
        indexed = self._palette.index(area, corner)
        error = _error(area, indexed, mask)
        self._patience -= 1
        if self._patience > 0 or error <= max(_FAIR, _WORSE * self._palette.error):
            return indexed
        palette = Palette(image)
        other = palette.index(area, corner)
        if _error(area, other, mask) > _BETTER * error:
            self._patience = _PATIENCE
            return indexed
        self._palette = palette
        return other

    def _head(self) -> bytes:
        head = b"GIF89a" + struct.pack("<HHBBB", *self._shown.size, 0xF7, 0, 0) + self._palette.colors
        if self._loop != 1:  # the extension counts how often it starts over
            head += b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", max(0, self._loop - 1), 0)
        if self._comment:
            text = self._comment.encode("ascii")
            blocks = (text[start : start + 255] for start in range(0, len(text), 255))
            head += b"!\xfe" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
        return head

    def _drawn(self, indexed: Image.Image, corner: tuple[int, int]) -> bytes:
        """A frame over what is there: its delay, place, palette where it is not the file's, and pixels."""
        control = b"!\xf9\x04" + struct.pack("<BHBB", 0b101, self._delays.next(), _CLEAR, 0)
        own = self._palette is not self._global
        place = b"," + struct.pack("<HHHHB", *corner, *indexed.size, 0x87 if own else 0)
        return control + place + self._palette.colors * own + _lzw(indexed)


def _lzw(indexed: Image.Image) -> bytes:
    """The pixels as a GIF file holds them: what a file of this one picture has behind its descriptor."""
    whole = Image.frombytes("P", indexed.size, indexed.tobytes())
    whole.putpalette(bytes(768))
    data = BytesIO()
    whole.save(data, "gif", optimize=False, interlace=False)
    return data.getvalue()[13 + 768 + 10 : -1]


def _bayer(size: tuple[int, int], corner: tuple[int, int]) -> Image.Image:
    """The order of ordered dithering, 0..63, at every pixel of a box of the frame."""
    (width, height), (left, top) = size, corner
    rows = []
    for row in range(top, top + min(8, height)):
        cell = bytes(_BAYER[row % 8 * 8 + (left + column) % 8] for column in range(8))
        rows.append((cell * (width // 8 + 1))[:width])
    return Image.frombytes("L", size, (b"".join(rows) * (height // len(rows) + 1))[: width * height])


def _error(picture: Image.Image, indexed: Image.Image, mask: Image.Image | None = None) -> float:
    """The root mean square, in levels a channel, of what an RGB picture loses in a palette."""
    lost = ImageStat.Stat(ImageChops.difference(picture, indexed.convert("RGB")), mask)
    return math.sqrt(sum(level**2 for level in lost.rms) / 3)
