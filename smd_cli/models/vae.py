"""The autoencoders that families share, KL and tiny ones, as far as their configs tell. Knows no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smd_cli.errors import AssetError
from smd_cli.models.allowed import (
    ACTIVATION,
    FLAG,
    LAYERS,
    LAYERS_OF_EACH,
    NULL,
    SCALE,
    WIDTH,
    WIDTHS,
    WORDS,
    KnownKeys,
    as_long,
    divides,
    either,
    many,
    real,
    together,
    whole,
    word,
)
from smd_cli.models.configs import Config
from smd_cli.models.network_class import NetworkClass


@dataclass(frozen=True)
class Autoencoder:
    """A class of autoencoders.

    Attributes:
        network: that class.
        encoder_widths: key of its config that lists the channels of the encoder's blocks.
        decoder_widths: the decoder's.
        decoder_maps: how many maps of the decoder's least width decoding holds at its peak, by measurements.
    """

    network: NetworkClass
    encoder_widths: str
    decoder_widths: str
    decoder_maps: float

    def downscale(self, config: Config) -> int:
        """Return the px a latent: every block of the encoder after the first halves the picture."""
        return int(2 ** (len(config[self.encoder_widths]) - 1))

    def decoder_elements(self, config: Config, pixels: int) -> int:
        """Estimate how many numbers decoding holds at its peak for so many pixels at once."""
        return int(self.decoder_maps * min(config[self.decoder_widths]) * pixels)


_SIDE = whole(1, 2**13)

KL_KEYS = {
    "in_channels": whole(3, 3),
    "out_channels": whole(3, 3),
    "down_block_types": WORDS,
    "up_block_types": WORDS,
    "block_out_channels": WIDTHS,
    "layers_per_block": LAYERS,
    "act_fn": ACTIVATION,
    "latent_channels": WIDTH,
    "norm_num_groups": WIDTH,
    "sample_size": either(_SIDE, many(_SIDE, 2, 2)),
    "use_quant_conv": FLAG,
    "use_post_quant_conv": FLAG,
    "mid_block_add_attention": FLAG,
}
KL_RULES = (
    together("block_out_channels", "down_block_types", "up_block_types", usual=1),
    as_long("block_out_channels", "down_block_types", "up_block_types"),
    divides("norm_num_groups", "block_out_channels"),
)
"""What configs of all KL autoencoders say."""

_FORMERLY = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Layers of attention as diffusers named them when many autoencoders were published, and as it does now."""


def _attention_spellings(name: str) -> tuple[str, ...]:
    path, _, kind = name.rpartition(".")
    block, _, layer = path.rpartition(".")
    return (f"{block}.{_FORMERLY[layer]}.{kind}",) if layer in _FORMERLY else ()


AUTOENCODER_KL = NetworkClass(
    "diffusers.models.autoencoders.autoencoder_kl",
    "AutoencoderKL",
    KnownKeys(
        {
            **KL_KEYS,
            "scaling_factor": SCALE,
            "shift_factor": either(NULL, real(-1e6, 1e6)),
            "latents_mean": NULL,
            "latents_std": NULL,
            "force_upcast": FLAG,
        },
        KL_RULES,
    ),
    _attention_spellings,
    "convert_ldm_vae_checkpoint",
)

AUTOENCODER_TINY = NetworkClass(
    "diffusers.models.autoencoders.autoencoder_tiny",
    "AutoencoderTiny",
    KnownKeys(
        {
            "in_channels": whole(3, 3),
            "out_channels": whole(3, 3),
            "encoder_block_out_channels": WIDTHS,
            "decoder_block_out_channels": WIDTHS,
            "act_fn": ACTIVATION,
            "upsample_fn": word("nearest", "bilinear", "bicubic"),
            "latent_channels": WIDTH,
            "upsampling_scaling_factor": whole(2, 2),
            "num_encoder_blocks": LAYERS_OF_EACH,
            "num_decoder_blocks": LAYERS_OF_EACH,
            "latent_magnitude": SCALE,
            "latent_shift": real(-1e6, 1e6),
            "force_upcast": FLAG,
            "scaling_factor": SCALE,
            "shift_factor": either(NULL, real(-1e6, 1e6)),
        },
        (
            as_long("encoder_block_out_channels", "num_encoder_blocks"),
            as_long("decoder_block_out_channels", "num_decoder_blocks"),
        ),
        notes=frozenset({"block_out_channels"}),
    ),
)

KL = Autoencoder(AUTOENCODER_KL, "block_out_channels", "block_out_channels", decoder_maps=8)
TINY = Autoencoder(
    AUTOENCODER_TINY, "encoder_block_out_channels", "decoder_block_out_channels", decoder_maps=3.25
)


def autoencoder_of(config: Config, known: Sequence[Autoencoder], folder: Path) -> Autoencoder:
    """Return which of the `known` autoencoders a config describes; `folder` is where the config lies.

    Raises:
        AssetError: none of them.
    """
    name = config.get("_class_name")
    for autoencoder in known:
        if autoencoder.network.name == name:
            return autoencoder
    names = ", ".join(autoencoder.network.name for autoencoder in known)
    raise AssetError(f"{folder}: autoencoder {name} is not supported ({names})")
