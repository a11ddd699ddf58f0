"""A layout: the work that a scene asks of a model, known from its configs before any weight is read."""

import logging
from dataclasses import dataclass

from smd_cli.core.guidance import Guidance
from smd_cli.core.regions import Regions, Work, arrange_regions
from smd_cli.core.samplers import SamplerSteps, ScheduleMaker
from smd_cli.core.schedule import Schedule
from smd_cli.core.views import ViewChoice
from smd_cli.engine.layers import CanvasImages, Layer, scene_layers
from smd_cli.engine.soft_masks import quantized_masks, soft_pixels_at_once
from smd_cli.engine.tile_size import tile_side
from smd_cli.models.facts import ModelFacts
from smd_cli.scene.resolve import Plan

_log = logging.getLogger(__name__)

MOST_FEW_STEPS = 16
"""Steps that models distilled for few of them may take without a word; they were published with 1 to 8."""


@dataclass(frozen=True)
class Layout:
    """The work of a scene: its schedule, guidance, layers, and their regions, without a background so far.

    `shape` is that of the canvas's latents, (1, C, h, w); `soft_pixels` counts those of all masks that are
    softened at once.
    """

    schedule: Schedule
    guidance: Guidance
    layers: tuple[Layer, ...]
    regions: Regions
    shape: tuple[int, ...]
    soft_pixels: int

    @property
    def work(self) -> Work:
        """Return the model evaluations of one picture, and what they would be without savings."""
        return self.regions.work(self.guidance)


def make_layout(plan: Plan, images: CanvasImages, facts: ModelFacts, schedules: ScheduleMaker) -> Layout:
    """Arrange a scene's regions on the tiles of a model.

    Raises SceneError: the canvas wraps and is narrower than a tile.
    """
    size = (plan.canvas.height // facts.downscale, plan.canvas.width // facts.downscale)
    tile = tile_side(plan, facts) // facts.downscale
    schedule = scene_schedule(plan, facts, schedules)
    layers = scene_layers(plan, images)
    regions = arrange_regions(
        quantized_masks(plan, layers, images, schedule, facts.downscale),
        tile,
        overlap=plan.sampler.overlap,
        wrap=plan.canvas.wraps,
        behind=frozenset(index for index, layer in enumerate(layers) if layer.is_behind),
        choice=ViewChoice(
            own_until=plan.bootstrap.steps if plan.bootstrap.own_tiles else 0,
            coupled_from=plan.coupled_from,
        ),
    )
    sampler = plan.sampler
    guidance = Guidance(sampler.guidance, sampler.guidance_scale, sampler.delta, sampler.guidance_rescale)
    soft_pixels = soft_pixels_at_once(plan, images)
    return Layout(schedule, guidance, layers, regions, (1, facts.latent_channels, *size), soft_pixels)


def scene_schedule(plan: Plan, facts: ModelFacts, schedules: ScheduleMaker) -> Schedule:
    """Make the schedule of a scene's sampler; warns of one that does not suit the model.

    Raises as `tile_side`.
    """
    tile = tile_side(plan, facts)
    view = tuple(min(tile, side) // facts.downscale for side in (plan.canvas.height, plan.canvas.width))
    steps = sampler_steps(plan, (view[0], view[1]))
    schedule = schedules.make_schedule(plan.sampler.kind, steps)
    begins_early = plan.sampler.spacing == "leading" and schedule.noise_levels[0] < 1
    if facts.zero_terminal_snr and begins_early and steps.strength == 1:
        _log.warning(
            "the model was trained down to noise alone (zero terminal SNR), but with the spacing leading "
            "pictures begin at timestep %d; set sampler.spacing to trailing",
            schedule.timesteps[0],
        )
    if facts.few_step and not plan.sampler.facts.few_step and len(schedule) > MOST_FEW_STEPS:
        _log.warning(
            "the model was distilled for few steps, and takes %d; set sampler.steps to 1 to 8", len(schedule)
        )
    return schedule


def sampler_steps(plan: Plan, view: tuple[int, int]) -> SamplerSteps:
    """Return the steps that a scene asks for; `view` is (height, width) of a view in latent pixels."""
    sampler, has_input = plan.sampler, plan.task == "stream" and plan.stream.input is not None
    strength = plan.stream.strength if has_input else plan.background.strength
    return SamplerSteps(
        sampler.steps,
        sampler.indices,
        view,
        strength=1.0 if strength is None else strength,
        spacing=sampler.spacing or "trailing",
        gamma=sampler.gamma or 0.0,
    )
