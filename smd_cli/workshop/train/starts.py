"""The starting points of paths: noise, partly noised pictures, and the results of a student's first steps."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from smd_cli.workshop.train.consistency import consistency
from smd_cli.workshop.train.unet import TRAIN_STEPS, alphas_cumprod, noised, noised_with_target
from smd_cli.workshop.train.visibility import (
    BOOTSTRAPPED_TIMESTEPS,
    PictureBatch,
    draw_regions,
    fits_a_region,
    noise_like,
)

GRID = 50
"""Number of timesteps in the grid that few-step samplers choose theirs from."""

STRIDE = 3
"""A path uses every third timestep of the grid."""

STUDENT_TIMESTEPS = (600, 960)
"""The student steps to timesteps from the first and below the second of these, as samplers do next."""

StartKind = Literal["noise", "region", "drawn", "bootstrapped"]


class Start(NamedTuple):
    """Where a batch of paths starts.

    Attributes:
        kind: at noise; at a region of noise on white; at a partly noised picture, as it was drawn or
            in its bootstrapped version.
        steps: how many steps the student takes before the path begins.
    """

    kind: StartKind
    steps: int = 0


STARTS = (
    Start("noise"),
    Start("region"),
    Start("drawn"),
    Start("noise", steps=1),
    Start("region", steps=1),
    Start("bootstrapped"),
    Start("noise", steps=2),
    Start("region", steps=2),
)
"""The starts that batches take in turn.

From high noise the student's one-step estimate is a blur, which no path of the teacher passes through. So
some paths begin after the student's own steps, and the teacher shows how to continue from there, as in
dataset aggregation (Ross et al., arXiv 1011.0686).
"""


class PathStart(NamedTuple):
    """The first points of a batch of paths.

    Attributes:
        z: noisy latents (N, 4, h, w).
        timesteps: of the paths from here on, descending.
        regions: (N, 1, h, w); where they are 0, the student's steps keep `surroundings`.
        surroundings: clean latents (N, 4, h, w).
    """

    z: Tensor
    timesteps: list[int]
    regions: Tensor
    surroundings: Tensor


def pictures_by_kind(data: dict[str, Tensor]) -> dict[StartKind, dict[str, Tensor]]:
    """Return the pictures that each kind of start can use, or all of them where none fits."""
    rows = {
        "region": fits_a_region(data["boxes"]),
        "bootstrapped": (data["bootstrapped"] != data["latents"]).flatten(1).any(1),
    }
    return {
        kind: {name: tensor[rows[kind]] for name, tensor in data.items()}
        if kind in rows and rows[kind].any()
        else data
        for kind, _ in STARTS
    }


def path_start(batch: PictureBatch, kind: StartKind, rng: torch.Generator) -> PathStart:
    """Return the first points of paths of a kind, before any step of the student."""
    shift = int(torch.randint(STRIDE, (), generator=rng, device=rng.device))
    grid = [GRID - 1, *range(GRID - 2 - shift, -1, -STRIDE)]
    timesteps = [(number + 1) * TRAIN_STEPS // GRID - 1 for number in grid]
    latents = batch.latents
    noise = noise_like(latents, rng)
    regions = torch.ones_like(latents[:, :1])
    if kind == "noise":
        return PathStart(noise, timesteps, regions, latents)
    if kind == "region":
        regions = draw_regions(batch.boxes, latents, rng)
        possible, shown = timesteps[:1], (1 - regions) * latents
    elif kind == "drawn":
        possible, shown = timesteps[: len(timesteps) * 2 // 3], latents
    else:
        low, high = BOOTSTRAPPED_TIMESTEPS
        possible, shown = [t for t in timesteps if low <= t < high], batch.bootstrapped
    timesteps = timesteps[timesteps.index(_one_of(possible, rng)) :]
    first = torch.full((len(latents),), timesteps[0], device=rng.device)
    z, _ = noised_with_target(latents, shown, noise, first, alphas_cumprod())
    return PathStart(z, timesteps, regions, latents)


def _one_of(timesteps: Sequence[int], rng: torch.Generator) -> int:
    return timesteps[int(torch.randint(len(timesteps), (), generator=rng, device=rng.device))]


@torch.no_grad()
def student_steps(
    student: nn.Module, start: PathStart, states: Tensor, count: int, rng: torch.Generator
) -> PathStart:
    """Take `count` steps of the student, as a few-step sampler does, to timesteps in `STUDENT_TIMESTEPS`."""
    z, timesteps, regions, surroundings = start
    possible = [t for t in timesteps[1:] if STUDENT_TIMESTEPS[0] <= t < STUDENT_TIMESTEPS[1]]
    order = torch.randperm(len(possible), generator=rng, device=rng.device)
    stops = sorted(possible[i] for i in order[:count].tolist())
    for now, then in pairwise([*timesteps[:1], *reversed(stops)]):
        estimate = consistency(student, z, torch.full((len(z),), now, device=z.device), states)
        estimate = torch.where(regions > 0, estimate, surroundings)
        noise = noise_like(z, rng)
        z = noised(estimate, noise, torch.full((len(z),), then, device=z.device), alphas_cumprod())
    remaining = timesteps[timesteps.index(stops[0]) :] if stops else timesteps
    return PathStart(z, remaining, regions, surroundings)
