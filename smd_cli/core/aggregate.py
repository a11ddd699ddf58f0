"""Aggregation: the weighted mean of the views of a pixel (Bar-Tal et al., arXiv 2302.08113, equation 5)."""

import torch
from torch import Tensor


def average(total: Tensor, weight: Tensor) -> Tensor:
    """Divide the weighted sum (..., H, W) by the sum of weights (..., H, W); zero where nothing weighs."""
    return torch.where(weight > 0, total / weight, total)


def composite(x: Tensor, weight: Tensor, background: Tensor) -> Tensor:
    """Show the background through x (..., H, W) as far as the weights (..., H, W) fall short of 1."""
    return torch.lerp(x, background, (1 - weight).clip(0, 1))
