"""Samplers: ways from noise to a picture, each a function that makes a `Schedule`, and the table of them.

What a scene may ask of a sampler is in `scene/samplers.py`, under the same names; a new sampler is an entry
here and one there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from smd_cli.core.schedule import Level, Schedule, TrainingSchedule, make_schedule, relative_noise_levels

LCM_GRID = 50  # steps of the teacher that latent consistency models were distilled from
LCM_TIMESTEP_SCALING = 10.0  # boundary condition of arXiv 2310.04378, with the published scheduler's values
LCM_SIGMA_DATA = 0.5


class SamplerSteps(NamedTuple):
    """The steps of a sampler.

    Attributes:
        grid: how many timesteps its grid has.
        indices: those that are taken, 0 the noisiest.
        view: (height, width) of a view in latent pixels, which some families' noise levels depend on.
        strength: how much of the way from noise to a picture is taken, its last part: 1 starts from noise
            alone, less from a picture with noise on it (image-to-image).
    """

    grid: int
    indices: tuple[int, ...]
    view: tuple[int, int]
    strength: float = 1.0


class ScheduleMaker(Protocol):
    """Makes the schedules of a model, from what it was trained on."""

    def make_schedule(self, sampler: str, steps: SamplerSteps) -> Schedule:
        """Return the schedule of a sampler, a name of the table."""
        ...


@dataclass(frozen=True)
class DiffusionSchedules:
    """Makes the schedules of a diffusion model."""

    training: TrainingSchedule

    def make_schedule(self, sampler: str, steps: SamplerSteps) -> Schedule:
        """Return the schedule of a sampler of `SAMPLERS`."""
        return SAMPLERS[sampler](self.training, steps)


def lcm(training: TrainingSchedule, indices: Sequence[int], *, grid: int = LCM_GRID) -> Schedule:
    """Build the multistep consistency sampler (Luo et al., arXiv 2310.04378, algorithm 3).

    `indices` rise and count into a sampler of `grid` steps, 0 the noisiest. Raises ValueError where the grid
    or an index is out of range.
    """
    timesteps = _lcm_timesteps(len(training), grid)
    check_indices(indices, grid)
    timesteps = timesteps[list(indices)]
    start = training.level(timesteps)
    of_x, of_prediction = training.clean_weights(start)
    scaled = LCM_TIMESTEP_SCALING * timesteps.double()
    boundary_skip = LCM_SIGMA_DATA**2 / (scaled**2 + LCM_SIGMA_DATA**2)
    boundary_out = scaled / (scaled**2 + LCM_SIGMA_DATA**2).sqrt()
    clean = Level(torch.ones_like(scaled), torch.zeros_like(scaled))
    weights = (boundary_skip + boundary_out * of_x, boundary_out * of_prediction)
    return make_schedule((timesteps, torch.zeros_like(timesteps)), start, clean, weights)


def ddim(training: TrainingSchedule, steps: int, *, offset: int = 1) -> Schedule:
    """Build the deterministic DDIM sampler (Song et al., arXiv 2010.02502, equation 12 with eta 0).

    `steps` timesteps are spread over the T of training from 0 ("leading") and moved up by `offset`; the last
    step ends at the first training level, as Stable Diffusion was published. Raises ValueError where `steps`
    is out of range.
    """
    most = len(training) - offset
    if not 1 <= steps <= most:
        raise ValueError(f"DDIM takes 1 to {most} steps, got {steps}")
    stride = len(training) // steps
    timesteps = torch.arange(steps - 1, -1, -1) * stride + offset
    end_timesteps = (timesteps - stride).clamp(min=0)
    start, end = training.level(timesteps), training.level(end_timesteps)
    of_x, of_prediction = training.clean_weights(start)
    noise_kept = end.sigma / start.sigma
    clean_added = end.alpha - noise_kept * start.alpha
    weights = (noise_kept + clean_added * of_x, clean_added * of_prediction)
    end.alpha[-1], end.sigma[-1] = 1.0, 0.0  # the last estimate is decoded: it counts as clean
    return make_schedule((timesteps, end_timesteps), start, end, weights)


def euler(training: TrainingSchedule, indices: Sequence[int], *, grid: int) -> Schedule:
    """Build Euler's method for the probability flow of a diffusion model (Karras et al., arXiv 2206.00364).

    `grid` timesteps are spread evenly over those of training so that they begin at the last ("trailing", Lin
    et al., arXiv 2305.08891), and `indices` of them are taken, 0 the noisiest. Latents are clean + sigma ·
    noise; the estimate of a step stands at the next step's level. Raises ValueError as `lcm`.
    """
    check_indices(indices, grid)
    timesteps = _trailing(len(training), grid)
    preserving = training.level(timesteps)
    sigmas = preserving.sigma / preserving.alpha
    picked = list(indices)
    of_x, of_prediction = (weight[picked] for weight in training.clean_weights(preserving))
    timesteps, sigma, shown = timesteps[picked], sigmas[picked], preserving.alpha[picked]
    following = F.pad(sigma[1:], (0, 1))
    kept, one = following / sigma, torch.ones_like(sigma)
    weights = (kept + (1 - kept) * of_x * shown, (1 - kept) * of_prediction)
    end_timesteps = F.pad(timesteps[1:], (0, 1))
    made = make_schedule((timesteps, end_timesteps), Level(one, sigma), Level(one, following), weights)
    return replace(
        made,
        noise_levels=relative_noise_levels(sigma),
        input_scale=shown.float(),
        initial_scale=float(sigmas[0]),
    )


def check_indices(indices: Sequence[int], grid: int) -> None:
    """Raise ValueError unless indices rise and lie on a grid of so many timesteps."""
    if not all(0 <= index < after for index, after in zip(indices, [*indices[1:], grid], strict=True)):
        raise ValueError(f"schedule indices must rise and lie in 0..{grid - 1}, got {list(indices)}")


def nearer_indices(steps: SamplerSteps) -> list[int]:
    """Return as many steps, nearer to the picture: consistency models can start anywhere on their grid."""
    grid, strength = steps.grid, steps.strength
    nearer = {int(grid * (1 - strength) + strength * index) for index in steps.indices}
    return sorted({min(index, grid - 1) for index in nearer})  # the last step remains of the least strength


def last_part(schedule: Schedule, strength: float) -> Schedule:
    """Return the steps that lie in the last part of the way from noise to a picture."""
    return schedule.last(max(int(len(schedule) * strength), 1))


def _trailing(training_steps: int, grid: int) -> Tensor:
    """Spread `grid` timesteps evenly over those of training, from the last down."""
    if not 1 <= grid <= training_steps:
        raise ValueError(f"a grid has 1 to {training_steps} steps, got {grid}")
    places = torch.arange(grid, dtype=torch.float64)
    return (training_steps - places * (training_steps / grid)).round().long() - 1


def _lcm_timesteps(training_steps: int, grid: int) -> Tensor:
    """Spread `grid` timesteps evenly over those of the teacher, noisiest first."""
    if not 1 <= grid <= LCM_GRID:
        raise ValueError(f"the grid of an LCM schedule has 1 to {LCM_GRID} steps, got {grid}")
    if training_steps < LCM_GRID:
        raise ValueError(
            f"LCM takes steps of {LCM_GRID} and more training timesteps, not of the {training_steps}"
        )
    teacher = torch.arange(LCM_GRID, 0, -1) * (training_steps // LCM_GRID) - 1
    return teacher[torch.arange(grid) * LCM_GRID // grid]


def _lcm_schedule(training: TrainingSchedule, steps: SamplerSteps) -> Schedule:
    return lcm(training, nearer_indices(steps), grid=steps.grid)


def _ddim_schedule(training: TrainingSchedule, steps: SamplerSteps) -> Schedule:
    return last_part(ddim(training, steps.grid), steps.strength)


def _euler_schedule(training: TrainingSchedule, steps: SamplerSteps) -> Schedule:
    return last_part(euler(training, steps.indices, grid=steps.grid), steps.strength)


SAMPLERS: Mapping[str, Callable[[TrainingSchedule, SamplerSteps], Schedule]] = {
    "lcm": _lcm_schedule,
    "ddim": _ddim_schedule,
    "euler": _euler_schedule,
}
