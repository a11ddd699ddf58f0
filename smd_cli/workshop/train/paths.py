"""Trajectories of the guided UNet's DDIM sampler from noise to a picture: the student's training data.

From every point of a path the student learns to predict the path's end in one step, as a consistency
function does (Song et al., arXiv 2303.01469). Computing whole paths beforehand and training on their ends
(Luhman and Luhman, arXiv 2101.02388) costs more per path than taking targets from the student's moving
average, but takes far fewer training steps: the targets are right from the start, and every point of a path
is a sample.
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
from smd_cli.workshop.train.starts import STARTS, Start, path_start, pictures_by_kind, student_steps
from smd_cli.workshop.train.unet import (
    ConditionedUNet,
    alpha_sigma,
    alphas_cumprod,
    cleaned,
    draw_batch,
)
from smd_cli.workshop.train.visibility import uniform

GUIDED_FROM = 600
"""The timestep from which on paths are guided.

Below it the picture is settled, and guidance would only push its colours past the prompted ones (Kynkäänniemi
et al., arXiv 2404.07724).
"""


@dataclass(frozen=True)
class Paths:
    """The points and the ends of N paths.

    Attributes:
        z: noisy latents (P, 4, h, w) of all points, float16.
        timesteps: of the points, (P,).
        path: index of each point's path, (P,).
        ends: clean latents at the paths' ends, (N, 4, h, w), float16.
        ids: token ids of the paths' prompts, (N, 77).
    """

    z: Tensor
    timesteps: Tensor
    path: Tensor
    ends: Tensor
    ids: Tensor

    def batch(self, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return z, timesteps, ids and ends of `count` random points; higher timesteps are likelier."""
        pairs = torch.randint(len(self.z), (count, 2), generator=rng, device=rng.device)
        points = pairs.gather(1, self.timesteps[pairs].argmax(1, keepdim=True))[:, 0]
        path = self.path[points]
        return self.z[points].float(), self.timesteps[points], self.ids[path], self.ends[path].float()


@dataclass(frozen=True)
class Walker:
    """Computes paths with a teacher, some of them after first steps of the student.

    Attributes:
        teacher: the UNet and the text encoder that follow the paths, with guidance.
        student: takes the first steps of some paths.
        data: encoded pictures that paths start from.
        empty: token ids of the empty prompt, (77,).
        config: settings of the training.
    """

    teacher: ConditionedUNet
    student: nn.Module
    data: dict[str, Tensor]
    empty: Tensor
    config: Config

    def walk(self, folder: Path, count: int) -> Paths:
        """Compute batches of paths until `folder` holds `count`, keeping existing ones; read them all."""
        batches = -(-count // (self.config.distill.batch * 2))
        files = [folder / f"{number:04d}.safetensors" for number in range(batches)]
        by_kind = pictures_by_kind(self.data)
        for number, file in enumerate(files):
            if not file.exists():
                start = STARTS[number % len(STARTS)]
                with replacing(file) as temporary:
                    save_file(self._batch(start, by_kind[start.kind], number), temporary)
        return read_paths(files, self.empty.device)

    @torch.no_grad()
    def _batch(self, start: Start, source: dict[str, Tensor], number: int) -> dict[str, Tensor]:
        """Compute one batch of paths: z (S, N, 4, h, w) at timesteps (S,), end (N, 4, h, w), ids (N, 77)."""
        config = self.config
        batch, rng = draw_batch(source, config.distill.batch * 2, config.seed * 5_000_011 + number)
        dropped = uniform((len(batch.ids), 1), rng) < config.empty_captions / 2
        ids = torch.where(dropped, self.empty, batch.ids)
        states = self.teacher.text(ids).last_hidden_state
        empty = self.teacher.text(self.empty[None]).last_hidden_state.expand_as(states)
        begun = path_start(batch, start.kind, rng)
        with torch.autocast(rng.device.type, torch.bfloat16):
            z, timesteps, *_ = student_steps(self.student, begun, states, start.steps, rng)
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
    """Follow DDIM from z (N, 4, h, w) through `timesteps`; return the points (S, N, 4, h, w) and the end.

    `states` are those of the prompts and of the empty prompt; timesteps from `GUIDED_FROM` on are guided.
    """
    alphas, points = alphas_cumprod(), []
    for now, then in pairwise([*timesteps, -1]):
        points.append(z)
        start, end = (torch.full((len(z),), t, device=z.device) for t in (now, then))
        guided = now >= GUIDED_FROM
        count = 2 if guided else 1
        predicted = unet(
            z.repeat(count, 1, 1, 1),
            start.repeat(count),
            encoder_hidden_states=torch.cat(states[:count]),
            return_dict=False,
        )[0].float()
        prompted = predicted[: len(z)]
        noise = predicted[len(z) :].lerp(prompted, guidance) if guided else prompted
        alpha, sigma = alpha_sigma(end, alphas)
        z = alpha * cleaned(z, noise, start, alphas) + sigma * noise
    return torch.stack(points), z


def read_paths(files: Sequence[Path], device: torch.device | str = "cpu") -> Paths:
    """Read the paths that a `Walker` stored."""
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
