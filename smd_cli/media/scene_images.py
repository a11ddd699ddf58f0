"""The images of a whole plan, and what can be measured of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from PIL import Image, ImageChops

from smd_cli.media.mask_images import covered_share, union
from smd_cli.messages import Message


@dataclass(frozen=True)
class SceneImages:
    """The images of a plan at canvas size; they may be shared with other results, so nothing may alter them.

    Attributes:
        masks: `L`, white = region, in the order of the regions.
        background: RGB; None where the plan has no background picture.
        new_area: `L`, white where the picture does not reach and `background` repeats its edge pixels; None
            where it covers the canvas.
        notes: what was adapted, one line each.
        warnings: what is likely a mistake, one line each; of the frames of a stream, none.
        maps: the pictures whose colours are regions, and the masks of these before they are shifted.
    """

    masks: tuple[Image.Image, ...]
    background: Image.Image | None
    new_area: Image.Image | None
    notes: tuple[str, ...]
    warnings: tuple[Message, ...]
    maps: Mapping[Path, tuple[Image.Image, ...]] = field(default_factory=dict)

    def coverage(self, index: int) -> float:
        """Return the share of the canvas, 0 to 1, that a region's mask covers."""
        return covered_share(self.masks[index])

    def unclaimed(self, path: Path) -> float:
        """Return the share of a painted map, 0 to 1, that belongs to no region."""
        masks = self.maps[path]
        return 1 - covered_share(union(masks, masks[0].size))

    def visible(self, index: int) -> Image.Image:
        """Return a region's mask without what later regions cover."""
        mask = self.masks[index]
        return ImageChops.multiply(mask, ImageChops.invert(union(self.masks[index + 1 :], mask.size)))

    def visible_from_the_last(self) -> Iterator[Image.Image]:
        """Yield each region's mask without what later regions cover, the last region's first."""
        above: Image.Image | None = None
        for mask in reversed(self.masks):
            yield mask if above is None else ImageChops.multiply(mask, ImageChops.invert(above))
            above = mask if above is None else ImageChops.lighter(above, mask)

    @cached_property
    def visible_shares(self) -> tuple[float, ...]:
        """Return the share of the canvas, 0 to 1, that is left of each region's mask."""
        return tuple(map(covered_share, self.visible_from_the_last()))[::-1]
