"""What the engine asks of a diffusion model, whatever its family."""

from typing import Protocol

import torch
from torch import Tensor

from smd_cli.models.assets import Assets
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.facts import ModelFacts


class Backbone(Protocol):
    """A loaded diffusion model: prompts and pictures in, predictions and pictures out."""

    @property
    def facts(self) -> ModelFacts:
        """Return the family, native size, downscale, latent channels, prediction type, few-step."""

    @property
    def assets(self) -> Assets:
        """Return the files it was loaded from, for the recipe."""

    @property
    def alphas_cumprod(self) -> Tensor:
        """Return the training schedule's signal level at each timestep: (T,) float32 on the CPU."""

    @property
    def device(self) -> torch.device:
        """Return where the weights are."""

    @property
    def dtype(self) -> torch.dtype:
        """Return what the weights are computed in."""

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """Encode N prompts into N rows; what is too long for the encoder is cut, with a warning."""

    def prepare(self, table: Conditioning) -> Conditioning:
        """Add to prompts what `predict` would otherwise compute from them at every evaluation."""

    def predict(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """Predict for latents (N, C, h, w) at timesteps (N,) under N rows; shape and dtype are theirs."""

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Encode pixels (B, 3, H, W) in [-1, 1] into scaled latents (B, C, h, w), the posterior's mode."""

    def decode(self, latents: Tensor) -> Tensor:
        """Decode scaled latents (B, C, h, w) into pixels (B, 3, H, W) in [-1, 1]."""
