"""Noise: drawn on the CPU for a whole canvas, from the seed and what it is for, and from nothing else.

A picture then depends on its seed alone: not on tiling, batching, device, or the order of asking.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, Protocol

import torch
from torch import Tensor

Purpose = Literal["init", "renoise", "bootstrap", "frame"]


class NoiseSource(Protocol):
    """Where noise comes from: a seed, or a recording."""

    def __call__(self, purpose: Purpose, step: int, shape: Sequence[int]) -> Tensor:
        """Return standard normal noise of `shape`, float32 on the CPU; equal arguments give equal noise."""
        ...


@dataclass(frozen=True)
class SeededNoise:
    """Noise that follows from a seed."""

    seed: int

    def __call__(self, purpose: Purpose, step: int, shape: Sequence[int]) -> Tensor:
        """Draw noise of `shape` for one purpose at one step."""
        key = blake2b(f"{self.seed}/{purpose}/{step}".encode(), digest_size=8).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(key, "big"))
        return torch.randn(*shape, generator=generator)
