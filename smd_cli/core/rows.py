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
            signal · clean + noise · residual (Kodaira et al., arXiv 2312.12491, section 3.2).
        backdrop: the same rows as they are without their regions, while those are bootstrapped, where what
            the regions leave empty is to show it; after that the rows themselves.
    """

    x: Tensor
    steps: tuple[int, ...]
    residual: Tensor | None = None
    backdrop: "Rows | None" = None

    def __len__(self) -> int:
        """Return the number of rows N."""
        return len(self.steps)

    def layers(self, *, residual: bool) -> Tensor:
        """Return the latents and, if asked for, the residual noise as layers of canvases (N, K, C, H, W).

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
        backdrop = None if self.backdrop is None else self.backdrop.at(index)
        return Rows(self.x[index], tuple(self.steps[place] for place in index), residual, backdrop)

    def behind(self, others: "Rows") -> "Rows":
        """Return these rows after others."""
        residual = (
            None
            if self.residual is None or others.residual is None
            else torch.cat([others.residual, self.residual])
        )
        backdrop = None
        if self.backdrop is not None or others.backdrop is not None:
            backdrop = (self.backdrop or self).behind(others.backdrop or others)
        return Rows(torch.cat([others.x, self.x]), others.steps + self.steps, residual, backdrop)

    def renoised(self, schedule: Schedule, noise: Tensor) -> "Rows":
        """Take estimates to the level at which their next steps start; `noise` (N, C, H, W).

        What the steps made of the residual noise, with the noise that is added, is the next residual noise.
        """
        steps = tuple(step + 1 for step in self.steps)
        x = schedule.renoise(self.x, noise, steps)
        backdrop = None if self.backdrop is None else self.backdrop.renoised(schedule, noise)
        if self.residual is None:
            return Rows(x, steps, None, backdrop)
        residual = schedule.noise_in(schedule.renoise(self.residual, noise, steps), steps)
        return Rows(x, steps, residual, backdrop)
