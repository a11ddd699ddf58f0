"""The method, told once more: every prompt in every tile at every step, one evaluation at a time.

Written from the facts of the method alone; it shares no code with smd_cli.core and knows only LCM sampling
with noise predictions. Slow and plain, so that it can be read against the paper and believed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

Model = Callable[[Tensor, int, int], Tensor]  # latent (1, C, h, w), timestep, row of the prompt table
Coupled = Callable[[Tensor, int, dict[int, Tensor]], Tensor]  # the same, with shares (h, w) of several rows
Level = tuple[int, float, float]  # timestep, share of the clean latent, share of noise
PX = 8  # px a latent pixel
ROUNDING = 1e-6  # a smaller gap between masks is none


@dataclass
class Problem:
    """A picture to make, in the plainest terms; noise is (S, C, h, w), that of step 0's renoising unused."""

    alphas_cumprod: Tensor
    indices: list[int]
    masks: Tensor  # (P, 1, H, W) px
    tile: int  # latent pixels
    white: Tensor  # (1, C, h, w)
    init: Tensor  # (1, C, h, w)
    renoise: Tensor
    bootstrap_noise: Tensor
    background: Tensor | None = None
    std: list[float] = field(default_factory=list)
    strength: list[float] = field(default_factory=list)
    kind: str = "discrete"
    cover_alpha: float = 0.0
    rest: bool = False
    guidance_scale: float = 1.0
    bootstrap_steps: int = 0
    mix_steps: float = 1.0
    leak_sensitivity: float | None = None
    is_behind: bool = False  # the rest is no region among others: it lies behind them, whole
    show_through: bool = False  # and shows where they are empty when the bootstrap ends
    is_coupled: bool = False  # after the bootstrap a tile is evaluated once, under all prompts in it
    own_tiles: bool = False  # what fits into a tile is bootstrapped in one around it


def render(problem: Problem, model: Model, coupled: Coupled | None = None) -> list[Tensor]:
    """Return the averaged, composited estimate (1, C, h, w) of every step; the last is the latent."""
    timesteps = [999 - 20 * index for index in problem.indices]
    alphas = [math.sqrt(problem.alphas_cumprod[t]) for t in timesteps]
    sigmas = [math.sqrt(1 - problem.alphas_cumprod[t]) for t in timesteps]
    masks = quantized_masks(problem, sigmas)
    background = problem.background
    if background is None and (masks.sum(0) < 1 - ROUNDING).any():
        background = problem.white

    if problem.is_behind:
        everywhere = problem.bootstrap_steps if problem.show_through else 0
        masks[0] = (masks[0] > 0).float()
        masks[0, :everywhere] = 1
    x, apart, estimates = problem.init, problem.init, []
    faint = torch.zeros_like(problem.init[:, :1])  # where regions have shown nothing on white
    for step, t in enumerate(timesteps):
        level = (t, alphas[step], sigmas[step])
        if step > 0:
            x = alphas[step] * x + sigmas[step] * problem.renoise[[step]]
            apart = alphas[step] * apart + sigmas[step] * problem.renoise[[step]]
        everything = list(range(len(masks)))
        bootstrapping = bootstrapped(problem, step, x if background is None else background, level)
        regions = everything[1:] if problem.is_behind else everything
        if problem.is_coupled and step >= problem.bootstrap_steps:
            together = average_coupled(problem, coupled, x, masks[:, step], level, regions)
            (x, weight), *under = together
        else:
            behind_alone = [0] if problem.is_behind else []
            under = [average(problem, model, apart, None, masks[:, step], level, behind_alone)]
            if bootstrapping is not None and problem.show_through:
                bootstrapping.behind = lies_behind(problem, step, level, apart, under[0], background)
                is_last = step == problem.bootstrap_steps - 1
                is_asked = step > 0 and not is_last and problem.leak_sensitivity is not None
                bootstrapping.faint, bootstrapping.marks = faint.clone(), faint if is_asked else None
            x, weight = average(problem, model, x, bootstrapping, masks[:, step], level, regions)
        behind = background
        if problem.is_behind:
            behind, share = under[0]
            if background is not None:
                behind = share * behind + (1 - share) * background
        if behind is not None:
            bare = (1 - weight).clamp(0, 1)
            x = (1 - bare) * x + bare * behind
        on_its_own = problem.show_through and step + 1 < problem.bootstrap_steps
        apart = behind if on_its_own and behind is not None else x
        estimates.append(x)
    return estimates


def lies_behind(
    problem: Problem,
    step: int,
    level: Level,
    apart: Tensor,
    under: tuple[Tensor, Tensor],
    background: Tensor | None,
) -> tuple[Tensor, Tensor] | None:
    """What lies behind the regions at a step: as it is then, and as it is estimated."""
    estimate, share = under
    if not problem.is_behind:
        if background is None:
            return None
        return level[1] * background + level[2] * problem.bootstrap_noise[[step]], background
    return apart, estimate if background is None else share * estimate + (1 - share) * background


@dataclass
class Ground:
    """What a step bootstraps on, what an estimate of nothing looks like there, and whether that is dropped.

    Where `faint`, it is what lies `behind`, as it is and as it is estimated; what is found faint is marked.
    """

    laid: Tensor
    empty: Tensor
    drops: bool
    faint: Tensor | None = None
    marks: Tensor | None = None
    behind: tuple[Tensor, Tensor] | None = None


def bootstrapped(problem: Problem, step: int, behind: Tensor, level: Level) -> Ground | None:
    """The ground that a step lays; None after the bootstrap."""
    if step >= problem.bootstrap_steps:
        return None
    mix = 1.0 if problem.show_through else min(1.0, max(0.0, problem.mix_steps - step))
    clean = mix * problem.white + (1 - mix) * behind
    ground = level[1] * clean + level[2] * problem.bootstrap_noise[[step]]
    if not problem.show_through:
        return Ground(ground, ground, drops=True)
    return Ground(ground, clean, drops=step == problem.bootstrap_steps - 1)


def average(
    problem: Problem,
    model: Model,
    x: Tensor,
    ground: Ground | None,
    masks: Tensor,
    level: Level,
    regions: list[int],
) -> tuple[Tensor, Tensor]:
    """Return the mean estimate of some regions of a canvas and the sum of their weights.

    Where the step bootstraps, they are on `ground`.
    """
    total, weight = torch.zeros_like(x), torch.zeros_like(x)
    for region in regions:
        whole = masks[region][0]
        own = own_tile(whole, problem.tile) if problem.own_tiles and ground is not None else []
        for (top, left, height, width), ramp in own or tiles(x.shape[2], x.shape[3], problem.tile):
            here = (..., slice(top, top + height), slice(left, left + width))
            mask = masks[region][here]
            if not (mask * ramp > 0).any():
                continue
            latent, share = x[here], mask * ramp
            down, right, is_faint = 0, 0, False
            if ground is not None:
                is_faint = ground.faint is not None and (ground.faint[here] * mask).sum() > mask.sum() / 2
                laid, empty = ground.behind if is_faint and ground.behind else (ground.laid, ground.empty)
                latent = (1 - mask) * laid[here] + mask * latent
                down, right = (0, 0) if is_faint else to_center(mask[0])
            latent = torch.roll(latent, (down, right), (2, 3))
            epsilon = guided(model, latent, level[0], region, len(masks), problem.guidance_scale)
            estimate = torch.roll(consistency(latent, epsilon, *level), (-down, -right), (2, 3))
            if ground is not None and problem.leak_sensitivity is not None:
                leak = ((estimate - empty[here]) ** 2).mean(1)
                if ground.drops:
                    share = share * (2 / (1 + torch.exp(-leak / problem.leak_sensitivity)) - 1)
                nothing = (leak * mask).sum() / mask.sum() < problem.leak_sensitivity
                if ground.marks is not None and not is_faint and nothing:
                    ground.marks[here] = torch.maximum(ground.marks[here], (mask > 0).float())
            total[here] += share * estimate
            weight[here] += share
    return torch.where(weight > 0, total / weight, torch.zeros_like(x)), weight


def average_coupled(
    problem: Problem, model: Coupled, x: Tensor, masks: Tensor, level: Level, regions: list[int]
) -> list[tuple[Tensor, Tensor]]:
    """Return what `average` does, of tiles that are evaluated once: of some regions, then of the others."""
    others = [region for region in range(len(masks)) if region not in regions]
    sums = [(torch.zeros_like(x), torch.zeros_like(x)) for _ in (regions, others)]
    for (top, left, height, width), ramp in tiles(x.shape[2], x.shape[3], problem.tile):
        here = (..., slice(top, top + height), slice(left, left + width))
        there = [region for region in range(len(masks)) if ((masks[region][here] * ramp) > 0).any()]
        if not there:
            continue
        shares = {region: torch.empty(height, width) for region in there}
        for row in range(height):
            for column in range(width):
                seen = {region: float(masks[region][here][0, row, column]) for region in there}
                in_front = sum(seen[region] for region in there if region in regions)
                for region in set(there) & set(others):  # they are seen as far as those in front let them
                    seen[region] *= max(0.0, 1 - in_front)
                for region in there:
                    total = sum(seen.values())
                    shares[region][row, column] = seen[region] / total if total else 1 / len(there)
        positive = model(x[here], level[0], shares)
        negative = model(x[here], level[0], {region + len(masks): shares[region] for region in there})
        epsilon = negative + problem.guidance_scale * (positive - negative)
        for (total, weight), those in zip(sums, (regions, others), strict=True):
            share = ramp * sum((masks[region][here] for region in those), torch.zeros_like(ramp))
            total[here] += share * consistency(x[here], epsilon, *level)
            weight[here] += share
    return [(torch.where(weight > 0, total / weight, 0), weight) for total, weight in sums]


def guided(model: Model, latent: Tensor, t: int, region: int, regions: int, scale: float) -> Tensor:
    positive, negative = model(latent, t, region), model(latent, t, region + regions)
    return negative + scale * (positive - negative)


def consistency(x: Tensor, epsilon: Tensor, t: int, alpha: float, sigma: float) -> Tensor:
    """x0 = c_out (x - sigma eps) / alpha + c_skip x, timesteps scaled by 10, data deviation 0.5."""
    c_skip = 0.25 / ((10 * t) ** 2 + 0.25)
    c_out = 10 * t / math.sqrt((10 * t) ** 2 + 0.25)
    return c_out * (x - sigma * epsilon) / alpha + c_skip * x


def quantized_masks(problem: Problem, levels: list[float]) -> Tensor:
    """(P, S, 1, h, w): cover, blur, take every eighth pixel, strength, quantize; the rest first."""
    painted = problem.masks.clone()
    if problem.cover_alpha > 0:
        for i in range(len(painted)):
            for y, x in torch.nonzero((problem.masks[i + 1 :] > 0).any(0)[0]).tolist():
                painted[i, 0, y, x] *= problem.cover_alpha
    reach = math.ceil(3 * max(problem.std, default=0))
    result = []
    for i, mask in enumerate(painted):
        std = problem.std[i] if problem.std else 0.0
        soft = blurred(mask[0], std, reach)[::PX, ::PX] * (problem.strength[i] if problem.strength else 1.0)
        steps = []
        for step, level in enumerate(levels):
            last = step == len(levels) - 1
            if problem.kind == "continuous" or (problem.kind == "semi-continuous" and last):
                below = 0.0 if last else levels[step + 1]
                steps.append(((soft - below) / (level - below)).clamp(0, 1))
            else:
                steps.append((soft > level).float())
        result.append(torch.stack(steps)[:, None])
    masks = torch.stack(result)
    if problem.rest:
        rest = (1 - masks.sum(0, keepdim=True)).clamp(0, 1)
        masks = torch.cat([rest * (rest > ROUNDING), masks])
    return masks


def blurred(mask: Tensor, std: float, reach: int) -> Tensor:
    """Sum the whole square window, shifted pixel by pixel over a canvas whose border is repeated."""
    if std == 0:
        return mask
    height, width = mask.shape
    ys = torch.arange(-reach, height + reach).clamp(0, height - 1)
    xs = torch.arange(-reach, width + reach).clamp(0, width - 1)
    padded = mask.double()[ys][:, xs]
    weights = [math.exp(-(d**2) / (2 * std**2)) for d in range(-reach, reach + 1)]
    total = torch.zeros(height, width, dtype=torch.float64)
    for dy, wy in enumerate(weights):
        for dx, wx in enumerate(weights):
            total += wy * wx * padded[dy : dy + height, dx : dx + width]
    return (total / sum(weights) ** 2).float()


def tiles(height: int, width: int, size: int) -> list[tuple[tuple[int, int, int, int], Tensor]]:
    """Boxes (top, left, height, width) in reading order with their weights; each pixel's weights sum to 1."""
    boxes = [
        (top, left, min(size, height), min(size, width))
        for top in starts(height, size)
        for left in starts(width, size)
    ]
    raw = []
    for top, left, h, w in boxes:
        ramp = torch.ones(h, w)
        for y in range(h):
            for x in range(w):
                ramp[y, x] = side_weight(y, h, top, height) * side_weight(x, w, left, width)
        raw.append(ramp)
    total = torch.zeros(height, width)
    for (top, left, h, w), ramp in zip(boxes, raw, strict=True):
        total[top : top + h, left : left + w] += ramp
    return [
        (box, ramp / total[box[0] : box[0] + box[2], box[1] : box[1] + box[3]])
        for box, ramp in zip(boxes, raw, strict=True)
    ]


def starts(length: int, size: int) -> list[int]:
    if length <= size:
        return [0]
    stride, found = max(size // 2, 1), [0]
    while found[-1] + size < length:
        found.append(min(found[-1] + stride, length - size))
    return found


def own_tile(mask: Tensor, size: int) -> list[tuple[tuple[int, int, int, int], Tensor]]:
    """The one box of a tile's size around a mask (h, w), inside the canvas; none where it does not fit."""
    height, width = (min(size, side) for side in mask.shape)
    ys, xs = torch.nonzero(mask > 0, as_tuple=True)
    if len(ys) == 0 or ys.max() - ys.min() >= height or xs.max() - xs.min() >= width:
        return []
    top = (ys.min().item() + ys.max().item() + 1) // 2 - height // 2
    left = (xs.min().item() + xs.max().item() + 1) // 2 - width // 2
    top = max(0, min(top, mask.shape[0] - height))
    left = max(0, min(left, mask.shape[1] - width))
    return [((top, left, height, width), torch.ones(height, width))]


def side_weight(at: int, size: int, start: int, length: int) -> float:
    """A line from 0 at a tile's first pixel to 1 at the last of its overlap; the same from the other end."""
    overlap = size - max(size // 2, 1)
    from_end = size - 1 - at
    rising = 1.0 if start == 0 or at >= overlap else at / max(overlap - 1, 1)
    falling = (
        1.0 if start + size == length or from_end >= overlap or overlap == 1 else from_end / (overlap - 1)
    )
    return rising * falling


def to_center(mask: Tensor) -> tuple[int, int]:
    """How far the bounding box of a mask (h, w) lies from the middle; an empty one stays where it is."""
    if not (mask > 0).any():
        return 0, 0
    ys, xs = torch.nonzero(mask > 0, as_tuple=True)
    middle_y = (ys.min().item() + ys.max().item() + 1) // 2
    middle_x = (xs.min().item() + xs.max().item() + 1) // 2
    return mask.shape[0] // 2 - middle_y, mask.shape[1] // 2 - middle_x
