"""Masks: from painted regions (P, 1, H, W) in px, 1 inside, to quantized masks (P, S, 1, h, w), one a step.

A quantized mask opens as the noise falls: a soft edge joins its region in the late, fine steps alone, which
blends regions without blurring them (Lee et al., arXiv 2403.09055, on mask quantization).
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

MaskType = Literal["discrete", "semi-continuous", "continuous"]

ROUNDING = 1e-6  # masks that sum to 1 but for this leave no gap to fill


def cover(masks: Tensor, alpha: float) -> Tensor:
    """Let later regions cover earlier ones: what they hide of masks (P, 1, H, W) keeps the share `alpha`.

    As in the published code, an alpha of 0 turns covering off rather than hiding everything.
    """
    if alpha == 0:
        return masks
    above = torch.cat([masks[1:], torch.zeros_like(masks[:1])])
    covering = above.flip(0).cummax(0).values.flip(0)
    return masks * (1 - (1 - alpha) * covering)


def soften(masks: Tensor, std: Sequence[float], strength: Sequence[float], every: int = 1) -> Tensor:
    """Blur each of the masks (P, 1, H, W) by a Gaussian of its `std` px and multiply it by its strength.

    The window, 2·ceil(3·max std) + 1 px, is shared by all regions; borders are replicated. With `every`, only
    every so many-th row and column is computed.
    """
    reach = math.ceil(3 * max(std))
    kernels = torch.stack([_gaussian(value, reach) for value in std]).to(masks)
    regions = len(masks)
    blurred = F.pad(masks.transpose(0, 1), (reach,) * 4, mode="replicate")
    blurred = F.conv2d(blurred, kernels.view(regions, 1, -1, 1), stride=(every, 1), groups=regions)
    blurred = F.conv2d(blurred, kernels.view(regions, 1, 1, -1), stride=(1, every), groups=regions)
    return blurred.transpose(0, 1) * masks.new_tensor(strength).view(-1, 1, 1, 1)


def quantize(
    masks: Tensor, noise_levels: Tensor, size: tuple[int, int], kind: MaskType = "discrete"
) -> Tensor:
    """Quantize masks (P, 1, H, W) against falling noise levels (S,) for latents of `size`: (P, S, 1, h, w).

    Discrete masks open where they exceed the level. Continuous ones fade in between a level and the next
    (after the last, 0). Semi-continuous ones are discrete but in the last step.
    """
    masks = F.interpolate(masks, size=size, mode="nearest").unsqueeze(1)
    level = noise_levels.to(masks).view(1, -1, 1, 1, 1)
    following = F.pad(noise_levels[1:], (0, 1)).to(masks).view(1, -1, 1, 1, 1)
    if kind == "continuous":
        return _fading(masks, level, following)
    opened = (masks > level).to(masks)
    if kind == "semi-continuous":
        opened[:, -1:] = _fading(masks, level[:, -1:], following[:, -1:])
    return opened


def _fading(masks: Tensor, level: Tensor, following: Tensor) -> Tensor:
    """Return how far masks are open where they fade in between one level and the following one."""
    return ((masks - following) / (level - following)).clip(0, 1)


def whole_behind(masks: Tensor, steps: int) -> Tensor:
    """Return the mask of a region that lies whole behind quantized masks (P, S, 1, h, w): (1, S, 1, h, w).

    In the first `steps` steps it is everywhere, then where they do not cover it.
    """
    whole = (uncovered(masks) > 0).to(masks)
    whole[:, :steps] = 1
    return whole


def uncovered(masks: Tensor) -> Tensor:
    """Return what quantized masks (P, S, 1, h, w) leave of the canvas, (1, S, 1, h, w) in [0, 1]."""
    left = masks.sum(0, keepdim=True).neg_().add_(1)  # in place: of a large canvas this is the largest value
    return left.masked_fill_(~(left > ROUNDING), 0)


def _gaussian(std: float, reach: int) -> Tensor:
    """Sample a Gaussian at -reach..reach so that it sums to 1; an std of 0 does not blur."""
    distance = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (distance / std).square()) if std else (distance == 0).double()
    return weights / weights.sum()
