"""The masks of a scene as tensors: softened in px, and quantized for each step in latents."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from smd_cli.core import masks as core_masks
from smd_cli.core.schedule import Schedule
from smd_cli.engine.layers import CanvasImages, Layer, preserves_picture
from smd_cli.engine.pixels import mask_tensor
from smd_cli.scene.resolve import Plan

_log = logging.getLogger(__name__)

HIDDEN = 1e-6  # as published, the core takes a cover alpha of 0 for "off"; a scene means that nothing stays
SEAM = 8.0  # px: how softly new area is joined to the picture that it extends


BAND = 2**22  # pixels of masks that are softened at once: those of a large canvas would fill the memory


@dataclass(frozen=True)
class SoftMasks:
    """Blurred masks, 1 inside: of the regions (P, 1, H, W), and of new area (1, 1, H, W) if any."""

    regions: Tensor
    new_area: Tensor | None

    @classmethod
    def stacked(cls, bands: Sequence["SoftMasks"]) -> "SoftMasks":
        """Put bands of rows together."""
        regions = torch.cat([band.regions for band in bands], dim=-2)
        areas = [band.new_area for band in bands if band.new_area is not None]
        return cls(regions, torch.cat(areas, dim=-2) if areas else None)

    def at(self, rows: slice, columns: slice) -> "SoftMasks":
        """Return some of the rows and columns."""
        area = None if self.new_area is None else self.new_area[..., rows, columns]
        return SoftMasks(self.regions[..., rows, columns], area)

    def covered(self) -> Tensor:
        """Return how far anything is painted over the background picture, (1, 1, H, W): 0 where it stays."""
        covered = self.regions.sum(0, keepdim=True)
        return (covered if self.new_area is None else covered + self.new_area).clip(0, 1)


def soft_masks(plan: Plan, images: CanvasImages, every: int = 1) -> SoftMasks:
    """Cover and blur a scene's masks in px; new area grows into the picture, to end in what is there.

    With `every`, only every so many-th row and column is returned.
    """
    width, height, wraps = plan.canvas.width, plan.canvas.height, plan.canvas.wraps
    std = [region.mask_std for region in plan.regions] if images.masks else []
    painted = mask_tensor(images.masks, width, height, 1 if any(std) else every)
    painted = core_masks.cover(painted, max(plan.masks.cover_alpha, HIDDEN)) if std else painted
    if any(std):
        painted = _blurred(painted, std, every, wraps=wraps)
    if images.new_area is None:
        return SoftMasks(painted, None)
    new = mask_tensor([images.new_area], width, height)
    grown = _blurred(_grown(new, math.ceil(3 * SEAM)), [SEAM], every, wraps=wraps)
    return SoftMasks(painted, grown.maximum(new[..., ::every, ::every]))


def latent_masks(plan: Plan, images: CanvasImages, downscale: int) -> SoftMasks:
    """Return of a scene's soft masks the pixels that latents see: every `downscale`-th of a row and column.

    Those of a large canvas are softened in bands of rows, with as many rows around each as its blur reaches.
    """
    width, height = plan.canvas.width, plan.canvas.height
    across = width * (len(images.masks) + (images.new_area is not None))  # pixels of all in one row
    if across * height <= BAND:
        every = slice(None, None, downscale)
        return soft_masks(plan, images).at(every, every)
    reach = max([math.ceil(3 * region.mask_std) for region in plan.regions], default=0)
    around = _rounded(reach if images.new_area is None else max(reach, 2 * math.ceil(3 * SEAM)), downscale)
    at_once = max(BAND // across // downscale, 1) * downscale
    bands = []
    for top in range(0, height, at_once):
        bottom = min(top + at_once, height)
        first, last = max(top - around, 0), min(bottom + around, height)
        soft = soft_masks(plan, images.crop((0, first, width, last)), downscale)
        rows = slice((top - first) // downscale, (bottom - first) // downscale)
        bands.append(soft.at(rows, slice(None)))
    return SoftMasks.stacked(bands)


def soft_pixels_at_once(plan: Plan, images: CanvasImages) -> int:
    """Count the pixels of masks that are softened at once: all, where a picture is blended with them."""
    pixels = len(images.masks) * plan.canvas.width * plan.canvas.height
    return pixels if preserves_picture(plan, images) else min(pixels, BAND)


def quantized_masks(
    plan: Plan, layers: Sequence[Layer], images: CanvasImages, schedule: Schedule, downscale: int
) -> Tensor:
    """Quantize the masks of a scene's layers for latents, at 1/downscale of the canvas: (P, S, 1, h, w).

    A background's is what the regions leave at each step, or whole where it lies behind them. Warns of
    regions that open nowhere.
    """
    soft = latent_masks(plan, images, downscale)
    size = (plan.canvas.height // downscale, plan.canvas.width // downscale)

    def quantize(masks: Tensor) -> Tensor:
        return core_masks.quantize(masks, schedule.noise_levels, size, plan.masks.type)

    def background(layer: Layer) -> Tensor:
        if not layer.is_behind:
            return core_masks.uncovered(regions)
        steps = plan.bootstrap.steps if plan.bootstrap.show_through else 0
        whole = core_masks.whole_behind(regions, steps)
        if soft.new_area is not None and layer.in_new_area:
            whole = whole.minimum(quantize(soft.new_area))
        return whole

    masks = torch.empty(len(layers), len(schedule), 1, *size)  # filled in place: it can be large
    regions = masks[[layer.region is None for layer in layers].count(True) :]
    for region, own, mask in zip(plan.regions, soft.regions, regions, strict=True):
        mask.copy_(quantize(own[None] * region.mask_strength)[0])
    _warn_of_idle_regions(plan, images.masks, regions)
    for layer, mask in zip(layers, masks[: len(masks) - len(regions)], strict=False):
        mask.copy_(background(layer)[0])
    return masks


def _grown(mask: Tensor, reach: int) -> Tensor:
    """Grow a mask (1, 1, H, W) by `reach` px to all sides."""
    rows = F.max_pool2d(mask, (2 * reach + 1, 1), 1, (reach, 0))
    return F.max_pool2d(rows, (1, 2 * reach + 1), 1, (0, reach))


def _blurred(masks: Tensor, std: Sequence[float], every: int, *, wraps: bool) -> Tensor:
    """Blur masks (P, 1, H, W), across the edge where the canvas wraps; return every so many-th pixel."""
    ones = [1.0] * len(std)
    if not wraps:
        return core_masks.soften(masks, std, ones, every)
    around = min(_rounded(math.ceil(3 * max(std)), every), masks.shape[-1])
    wide = torch.cat([masks[..., -around:], masks, masks[..., :around]], dim=-1)
    return core_masks.soften(wide, std, ones, every)[..., around // every : -around // every]


def _rounded(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def _warn_of_idle_regions(plan: Plan, painted: Sequence[Image.Image], quantized: Tensor) -> None:
    """Warn of regions whose masks open at no step, which no picture would explain.

    `painted` is empty where a region of a stream has left the canvas; `quantized` is (P, S, 1, h, w).
    """
    opened = quantized.flatten(1).any(1).tolist()
    for region, mask, is_open in zip(plan.regions, painted, opened, strict=True):
        if not is_open and mask.getbbox():
            _log.warning(
                "region %r is not painted: at every step its mask is too faint or too small", region.name
            )
