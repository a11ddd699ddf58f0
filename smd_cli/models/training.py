"""The training schedules of models, from their schedulers' configs."""

from pathlib import Path

from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor

from smd_cli.core.samplers import DiffusionSchedules
from smd_cli.core.schedule import TrainingSchedule
from smd_cli.models.configs import read_json
from smd_cli.models.facts import ModelFacts


def diffusion_schedules(configs: Path, facts: ModelFacts) -> DiffusionSchedules:
    """Read the noise levels of a diffusion model (DDPM) from its folder `configs`.

    DDIM's scheduler serves for all of them: they build their levels from the same keys.

    Raises:
        AssetError: there is no readable config.
    """
    config = read_json(configs / "scheduler" / "scheduler_config.json")
    alphas: Tensor = DDIMScheduler.from_config(config).alphas_cumprod
    return DiffusionSchedules(TrainingSchedule(alphas, facts.prediction_type))
