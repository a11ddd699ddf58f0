"""The noise levels that a model was trained on, from its scheduler's config."""

from pathlib import Path

from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor

from smd_cli.models.facts import read_json


def training_alphas(configs: Path) -> Tensor:
    """(1000,) float32 on the CPU: the signal level at each timestep, for the model folder `configs`.

    DDIM's scheduler stands for all: they build their levels from the same keys.

    Raises:
        AssetError: there is no readable config.
    """
    config = read_json(configs / "scheduler" / "scheduler_config.json")
    alphas: Tensor = DDIMScheduler.from_config(config).alphas_cumprod
    return alphas
