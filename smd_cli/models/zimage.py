"""Z-Image (2511.22699): Qwen3 reads the prompt, one transformer the prompt and the picture together.

Z-Image-Turbo is distilled for few steps, with its guidance in it. Nothing in its files says so but the shift
of its noise levels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smd_cli.errors import AssetError
from smd_cli.models.configs import CONFIG, SCHEDULER_CONFIG, Config, ModelConfigs, read_config, read_json
from smd_cli.models.facts import ModelFacts, check_channels
from smd_cli.models.family import Component, Family, Marks
from smd_cli.models.flow import FlowShift, check_flow_scheduler
from smd_cli.models.layer_names import LayerNames
from smd_cli.models.loaded import LoadedModel
from smd_cli.models.network_class import read_network_config
from smd_cli.models.qwen_network import QWEN3, qwen3_to, read_qwen_tokens
from smd_cli.models.s3dit import DIM, S3DIT, s3dit_spellings
from smd_cli.models.vae import KL, TINY

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from smd_cli.core.flow import FlowSchedules
    from smd_cli.core.guidance import ModelInput
    from smd_cli.core.samplers import SamplerSteps
    from smd_cli.models.assets import Assets
    from smd_cli.models.backbone import Backbone
    from smd_cli.models.components import Destination
    from smd_cli.models.conditioning import Conditioning
    from smd_cli.models.qwen import QwenEncoder
    from smd_cli.models.qwen_tokenizer import QwenReading
    from smd_cli.models.single_stream import SingleStream

LENGTH = 512
"""Tokens of a prompt that are read, those of its conversation included."""

TURBO_SHIFT = 3.0
"""The shift of Z-Image-Turbo's noise levels; Z-Image's own is 6."""

NATIVE_SIZE = 1024
"""Side in px of the pictures that it was trained on, where the autoencoder's config does not say it."""

TOKEN_WIDTHS = 17
"""Numbers, in the transformer's width, that an evaluation holds of a token at its peak, by measurements."""

CAPTION = 64
"""Tokens of captions of a usual length."""


@dataclass(frozen=True)
class ZImage(LoadedModel):
    """A `Backbone` of the Z-Image family."""

    text: QwenEncoder
    transformer: SingleStream

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        """Encode N prompts into (N, L, D): the states of Qwen3's last layer but one."""
        from smd_cli.models.conditioning import Conditioning

        states, own = self.text.encode(prompts, fill=False)
        return Conditioning(states * own[..., None], counts=None if own.all() else own.float())

    def prepare(self, table: Conditioning) -> Conditioning:
        """Add what the layers that see prompts alone make of them."""
        return replace(table, keys=self.transformer.read_captions(table))

    def predict(self, asked: ModelInput, conditioning: Conditioning) -> Tensor:
        """Return the velocity (N, C, h, w), in the dtype of the latents asked about."""
        text, present = conditioning.keys or self.transformer.read_captions(conditioning)
        sigmas = asked.timesteps.to(self.device) / 1000
        latents = asked.latents.to(self.device, self.dtype)
        return self.transformer.velocity(latents, sigmas, (text, present)).to(asked.latents)


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
        schedules=schedules(assets.configs, assets.facts),
        device=to.device,
        dtype=to.dtype,
        text=QwenEncoder(networks["text_encoder"], reading(assets), (-1,), to.device),
        transformer=SingleStream(networks["transformer"]),
    )


def fits_folder(folder: Path) -> bool:
    """Tell whether a model folder has Z-Image's transformer."""
    where = folder / FAMILY.denoiser
    return where.is_dir() and read_config(where).get("_class_name") == S3DIT.name


def read_facts(configs: ModelConfigs) -> ModelFacts:
    """Read the facts of a model.

    Raises:
        AssetError: its parts do not go together, or its scheduler is not one of flow matching.
    """
    path, encoder = configs.folder / SCHEDULER_CONFIG, configs.folder / "text_encoder"
    check_flow_scheduler(configs.scheduler, path, FAMILY.name)
    channels = configs.denoiser.get("in_channels", 16)
    check_channels(configs.folder, channels, configs.autoencoder.get("latent_channels", 4))
    written, read = read_network_config(encoder, QWEN3).get("hidden_size"), configs.denoiser["cap_feat_dim"]
    if written != read:
        raise AssetError(
            f"{encoder / CONFIG}: hidden_size is {written}, but the transformer reads prompts of width "
            f"{read} (cap_feat_dim); the two belong to different models"
        )
    is_turbo = FlowShift.of(configs.scheduler).fixed == TURBO_SHIFT
    return ModelFacts(
        family=FAMILY.name,
        native_size=configs.autoencoder.get("sample_size", NATIVE_SIZE),
        downscale=configs.downscale,
        latent_channels=channels,
        prediction_type="flow_prediction",
        prediction_source=str(path),
        has_usual_noise=True,
        few_step=is_turbo,
        takes_negative=not is_turbo,
    )


def evaluation_elements(transformer: Config, pixels: int) -> int:
    """Estimate how many numbers one evaluation of so many latent pixels holds beyond the weights."""
    return int(TOKEN_WIDTHS * transformer.get("dim", DIM) * (pixels // 4 + CAPTION))


def schedules(configs: Path, facts: ModelFacts) -> FlowSchedules:
    """Read the shift of the noise levels. Raises AssetError: there is no readable config of them."""
    import torch

    from smd_cli.core.flow import FlowSchedules

    path = configs / SCHEDULER_CONFIG
    scheduler = read_json(path)
    check_flow_scheduler(scheduler, path, facts.family)
    shift = FlowShift.of(scheduler)

    def sigmas(steps: SamplerSteps) -> Tensor:
        height, width = steps.view
        even = torch.linspace(1, 1 / steps.grid, steps.grid, dtype=torch.float64)
        return shift(even, (height // 2) * (width // 2))

    return FlowSchedules(sigmas)


def reading(assets: Assets) -> QwenReading:
    """Read the tokenizer. Raises AssetError: there is no readable one."""
    from smd_cli.models.qwen_tokenizer import QwenReading, read_qwen_tokenizer

    return QwenReading(read_qwen_tokenizer(assets.configs / "tokenizer"), LENGTH, thinks=True)


FAMILY = Family(
    name="zimage",
    config="Tongyi-MAI/Z-Image-Turbo",
    lcm_lora="",
    components={
        "transformer": Component("diffusion_pytorch_model", "model.diffusion_model.", S3DIT),
        "vae": Component("diffusion_pytorch_model", "vae."),
        "text_encoder": Component(
            "model",
            "text_encoders.qwen3_4b.transformer.",
            qwen3_to(-2),
            tokenizer="tokenizer",
            read_tokens=read_qwen_tokens,
        ),
    },
    denoiser="transformer",
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
    schedules=schedules,
    reading=reading,
    load=load,
    dtypes=("bfloat16",),
)
