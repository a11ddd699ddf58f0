"""Painting masks: every mask spec of a scene as a canvas-sized Pillow `L` image. White (255) is the region.

Shapes are hard-edged, 0 or 255; files keep the soft edges that they have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

from PIL import Image, ImageChops, ImageColor, ImageDraw

from smd_cli.errors import SceneError
from smd_cli.media.canvas import resize_note
from smd_cli.media.images import OpenedPicture
from smd_cli.media.pixels import has_alpha
from smd_cli.scene.mask_specs import BoxMask, EllipseMask, FileMask, ImageMask, PolygonMask
from smd_cli.scene.resolve import Size

Shape = BoxMask | EllipseMask | PolygonMask
_WRAP_OFFSETS = range(-3, 4)  # canvas widths by which a shape's coordinates can lie beside a wrapped canvas


class MaskImage(NamedTuple):
    """A painted mask (`L`), and notes on what was adapted."""

    image: Image.Image
    notes: tuple[str, ...] = ()


def paint_shape(shape: Shape, size: Size, *, wraps: bool = False) -> Image.Image:
    """Paint a shape; the mask is empty where it is smaller than a pixel or outside the canvas.

    On a canvas that wraps, what reaches beyond the left or right edge continues at the other.
    """
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    for offset in _WRAP_OFFSETS if wraps else (0,):
        _draw(draw, shape, size, offset)
    return mask


def read_mask(mask: FileMask, picture: OpenedPicture, size: Size) -> MaskImage:
    """Extract a mask of `size` from an opened picture; of a colour mask with a tolerance, what is within it.

    Raises SceneError: the picture has no such channel.
    """
    if isinstance(mask, ImageMask):
        image = _channel_mask(mask, picture.image)
    else:
        image = _within(ImageColor.getrgb(mask.color), mask.tolerance or 0, picture.image)
    if image.size == size:
        return MaskImage(image, picture.notes)
    note = resize_note(mask.image.path, image.size, size)
    return MaskImage(_resize(image, size), (*picture.notes, note))


def shift_mask(mask: Image.Image, shift: tuple[float, float], *, wraps: bool) -> Image.Image:
    """Move a mask right and down by fractions of its size, around the sides of a canvas that wraps."""
    right, down = (round(share * side) for share, side in zip(shift, mask.size, strict=True))
    if not (right or down):
        return mask
    shifted = Image.new("L", mask.size)
    if wraps:
        mask, right = ImageChops.offset(mask, right, 0), 0
    shifted.paste(mask, (right, down))
    return shifted


def paint_rest(others: Sequence[Image.Image], size: Size) -> Image.Image:
    """Paint what no other mask covers."""
    return ImageChops.invert(union(others, size))


def union(masks: Sequence[Image.Image], size: Size) -> Image.Image:
    """Return the union of masks: the highest value at each pixel."""
    highest = Image.new("L", size)
    for mask in masks:
        highest = ImageChops.lighter(highest, mask)
    return highest


def covered_share(mask: Image.Image) -> float:
    """Return the mean of a mask, 0 to 1: how much of the canvas it covers."""
    histogram = mask.histogram()
    return sum(value * count for value, count in enumerate(histogram)) / (255 * sum(histogram))


def value_range(mask: Image.Image) -> tuple[int, int]:
    """Return the lowest and the highest value of a mask."""
    return cast("tuple[int, int]", mask.getextrema())


def _draw(draw: ImageDraw.ImageDraw, shape: Shape, size: Size, offset: int) -> None:
    """Draw a shape, moved right by `offset` widths of the canvas."""
    match shape:
        case BoxMask(box=(x0, y0, x1, y1)):
            _fill(draw.rectangle, (x0 + offset, y0, x1 + offset, y1), size)
        case EllipseMask(ellipse=(cx, cy, rx, ry)):
            _fill(draw.ellipse, (cx + offset - rx, cy - ry, cx + offset + rx, cy + ry), size)
        case PolygonMask(polygon=points):
            width, height = size
            # Pillow's integer coordinates are pixel centres; a scene's 0 and 1 are the canvas's edges.
            draw.polygon([((x + offset) * width - 0.5, y * height - 0.5) for x, y in points], fill=255)


def _fill(draw: Callable[..., None], edges: tuple[float, float, float, float], size: Size) -> None:
    """Draw between edges in fractions of the canvas, so that shapes with a common edge share no pixel."""
    x0, y0, x1, y1 = (round(edge * side) for edge, side in zip(edges, (*size, *size), strict=True))
    if x0 < x1 and y0 < y1:
        draw((x0, y0, x1 - 1, y1 - 1), fill=255)  # Pillow includes the last pixel


def _channel_mask(mask: ImageMask, image: Image.Image) -> Image.Image:
    if mask.channel == "alpha" and not has_alpha(image):
        raise SceneError(f"{mask.image.path}: has no alpha channel")
    if mask.channel == "alpha" or (mask.channel == "auto" and has_alpha(image)):
        found = image.getchannel("A")
    elif mask.channel in ("auto", "luminance"):
        found = image.convert("L")
    else:
        found = _colored(image).getchannel(mask.channel[0].upper())
    return ImageChops.invert(found) if mask.invert else found


def _colored(image: Image.Image) -> Image.Image:
    """Return an image with channels of red, green and blue, and perhaps alpha."""
    return image if image.mode.startswith("RGB") else image.convert("RGB")


def _within(color: tuple[int, ...], tolerance: int, image: Image.Image) -> Image.Image:
    """Return white where every channel is within the tolerance and the picture is not transparent."""
    found = Image.new("L", image.size, 255)
    for band, wanted in zip(_colored(image).split()[:3], color, strict=True):
        near = [255 if abs(value - wanted) <= tolerance else 0 for value in range(256)]
        found = ImageChops.darker(found, band.point(near))
    if has_alpha(image):
        found = ImageChops.darker(found, _threshold(image.getchannel("A")))
    return found


def _resize(mask: Image.Image, size: Size) -> Image.Image:
    """Resize a mask; one with hard edges keeps them hard."""
    histogram = mask.histogram()
    soft = mask.resize(size, Image.Resampling.BILINEAR)
    return soft if sum(histogram[1:255]) else _threshold(soft)


def _threshold(mask: Image.Image) -> Image.Image:
    return mask.point([0] * 128 + [255] * 128)
