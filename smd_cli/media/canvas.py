"""Fitting pictures to the canvas: scaled, cropped or placed, with edge pixels repeated beyond them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from smd_cli.errors import SceneError
from smd_cli.scene.background import BackgroundPlan, Fit
from smd_cli.scene.resolve import Plan, Size

PixelBox = tuple[int, int, int, int]  # left, top, right, bottom in px


@dataclass(frozen=True)
class FittedPicture:
    """A picture at canvas size.

    Attributes:
        image: RGB; its edge pixels are repeated where the picture does not reach.
        new_area: `L`, white where the picture does not reach; None where it covers the canvas.
        notes: what was done to the picture, one line each.
    """

    image: Image.Image
    new_area: Image.Image | None
    notes: tuple[str, ...]


def fit_picture(picture: Image.Image, path: Path, plan: Plan, size: Size | None = None) -> FittedPicture:
    """Bring an RGB picture, opened from `path`, to the canvas of the plan as its background says.

    `size` is the picture's own, where it was reduced; a picture that is placed must not be.

    Raises SceneError: the plan places it outside the canvas.
    """
    size = size or picture.size
    picture_box = _picture_box(size, plan.size, plan.background)
    visible = _visible_part(picture_box, plan.size)
    if visible[0] >= visible[2] or visible[1] >= visible[3]:
        raise SceneError(
            f"the picture of {_size_text(size)} px lies outside the canvas of {_size_text(plan.size)} px"
        )
    new_area = None
    if _box_size(visible) != plan.size:
        new_area = Image.new("L", plan.size, 255)
        new_area.paste(0, visible)
    part = _scale_and_crop(picture, picture_box, visible)
    image = repeat_edges(part, visible[:2], (plan.canvas.width, plan.canvas.height))
    return FittedPicture(image, new_area, tuple(_notes(path, size, picture_box, visible)))


def fit_frame(image: Image.Image, size: Size, fit: Fit) -> Image.Image:
    """Bring a frame to a canvas of `size`: `cover` crops it, `contain` repeats its edge pixels around it."""
    picture_box = _fitted_box(image.size, size, fit)
    visible = _visible_part(picture_box, size)
    return repeat_edges(_scale_and_crop(image, picture_box, visible), visible[:2], size)


def repeat_edges(image: Image.Image, corner: Size, size: Size) -> Image.Image:
    """Enlarge a picture to `size` by repeating its edge pixels; `corner` is where its top left goes."""
    if image.size == size:
        return image
    wide = _repeat_sides(image, corner[0], size[0]).transpose(Image.Transpose.TRANSPOSE)
    return _repeat_sides(wide, corner[1], size[1]).transpose(Image.Transpose.TRANSPOSE)


def resize_note(path: Path, old: Size, new: Size) -> str:
    """Return the note on a picture that was scaled from one size to another."""
    # Rounding to whole pixels changes the proportions by up to a pixel.
    stretched = abs(old[0] * new[1] - old[1] * new[0]) >= max(old)
    return (
        f"{os.path.normpath(path)}: resized from {_size_text(old)} to {_size_text(new)}"
        + ", stretched to other proportions" * stretched
    )


def _picture_box(picture: Size, canvas: Size, background: BackgroundPlan) -> PixelBox:
    """Return where the whole picture lies, in px of the canvas; it may reach beyond the canvas."""
    if background.place is not None:
        (left, top), (width, height) = background.place, picture
        return left, top, left + width, top + height
    return _fitted_box(picture, canvas, background.fit)


def _fitted_box(picture: Size, canvas: Size, fit: Fit) -> PixelBox:
    """Return where the whole picture lies when it is scaled to the canvas."""
    if fit == "stretch":
        return 0, 0, *canvas
    scales = [whole / side for whole, side in zip(canvas, picture, strict=True)]
    scale = max(scales) if fit == "cover" else min(scales)
    width, height = (max(1, round(side * scale)) for side in picture)
    left, top = (canvas[0] - width) // 2, (canvas[1] - height) // 2
    return left, top, left + width, top + height


def _visible_part(box: PixelBox, canvas: Size) -> PixelBox:
    """Return the part of a box that lies on the canvas."""
    return max(0, box[0]), max(0, box[1]), min(canvas[0], box[2]), min(canvas[1], box[3])


def _scale_and_crop(picture: Image.Image, picture_box: PixelBox, visible: PixelBox) -> Image.Image:
    """Scale a picture to the size of its box and return the visible part; only that part is computed."""
    left, top = picture_box[:2]
    inside = (visible[0] - left, visible[1] - top, visible[2] - left, visible[3] - top)
    width, height = _box_size(picture_box)
    if picture.size == (width, height):
        return picture.crop(inside)  # without resampling
    x, y = picture.width / width, picture.height / height
    source = (inside[0] * x, inside[1] * y, inside[2] * x, inside[3] * y)
    return picture.resize(_box_size(inside), Image.Resampling.LANCZOS, source)


def _notes(path: Path, old: Size, picture_box: PixelBox, visible: PixelBox) -> list[str]:
    scaled, shown = _box_size(picture_box), _size_text(_box_size(visible))
    if scaled == old:
        return [f"{path}: cropped from {_size_text(old)} to {shown}"] if visible != picture_box else []
    then = f", then cropped to {shown}" if visible != picture_box else ""
    return [resize_note(path, old, scaled) + then]


def _repeat_sides(image: Image.Image, left: int, width: int) -> Image.Image:
    """Widen a picture to `width`: repeat its first column to the left, `left` times, and its last one."""
    height = image.height
    wide = image.crop((0, 0, 1, height)).resize((width, height))
    last = image.crop((image.width - 1, 0, image.width, height))
    wide.paste(last.resize((width - left, height)), (left, 0))
    wide.paste(image, (left, 0))
    return wide


def _box_size(box: PixelBox) -> Size:
    return box[2] - box[0], box[3] - box[1]


def _size_text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
