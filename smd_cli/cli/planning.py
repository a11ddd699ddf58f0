"""What a render would take, found out without a weight being read.

Imports torch; the commands import it when a scene is good.
"""

from dataclasses import asdict, dataclass
from typing import Any

from smd_cli.cli.options import Rendering
from smd_cli.cli.rendering import check_tiles, model_spec, setting
from smd_cli.cli.scenes import OpenScene
from smd_cli.cli.stock import Needed, take_stock
from smd_cli.core.regions import Work
from smd_cli.engine.batching import MOST
from smd_cli.engine.layout import Layout, lay_out
from smd_cli.engine.memory import estimate
from smd_cli.media.canvas import Box
from smd_cli.models.device import choose_device, choose_dtype
from smd_cli.models.facts import ModelFacts
from smd_cli.scene.resolve import Plan


@dataclass(frozen=True)
class StepWork:
    """What one step takes: `evaluations` of the model for its `views`; steps count from 1."""

    step: int
    views: int
    evaluations: int
    without_savings: int


@dataclass(frozen=True)
class Forecast:
    """What the model decides: the work of one picture, its tiles in px, and the memory at its peak."""

    work: Work
    steps: tuple[StepWork, ...]
    tiles: tuple[Box, ...]
    memory_bytes: int

    @property
    def tile_size(self) -> tuple[int, int]:
        """Width and height of every tile, px; the canvas can be narrower than a tile is set."""
        left, top, right, bottom = self.tiles[0]
        return right - left, bottom - top


@dataclass(frozen=True)
class Survey:
    """A scene's plan, the models it needs, and its forecast; None where the base model is missing."""

    plan: Plan
    models: tuple[Needed, ...]
    forecast: Forecast | None

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `--json` prints."""
        known = self.forecast
        return {
            "work": known and known.work._asdict(),
            "steps": [asdict(step) for step in known.steps] if known else [],
            "tiles": known and {"count": len(known.tiles), "px": known.tile_size},
            "memory_bytes": known and known.memory_bytes,
            "models": [model.to_dict() for model in self.models],
            "scene": self.plan.to_dict(),
        }


def survey(scene: OpenScene, how: Rendering) -> Survey:
    """Find out what rendering a scene would take.

    Raises:
        DeviceError: the device or dtype is not there.
        SceneError: the canvas is too narrow for the model's tiles.
    """
    device = choose_device(how.device)
    dtype = choose_dtype(how.dtype, device)
    stock = take_stock(model_spec(scene.plan.model), few_step=scene.plan.sampler.kind == "lcm")
    if stock.assets is None:
        return Survey(scene.plan, stock.needed, None)
    check_tiles(scene, stock.assets.facts)
    training_schedule = stock.assets.family.training_schedule(stock.assets.configs)
    layout = lay_out(scene.plan, setting(scene.painted), stock.assets.facts, training_schedule)
    at_most = MOST[device.type] if how.batch == "auto" else how.batch
    at_once = min(at_most, max(len(views) for views in layout.regions.views))
    memory = estimate(layout, stock.assets, dtype, at_once)
    return Survey(scene.plan, stock.needed, _forecast(layout, stock.assets.facts, memory))


def _forecast(layout: Layout, facts: ModelFacts, memory_bytes: int) -> Forecast:
    everything = layout.work.without_savings // len(layout.schedule)
    steps = tuple(
        StepWork(step + 1, len(views), len(views) * layout.guidance.rows_per_view(step), everything)
        for step, views in enumerate(layout.regions.views)
    )
    px = facts.downscale
    tiles = tuple(
        (box.left * px, box.top * px, box.right * px, box.bottom * px) for box in layout.regions.tiling.boxes
    )
    return Forecast(layout.work, steps, tiles, memory_bytes)
