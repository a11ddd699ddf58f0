"""A preview of where the regions of a scene lie: each in its own colour, with its name and coverage."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageChops, ImageDraw

from smd_cli.media.canvas import PixelBox
from smd_cli.media.labels import Label, draw_labels, font_of, middle_of
from smd_cli.media.mask_images import covered_share, union
from smd_cli.media.scene_images import SceneImages

LONG_SIDE = 1024  # px of the preview, whatever the canvas has
FONT_SIZE = 22
_OPACITY = 165
_FADE = 0.4  # how far the background picture is faded to white
_MIN_LABELLED = 0.005  # share of the canvas; the gaps that soft edges leave between regions are smaller
_TILE_COLOR = "#303030"


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
        visible, color = images.visible(index), region_color(index)
        area = visible.resize(shown)
        image.paste(color, mask=area.point([value * _OPACITY // 255 for value in range(256)]))
        labels.append(Label(f"{name} {images.coverage(index):.1%}", color, middle_of(area)))
    left = ImageChops.invert(union(images.masks, size))
    if covered_share(left) >= _MIN_LABELLED:
        labels.append(
            Label(f"background {covered_share(left):.1%}", "#606060", middle_of(left.resize(shown)))
        )
    for tile in tiles:
        _outline(image, tile, size)
    if images.new_area:
        where = middle_of(images.new_area.resize(shown))
        labels.append(Label(f"new area {covered_share(images.new_area):.1%}", "#303030", where))
    draw_labels(image, labels, font_of(FONT_SIZE))
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


def region_color(index: int) -> str:
    """Return a colour; hues are a golden angle apart, so that neighbours differ however many there are."""
    return f"hsl({index * 137.5 % 360:.0f},75%,50%)"
