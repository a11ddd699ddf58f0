"""What differs between two pictures or films: in their recipes, and in their pixels, region by region.

Knows no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from filecmp import cmp
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from smd_cli.app.origin import picture_at
from smd_cli.app.recipe_regions import FrameAreas, RecipeRegions
from smd_cli.errors import AssetError, SmdError
from smd_cli.media.comparison import PixelDifference, alike, compare_pixels
from smd_cli.media.difference_picture import Area
from smd_cli.media.images import open_picture, report_read_errors
from smd_cli.media.recipe import Recipe, read_recipe
from smd_cli.media.recipe_changes import Change, changes
from smd_cli.media.sources import FrameSource, open_frame_source


@dataclass(frozen=True)
class Shown:
    """A picture or film to compare.

    Attributes:
        path: of the file, or the folder of frames.
        source: its frames.
        recipe: that it carries; None: none.
        missing: why there is no recipe, in a line.
    """

    path: Path
    source: FrameSource
    recipe: Recipe | None
    missing: str = ""

    @classmethod
    def at(cls, path: Path) -> Shown:
        """Open what lies at a path. Raises AssetError: there is no readable picture or film."""
        source = open_frame_source(path)
        try:
            return cls(path, source, read_recipe(picture_at(path) or path))
        except AssetError as error:
            return cls(path, source, None, str(error))

    def frames(self) -> Iterator[Image.Image]:
        """Yield the frames; of a picture that one, with its alpha channel. Raises AssetError."""
        if self.source.still and self.path.is_file():
            return iter([open_picture(self.path).image])
        return iter(self.source)


@dataclass(frozen=True)
class RecipeDiff:
    """What differs between two recipes.

    Attributes:
        scene: values of the scene, the model's family, and the rendering version. How files are called that
            are the same ones does not count.
        files: the places of files that are not the same.
        computation: what the rounding of pixels depends on, and the model's revision.
    """

    scene: tuple[Change, ...]
    files: tuple[str, ...]
    computation: tuple[Change, ...]

    @classmethod
    def of(cls, one: Recipe, other: Recipe) -> RecipeDiff:
        """Compare two recipes."""
        found = one.compared(other)
        rendering = changes({"rendering": one.rendering}, {"rendering": other.rendering})
        before, after = ({"revision": each.revision, **each.rounding} for each in (one, other))
        return cls((*found.values, *rendering), tuple(found.files), tuple(changes(before, after)))

    @property
    def shapes_the_same(self) -> bool:
        """Tell whether both make the same picture, but for rounding."""
        return not (self.scene or self.files)

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        return {
            "scene": [_sides(change) for change in self.scene],
            "files": list(self.files),
            "computation": [_sides(change) for change in self.computation],
        }


class ComparedFrame(NamedTuple):
    """A frame of both films: its number, its pictures, its regions, and by how many levels it differs."""

    number: int
    one: Image.Image
    other: Image.Image
    regions: Sequence[Area]
    mean: float


@dataclass
class PixelDiff:
    """What differs between the pixels of two pictures, or of two films frame by frame.

    Attributes:
        whole: over all of it.
        regions: over what shows of each region of the first scene, by name; empty where they are not known.
        rest: over what belongs to no region; None where they are not known, or cover everything.
        frames: how many were compared.
        differing: the numbers of those that differ, from 0.
        unlike: the numbers of those that differ in size, whose pixels are not compared.
        most: the frame that differs most; None: none was compared.
    """

    whole: PixelDifference | None = None
    regions: dict[str, PixelDifference] = field(default_factory=dict)
    rest: PixelDifference | None = None
    frames: int = 0
    differing: list[int] = field(default_factory=list)
    unlike: list[int] = field(default_factory=list)
    most: ComparedFrame | None = None

    def add(self, one: Image.Image, other: Image.Image, areas: FrameAreas) -> None:
        """Add a frame."""
        if one.size != other.size:
            self.unlike.append(self.frames)
            self.differing.append(self.frames)
            self.frames += 1
            return
        before, after = alike(one, other)
        whole = compare_pixels(before, after)
        self.whole = _sum(self.whole, whole)
        for name, mask in areas.regions:
            self.regions[name] = _sum(self.regions.get(name), compare_pixels(before, after, mask))
        if areas.rest and areas.rest.getbbox():
            self.rest = _sum(self.rest, compare_pixels(before, after, areas.rest))
        if whole.largest:
            self.differing.append(self.frames)
        if self.most is None or whole.mean > self.most.mean:
            self.most = ComparedFrame(self.frames, one, other, areas.regions, whole.mean)
        self.frames += 1

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        return {
            "whole": self.whole and self.whole.to_dict(),
            "regions": {name: area.to_dict() for name, area in self.regions.items()},
            "rest": self.rest and self.rest.to_dict(),
            "frames": {"compared": self.frames, "differ": self.differing},
        }


@dataclass(frozen=True)
class PictureDiff:
    """What differs between two pictures or films.

    Attributes:
        one: the first.
        other: the second.
        recipe: what differs between their recipes; None where one has none.
        pixels: what differs between their pixels.
        why_whole: why regions are not told apart; empty: they are.
        same_bytes: they are the same file, or copies of one.
    """

    one: Shown
    other: Shown
    recipe: RecipeDiff | None
    pixels: PixelDiff
    why_whole: str
    same_bytes: bool

    @classmethod
    def of(cls, one: Path, other: Path, base_dir: Path | None = None) -> PictureDiff:
        """Compare two pictures, films or folders of frames.

        Masks are looked for in `base_dir`, by default in the folder of the first. Raises AssetError: one
        cannot be read.
        """
        first, second, pixels = Shown.at(one), Shown.at(other), PixelDiff()
        regions, why_whole = _regions(first, base_dir)
        for frame, pair in enumerate(zip(first.frames(), second.frames(), strict=False)):
            is_known = regions and pair[0].size == regions.size  # in a folder, others may lie too
            pixels.add(*pair, regions.at(frame) if regions and is_known else FrameAreas())
        recipe = None
        if first.recipe and second.recipe:
            recipe = RecipeDiff.of(first.recipe, second.recipe)
        return cls(first, second, recipe, pixels, why_whole, _same_bytes(one, other))

    @property
    def is_film(self) -> bool:
        """Tell whether one of them has several frames."""
        return max(self.one.source.frames, self.other.source.frames) > 1

    @property
    def same_pixels(self) -> bool:
        """Tell whether all frames are equal, and equally many."""
        return not self.pixels.differing and self.one.source.frames == self.other.source.frames

    @property
    def equal(self) -> bool:
        """Tell whether both show the same, and their recipes make the same picture, as far as they have any.

        What their pixels were computed with does not count: where it matters, the pixels tell.
        """
        return self.same_pixels and (self.recipe is None or self.recipe.shapes_the_same)

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        return {
            "equal": self.equal,
            "files": [
                {
                    "path": str(each.path),
                    "width": each.source.size[0],
                    "height": each.source.size[1],
                    "frames": each.source.frames,
                    "recipe": each.recipe is not None,
                }
                for each in (self.one, self.other)
            ],
            "recipe": self.recipe and self.recipe.to_dict(),
            "pixels": self.pixels.to_dict(),
        }


def _regions(shown: Shown, base_dir: Path | None) -> tuple[RecipeRegions | None, str]:
    """Return the regions of a picture; None where they are not known, and why."""
    if shown.recipe is None:
        return None, shown.missing
    try:
        source, folder = shown.source, base_dir or shown.path.parent
        return RecipeRegions.of(shown.recipe, shown.path, folder, source.size, source.times), ""
    except SmdError as error:
        return None, error.problems[0]


def _same_bytes(one: Path, other: Path) -> bool:
    """Tell whether two files are equal. Raises AssetError: one cannot be read any more."""
    if not (one.is_file() and other.is_file()):
        return False
    with report_read_errors(one):
        return cmp(one, other, shallow=False)


def _sum(before: PixelDifference | None, more: PixelDifference) -> PixelDifference:
    return more if before is None else before + more


def _sides(change: Change) -> dict[str, Any]:
    return {"place": change.place, "a": change.before, "b": change.now}
