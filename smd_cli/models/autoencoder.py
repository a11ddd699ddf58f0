"""An autoencoder between pictures and the latents that networks are trained on, scaled and shifted."""

from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class LatentAutoencoder:
    """An autoencoder of diffusers, KL or tiny, on a device.

    Latents are (z - shift_factor) · scaling_factor of its config, z what the network writes.
    """

    network: Any  # diffusers has no types
    device: torch.device

    def encode(self, pixels: Tensor, *, precise: bool = False) -> Tensor:
        """Encode pixels (B, 3, H, W) in [-1, 1] into latents (B, C, h, w), a KL posterior's mode."""
        network = self._network(precise=precise)
        encoded = network.encode(pixels.to(self.device, network.dtype))
        z: Tensor = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
        return self.to_latents(z).to(pixels)

    def decode(self, latents: Tensor, *, precise: bool = False) -> Tensor:
        """Decode latents (B, C, h, w) into pixels (B, 3, H, W), about in [-1, 1]."""
        network = self._network(precise=precise)
        pixels: Tensor = network.decode(self.to_z(latents.to(self.device, network.dtype))).sample
        return pixels.to(latents)

    def to_latents(self, z: Tensor) -> Tensor:
        """Scale and shift what the network writes."""
        scale, shift = self._factors
        return (z - shift) * scale

    def to_z(self, latents: Tensor) -> Tensor:
        """Undo `to_latents`."""
        scale, shift = self._factors
        return latents / scale + shift

    @property
    def _factors(self) -> tuple[float, float]:
        config = self.network.config
        return config.scaling_factor, config.get("shift_factor") or 0.0

    def _network(self, *, precise: bool) -> Any:  # noqa: ANN401
        return self._precise if precise else self.network

    @cached_property
    def _precise(self) -> Any:  # noqa: ANN401
        """The network in float32, beside the other, which another thread may be using."""
        return deepcopy(self.network).float()
