"""The pictures of a whole plan: its masks and background at canvas size, or all that is wrong with them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PIL import Image, ImageChops

from smd_cli.errors import AssetError, SceneError, SmdError
from smd_cli.media.canvas import Laid, lay, repeat_edges
from smd_cli.media.images import Picture, has_alpha, on_white, open_picture
from smd_cli.media.mask_images import (
    FileMask,
    Shape,
    lightness,
    moved,
    paint_rest,
    paint_shape,
    read_mask,
    share,
    union,
)
from smd_cli.scene.masks import ColorMask, ImageMask, RestMask
from smd_cli.scene.resolve import Plan, RegionPlan
from smd_cli.scene.tree import dotted

T = TypeVar("T")
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


def paint(plan: Plan, locate: Locate = lambda *loc: dotted(loc), *, may_leave: bool = False) -> Painted:
    """Open and paint every picture of a plan.

    `locate` turns a place such as ("regions", 1, "mask") into what messages begin with; `LoadedScene.locate`
    adds the file, line and column. With `may_leave` a mask may be empty: a region of a stream can leave the
    canvas and come back.

    Raises:
        SceneError: a mask is empty or lacks a channel; the background picture lies outside the canvas, or
            leaves new area without a prompt, or nothing to paint. It also says what an AssetError would.
        AssetError: only pictures are missing or unreadable.
    """
    painter = _Painter(plan, locate)
    masks, laid = painter.masks(), painter.background()
    if not may_leave:
        painter.problems += painter.empty(masks)
    if painter.problems:
        only_assets = all(isinstance(problem, AssetError) for problem in painter.problems)
        raise (AssetError if only_assets else SceneError)(*map(str, painter.problems))
    notes, warnings = tuple(dict.fromkeys(painter.notes)), tuple(painter.suspicions(masks))
    if laid is None:
        return Painted(masks, None, None, notes, warnings)
    return Painted(masks, laid.image, laid.new_area, notes, warnings)


class _Painter:
    """Collects notes and problems on the way, so that one run tells them all."""

    def __init__(self, plan: Plan, locate: Locate) -> None:
        self.plan = plan
        self.locate = locate
        self.canvas = (plan.canvas.width, plan.canvas.height)
        self.notes: list[str] = []
        self.problems: list[SmdError] = []
        self.open = functools.cache(open_picture)  # one painted picture can hold many regions

    def background(self) -> Laid | None:
        """The background picture on the canvas; None without one, and where there is a problem."""
        path, place = self.plan.background.image, self.plan.background.place
        if path == "none":
            return None
        picture = self._attempt(self.locate("background", "image"), lambda: self.open(path))
        if picture is None:
            return None
        where = self.locate("background", "fit" if place == "fit" else "place")
        return self._attempt(where, lambda: self._lay(picture, path))

    def _lay(self, picture: Picture, path: Path) -> Laid:
        """The picture on the canvas. Raises SceneError: it shows nothing, or leaves what nothing paints."""
        self.notes.extend(picture.notes)
        if has_alpha(picture.image) and lightness(picture.image.getchannel("A"))[0] < 255:
            self.notes.append(f"{path}: its transparent parts are laid on white")
        laid = lay(on_white(picture.image), path, self.plan)
        self.notes.extend(laid.notes)
        if laid.new_area and not self.plan.background.prompt:
            raise SceneError(
                f"leaves {share(laid.new_area):.1%} of the canvas as new area; give a background prompt, "
                "which fills it"
            )
        if not (laid.new_area or self.plan.regions or self.plan.background.strength != "none"):
            raise SceneError(
                "leaves nothing to paint: the picture covers the canvas; give a region or background.strength"
            )
        return laid

    def masks(self) -> tuple[Image.Image, ...]:
        """Every region's mask; `rest` last, when the others are known. Empty where there are problems."""
        found = [self._mask(index, region) for index, region in enumerate(self.plan.regions)]
        if self.problems:
            return ()
        rest = paint_rest([mask for mask in found if mask], self.plan.size)
        return tuple(repeat_edges(mask or rest, (0, 0), self.canvas) for mask in found)

    def empty(self, masks: Sequence[Image.Image]) -> list[SmdError]:
        """A problem for each region without a part of the canvas."""
        empty = (index for index, mask in enumerate(masks) if not mask.getbbox())
        return [SceneError(f"{self.where(at)} has an empty mask: no part of the canvas") for at in empty]

    def _mask(self, index: int, region: RegionPlan) -> Image.Image | None:
        """One mask, where its shift puts it; None for `rest`, and where there is a problem."""
        spec = region.mask
        if isinstance(spec, RestMask):
            return None
        mask = self._unmoved(index, spec)
        return mask and moved(mask, region.shift, wraps=self.plan.canvas.wrap == "x")

    def _unmoved(self, index: int, spec: Shape | FileMask) -> Image.Image | None:
        if not isinstance(spec, (ImageMask, ColorMask)):
            return paint_shape(spec, self.plan.size, wraps=self.plan.canvas.wrap == "x")
        return self._attempt(self.where(index), lambda: self._read(spec))

    def _read(self, spec: FileMask) -> Image.Image:
        """The mask of a file."""
        mask, notes = read_mask(spec, self.open(Path(spec.image)), self.plan.size)
        self.notes.extend(notes)
        return mask

    def _attempt(self, where: str, make: Callable[[], T]) -> T | None:
        """What `make` returns; None where it fails, which is kept for the end, with its place."""
        try:
            return make()
        except (AssetError, SceneError) as error:
            self.problems.append(type(error)(f"{where}: {error}"))
            return None

    def suspicions(self, masks: Sequence[Image.Image]) -> list[str]:
        """What is allowed and yet hardly meant, in the order of the regions."""
        found = []
        later = Image.new("L", self.canvas)
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
