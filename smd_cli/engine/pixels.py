"""Pillow pictures to tensors and back. A mask's white is the region: 1 in the tensor."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def mask_tensor(masks: Sequence[Image.Image], width: int, height: int, every: int = 1) -> Tensor:
    """Stack `L` pictures of width x height px into (P, 1, H, W) in [0, 1]; P may be 0.

    With `every`, only every so many-th row and column is taken.
    """
    planes = [torch.from_numpy(np.asarray(mask)[::every, ::every] / np.float32(255)) for mask in masks]
    return torch.stack(planes)[:, None] if planes else torch.zeros(0, 1, height // every, width // every)


def to_pixels(image: Image.Image) -> Tensor:
    """Turn a picture into (1, 3, H, W) in [-1, 1]."""
    values = torch.from_numpy(np.array(image.convert("RGB")))
    return values.permute(2, 0, 1)[None].float().contiguous() / 127.5 - 1


def to_image(pixels: Tensor) -> Image.Image:
    """Turn (1, 3, H, W) in [-1, 1] into a picture."""
    values = ((pixels[0].float().cpu().clamp(-1, 1) + 1) * 127.5).round().byte()
    return Image.fromarray(values.permute(1, 2, 0).contiguous().numpy())
