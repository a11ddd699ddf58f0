"""The training schedules of models, from their schedulers' configs."""

from pathlib import Path

from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor

from smd_cli.core.samplers import DiffusionSchedules
from smd_cli.core.schedule import TrainingSchedule
from smd_cli.errors import AssetError
from smd_cli.models.configs import SCHEDULER_CONFIG, read_json
from smd_cli.models.facts import NOISE, ModelFacts


def diffusion_schedules(configs: Path, facts: ModelFacts) -> DiffusionSchedules:
    """Read the noise levels of a diffusion model (DDPM) from its folder `configs`.

    DDIM's scheduler serves for all of them: they build their levels from the same keys.

    Raises:
        AssetError: there is no readable config, or it makes no noise levels from 0 to 1.
    """
    path = configs / SCHEDULER_CONFIG
    config = NOISE.reduce(read_json(path), path)
    if facts.zero_terminal_snr:
        config["rescale_betas_zero_snr"] = True
    try:
        alphas: Tensor = DDIMScheduler(**config).alphas_cumprod
    except (TypeError, ValueError, RuntimeError, NotImplementedError) as error:
        raise AssetError(f"{path}: makes no noise schedule ({error})") from error
    if not ((alphas >= 0) & (alphas <= 1)).all():  # NaN is in no range
        raise AssetError(f"{path}: its betas make no noise levels, which lie between 0 and 1")
    if facts.prediction_type == "flow_prediction":
        raise AssetError(f"{path}: noise levels of a DDPM, but the model predicts the velocity of a flow")
    return DiffusionSchedules(TrainingSchedule(alphas, facts.prediction_type))
