"""The step: one denoising of N canvases, each at its own place in the schedule.

A one-shot picture takes it with one row, again and again; a stream takes it with a row for each frame in
flight, once a tick.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from smd_cli.core.aggregate import average, composite
from smd_cli.core.bootstrap import Base, Bootstrap, BootstrapBackground, bootstrap_background
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


@dataclass(frozen=True)
class Sums:
    """What the estimates of views add up to, by canvas.

    `total` (D, N, K, C, H, W) are estimates times weights, `weight` (D, N, 1, 1, H, W) the weights. `faint`
    (N, 1, H, W) is where regions show nothing on the white that they are bootstrapped on.
    """

    total: Tensor
    weight: Tensor
    faint: Tensor

    def shown(self, background: Tensor | None) -> list[Tensor]:
        """Return the average of the views by depth, each over what is behind it, (N, K, C, H, W)."""
        averages = list(average(self.total, self.weight))
        for depth in reversed(range(len(averages))):
            if background is not None:
                averages[depth] = composite(averages[depth], self.weight[depth], background)
            background = averages[depth]
        return averages


def denoise_step(rows: Rows, noise: Tensor, regions: Regions, method: Method, predict: Predict) -> Rows:
    """Make the estimates of N rows: the same rows, at the levels at which their steps end.

    Views are predicted in batches, across rows, tiles and regions, and averaged on the canvas before any
    noise returns (latent pre-averaging, Lee et al., arXiv 2403.09055). `noise` (N, C, H, W) is for
    backgrounds: the bootstrap's, and the composited one where a schedule's estimates are not clean. What
    rows carry beside their latents goes the same way, as a second plane of the canvas.
    """
    canvases = _canvases(rows, regions, method)
    sums = Sums(
        torch.zeros_like(canvases), torch.zeros_like(canvases[:, :, :1, :1]), rows.faint_places.clone()
    )
    behind, before = _placed_views(rows, noise, regions, method)
    _add(sums, canvases, behind, regions, method, predict)
    background = _background(regions, noise, rows, method)
    if rows.faint is not None and regions.behind:
        before = _grounded(before, rows.faint, canvases[1], sums.shown(background)[1], regions)
    elif rows.faint is not None and regions.background is not None and background is not None:
        noised = _noised(regions.background, noise, rows, method)
        before = _grounded(before, rows.faint, noised, background, regions)
    _add(sums, canvases, before, regions, method, predict)
    return _rows(sums.shown(background), rows.steps, method, sums.faint)


def _add(
    sums: Sums,
    canvases: Tensor,
    placed: Sequence[PlacedView],
    regions: Regions,
    method: Method,
    predict: Predict,
) -> None:
    """Add the estimates of views of canvases (D, N, K, C, H, W) to sums."""
    for start in range(0, len(placed), method.batch):
        chunk = placed[start : start + method.batch]
        crops = torch.stack([_compose(canvases, each, regions) for each in chunk])
        estimates = _estimate(crops, [each.view for each in chunk], regions, method, predict)
        for each, estimate in zip(chunk, estimates, strict=True):
            row, box = each.canvas[1], each.view.box
            estimate, kept = _extract(estimate, each)
            for depth, share in regions.weights(each.view):
                share = share if kept is None else share * kept
                box.add(sums.total[depth, row], share * estimate)
                box.add(sums.weight[depth, row], share)
            if each.background is not None and each.background.faint is not None:
                mask = regions.mask(each.view)
                box.add(sums.faint[row], each.background.faintness(estimate, mask, each.view))


def _grounded(
    placed: Sequence[PlacedView], faint: Tensor, canvas: Tensor, estimate: Tensor, regions: Regions
) -> list[PlacedView]:
    """Put views that have shown nothing on white so far on what is behind them, where they are not moved.

    `faint` (N, 1, H, W) tells which; the `canvas` behind is at the level of the step, (N, K, C, H, W), its
    `estimate` at the level where that ends.
    """
    shares = [
        (each.view.box.of(faint[each.canvas[1], 0]) * mask).sum() / mask.sum()
        for each in placed
        for mask in (regions.mask(each.view),)
    ]
    are_faint = (torch.stack(shares) > 0.5).tolist() if shares else []  # one transfer for all

    def grounded(each: PlacedView) -> PlacedView:
        if each.background is None:
            return each
        row = each.canvas[1]
        background = replace(each.background, planes=canvas[row], empty=estimate[row, :1], faint=None)
        return replace(each, view=replace(each.view, roll=(0, 0)), background=background)

    return [grounded(each) if is_faint else each for each, is_faint in zip(placed, are_faint, strict=True)]


def _canvases(rows: Rows, regions: Regions, method: Method) -> Tensor:
    """Return the planes of the rows by depth, (D, N, K, C, H, W); D is 1 where nothing lies behind."""
    planes = rows.planes(carried=method.carries)
    if not regions.behind:
        return planes[None]
    without_regions = rows.without_regions or rows
    return torch.stack([planes, without_regions.planes(carried=method.carries)])


def _placed_views(
    rows: Rows, noise: Tensor, regions: Regions, method: Method
) -> tuple[list[PlacedView], list[PlacedView]]:
    """List the views that matter to each row: those behind the others, and the others."""
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
    return behind, before


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


def _extract(estimate: Tensor, placed: PlacedView) -> tuple[Tensor, Tensor | None]:
    """Bring a view's estimate (K, C, h, w) back to its place; return it and its share of weight (h, w)."""
    if placed.background is None:
        return estimate, None
    return placed.background.extract(estimate, placed.view)


def _noised(clean: Tensor, noise: Tensor, rows: Rows, method: Method) -> Tensor:
    """Bring a clean background (1, C, H, W) to the level where steps start, in planes (N, K, C, H, W)."""
    latent = method.schedule.noise_to_start(clean, noise, rows.steps)
    if not method.carries:
        return latent[:, None]
    carried = clean if method.schedule.multistep else noise
    return torch.stack([latent, carried.expand_as(latent)], dim=1)


def _background(regions: Regions, noise: Tensor, rows: Rows, method: Method) -> Tensor | None:
    """Return the background latent at the level where steps end, in planes (N, K, C, H, W)."""
    if regions.background is None:
        return None
    latent = method.schedule.noise_to_end(regions.background, noise, rows.steps)
    if not method.carries:
        return latent[:, None]
    carried = (
        regions.background if method.schedule.multistep else torch.zeros_like(latent)
    )  # no residual noise
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
