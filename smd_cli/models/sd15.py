"""Stable Diffusion 1.x and what shares its interfaces: one CLIP text encoder, a UNet, a KL or tiny VAE."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor
from transformers.models.clip.modeling_clip import CLIPTextModel

from smd_cli.core.guidance import ModelInput
from smd_cli.core.schedule import TrainingSchedule
from smd_cli.errors import AssetError
from smd_cli.models.assets import Assets, Part
from smd_cli.models.backbone import Backbone
from smd_cli.models.components import FileLayout, Weights, load_part
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.facts import Config, ModelFacts, read_config
from smd_cli.models.keys import KnownPrompts
from smd_cli.models.lora import fuse_lora
from smd_cli.models.noise import training_alphas
from smd_cli.models.tokens import Tokenizer

DISTILLED_GUIDANCE = 8.5
"""The guidance scale told to UNets that take one as input (the published LCM checkpoints' default)."""


@dataclass(frozen=True)
class SD15:
    """A `Backbone` of the SD1.5 family."""

    assets: Assets
    tokenizer: Tokenizer
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    vae: AutoencoderKL | AutoencoderTiny
    training: TrainingSchedule
    device: torch.device
    dtype: torch.dtype
    known: KnownPrompts

    @property
    def facts(self) -> ModelFacts:
        """What the checkpoint's configs say."""
        return self.assets.facts

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """N prompts to (N, L, D): the text encoder's last hidden state, normalised."""
        tokens = self.tokenizer(prompts).to(self.device)
        return Conditioning(self.text_encoder(tokens).last_hidden_state)

    def prepare(self, table: Conditioning) -> Conditioning:
        """The prompts with the keys and values of every cross-attention layer."""
        return replace(table, keys=self.known.make(table.embeds))

    def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        """Return the UNet's output (N, C, h, w), in the dtype of the latents asked about."""
        with self.known.of(conditioning):
            output: Tensor = self.unet(
                asked.latents.to(self.device, self.dtype),
                asked.timesteps.to(self.device),
                encoder_hidden_states=conditioning.embeds,
                timestep_cond=self._guidance_embedding(len(asked)),
                return_dict=False,
            )[0]
        return output.to(asked.latents)

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) in [-1, 1] to scaled latents (B, C, h, w); the mode of a KL posterior."""
        encoded = self.vae.encode(pixels.to(self.device, self.dtype))
        latents: Tensor = (
            encoded.latents if isinstance(self.vae, AutoencoderTiny) else encoded.latent_dist.mode()
        )
        latents = latents * self.vae.config.scaling_factor
        return latents.to(pixels)

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents (B, C, h, w) to pixels (B, 3, H, W) in [-1, 1]."""
        unscaled = latents.to(self.device, self.dtype) / self.vae.config.scaling_factor
        pixels: Tensor = self.vae.decode(unscaled).sample
        return pixels.clamp(-1, 1).to(latents)

    def _guidance_embedding(self, count: int) -> Tensor | None:
        """(N, E) sinusoids of w = guidance - 1 for guidance-distilled UNets (2310.04378, section 4.3)."""
        size = self.unet.config.time_cond_proj_dim
        if size is None:
            return None
        scale = torch.full((count,), (DISTILLED_GUIDANCE - 1) * 1000, device=self.device)
        embedding: Tensor = get_timestep_embedding(scale, size)
        return embedding.to(self.dtype)


def load(assets: Assets, device: torch.device, dtype: torch.dtype) -> Backbone:
    """Read the weights and fuse the LoRAs.

    Raises:
        AssetError: the weights do not fill what the configs describe, or a LoRA does not fit them.
    """
    networks = (
        ("text_encoder", CLIPTextModel, FileLayout("cond_stage_model.transformer.", _ldm_text_encoder)),
        ("unet", UNet2DConditionModel, FileLayout("model.diffusion_model.", convert_ldm_unet_checkpoint)),
        ("vae", _vae_class(assets.parts["vae"]), FileLayout("first_stage_model.", _ldm_vae)),
    )
    # convolutions run faster on pixels that lie together, but for Apple's
    memory = torch.preserve_format if device.type == "mps" else torch.channels_last
    text_encoder, unet, vae = (
        load_part(network, layout, assets.parts[name], dtype).to(device, memory_format=memory)
        for name, network, layout in networks
    )
    for path, weight in assets.loras:
        fuse_lora(path, weight, {"unet": unet, "text_encoder": text_encoder})
    return SD15(
        assets=assets,
        tokenizer=Tokenizer.load(assets.configs / "tokenizer", text_encoder.config.max_position_embeddings),
        text_encoder=text_encoder,
        unet=unet,
        vae=vae,
        training=TrainingSchedule(training_alphas(assets.configs), assets.facts.prediction_type),
        device=device,
        dtype=dtype,
        known=KnownPrompts(unet),
    )


def _vae_class(part: Part) -> Any:  # noqa: ANN401 - diffusers has no types
    name = read_config(part.config).get("_class_name")
    for network in (AutoencoderKL, AutoencoderTiny):
        if name == network.__name__:
            return network
    raise AssetError(f"{part.config}: autoencoder {name} is not supported (AutoencoderKL, AutoencoderTiny)")


def _ldm_text_encoder(weights: Weights, config: Config) -> Weights:
    start = "cond_stage_model.transformer.text_model."
    return {name.removeprefix(start): tensor for name, tensor in weights.items()}


def _ldm_vae(weights: Weights, config: Config) -> Weights:
    """Tensors of a whole checkpoint or of an autoencoder's own file, unless they bear diffusers' names."""
    if any(name.startswith(("encoder.down_blocks.", "encoder.layers.")) for name in weights):
        return weights
    converted: Weights = convert_ldm_vae_checkpoint(weights, config)
    return converted
