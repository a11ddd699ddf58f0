"""Stable Diffusion 1.x and what shares its interfaces: one CLIP text encoder, a UNet, a KL or tiny VAE."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smd_cli.errors import AssetError
from smd_cli.models.configs import CONFIG, Config, ModelConfigs, read_config
from smd_cli.models.facts import ModelFacts, unet_facts
from smd_cli.models.family import Component, Family, Marks
from smd_cli.models.layer_names import LayerNames, clip_spellings, unet_spellings
from smd_cli.models.loaded import LoadedModel
from smd_cli.models.network_classes import CLIP_TEXT, UNET, read_network_config
from smd_cli.models.vae import KL, TINY

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from torch import Tensor
    from transformers.models.clip.modeling_clip import CLIPTextModel

    from smd_cli.core.guidance import ModelInput
    from smd_cli.core.samplers import DiffusionSchedules
    from smd_cli.models.assets import Assets
    from smd_cli.models.backbone import Backbone
    from smd_cli.models.chunks import Splitter
    from smd_cli.models.components import Destination
    from smd_cli.models.conditioning import Conditioning
    from smd_cli.models.cross_attention import CrossAttentionCache
    from smd_cli.models.tokens import Tokenizer

DISTILLED_GUIDANCE = 8.5
"""The guidance scale told to UNets that take one as input (the published LCM checkpoints' default)."""

CLIP_LENGTH = 77
"""How many tokens a CLIP text encoder reads whose config does not say it."""

EVALUATION_MAPS = 24
"""How many maps of the UNet's first width one evaluation holds at its peak, by measurements."""


@dataclass(frozen=True)
class SD15(LoadedModel):
    """A `Backbone` of the SD1.5 family."""

    tokenizer: Tokenizer
    cross_attention: CrossAttentionCache

    @property
    def text_encoder(self) -> CLIPTextModel:
        """Return the network that reads prompts."""
        return self.networks["text_encoder"]

    @property
    def unet(self) -> UNet2DConditionModel:
        """Return the denoiser."""
        return self.networks["unet"]

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """Encode N prompts into (N, L, D): the text encoder's last hidden state, normalised."""
        from smd_cli.models.clip_prompts import encode_prompts

        def encode(tokens: Tensor, attended: Tensor | None) -> Tensor:
            mask = None if attended is None else attended.to(self.device)
            states: Tensor = self.text_encoder(tokens.to(self.device), mask).last_hidden_state
            return states

        return encode_prompts(prompts, self.tokenizer, encode)

    def prepare(self, table: Conditioning) -> Conditioning:
        """Add the keys and values of every cross-attention layer to prompts."""
        return replace(table, keys=self.cross_attention.project(table.embeds))

    def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        """Return the UNet's output (N, C, h, w), in the dtype of the latents asked about."""
        with self.cross_attention.use(conditioning):
            output: Tensor = self.unet(
                asked.latents.to(self.device, self.dtype),
                asked.timesteps.to(self.device),
                encoder_hidden_states=conditioning.embeds,
                timestep_cond=self._guidance_embedding(len(asked)),
                return_dict=False,
            )[0]
        return output.to(asked.latents)

    def _guidance_embedding(self, count: int) -> Tensor | None:
        """Return sinusoids (N, E) of guidance - 1 for UNets that take it as input (2310.04378, 4.3)."""
        size = self.unet.config.time_cond_proj_dim
        if size is None:
            return None
        import torch
        from diffusers.models.embeddings import get_timestep_embedding

        scale = torch.full((count,), (DISTILLED_GUIDANCE - 1) * 1000, device=self.device)
        embedding: Tensor = get_timestep_embedding(scale, size)
        return embedding.to(self.dtype)


def load(assets: Assets, to: Destination) -> Backbone:
    """Read the weights, fuse the LoRAs and learn the words of textual inversions.

    Raises:
        AssetError: the weights do not fill what the configs describe, or a LoRA does not fit them.
    """
    from smd_cli.models.autoencoder import LatentAutoencoder
    from smd_cli.models.cross_attention import CrossAttentionCache
    from smd_cli.models.learned_words import learn_words
    from smd_cli.models.loading import load_fused
    from smd_cli.models.tokens import Tokenizer

    networks = load_fused(assets, to)
    text_encoder = networks["text_encoder"]
    learned = learn_words(text_encoder, "text_encoder", assets.textual_inversions)
    length = text_encoder.config.max_position_embeddings
    return SD15(
        assets=assets,
        networks=networks,
        autoencoder=LatentAutoencoder(networks["vae"], to.device),
        schedules=schedules(assets.configs, assets.facts),
        device=to.device,
        dtype=to.dtype,
        tokenizer=Tokenizer.load(assets.configs / "tokenizer", length, learned),
        cross_attention=CrossAttentionCache(networks["unet"]),
    )


def fits_folder(folder: Path) -> bool:
    """Tell whether a model folder has a UNet, and one that is not given the picture's size as SDXL's is."""
    if not (folder / "unet").is_dir():
        return False
    return read_config(folder / "unet").get("addition_embed_type") != "text_time"


def read_facts(configs: ModelConfigs) -> ModelFacts:
    """Read the facts of a model; errors are those of `unet_facts`.

    Raises:
        AssetError: the UNet reads prompts of another width than the text encoder writes.
    """
    encoder = configs.folder / "text_encoder"
    facts = unet_facts(configs, FAMILY.name)
    written = read_network_config(encoder, CLIP_TEXT).get("hidden_size")
    read = configs.denoiser.get("cross_attention_dim", written)
    if any(width != written for width in (read if isinstance(read, list) else [read])):
        raise AssetError(
            f"{encoder / CONFIG}: hidden_size is {written}, but the UNet reads prompts of width {read} "
            "(cross_attention_dim); the two belong to different models"
        )
    return facts


def evaluation_elements(unet: Config, pixels: int) -> int:
    """Estimate how many numbers one evaluation of so many latent pixels holds beyond the weights."""
    return int(EVALUATION_MAPS * unet["block_out_channels"][0] * pixels)


def schedules(configs: Path, facts: ModelFacts) -> DiffusionSchedules:
    """Read the noise levels that the model was trained on; errors are those of `diffusion_schedules`."""
    from smd_cli.models.training import diffusion_schedules

    return diffusion_schedules(configs, facts)


def splitter(assets: Assets) -> Splitter:
    """Read what splits prompts, which counts tokens but does not number those of learned words."""
    from smd_cli.models.chunks import Splitter, Vocabulary
    from smd_cli.models.clip_tokenizer import read_clip_tokenizer

    length = read_config(assets.configs / "text_encoder").get("max_position_embeddings", CLIP_LENGTH)
    learned = {each.token: (0,) * each.count("text_encoder") for each in assets.textual_inversions}
    clip = read_clip_tokenizer(assets.configs / "tokenizer")
    return Splitter(Vocabulary(clip.tokenizer, learned), length)


FAMILY = Family(
    name="sd15",
    config="stable-diffusion-v1-5/stable-diffusion-v1-5",
    lcm_lora="latent-consistency/lcm-lora-sdv1-5",
    components={
        "unet": Component(
            "diffusion_pytorch_model",
            "model.diffusion_model.",
            UNET,
            inputs=("conv_in.weight", "input_blocks.0.0.weight"),
        ),
        "vae": Component("diffusion_pytorch_model", "first_stage_model."),
        "text_encoder": Component(
            "model", "cond_stage_model.transformer.", CLIP_TEXT, tokenizer="tokenizer", inversion="clip_l"
        ),
    },
    denoiser="unet",
    autoencoder="vae",
    autoencoders=(KL, TINY),
    marks=Marks(
        pipelines=("StableDiffusionPipeline", "LatentConsistencyModelPipeline"),
        tensors=("cond_stage_model.transformer.",),
        fits_folder=fits_folder,
        adapted=((r"attn2_to_[kv]$", 768),),
    ),
    lora={
        "unet": LayerNames(("lora_unet_", "unet_", "diffusion_model_", "lycoris_", ""), unet_spellings),
        "text_encoder": LayerNames(("lora_te_", "lora_te1_", "text_encoder_", ""), clip_spellings),
    },
    size_multiple=8,
    read_facts=read_facts,
    evaluation_elements=evaluation_elements,
    schedules=schedules,
    reading=splitter,
    load=load,
)
