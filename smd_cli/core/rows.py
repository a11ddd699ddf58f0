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
        carried: (N, C, H, W), what a method carries from step to step beside the latents. With residual
            guidance it is the noise that is thought to be in `x`, so that x is alpha · clean + sigma ·
            carried (Kodaira et al., arXiv 2312.12491, section 3.2); with a multistep sampler the clean
            latents that the steps before have estimated, which their first step does not read.
        without_regions: with `Bootstrap.show_through`, the same rows painted without their regions while
            those are bootstrapped; after that the rows themselves.
        faint: (N, 1, H, W), above 0 where regions have shown nothing on the white that they are bootstrapped
            on; None: nowhere.
    """

    x: Tensor
    steps: tuple[int, ...]
    carried: Tensor | None = None
    without_regions: "Rows | None" = None
    faint: Tensor | None = None

    def __len__(self) -> int:
        """Return the number of rows N."""
        return len(self.steps)

    @property
    def faint_places(self) -> Tensor:
        """Return where regions have shown nothing, (N, 1, H, W): nowhere, as far as is known."""
        return torch.zeros_like(self.x[:, :1]) if self.faint is None else self.faint

    def planes(self, *, carried: bool) -> Tensor:
        """Return the latents and, if asked for, what is carried, as planes of canvases (N, K, C, H, W).

        Raises ValueError: the rows carry nothing.
        """
        if not carried:
            return self.x[:, None]
        if self.carried is None:
            raise ValueError(
                "the rows lack what the method carries, such as the noise that the rows began with"
            )
        return torch.stack([self.x, self.carried], dim=1)

    def at(self, places: Sequence[int]) -> "Rows":
        """Return some of the rows."""
        index = list(places)
        carried = None if self.carried is None else self.carried[index]
        without_regions = None if self.without_regions is None else self.without_regions.at(index)
        faint = None if self.faint is None else self.faint[index]
        steps = tuple(self.steps[place] for place in index)
        return Rows(self.x[index], steps, carried, without_regions, faint)

    def append(self, others: "Rows") -> "Rows":
        """Return these rows followed by others."""
        carried = None
        if self.carried is not None and others.carried is not None:
            carried = torch.cat([self.carried, others.carried])
        without_regions = None
        if self.without_regions is not None or others.without_regions is not None:
            without_regions = (self.without_regions or self).append(others.without_regions or others)
        faint = None
        if self.faint is not None or others.faint is not None:
            faint = torch.cat([self.faint_places, others.faint_places])
        x = torch.cat([self.x, others.x])
        return Rows(x, self.steps + others.steps, carried, without_regions, faint)

    def renoised(self, schedule: Schedule, noise: Tensor) -> "Rows":
        """Take estimates to the level at which their next steps start; `noise` (N, C, H, W).

        What the steps made of the residual noise, with the noise that is added, is the next residual noise.
        Clean latents stay as they are.
        """
        steps = tuple(step + 1 for step in self.steps)
        x = schedule.renoise(self.x, noise, steps)
        without_regions = (
            None if self.without_regions is None else self.without_regions.renoised(schedule, noise)
        )
        if self.carried is None or schedule.multistep:
            return Rows(x, steps, self.carried, without_regions, self.faint)
        residual = schedule.unscale_noise(schedule.renoise(self.carried, noise, steps), steps)
        return Rows(x, steps, residual, without_regions, self.faint)
