"""Samplers: ways from noise to a picture, each a function that makes a `Schedule`, and the table of them.

What a scene may ask of a sampler is in `scene/samplers.py`, under the same names; a new sampler is an entry
here and one there. Which timesteps they visit is in `spacing.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from smd_cli.core.schedule import (
    Level,
    Multistep,
    Schedule,
    TrainingSchedule,
    make_schedule,
    relative_noise_levels,
)
from smd_cli.core.spacing import Spacing, distilled_grid, karras_sigmas, nearest_timesteps, picked, spaced

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
        spacing: how the timesteps of the grid are spread, for samplers that have no grid of their own.
        gamma: how much of the noise that a step ends with is new, for samplers that can choose.
    """

    grid: int
    indices: tuple[int, ...]
    view: tuple[int, int]
    strength: float = 1.0
    spacing: Spacing = "trailing"
    gamma: float = 0.0

    def last_part(self, steps: Tensor) -> Tensor:
        """Return of all steps (S,), noisiest first, those that lie in the last part of the way."""
        return steps[-max(int(len(steps) * self.strength), 1) :]

    def nearer_indices(self) -> list[int]:
        """Return as many steps, nearer to the picture: consistency models start anywhere on their grid."""
        if self.strength == 1:
            return list(self.indices)
        nearer = {int(self.grid * (1 - self.strength) + self.strength * index) for index in self.indices}
        # of the least strength, the last remains
        return sorted({min(index, self.grid - 1) for index in nearer})


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
        """Return the schedule of a sampler of `SAMPLERS`.

        Raises ValueError: the model was not trained on as many timesteps.
        """
        return SAMPLERS[sampler](self.training, steps)


def lcm(training: TrainingSchedule, steps: SamplerSteps) -> Schedule:
    """Build the multistep consistency sampler (Luo et al., arXiv 2310.04378, algorithm 3)."""
    timesteps = picked(distilled_grid(len(training), steps.grid), steps.nearer_indices())
    start = training.level(timesteps)
    of_x, of_prediction = training.clean_weights(start)
    scaled = LCM_TIMESTEP_SCALING * timesteps.double()
    boundary_skip = LCM_SIGMA_DATA**2 / (scaled**2 + LCM_SIGMA_DATA**2)
    boundary_out = scaled / (scaled**2 + LCM_SIGMA_DATA**2).sqrt()
    clean = Level(torch.ones_like(scaled), torch.zeros_like(scaled))
    weights = (boundary_skip + boundary_out * of_x, boundary_out * of_prediction)
    return make_schedule((timesteps, torch.zeros_like(timesteps)), start, clean, weights)


def tcd(training: TrainingSchedule, steps: SamplerSteps) -> Schedule:
    """Build strategic stochastic sampling (Zheng et al., arXiv 2402.19159, algorithm 4).

    A step goes on to less noise than the next one starts with, by the share gamma of its timestep, and new
    noise makes up for it. The last step ends at the first training level, which counts as clean.
    """
    timesteps = picked(distilled_grid(len(training), steps.grid), steps.nearer_indices())
    following = _following(timesteps)
    end_timesteps = ((1 - steps.gamma) * following.float()).long()
    start, end = training.level(timesteps), training.level(end_timesteps)
    weights, _ = _step_weights(training, start, end)
    return make_schedule((timesteps, end_timesteps), start, _clean_at_last(end), weights)


def ddim(training: TrainingSchedule, steps: SamplerSteps) -> Schedule:
    """Build the deterministic DDIM sampler (Song et al., arXiv 2010.02502, equation 12 with eta 0).

    The last step ends at the first training level, as Stable Diffusion was published. Where the grid does not
    divide the training timesteps, trailing steps end a timestep off the next one's start, as diffusers takes
    them; they count as ending there.
    """
    timesteps = steps.last_part(spaced(len(training), steps.grid, steps.spacing))
    start = training.level(timesteps)
    stepped = training.level((timesteps - len(training) // steps.grid).clamp(min=0))
    weights, _ = _step_weights(training, start, stepped)
    end = _clean_at_last(Level(_following(start.alpha), _following(start.sigma)))
    return make_schedule((timesteps, _following(timesteps)), start, end, weights)


def euler(training: TrainingSchedule, steps: SamplerSteps) -> Schedule:
    """Build Euler's method for the probability flow of a diffusion model (Karras et al., arXiv 2206.00364).

    Latents are clean + sigma · noise; the estimate of a step stands at the next step's level. The scale of
    the first noise is that of the grid's first timestep, whether it is taken or not.
    """
    grid = spaced(len(training), steps.grid, steps.spacing)
    largest = training.sigmas(grid[:1])
    timesteps = steps.last_part(picked(grid, steps.indices))
    sigma = training.sigmas(timesteps)
    one, following, shown = torch.ones_like(sigma), _following(sigma), 1 / (sigma.square() + 1).sqrt()
    start, end = Level(one, sigma), Level(one, following)
    weights, _ = _step_weights(training, start, end, shown)
    return replace(
        make_schedule((timesteps, _following(timesteps)), start, end, weights),
        noise_levels=relative_noise_levels(sigma),
        input_scale=shown.float(),
        initial_scale=float(_begin(largest, steps)),
    )


def dpmpp(training: TrainingSchedule, steps: SamplerSteps) -> Schedule:
    """Build DPM-Solver++ 2M (Lu et al., arXiv 2211.01095, algorithm 2), whose last step is of first order.

    The second order comes from the clean latent of the step before. With the spacing `karras`, levels lie as
    Karras et al. spread them (arXiv 2206.00364, equation 5), and models are told the nearest timesteps.
    """
    sigma, timesteps = (steps.last_part(each) for each in _dpmpp_grid(training, steps))
    start, end = _preserving(sigma), _preserving(_following(sigma))
    (c_skip, c_out), clean_share = _step_weights(training, start, end)
    clean = training.clean_weights(start)
    length = (sigma[:-1] / sigma[1:]).log()  # of each step but the last, in the logarithm of signal to noise
    more = F.pad(length[1:] / (2 * length[:-1]), (1, 1)) if len(sigma) > 1 else torch.zeros_like(sigma)
    more = more * clean_share
    weights = (c_skip + more * clean[0], c_out + more * clean[1])
    made = make_schedule((timesteps, _following(timesteps)), start, end, weights)
    return replace(made, multistep=Multistep(*(table.float() for table in (-more, *clean))))


SAMPLERS: Mapping[str, Callable[[TrainingSchedule, SamplerSteps], Schedule]] = {
    "lcm": lcm,
    "tcd": tcd,
    "ddim": ddim,
    "euler": euler,
    "dpmpp": dpmpp,
}


def _dpmpp_grid(training: TrainingSchedule, steps: SamplerSteps) -> tuple[Tensor, Tensor]:
    """Return sigmas and timesteps of a whole grid; one that reaches the picture has a last timestep less."""
    if steps.spacing == "karras":
        sigmas = karras_sigmas(training, steps.grid)
        return sigmas, nearest_timesteps(training, sigmas)
    beyond = int(steps.spacing != "trailing")
    timesteps = spaced(len(training), steps.grid, steps.spacing, beyond).round().long()
    return training.sigmas(timesteps), timesteps


def _step_weights(
    training: TrainingSchedule, start: Level, end: Level, shown: Tensor | float = 1.0
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Take the clean latent and the noise that a prediction tells from the level `start` to `end`.

    The model is shown x times `shown`. Returns c_skip and c_out, and the clean latent's weight beside x.
    """
    of_x, of_prediction = training.clean_weights(Level(start.alpha * shown, start.sigma * shown))
    kept = end.sigma / start.sigma
    clean_share = end.alpha - kept * start.alpha
    return (kept + clean_share * of_x * shown, clean_share * of_prediction), clean_share


def _following(table: Tensor) -> Tensor:
    """Return what the next step has in a table (S,), 0 after the last."""
    return F.pad(table[1:], (0, 1))


def _clean_at_last(end: Level) -> Level:
    """Let the last estimate count as clean: it is decoded."""
    end.alpha[-1], end.sigma[-1] = 1.0, 0.0
    return end


def _preserving(sigma: Tensor) -> Level:
    """Return the levels that preserve the variance and have so much noise to a unit of clean latent."""
    alpha = 1 / (sigma.square() + 1).sqrt()
    return Level(alpha, sigma * alpha)


def _begin(largest: Tensor, steps: SamplerSteps) -> Tensor:
    """Return the scale of the first noise: leading timesteps leave room for a picture of variance 1 in it."""
    return (largest.square() + 1).sqrt() if steps.spacing == "leading" else largest
