"""FLUX.2 klein: Qwen3 reads prompts, a transformer predicts the velocity of packed latents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from math import exp
from typing import TYPE_CHECKING

from smd_cli.errors import AssetError
from smd_cli.models.configs import CONFIG, INDEX, Config, ModelConfigs, read_config, read_json
from smd_cli.models.family import Component, Family, Marks
from smd_cli.models.flow import (
    TRANSFORMER,
    FlowShift,
    even_sigmas,
    flow_facts,
    flow_schedules,
    sequence_elements,
)
from smd_cli.models.flux2_network import FLUX2_AUTOENCODER, FLUX2_TRANSFORMER, PATCH, flux2_spellings
from smd_cli.models.layer_names import LayerNames
from smd_cli.models.loaded import LoadedModel
from smd_cli.models.network_class import is_described, read_network_config
from smd_cli.models.qwen_network import qwen3_component, qwen3_to

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
    from smd_cli.models.qwen import QwenEncoder
    from smd_cli.models.qwen_tokenizer import QwenReading

LENGTH = 512
"""Tokens that every prompt is filled up to; the transformer attends to all of them, as it was trained."""

LAYERS = (9, 18, 27)
"""Layers of the text encoder whose states, side by side, are a prompt."""

EVALUATION_WIDTHS = 28
"""How many times the transformer's width one evaluation holds for each token at its peak, by measurements."""

_FEW, _MANY = (10, 8.73809524e-05, 1.89833333), (200, 0.00016927, 0.45666666)
_LARGE = 4300
"""What published FLUX.2 pipelines fit shifts by: numbers of steps, and slope and offset over tokens for each.
Views of more tokens than the last number take the second line, whatever their steps."""

_ENCODER = qwen3_to(LAYERS[-1])


@dataclass(frozen=True)
class Klein(LoadedModel):
    """A `Backbone` of the klein family."""

    text_encoder: QwenEncoder

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """Encode N prompts into (N, 512, 3·D)."""
        from smd_cli.models.conditioning import Conditioning

        states, _ = self.text_encoder.encode(prompts, fill=True)
        return Conditioning(states)

    def prepare(self, table: Conditioning) -> Conditioning:
        """Return prompts as they are: the stream of text changes with the picture's."""
        return table

    def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        """Return the velocity (N, C, h, w), in the dtype of the latents asked about."""
        from smd_cli.models.coupled_sequence import by_prompts

        return by_prompts(self._predict, asked, conditioning)

    def _predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        """Predict for N rows with R prompts each, every one of which stands at the same places."""
        from smd_cli.core.flow import TIME
        from smd_cli.models.coupled_sequence import in_rows, joint_bias

        height, width = asked.latents.shape[-2:]
        text = in_rows(conditioning.embeds, len(asked))
        own = self._places(1, 1, 1, conditioning.embeds.shape[1])
        bias = joint_bias(asked.coupling, conditioning, (height, width), prompts_first=True)
        output: Tensor = self.networks[TRANSFORMER](
            asked.latents.to(self.device, self.dtype).flatten(2).transpose(1, 2),
            text,
            timestep=asked.timesteps.to(self.device) / TIME,
            img_ids=self._places(1, height, width, 1),
            txt_ids=own.repeat(len(conditioning) // len(asked), 1),
            joint_attention_kwargs={"attention_mask": bias},
            return_dict=False,
        )[0]
        return output.transpose(1, 2).reshape(asked.latents.shape).to(asked.latents)

    def _places(self, *sizes: int) -> Tensor:
        """Return the places (T, 4) of the tokens of a grid of these sizes."""
        import torch

        return torch.cartesian_prod(*(torch.arange(size, device=self.device) for size in sizes))


def load(assets: Assets, to: Destination) -> Backbone:
    """Read the weights and fuse the LoRAs. Raises as `load_fused`."""
    from smd_cli.models.flux2_autoencoder import Flux2Autoencoder
    from smd_cli.models.loading import load_fused
    from smd_cli.models.qwen import QwenEncoder

    networks = load_fused(assets, to)
    return Klein(
        assets=assets,
        networks=networks,
        autoencoder=Flux2Autoencoder(networks["vae"], to.device),
        schedules=assets.schedules,
        device=to.device,
        dtype=to.dtype,
        text_encoder=QwenEncoder(networks["text_encoder"], reading(assets), LAYERS, to.device),
    )


def fits_folder(folder: Path) -> bool:
    """Tell whether a model folder has FLUX.2's transformer, and one that reads what Qwen3 writes."""
    where = folder / TRANSFORMER
    return is_described(where, FLUX2_TRANSFORMER) and not read_config(where).get("guidance_embeds")


def read_facts(configs: ModelConfigs) -> ModelFacts:
    """Read the facts of a model; errors are those of `flow_facts`.

    Raises:
        AssetError: the transformer reads prompts of another width than the text encoder writes.
    """
    folder = configs.folder
    facts = flow_facts(configs, FAMILY.name, PATCH**2 * configs.autoencoder.get("latent_channels", 32))
    _check_encoder(folder, configs.denoiser.get("joint_attention_dim", 15360))
    is_distilled = (folder / INDEX).exists() and read_json(folder / INDEX).get("is_distilled") is True
    return replace(
        facts,
        downscale=PATCH * configs.downscale,
        few_step=is_distilled,
        takes_negative=not is_distilled,
    )


def _check_encoder(folder: Path, read: int) -> None:
    """Raise AssetError unless the text encoder writes prompts of the width that the transformer reads."""
    path = folder / "text_encoder" / CONFIG
    encoder = read_network_config(folder / "text_encoder", _ENCODER)
    layers, written = encoder["num_hidden_layers"], len(LAYERS) * encoder["hidden_size"]
    if layers < LAYERS[-1]:
        raise AssetError(f"{path}: num_hidden_layers is {layers}; klein reads layer {LAYERS[-1]}")
    if written != read:
        raise AssetError(
            f"{path}: hidden_size is {encoder['hidden_size']}, which makes prompts of {written} numbers, "
            f"but the transformer reads {read} (joint_attention_dim); the two belong to different models"
        )


def evaluation_elements(transformer: Config, pixels: int, prompts: int) -> int:
    """Estimate how many numbers one evaluation of so many latent pixels holds beyond the weights."""
    width = transformer.get("num_attention_heads", 48) * transformer.get("attention_head_dim", 128)
    return sequence_elements(EVALUATION_WIDTHS * width, pixels, prompts, LENGTH)


def _sigmas(shift: FlowShift, steps: SamplerSteps) -> Tensor:
    """Spread levels evenly, shifted as the scheduler says or, where it leaves that open, as published."""
    tokens = steps.view[0] * steps.view[1]
    if shift.fixed is None:
        mu = empirical_mu(tokens, len(steps.indices))
        shift = replace(shift, fixed=mu if shift.is_linear else exp(mu))
    return shift(even_sigmas(steps.grid), tokens)


def empirical_mu(tokens: int, steps: int) -> float:
    """Return the logarithm of dynamic shifts, for views of so many tokens and so many steps."""
    (few, *line_of_few), (many, *line_of_many) = _FEW, _MANY
    at_few, at_many = (slope * tokens + offset for slope, offset in (line_of_few, line_of_many))
    if tokens > _LARGE:
        return at_many
    return at_many + (at_many - at_few) / (many - few) * (steps - many)


def reading(assets: Assets) -> QwenReading:
    """Read how prompts are read. Raises AssetError as `read_qwen_tokenizer`."""
    from smd_cli.models.qwen_tokenizer import QwenReading, read_qwen_tokenizer

    return QwenReading(read_qwen_tokenizer(assets.configs / "tokenizer"), LENGTH, thinks=False)


FAMILY = Family(
    name="klein",
    config="black-forest-labs/FLUX.2-klein-4B",
    lcm_lora="",
    components={
        TRANSFORMER: Component(
            "diffusion_pytorch_model",
            "model.diffusion_model.",
            FLUX2_TRANSFORMER,
            inputs=("x_embedder.weight", "img_in.weight"),
        ),
        "vae": Component("diffusion_pytorch_model", "vae."),
        "text_encoder": qwen3_component(_ENCODER),
    },
    denoiser=TRANSFORMER,
    autoencoder="vae",
    autoencoders=(FLUX2_AUTOENCODER,),
    marks=Marks(
        pipelines=("Flux2KleinPipeline",),
        tensors=("single_stream_modulation.lin", "model.diffusion_model.single_stream_modulation.lin"),
        fits_folder=fits_folder,
        adapted=((r"single_transformer_blocks_\d+_attn_to_qkv_mlp_proj$", 3072),),
    ),
    lora={
        TRANSFORMER: LayerNames(
            ("transformer_", "diffusion_model_", "lora_unet_", "lycoris_", ""), flux2_spellings
        )
    },
    dtypes=("bfloat16",),
    size_multiple=16,
    read_facts=read_facts,
    evaluation_elements=evaluation_elements,
    schedules=partial(flow_schedules, sigmas=_sigmas),
    reading=reading,
    load=load,
)
