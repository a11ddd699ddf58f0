"""What loaded models of all families are made of. Knows no torch by itself, as the families do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor

    from smd_cli.core.samplers import ScheduleMaker
    from smd_cli.models.assets import Assets
    from smd_cli.models.autoencoder import LatentAutoencoder
    from smd_cli.models.components import Network
    from smd_cli.models.facts import ModelFacts


@dataclass(frozen=True)
class LoadedModel:
    """The part of a `Backbone` that does not depend on its family; `networks` are by component."""

    assets: Assets
    networks: Mapping[str, Network]
    autoencoder: LatentAutoencoder
    schedules: ScheduleMaker
    device: torch.device
    dtype: torch.dtype

    @property
    def facts(self) -> ModelFacts:
        """Return what the checkpoint's configs say."""
        return self.assets.facts

    def encode_image(self, pixels: Tensor, *, precise: bool = False) -> Tensor:
        """Encode pixels (B, 3, H, W) in [-1, 1] into scaled latents (B, C, h, w)."""
        return self.autoencoder.encode(pixels, precise=precise)

    def decode(self, latents: Tensor, *, precise: bool = False) -> Tensor:
        """Decode scaled latents (B, C, h, w) into pixels (B, 3, H, W), about in [-1, 1]."""
        return self.autoencoder.decode(latents, precise=precise)
