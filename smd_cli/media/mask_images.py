"""Mask painting: every form a scene knows, as a canvas-sized Pillow `L` picture. White (255) is the region.

Shapes are hard-edged, 0 or 255; files keep the soft edges that they have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageChops, ImageColor, ImageDraw

from smd_cli.errors import SceneError
from smd_cli.media.canvas import resized
from smd_cli.media.images import Picture, has_alpha
from smd_cli.scene.masks import BoxMask, ColorMask, EllipseMask, ImageMask, PolygonMask
from smd_cli.scene.resolve import Size

Shape = BoxMask | EllipseMask | PolygonMask
FileMask = ImageMask | ColorMask
_TURNS = range(-3, 4)  # widths by which a shape's coordinates can miss a wrapped canvas


def paint_shape(shape: Shape, size: Size, *, wraps: bool = False) -> Image.Image:
    """Paint a shape; an empty picture where it is smaller than a pixel or outside the canvas.

    Where the canvas wraps, what reaches over its left or right edge goes on at the other.
    """
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    for turn in _TURNS if wraps else (0,):
        _draw(draw, shape, size, turn)
    return mask


def read_mask(mask: FileMask, picture: Picture, size: Size) -> tuple[Image.Image, tuple[str, ...]]:
    """Take a mask out of an opened picture, and tell what was adapted.

    Raises SceneError: the picture has no such channel.
    """
    found = _color(mask, picture.image) if isinstance(mask, ColorMask) else _channel(mask, picture.image)
    if found.size == size:
        return found, picture.notes
    return _resize(found, size), (*picture.notes, resized(Path(mask.image), found.size, size))


def moved(mask: Image.Image, shift: tuple[float, float], *, wraps: bool) -> Image.Image:
    """Move a mask right and down by shares of its size; where it wraps, what leaves comes in again."""
    right, down = (round(share * side) for share, side in zip(shift, mask.size, strict=True))
    if not (right or down):
        return mask
    place = Image.new("L", mask.size)
    if wraps:
        mask, right = ImageChops.offset(mask, right, 0), 0
    place.paste(mask, (right, down))
    return place


def paint_rest(others: Sequence[Image.Image], size: Size) -> Image.Image:
    """Paint what no other mask covers."""
    return ImageChops.invert(union(others, size))


def union(masks: Sequence[Image.Image], size: Size) -> Image.Image:
    """Where any of the masks is."""
    both = Image.new("L", size)
    for mask in masks:
        both = ImageChops.lighter(both, mask)
    return both


def share(mask: Image.Image) -> float:
    """The mean of a mask, 0 to 1: how much of the canvas it covers."""
    histogram = mask.histogram()
    return sum(value * count for value, count in enumerate(histogram)) / (255 * sum(histogram))


def lightness(mask: Image.Image) -> tuple[int, int]:
    """The darkest and the lightest value of a mask."""
    histogram = mask.histogram()
    used = [value for value, count in enumerate(histogram) if count]
    return used[0], used[-1]


def _draw(draw: ImageDraw.ImageDraw, shape: Shape, size: Size, turn: int) -> None:
    """Draw a shape `turn` widths of the canvas to the right of its place."""
    match shape:
        case BoxMask(box=(x0, y0, x1, y1)):
            _fill(draw.rectangle, (x0 + turn, y0, x1 + turn, y1), size)
        case EllipseMask(ellipse=(cx, cy, rx, ry)):
            _fill(draw.ellipse, (cx + turn - rx, cy - ry, cx + turn + rx, cy + ry), size)
        case PolygonMask(polygon=points):
            width, height = size
            # Pillow's coordinates are pixel centres, ours the edges of the canvas: hence half a pixel.
            draw.polygon([((x + turn) * width - 0.5, y * height - 0.5) for x, y in points], fill=255)


def _fill(draw: Callable[..., None], edges: tuple[float, float, float, float], size: Size) -> None:
    """Draw between edges in fractions of the canvas; neighbours that share an edge share no pixel."""
    x0, y0, x1, y1 = (round(edge * side) for edge, side in zip(edges, (*size, *size), strict=True))
    if x0 < x1 and y0 < y1:
        draw((x0, y0, x1 - 1, y1 - 1), fill=255)  # Pillow counts the last pixel in


def _channel(mask: ImageMask, image: Image.Image) -> Image.Image:
    if mask.channel == "alpha" and not has_alpha(image):
        raise SceneError(f"{mask.image}: has no alpha channel")
    if mask.channel == "alpha" or (mask.channel == "auto" and has_alpha(image)):
        found = image.getchannel("A")
    elif mask.channel in ("auto", "luminance"):
        found = image.convert("L")
    else:
        found = image.convert("RGB").getchannel(mask.channel[0].upper())
    return ImageChops.invert(found) if mask.invert else found


def _color(mask: ColorMask, image: Image.Image) -> Image.Image:
    """White where every channel is within the tolerance and the picture is not transparent."""
    found = Image.new("L", image.size, 255)
    for band, wanted in zip(image.convert("RGB").split(), ImageColor.getrgb(mask.color), strict=True):
        near = [255 if abs(value - wanted) <= mask.tolerance else 0 for value in range(256)]
        found = ImageChops.darker(found, band.point(near))
    if has_alpha(image):
        found = ImageChops.darker(found, _hard(image.getchannel("A")))
    return found


def _resize(mask: Image.Image, size: Size) -> Image.Image:
    """A hard-edged mask stays hard-edged."""
    histogram = mask.histogram()
    soft = mask.resize(size, Image.Resampling.BILINEAR)
    return soft if sum(histogram[1:255]) else _hard(soft)


def _hard(mask: Image.Image) -> Image.Image:
    return mask.point([0] * 128 + [255] * 128)
