"""The images that a plan is painted from, each by itself: masks, and the background picture."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from smd_cli.media.canvas import FittedPicture, fit_picture, repeat_edges
from smd_cli.media.color_maps import ColorMap, color_masks, named_colors, read_color_map
from smd_cli.media.image_cache import ImageCache
from smd_cli.media.images import OpenedPicture, file_version, open_picture
from smd_cli.media.mask_images import (
    MaskImage,
    Shape,
    paint_rest,
    paint_shape,
    read_mask,
    shift_mask,
    value_range,
)
from smd_cli.media.pixels import has_alpha, on_white
from smd_cli.scene.mask_specs import ColorMask, FileMask
from smd_cli.scene.resolve import Plan

_CACHE_LIMIT = 1 << 28  # bytes that each kind of image may keep from call to call


@dataclass(frozen=True)
class Caches:
    """Images by what they depend on: files and their versions, mask specs, sizes and so on."""

    opened: ImageCache[OpenedPicture] = field(default_factory=lambda: ImageCache(_CACHE_LIMIT))
    maps: ImageCache[ColorMap] = field(default_factory=lambda: ImageCache(_CACHE_LIMIT))
    masks: ImageCache[MaskImage] = field(default_factory=lambda: ImageCache(_CACHE_LIMIT))
    backgrounds: ImageCache[FittedPicture] = field(default_factory=lambda: ImageCache(_CACHE_LIMIT))

    def trim(self) -> None:
        """Remove what is over the limits."""
        for cache in vars(self).values():
            cache.trim()


class PlanImages:
    """The images of one plan at canvas size; what caches have of them is not painted again.

    Its methods raise AssetError: a file is missing or unreadable; SceneError: it has not what is asked of it.
    """

    def __init__(self, plan: Plan, caches: Caches) -> None:
        self.plan = plan
        self.caches = caches
        self.canvas = (plan.canvas.width, plan.canvas.height)
        self.wraps = plan.canvas.wraps
        self.maps = color_masks(plan)

    def rest(self, others: Sequence[tuple[Hashable, Image.Image]]) -> Image.Image:
        """Return the mask of what other masks, given with their keys in the cache, leave."""
        key = ("rest", self.canvas, tuple(key for key, _ in others))
        masks = [mask for _, mask in others]
        return self.caches.masks.get(key, lambda: MaskImage(paint_rest(masks, self.canvas))).image

    def mask(self, spec: Shape | FileMask, shift: tuple[float, float]) -> tuple[Hashable, MaskImage]:
        """Return a mask, shifted and at canvas size, with its key in the cache."""
        unshifted_key, unshifted = self.unshifted_mask(spec)
        key = (unshifted_key, shift, self.canvas, self.wraps)

        def place() -> MaskImage:
            shifted = shift_mask(unshifted.image, shift, wraps=self.wraps)
            return MaskImage(repeat_edges(shifted, (0, 0), self.canvas), unshifted.notes)

        return key, self.caches.masks.get(key, place)

    def map_masks(self) -> Mapping[Path, tuple[Image.Image, ...]]:
        """Return the masks of each map's colours, where the map puts them."""
        return {
            path: tuple(self.unshifted_mask(spec)[1].image for spec in specs)
            for path, specs in self.maps.items()
        }

    def unshifted_mask(self, spec: Shape | FileMask) -> tuple[Hashable, MaskImage]:
        """Return a mask where its spec puts it, at the plan's size, with its key in the cache."""
        size, wraps = self.plan.size, self.wraps
        if not isinstance(spec, FileMask):
            key: Hashable = (spec, size, wraps)
            return key, self.caches.masks.get(key, lambda: MaskImage(paint_shape(spec, size, wraps=wraps)))
        path = spec.image.path
        version = file_version(path)
        if isinstance(spec, ColorMask) and spec.tolerance is None:
            colors = named_colors(self.maps[path])
            key = (spec, size, version, colors)
            return key, self.caches.masks.get(key, lambda: self._nearest(spec, colors, version))
        key = (spec, size, version)
        return key, self.caches.masks.get(key, lambda: read_mask(spec, self._open(path, version), size))

    def _nearest(self, spec: ColorMask, colors: tuple[str, ...], version: Hashable) -> MaskImage:
        """Return the mask of what is nearest to a colour of a map, of which the plan names `colors`."""
        path, size = spec.image.path, self.plan.size
        key = (path, version, colors, size)
        read = self.caches.maps.get(
            key, lambda: read_color_map(path, colors, self._open(path, version), size)
        )
        return MaskImage(read.mask(spec.color), read.notes)

    def background(self, path: Path) -> FittedPicture:
        """Return a picture at canvas size. Raises SceneError: it lies outside the canvas."""
        background, version = self.plan.background, file_version(path)
        key = (path, version, background.fit, background.place, self.plan.size, self.canvas)
        return self.caches.backgrounds.get(key, lambda: self._fit(path, version))

    def _fit(self, path: Path, version: Hashable) -> FittedPicture:
        picture = self._open(path, version, may_reduce=self.plan.background.place is None)
        notes = picture.notes
        if has_alpha(picture.image) and value_range(picture.image.getchannel("A"))[0] < 255:
            notes += (f"{path}: its transparent parts are laid on white",)
        fitted = fit_picture(on_white(picture.image), path, self.plan, picture.full_size)
        return replace(fitted, notes=(*notes, *fitted.notes))

    def opened(self, path: Path) -> OpenedPicture:
        """Return the picture of a file."""
        return self._open(path, file_version(path))

    def _open(self, path: Path, version: Hashable, *, may_reduce: bool = False) -> OpenedPicture:
        """Return a picture of a file; those that were opened before may make room for it."""
        size, opened = self.plan.size, self.caches.opened
        key = (path, version, size, may_reduce)
        picture = opened.get(key, lambda: open_picture(path, size, may_reduce=may_reduce))
        opened.trim(keep=1)
        return picture
