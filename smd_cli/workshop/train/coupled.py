"""The adapter's last stage: late steps tidy what the program's bootstrap leaves, and keep what is pale.

Late steps evaluate a tile once, under the prompts of all of its regions. So these lessons are learned under
several prompts, mixed by how much of the tile each has; some of them under one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from smd_cli.core.coupling import Coupling
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.cross_attention import CrossAttentionCache
from smd_cli.workshop.train.adapter import learner_beside
from smd_cli.workshop.train.config import Config
from smd_cli.workshop.train.consistency import consistency
from smd_cli.workshop.train.distill import huber
from smd_cli.workshop.train.ends import EndLessons
from smd_cli.workshop.train.late import Batch, Counts, Lessons
from smd_cli.workshop.train.left import SceneLesson
from smd_cli.workshop.train.loop import train
from smd_cli.workshop.train.painted import timestep_of
from smd_cli.workshop.train.unet import alphas_cumprod, noised
from smd_cli.workshop.train.visibility import noise_like, uniform

EARLIER = Counts(painted=1, drawn=0, hard=0, kept=3)
LEFT, PALE, FIRST, LAST = 4, 3, 3, 2
"""Lessons in a batch: of the earlier stage, of what the program leaves, of drawn things, and of the ends."""

FURTHER = 3
"""One in so many of the latter two is a step further: it is seen by the second late step."""

AT_ITS_STEP, OTHER_TIMESTEPS = 0.75, (180, 480)
"""Share of them that are at the timestep of a late step, and the timesteps of the others."""

WHOLE, LEAST_FADE = 0.8, 0.3
"""Share of them that are shown as they were left; the others are up to so much nearer to their targets."""

ONE_PROMPT = 0.25
"""Share of them that are learned under one of their prompts alone."""

SHARE = 0.65
"""How far the adapter goes the way that it learns; at its end more stars and boats are lost."""


class CoupledBatch(NamedTuple):
    """Points (N, 4, h, w) at timesteps (N,), ids (M, 77) of prompts and whose they are, and the targets."""

    z: Tensor
    timesteps: Tensor
    ids: Tensor
    coupling: Coupling
    targets: Tensor


class CoupledStudent:
    """A student that estimates rows under several prompts each, as the program's late steps do."""

    def __init__(self, unet: UNet2DConditionModel, text: nn.Module) -> None:
        self.unet, self._text = unet, text
        self._attention = CrossAttentionCache(unet)

    def __call__(self, z: Tensor, timesteps: Tensor, ids: Tensor, coupling: Coupling) -> Tensor:
        """Return estimates (N, 4, h, w) of points at timesteps (N,), under prompts with ids (M, 77)."""
        with torch.no_grad():
            states = self._text(ids).last_hidden_state
        like = (
            z.to(torch.get_autocast_dtype(z.device.type)) if torch.is_autocast_enabled(z.device.type) else z
        )
        with self._attention.use(Conditioning(states), coupling, like):
            channels_last = z.contiguous(memory_format=torch.channels_last)
            return consistency(self.unet, channels_last, timesteps, states)


@dataclass(frozen=True)
class CoupledLessons:
    """Lessons of one kind, tile by tile; prompts of all of them lie behind one another.

    Attributes:
        shown: what late steps see, (N, 4, h, w).
        latents: what it should become, (N, 4, h, w).
        late: timesteps of the late steps that see it, (N, 2).
        counts: how many prompts each has, (N,).
        ids: of the prompts, (M, 77).
        shares: how much of each latent pixel they have, (M, h, w).
    """

    shown: Tensor
    latents: Tensor
    late: Tensor
    counts: Tensor
    ids: Tensor
    shares: Tensor

    def batch(self, student: CoupledStudent, count: int, rng: torch.Generator) -> CoupledBatch:
        """Return `count` lessons; some are a step of the `student` further."""
        rows = torch.randint(len(self.shown), (count,), generator=rng, device=rng.device)
        targets, late = self.latents[rows].float(), self.late[rows]
        fade = torch.where(
            uniform(count, rng) < WHOLE, 1.0, LEAST_FADE + (1 - LEAST_FADE) * uniform(count, rng)
        )
        z = targets.lerp(self.shown[rows].float(), fade[:, None, None, None])
        other = torch.randint(*OTHER_TIMESTEPS, (count,), generator=rng, device=rng.device)
        timesteps = torch.where(uniform(count, rng) < AT_ITS_STEP, late[:, 0], other)
        z = noised(z, noise_like(z, rng), timesteps, alphas_cumprod())
        pairs, coupling = self._prompts(rows.tolist(), rng)
        ids = self.ids[pairs]
        moved = list(range(count // FURTHER))
        with torch.no_grad():
            some = coupling.pairs(moved)
            estimate = student(z[moved], timesteps[moved], ids[some], coupling.at(moved))
        timesteps[moved] = torch.minimum(late[moved, 1], timesteps[moved])
        z[moved] = noised(estimate, noise_like(estimate, rng), timesteps[moved], alphas_cumprod())
        return CoupledBatch(z, timesteps, ids, coupling, targets)

    def _prompts(self, rows: Sequence[int], rng: torch.Generator) -> tuple[list[int], Coupling]:
        """Return the places of the prompts of rows, and their coupling: of all of a row's, or of one."""
        first = [0, *accumulate(self.counts.tolist())]
        pairs, numbers, shares = list[int](), list[int](), list[Tensor]()
        for number, row in enumerate(rows):
            own = list(range(first[row], first[row + 1]))
            if float(uniform(1, rng)) < ONE_PROMPT:
                areas = self.shares[own].float().sum((1, 2)).sqrt()
                own = [own[int(torch.multinomial(areas, 1, generator=rng))]]
                shares.append(torch.ones_like(self.shares[own]).float())
            else:
                shares.append(self.shares[own].float())
            pairs += own
            numbers += [number] * len(own)
        return pairs, Coupling(tuple(numbers), torch.cat(shares))


def encode_coupled(lessons: Sequence[SceneLesson], ids: Tensor) -> dict[str, Tensor]:
    """Return lessons as the tensors of `CoupledLessons`; `ids` (M, 77) are those of all their prompts."""
    return {
        "shown": torch.stack([each.shown for each in lessons]).half().contiguous(),
        "latents": torch.stack([each.latents for each in lessons]).half().contiguous(),
        "late": torch.tensor([[timestep_of(index) for index in each.late] for each in lessons]),
        "counts": torch.tensor([len(each.words) for each in lessons]),
        "ids": ids,
        "shares": torch.cat([each.shares for each in lessons]).half().contiguous(),
    }


def joined(batches: Sequence[CoupledBatch]) -> CoupledBatch:
    """Return several batches as one."""
    coupling = batches[0].coupling
    for each in batches[1:]:
        coupling = coupling.append(each.coupling)
    z, targets = torch.cat([each.z for each in batches]), torch.cat([each.targets for each in batches])
    timesteps, ids = (
        torch.cat([each.timesteps for each in batches]),
        torch.cat([each.ids for each in batches]),
    )
    return CoupledBatch(z, timesteps, ids, coupling, targets)


def stage_batch(
    student: CoupledStudent,
    lessons: tuple[Lessons, EndLessons],
    kinds: tuple[CoupledLessons, CoupledLessons],
    rng: torch.Generator,
) -> CoupledBatch:
    """Return a batch with lessons of every kind; some begin after steps of the student."""
    earlier, ends = lessons
    single = (
        earlier.batch(student.unet, EARLIER, rng),
        ends.first(student.unet, FIRST, rng),
        ends.last(LAST, rng),
    )
    several = [kind.batch(student, count, rng) for kind, count in zip(kinds, (LEFT, PALE), strict=True)]
    return joined([*several, *map(_alone, single)])


def teach_coupled_steps(
    student: UNet2DConditionModel,
    text: nn.Module,
    lessons: tuple[Lessons, EndLessons],
    kinds: tuple[CoupledLessons, CoupledLessons],
    config: Config,
    folder: Path,
) -> UNet2DConditionModel:
    """Train a student's adapter on what the program leaves; return one that is `SHARE` of the way there.

    `kinds` are lessons of scenes and of pale things; `lessons` those of the stage before and of both ends.
    """
    learner, average = learner_beside(student, config.late_ema, compiles=False)
    learns, averaged = CoupledStudent(learner, text), CoupledStudent(average.module, text)
    device = next(learner.parameters()).device

    def loss(_: UNet2DConditionModel, step: int) -> Tensor:
        rng = torch.Generator(device).manual_seed(config.seed * 17_000_023 + step)
        batch = stage_batch(averaged, lessons, kinds, rng)
        return huber(learns(batch.z, batch.timesteps, batch.ids, batch.coupling) - batch.targets)

    taught = train(learner, loss, budget=config.coupled, folder=folder, average=average)
    return part_way(student, taught, SHARE)


@torch.no_grad()
def part_way(
    student: UNet2DConditionModel, taught: UNet2DConditionModel, share: float
) -> UNet2DConditionModel:
    """Return `taught`, in place, with factors that are a share of the way from the student's to its own."""
    for after, before in zip(taught.parameters(), student.parameters(), strict=True):
        after.copy_(before.lerp(after, share))
    return taught


def _alone(batch: Batch) -> CoupledBatch:
    """Return lessons that have one prompt each as coupled ones."""
    single = Coupling.single(len(batch.z), batch.z)
    return CoupledBatch(batch.z, batch.timesteps, batch.ids, single, batch.targets)
