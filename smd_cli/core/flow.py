"""Samplers of flow-matching models, whose levels are (1 - sigma) · clean + sigma · noise.

Such a model predicts the velocity, noise - clean, so that x - sigma · v is clean (Lipman et al., arXiv
2210.02747; Liu et al., arXiv 2209.03003).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from smd_cli.core.samplers import SamplerSteps
from smd_cli.core.schedule import Level, Schedule, make_schedule, relative_noise_levels
from smd_cli.core.spacing import picked

TIME = 1000.0
"""What timesteps are to sigmas; they are real numbers."""


@dataclass(frozen=True)
class FlowSchedules:
    """Makes the schedules of a flow-matching model.

    `sigmas` gives the sigmas (grid,) of the grid of a sampler's steps, falling, float64, with the shift that
    the model was trained with.
    """

    sigmas: Callable[[SamplerSteps], Tensor]

    def make_schedule(self, sampler: str, steps: SamplerSteps) -> Schedule:
        """Return the schedule of a sampler, `euler` or `lcm`."""
        sigmas = self.sigmas(steps)
        if sampler == "lcm":
            return _clean(picked(sigmas, steps.nearer_indices()))
        return _euler(steps.last_part(picked(sigmas, steps.indices)))


def _euler(sigma: Tensor) -> Schedule:
    """Follow the flow from each level (S,) to the next: deterministic, averaged there, without new noise."""
    following = F.pad(sigma[1:], (0, 1))
    return _schedule(sigma, following, (torch.ones_like(sigma), following - sigma))


def _clean(sigma: Tensor) -> Schedule:
    """Estimate clean latents at each level (S,), which new noise takes to the next.

    So do models sample that are distilled for it, as Flash Diffusion's (Chadebec et al., arXiv 2406.02347).
    """
    return _schedule(sigma, torch.zeros_like(sigma), (torch.ones_like(sigma), -sigma))


def _schedule(sigma: Tensor, end: Tensor, weights: tuple[Tensor, Tensor]) -> Schedule:
    times = ((TIME * sigma).float(), (TIME * end).float())
    made = make_schedule(times, Level(1 - sigma, sigma), Level(1 - end, end), weights)
    return replace(made, noise_levels=relative_noise_levels(sigma))
