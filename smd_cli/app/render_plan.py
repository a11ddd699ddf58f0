"""The plan of a render: its work, tiles, memory and models, found without reading a weight. Imports torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from smd_cli.app.model_availability import RequiredModel, model_availability
from smd_cli.app.model_fit import check_fit, check_parts
from smd_cli.app.model_spec import at_model
from smd_cli.app.models import asked_placement, choose_place, placement_of
from smd_cli.app.rendering import canvas_images
from smd_cli.app.scenes import OpenedScene
from smd_cli.app.settings import RenderSettings
from smd_cli.app.stream_input import StreamInput, find_stream_input
from smd_cli.core.regions import Work
from smd_cli.core.tiling import Box
from smd_cli.engine.batching import most_at_once
from smd_cli.engine.device import Placement, device_name, free_memory_bytes
from smd_cli.engine.layout import Layout, make_layout
from smd_cli.engine.memory import estimate
from smd_cli.media.canvas import PixelBox
from smd_cli.models.backbone import dtype_name
from smd_cli.models.facts import ModelFacts
from smd_cli.scene.resolve import Plan


@dataclass(frozen=True)
class StepWork:
    """What one step takes: `evaluations` of the model for its `views`, coupled or not; steps count from 1."""

    step: int
    views: int
    coupled: bool
    evaluations: int
    without_savings: int


@dataclass(frozen=True)
class Memory:
    """What a render holds at its peak, and where and how the model computes.

    `free_bytes` are those that are free now on the device, where they are why less than `high` was chosen.
    """

    peak_bytes: int
    placement: Placement
    free_bytes: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "placement": self.placement.memory,
            "peak_bytes": self.peak_bytes,
            "free_bytes": self.free_bytes,
            "device": device_name(self.placement.device),
            "dtype": dtype_name(self.placement.dtype),
            "weights": self.placement.weights,
        }


@dataclass(frozen=True)
class Forecast:
    """What the model decides: the work of a picture, its tiles in latents, its memory; its facts."""

    work: Work
    steps: tuple[StepWork, ...]
    boxes: tuple[Box, ...]
    memory: Memory
    facts: ModelFacts

    @property
    def memory_bytes(self) -> int:
        """The bytes that are expected to be held at the peak."""
        return self.memory.peak_bytes

    @property
    def tiles(self) -> tuple[PixelBox, ...]:
        """The tiles in px."""
        px = self.facts.downscale
        return tuple((box.left * px, box.top * px, box.right * px, box.bottom * px) for box in self.boxes)

    @property
    def tile_size(self) -> tuple[int, int]:
        """Width and height of every tile, px; the canvas can be narrower than a tile is set."""
        top, bottom, left, right = self.boxes[0]
        return (right - left) * self.facts.downscale, (bottom - top) * self.facts.downscale


@dataclass(frozen=True)
class RenderPlan:
    """A scene's plan, the models it needs, and its forecast; None where the base model is missing.

    `stream` is the input and the frames of a stream; None for a picture. `recommended` are those of the
    plan's values that the model recommends, by their place in the scene.
    """

    plan: Plan
    recommended: Mapping[str, Any]
    models: tuple[RequiredModel, ...]
    forecast: Forecast | None
    stream: StreamInput | None

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `--json` prints."""
        known = self.forecast
        return {
            "work": known and known.work._asdict(),
            "steps": [asdict(step) for step in known.steps] if known else [],
            "tiles": known and {"count": len(known.boxes), "px": known.tile_size},
            "memory_bytes": known and known.memory_bytes,
            "memory": known and known.memory.to_dict(),
            "prediction": known and _prediction(known.facts),
            "stream": self.stream and self.stream.to_dict(),
            "models": [model.to_dict() for model in self.models],
            "recommended": dict(self.recommended),
            "scene": self.plan.to_dict(),
        }


def plan_render(
    scene: OpenedScene, settings: RenderSettings, stream: StreamInput | None = None
) -> RenderPlan:
    """Find what rendering a scene would take; `stream` is its input, where that has been found already.

    Raises:
        AssetError: the input of a stream cannot be read, or models do not go together.
        DeviceError: the device or dtype is not there.
        SceneError: the canvas does not suit the model.
    """
    if scene.plan.task == "stream":
        stream = stream or find_stream_input(scene)
    choose_place(settings)
    models = model_availability(scene)
    if models.assets is None:
        return RenderPlan(scene.plan, scene.recommended, models.required, None, stream)
    facts = models.assets.facts
    with at_model(scene):
        if models.conflict:
            raise models.conflict
        check_fit(scene, models.assets)
        check_parts(scene, models.assets)
        schedules = models.assets.schedules
    layout = make_layout(scene.plan, canvas_images(scene.images), facts, schedules)
    placement = placement_of(scene.plan, models.assets, asked_placement(models.assets, settings))
    most = most_at_once(placement.device, placement.memory) if settings.batch == "auto" else settings.batch
    at_once = min(most, max(len(views) for views in layout.regions.views))
    is_scarce = settings.memory == "auto" and placement.memory != "high"
    free = free_memory_bytes(placement.device) if is_scarce else None
    memory = Memory(estimate(layout, models.assets, placement, at_once), placement, free)
    forecast = _forecast(scene.plan, layout, facts, memory)
    return RenderPlan(scene.plan, scene.recommended, models.required, forecast, stream)


def _forecast(plan: Plan, layout: Layout, facts: ModelFacts, memory: Memory) -> Forecast:
    uncoupled = len(layout.regions.views) if plan.coupled_from is None else plan.coupled_from
    steps = tuple(
        StepWork(step + 1, len(views), step >= uncoupled, *layout.regions.work(layout.guidance, [step]))
        for step, views in enumerate(layout.regions.views)
    )
    return Forecast(layout.work, steps, layout.regions.tiling.boxes, memory, facts)


def _prediction(facts: ModelFacts) -> dict[str, Any]:
    return {
        "type": facts.prediction_type,
        "zero_terminal_snr": facts.zero_terminal_snr,
        "source": facts.prediction_source,
    }
