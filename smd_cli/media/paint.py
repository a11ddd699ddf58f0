"""Painting a whole plan: its masks and background at canvas size, or all that is wrong with them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from PIL import Image, ImageChops

from smd_cli.errors import AssetError, SceneError, SmdError
from smd_cli.media.canvas import FittedPicture
from smd_cli.media.color_maps import why_no_mask
from smd_cli.media.mask_images import (
    covered_share,
    value_range,
)
from smd_cli.media.plan_images import Caches, PlanImages
from smd_cli.media.scene_images import SceneImages
from smd_cli.messages import Locate, Message, Place
from smd_cli.scene.mask_specs import ColorMask, ImageMask, RestMask
from smd_cli.scene.region import RegionPlan
from smd_cli.scene.resolve import Plan
from smd_cli.scene.tree import dotted

# Where two soft edges of the same mask overlap, their product is at most a quarter of 255; above that, some
# of a region is visible between later ones.
_VISIBLE = 64


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
        self._caches = Caches()

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


class _Painting:
    """The painting of one plan: collects notes and problems, so that all of them are reported at once."""

    def __init__(self, plan: Plan, locate: Locate, caches: Caches) -> None:
        self.plan = plan
        self.locate = locate
        self.images = PlanImages(plan, caches)
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
            self.images.map_masks(),
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
        rest = self.images.rest(others)
        return tuple(keyed[1] if keyed else rest for keyed in found)

    def _try_mask(self, index: int, region: RegionPlan) -> tuple[Hashable, Image.Image] | None:
        """Return a mask with its key in the cache; None for `rest`, and after a problem."""
        if isinstance(region.mask, RestMask):
            return None
        try:
            key, mask = self.images.mask(region.mask, region.shift)
        except (AssetError, SceneError) as error:
            self.problems.append(type(error)(self._of_mask(index, f": {error}")))
            return None
        self.notes.extend(mask.notes)
        return key, mask.image

    def _background(self) -> FittedPicture | None:
        """Return the background picture at canvas size; None without one, and after a problem."""
        picture, place = self.plan.background.image, self.plan.background.place
        if picture is None:
            return None
        try:
            fitted = self.images.background(picture.path)
            self.notes.extend(fitted.notes)
            self._check_background(fitted)
            return fitted
        except AssetError as error:
            self.problems.append(error.at(self.locate("background", "image")))
        except SceneError as error:
            self.problems.append(error.at(self.locate("background", "fit" if place is None else "place")))
        return None

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
        if isinstance(spec, ColorMask) and not self.images.unshifted_mask(spec)[1].image.getbbox():
            why = why_no_mask(spec, self.images.opened(spec.image.path))
        return f": {why}" if why else " has an empty mask: no part of the canvas"

    def _warnings(self, masks: Sequence[Image.Image]) -> list[Message]:
        """Return what is allowed but likely a mistake, in the order of the regions."""
        warnings = []
        later = Image.new("L", self.images.canvas)
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
