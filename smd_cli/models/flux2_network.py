"""The networks of FLUX.2: its transformer, and its autoencoder whose latents are packed. Knows no torch.

diffusers and the program that they were published with name the transformer's layers differently: that one
keeps queries, keys and values of a stream in one layer, and has the halves of the last modulation the other
way round.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from smd_cli.models.allowed import (
    FRACTION,
    HEADS,
    LAYERS,
    NULL,
    OFF,
    WIDTH,
    WIDTHS,
    KnownKeys,
    above,
    as_long,
    divides,
    either,
    many,
    real,
    unfilled_head,
    whole,
)
from smd_cli.models.configs import Config
from smd_cli.models.layer_names import Layer, Rows, Spelled
from smd_cli.models.network_class import NetworkClass
from smd_cli.models.vae import KL_KEYS, KL_RULES, Autoencoder

PATCH = 2
"""Latent pixels of the autoencoder that one token of the transformer covers, along one side."""

_AXES = many(WIDTH, 4, 4)


def _fits_heads(config: Config) -> str:
    axes, size = config.get("axes_dims_rope", [32, 32, 32, 32]), config.get("attention_head_dim", 128)
    return unfilled_head("axes_dims_rope", axes, size)


FLUX2_TRANSFORMER = NetworkClass(
    "diffusers.models.transformers.transformer_flux2",
    "Flux2Transformer2DModel",
    KnownKeys(
        {
            "patch_size": whole(1, 1),
            "in_channels": WIDTH,
            "out_channels": either(WIDTH, NULL),
            "num_layers": LAYERS,
            "num_single_layers": LAYERS,
            "attention_head_dim": WIDTH,
            "num_attention_heads": HEADS,
            "joint_attention_dim": WIDTH,
            "timestep_guidance_channels": WIDTH,
            "mlp_ratio": above(0, 64),
            "axes_dims_rope": _AXES,
            "rope_theta": real(1, 1e9),
            "eps": FRACTION,
            "guidance_embeds": OFF,
        },
        (_fits_heads,),
    ),
    single_file="convert_flux2_transformer_checkpoint_to_diffusers",
    takes_bare_names=True,
)
"""The transformer of FLUX.2 klein, which unlike the large one is told no guidance."""

FLUX2_AUTOENCODER = Autoencoder(
    NetworkClass(
        "diffusers.models.autoencoders.autoencoder_kl_flux2",
        "AutoencoderKLFlux2",
        KnownKeys(
            {
                **KL_KEYS,
                "decoder_block_out_channels": either(NULL, WIDTHS),
                "batch_norm_eps": FRACTION,
                "batch_norm_momentum": either(FRACTION, NULL),
                "patch_size": many(whole(PATCH, PATCH), 2, 2),
            },
            (
                *KL_RULES,
                as_long("block_out_channels", "decoder_block_out_channels"),
                divides("norm_num_groups", "decoder_block_out_channels"),
            ),
            notes=frozenset({"force_upcast"}),
        ),
    ),
    "block_out_channels",
    "block_out_channels",
    decoder_maps=8,
)
"""FLUX.2's autoencoder: KL, with the statistics that normalise its latents among its tensors."""

_OUTSIDE = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_guidance_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_guidance_embed.timestep_embedder.linear_2",
    "double_stream_modulation_img.lin": "double_stream_modulation_img.linear",
    "double_stream_modulation_txt.lin": "double_stream_modulation_txt.linear",
    "single_stream_modulation.lin": "single_stream_modulation.linear",
    "final_layer.linear": "proj_out",
}
_DOUBLE = {
    "img_attn.proj": "attn.to_out.0",
    "img_mlp.0": "ff.linear_in",
    "img_mlp.2": "ff.linear_out",
    "txt_attn.proj": "attn.to_add_out",
    "txt_mlp.0": "ff_context.linear_in",
    "txt_mlp.2": "ff_context.linear_out",
}
_FUSED = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
}
_SINGLE = {"linear1": "attn.to_qkv_mlp_proj", "linear2": "attn.to_out"}
"""Layers as they were published, and as diffusers names them: around blocks, and in both kinds of them."""


def flux2_spellings(transformer: Any) -> Spelled:  # noqa: ANN401 - diffusers has no types
    """Yield the layers of FLUX.2's transformer by diffusers' names and by those it was published with."""
    for module, _ in transformer.named_modules():
        yield module, module
    yield from _OUTSIDE.items()
    yield "final_layer.adaLN_modulation.1", (Rows("norm_out.linear", 1, 2), Rows("norm_out.linear", 0, 2))
    for index in range(len(transformer.transformer_blocks)):
        yield from _in_block(f"double_blocks.{index}", f"transformer_blocks.{index}", _DOUBLE)
        for name, modules in _FUSED.items():
            fused: Layer = tuple(Rows(f"transformer_blocks.{index}.{module}") for module in modules)
            yield f"double_blocks.{index}.{name}", fused
    for index in range(len(transformer.single_transformer_blocks)):
        yield from _in_block(f"single_blocks.{index}", f"single_transformer_blocks.{index}", _SINGLE)


def _in_block(theirs: str, ours: str, layers: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, module in layers.items():
        yield f"{theirs}.{name}", f"{ours}.{module}"
