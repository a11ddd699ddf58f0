"""MMDiT, the transformer of Stable Diffusion 3 and 3.5 (Esser et al., 2403.03206). Knows no torch.

diffusers and the program that it was published with name its layers differently: that one keeps queries, keys
and values of a stream in one layer, and has the halves of two modulations the other way round.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from smd_cli.models.allowed import HEADS, LAYERS, NULL, WIDTH, KnownKeys, either, many, whole, word
from smd_cli.models.configs import Config
from smd_cli.models.layer_names import Rows, Spelled
from smd_cli.models.network_class import NetworkClass

Network = Any  # diffusers has no types

PATCH = 2
"""Side of the square of latent pixels that are a token."""

_SIDE = whole(1, 2**11)


def _fits_heads(config: Config) -> str:
    heads, size = config.get("num_attention_heads", 18), config.get("attention_head_dim", 64)
    width = config.get("caption_projection_dim", 1152)
    if heads * size == width:
        return ""
    return f"caption_projection_dim is {width}, not {heads} heads of {size} (attention_head_dim)"


def _built(kind: Any, config: Config) -> Network:  # noqa: ANN401
    """Build it without computing its position codes, seconds and gigabytes of work: its weights hold them."""
    import torch

    side = config.get("pos_embed_max_size", 96)
    network = kind(**{**config, "pos_embed_max_size": 1})
    network.register_to_config(pos_embed_max_size=side)
    codes = network.pos_embed
    codes.pos_embed_max_size = side
    codes.pos_embed = torch.empty(1, side**2, codes.pos_embed.shape[-1], device="meta")
    return network


SD3_TRANSFORMER = NetworkClass(
    "diffusers.models.transformers.transformer_sd3",
    "SD3Transformer2DModel",
    KnownKeys(
        {
            "sample_size": whole(2, 2**11),
            "patch_size": whole(PATCH, PATCH),
            "in_channels": WIDTH,
            "out_channels": WIDTH,
            "num_layers": LAYERS,
            "attention_head_dim": WIDTH,
            "num_attention_heads": HEADS,
            "joint_attention_dim": WIDTH,
            "caption_projection_dim": WIDTH,
            "pooled_projection_dim": WIDTH,
            "pos_embed_max_size": _SIDE,
            "dual_attention_layers": many(whole(0, 255), 0, 256),
            "qk_norm": either(word("rms_norm"), NULL),
        },
        (_fits_heads,),
    ),
    single_file="convert_sd3_transformer_checkpoint_to_diffusers",
    build=_built,
)

_ENDS = {
    "context_embedder": "context_embedder",
    "x_embedder.proj": "pos_embed.proj",
    "t_embedder.mlp.0": "time_text_embed.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "time_text_embed.timestep_embedder.linear_2",
    "y_embedder.mlp.0": "time_text_embed.text_embedder.linear_1",
    "y_embedder.mlp.2": "time_text_embed.text_embedder.linear_2",
    "final_layer.linear": "proj_out",
}
_IMAGE = {
    "attn.proj": "attn.to_out.0",
    "attn2.proj": "attn2.to_out.0",
    "adaLN_modulation.1": "norm1.linear",
    "mlp.fc1": "ff.net.0.proj",
    "mlp.fc2": "ff.net.2",
}
_TEXT = {
    "attn.proj": "attn.to_add_out",
    "adaLN_modulation.1": "norm1_context.linear",
    "mlp.fc1": "ff_context.net.0.proj",
    "mlp.fc2": "ff_context.net.2",
}
_FUSED = {
    "x_block.attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "x_block.attn2.qkv": ("attn2.to_q", "attn2.to_k", "attn2.to_v"),
    "context_block.attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
}
"""Layers as MMDiT names them, and as diffusers does: at both ends, and in the streams of a block."""


def mmdit_spellings(transformer: Network) -> Spelled:
    """Yield the layers of SD3's transformer by diffusers' names and by MMDiT's own."""
    modules = {name for name, _ in transformer.named_modules()}
    for module in modules:
        yield module, module
    for name, parts in _published(len(transformer.transformer_blocks)):
        if all(part.module in modules for part in parts):
            yield name, parts


def _published(blocks: int) -> Iterator[tuple[str, tuple[Rows, ...]]]:
    """Yield MMDiT's names and the layers, or parts of them, that they stand for."""
    for name, module in _ENDS.items():
        yield name, (Rows(module),)
    yield "final_layer.adaLN_modulation.1", _halves_swapped("norm_out.linear")
    for index in range(blocks):
        theirs, ours = f"joint_blocks.{index}", f"transformer_blocks.{index}"
        for stream, layers in (("x_block", _IMAGE), ("context_block", _TEXT)):
            for name, module in layers.items():
                is_swapped = index == blocks - 1 and module == "norm1_context.linear"
                parts = _halves_swapped(f"{ours}.{module}") if is_swapped else (Rows(f"{ours}.{module}"),)
                yield f"{theirs}.{stream}.{name}", parts
        for name, fused in _FUSED.items():
            yield f"{theirs}.{name}", tuple(Rows(f"{ours}.{module}") for module in fused)


def _halves_swapped(module: str) -> tuple[Rows, ...]:
    """Return a modulation whose shift comes first in one program, and whose scale in the other."""
    return Rows(module, 1, 2), Rows(module, 0, 2)
