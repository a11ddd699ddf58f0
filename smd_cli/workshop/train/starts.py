"""Where paths start: at noise, on the way, and where a student's own first steps lead."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from smd_cli.workshop.train.consistency import consistency
from smd_cli.workshop.train.shown import MELTS, Lesson, draw_regions, fits_a_region, noise_like
from smd_cli.workshop.train.unet import TRAIN_STEPS, alphas_cumprod, noised, shown_noised

GRID = 50
"""How many timesteps few-step samplers choose theirs from; a path takes every third of them."""

STRIDE = 3

OWN_STEPS = (600, 960)
"""Timesteps, from and below, to which steps of a student's own lead before a path: a sampler's next ones."""

Picture = Literal["noise", "region", "drawn", "bootstrapped"]


class Start(NamedTuple):
    """Where a batch of paths starts, and after how many steps of the student's `own`.

    At noise, at noise in a region on white, or at a drawn picture under some noise, whole or as few steps
    leave it.
    """

    picture: Picture
    own: int = 0


STARTS = (
    Start("noise"),
    Start("region"),
    Start("drawn"),
    Start("noise", own=1),
    Start("region", own=1),
    Start("bootstrapped"),
    Start("noise", own=2),
    Start("region", own=2),
)
"""The starts, in turn. What a student sees in one step from much noise is a blur, which no path of the UNet's
leads through; where the UNet goes on from there is what the student should see next (as Ross et al., arXiv
1011.0686, ask an expert about a learner's own states)."""


class Beginning(NamedTuple):
    """Points z (N, 4, h, w), the timesteps that paths from there ask for, falling, and what stays while a
    student steps: `around` (N, 4, h, w), where `regions` (N, 1, h, w) are 0."""

    z: Tensor
    timesteps: list[int]
    regions: Tensor
    around: Tensor


def sources(data: dict[str, Tensor]) -> dict[Picture, dict[str, Tensor]]:
    """Return the lessons that each picture is made of; where none fits, all."""
    rows = {
        "region": fits_a_region(data["boxes"]),
        "bootstrapped": (data["seen"] != data["latents"]).flatten(1).any(1),
    }
    return {
        picture: {name: tensor[rows[picture]] for name, tensor in data.items()}
        if picture in rows and rows[picture].any()
        else data
        for picture, _ in STARTS
    }


def beginning_of(lesson: Lesson, picture: Picture, rng: torch.Generator) -> Beginning:
    """Return where paths from pictures begin, before any step."""
    shift = int(torch.randint(STRIDE, (), generator=rng, device=rng.device))
    grid = [GRID - 1, *range(GRID - 2 - shift, -1, -STRIDE)]
    timesteps = [(number + 1) * TRAIN_STEPS // GRID - 1 for number in grid]
    latents = lesson.latents
    noise = noise_like(latents, rng)
    regions = torch.ones_like(latents[:, :1])
    if picture == "noise":
        return Beginning(noise, timesteps, regions, latents)
    if picture == "region":
        regions = draw_regions(lesson.boxes, latents, rng)
        firsts, shown = timesteps[:1], (1 - regions) * latents
    elif picture == "drawn":
        firsts, shown = timesteps[: len(timesteps) * 2 // 3], latents
    else:
        firsts, shown = [t for t in timesteps if MELTS[0] <= t < MELTS[1]], lesson.seen
    timesteps = timesteps[timesteps.index(_one_of(firsts, rng)) :]
    first = torch.full((len(latents),), timesteps[0], device=rng.device)
    z, _ = shown_noised(latents, shown, noise, first, alphas_cumprod())
    return Beginning(z, timesteps, regions, latents)


def _one_of(timesteps: Sequence[int], rng: torch.Generator) -> int:
    return timesteps[int(torch.randint(len(timesteps), (), generator=rng, device=rng.device))]


@torch.no_grad()
def own_steps(
    student: nn.Module, beginning: Beginning, states: Tensor, count: int, rng: torch.Generator
) -> Beginning:
    """Take `count` steps as a few-step sampler does, to timesteps in `OWN_STEPS`."""
    z, timesteps, regions, around = beginning
    possible = [t for t in timesteps[1:] if OWN_STEPS[0] <= t < OWN_STEPS[1]]
    order = torch.randperm(len(possible), generator=rng, device=rng.device)
    stops = sorted(possible[i] for i in order[:count].tolist())
    for now, then in pairwise([*timesteps[:1], *reversed(stops)]):
        seen = consistency(student, z, torch.full((len(z),), now, device=z.device), states)
        seen = torch.where(regions > 0, seen, around)
        noise = noise_like(z, rng)
        z = noised(seen, noise, torch.full((len(z),), then, device=z.device), alphas_cumprod())
    left = timesteps[timesteps.index(stops[0]) :] if stops else timesteps
    return Beginning(z, left, regions, around)
