"""Stable Diffusion 1.x and what shares its interfaces: one CLIP text encoder, a UNet, a KL or tiny VAE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smd_cli.errors import AssetError
from smd_cli.models.clip_network import CLIP_TEXT
from smd_cli.models.clip_splitter import clip_splitter
from smd_cli.models.configs import CONFIG, ModelConfigs
from smd_cli.models.facts import ModelFacts, unet_facts
from smd_cli.models.family import Component, Family, Marks
from smd_cli.models.layer_names import LayerNames, clip_spellings, unet_spellings
from smd_cli.models.network_class import read_network_config
from smd_cli.models.unet_family import evaluation_elements, is_told_sizes, projects_linearly, schedules
from smd_cli.models.unet_network import UNET
from smd_cli.models.vae import KL, TINY

if TYPE_CHECKING:
    from pathlib import Path

    from smd_cli.models.assets import Assets
    from smd_cli.models.backbone import Backbone
    from smd_cli.models.components import Destination

EVALUATION_MAPS = 24
"""How many maps of the UNet's first width one evaluation holds at its peak, by measurements."""


def load(assets: Assets, to: Destination) -> Backbone:
    """Load a model; raises as `load_unet_model`."""
    from smd_cli.models.unet import load_unet_model

    return load_unet_model(assets, to)


def fits_folder(folder: Path) -> bool:
    """Tell whether a model folder has a UNet, and one that is neither SDXL's nor SD2's."""
    return (folder / "unet").is_dir() and not is_told_sizes(folder) and not projects_linearly(folder)


def read_facts(configs: ModelConfigs, family: str = "sd15") -> ModelFacts:
    """Read the facts of a model of a family like this one; errors are those of `unet_facts`.

    Raises:
        AssetError: the UNet reads prompts of another width than the text encoder writes.
    """
    encoder = configs.folder / "text_encoder"
    facts = unet_facts(configs, family)
    written = read_network_config(encoder, CLIP_TEXT).get("hidden_size")
    read = configs.denoiser.get("cross_attention_dim", written)
    if any(width != written for width in (read if isinstance(read, list) else [read])):
        raise AssetError(
            f"{encoder / CONFIG}: hidden_size is {written}, but the UNet reads prompts of width {read} "
            "(cross_attention_dim); the two belong to different models"
        )
    return facts


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
    tiny_autoencoder="madebyollin/taesd",
    marks=Marks(
        pipelines=("StableDiffusionPipeline", "LatentConsistencyModelPipeline"),
        tensors=("cond_stage_model.transformer.",),
        fits_folder=fits_folder,
        denoiser=(
            "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
            "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight",
        ),
        adapted=((r"attn2_to_[kv]$", 768),),
    ),
    lora={
        "unet": LayerNames(("lora_unet_", "unet_", "diffusion_model_", "lycoris_", ""), unet_spellings),
        "text_encoder": LayerNames(("lora_te_", "lora_te1_", "text_encoder_", ""), clip_spellings),
    },
    size_multiple=8,
    read_facts=read_facts,
    evaluation_elements=evaluation_elements(EVALUATION_MAPS),
    schedules=schedules,
    reading=clip_splitter,
    load=load,
)
