"""GIF animations without flicker where nothing changes, although each picture has only 255 colours.

A pixel is drawn again only where it changes, so that it keeps its colour even when the palette does not; the
dithering depends on a pixel's position alone. One palette serves for as long as its error is not clearly
above that of one made for what changes; from then on frames carry that one.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from io import BytesIO

from PIL import Image, ImageChops, ImageStat

from smd_cli.media.animation import Delays, Patch, changed_pixels
from smd_cli.media.texts import pack_texts
from smd_cli.scene.frame_times import FrameTimes

TICKS = 100  # a second
LONGEST = 0xFFFF / TICKS  # seconds
SHORTEST = 0.02  # seconds; what should be gone sooner, programs show for 0.1 s
_UNCHANGED = 3  # levels by which a pixel may differ from what was drawn and still count as unchanged
_COLORS = 255
_TRANSPARENT = 255  # the palette index that leaves a pixel as it is
_SAMPLE = (128, 128)  # px of a picture that a palette is chosen from; all of its pixels would take seconds
_LOW_ERROR = 3.0  # levels; below, no dithering (half the file size) and no search for a better palette
_RETRY_ABOVE = 1.5  # times the error on a palette's own picture; above, a new palette is tried
_REPLACE_BELOW = 0.7  # times the old palette's error; a new palette must come below to be taken
_DITHER = 6  # levels up and down
# How the dither pattern is shifted for red, green and blue: aligned, the three would vary the brightness.
_SHIFTS = ((0, 0), (3, 5), (5, 2))
_BAYER = (
    *(0, 32, 8, 40, 2, 34, 10, 42, 48, 16, 56, 24, 50, 18, 58, 26),
    *(12, 44, 4, 36, 14, 46, 6, 38, 60, 28, 52, 20, 62, 30, 54, 22),
    *(3, 35, 11, 43, 1, 33, 9, 41, 51, 19, 59, 27, 49, 17, 57, 25),
    *(15, 47, 7, 39, 13, 45, 5, 37, 63, 31, 55, 23, 61, 29, 53, 21),
)  # the Bayer matrix of ordered dithering, 8x8, row by row


class Palette:
    """255 colours chosen for a picture, with dithering where they lie too far apart."""

    def __init__(self, picture: Image.Image) -> None:
        sample = picture.copy()
        sample.thumbnail(_SAMPLE, Image.Resampling.NEAREST)
        # Colours as far apart as the picture's, so that small things have theirs; then moved to their means.
        paletted = sample.quantize(_COLORS, Image.Quantize.MAXCOVERAGE, kmeans=1)
        chosen = (paletted.getpalette("RGB") or [])[: 3 * _COLORS]
        # Unused entries repeat the first colour: a search for it finds the first entry.
        self.colors = bytes(chosen) + bytes(chosen[:3]) * (256 - len(chosen) // 3)
        self._image = Image.new("P", (1, 1))
        self._image.putpalette(self.colors)
        self._dithers = False
        self._dithers = _error(picture, self.index(picture, (0, 0))) > _LOW_ERROR
        self.error = _error(picture, self.index(picture, (0, 0)))

    def index(self, picture: Image.Image, corner: tuple[int, int]) -> Image.Image:
        """Return the picture in these colours (`P`); `corner` is its top left in the frame."""
        if self._dithers:
            patterns = [_bayer(picture.size, (corner[0] + x, corner[1] + y)) for x, y in _SHIFTS]
            offsets = [order * 2 * _DITHER // 63 for order in range(256)]
            raised = Image.merge("RGB", patterns).point(offsets * 3)
            picture = ImageChops.add(picture, raised, 1, -_DITHER)
        return picture.quantize(palette=self._image, dither=Image.Dither.NONE)


class Gif:
    """The GIF container; `loop` is how often the animation plays, 0 for ever."""

    tail = b";"

    def __init__(self, times: FrameTimes, loop: int, texts: Mapping[str, str] | None) -> None:
        self._delays = Delays(times, TICKS, LONGEST)
        self._loop = loop
        self._comment = pack_texts(texts)

    def start(self, image: Image.Image) -> bytes:
        """Return the header, with the first picture's palette for the whole file, and the first frame."""
        self._shown = image.copy()
        self._palette = self._global = Palette(image)
        return self._header() + self._encode_frame(self._palette.index(image, (0, 0)), (0, 0))

    def frame(self, image: Image.Image) -> bytes:
        """Return a frame of what changed."""
        mask = changed_pixels(image, self._shown, _UNCHANGED)
        box = mask.getbbox()
        if box is None:
            return self.repeat()
        area, mask = image.crop(box), mask.crop(box)
        indexed = self._index(area, mask, (box[0], box[1]))
        self._shown.paste(area, box[:2], mask)
        indexed.paste(_TRANSPARENT, mask=ImageChops.invert(mask))
        return self._encode_frame(indexed, (box[0], box[1]))

    def repeat(self) -> bytes:
        """Return a frame of one transparent pixel."""
        return self._encode_frame(Image.new("P", (1, 1), _TRANSPARENT), (0, 0))

    def header_patches(self, frames: int, length: int) -> Sequence[Patch]:
        """Return nothing: the header of a GIF file holds no totals."""
        return ()

    def _index(self, area: Image.Image, mask: Image.Image, corner: tuple[int, int]) -> Image.Image:
        """Return the changed area in the palette's colours, or in a new one's if that is clearly better."""
        indexed = self._palette.index(area, corner)
        error = _error(area, indexed, mask)
        if error <= max(_LOW_ERROR, _RETRY_ABOVE * self._palette.error):
            return indexed
        palette = Palette(area)
        other = palette.index(area, corner)
        if _error(area, other, mask) > _REPLACE_BELOW * error:
            return indexed
        self._palette = palette
        return other

    def _header(self) -> bytes:
        header = b"GIF89a" + struct.pack("<HHBBB", *self._shown.size, 0xF7, 0, 0) + self._palette.colors
        if self._loop != 1:  # the extension counts the repetitions after the first time
            header += b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", max(0, self._loop - 1), 0)
        if self._comment:
            text = self._comment.encode("ascii")
            blocks = (text[start : start + 255] for start in range(0, len(text), 255))
            header += b"!\xfe" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
        return header

    def _encode_frame(self, indexed: Image.Image, corner: tuple[int, int]) -> bytes:
        """Return a frame drawn over the last one: delay, box, palette unless it is the file's, and pixels."""
        control = b"!\xf9\x04" + struct.pack("<BHBB", 0b101, self._delays.next(), _TRANSPARENT, 0)
        local = self._palette is not self._global
        place = b"," + struct.pack("<HHHHB", *corner, *indexed.size, 0x87 if local else 0)
        return control + place + self._palette.colors * local + _compress(indexed)


def _compress(indexed: Image.Image) -> bytes:
    """Return the LZW data of a frame: what Pillow writes behind the descriptor of a one-picture file."""
    whole = Image.frombytes("P", indexed.size, indexed.tobytes())
    whole.putpalette(bytes(768))
    data = BytesIO()
    whole.save(data, "gif", optimize=False, interlace=False)
    return data.getvalue()[13 + 768 + 10 : -1]


def _bayer(size: tuple[int, int], corner: tuple[int, int]) -> Image.Image:
    """Return the Bayer matrix, 0..63, repeated over a box of the frame (`L`)."""
    (width, height), (left, top) = size, corner
    rows = []
    for row in range(top, top + min(8, height)):
        cell = bytes(_BAYER[row % 8 * 8 + (left + column) % 8] for column in range(8))
        rows.append((cell * (width // 8 + 1))[:width])
    return Image.frombytes("L", size, (b"".join(rows) * (height // len(rows) + 1))[: width * height])


def _error(picture: Image.Image, indexed: Image.Image, mask: Image.Image | None = None) -> float:
    """Return the root mean square, in levels a channel, of what an RGB picture loses in a palette."""
    lost = ImageStat.Stat(ImageChops.difference(picture, indexed.convert("RGB")), mask)
    return math.sqrt(sum(level**2 for level in lost.rms) / 3)
