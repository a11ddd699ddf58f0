"""S3-DiT, the transformer of Z-Image (2511.22699): its class, its config, its layers' names. Knows no torch.

diffusers and the program that it was published with name some layers differently: that one keeps queries,
keys and values in one layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from smd_cli.models.allowed import (
    FLAG,
    FRACTION,
    HEADS,
    LAYERS,
    NULL,
    WIDTH,
    KnownKeys,
    divides,
    many,
    real,
    unfilled_head,
    whole,
)
from smd_cli.models.configs import Config
from smd_cli.models.layer_names import Layer, Rows, Spelled
from smd_cli.models.network_class import NetworkClass

Network = Any  # diffusers has no types

PATCH = 2
"""Side of a token in latent pixels."""

DIM, _HEADS, _AXES = 3840, 30, [32, 48, 48]
"""Of the published network, and of one whose config leaves them out."""


def _fits_heads(config: Config) -> str:
    dim, heads, axes = config.get("dim", DIM), config.get("n_heads", _HEADS), config.get("axes_dims", _AXES)
    return unfilled_head("axes_dims", axes, dim // heads)


def _shares_no_keys(config: Config) -> str:
    heads, keys = config.get("n_heads", _HEADS), config.get("n_kv_heads", _HEADS)
    return "" if heads == keys else f"n_kv_heads is {keys}, not n_heads, {heads}"


S3DIT = NetworkClass(
    "diffusers.models.transformers.transformer_z_image",
    "ZImageTransformer2DModel",
    KnownKeys(
        {
            "all_patch_size": many(whole(PATCH, PATCH), 1, 1),
            "all_f_patch_size": many(whole(1, 1), 1, 1),
            "in_channels": WIDTH,
            "dim": WIDTH,
            "n_layers": LAYERS,
            "n_refiner_layers": LAYERS,
            "n_heads": HEADS,
            "n_kv_heads": HEADS,
            "norm_eps": FRACTION,
            "qk_norm": FLAG,
            "cap_feat_dim": WIDTH,
            "siglip_feat_dim": NULL,  # Z-Image-Omni, which reads pictures too
            "rope_theta": real(1, 1e9),
            "t_scale": real(1e-3, 1e6),
            "axes_dims": many(WIDTH, 3, 3),
            "axes_lens": many(whole(1, 2**16), 3, 3),
        },
        (divides("n_heads", "dim"), _fits_heads, _shares_no_keys),
    ),
    single_file="convert_z_image_transformer_checkpoint_to_diffusers",
)

_ENDS = {"x_embedder": "all_x_embedder.2-1", "final_layer": "all_final_layer.2-1"}
_ATTENTION = {
    "qkv": ("to_q", "to_k", "to_v"),
    "out": ("to_out.0",),
    "to_out": ("to_out.0",),
}
"""Layers as the published program and those that train LoRAs name them, and as diffusers does."""


def s3dit_spellings(transformer: Network) -> Spelled:
    """Yield the layers of Z-Image's transformer by diffusers' names and by its published ones."""
    modules = [name for name, _ in transformer.named_modules()]
    for module in modules:
        yield module, module
        for theirs, ours in _ENDS.items():
            if module == ours or module.startswith(f"{ours}."):
                yield theirs + module.removeprefix(ours), module
        if module.endswith(".attention"):
            yield from _attention(module)


def _attention(module: str) -> Iterator[tuple[str, Layer]]:
    for name, layers in _ATTENTION.items():
        yield f"{module}.{name}", tuple(Rows(f"{module}.{layer}") for layer in layers)
