"""Models of a UNet under prompts that CLIP encodes; families differ in what else the UNet is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor

from smd_cli.models.autoencoder import LatentAutoencoder
from smd_cli.models.clip_prompts import ClipEncoder, Layer, encode_prompts
from smd_cli.models.cross_attention import CrossAttentionCache
from smd_cli.models.loaded import LoadedModel
from smd_cli.models.loading import load_fused

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    from smd_cli.core.guidance import ModelInput
    from smd_cli.models.assets import Assets
    from smd_cli.models.components import Destination
    from smd_cli.models.conditioning import Conditioning

DISTILLED_GUIDANCE = 8.5
"""The guidance scale told to UNets that take one as input (the published LCM checkpoints' default)."""

Told = Mapping[str, Tensor | None]
"""What else a UNet is told of each row beside its time and its prompt, as diffusers calls it."""


class PromptedUNet:
    """A UNet that attends to prompts by keys and values made once, on the device and in the dtype of `to`."""

    def __init__(self, network: UNet2DConditionModel, to: Destination) -> None:
        self.network = network
        self._device, self._dtype = to.device, to.dtype
        self._cross_attention = CrossAttentionCache(network)

    def prepare(self, table: Conditioning) -> Conditioning:
        """Add the keys and values of every cross-attention layer to prompts."""
        return replace(table, keys=self._cross_attention.project(table.embeds))

    def predict(self, asked: ModelInput, conditioning: Conditioning, added: Told | None = None) -> Tensor:
        """Return its output (N, C, h, w), in the dtype of the latents asked about."""
        latents = asked.latents.to(self._device, self._dtype)
        with self._cross_attention.use(conditioning, asked.coupling, latents):
            output: Tensor = self.network(
                latents,
                asked.timesteps.to(self._device),
                encoder_hidden_states=conditioning.embeds,
                timestep_cond=self._guidance_embedding(len(asked)),
                added_cond_kwargs=added,
                return_dict=False,
            )[0]
        return output.to(asked.latents)

    def _guidance_embedding(self, count: int) -> Tensor | None:
        """Return sinusoids (N, E) of guidance - 1 for UNets that take it as input (2310.04378, 4.3)."""
        size = self.network.config.time_cond_proj_dim
        if size is None:
            return None
        scale = torch.full((count,), (DISTILLED_GUIDANCE - 1) * 1000, device=self._device)
        embedding: Tensor = get_timestep_embedding(scale, size)
        return embedding.to(self._dtype)


@dataclass(frozen=True)
class UNetModel(LoadedModel):
    """A `Backbone` of a UNet.

    Attributes:
        text_encoders: what encodes prompts, side by side.
        unet: what predicts.
        told: makes what else the UNet is told, of what is asked and of its prompts.
    """

    text_encoders: tuple[ClipEncoder, ...]
    unet: PromptedUNet
    told: Callable[[ModelInput, Conditioning], Told] | None = None

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """Encode N prompts into N rows."""
        return encode_prompts(prompts, self.text_encoders)

    def prepare(self, table: Conditioning) -> Conditioning:
        """Add the keys and values of every cross-attention layer to prompts."""
        return self.unet.prepare(table)

    def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        """Return the UNet's output (N, C, h, w), in the dtype of the latents asked about."""
        told = None if self.told is None else self.told(asked, conditioning)
        return self.unet.predict(asked, conditioning, told)


def load_unet_model(
    assets: Assets,
    to: Destination,
    layer: Layer = "last",
    told: Callable[[ModelInput, Conditioning], Told] | None = None,
) -> UNetModel:
    """Read the weights, fuse the LoRAs and learn the words of textual inversions.

    `layer` is what the UNet reads of the text encoders.

    Raises:
        AssetError: the weights do not fill what the configs describe, or a LoRA does not fit them.
    """
    networks, family = load_fused(assets, to), assets.family
    encoders = [name for name in networks if family.components[name].tokenizer]
    return UNetModel(
        assets=assets,
        networks=networks,
        autoencoder=LatentAutoencoder(networks[family.autoencoder], to.device),
        schedules=assets.schedules,
        device=to.device,
        dtype=to.dtype,
        text_encoders=tuple(ClipEncoder.of(networks, assets, name, to.device, layer) for name in encoders),
        unet=PromptedUNet(networks[family.denoiser], to),
        told=told,
    )
