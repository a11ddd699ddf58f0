"""What the engine asks of a diffusion model, whatever its family."""

from typing import Protocol

import torch
from torch import Tensor

from smd_cli.core.guidance import ModelInput
from smd_cli.core.schedule import TrainingSchedule
from smd_cli.models.assets import Assets
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.facts import ModelFacts


class Backbone(Protocol):
    """A loaded diffusion model: prompts and pictures in, predictions and pictures out."""

    @property
    def facts(self) -> ModelFacts:
        """Family, native size, downscale, latent channels, prediction type, few-step."""

    @property
    def assets(self) -> Assets:
        """The files it was loaded from, for the recipe."""

    @property
    def training(self) -> TrainingSchedule:
        """The noise levels that the model was trained on, and what it predicts."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are computed in."""

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """N prompts to N rows; one too long for the encoder is cut, and a warning says what fell off."""

    def prepare(self, table: Conditioning) -> Conditioning:
        """The same prompts, with what every evaluation would make of them again, where that can be kept."""

    def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        """Predict for N rows under N rows of conditioning; return shape and dtype of the latents asked about.

        The rows of `asked.prompts` have been looked up already: they are `conditioning`.
        """

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) in [-1, 1] to scaled latents (B, C, h, w); the posterior's mode, no chance."""

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents (B, C, h, w) to pixels (B, 3, H, W) in [-1, 1]."""
