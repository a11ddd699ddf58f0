"""Z-Image (2511.22699): Qwen3 reads the prompt, one transformer the prompt and the picture together.

Z-Image-Turbo is distilled for few steps, with its guidance in it. Nothing in its files says so but the shift
of its noise levels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from smd_cli.errors import AssetError
from smd_cli.models.configs import CONFIG, Config, ModelConfigs
from smd_cli.models.family import Component, Family, Marks
from smd_cli.models.flow import (
    TRANSFORMER,
    FlowShift,
    even_sigmas,
    flow_facts,
    flow_schedules,
    sequence_elements,
)
from smd_cli.models.layer_names import LayerNames
from smd_cli.models.loaded import LoadedModel
from smd_cli.models.network_class import is_described, read_network_config
from smd_cli.models.qwen_network import QWEN3, qwen3_component, qwen3_to
from smd_cli.models.s3dit import DIM, PATCH, S3DIT, s3dit_spellings
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
    from smd_cli.models.qwen import QwenEncoder
    from smd_cli.models.qwen_tokenizer import QwenReading
    from smd_cli.models.single_stream import SingleStream

LENGTH = 512
"""Tokens of a prompt that are read, those of its conversation included."""

TURBO_SHIFT = 3.0
"""The shift of Z-Image-Turbo's noise levels; Z-Image's own is 6."""

EVALUATION_WIDTHS = 17
"""How many times the transformer's width one evaluation holds for each token at its peak, by measurements."""

PROMPT_TOKENS = 64
"""Tokens of a prompt of a usual length."""


@dataclass(frozen=True)
class ZImage(LoadedModel):
    """A `Backbone` of the Z-Image family."""

    text_encoder: QwenEncoder
    transformer: SingleStream

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """Encode N prompts into (N, L, D): the states of Qwen3's last layer but one."""
        from smd_cli.models.conditioning import Conditioning

        states, own = self.text_encoder.encode(prompts, fill=False)
        return Conditioning(states * own[..., None], counts=None if own.all() else own.float())

    def prepare(self, table: Conditioning) -> Conditioning:
        """Add what the layers that see prompts alone make of them."""
        return replace(table, keys=self.transformer.read_captions(table))

    def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        """Return the velocity (N, C, h, w), in the dtype of the latents asked about."""
        from smd_cli.models.coupled_sequence import by_prompts

        return by_prompts(self._predict, asked, conditioning)

    def _predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        """Predict for N rows with R prompts each."""
        from smd_cli.core.flow import TIME

        text, present = conditioning.keys or self.transformer.read_captions(conditioning)
        sigmas = asked.timesteps.to(self.device) / TIME
        latents = asked.latents.to(self.device, self.dtype)
        return self.transformer.velocity(latents, sigmas, (text, present), asked.coupling).to(asked.latents)


def load(assets: Assets, to: Destination) -> Backbone:
    """Read the weights and fuse the LoRAs.

    Raises:
        AssetError: the weights do not fill what the configs describe, or a LoRA does not fit them.
    """
    from smd_cli.models.autoencoder import LatentAutoencoder
    from smd_cli.models.loading import load_fused
    from smd_cli.models.qwen import QwenEncoder
    from smd_cli.models.single_stream import SingleStream

    networks = load_fused(assets, to)
    return ZImage(
        assets=assets,
        networks=networks,
        autoencoder=LatentAutoencoder(networks["vae"], to.device),
        schedules=assets.schedules,
        device=to.device,
        dtype=to.dtype,
        text_encoder=QwenEncoder(networks["text_encoder"], reading(assets), (-1,), to.device),
        transformer=SingleStream(networks[TRANSFORMER]),
    )


def fits_folder(folder: Path) -> bool:
    """Tell whether a model folder has Z-Image's transformer."""
    return is_described(folder / TRANSFORMER, S3DIT)


def read_facts(configs: ModelConfigs) -> ModelFacts:
    """Read the facts of a model; errors are those of `flow_facts`.

    Raises:
        AssetError: the transformer reads prompts of another width than the text encoder writes.
    """
    encoder = configs.folder / "text_encoder"
    facts = flow_facts(configs, FAMILY.name, configs.autoencoder.get("latent_channels", 4))
    written, read = read_network_config(encoder, QWEN3).get("hidden_size"), configs.denoiser["cap_feat_dim"]
    if written != read:
        raise AssetError(
            f"{encoder / CONFIG}: hidden_size is {written}, but the transformer reads prompts of width "
            f"{read} (cap_feat_dim); the two belong to different models"
        )
    is_turbo = FlowShift.of(configs.scheduler).fixed == TURBO_SHIFT
    return replace(facts, few_step=is_turbo, takes_negative=not is_turbo)


def evaluation_elements(transformer: Config, pixels: int, prompts: int) -> int:
    """Estimate how many numbers one evaluation of so many latent pixels holds beyond the weights."""
    width = transformer.get("dim", DIM)
    return sequence_elements(EVALUATION_WIDTHS * width, pixels // PATCH**2, prompts, PROMPT_TOKENS)


def _sigmas(shift: FlowShift, steps: SamplerSteps) -> Tensor:
    """Spread levels evenly, shifted for the tokens of a view."""
    return shift(even_sigmas(steps.grid), steps.view[0] * steps.view[1] // PATCH**2)


def reading(assets: Assets) -> QwenReading:
    """Read the tokenizer. Raises AssetError: there is no readable one."""
    from smd_cli.models.qwen_tokenizer import QwenReading, read_qwen_tokenizer

    return QwenReading(read_qwen_tokenizer(assets.configs / "tokenizer"), LENGTH, thinks=True)


FAMILY = Family(
    name="zimage",
    config="Tongyi-MAI/Z-Image-Turbo",
    lcm_lora="",
    components={
        TRANSFORMER: Component("diffusion_pytorch_model", "model.diffusion_model.", S3DIT),
        "vae": Component("diffusion_pytorch_model", "vae."),
        "text_encoder": qwen3_component(qwen3_to(-2)),
    },
    denoiser=TRANSFORMER,
    autoencoder="vae",
    autoencoders=(KL, TINY),
    tiny_autoencoder="madebyollin/taef1",
    marks=Marks(
        pipelines=("ZImagePipeline", "ZImageImg2ImgPipeline", "ZImageInpaintPipeline"),
        tensors=("model.diffusion_model.layers.0.adaLN_modulation.0.", "layers.0.adaLN_modulation.0."),
        fits_folder=fits_folder,
        adapted=((r"layers_\d+_attention_(to_)?(q|k|v|qkv)$", 3840),),
    ),
    lora={
        "transformer": LayerNames(
            ("transformer_", "diffusion_model_", "lora_unet_", "lora_transformer_", "lycoris_", ""),
            s3dit_spellings,
        )
    },
    size_multiple=16,
    read_facts=read_facts,
    evaluation_elements=evaluation_elements,
    schedules=partial(flow_schedules, sigmas=_sigmas),
    reading=reading,
    load=load,
    dtypes=("bfloat16",),
)
