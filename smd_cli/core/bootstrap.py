"""Bootstrap: in the first steps each region is drawn alone, on a plain background, in the middle of its view.

Left to the average, the layout would settle on a mixture of all prompts before any of them is drawn (Bar-Tal
et al., arXiv 2302.08113, on bootstrapping; white backgrounds and centering: Lee et al., arXiv 2403.09055).
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from smd_cli.core.centering import roll, unroll
from smd_cli.core.schedule import Schedule
from smd_cli.core.views import View

BLURRED_STEPS = 1
"""First steps, whose estimates are too blurred to tell whether they show anything."""


@dataclass(frozen=True)
class Bootstrap:
    """Settings of the first `steps` steps; `white` (1, C, H, W) is the latent of a white picture.

    The background turns from white to the picture's own while the step passes `mix_steps`. Where a region's
    estimate is near its background, by a mean square of about `leak_sensitivity`, it loses weight: the region
    has drawn nothing there. None keeps the weight.

    The published implementation compares the clean estimate with the background at the step's noise level,
    which hides much of the empty area. With `show_through` regions stand on white in all of the steps, and
    lose their weight in the last one alone, against clean white: where they are still empty, the background
    shows, which was painted meanwhile on a canvas without the regions. A region that still shows nothing
    after two steps, such as a cloud, is painted on that background instead of white in those that follow.
    """

    white: Tensor
    steps: int
    mix_steps: float = 1.0
    leak_sensitivity: float | None = None
    show_through: bool = False


class Base(NamedTuple):
    """What white turns into: the background's clean latent (1, C, H, W), or the row itself where none is."""

    latent: Tensor
    is_row: bool


@dataclass(frozen=True)
class BootstrapBackground:
    """The background that a row's regions are drawn on while bootstrapping, in the planes of its canvas.

    `planes` (2, C, H, W) are a background at the row's noise level and what a row carries of it: the noise in
    it, or the clean background. `empty` (1, C, H, W) is what an estimate looks like where nothing is drawn,
    None where that is still to be estimated. A region whose estimate differs from it by a mean square below
    `faint_below` shows nothing; None: nobody asks.
    """

    planes: Tensor
    empty: Tensor | None
    leak_sensitivity: float | None
    faint_below: float | None = None

    def turned_to(self, planes: Tensor) -> "BootstrapBackground":
        """Return another background (K, C, H, W), for regions that show nothing on this one."""
        return replace(self, planes=planes, empty=None, faint_below=None)

    def compose(self, crop: Tensor, mask: Tensor, view: View) -> Tensor:
        """Cut a crop (K, C, h, w) to its mask (h, w), put it on the background and centre it."""
        return roll(torch.lerp(view.box.of(self.planes[: len(crop)]), crop, mask), view.roll)

    def extract(self, estimate: Tensor, view: View) -> tuple[Tensor, Tensor]:
        """Roll a composed crop's estimate (K, C, h, w) back; return it and its share of weight (h, w)."""
        estimate = unroll(estimate, view.roll)
        if self.leak_sensitivity is None:
            return estimate, torch.ones_like(estimate[0, 0])
        return estimate, 2 * torch.sigmoid(self._leak(estimate, view) / self.leak_sensitivity) - 1

    def faintness(self, estimate: Tensor, mask: Tensor, view: View) -> Tensor:
        """Return 1 inside a mask (h, w) if its estimate (K, C, h, w), rolled back, shows nothing, else 0."""
        inside = (mask > 0).to(mask)
        mean = (self._leak(estimate, view) * mask).sum() / mask.sum()
        return inside * (mean < (self.faint_below or 0.0))

    def _leak(self, estimate: Tensor, view: View) -> Tensor:
        """Return by what mean square an estimate (K, C, h, w) differs from an empty one, (h, w)."""
        if self.empty is None:
            raise ValueError("it is not known yet what an estimate looks like where nothing is drawn")
        return (estimate[0] - view.box.of(self.empty[0])).square().mean(0)


def bootstrap_background(
    bootstrap: Bootstrap | None, schedule: Schedule, step: int, base: Base, noise: Tensor
) -> BootstrapBackground | None:
    """Make the background for a row at `step`; None where it is past bootstrapping.

    `noise` (1, C, H, W) brings what is clean to the row's level. A row itself is there already; the published
    code for SD1.5 brings it there again, whose levels preserve the variance, that for SDXL and SD3 does not.
    """
    if bootstrap is None or step >= bootstrap.steps:
        return None
    white_share = 1.0 if bootstrap.show_through else min(max(bootstrap.mix_steps - step, 0.0), 1.0)
    clean = torch.lerp(base.latent, bootstrap.white, white_share)
    noised = schedule.noise_to_start(clean, noise, [step])
    if base.is_row and not schedule.preserves_variance:
        noised = torch.lerp(base.latent, schedule.noise_to_start(bootstrap.white, noise, [step]), white_share)
    planes = torch.cat([noised, clean if schedule.multistep else noise])
    if not bootstrap.show_through:
        return BootstrapBackground(planes, planes[:1], bootstrap.leak_sensitivity)
    is_last = step == bootstrap.steps - 1
    asked = None if is_last or step < BLURRED_STEPS else bootstrap.leak_sensitivity
    return BootstrapBackground(planes, clean, bootstrap.leak_sensitivity if is_last else None, asked)
