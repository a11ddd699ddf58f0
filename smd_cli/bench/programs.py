"""The programs that are timed: this one as it is, and the plain loop that it does without."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from PIL import Image

from smd_cli.core.guidance import Guidance
from smd_cli.core.regions import Regions
from smd_cli.core.views import View, select_views
from smd_cli.engine.events import Clock
from smd_cli.engine.prepare import PreparedScene
from smd_cli.engine.render import render


@dataclass(frozen=True)
class Program:
    """A way to paint a scene's picture.

    Attributes:
        name: what tables call it.
        paint: from a seed to the picture, decoding included.
        evaluations: model rows that one picture takes.
        paints_the_same: its maths is this program's, up to rounding.
    """

    name: str
    paint: Callable[[int], Image.Image]
    evaluations: int
    paints_the_same: bool = True


@dataclass(frozen=True)
class BothHalves(Guidance):
    """Guidance that evaluates the negative prompt even where a scale of 1 cancels it."""

    @property
    def is_off(self) -> bool:
        """Tell whether the negative has no say."""
        return False


def this_program(scene: PreparedScene) -> Program:
    """Paint as `smd` does."""
    evaluations = scene.work.model_evaluations
    return Program("this program", lambda seed: render(scene, seed, Clock()).image, evaluations)


def coupled(scene: PreparedScene) -> Program:
    """Paint a scene whose late steps are coupled, which is another picture."""
    return replace(this_program(scene), name="coupled", paints_the_same=False)


def plain_loop(scene: PreparedScene) -> Program:
    """Evaluate every prompt in every tile at every step, one view after another, both halves of the guidance.

    The published implementations do this work. It is the same scene without any saving, so the difference in
    time is what the savings are worth.
    """
    scale = scene.method.guidance.scale if scene.method.guidance.kind == "full" else 1.0
    method = replace(scene.method, guidance=BothHalves("full", scale), batch=1)
    regions = replace(scene.regions, views=every_view(scene.regions))
    plain = replace(scene, method=method, regions=regions)
    return replace(this_program(plain), name="plain loop")


def every_view(regions: Regions) -> tuple[tuple[View, ...], ...]:
    """Return, for each step, a view of every region in every tile, also where the region weighs nothing."""
    views = select_views(regions.masks, regions.tiling)  # none with a tile of its own, or coupled
    chosen = {(view.step, view.regions, view.tile): view for step in views for view in step}
    return tuple(
        tuple(
            chosen.get((step, (region,), tile), View(step, (region,), tile, box, (0, 0)))
            for tile, box in enumerate(regions.tiling.boxes)
            for region in range(len(regions))
        )
        for step in range(len(regions.views))
    )
