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

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from smd_cli.media.files import replacing
from smd_cli.workshop.train.config import Config
from smd_cli.workshop.train.shown import chances
from smd_cli.workshop.train.starts import STARTS, Start, beginning_of, own_steps, sources
from smd_cli.workshop.train.unet import (
    Generator,
    alphas_cumprod,
    batch_of,
    cleaned,
    weights_at,
)

LEAST_GUIDED = 600
"""The timestep below which a path is not guided: the model's picture is made by then, and guidance would only
drive its colours past the prompted ones (Kynkäänniemi et al., arXiv 2404.07724)."""


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
        pairs = torch.randint(len(self.z), (count, 2), generator=rng, device=rng.device)
        points = pairs.gather(1, self.timesteps[pairs].argmax(1, keepdim=True))[:, 0]
        path = self.path[points]
        return self.z[points].float(), self.timesteps[points], self.ids[path], self.ends[path].float()


@dataclass(frozen=True)
class Walker:
    """Who walks: the UNet and the text encoder that guide, and the student whose own steps come first.

    `data` are the lessons that paths start from, `empty` (77,) the ids of the empty prompt.
    """

    teacher: Generator
    student: nn.Module
    data: dict[str, Tensor]
    empty: Tensor
    config: Config

    def walk(self, folder: Path, count: int) -> Paths:
        """Walk batches of paths until `folder` has `count` paths; those it has already are read."""
        batches = -(-count // (self.config.distill.batch * 2))
        files = [folder / f"{number:04d}.safetensors" for number in range(batches)]
        by_picture = sources(self.data)
        for number, file in enumerate(files):
            if not file.exists():
                start = STARTS[number % len(STARTS)]
                with replacing(file) as temporary:
                    save_file(self._batch(start, by_picture[start.picture], number), temporary)
        return read_paths(files, self.empty.device)

    @torch.no_grad()
    def _batch(self, start: Start, source: dict[str, Tensor], number: int) -> dict[str, Tensor]:
        """Walk one batch of paths: z (S, N, 4, h, w) at timesteps (S,), end (N, 4, h, w), ids (N, 77)."""
        config = self.config
        lesson, rng = batch_of(source, config.distill.batch * 2, config.seed * 5_000_011 + number)
        dropped = chances((len(lesson.ids), 1), rng) < config.empty_captions / 2
        ids = torch.where(dropped, self.empty, lesson.ids)
        states = self.teacher.text(ids).last_hidden_state
        empty = self.teacher.text(self.empty[None]).last_hidden_state.expand_as(states)
        beginning = beginning_of(lesson, start.picture, rng)
        with torch.autocast(rng.device.type, torch.bfloat16):
            z, timesteps, *_ = own_steps(self.student, beginning, states, start.own, rng)
            points, end = ddim_path(self.teacher.unet, z, timesteps, (states, empty), config.guidance)
        kept = {"z": points.half(), "timesteps": torch.tensor(timesteps), "end": end.half(), "ids": ids}
        return {name: tensor.cpu().contiguous() for name, tensor in kept.items()}


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
        start, end = (torch.full((len(z),), t, device=z.device) for t in (now, then))
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


def read_paths(files: Sequence[Path], device: torch.device | str = "cpu") -> Paths:
    """Read the files that a `Walker` wrote."""
    parts = [load_file(file, device=str(device)) for file in files]
    counts = [len(part["ids"]) for part in parts]
    firsts = torch.tensor([0, *counts]).cumsum(0)
    return Paths(
        z=torch.cat([part["z"].flatten(0, 1) for part in parts]),
        timesteps=torch.cat(
            [part["timesteps"].repeat_interleave(n) for part, n in zip(parts, counts, strict=True)]
        ),
        path=torch.cat(
            [
                (torch.arange(n, device=device) + first).repeat(len(part["timesteps"]))
                for part, n, first in zip(parts, counts, firsts, strict=False)
            ]
        ),
        ends=torch.cat([part["end"] for part in parts]),
        ids=torch.cat([part["ids"] for part in parts]),
    )
