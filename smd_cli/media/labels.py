"""Text on pictures: what Pillow's own font can draw of it, cut to a width, and labels that find room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps

from smd_cli.media.canvas import PixelBox
from smd_cli.visible import visible

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

ELLIPSIS = "…"
_MARGIN = 6
_MIDDLE_SIDE = 96  # px of the long side of the small image in which the middle of an area is searched
_MIDDLE_RADIUS = 16  # px of it around a point that count
_NO_LETTER = "\uffff"  # which no font has
_TRIED_AT = 16  # px; which letters a font has does not depend on its size


@dataclass(frozen=True)
class Label:
    """A text to place near a point, in px of the picture."""

    text: str
    color: str
    anchor: tuple[int, int]


@cache
def font_of(size: float) -> Font:
    """Return Pillow's own font of a height in px."""
    return ImageFont.load_default(size)


def drawable(text: str) -> str:
    r"""Return a text as one line of letters that the font has; others are spelled out: `\u65e5`."""
    return "".join(
        each if _has_letter(each) else each.encode("unicode_escape").decode() for each in visible(text)
    )


def fitted(text: str, font: Font, width: float) -> str:
    """Return as much of a drawable text as fits into a width in px, with an ellipsis where it is cut."""
    if font.getlength(text) <= width:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if font.getlength(text[:middle].rstrip() + ELLIPSIS) <= width:
            fits = middle
        else:
            too_long = middle
    return text[:fits].rstrip() + ELLIPSIS


def line_height(font: Font) -> int:
    """Return the height of a line in px."""
    return ceil(font.getbbox("Áy|")[3])


def middle_of(area: Image.Image) -> tuple[int, int]:
    """Return the point with most of an area (`L`) around it; the centre of mass can lie outside."""
    width, height = area.size
    factor = _MIDDLE_SIDE / max(width, height)
    small = area.resize((max(1, round(width * factor)), max(1, round(height * factor))), Image.Resampling.BOX)
    around = ImageOps.expand(small, _MIDDLE_RADIUS).filter(ImageFilter.BoxBlur(_MIDDLE_RADIUS))
    depth = ImageChops.multiply(ImageOps.crop(around, _MIDDLE_RADIUS), small).tobytes()
    most = max(depth)
    deepest = [divmod(place, small.width) for place, value in enumerate(depth) if value == most]
    mean = (
        sum(row for row, _ in deepest) // len(deepest),
        sum(column for _, column in deepest) // len(deepest),
    )
    row, column = min(deepest, key=lambda point: _squared_distance(point, mean))
    return round((column + 0.5) / factor), round((row + 0.5) / factor)


def draw_labels(image: Image.Image, labels: Sequence[Label], font: Font) -> None:
    """Draw labels, each as near to its anchor as the others leave room, with a line to the anchor."""
    draw = ImageDraw.Draw(image)
    taken: list[PixelBox] = []
    for label in labels:
        text = fitted(drawable(label.text), font, image.width - 2 * _MARGIN - 1)
        left, top, right, bottom = (round(edge) for edge in draw.textbbox((0, 0), text, font=font))
        width, height = right - left + 2 * _MARGIN, bottom - top + 2 * _MARGIN
        box = next(_free_boxes(label.anchor, (width, height), image.size, taken))
        taken.append(box)
        draw.line((label.anchor, _centre(box)), fill=label.color, width=2)
        draw.rounded_rectangle(box, radius=_MARGIN, fill="white", outline=label.color, width=3)
        draw.text((box[0] + _MARGIN - left, box[1] + _MARGIN - top), text, fill="black", font=font)


@cache
def _has_letter(character: str) -> bool:
    """Tell whether the font draws a character, and not what stands for all that it lacks."""
    font = font_of(_TRIED_AT)
    return bytes(font.getmask(character)) != bytes(font.getmask(_NO_LETTER))


def _free_boxes(
    anchor: tuple[int, int], size: tuple[int, int], canvas: tuple[int, int], taken: Sequence[PixelBox]
) -> Iterator[PixelBox]:
    """Yield boxes of a size inside the canvas: free ones first, and of those the nearest to the anchor."""
    (x, y), (width, height) = anchor, size
    tops = range(0, max(1, canvas[1] - height), max(1, height // 2))
    lefts = range(0, max(1, canvas[0] - width), max(1, height // 2))
    here = (_clamp(x - width // 2, canvas[0] - width), _clamp(y - height // 2, canvas[1] - height))
    corners = sorted(
        ((left, top) for left in lefts for top in tops), key=lambda corner: _squared_distance(corner, here)
    )
    boxes = [(left, top, left + width, top + height) for left, top in (here, *corners)]
    yield from (box for box in boxes if not any(_overlap(box, other) for other in taken))
    yield from boxes


def _clamp(value: int, limit: int) -> int:
    return max(0, min(value, limit))


def _squared_distance(one: tuple[int, int], other: tuple[int, int]) -> int:
    return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2


def _overlap(one: PixelBox, other: PixelBox) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def _centre(box: PixelBox) -> tuple[int, int]:
    return (box[0] + box[2]) // 2, (box[1] + box[3]) // 2
