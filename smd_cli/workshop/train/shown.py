"""What of a picture a sampler shows a model in its first steps: nothing, or what surrounds a region.

The schedule leaves 0.14 of a picture in its noisiest step (SD1.5's leaves 0.068), and means can be read off
that through the noise: of a whole picture, of somebody's hair. A model that learns to read them takes the
means of a sampler's noise, which say nothing, for colours, and listens less to its prompt. So in those steps
training shows what sampling does: noise alone, or, as the bootstrap does (Lee et al., arXiv 2403.09055),
white around a region of it. After them it shows what few steps leave: white around things in
scenes, and things in other colours than the told ones (`world/bootstrapped.py`).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from smd_cli.workshop.world.bootstrapped import REACH, ROUND

START = 960
"""The timestep from which nothing of a region shows yet."""

FAINT = 880
"""The timestep from which what is around a region may be fainter than it will be: the bootstrap mixes it."""

LATE_STARTS = 0.3
"""How often nothing shows from `FAINT` on already: a sampler of twenty steps begins at timestep 951."""

TOLD_FROM = 700
"""Below this timestep a picture shows what its caption does not tell, so clearly that a small model sees it.

Where it had to guess, it would learn that any caption may leave things out.
"""

FIRST_SHARE, VERY_FIRST_SHARE = 0.15, 0.7
"""How many timesteps are drawn from `START` on, beside those that chance puts there, and how many of them are
the very first."""

MELTS = (400, 850)
"""Timesteps, from and below, at which a picture may look as few steps leave it, to become right again."""

MELTING = 0.6
"""How often it does."""

LARGEST_ALONE = 0.62
"""The side of a thing's box, as a share of the picture's, beyond which it is no region of its own."""

ALONE = 0.75


class Lesson(NamedTuple):
    """Pictures to learn from: latents (N, 4, h, w), what few steps leave of them (`seen`, as many), token
    ids (N, 77), `told` (N,), `boxes` (N, 4)."""

    latents: Tensor
    seen: Tensor
    ids: Tensor
    told: Tensor
    boxes: Tensor


def chances(size: int | tuple[int, ...], rng: torch.Generator) -> Tensor:
    """Return numbers from 0 to 1, where the generator is."""
    return torch.rand(size, generator=rng, device=rng.device)


def noise_like(latents: Tensor, rng: torch.Generator) -> Tensor:
    """Return noise in the shape of latents, where the generator is."""
    return torch.randn(latents.shape, generator=rng, device=rng.device)


def draw_timesteps(told: Tensor, steps: int, rng: torch.Generator) -> Tensor:
    """Return a timestep below `steps` for each lesson, later ones likelier: few-step samplers start there.

    Lessons that are not `told` (N,) get none of the noise in which all depends on the caption.
    """
    count = len(told)
    usual = torch.randint(steps, (2, count), generator=rng, device=rng.device).amax(0)
    late = torch.randint(START, steps, (count,), generator=rng, device=rng.device)
    first = torch.where(chances(count, rng) < VERY_FIRST_SHARE, steps - 1, late)
    timesteps = torch.where(chances(count, rng) < FIRST_SHARE, first, usual)
    return torch.where(told, timesteps, timesteps * TOLD_FROM // steps)


def fits_a_region(boxes: Tensor) -> Tensor:
    """Tell of boxes (N, 4) whether they hold a thing alone on white that a region of its own could hold."""
    side = boxes[:, 2] - boxes[:, 0]
    return (side > 0) & (side <= LARGEST_ALONE)


def draw_regions(boxes: Tensor, latents: Tensor, rng: torch.Generator) -> Tensor:
    """Draw the region (N, 1, h, w) of each thing alone on white in `latents` (N, C, h, w), 1 inside.

    It is the whole picture where a box (left, top, right, bottom), in shares of the side, is empty or large,
    and now and then elsewhere.
    """
    count = len(boxes)
    side = boxes[:, 2] - boxes[:, 0]
    alone = fits_a_region(boxes) & (chances(count, rng) < ALONE)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    round_ = chances((count, 1, 1, 1), rng) < 0.5
    reach = REACH[0] + (REACH[1] - REACH[0]) * chances((count, 2), rng)
    half = (side[:, None] / 2 * reach).clamp(min=0.02)
    x, y = (
        (((torch.arange(n, device=rng.device) + 0.5) / n)[None] - centers[:, [axis]]) / half[:, [axis]]
        for n, axis in ((latents.shape[-1], 0), (latents.shape[-2], 1))
    )
    x, y = x[:, None, None, :], y[:, None, :, None]
    ellipse = (x / ROUND).square() + (y / ROUND).square() < 1
    box = (x.abs() < 1) & (y.abs() < 1)
    return (torch.where(round_, ellipse, box) | ~alone[:, None, None, None]).float()


def visibility(regions: Tensor, timesteps: Tensor, rng: torch.Generator) -> Tensor:
    """Return how much of a picture shows where (N, 1, h, w), for its region and its timestep (N,)."""
    each = (len(timesteps), 1, 1, 1)
    faint = 0.4 + 0.6 * chances(each, rng)
    late = chances(each, rng) < LATE_STARTS
    time = timesteps[:, None, None, None]
    hidden = time >= torch.where(late, FAINT, START)
    around = torch.where((time >= FAINT) & (time < START), faint, 1.0)
    return torch.where(regions > 0, (~hidden).float(), around)


def what_shows(lesson: Lesson, timesteps: Tensor, rng: torch.Generator) -> Tensor:
    """Return what a sampler would show of each picture at its timestep (N,), (N, 4, h, w)."""
    drawn = chances(len(timesteps), rng) < MELTING
    melts = (drawn & (timesteps >= MELTS[0]) & (timesteps < MELTS[1]))[:, None, None, None]
    latents = torch.where(melts, lesson.seen, lesson.latents)
    return visibility(draw_regions(lesson.boxes, latents, rng), timesteps, rng) * latents
