"""The training schedules of models, from their schedulers' configs."""

from pathlib import Path

from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor

from smd_cli.models.configs import read_json


def read_alphas_cumprod(configs: Path) -> Tensor:
    """Read the signal level at each training timestep of a DDPM: (T,) float32 on the CPU.

    `configs` is the model folder. DDIM's scheduler serves for every DDPM: they all build their
    levels from the same keys.

    Raises:
        AssetError: there is no readable config.
    """
    config = read_json(configs / "scheduler" / "scheduler_config.json")
    alphas: Tensor = DDIMScheduler.from_config(config).alphas_cumprod
    return alphas
