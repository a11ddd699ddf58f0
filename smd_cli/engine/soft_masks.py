"""The masks of a scene as tensors: softened in px, and quantized for each step in latents."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from smd_cli.core import masks as core_masks
from smd_cli.core.schedule import Schedule
from smd_cli.engine.layers import CanvasImages, Layer
from smd_cli.engine.pixels import mask_tensor
from smd_cli.scene.resolve import Plan

_log = logging.getLogger(__name__)

HIDDEN = 1e-6  # as published, the core takes a cover alpha of 0 for "off"; a scene means that nothing stays
SEAM = 8.0  # px: how softly new area is joined to the picture that it extends


@dataclass(frozen=True)
class SoftMasks:
    """Blurred masks in px, 1 inside: of the regions (P, 1, H, W), and of new area (1, 1, H, W) if any."""

    regions: Tensor
    new_area: Tensor | None

    def covered(self) -> Tensor:
        """Return how far anything is painted over the background picture, (1, 1, H, W): 0 where it stays."""
        covered = self.regions.sum(0, keepdim=True)
        return (covered if self.new_area is None else covered + self.new_area).clip(0, 1)


def soft_masks(plan: Plan, images: CanvasImages) -> SoftMasks:
    """Cover and blur a scene's masks; new area grows into the picture, so that it ends in what is there."""
    wraps = plan.canvas.wraps
    painted = mask_tensor(images.masks, plan.canvas.width, plan.canvas.height)
    if len(painted):
        painted = core_masks.cover(painted, max(plan.masks.cover_alpha, HIDDEN))
        painted = _blurred(painted, [region.mask_std for region in plan.regions], wraps=wraps)
    if images.new_area is None:
        return SoftMasks(painted, None)
    new = mask_tensor([images.new_area], plan.canvas.width, plan.canvas.height)
    return SoftMasks(painted, _blurred(_grown(new, math.ceil(3 * SEAM)), [SEAM], wraps=wraps).maximum(new))


def quantized_masks(
    plan: Plan, layers: Sequence[Layer], soft: SoftMasks, schedule: Schedule, size: tuple[int, int]
) -> Tensor:
    """Quantize the masks of a scene's layers for latents of `size`: (P, S, 1, h, w).

    A background's is what the regions leave at each step, or whole where it lies behind them. Warns of
    regions that open nowhere.
    """

    def quantize(masks: Tensor) -> Tensor:
        if not len(masks):
            return torch.zeros(0, len(schedule), 1, *size)
        return core_masks.quantize(masks, schedule.noise_levels, size, plan.masks.type)

    def background(layer: Layer) -> Tensor:
        if not layer.is_behind:
            return core_masks.uncovered(regions)
        steps = plan.bootstrap.steps if plan.bootstrap.show_through else 0
        whole = core_masks.whole_behind(regions, steps)
        if soft.new_area is not None and layer.in_new_area:
            whole = whole.minimum(quantize(soft.new_area))
        return whole

    strengths = torch.tensor([region.mask_strength for region in plan.regions])
    regions = quantize(soft.regions * strengths.view(-1, 1, 1, 1))
    _warn_of_idle_regions(plan, soft.regions, regions)
    own = (regions[[index]] for index in range(len(regions)))
    return torch.cat([background(layer) if layer.region is None else next(own) for layer in layers])


def _grown(mask: Tensor, reach: int) -> Tensor:
    """Grow a mask (1, 1, H, W) by `reach` px to all sides."""
    rows = F.max_pool2d(mask, (2 * reach + 1, 1), 1, (reach, 0))
    return F.max_pool2d(rows, (1, 2 * reach + 1), 1, (0, reach))


def _blurred(masks: Tensor, std: Sequence[float], *, wraps: bool) -> Tensor:
    """Blur masks (P, 1, H, W), across the edge where the canvas wraps."""
    ones = [1.0] * len(std)
    reach = min(math.ceil(3 * max(std)), masks.shape[-1])
    if not wraps or reach == 0:
        return core_masks.soften(masks, std, ones)
    wide = torch.cat([masks[..., -reach:], masks, masks[..., :reach]], dim=-1)
    return core_masks.soften(wide, std, ones)[..., reach:-reach]


def _warn_of_idle_regions(plan: Plan, soft: Tensor, quantized: Tensor) -> None:
    """Warn of regions whose masks open at no step, which no picture would explain.

    `soft` (P, 1, H, W) is empty where a region of a stream has left the canvas; `quantized` (P, S, 1, h, w).
    """
    idle = soft.flatten(1).any(1) & ~quantized.flatten(1).any(1)
    for region, is_idle in zip(plan.regions, idle.tolist(), strict=True):
        if is_idle:
            _log.warning(
                "region %r is not painted: at every step its mask is too faint or too small", region.name
            )
