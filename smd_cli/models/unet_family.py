"""What families with a UNet have in common, as far as configs tell. Knows no torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from smd_cli.models.configs import Config, read_config

if TYPE_CHECKING:
    from pathlib import Path

    from smd_cli.core.samplers import DiffusionSchedules
    from smd_cli.models.facts import ModelFacts


def is_told_sizes(folder: Path) -> bool:
    """Tell whether the UNet of a model folder is told the picture's size beside the prompt, as SDXL's is."""
    return (folder / "unet").is_dir() and (
        read_config(folder / "unet").get("addition_embed_type") == "text_time"
    )


def projects_linearly(folder: Path) -> bool:
    """Tell whether the UNet of a model folder leads to its attention by linear layers, as SD2's does."""
    return (folder / "unet").is_dir() and bool(read_config(folder / "unet").get("use_linear_projection"))


def evaluation_elements(maps: int) -> Callable[[Config, int, int], int]:
    """Return the estimate of how many numbers one evaluation holds at its peak beyond the weights.

    `maps` is how many maps of the UNet's first width those are, by measurements. What several prompts take
    beside them is little: keys are copied for a layer at a time, and attended to one prompt after another.
    """
    return lambda unet, pixels, _: int(maps * unet["block_out_channels"][0] * pixels)


def schedules(configs: Path, facts: ModelFacts) -> DiffusionSchedules:
    """Read the noise levels that the model was trained on; errors are those of `diffusion_schedules`."""
    from smd_cli.models.training import diffusion_schedules

    return diffusion_schedules(configs, facts)
