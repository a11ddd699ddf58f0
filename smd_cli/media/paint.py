"""Painting a whole plan: its masks and background at canvas size, or all that is wrong with them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image, ImageChops

from smd_cli.errors import AssetError, SceneError, SmdError
from smd_cli.media.canvas import FittedPicture, fit_picture, repeat_edges
from smd_cli.media.color_maps import ColorMap, color_masks, named_colors, read_color_map, why_no_mask
from smd_cli.media.image_cache import ImageCache
from smd_cli.media.images import OpenedPicture, file_version, open_picture
from smd_cli.media.mask_images import (
    MaskImage,
    Shape,
    covered_share,
    paint_rest,
    paint_shape,
    read_mask,
    shift_mask,
    value_range,
)
from smd_cli.media.pixels import has_alpha, on_white
from smd_cli.media.scene_images import SceneImages
from smd_cli.messages import Locate, Message, Place
from smd_cli.scene.mask_specs import ColorMask, FileMask, ImageMask, RestMask
from smd_cli.scene.region import RegionPlan
from smd_cli.scene.resolve import Plan
from smd_cli.scene.tree import dotted

# Where two soft edges of the same mask overlap, their product is at most a quarter of 255; above that, some
# of a region is visible between later ones.
_VISIBLE = 64
_CACHE_LIMIT = 1 << 28  # bytes that each kind of image may keep from call to call


def _dotted(*loc: str | int) -> Place:
    return Place(dotted(loc))


def paint_scene(plan: Plan, locate: Locate = _dotted, *, may_leave: bool = False) -> SceneImages:
    """Open and paint every image of a plan; arguments and errors are those of `ScenePainter.paint`."""
    return ScenePainter().paint(plan, locate, may_leave=may_leave)


class ScenePainter:
    """Paints the images of one plan after another, such as a stream's frames, and only what changed.

    What did not change since an earlier call is the same Image object again, so that a caller can compare by
    identity. Files are opened again when they were written again. Not for use by several threads at once.
    """

    def __init__(self) -> None:
        self._caches = _Caches()

    def __reduce__(self) -> tuple[type[ScenePainter], tuple[()]]:
        """Begin anew in another process, which paints what it needs."""
        return ScenePainter, ()

    def paint(self, plan: Plan, locate: Locate = _dotted, *, may_leave: bool = False) -> SceneImages:
        """Open and paint every image of a plan that an earlier call did not.

        `locate` says where a value such as ("regions", 1, "mask") stands; `LoadedScene.locate` knows the
        file, line and column. With `may_leave` a mask may be empty: a region of
        a stream can leave the canvas and come back.

        Raises:
            SceneError: a mask is empty or lacks a channel; the background picture lies outside the canvas, or
                leaves new area without a prompt, or nothing to paint. It also lists what an AssetError would.
            AssetError: pictures are missing or unreadable, and nothing else is wrong.
        """
        try:
            return _Painting(plan, locate, self._caches).scene_images(may_leave=may_leave)
        finally:
            self._caches.trim()

    def paint_masks(self, plan: Plan, locate: Locate = _dotted) -> tuple[Image.Image, ...]:
        """Paint the masks of a plan alone, empty ones too; its background picture may be missing.

        Raises SceneError, AssetError: as `paint`, about masks.
        """
        try:
            return _Painting(plan, locate, self._caches).masks()
        finally:
            self._caches.trim()


@dataclass(frozen=True)
class _Caches:
    """Images by what they depend on: files and their versions, mask specs, sizes and so on."""

    opened: ImageCache[OpenedPicture] = field(default_factory=lambda: ImageCache(_CACHE_LIMIT))
    maps: ImageCache[ColorMap] = field(default_factory=lambda: ImageCache(_CACHE_LIMIT))
    masks: ImageCache[MaskImage] = field(default_factory=lambda: ImageCache(_CACHE_LIMIT))
    backgrounds: ImageCache[FittedPicture] = field(default_factory=lambda: ImageCache(_CACHE_LIMIT))

    def trim(self) -> None:
        """Remove what is over the limits."""
        for cache in vars(self).values():
            cache.trim()


class _Painting:
    """The painting of one plan: collects notes and problems, so that all of them are reported at once."""

    def __init__(self, plan: Plan, locate: Locate, caches: _Caches) -> None:
        self.plan = plan
        self.locate = locate
        self.caches = caches
        self.canvas = (plan.canvas.width, plan.canvas.height)
        self.wraps = plan.canvas.wraps
        self.maps = color_masks(plan)
        self.notes: list[str] = []
        self.problems: list[SmdError] = []

    def scene_images(self, *, may_leave: bool) -> SceneImages:
        """Paint everything. Raises SceneError or AssetError with all problems."""
        masks, fitted = self._masks(), self._background()
        self._check_something_painted()
        if not may_leave:
            self._check_not_empty(masks)
        self._raise_problems()
        return SceneImages(
            masks,
            fitted.image if fitted else None,
            fitted.new_area if fitted else None,
            tuple(dict.fromkeys(self.notes)),
            () if may_leave else tuple(self._warnings(masks)),
            {path: self._unshifted_masks(specs) for path, specs in self.maps.items()},
        )

    def masks(self) -> tuple[Image.Image, ...]:
        """Paint the masks alone. Raises SceneError or AssetError with all problems."""
        masks = self._masks()
        self._raise_problems()
        return masks

    def _raise_problems(self) -> None:
        if self.problems:
            raise SceneError.joined(self.problems)

    def _masks(self) -> tuple[Image.Image, ...]:
        """Return every region's mask; `rest` is painted when the others are known. Empty after a problem."""
        found = [self._try_mask(index, region) for index, region in enumerate(self.plan.regions)]
        if self.problems:
            return ()
        others = [keyed for keyed in found if keyed]
        if len(others) == len(found):
            return tuple(mask for _, mask in others)
        key = ("rest", self.canvas, tuple(key for key, _ in others))
        masks = [mask for _, mask in others]
        rest = self.caches.masks.get(key, lambda: MaskImage(paint_rest(masks, self.canvas))).image
        return tuple(keyed[1] if keyed else rest for keyed in found)

    def _try_mask(self, index: int, region: RegionPlan) -> tuple[Hashable, Image.Image] | None:
        """Return a mask with its key in the cache; None for `rest`, and after a problem."""
        if isinstance(region.mask, RestMask):
            return None
        try:
            return self._mask(region.mask, region.shift)
        except (AssetError, SceneError) as error:
            self.problems.append(type(error)(self._of_mask(index, f": {error}")))
            return None

    def _mask(self, spec: Shape | FileMask, shift: tuple[float, float]) -> tuple[Hashable, Image.Image]:
        """Return a mask, shifted and at canvas size, with its key in the cache."""
        unshifted_key, unshifted = self._unshifted_mask(spec)
        self.notes.extend(unshifted.notes)
        key = (unshifted_key, shift, self.canvas, self.wraps)

        def place() -> MaskImage:
            shifted = shift_mask(unshifted.image, shift, wraps=self.wraps)
            return MaskImage(repeat_edges(shifted, (0, 0), self.canvas))

        return key, self.caches.masks.get(key, place).image

    def _unshifted_masks(self, specs: Sequence[ColorMask]) -> tuple[Image.Image, ...]:
        return tuple(self._unshifted_mask(spec)[1].image for spec in specs)

    def _unshifted_mask(self, spec: Shape | FileMask) -> tuple[Hashable, MaskImage]:
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

    def _open(self, path: Path, version: Hashable, *, may_reduce: bool = False) -> OpenedPicture:
        """Return a picture of a file; those that were opened before may make room for it."""
        size, opened = self.plan.size, self.caches.opened
        key = (path, version, size, may_reduce)
        picture = opened.get(key, lambda: open_picture(path, size, may_reduce=may_reduce))
        opened.trim(keep=1)
        return picture

    def _background(self) -> FittedPicture | None:
        """Return the background picture at canvas size; None without one, and after a problem."""
        picture, place = self.plan.background.image, self.plan.background.place
        if picture is None:
            return None
        try:
            fitted = self._fitted(picture.path)
            self.notes.extend(fitted.notes)
            self._check_background(fitted)
            return fitted
        except AssetError as error:
            self.problems.append(error.at(self.locate("background", "image")))
        except SceneError as error:
            self.problems.append(error.at(self.locate("background", "fit" if place is None else "place")))
        return None

    def _fitted(self, path: Path) -> FittedPicture:
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

    def _check_background(self, fitted: FittedPicture) -> None:
        """Raise SceneError where the picture leaves new area without a prompt, or nothing to paint."""
        plan = self.plan
        if fitted.new_area and not plan.background.prompt:
            raise SceneError(
                f"leaves {covered_share(fitted.new_area):.1%} of the canvas as new area; give a background "
                "prompt, which fills it"
            )
        if not (fitted.new_area or plan.regions or plan.background.strength is not None):
            raise SceneError(
                "leaves nothing to paint: the picture covers the canvas; give a region or background.strength"
            )

    def _check_something_painted(self) -> None:
        """Add a problem where a keyframe has taken all that was painted."""
        background = self.plan.background
        if background.prompt or (self.plan.regions and background.strength is None):
            return
        if background.strength is not None:
            text = "the picture is repainted from the background's prompt, which is empty here"
        elif background.image is None:
            text = "there is nothing to paint: no region, and no background prompt"
        else:
            return  # what the picture leaves is looked at where it is fitted
        self.problems.append(SceneError(self.locate("background", "prompt").says(text)))

    def _check_not_empty(self, masks: Sequence[Image.Image]) -> None:
        """Add a problem for each region whose mask is empty."""
        for index, mask in enumerate(masks):
            if not mask.getbbox():
                self.problems.append(SceneError(self._of_mask(index, self._why_empty(index))))

    def _why_empty(self, index: int) -> str:
        spec = self.plan.regions[index].mask
        why = ""
        if isinstance(spec, ColorMask) and not self._unshifted_mask(spec)[1].image.getbbox():
            why = why_no_mask(spec, self._open(spec.image.path, file_version(spec.image.path)))
        return f": {why}" if why else " has an empty mask: no part of the canvas"

    def _warnings(self, masks: Sequence[Image.Image]) -> list[Message]:
        """Return what is allowed but likely a mistake, in the order of the regions."""
        warnings = []
        later = Image.new("L", self.canvas)
        for index, mask in reversed(list(enumerate(masks))):
            spec = self.plan.regions[index].mask
            if isinstance(spec, ImageMask) and value_range(mask)[0] == 255:
                hint = "; channel: luminance reads its brightness" if spec.channel == "auto" else ""
                text = f" has a mask file that covers the whole canvas{hint}"
                warnings.append(self._of_mask(index, text))
            visible = ImageChops.multiply(mask, ImageChops.invert(later))
            if value_range(visible)[1] < _VISIBLE <= value_range(mask)[1]:
                warnings.append(self._of_mask(index, " is fully covered by later regions"))
            later = ImageChops.lighter(later, mask)
        return warnings[::-1]

    def _of_mask(self, index: int, text: str) -> Message:
        """Return a message about a region's mask, which names the region."""
        place = self.locate("regions", index, "mask")
        return place.says(f"region {self.plan.regions[index].name!r}{text}")
