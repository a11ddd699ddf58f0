"""Spacings: which timesteps a sampler's grid has, of those that a diffusion model was trained on.

`leading`, `trailing` and `linspace` are those of Lin et al., arXiv 2305.08891, table 2, as diffusers takes
them; `karras` spreads sigmas instead. All are noisiest first.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from smd_cli.core.schedule import TrainingSchedule

Spacing = Literal["leading", "trailing", "linspace", "karras"]

OFFSET = 1  # what leading timesteps are moved up by, as all of Stable Diffusion was published
LCM_GRID = 50  # steps of the teacher that latent consistency models were distilled from
KARRAS_RHO = 7.0  # how much denser levels become towards the picture (Karras et al., arXiv 2206.00364, eq. 5)


def spaced(training_steps: int, grid: int, spacing: Spacing, beyond: int = 0) -> Tensor:
    """Spread `grid` timesteps, and `beyond` more that are left out at the end, over those of training.

    They are integers, or real numbers with linspace. Raises ValueError: there are not as many.
    """
    most = training_steps - beyond - OFFSET * (spacing == "leading")
    if not 1 <= grid <= most:
        raise ValueError(f"1 to {most} steps fit the spacing {spacing}, got {grid}")
    count = grid + beyond
    if spacing == "leading":
        timesteps = torch.arange(count - 1, -1, -1) * (training_steps // count) + OFFSET
    elif spacing == "trailing":
        stride = training_steps - (training_steps - training_steps / count)  # as NumPy's ranges round it
        places = torch.arange(count, dtype=torch.float64)
        timesteps = (training_steps - places * stride).round().long() - 1
    else:
        timesteps = torch.linspace(training_steps - 1, 0, count, dtype=torch.float64)
    return timesteps[:grid]


def karras_sigmas(training: TrainingSchedule, grid: int) -> Tensor:
    """Return sigmas from the largest to the smallest of training, denser towards the picture, float64."""
    largest, smallest = training.sigmas(torch.tensor([len(training) - 1, 0])).pow(1 / KARRAS_RHO)
    ramp = torch.linspace(0, 1, grid, dtype=torch.float64)
    sigmas: Tensor = (largest + ramp * (smallest - largest)) ** KARRAS_RHO
    return sigmas


def nearest_timesteps(training: TrainingSchedule, sigmas: Tensor) -> Tensor:
    """Return the timesteps (S,) whose noise is nearest to sigmas, by logarithm."""
    known, wanted = training.sigmas(torch.arange(len(training))).log(), sigmas.log()
    below = (torch.searchsorted(known, wanted, right=True) - 1).clamp(0, len(training) - 2)
    share = (wanted - known[below]) / (known[below + 1] - known[below])
    return (below + share.nan_to_num(1.0).clip(0, 1)).round().long()  # what is no number is all noise


def distilled_grid(training_steps: int, grid: int) -> Tensor:
    """Spread `grid` timesteps evenly over those of the teacher of consistency models.

    Raises ValueError: there are not as many.
    """
    if not 1 <= grid <= LCM_GRID:
        raise ValueError(f"the grid of an LCM schedule has 1 to {LCM_GRID} steps, got {grid}")
    if training_steps < LCM_GRID:
        raise ValueError(
            f"LCM takes steps of {LCM_GRID} and more training timesteps, not of the {training_steps}"
        )
    teacher = torch.arange(LCM_GRID, 0, -1) * (training_steps // LCM_GRID) - 1
    return teacher[torch.arange(grid) * LCM_GRID // grid]


def picked(grid: Tensor, indices: Sequence[int]) -> Tensor:
    """Return some entries of a grid (G,). Raises ValueError unless the indices rise and lie on it."""
    if not all(0 <= index < after for index, after in zip(indices, [*indices[1:], len(grid)], strict=True)):
        raise ValueError(f"schedule indices must rise and lie in 0..{len(grid) - 1}, got {list(indices)}")
    return grid[list(indices)]
