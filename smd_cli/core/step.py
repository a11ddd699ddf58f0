"""The step: one denoising of N canvases, each at its own place in the schedule.

A one-shot picture takes it with one row, again and again; a stream takes it with a row for each frame in
flight, once a tick.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from smd_cli.core.aggregate import average, composite
from smd_cli.core.bootstrap import Bootstrap, Ground, lay_ground
from smd_cli.core.guidance import Guidance, Inputs, Predict, guided
from smd_cli.core.regions import Regions
from smd_cli.core.rows import Rows
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
    """Where a view is evaluated: on which canvas, and the ground it stands on while bootstrapping.

    A canvas is a (depth, row): depth 0 is of the regions, depth 1 of those that are behind them.
    """

    canvas: tuple[int, int]
    view: View
    ground: Ground | None


def denoise_step(rows: Rows, noise: Tensor, regions: Regions, method: Method, predict: Predict) -> Rows:
    """Make the estimates of N rows: the same rows, at the levels at which their steps end.

    Views are predicted in batches, across rows, tiles and regions, and averaged on the canvas before any
    noise returns (latent pre-averaging, Lee et al., arXiv 2403.09055). `noise` (N, C, H, W) is for
    backgrounds: the bootstrap's, and the composited one where a schedule's estimates are not clean. The
    residual noise of rows that carry it goes the way of their latents, as a second layer of the canvas.
    """
    layers = _canvases(rows, residual=method.guidance.carries_residual)
    sites = _sites(rows, noise, regions, method)
    total = torch.zeros_like(layers)
    weight = torch.zeros_like(layers[:, :, :1, :1])
    for start in range(0, len(sites), method.batch):
        chunk = sites[start : start + method.batch]
        inputs = torch.stack([_enter(layers, site, regions) for site in chunk])
        estimates = _estimate(inputs, [site.view for site in chunk], len(regions), method, predict)
        for site, estimate in zip(chunk, estimates, strict=True):
            estimate, share = _leave(estimate, site, regions)
            site.view.box.add(total[site.canvas], share * estimate)
            site.view.box.add(weight[site.canvas], share)
    mean, behind = average(total, weight)
    if regions.background is not None:
        picture = torch.zeros_like(mean)  # no residual noise is in it
        picture[:, 0] = method.schedule.settled(regions.background, noise, rows.steps)
        behind = composite(behind, weight[1], picture)
    if regions.background is not None or regions.extending:
        mean = composite(mean, weight[0], behind)
    return _rows(mean, behind, rows.steps, method)


def _canvases(rows: Rows, *, residual: bool) -> Tensor:
    """Return the layers of the rows and of their backdrops, (2, N, K, C, H, W)."""
    return torch.stack([each.layers(residual=residual) for each in (rows, rows.backdrop or rows)])


def _rows(mean: Tensor, behind: Tensor, steps: tuple[int, ...], method: Method) -> Rows:
    """Make rows of the layers (N, K, C, H, W) of their estimates and of what is behind them."""

    def rows(layers: Tensor, backdrop: Rows | None = None) -> Rows:
        return Rows(layers[:, 0], steps, layers[:, 1] if method.guidance.carries_residual else None, backdrop)

    if method.bootstrap is None or not method.bootstrap.show_through:
        return rows(mean)
    is_apart = torch.tensor([step + 1 < method.bootstrap.steps for step in steps], device=mean.device)
    return rows(mean, rows(behind.where(is_apart.view(-1, 1, 1, 1, 1), mean)))


def _sites(rows: Rows, noise: Tensor, regions: Regions, method: Method) -> list[_Site]:
    """List the views that matter to each row."""
    base = rows.x if regions.background is None else regions.background.expand_as(rows.x)
    sites = []
    for row, step in enumerate(rows.steps):
        ground = lay_ground(method.bootstrap, method.schedule, step, base[[row]], noise[[row]])
        sites += [
            _Site((1, row), view, None) if view.region in regions.extending else _Site((0, row), view, ground)
            for view in regions.views[step]
        ]
    return sites


def _enter(layers: Tensor, site: _Site, regions: Regions) -> Tensor:
    """Cut from the canvases (2, N, K, C, H, W) what the model is shown at a site, (K, C, h, w)."""
    crop = site.view.box.of(layers[site.canvas])
    return site.ground.place(crop, regions.mask(site.view), site.view) if site.ground else crop


def _estimate(
    inputs: Tensor, views: Sequence[View], regions: int, method: Method, predict: Predict
) -> Tensor:
    """Denoise the inputs (N, K, C, h, w) of N views of as many as `regions` regions."""
    schedule, guidance = method.schedule, method.guidance
    steps = [view.step for view in views]
    positive = torch.tensor([view.region for view in views], device=inputs.device)
    asked = Inputs(
        latents=inputs[:, 0],
        residual=inputs[:, 1] if guidance.carries_residual else None,
        timesteps=schedule.timesteps[steps].to(inputs.device),
        positive=positive,
        negative=positive + regions,
        negated=[place for place, step in enumerate(steps) if guidance.asks_negative(step)],
    )
    prediction, residual = guided(predict, guidance, asked)
    estimate = schedule.estimate(asked.latents, prediction, steps)
    if residual is None:
        return estimate[:, None]
    carried = schedule.estimate(schedule.as_noise(residual, steps), prediction, steps)
    return torch.stack([estimate, carried], dim=1)


def _leave(estimate: Tensor, site: _Site, regions: Regions) -> tuple[Tensor, Tensor]:
    """Bring the estimate (K, C, h, w) of a site back to its place; return it with its weight (h, w)."""
    weight = regions.weight(site.view)
    if site.ground is None:
        return estimate, weight
    estimate, kept = site.ground.lift(estimate, site.view)
    return estimate, weight * kept
