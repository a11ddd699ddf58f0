"""Stable Diffusion 3 and 3.5 (Esser et al., 2403.03206): CLIP twice and T5, a flow-matching transformer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from smd_cli.errors import AssetError
from smd_cli.models.clip_network import CLIP_TEXT_PROJECTED
from smd_cli.models.clip_splitter import clip_splitter
from smd_cli.models.configs import CONFIG, Config, ModelConfigs
from smd_cli.models.family import Component, Family, Marks, Tokens
from smd_cli.models.flow import TRANSFORMER, FlowShift, flow_facts, flow_schedules, sequence_elements
from smd_cli.models.layer_names import LayerNames, clip_spellings, plain_spellings
from smd_cli.models.loaded import LoadedModel
from smd_cli.models.mmdit import PATCH, SD3_TRANSFORMER, mmdit_spellings
from smd_cli.models.network_class import is_described, read_network_config
from smd_cli.models.spec import T5
from smd_cli.models.t5_network import T5_ENCODER
from smd_cli.models.vae import KL, TINY

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from smd_cli.core.guidance import ModelInput
    from smd_cli.core.samplers import SamplerSteps
    from smd_cli.models.assets import Assets
    from smd_cli.models.backbone import Backbone
    from smd_cli.models.components import Destination
    from smd_cli.models.conditioning import Conditioning
    from smd_cli.models.facts import ModelFacts
    from smd_cli.models.joint_attention import JointAttention
    from smd_cli.models.prompt_trio import PromptTrio

CLIPS = ("text_encoder", "text_encoder_2")

EVALUATION_WIDTHS = 19
"""How many times the transformer's width one evaluation holds for each token at its peak, by measurements."""

PROMPT_TOKENS = 333
"""How many tokens a prompt of one chunk has."""

LEAST = 0.001
"""The least sigma that the model was trained on, before it is shifted."""


@dataclass(frozen=True)
class SD3(LoadedModel):
    """A `Backbone` of the SD3 family; `attention` is that of its transformer."""

    text_encoders: PromptTrio
    attention: JointAttention

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """Encode N prompts into N rows."""
        return self.text_encoders.encode(prompts)

    def prepare(self, table: Conditioning) -> Conditioning:
        """Return prompts as they are: what the transformer makes of them depends on time and picture."""
        return table

    def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        """Return the velocity (N, C, h, w), in the dtype of the latents asked about.

        The transformer's position codes are centred on what it is shown, so a tile is a picture of its own.
        """
        from smd_cli.models.coupled_sequence import by_prompts

        return by_prompts(self._predict, asked, conditioning)

    def _predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        """Predict for N rows with R prompts each."""
        from smd_cli.models.coupled_sequence import in_rows, joint_bias

        height, width = (side // PATCH for side in asked.latents.shape[-2:])
        with self.attention.use(joint_bias(asked.coupling, conditioning, (height, width))):
            output: Tensor = self.networks[TRANSFORMER](
                asked.latents.to(self.device, self.dtype),
                in_rows(conditioning.embeds, len(asked)),
                asked.mean_of(conditioning.pooled),
                asked.timesteps.to(self.device),
                return_dict=False,
            )[0]
        return output.to(asked.latents)


def load(assets: Assets, to: Destination) -> Backbone:
    """Read the weights, fuse the LoRAs and learn the words of textual inversions.

    Raises:
        AssetError: the weights do not fill what the configs describe, or a LoRA does not fit them.
    """
    from smd_cli.models.autoencoder import LatentAutoencoder
    from smd_cli.models.joint_attention import JointAttention
    from smd_cli.models.loading import load_fused
    from smd_cli.models.prompt_trio import PromptTrio

    networks = load_fused(assets, to)
    return SD3(
        assets=assets,
        networks=networks,
        autoencoder=LatentAutoencoder(networks["vae"], to.device),
        schedules=assets.schedules,
        device=to.device,
        dtype=to.dtype,
        text_encoders=PromptTrio.of(
            networks, assets, CLIPS, to.device, networks[TRANSFORMER].config.joint_attention_dim
        ),
        attention=JointAttention(networks[TRANSFORMER]),
    )


def _sigmas(shift: FlowShift, steps: SamplerSteps) -> Tensor:
    """Spread levels evenly down to the least, which a fixed shift moves before and again with all."""
    import torch

    tokens = steps.view[0] * steps.view[1] // PATCH**2
    ends = torch.tensor([1.0, LEAST], dtype=torch.float64)
    first, last = (ends if shift.fixed is None else shift(ends, tokens)).tolist()
    return shift(torch.linspace(first, last, steps.grid, dtype=torch.float64), tokens)


def fits_folder(folder: Path) -> bool:
    """Tell whether a model folder has a transformer of SD3's class."""
    return is_described(folder / TRANSFORMER, SD3_TRANSFORMER)


def read_facts(configs: ModelConfigs) -> ModelFacts:
    """Read the facts of a model; errors are those of `flow_facts`.

    Raises:
        AssetError: the transformer reads other widths than the text encoders write.
        TypeError: a fact is of another type.
    """
    transformer = configs.denoiser
    facts = flow_facts(configs, FAMILY.name, configs.autoencoder["latent_channels"])
    _check_widths(configs)
    return replace(
        facts,
        native_size=transformer["sample_size"] * configs.downscale,
        largest_tile=transformer["pos_embed_max_size"] * PATCH * configs.downscale,
    )


def _check_widths(configs: ModelConfigs) -> None:
    """Raise AssetError where the transformer reads other widths than the text encoders write."""
    transformer, folder = configs.denoiser, configs.folder
    clips = [read_network_config(folder / name, CLIP_TEXT_PROJECTED) for name in CLIPS]
    side_by_side = sum(clip["hidden_size"] for clip in clips)
    pooled, joint = sum(clip["projection_dim"] for clip in clips), transformer["joint_attention_dim"]
    problem = ""
    if pooled != transformer["pooled_projection_dim"]:
        problem = f"pooled_projection_dim is {transformer['pooled_projection_dim']}, both CLIPs' are {pooled}"
    elif side_by_side > joint:
        problem = f"joint_attention_dim is {joint}, both CLIPs' states are {side_by_side} wide"
    elif (folder / T5 / CONFIG).exists():
        width = read_network_config(folder / T5, T5_ENCODER)["d_model"]
        if width != joint:
            problem = f"joint_attention_dim is {joint}, and T5's states are {width} wide"
    if problem:
        raise AssetError(f"{folder / TRANSFORMER / CONFIG}: {problem}; they belong to different models")


def evaluation_elements(transformer: Config, pixels: int, prompts: int) -> int:
    """Estimate how many numbers one evaluation of so many latent pixels holds beyond the weights."""
    width = transformer["num_attention_heads"] * transformer["attention_head_dim"]
    return sequence_elements(EVALUATION_WIDTHS * width, pixels // PATCH**2, prompts, PROMPT_TOKENS)


def read_t5_tokens(folder: Path) -> Tokens:
    """Read the tokens of a folder of T5's tokenizer. Raises AssetError."""
    from smd_cli.models.t5_tokenizer import read_t5_tokenizer  # imports tokenizers

    return read_t5_tokenizer(folder)


def clip(letter: str, tokenizer: str) -> Component:
    """Return one of both CLIP text encoders, by the letter of its size."""
    return Component(
        "model",
        f"text_encoders.clip_{letter}.transformer.",
        CLIP_TEXT_PROJECTED,
        tokenizer=tokenizer,
        inversion=f"clip_{letter}",
    )


UNPROJECTED = replace(CLIP_TEXT_PROJECTED, identity="text_projection.weight")
"""The first CLIP: what diffusers projects, the original program reads as it is."""

FAMILY = Family(
    name="sd3",
    config="stabilityai/stable-diffusion-3-medium-diffusers",
    lcm_lora="jasperai/flash-sd3",
    components={
        TRANSFORMER: Component(
            "diffusion_pytorch_model",
            "model.diffusion_model.",
            SD3_TRANSFORMER,
            inputs=("pos_embed.proj.weight", "x_embedder.proj.weight"),
        ),
        "vae": Component("diffusion_pytorch_model", "first_stage_model."),
        CLIPS[0]: replace(clip("l", "tokenizer"), network=UNPROJECTED),
        CLIPS[1]: clip("g", "tokenizer_2"),
        T5: Component(
            "model",
            "text_encoders.t5xxl.transformer.",
            T5_ENCODER,
            tokenizer="tokenizer_3",
            read_tokens=read_t5_tokens,
            is_optional=True,
        ),
    },
    denoiser=TRANSFORMER,
    autoencoder="vae",
    autoencoders=(KL, TINY),
    tiny_autoencoder="madebyollin/taesd3",
    marks=Marks(
        pipelines=(
            "StableDiffusion3Pipeline",
            "StableDiffusion3Img2ImgPipeline",
            "StableDiffusion3InpaintPipeline",
        ),
        tensors=("model.diffusion_model.joint_blocks.",),
        fits_folder=fits_folder,
        adapted=(
            (r"joint_blocks_\d+_", None),
            *((r"transformer_blocks_\d+_attn_add_[kqv]_proj$", width) for width in (1536, 2432)),
        ),
        denoiser=("joint_blocks.0.x_block.attn.qkv.weight", "transformer_blocks.0.attn.add_q_proj.weight"),
    ),
    lora={
        TRANSFORMER: LayerNames(
            ("transformer_", "lora_unet_", "lora_transformer_", "unet_", "diffusion_model_", "lycoris_", ""),
            mmdit_spellings,
        ),
        CLIPS[0]: LayerNames(("lora_te1_", "text_encoder_"), clip_spellings),
        CLIPS[1]: LayerNames(("lora_te2_", "text_encoder_2_"), clip_spellings),
        T5: LayerNames(("lora_te3_", "text_encoder_3_"), plain_spellings),
    },
    size_multiple=16,
    read_facts=read_facts,
    evaluation_elements=evaluation_elements,
    schedules=partial(flow_schedules, sigmas=_sigmas),
    reading=clip_splitter,
    load=load,
    dtypes=("bfloat16",),
)
