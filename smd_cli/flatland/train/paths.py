"""The paths on which the guided UNet's DDIM steps lead from noise to a picture: what a student learns from.

From every point of a path the student is to see its end in one step, the consistency function's task (Song et
al., arXiv 2303.01469). Walking the paths beforehand and learning from their ends (Luhman and Luhman, arXiv
2101.02388) costs more per path than asking the student's own average one step further on, and far fewer steps
of training: the ends are right from the start, and every point on the way serves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from smd_cli.flatland.train.config import Config
from smd_cli.flatland.train.shown import MELTS, Lesson, draw_regions, fits_a_region
from smd_cli.flatland.train.unet import (
    TRAIN_STEPS,
    Generator,
    alphas_cumprod,
    batch_of,
    cleaned,
    compile_unet,
    shown_noised,
    weights_at,
)

GRID = 50
"""How many timesteps few-step samplers choose theirs from; a path takes every third of them."""

STRIDE = 3

LEAST_GUIDED = 600
"""The timestep below which a path is not guided: the model's picture is made by then, and guidance would only
drive its colours past the prompted ones (Kynkäänniemi et al., arXiv 2404.07724)."""

Start = Literal["noise", "region", "drawn", "bootstrapped"]
STARTS: tuple[Start, ...] = ("noise", "region", "drawn", "noise", "region", "bootstrapped")
"""Where batches of paths start, in turn."""


@dataclass(frozen=True)
class Paths:
    """Points of paths and where they end.

    Attributes:
        z: noisy latents (P, 4, h, w) of every point, float16.
        timesteps: of every point, (P,).
        path: to which path a point belongs, (P,).
        ends: the picture at each path's end, (N, 4, h, w), float16.
        ids: the prompt of each path, (N, 77).
    """

    z: Tensor
    timesteps: Tensor
    path: Tensor
    ends: Tensor
    ids: Tensor

    def batch(self, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return z, timesteps, ids and ends of `count` points, later timesteps likelier."""
        pairs = torch.randint(len(self.z), (count, 2), generator=rng)
        points = pairs.gather(1, self.timesteps[pairs].argmax(1, keepdim=True))[:, 0]
        path = self.path[points]
        return self.z[points].float(), self.timesteps[points], self.ids[path], self.ends[path].float()


def walk_paths(
    teacher: Generator, data: dict[str, Tensor], empty_ids: Tensor, config: Config, folder: Path
) -> Paths:
    """Walk `config.paths` paths, a batch at a time, each kept in a file of `folder`; finished ones are read.

    A third of the batches start at noise and a third at noise in a region on white, as samplers do; the
    rest under some noise: at drawn pictures, and at what a bootstrap leaves of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    batch = config.distill.batch * 2
    files = [folder / f"{number:04d}.safetensors" for number in range(-(-config.paths // batch))]
    if config.compile and not all(file.exists() for file in files):
        compile_unet(teacher.unet)
    empty = teacher.text(empty_ids[None]).last_hidden_state
    sources = _sources(data)
    for number, file in enumerate(files):
        if file.exists():
            continue
        start = STARTS[number % len(STARTS)]
        lesson, rng = batch_of(sources[start], batch, config.seed * 5_000_011 + number)
        dropped = torch.rand(batch, 1, generator=rng) < config.empty_captions / 2
        ids = torch.where(dropped, empty_ids, lesson.ids)
        z, timesteps = start_of_paths(lesson, start, rng)
        states = teacher.text(ids).last_hidden_state
        with torch.autocast("cpu", torch.bfloat16):
            points, end = ddim_path(
                teacher.unet, z, timesteps, (states, empty.expand_as(states)), config.guidance
            )
        kept = {"z": points.half(), "timesteps": torch.tensor(timesteps), "end": end.half(), "ids": ids}
        save_file({name: tensor.contiguous() for name, tensor in kept.items()}, file.with_suffix(".tmp"))
        file.with_suffix(".tmp").replace(file)
    return read_paths(files)


def _sources(data: dict[str, Tensor]) -> dict[Start, dict[str, Tensor]]:
    """Return the lessons that each start is made of; where none fits, all."""
    rows = {
        "region": fits_a_region(data["boxes"]),
        "bootstrapped": (data["seen"] != data["latents"]).flatten(1).any(1),
    }
    return {
        start: {name: tensor[rows[start]] for name, tensor in data.items()}
        if start in rows and rows[start].any()
        else data
        for start in STARTS
    }


def start_of_paths(lesson: Lesson, start: Start, rng: torch.Generator) -> tuple[Tensor, list[int]]:
    """Return where paths from pictures start, (N, 4, h, w), and their timesteps, falling."""
    shift = int(torch.randint(STRIDE, (), generator=rng))
    grid = [GRID - 1, *range(GRID - 2 - shift, -1, -STRIDE)]
    timesteps = [(number + 1) * TRAIN_STEPS // GRID - 1 for number in grid]
    latents = lesson.latents
    noise = torch.randn(latents.shape, generator=rng)
    if start == "noise":
        return noise, timesteps
    if start == "region":
        firsts, shown = timesteps[:1], (1 - draw_regions(lesson.boxes, latents, rng)) * latents
    elif start == "drawn":
        firsts, shown = timesteps[: len(timesteps) * 2 // 3], latents
    else:
        firsts, shown = [t for t in timesteps if MELTS[0] <= t < MELTS[1]], lesson.seen
    chosen = firsts[int(torch.randint(len(firsts), (), generator=rng))]
    timesteps = timesteps[timesteps.index(chosen) :]
    first = torch.full((len(latents),), timesteps[0])
    return shown_noised(latents, shown, noise, first, alphas_cumprod())[0], timesteps


@torch.no_grad()
def ddim_path(
    unet: nn.Module,
    z: Tensor,
    timesteps: Sequence[int],
    states: tuple[Tensor, Tensor],
    guidance: float,
) -> tuple[Tensor, Tensor]:
    """Follow DDIM from z (N, 4, h, w) through `timesteps`; return the points (S, N, ...) and the end.

    `states` are those of the prompts and of the empty one, which guides from `LEAST_GUIDED` on.
    """
    alphas, points = alphas_cumprod(), []
    for now, then in pairwise([*timesteps, -1]):
        points.append(z)
        start, end = (torch.full((len(z),), t) for t in (now, then))
        guided = now >= LEAST_GUIDED
        count = 2 if guided else 1
        answers = unet(
            z.repeat(count, 1, 1, 1),
            start.repeat(count),
            encoder_hidden_states=torch.cat(states[:count]),
            return_dict=False,
        )[0].float()
        named = answers[: len(z)]
        noise = answers[len(z) :].lerp(named, guidance) if guided else named
        alpha, sigma = weights_at(end, alphas)
        z = alpha * cleaned(z, noise, start, alphas) + sigma * noise
    return torch.stack(points), z


def read_paths(files: Sequence[Path]) -> Paths:
    """Read the files that `walk_paths` wrote."""
    parts = [load_file(file) for file in files]
    counts = [len(part["ids"]) for part in parts]
    firsts = torch.tensor([0, *counts]).cumsum(0)
    return Paths(
        z=torch.cat([part["z"].flatten(0, 1) for part in parts]),
        timesteps=torch.cat(
            [part["timesteps"].repeat_interleave(n) for part, n in zip(parts, counts, strict=True)]
        ),
        path=torch.cat(
            [
                (torch.arange(n) + first).repeat(len(part["timesteps"]))
                for part, n, first in zip(parts, counts, firsts, strict=False)
            ]
        ),
        ends=torch.cat([part["end"] for part in parts]),
        ids=torch.cat([part["ids"] for part in parts]),
    )
