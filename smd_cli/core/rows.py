"""Rows: canvases in flight, each at its own place in the schedule."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from smd_cli.core.schedule import Schedule


@dataclass(frozen=True)
class Rows:
    """N canvases, row n at `steps[n]` of the schedule.

    Attributes:
        x: (N, C, H, W) float32, the latents.
        steps: the step that each row is about to take, or has taken.
        residual: (N, C, H, W), with residual guidance: the noise that is thought to be in `x`, so that x is
            alpha · clean + sigma · residual (Kodaira et al., arXiv 2312.12491, section 3.2).
        without_regions: with `Bootstrap.show_through`, the same rows painted without their regions while
            those are bootstrapped; after that the rows themselves.
    """

    x: Tensor
    steps: tuple[int, ...]
    residual: Tensor | None = None
    without_regions: "Rows | None" = None

    def __len__(self) -> int:
        """Return the number of rows N."""
        return len(self.steps)

    def planes(self, *, residual: bool) -> Tensor:
        """Return the latents and, if asked for, the residual noise as planes of canvases (N, K, C, H, W).

        Raises ValueError: the rows have no residual noise.
        """
        if not residual:
            return self.x[:, None]
        if self.residual is None:
            raise ValueError("residual guidance needs the noise that the rows began with")
        return torch.stack([self.x, self.residual], dim=1)

    def at(self, places: Sequence[int]) -> "Rows":
        """Return some of the rows."""
        index = list(places)
        residual = None if self.residual is None else self.residual[index]
        without_regions = None if self.without_regions is None else self.without_regions.at(index)
        return Rows(self.x[index], tuple(self.steps[place] for place in index), residual, without_regions)

    def append(self, others: "Rows") -> "Rows":
        """Return these rows followed by others."""
        residual = None
        if self.residual is not None and others.residual is not None:
            residual = torch.cat([self.residual, others.residual])
        without_regions = None
        if self.without_regions is not None or others.without_regions is not None:
            without_regions = (self.without_regions or self).append(others.without_regions or others)
        return Rows(torch.cat([self.x, others.x]), self.steps + others.steps, residual, without_regions)

    def renoised(self, schedule: Schedule, noise: Tensor) -> "Rows":
        """Take estimates to the level at which their next steps start; `noise` (N, C, H, W).

        What the steps made of the residual noise, with the noise that is added, is the next residual noise.
        """
        steps = tuple(step + 1 for step in self.steps)
        x = schedule.renoise(self.x, noise, steps)
        without_regions = (
            None if self.without_regions is None else self.without_regions.renoised(schedule, noise)
        )
        if self.residual is None:
            return Rows(x, steps, None, without_regions)
        residual = schedule.unscale_noise(schedule.renoise(self.residual, noise, steps), steps)
        return Rows(x, steps, residual, without_regions)
