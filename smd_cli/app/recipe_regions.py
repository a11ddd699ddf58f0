"""Where the regions of a picture or film lie, as its recipe says. Knows no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from smd_cli.app.named_files import picture_files
from smd_cli.errors import MismatchError
from smd_cli.media.comparison import split_areas
from smd_cli.media.difference_picture import Area
from smd_cli.media.paint import ScenePainter
from smd_cli.media.recipe import Recipe
from smd_cli.messages import Place
from smd_cli.scene.frame_times import EvenTimes, FrameTimes
from smd_cli.scene.loader import load_data
from smd_cli.scene.resolve import Plan, Size, resolve
from smd_cli.scene.stream_section import DEFAULT_FPS
from smd_cli.scene.timeline import plan_at


class FrameAreas(NamedTuple):
    """The regions of a frame, and the rest of it; no two share a pixel. None: it is not known."""

    regions: Sequence[Area] = ()
    rest: Image.Image | None = None


@dataclass
class RecipeRegions:
    """The regions of a picture, or of the frames of a film.

    Attributes:
        plan: of the recipe's scene.
        size: of the picture in px.
        times: when frames are shown.
    """

    plan: Plan
    size: Size
    times: FrameTimes
    _painter: ScenePainter = field(default_factory=ScenePainter)
    _painted: tuple[Image.Image, ...] = ()
    _areas: FrameAreas = field(default_factory=FrameAreas)

    @classmethod
    def of(
        cls, recipe: Recipe, path: Path, folder: Path, size: Size, times: FrameTimes | None
    ) -> RecipeRegions:
        """Read the scene of the recipe that lies at a path, and compare the files of its masks with it.

        Relative paths start at `folder`; `times` are those of a film's frames, if it has any.

        Raises:
            MismatchError: the picture has not the size of its scene, or a mask is another file now.
            SceneError, AssetError: the scene cannot be read, or a mask is missing.
        """
        loaded = load_data(recipe.to_scene(), base_dir=folder, place=Place(str(path)), name=path.stem)
        plan = resolve(loaded.scene, loaded.name, loaded.base_dir, size)
        if plan.size != size:
            given = "x".join(map(str, plan.size))
            raise MismatchError(f"{path}: its scene is one of {given} px")
        _check_masks(plan, recipe, path)
        found = cls(plan, size, times or EvenTimes.of(plan.stream.fps or DEFAULT_FPS))
        found.at(0)
        return found

    def at(self, frame: int) -> FrameAreas:
        """Return the regions of a frame, counted from 0. Raises as `ScenePainter.paint_masks`."""
        plan = plan_at(self.plan, frame, self.times) if self.plan.task == "stream" else self.plan
        painted = self._painter.paint_masks(plan)
        if len(painted) != len(self._painted) or any(map(_differ, painted, self._painted)):
            masks = [mask.crop((0, 0, *self.size)) for mask in painted]  # of a canvas that is larger
            areas, rest = split_areas(masks, self.size)
            named = [Area(region.name, area) for region, area in zip(plan.regions, areas, strict=True)]
            self._painted, self._areas = painted, FrameAreas(named, rest if named else None)
        return self._areas


def _differ(one: Image.Image, other: Image.Image) -> bool:
    return one is not other


def _check_masks(plan: Plan, recipe: Recipe, path: Path) -> None:
    """Raise MismatchError or AssetError where a mask is not the file that the recipe was made with."""
    for file in picture_files(plan):
        if file.loc[-1] == "mask" and file.sha256 != recipe.digests.get(file.key):
            raise MismatchError(f"{path}: {file.what}, {file.name}, is not the file that it was made with")
