"""Stable Diffusion XL (Podell et al., 2307.01952): two CLIP text encoders, a UNet told the picture's size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smd_cli.errors import AssetError
from smd_cli.models.clip_network import CLIP_TEXT, CLIP_TEXT_PROJECTED
from smd_cli.models.clip_splitter import clip_splitter
from smd_cli.models.configs import CONFIG, ModelConfigs
from smd_cli.models.facts import ModelFacts, unet_facts
from smd_cli.models.family import Component, Family, Marks
from smd_cli.models.layer_names import LayerNames, clip_spellings, unet_spellings
from smd_cli.models.network_class import read_network_config
from smd_cli.models.unet_family import evaluation_elements, is_told_sizes, schedules
from smd_cli.models.unet_network import SDXL_UNET
from smd_cli.models.vae import KL, TINY

if TYPE_CHECKING:
    from torch import Tensor

    from smd_cli.core.guidance import ModelInput
    from smd_cli.models.assets import Assets
    from smd_cli.models.backbone import Backbone
    from smd_cli.models.components import Destination
    from smd_cli.models.conditioning import Conditioning

EVALUATION_MAPS = 16
"""How many maps of the UNet's first width one evaluation of SDXL's own holds at its peak, as counted."""

SIZES = 6
"""How many numbers the UNet is told of a picture: two sizes of it, and the corner of the crop."""


def load(assets: Assets, to: Destination) -> Backbone:
    """Load a model; raises as `load_unet_model`."""
    from smd_cli.models.unet import load_unet_model

    downscale = assets.facts.downscale

    def told(asked: ModelInput, conditioning: Conditioning) -> dict[str, Tensor | None]:
        sizes = picture_sizes(asked, downscale).to(conditioning.embeds.device)
        return {"text_embeds": asked.mean_of(conditioning.pooled), "time_ids": sizes}

    return load_unet_model(assets, to, layer="last but one", told=told)


def picture_sizes(asked: ModelInput, downscale: int) -> Tensor:
    """Return what the UNet is told of the picture, (N, 6) in px: a row's tile is a crop of the canvas.

    Its original and its target size are both the canvas's: height, width, top, left, height, width.
    """
    import torch

    canvas = asked.canvas
    rows = [(*canvas, box.top, box.left, *canvas) for box in asked.boxes]
    return torch.tensor(rows, dtype=torch.float32) * downscale


def read_facts(configs: ModelConfigs) -> ModelFacts:
    """Read the facts of a model; errors are those of `unet_facts`.

    Raises:
        AssetError: the UNet reads prompts of other widths than the text encoders write.
    """
    facts, unet = unet_facts(configs, FAMILY.name), configs.denoiser
    first, second = (
        read_network_config(configs.folder / name, network)
        for name, network in (("text_encoder", CLIP_TEXT), ("text_encoder_2", CLIP_TEXT_PROJECTED))
    )
    reads = {
        "cross_attention_dim": first["hidden_size"] + second["hidden_size"],
        "projection_class_embeddings_input_dim": (
            second["projection_dim"] + SIZES * unet["addition_time_embed_dim"]
        ),
    }
    for key, written in reads.items():
        if unet[key] != written:
            raise AssetError(
                f"{configs.folder / FAMILY.denoiser / CONFIG}: {key} is {unet[key]}, but the text encoders "
                f"make it {written}; they belong to different models"
            )
    return facts


FAMILY = Family(
    name="sdxl",
    config="stabilityai/stable-diffusion-xl-base-1.0",
    lcm_lora="latent-consistency/lcm-lora-sdxl",
    components={
        "unet": Component(
            "diffusion_pytorch_model",
            "model.diffusion_model.",
            SDXL_UNET,
            inputs=("conv_in.weight", "input_blocks.0.0.weight"),
        ),
        "vae": Component("diffusion_pytorch_model", "first_stage_model."),
        "text_encoder": Component(
            "model",
            "conditioner.embedders.0.transformer.",
            CLIP_TEXT,
            tokenizer="tokenizer",
            inversion="clip_l",
        ),
        "text_encoder_2": Component(
            "model",
            "conditioner.embedders.1.model.",
            CLIP_TEXT_PROJECTED,
            tokenizer="tokenizer_2",
            inversion="clip_g",
        ),
    },
    denoiser="unet",
    autoencoder="vae",
    autoencoders=(KL, TINY),
    tiny_autoencoder="madebyollin/taesdxl",
    marks=Marks(
        pipelines=(
            "StableDiffusionXLPipeline",
            "StableDiffusionXLImg2ImgPipeline",
            "StableDiffusionXLInpaintPipeline",
            "StableDiffusionXLInstructPix2PixPipeline",
        ),
        tensors=("conditioner.embedders.",),
        fits_folder=is_told_sizes,
        adapted=((r"attn2_to_[kv]$", 2048),),
        denoiser=("label_emb.0.0.weight", "add_embedding.linear_1.weight"),
    ),
    lora={
        "unet": LayerNames(("lora_unet_", "unet_", "diffusion_model_", "lycoris_", ""), unet_spellings),
        "text_encoder": LayerNames(("lora_te1_", "text_encoder_"), clip_spellings),
        "text_encoder_2": LayerNames(("lora_te2_", "text_encoder_2_"), clip_spellings),
    },
    size_multiple=8,
    obeys_upcast=True,
    read_facts=read_facts,
    evaluation_elements=evaluation_elements(EVALUATION_MAPS),
    schedules=schedules,
    reading=clip_splitter,
    load=load,
)
