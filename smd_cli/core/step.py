"""The step: one denoising of N canvases, each at its own place in the schedule.

A one-shot picture takes it with one row, again and again; a stream takes it with a row for each frame in
flight, once a tick.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from smd_cli.core.aggregate import average, composite
from smd_cli.core.bootstrap import (
    BLURRED_STEPS,
    Base,
    Bootstrap,
    BootstrapBackground,
    bootstrap_background,
)
from smd_cli.core.coupling import Coupling
from smd_cli.core.guidance import Guidance, Inputs, ModelInput, Predict, guided
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

    @property
    def carries(self) -> bool:
        """Tell whether rows carry more than their latents from step to step."""
        return self.guidance.carries_residual or self.schedule.multistep is not None


@dataclass(frozen=True)
class PlacedView:
    """A view of one row: the `canvas` (depth, row) it is cut from, and the background it is bootstrapped on.

    Depth 0 is the canvas of the regions. Depth 1 is that of the regions that lie behind them, painted as if
    the others were not there. Coupled views are cut from the first: after the bootstrap both are the same.
    """

    canvas: tuple[int, int]
    view: View
    background: BootstrapBackground | None

    def grounded(self, behind: Tensor) -> "PlacedView":
        """Return it, not rolled, on what is `behind` the regions of the rows, (N, K, C, H, W)."""
        if self.background is None:
            return self
        background = self.background.turned_to(behind[self.canvas[1]])
        return replace(self, view=replace(self.view, roll=(0, 0)), background=background)


class Sums:
    """What the estimates of views add up to, by canvas; it grows in place, a view at a time.

    Attributes:
        total: (D, N, K, C, H, W), estimates times weights.
        weight: (D, N, 1, 1, H, W), the weights.
        faint: (N, 1, H, W), above 0 where regions show nothing on the white that they are bootstrapped on.
        background: (N, K, C, H, W), what lies behind all canvases where steps end; None: nothing does.
    """

    def __init__(self, canvases: Tensor, faint: Tensor, background: Tensor | None) -> None:
        """Begin with nothing on canvases (D, N, K, C, H, W), and what has been faint so far."""
        self.total = torch.zeros_like(canvases)
        self.weight = torch.zeros_like(canvases[:, :, :1, :1])
        self.faint = faint.clone()
        self.background = background

    def add(self, placed: PlacedView, estimate: Tensor, regions: Regions) -> None:
        """Add the estimate (K, C, h, w) of a view; those behind the others come first."""
        view, row = placed.view, placed.canvas[1]
        kept: Tensor | float = 1.0
        if placed.background is not None:
            ground = self._ended(placed.background, row)
            estimate, kept = ground.extract(estimate, view)
            if ground.faint_below is not None:
                view.box.add(self.faint[row], ground.faintness(estimate, regions.mask(view), view))
        for depth, weight in regions.weights(view):
            share = weight * kept
            view.box.add(self.total[depth, row], share * estimate)
            view.box.add(self.weight[depth, row], share)

    def _ended(self, ground: BootstrapBackground, row: int) -> BootstrapBackground:
        """Return a background with what it looks like where the step ends: it may be what is behind."""
        if ground.empty is not None or ground.leak_sensitivity is None:
            return ground
        behind = self.shown()[1] if len(self.total) > 1 else self.background
        return replace(ground, empty=None if behind is None else behind[row, :1])

    def shown(self) -> list[Tensor]:
        """Return the average of the views by depth, each over what is behind it, (N, K, C, H, W)."""
        averages = list(average(self.total, self.weight))
        behind = self.background
        for depth in reversed(range(len(averages))):
            if behind is not None:
                averages[depth] = composite(averages[depth], self.weight[depth], behind)
            behind = averages[depth]
        return averages


def denoise_step(rows: Rows, noise: Tensor, regions: Regions, method: Method, predict: Predict) -> Rows:
    """Make the estimates of N rows: the same rows, at the levels at which their steps end.

    Views are predicted in batches, across rows, tiles and regions, and averaged on the canvas before any
    noise returns (latent pre-averaging, Lee et al., arXiv 2403.09055). `noise` (N, C, H, W) is for
    backgrounds: the bootstrap's, and the composited one where a schedule's estimates are not clean. What
    rows carry beside their latents goes the same way, as a second plane of the canvas.
    """
    canvases = _canvases(rows, regions, method)
    sums = Sums(canvases, rows.faint_places, _background_where_steps_end(regions, noise, rows, method))
    placed = _placed_views(rows, noise, regions, method)
    if rows.faint is not None:
        behind = canvases[1] if regions.behind else _background_at_steps(regions, noise, rows, method)
        placed = _grounded(placed, rows.faint, behind, regions)
    for start in range(0, len(placed), method.batch):
        chunk = placed[start : start + method.batch]
        crops = torch.stack([_compose(canvases, each, regions) for each in chunk])
        estimates = _estimate(crops, [each.view for each in chunk], regions, method, predict)
        for each, estimate in zip(chunk, estimates, strict=True):
            sums.add(each, estimate, regions)
    return _rows(sums.shown(), rows.steps, method, sums.faint)


def _canvases(rows: Rows, regions: Regions, method: Method) -> Tensor:
    """Return the planes of the rows by depth, (D, N, K, C, H, W); D is 1 where nothing lies behind."""
    planes = rows.planes(carried=method.carries)
    if not regions.behind:
        return planes[None]
    without_regions = rows.without_regions or rows
    return torch.stack([planes, without_regions.planes(carried=method.carries)])


def _placed_views(rows: Rows, noise: Tensor, regions: Regions, method: Method) -> list[PlacedView]:
    """List the views that matter to each row: those behind the others first."""
    is_row = regions.background is None
    behind, before = [], []
    for row, step in enumerate(rows.steps):
        base = Base(rows.x[[row]] if regions.background is None else regions.background, is_row)
        background = bootstrap_background(method.bootstrap, method.schedule, step, base, noise[[row]])
        for view in regions.views[step]:
            if regions.behind.issuperset(view.regions):
                behind.append(PlacedView((1, row), view, None))
            else:
                before.append(PlacedView((0, row), view, background))
    return behind + before


def _grounded(
    placed: Sequence[PlacedView], faint: Tensor, behind: Tensor | None, regions: Regions
) -> list[PlacedView]:
    """Put views that have shown nothing on white so far on what is behind them, where they are not moved.

    `faint` (N, 1, H, W) tells which; `behind` (N, K, C, H, W) is at the level of the steps.
    """
    asked = [
        place
        for place, each in enumerate(placed)
        if each.background is not None and each.view.step > BLURRED_STEPS
    ]
    if behind is None or not asked:
        return list(placed)
    views = [(placed[place].canvas[1], placed[place].view) for place in asked]
    masks = [regions.mask(view) for _, view in views]
    crops = [view.box.of(faint[row, 0]) for row, view in views]
    shares = torch.stack([(crop * mask).sum() / mask.sum() for crop, mask in zip(crops, masks, strict=True)])
    grounded = list(placed)
    for place, is_faint in zip(asked, (shares > 0.5).tolist(), strict=True):  # one transfer for all
        if is_faint:
            grounded[place] = placed[place].grounded(behind)
    return grounded


def _compose(canvases: Tensor, placed: PlacedView, regions: Regions) -> Tensor:
    """Cut what the model is shown of a view from the canvases (D, N, K, C, H, W): (K, C, h, w)."""
    crop = placed.view.box.of(canvases[placed.canvas])
    if placed.background is None:
        return crop
    return placed.background.compose(crop, regions.mask(placed.view), placed.view)


def _estimate(
    crops: Tensor, views: Sequence[View], regions: Regions, method: Method, predict: Predict
) -> Tensor:
    """Denoise the crops (N, K, C, h, w) of N views."""
    schedule, guidance = method.schedule, method.guidance
    steps = [view.step for view in views]
    positive = torch.tensor([region for view in views for region in view.regions], device=crops.device)
    latents = crops[:, 0]
    inputs = Inputs(
        views=ModelInput(
            latents=schedule.scale_input(latents, steps),
            timesteps=schedule.timesteps[steps].to(crops.device),
            end_timesteps=schedule.end_timesteps[steps].to(crops.device),
            prompts=positive,
            boxes=tuple(view.box for view in views),
            canvas=(regions.masks.shape[-2], regions.masks.shape[-1]),
            coupling=_coupling(views, regions),
        ),
        negative=positive + len(regions),
        residual=crops[:, 1] if guidance.carries_residual else None,
        negated=[place for place, step in enumerate(steps) if guidance.asks_negative(step)],
    )
    prediction, residual = guided(predict, guidance, inputs)
    if schedule.multistep:
        return schedule.estimate_after(latents, prediction, crops[:, 1], steps)
    estimate = schedule.estimate(latents, prediction, steps)
    if residual is None:
        return estimate[:, None]
    carried = schedule.estimate(schedule.scale_noise(residual, steps), prediction, steps)
    return torch.stack([estimate, carried], dim=1)


def _coupling(views: Sequence[View], regions: Regions) -> Coupling | None:
    """Return which of the views is asked about under which prompts; None: each has one region."""
    if all(len(view.regions) == 1 for view in views):
        return None
    rows = tuple(row for row, view in enumerate(views) for _ in view.regions)
    return Coupling(rows, torch.cat([regions.shares(view) for view in views]))


def _background_at_steps(regions: Regions, noise: Tensor, rows: Rows, method: Method) -> Tensor | None:
    """Return the background latent at the level where steps start, in planes (N, K, C, H, W)."""
    if regions.background is None:
        return None
    latent = method.schedule.noise_to_start(regions.background, noise, rows.steps)
    return _planes(latent, regions.background if method.schedule.multistep else noise, method)


def _background_where_steps_end(regions: Regions, noise: Tensor, rows: Rows, method: Method) -> Tensor | None:
    """Return the background latent at the level where steps end, in planes (N, K, C, H, W)."""
    if regions.background is None:
        return None
    latent = method.schedule.noise_to_end(regions.background, noise, rows.steps)
    no_residual = torch.zeros_like(latent)
    return _planes(latent, regions.background if method.schedule.multistep else no_residual, method)


def _planes(latent: Tensor, carried: Tensor, method: Method) -> Tensor:
    """Put a latent (N, C, H, W), and what rows carry of it, if they do, into planes (N, K, C, H, W)."""
    if not method.carries:
        return latent[:, None]
    return torch.stack([latent, carried.expand_as(latent)], dim=1)


def _rows(averages: Sequence[Tensor], steps: tuple[int, ...], method: Method, faint: Tensor) -> Rows:
    """Make rows of the estimates by depth, (N, K, C, H, W) each; `faint` (N, 1, H, W) as in sums."""

    def rows(planes: Tensor, without_regions: Rows | None = None, faint: Tensor | None = None) -> Rows:
        carried = planes[:, 1] if method.carries else None
        return Rows(planes[:, 0], steps, carried, without_regions, faint)

    mean, *without_regions = averages
    bootstrap = method.bootstrap
    if bootstrap is None or not bootstrap.show_through:
        return rows(mean)
    if not without_regions:
        return rows(mean, faint=faint.clamp(max=1))
    is_apart = torch.tensor([step + 1 < bootstrap.steps for step in steps], device=mean.device)
    apart = without_regions[0].where(is_apart.view(-1, 1, 1, 1, 1), mean)
    return rows(mean, rows(apart), faint.clamp(max=1))
