"""The segmenter: which pixels of a picture are things, which are ground, and which are neither.

What is ground depends on the background that was asked for, and on the height: the network is told both.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from smd_cli.workshop.judge.hints import HINTS, index_of, with_hints
from smd_cli.workshop.judge.weights import load_weights

WEIGHTS = Path(__file__).with_name("segmenter.safetensors")
CLASSES = ("thing", "ground", "neither")
THING, GROUND, NEITHER = range(len(CLASSES))
WIDTHS = (12, 16, 24, 32, 32)
SHRINK = 2
"""Pixels of a picture, per side, to one of its map."""


class Layer(nn.Module):
    """A convolution with its norm."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.convolve = nn.Conv2d(inputs, width, 3, padding=1)
        self.norm = nn.GroupNorm(4, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, width, h, w)."""
        return F.silu(self.norm(self.convolve(x)))


class Segmenter(nn.Module):
    """A small U-Net (Ronneberger et al., arXiv 1505.04597) that adds up its levels."""

    def __init__(self) -> None:
        super().__init__()
        inputs = 3 + HINTS
        self.down = nn.ModuleList(Layer(i, w) for i, w in zip((inputs, *WIDTHS), WIDTHS, strict=False))
        self.up = nn.ModuleList(Layer(i, w) for i, w in zip(WIDTHS[1:], WIDTHS, strict=False))
        self.head = nn.Conv2d(WIDTHS[0], len(CLASSES), 1)

    def forward(self, pixels: Tensor, backgrounds: Tensor) -> Tensor:
        """Return the logits (N, classes, h, w) of pictures (N, 3, h, w) in [-1, 1] on these backgrounds (N,).

        h and w are multiples of 16.
        """
        levels: list[Tensor] = []
        x = with_hints(pixels, backgrounds)
        for layer in self.down:
            x = layer(F.avg_pool2d(x, 2) if levels else x)
            levels.append(x)
        for layer, level in zip(reversed(self.up), reversed(levels[:-1]), strict=True):
            x = level + layer(x).repeat_interleave(2, 2).repeat_interleave(2, 3)
        logits: Tensor = self.head(x)
        return logits


def load_segmenter(path: Path = WEIGHTS) -> Segmenter:
    """Load the segmenter, with the published weights if no others are named."""
    return load_weights(Segmenter(), path)


@torch.inference_mode()
def segment(segmenter: Segmenter, image: Image.Image, background: str) -> np.ndarray:
    """Return the logits (classes, h, w) of a picture's pixels, one for `SHRINK` px a side."""
    small = np.asarray(image.convert("RGB").reduce(SHRINK))
    pixels = torch.from_numpy(small.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    h, w = small.shape[:2]
    room = (0, -w % 16, 0, -h % 16)
    logits = segmenter(F.pad(pixels, room, mode="replicate"), torch.tensor([index_of(background)]))
    found: np.ndarray = logits[0, :, :h, :w].numpy()
    return found
