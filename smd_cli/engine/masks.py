"""The masks of a scene as tensors: softened in px, and quantized for each step in latents."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from smd_cli.core import masks as maths
from smd_cli.core.schedule import Schedule
from smd_cli.engine.pixels import mask_tensor
from smd_cli.scene.resolve import Plan

_log = logging.getLogger(__name__)

HIDDEN = 1e-6  # as published, the core takes a cover alpha of 0 for "off"; a scene means that nothing stays
SEAM = 8.0  # px: how softly new area is joined to the picture that it extends


@dataclass(frozen=True)
class Setting:
    """What surrounds a scene, canvas-sized: its painted masks (white = region) and its background picture.

    `new_area` is white where the picture does not reach, or None where it covers the canvas.
    """

    masks: Sequence[Image.Image]
    background: Image.Image | None = None
    new_area: Image.Image | None = None

    def is_extended(self, plan: Plan) -> bool:
        """Tell whether the background's prompt fills new area beside its picture, and that alone."""
        return self.new_area is not None and plan.background.strength is None

    def is_painted(self, plan: Plan) -> bool:
        """Tell whether the background's prompt is a region of its own, before the others."""
        keeps_picture = self.background is not None and plan.background.strength is None
        return bool(plan.background.prompt) and (not keeps_picture or self.is_extended(plan))

    def background_goes_on(self, plan: Plan) -> bool:
        """Tell whether the background's prompt paints what it sees around it, never alone on white."""
        return self.is_painted(plan) and (self.is_extended(plan) or plan.bootstrap.show_through)


@dataclass(frozen=True)
class SoftMasks:
    """Blurred masks in px, 1 inside: of the regions (P, 1, H, W), and of new area (1, 1, H, W) if any."""

    regions: Tensor
    new_area: Tensor | None

    def covered(self) -> Tensor:
        """Return how far anything is painted over the background picture, (1, 1, H, W): 0 where it stays."""
        covered = self.regions.sum(0, keepdim=True)
        return (covered if self.new_area is None else covered + self.new_area).clip(0, 1)


def soft_masks(plan: Plan, setting: Setting) -> SoftMasks:
    """Cover and blur a scene's masks; new area grows into the picture, so that it ends in what is there."""
    wraps = plan.canvas.wrap == "x"
    painted = mask_tensor(setting.masks, plan.canvas.width, plan.canvas.height)
    if len(painted):
        painted = maths.cover(painted, max(plan.masks.cover_alpha, HIDDEN))
        painted = _blurred(painted, [region.mask_std for region in plan.regions], wraps=wraps)
    if setting.new_area is None:
        return SoftMasks(painted, None)
    new = mask_tensor([setting.new_area], plan.canvas.width, plan.canvas.height)
    return SoftMasks(painted, _blurred(_grown(new, math.ceil(3 * SEAM)), [SEAM], wraps=wraps).maximum(new))


def quantized_masks(
    plan: Plan, setting: Setting, soft: SoftMasks, schedule: Schedule, size: tuple[int, int]
) -> Tensor:
    """Quantize masks for latents of `size`: (P, S, 1, h, w).

    A background that is painted comes first, where the others leave room or whole behind them. Warns of
    regions that open nowhere.
    """

    def quantize(masks: Tensor) -> Tensor:
        if not len(masks):
            return torch.zeros(0, len(schedule), 1, *size)
        return maths.quantize(masks, schedule.noise_levels, size, plan.masks.type)

    strengths = torch.tensor([region.mask_strength for region in plan.regions])
    quantized = quantize(soft.regions * strengths.view(-1, 1, 1, 1))
    _tell_idle_regions(plan, soft.regions, quantized)
    if not setting.is_painted(plan):
        return quantized
    if not setting.background_goes_on(plan):
        return maths.with_rest(quantized)
    complete = maths.with_whole(quantized, plan.bootstrap.steps if plan.bootstrap.show_through else 0)
    if soft.new_area is not None and setting.is_extended(plan):
        complete[:1] = complete[:1].minimum(quantize(soft.new_area))
    return complete


def _grown(mask: Tensor, reach: int) -> Tensor:
    """Grow a mask (1, 1, H, W) by `reach` px to all sides."""
    rows = F.max_pool2d(mask, (2 * reach + 1, 1), 1, (reach, 0))
    return F.max_pool2d(rows, (1, 2 * reach + 1), 1, (0, reach))


def _blurred(masks: Tensor, std: Sequence[float], *, wraps: bool) -> Tensor:
    """Blur masks (P, 1, H, W), across the edge where the canvas wraps."""
    ones = [1.0] * len(std)
    reach = min(math.ceil(3 * max(std)), masks.shape[-1])
    if not wraps or reach == 0:
        return maths.soften(masks, std, ones)
    wide = torch.cat([masks[..., -reach:], masks, masks[..., :reach]], dim=-1)
    return maths.soften(wide, std, ones)[..., reach:-reach]


def _tell_idle_regions(plan: Plan, soft: Tensor, quantized: Tensor) -> None:
    """Warn of regions whose masks open at no step, which no picture would explain.

    `soft` (P, 1, H, W) is empty where a region of a stream has left the canvas; `quantized` (P, S, 1, h, w).
    """
    idle = soft.flatten(1).any(1) & ~quantized.flatten(1).any(1)
    for region, is_idle in zip(plan.regions, idle.tolist(), strict=True):
        if is_idle:
            _log.warning(
                "region %r is not painted: at every step its mask is too faint or too small", region.name
            )
