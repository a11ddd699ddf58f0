"""A stage: a scene made ready for a model, with everything that does not depend on the seed."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from smd_cli.core import masks as mask_maths
from smd_cli.core import schedule as schedules
from smd_cli.core.bootstrap import Bootstrap
from smd_cli.core.guidance import Guidance
from smd_cli.core.regions import Regions, Work, arrange_regions
from smd_cli.core.schedule import Schedule
from smd_cli.core.step import Method
from smd_cli.engine.pixels import mask_tensor, to_pixels
from smd_cli.models.backbone import Backbone
from smd_cli.models.conditioning import Conditioning, Prompt, prompt_table
from smd_cli.scene.resolve import Plan

_log = logging.getLogger(__name__)

WHITE_PROMPT = "simple white background image"
HIDDEN = 1e-6  # as published, the core takes a cover alpha of 0 for "off"; a scene means that nothing stays


@dataclass(frozen=True)
class Setting:
    """What surrounds a scene: its painted masks (canvas-sized, white = region) and its background picture."""

    masks: Sequence[Image.Image]
    background: Image.Image | None = None


@dataclass(frozen=True)
class Stage:
    """What the sampler needs of a scene, on the backbone's device.

    `shape` is that of the canvas's latents, (1, C, h, w); `table` holds the regions' positive prompts, then
    their negatives.
    """

    backbone: Backbone
    method: Method
    regions: Regions
    table: Conditioning
    shape: tuple[int, ...]

    @property
    def work(self) -> Work:
        """Model evaluations of one picture, and what they would be without savings."""
        return self.regions.work(self.method.guidance)


def set_stage(plan: Plan, setting: Setting, backbone: Backbone, *, batch: int) -> Stage:
    """Encode a scene's prompts and pictures and arrange its regions; `batch` views are evaluated at once."""
    schedule = build_schedule(plan, backbone)
    canvas = (plan.canvas.height, plan.canvas.width)
    white = backbone.encode_image(torch.ones(1, 3, *canvas, device=backbone.device))
    background = None
    if setting.background is not None:
        background = backbone.encode_image(to_pixels(setting.background).to(backbone.device))
    quantized = _quantized_masks(plan, setting, schedule, white.shape[-2:])
    tile = backbone.facts.native_size if plan.sampler.tile == "native" else plan.sampler.tile
    regions = arrange_regions(
        quantized.to(backbone.device), tile // backbone.facts.downscale, background=background, white=white
    )
    bootstrap = Bootstrap(
        white, plan.bootstrap.steps, plan.bootstrap.mix_steps, plan.bootstrap.leak_sensitivity or None
    )
    guidance = Guidance("full" if plan.sampler.guidance == "full" else "none", plan.sampler.guidance_scale)
    method = Method(schedule, guidance, bootstrap, batch)
    return Stage(backbone, method, regions, _prompts(plan, backbone), tuple(white.shape))


def build_schedule(plan: Plan, backbone: Backbone) -> Schedule:
    """Build the schedule that a scene asks for from the model's own noise levels."""
    prediction = backbone.facts.prediction_type
    if plan.sampler.kind == "ddim":
        return schedules.ddim(backbone.alphas_cumprod, plan.sampler.steps, prediction=prediction)
    indices, grid = plan.sampler.indices, plan.sampler.steps
    return schedules.lcm(backbone.alphas_cumprod, indices, grid=grid, prediction=prediction)


def _quantized_masks(plan: Plan, setting: Setting, schedule: Schedule, size: Sequence[int]) -> Tensor:
    """Return the masks (P, S, 1, h, w); a prompted background comes first, where the others leave room."""
    painted = mask_tensor(setting.masks, plan.canvas.width, plan.canvas.height)
    if len(painted):
        painted = mask_maths.cover(painted, max(plan.masks.cover_alpha, HIDDEN))
        std, strength = zip(*((r.mask_std, r.mask_strength) for r in plan.regions), strict=True)
        painted = mask_maths.soften(painted, std, strength)
    quantized = torch.zeros(0, len(schedule), 1, *size)
    if len(painted):
        quantized = mask_maths.quantize(painted, schedule.noise_levels, (size[0], size[1]), plan.masks.type)
        _tell_idle_regions(plan, quantized)
    return mask_maths.with_rest(quantized) if _is_painted(plan) else quantized


def _tell_idle_regions(plan: Plan, quantized: Tensor) -> None:
    """Warn of regions whose masks (P, S, 1, h, w) open at no step, which no picture would explain."""
    for region, opens in zip(plan.regions, quantized.flatten(1).any(1).tolist(), strict=True):
        if not opens:
            _log.warning(
                "region %r is not painted: at every step its mask is too faint or too small", region.name
            )


def _is_painted(plan: Plan) -> bool:
    """Tell whether the background is a region of its own: it has a prompt, and no picture stands there."""
    return plan.background.image == "none" and plan.background.prompt != ""


def _prompts(plan: Plan, backbone: Backbone) -> Conditioning:
    """Encode the prompts in the order of the masks; each may lean towards the background's."""
    behind = Prompt(plan.background.prompt or WHITE_PROMPT, plan.background.negative_prompt)
    prompts = [Prompt(region.prompt, region.negative_prompt) for region in plan.regions]
    strengths = [region.prompt_strength for region in plan.regions]
    if _is_painted(plan):
        prompts, strengths = [behind, *prompts], [1.0, *strengths]
    return prompt_table(backbone.encode_prompts, prompts, behind, strengths)
