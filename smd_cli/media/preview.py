"""A preview of where the regions of a scene lie: each in its own colour, with its name and coverage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps

from smd_cli.media.canvas import PixelBox
from smd_cli.media.mask_images import covered_share, union
from smd_cli.media.scene_images import SceneImages

LONG_SIDE = 1024  # px of the preview, whatever the canvas has
FONT_SIZE = 22
_OPACITY = 165
_FADE = 0.4  # how far the background picture is faded to white
_MIN_LABELLED = 0.005  # share of the canvas; the gaps that soft edges leave between regions are smaller
_MARGIN = 6
_TILE_COLOR = "#303030"
_MIDDLE_SIDE = 96  # px of the long side of the small image in which the middle of a region is searched
_MIDDLE_RADIUS = 16  # px of it around a point that count


@dataclass(frozen=True)
class _Label:
    """A text to place near the middle of a region."""

    text: str
    color: str
    anchor: tuple[int, int]


def draw_preview(
    names: Sequence[str], images: SceneImages, size: tuple[int, int], tiles: Sequence[PixelBox] = ()
) -> Image.Image:
    """Draw the regions over the background picture, or white; `size` is the canvas's.

    What a later region covers has the later one's colour. Labels give the share of the canvas that each mask
    covers; the background's, what the masks leave. `tiles`, in px of the canvas, are outlined; one that
    reaches beyond the right edge, on a canvas that wraps, continues at the left.
    """
    scale = LONG_SIDE / max(size)
    shown = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    white = Image.new("RGB", size, "white")
    image = Image.blend(images.background or white, white, _FADE).resize(shown)
    labels = []
    for index, name in enumerate(names):
        visible, color = images.visible(index), _color(index)
        area = visible.resize(shown)
        image.paste(color, mask=area.point([value * _OPACITY // 255 for value in range(256)]))
        labels.append(_Label(f"{name} {images.coverage(index):.1%}", color, _middle(area)))
    left = ImageChops.invert(union(images.masks, size))
    if covered_share(left) >= _MIN_LABELLED:
        labels.append(_Label(f"background {covered_share(left):.1%}", "#606060", _middle(left.resize(shown))))
    for tile in tiles:
        _outline(image, tile, size)
    if images.new_area:
        where = _middle(images.new_area.resize(shown))
        labels.append(_Label(f"new area {covered_share(images.new_area):.1%}", "#303030", where))
    _draw_labels(image, labels)
    return image


def _outline(image: Image.Image, tile: PixelBox, canvas: tuple[int, int]) -> None:
    """Outline a tile, in px of the canvas, on an image of another size."""
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = tile
    for shift in (0, canvas[0])[: 1 + (right > canvas[0])]:
        edges = zip((left - shift, top, right - shift, bottom), (*canvas, *canvas), strict=True)
        x0, y0, x1, y1 = (
            round(edge * shown / whole) for (edge, whole), shown in zip(edges, image.size * 2, strict=True)
        )
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), outline=_TILE_COLOR)  # Pillow includes the last pixel


def _color(index: int) -> str:
    """Return a colour; hues are a golden angle apart, so that neighbours differ however many there are."""
    return f"hsl({index * 137.5 % 360:.0f},75%,50%)"


def _middle(area: Image.Image) -> tuple[int, int]:
    """Return the point with most of the area around it; the centre of mass can lie outside a concave one."""
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


def _draw_labels(image: Image.Image, labels: Sequence[_Label]) -> None:
    """Draw the labels, each as near to its anchor as the others leave room, with a line to the anchor."""
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(FONT_SIZE)
    taken: list[PixelBox] = []
    for label in labels:
        left, top, right, bottom = (round(edge) for edge in draw.textbbox((0, 0), label.text, font=font))
        width, height = right - left + 2 * _MARGIN, bottom - top + 2 * _MARGIN
        box = next(_free_boxes(label.anchor, (width, height), image.size, taken))
        taken.append(box)
        draw.line((label.anchor, _centre(box)), fill=label.color, width=2)
        draw.rounded_rectangle(box, radius=_MARGIN, fill="white", outline=label.color, width=3)
        draw.text((box[0] + _MARGIN - left, box[1] + _MARGIN - top), label.text, fill="black", font=font)


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
