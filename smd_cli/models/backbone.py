"""What the engine asks of a diffusion model, whatever its family."""

from typing import Protocol

import torch
from torch import Tensor

from smd_cli.core.guidance import ModelInput
from smd_cli.core.samplers import ScheduleMaker
from smd_cli.models.assets import Assets
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.facts import ModelFacts


def dtype_name(dtype: torch.dtype) -> str:
    """Return the name that a user gives a dtype: float32."""
    return str(dtype).removeprefix("torch.")


class Backbone(Protocol):
    """A loaded diffusion model: prompts and pictures in, predictions and pictures out."""

    @property
    def facts(self) -> ModelFacts:
        """Return what the checkpoint's configs say."""

    @property
    def assets(self) -> Assets:
        """Return the files it was loaded from, for the recipe."""

    @property
    def schedules(self) -> ScheduleMaker:
        """Return what makes the model's schedules."""

    @property
    def device(self) -> torch.device:
        """Return where the weights are."""

    @property
    def dtype(self) -> torch.dtype:
        """Return what the weights are computed in."""

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """Encode N prompts into N rows, whatever their length, as `smd_cli.prompt_text` reads them."""

    def prepare(self, table: Conditioning) -> Conditioning:
        """Add to prompts what `predict` would otherwise compute from them at every evaluation."""

    def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        """Predict for N rows under M rows of conditioning; return shape and dtype of the latents asked about.

        The rows of `asked.prompts` have been looked up already: they are `conditioning`. A row has one of
        them, or several where `asked.coupling` says so.
        """

    def encode_image(self, pixels: Tensor, *, precise: bool = False) -> Tensor:
        """Encode pixels (B, 3, H, W) in [-1, 1] into scaled latents (B, C, h, w), the posterior's mode.

        `precise` computes in float32 whatever `dtype` is, here and in `decode`.
        """

    def decode(self, latents: Tensor, *, precise: bool = False) -> Tensor:
        """Decode scaled latents (B, C, h, w) into pixels (B, 3, H, W), about in [-1, 1]."""


class InnerBackbone:
    """A backbone that answers as another does; what is laid around one says what it does otherwise."""

    def __init__(self, inner: Backbone) -> None:
        self.inner = inner

    @property
    def facts(self) -> ModelFacts:
        """Return the facts of the model."""
        return self.inner.facts

    @property
    def assets(self) -> Assets:
        """Return the files it was loaded from."""
        return self.inner.assets

    @property
    def schedules(self) -> ScheduleMaker:
        """Return what makes the model's schedules."""
        return self.inner.schedules

    @property
    def device(self) -> torch.device:
        """Return where the weights are."""
        return self.inner.device

    @property
    def dtype(self) -> torch.dtype:
        """Return what the weights are computed in."""
        return self.inner.dtype

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """Encode N prompts into N rows."""
        return self.inner.encode_prompts(prompts)

    def prepare(self, table: Conditioning) -> Conditioning:
        """Add to prompts what `predict` would otherwise compute from them at every evaluation."""
        return self.inner.prepare(table)

    def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        """Predict for N rows under M rows of conditioning."""
        return self.inner.predict(asked, conditioning)

    def encode_image(self, pixels: Tensor, *, precise: bool = False) -> Tensor:
        """Encode pixels (B, 3, H, W) into scaled latents (B, C, h, w)."""
        return self.inner.encode_image(pixels, precise=precise)

    def decode(self, latents: Tensor, *, precise: bool = False) -> Tensor:
        """Decode scaled latents (B, C, h, w) into pixels (B, 3, H, W)."""
        return self.inner.decode(latents, precise=precise)
