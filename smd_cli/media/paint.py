"""The pictures of a whole plan: its masks and background at canvas size, or all that is wrong with them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops

from smd_cli.errors import AssetError, SceneError, SmdError
from smd_cli.media.images import has_alpha, open_picture
from smd_cli.media.masks import lightness, paint_rest, paint_shape, read_mask, resized, share, union
from smd_cli.scene.masks import ColorMask, ImageMask, MaskSpec, RestMask
from smd_cli.scene.resolve import Plan
from smd_cli.scene.tree import dotted

Locate = Callable[..., str]
# Two soft edges of one mask multiply to at most a quarter of 255; where more is left, something shows.
_SHOWS = 64


@dataclass(frozen=True)
class Painted:
    """The pictures of a plan at canvas size.

    `masks` (`L`, white = region) are in the order of the regions; `background` is RGB, or None where the plan
    has no picture. `new_area` (`L`) is white where the picture does not reach and `background` repeats its
    edge pixels, None where it covers the canvas. `notes` tell what was adapted, `warnings` what is likely a
    mistake, one line each.
    """

    masks: tuple[Image.Image, ...]
    background: Image.Image | None
    new_area: Image.Image | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    def coverage(self, index: int) -> float:
        """The share of the canvas, 0 to 1, that a region's mask covers."""
        return share(self.masks[index])

    def visible(self, index: int) -> Image.Image:
        """A region's mask without what later regions cover."""
        mask = self.masks[index]
        return ImageChops.multiply(mask, ImageChops.invert(union(self.masks[index + 1 :], mask.size)))


def paint(plan: Plan, locate: Locate = lambda *loc: dotted(loc)) -> Painted:
    """Open and paint every picture of a plan.

    `locate` turns a place such as ("regions", 1, "mask") into what messages begin with; `LoadedScene.locate`
    adds the file, line and column.

    Raises:
        SceneError: a mask is empty or lacks a channel; it also carries what an AssetError would say.
        AssetError: only pictures are missing or unreadable.
    """
    painter = _Painter(plan, locate)
    masks, background = painter.masks(), painter.background()
    if painter.problems:
        only_assets = all(isinstance(problem, AssetError) for problem in painter.problems)
        raise (AssetError if only_assets else SceneError)(*map(str, painter.problems))
    return Painted(
        masks, background, None, tuple(dict.fromkeys(painter.notes)), tuple(painter.suspicions(masks))
    )


class _Painter:
    """Collects notes and problems on the way, so that one run tells them all."""

    def __init__(self, plan: Plan, locate: Locate) -> None:
        self.plan = plan
        self.locate = locate
        self.size = (plan.canvas.width, plan.canvas.height)
        self.notes: list[str] = []
        self.problems: list[SmdError] = []
        self.open = functools.cache(open_picture)  # one painted picture can hold many regions

    def background(self) -> Image.Image | None:
        """The background picture on white, at canvas size."""
        path = self.plan.background.image
        if path == "none":
            return None
        try:
            picture = self.open(path)
        except AssetError as error:
            self.problems.append(AssetError(f"{self.locate('background', 'image')}: {error}"))
            return None
        self.notes.extend(picture.notes)
        image = Image.new("RGB", picture.image.size, "white")
        image.paste(picture.image, mask=picture.image.getchannel("A") if has_alpha(picture.image) else None)
        if image.size == self.size:
            return image
        self.notes.append(resized(path, image.size, self.size))
        return image.resize(self.size, Image.Resampling.LANCZOS)

    def masks(self) -> tuple[Image.Image, ...]:
        """Every region's mask; `rest` last, when the others are known. Empty where there are problems."""
        found = [self._mask(index, region.mask) for index, region in enumerate(self.plan.regions)]
        if self.problems:
            return ()
        rest = paint_rest([mask for mask in found if mask], self.size)
        masks = tuple(mask or rest for mask in found)
        for index, mask in enumerate(masks):
            if not mask.getbbox():
                self.problems.append(
                    SceneError(f"{self.where(index)} has an empty mask: no part of the canvas")
                )
        return masks

    def _mask(self, index: int, spec: MaskSpec) -> Image.Image | None:
        """One mask; None for `rest`, and where there is a problem."""
        if isinstance(spec, RestMask):
            return None
        if not isinstance(spec, (ImageMask, ColorMask)):
            return paint_shape(spec, self.size)
        try:
            mask, notes = read_mask(spec, self.open(Path(spec.image)), self.size)
        except (AssetError, SceneError) as error:
            self.problems.append(type(error)(f"{self.where(index)}: {error}"))
            return None
        self.notes.extend(notes)
        return mask

    def suspicions(self, masks: Sequence[Image.Image]) -> list[str]:
        """What is allowed and yet hardly meant, in the order of the regions."""
        found = []
        later = Image.new("L", self.size)
        for index, mask in reversed(list(enumerate(masks))):
            spec = self.plan.regions[index].mask
            if isinstance(spec, ImageMask) and lightness(mask)[0] == 255:
                hint = "; channel: luminance reads its brightness" if spec.channel == "auto" else ""
                found.append(f"{self.where(index)} has a mask file that covers the whole canvas{hint}")
            left = ImageChops.multiply(mask, ImageChops.invert(later))
            if lightness(left)[1] < _SHOWS <= lightness(mask)[1]:
                found.append(f"{self.where(index)} is fully covered by later regions")
            later = ImageChops.lighter(later, mask)
        return found[::-1]

    def where(self, index: int) -> str:
        """Name a region and the place of its mask."""
        return f"{self.locate('regions', index, 'mask')}: region {self.plan.regions[index].name!r}"
