"""Stable Diffusion 2.x and SD-Turbo: SD1.5's interfaces, with OpenCLIP's text encoder, a layer short."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from smd_cli.models.clip_network import CLIP_TEXT
from smd_cli.models.family import Component, Marks
from smd_cli.models.sd15 import FAMILY as SD15
from smd_cli.models.sd15 import read_facts
from smd_cli.models.unet_family import is_told_sizes, projects_linearly

if TYPE_CHECKING:
    from pathlib import Path


def fits_folder(folder: Path) -> bool:
    """Tell whether a model folder has a UNet of SD2, which differs from SD1.5's in how attention begins."""
    return projects_linearly(folder) and not is_told_sizes(folder)


FAMILY = replace(
    SD15,
    name="sd2",
    config="stabilityai/sd-turbo",  # by shapes, its configs are those of all of them
    lcm_lora="",
    components={
        **SD15.components,
        "text_encoder": Component("model", "cond_stage_model.model.", CLIP_TEXT, tokenizer="tokenizer"),
    },
    marks=Marks(
        pipelines=("StableDiffusionPipeline",),
        tensors=("cond_stage_model.model.",),
        fits_folder=fits_folder,
        adapted=((r"attn2_to_[kv]$", 1024),),
    ),
    read_facts=partial(read_facts, family="sd2"),
)
