"""A layout: what a scene asks of a model, known from the model's configs before any weight is read."""

from dataclasses import dataclass

from torch import Tensor

from smd_cli.core import schedule as schedules
from smd_cli.core.guidance import Guidance
from smd_cli.core.regions import Regions, Work, arrange_regions
from smd_cli.core.schedule import Schedule
from smd_cli.engine.masks import Setting, SoftMasks, quantized_masks, soft_masks
from smd_cli.errors import SceneError
from smd_cli.models.facts import ModelFacts
from smd_cli.scene.resolve import Plan


@dataclass(frozen=True)
class Layout:
    """The work of a scene: its schedule, guidance, and regions that lie on no background yet.

    `shape` is that of the canvas's latents, (1, C, h, w).
    """

    schedule: Schedule
    guidance: Guidance
    regions: Regions
    shape: tuple[int, ...]
    soft: SoftMasks

    @property
    def work(self) -> Work:
        """Model evaluations of one picture, and what they would be without savings."""
        return self.regions.work(self.guidance)


def lay_out(plan: Plan, setting: Setting, facts: ModelFacts, alphas_cumprod: Tensor) -> Layout:
    """Arrange a scene's regions on the tiles of a model.

    Raises SceneError: the canvas wraps and is narrower than a tile.
    """
    schedule = build_schedule(plan, facts, alphas_cumprod)
    size = (plan.canvas.height // facts.downscale, plan.canvas.width // facts.downscale)
    soft = soft_masks(plan, setting)
    regions = arrange_regions(
        quantized_masks(plan, setting, soft, schedule, size),
        tile_side(plan, facts) // facts.downscale,
        overlap=plan.sampler.overlap,
        wrap=plan.canvas.wrap == "x",
        extending=frozenset({0} if setting.background_goes_on(plan) else ()),
    )
    sampler = plan.sampler
    guidance = Guidance(sampler.guidance, sampler.guidance_scale, sampler.delta)
    return Layout(schedule, guidance, regions, (1, facts.latent_channels, *size), soft)


def build_schedule(plan: Plan, facts: ModelFacts, alphas_cumprod: Tensor) -> Schedule:
    """Build the schedule that a scene asks for from the model's own noise levels.

    Image-to-image goes the last part of the way, the `strength` of it: consistency models in as many
    steps, for they can start anywhere on their grid; DDIM in the steps that lie there.
    """
    sampler, has_input = plan.sampler, plan.task == "stream" and plan.stream.input is not None
    strength = plan.stream.strength if has_input else plan.background.strength
    share = 1.0 if strength is None else strength
    if sampler.kind == "ddim":
        whole = schedules.ddim(alphas_cumprod, sampler.steps, prediction=facts.prediction_type)
        return whole.last(max(int(sampler.steps * share), 1))
    indices = sorted({int(sampler.steps * (1 - share) + share * index) for index in sampler.indices})
    return schedules.lcm(alphas_cumprod, indices, grid=sampler.steps, prediction=facts.prediction_type)


def tile_side(plan: Plan, facts: ModelFacts) -> int:
    """Return the side of a tile in px.

    Raises SceneError: the canvas wraps and is narrower than that.
    """
    tile = facts.native_size if plan.sampler.tile == "native" else plan.sampler.tile
    if plan.canvas.wrap == "x" and plan.canvas.width < tile:
        raise SceneError(
            f"{plan.canvas.width} px cannot close on themselves, a tile has {tile} px; widen the canvas, or "
            "set sampler.tile"
        )
    return tile
