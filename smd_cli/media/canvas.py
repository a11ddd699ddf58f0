"""How pictures meet the canvas: scaled or placed, cropped, their edges repeated where they do not reach."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from smd_cli.errors import SceneError
from smd_cli.scene.background import BackgroundPlan, Fit
from smd_cli.scene.resolve import Plan, Size

Box = tuple[int, int, int, int]  # left, top, right, bottom in px


@dataclass(frozen=True)
class Laid:
    """A picture on the canvas (RGB), where it does not reach (`L`, white; None: nowhere), what was done."""

    image: Image.Image
    new_area: Image.Image | None
    notes: tuple[str, ...]


def lay(picture: Image.Image, path: Path, plan: Plan) -> Laid:
    """Bring an RGB picture, opened from `path`, to the plan's canvas.

    Raises SceneError: the place that the plan gives it is outside the canvas.
    """
    frame = _frame(picture.size, plan.size, plan.background)
    seen = _seen(frame, plan.size)
    if seen[0] >= seen[2] or seen[1] >= seen[3]:
        raise SceneError(
            f"the picture of {_by(picture.size)} px lies outside the canvas of {_by(plan.size)} px"
        )
    new_area = None
    if _size(seen) != plan.size:
        new_area = Image.new("L", plan.size, 255)
        new_area.paste(0, seen)
    image = repeat_edges(_cut(picture, frame, seen), seen[:2], (plan.canvas.width, plan.canvas.height))
    return Laid(image, new_area, tuple(_notes(path, picture.size, frame, seen)))


def fit_frame(image: Image.Image, size: Size, fit: Fit) -> Image.Image:
    """Bring a frame to a canvas of `size`: its middle for `cover`, its edges repeated for `contain`."""
    frame = _fitted(image.size, size, fit)
    seen = _seen(frame, size)
    return repeat_edges(_cut(image, frame, seen), seen[:2], size)


def repeat_edges(image: Image.Image, corner: Size, size: Size) -> Image.Image:
    """Put a picture on a canvas that holds it, its top left at `corner`; its edge pixels fill the rest."""
    if image.size == size:
        return image
    wide = _repeat_sides(image, corner[0], size[0]).transpose(Image.Transpose.TRANSPOSE)
    return _repeat_sides(wide, corner[1], size[1]).transpose(Image.Transpose.TRANSPOSE)


def resized(path: Path, old: Size, new: Size) -> str:
    """The note on a picture that was brought to another size."""
    # A pixel of difference is what whole sides cost.
    stretched = abs(old[0] * new[1] - old[1] * new[0]) >= max(old)
    return f"{path}: resized from {_by(old)} to {_by(new)}" + ", stretched to other proportions" * stretched


def _frame(picture: Size, canvas: Size, background: BackgroundPlan) -> Box:
    """Where the whole picture lies, in px of the canvas; it may reach past the canvas."""
    if background.place is not None:
        (left, top), (width, height) = background.place, picture
        return left, top, left + width, top + height
    return _fitted(picture, canvas, background.fit)


def _fitted(picture: Size, canvas: Size, fit: Fit) -> Box:
    """Where the whole picture lies that is scaled to the canvas."""
    if fit == "stretch":
        return 0, 0, *canvas
    scales = [whole / side for whole, side in zip(canvas, picture, strict=True)]
    scale = max(scales) if fit == "cover" else min(scales)
    width, height = (max(1, round(side * scale)) for side in picture)
    left, top = (canvas[0] - width) // 2, (canvas[1] - height) // 2
    return left, top, left + width, top + height


def _seen(frame: Box, canvas: Size) -> Box:
    """The part of a frame that lies on the canvas."""
    return max(0, frame[0]), max(0, frame[1]), min(canvas[0], frame[2]), min(canvas[1], frame[3])


def _cut(picture: Image.Image, frame: Box, seen: Box) -> Image.Image:
    """What the canvas shows of the picture, brought to the frame's size: only that part is ever computed."""
    left, top = frame[:2]
    inside = (seen[0] - left, seen[1] - top, seen[2] - left, seen[3] - top)
    width, height = _size(frame)
    if picture.size == (width, height):
        return picture.crop(inside)  # its own pixels, not resampled
    x, y = picture.width / width, picture.height / height
    source = (inside[0] * x, inside[1] * y, inside[2] * x, inside[3] * y)
    return picture.resize(_size(inside), Image.Resampling.LANCZOS, source)


def _notes(path: Path, old: Size, frame: Box, seen: Box) -> list[str]:
    scaled = _size(frame)
    notes = [resized(path, old, scaled)] if scaled != old else []
    if seen != frame:
        notes.append(f"{path}: cropped from {_by(scaled)} to {_by(_size(seen))}")
    return notes


def _repeat_sides(image: Image.Image, left: int, width: int) -> Image.Image:
    """Widen a picture: its first column goes on to the left, its last one to the right."""
    height = image.height
    wide = image.crop((0, 0, 1, height)).resize((width, height))
    last = image.crop((image.width - 1, 0, image.width, height))
    wide.paste(last.resize((width - left, height)), (left, 0))
    wide.paste(image, (left, 0))
    return wide


def _size(box: Box) -> Size:
    return box[2] - box[0], box[3] - box[1]


def _by(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
