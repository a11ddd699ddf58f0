"""The step: one denoising of S canvases, each at its own place in the schedule.

A one-shot picture takes it with one row, again and again; a stream takes it with S rows at steps 0..S-1, once
a tick.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from smd_cli.core.aggregate import average, composite
from smd_cli.core.bootstrap import Bootstrap, Ground, lay_ground
from smd_cli.core.guidance import Guidance, Predict, guided
from smd_cli.core.regions import Regions
from smd_cli.core.schedule import Schedule
from smd_cli.core.views import View


@dataclass(frozen=True)
class Method:
    """How pictures are made, whatever they show; `batch` views are evaluated at once."""

    schedule: Schedule
    guidance: Guidance
    bootstrap: Bootstrap | None = None
    batch: int = 8


@dataclass(frozen=True)
class _Site:
    """Where a view is evaluated: the row, and the ground it stands on while bootstrapping."""

    row: int
    view: View
    ground: Ground | None


def denoise_step(
    x: Tensor, steps: Sequence[int], regions: Regions, method: Method, predict: Predict, noise: Tensor
) -> Tensor:
    """Make the estimates (S, C, H, W), float32, of S canvases x; row n stands at step `steps[n]`.

    Views are predicted in batches, across rows, tiles and regions, and averaged on the canvas before any
    noise returns (latent pre-averaging, Lee et al., arXiv 2403.09055). `noise` (S, C, H, W) is for
    backgrounds: the bootstrap's, and the composited one where a schedule's estimates are not clean.
    """
    sites = _sites(x, steps, regions, method, noise)
    total = torch.zeros(x.shape, device=x.device)
    weight = torch.zeros(x[:, :1].shape, device=x.device)
    for start in range(0, len(sites), method.batch):
        chunk = sites[start : start + method.batch]
        inputs = torch.stack([_enter(x, site, regions) for site in chunk])
        estimates = _estimate(inputs, [site.view for site in chunk], len(regions), method, predict)
        for site, estimate in zip(chunk, estimates, strict=True):
            estimate, share = _leave(estimate, site, regions)
            site.view.box.add(total[site.row], share * estimate)
            site.view.box.add(weight[site.row], share)
    mean = average(total, weight)
    if regions.background is None:
        return mean
    return composite(mean, weight, method.schedule.settled(regions.background, noise, steps))


def _sites(x: Tensor, steps: Sequence[int], regions: Regions, method: Method, noise: Tensor) -> list[_Site]:
    """List the views that matter to each row."""
    base = x if regions.background is None else regions.background.expand_as(x)
    sites = []
    for row, step in enumerate(steps):
        ground = lay_ground(method.bootstrap, method.schedule, step, base[[row]], noise[[row]])
        sites += [
            _Site(row, view, None if view.region in regions.extending else ground)
            for view in regions.views[step]
        ]
    return sites


def _enter(x: Tensor, site: _Site, regions: Regions) -> Tensor:
    """Cut from the canvases x (S, C, H, W) what the model is shown at a site, (C, h, w)."""
    crop = site.view.box.of(x[site.row])
    return site.ground.place(crop, regions.mask(site.view), site.view) if site.ground else crop


def _estimate(
    inputs: Tensor, views: Sequence[View], regions: int, method: Method, predict: Predict
) -> Tensor:
    """Denoise the inputs (N, C, h, w) of N views of as many as `regions` regions."""
    steps = [view.step for view in views]
    timesteps = method.schedule.timesteps[steps].to(inputs.device)
    positive = torch.tensor([view.region for view in views], device=inputs.device)
    prediction = guided(predict, method.guidance, inputs, timesteps, (positive, positive + regions))
    return method.schedule.estimate(inputs, prediction, steps)


def _leave(estimate: Tensor, site: _Site, regions: Regions) -> tuple[Tensor, Tensor]:
    """Bring the estimate (C, h, w) of a site back to its place; return it with its weight (h, w)."""
    weight = regions.weight(site.view)
    if site.ground is None:
        return estimate, weight
    estimate, kept = site.ground.lift(estimate, site.view)
    return estimate, weight * kept
