"""A picture of where the regions of a scene lie: each in its own colour, with its name and coverage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps

from smd_cli.media.canvas import Box
from smd_cli.media.mask_images import share, union
from smd_cli.media.paint import Painted

LONG_SIDE = 1024  # px of the preview, whatever the canvas has
FONT_SIZE = 22
_OPACITY = 165
_PALER = 0.4  # how far the background picture gives way to the colours
_WORTH_A_LABEL = 0.005  # soft edges leave less than that between regions that meet
_MARGIN = 6
_TILE_COLOR = "#303030"
_AROUND = 16  # how far to look around a point for its region, of 96


@dataclass(frozen=True)
class _Label:
    """A text to place near the middle of a region."""

    text: str
    color: str
    anchor: tuple[int, int]


def draw_preview(
    names: Sequence[str], painted: Painted, size: tuple[int, int], tiles: Sequence[Box] = ()
) -> Image.Image:
    """Draw the regions over the background picture, or white; `size` is the canvas's.

    What a later region covers is drawn in the later one's colour; the percentages are the shares of the
    canvas that the masks cover, and of the background, what they leave. `tiles`, in px of the canvas, are
    outlined; one that passes the right edge, of a canvas that wraps, goes on at the left.
    """
    scale = LONG_SIDE / max(size)
    shown = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    white = Image.new("RGB", size, "white")
    image = Image.blend(painted.background or white, white, _PALER).resize(shown)
    labels = []
    for index, name in enumerate(names):
        visible, color = painted.visible(index), _color(index)
        area = visible.resize(shown)
        image.paste(color, mask=area.point([value * _OPACITY // 255 for value in range(256)]))
        labels.append(_Label(f"{name} {painted.coverage(index):.1%}", color, _middle(area)))
    left = ImageChops.invert(union(painted.masks, size))
    if share(left) >= _WORTH_A_LABEL:
        labels.append(_Label(f"background {share(left):.1%}", "#606060", _middle(left.resize(shown))))
    for tile in tiles:
        _outline(image, tile, size)
    if painted.new_area:
        where = _middle(painted.new_area.resize(shown))
        labels.append(_Label(f"new area {share(painted.new_area):.1%}", "#303030", where))
    _write(image, labels)
    return image


def _outline(image: Image.Image, tile: Box, canvas: tuple[int, int]) -> None:
    """Outline a tile, of a canvas that the image shows smaller or larger."""
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = tile
    for shift in (0, canvas[0])[: 1 + (right > canvas[0])]:
        edges = zip((left - shift, top, right - shift, bottom), (*canvas, *canvas), strict=True)
        x0, y0, x1, y1 = (
            round(edge * shown / whole) for (edge, whole), shown in zip(edges, image.size * 2, strict=True)
        )
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), outline=_TILE_COLOR)  # Pillow counts the last pixel in


def _color(index: int) -> str:
    """Hues a golden angle apart, so that neighbours differ however many there are."""
    return f"hsl({index * 137.5 % 360:.0f},75%,50%)"


def _middle(area: Image.Image) -> tuple[int, int]:
    """The point with the most of the area around it; the centre of mass can lie outside a bent one."""
    width, height = area.size
    factor = 96 / max(width, height)
    small = area.resize((max(1, round(width * factor)), max(1, round(height * factor))), Image.Resampling.BOX)
    around = ImageOps.expand(small, _AROUND).filter(ImageFilter.BoxBlur(_AROUND))
    depth = ImageChops.multiply(ImageOps.crop(around, _AROUND), small).tobytes()
    most = max(depth)
    deepest = [divmod(place, small.width) for place, value in enumerate(depth) if value == most]
    mean = (
        sum(row for row, _ in deepest) // len(deepest),
        sum(column for _, column in deepest) // len(deepest),
    )
    row, column = min(deepest, key=lambda point: _far(point, mean))
    return round((column + 0.5) / factor), round((row + 0.5) / factor)


def _write(image: Image.Image, labels: Sequence[_Label]) -> None:
    """Write the labels, each at its anchor or as near as the others leave room, with a line to the anchor."""
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(FONT_SIZE)
    taken: list[Box] = []
    for label in labels:
        left, top, right, bottom = (round(edge) for edge in draw.textbbox((0, 0), label.text, font=font))
        width, height = right - left + 2 * _MARGIN, bottom - top + 2 * _MARGIN
        box = next(_free_boxes(label.anchor, (width, height), image.size, taken))
        taken.append(box)
        draw.line((label.anchor, _centre(box)), fill=label.color, width=2)
        draw.rounded_rectangle(box, radius=_MARGIN, fill="white", outline=label.color, width=3)
        draw.text((box[0] + _MARGIN - left, box[1] + _MARGIN - top), label.text, fill="black", font=font)


def _free_boxes(
    anchor: tuple[int, int], size: tuple[int, int], canvas: tuple[int, int], taken: Sequence[Box]
) -> Iterator[Box]:
    """Boxes of a size inside the canvas, nearest to the anchor first, free ones before others."""
    (x, y), (width, height) = anchor, size
    tops = range(0, max(1, canvas[1] - height), max(1, height // 2))
    lefts = range(0, max(1, canvas[0] - width), max(1, height // 2))
    here = (_inside(x - width // 2, canvas[0] - width), _inside(y - height // 2, canvas[1] - height))
    corners = sorted(((left, top) for left in lefts for top in tops), key=lambda corner: _far(corner, here))
    boxes = [(left, top, left + width, top + height) for left, top in (here, *corners)]
    yield from (box for box in boxes if not any(_overlap(box, other) for other in taken))
    yield from boxes


def _inside(value: int, limit: int) -> int:
    return max(0, min(value, limit))


def _far(one: tuple[int, int], other: tuple[int, int]) -> int:
    return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2


def _overlap(one: Box, other: Box) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def _centre(box: Box) -> tuple[int, int]:
    return (box[0] + box[2]) // 2, (box[1] + box[3]) // 2
