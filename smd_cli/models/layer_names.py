"""The names that layers go by in files of LoRAs, as several programs spell them. Knows no torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Network = Any  # diffusers and transformers have no types

_WRAPPERS = re.compile(r"base_model_model_|(?<=_)processor_")
"""What PEFT puts around the networks, and what held the layers in diffusers' first LoRAs."""

_LDM_UNET = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
_LDM_RESNET = {
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
"""Parts of a UNet in diffusers and in LDM, the first latent diffusion program, which numbers its blocks."""


@dataclass(frozen=True)
class Rows:
    """Rows of a layer's weight: the `part`-th of `of` equal parts, by default all."""

    module: str
    part: int = 0
    of: int = 1


Layer = tuple[Rows, ...]
"""What a name means in a network: a module's weight, or rows of one or several, one below the other."""

Spelled = Iterator[tuple[str, str | Layer]]
"""Spellings of layers' names, and what they name: a module, or a `Layer`."""


@dataclass(frozen=True)
class LayerNames:
    """How files of LoRAs name the layers of one network.

    Attributes:
        starts: what may precede a layer's name; '' where no other network of the family has the like.
        spellings: yields the names of the network's layers, each in several spellings.
    """

    starts: tuple[str, ...]
    spellings: Callable[[Network], Spelled]

    def table(self, network: Network) -> dict[str, Layer]:
        """Return the network's layers by every name that they go by, as `plain_name` writes it."""
        spelled = [
            (plain_name(name), (Rows(layer),) if isinstance(layer, str) else layer)
            for name, layer in self.spellings(network)
        ]
        return {start + name: layer for start in self.starts for name, layer in spelled}


def plain_name(name: str) -> str:
    """Return a layer's name without what programs differ in: `_` for dots, no wrappers."""
    return _WRAPPERS.sub("", name.replace(".", "_"))


def plain_spellings(network: Network) -> Spelled:
    """Yield the layers of a network by its own names."""
    for module, _ in network.named_modules():
        yield module, module


def clip_spellings(encoder: Network) -> Spelled:
    """Yield the layers of a CLIP text encoder, in a module `text_model` as formerly, and without it."""
    for module, _ in encoder.named_modules():
        core = module.removeprefix("text_model.")
        for name in (core, re.sub(r"self_attn\.(q|k|v|out)_proj$", r"self_attn.to_\1", core)):
            yield name, module
            yield f"text_model.{name}", module


def unet_spellings(unet: Network) -> Spelled:
    """Yield the layers of a UNet by diffusers' names, present and first, and by those of LDM."""
    modules = dict(unet.named_modules())
    for module in modules:
        yield module, module
        if module.endswith(".to_out.0"):
            yield module.removesuffix(".0"), module
    for path, ldm_path in (*_LDM_UNET.items(), *_ldm_blocks(unet)):
        inner_modules = modules[path].named_modules() if path in modules else ()
        for inner, _ in inner_modules:
            yield _joined(ldm_path, _LDM_RESNET.get(inner, inner)), _joined(path, inner)


def _ldm_blocks(unet: Network) -> Iterator[tuple[str, str]]:
    """Yield the blocks of a UNet and their LDM names, which count a block's layers one by one."""
    number = 1
    for index, block in enumerate(unet.down_blocks):
        own = f"down_blocks.{index}"
        for layer in range(len(block.resnets)):
            yield f"{own}.resnets.{layer}", f"input_blocks.{number}.0"
            yield f"{own}.attentions.{layer}", f"input_blocks.{number}.1"
            number += 1
        if block.downsamplers:
            yield f"{own}.downsamplers.0.conv", f"input_blocks.{number}.0.op"
            number += 1
    number = 0
    for index, block in enumerate(unet.up_blocks):
        own = f"up_blocks.{index}"
        for layer in range(len(block.resnets)):
            yield f"{own}.resnets.{layer}", f"output_blocks.{number}.0"
            yield f"{own}.attentions.{layer}", f"output_blocks.{number}.1"
            number += 1
        place = 2 if hasattr(block, "attentions") else 1
        yield f"{own}.upsamplers.0.conv", f"output_blocks.{number - 1}.{place}.conv"


def _joined(*parts: str) -> str:
    return ".".join(part for part in parts if part)
