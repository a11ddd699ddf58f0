"""The adapter's last stage: late steps turn the white around things into ground, and keep the things.

A region is bootstrapped in its first steps; the next ones stand at low noise, where little is left to decide.
Distillation shows patches of white only at higher noise, so without this stage they stay. Where what is shown
and the prompt determine the picture no teacher is needed: the targets are drawn and composed pictures.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPTokenizer

from smd_cli.media.files import replacing
from smd_cli.workshop.train.adapter import learner_beside
from smd_cli.workshop.train.config import Config
from smd_cli.workshop.train.consistency import consistency, student_step
from smd_cli.workshop.train.distill import huber
from smd_cli.workshop.train.latents import Codec
from smd_cli.workshop.train.loop import train
from smd_cli.workshop.train.painted import (
    INDICES,
    SIZE,
    Painter,
    encode_lessons,
    random_region,
    timestep_of,
)
from smd_cli.workshop.train.starts import pictures_by_kind
from smd_cli.workshop.train.text import token_ids
from smd_cli.workshop.train.unet import TRAIN_STEPS, alphas_cumprod, noised
from smd_cli.workshop.train.visibility import BOOTSTRAPPED_TIMESTEPS, HIDDEN_FROM, noise_like, uniform
from smd_cli.workshop.world.hard import draw_hard

PAINTED_TIMESTEPS = (140, 680)
"""Timesteps at which the student's own things are shown on patches of white."""

DRAWN_TIMESTEPS = (140, 750)
"""The same for drawn things whose colours are their captions'; others are at `BOOTSTRAPPED_TIMESTEPS`."""

HARD_TIMESTEPS = (500, TRAIN_STEPS)
"""Timesteps of `draw_hard`'s pictures, of which a share of `FIRST_SHARE` are at the last one."""

FIRST_SHARE = 0.4


class Counts(NamedTuple):
    """How many lessons of each kind a batch has; a third of the painted ones are a step further."""

    painted: int
    drawn: int
    hard: int
    kept: int

    @classmethod
    def of(cls, count: int) -> "Counts":
        """Return those of a batch of this stage: sixteenths of it, and the rest are painted."""
        drawn, hard, kept = (max(1, count * share // 16) for share in (4, 3, 3))
        return cls(max(1, count - drawn - hard - kept), drawn, hard, kept)


class Batch(NamedTuple):
    """Points (N, 4, h, w) at timesteps (N,), ids of their prompts (N, 77), and the targets (N, 4, h, w)."""

    z: Tensor
    timesteps: Tensor
    ids: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Lessons:
    """Draws batches of lessons.

    Attributes:
        painted: latents, shown and ids of `encode_lessons`.
        drawn: encoded pictures of things before backgrounds, with their bootstrapped versions.
        hard: latents, regions (N, 1, h, w) bool and ids of `draw_hard`'s pictures.
        before: the student as it was; what it paints on white and of whole prompts has to stay as it is.
        text: the text encoder.
        white: latents of white, (1, 4, h, w).
    """

    painted: dict[str, Tensor]
    drawn: dict[str, Tensor]
    hard: dict[str, Tensor]
    before: nn.Module
    text: nn.Module
    white: Tensor

    def batch(self, student: nn.Module, counts: Counts, rng: torch.Generator) -> Batch:
        """Return lessons of each kind; some painted ones are a step of the `student` further."""
        parts = (
            self._painted(student, counts.painted, rng),
            self._drawn(counts.drawn, rng),
            self._hard(counts.hard, rng),
            self._kept(counts.kept, rng),
        )
        return Batch(*(torch.cat(each) for each in zip(*parts, strict=True)))

    def _painted(self, student: nn.Module, count: int, rng: torch.Generator) -> Batch:
        rows = rows_of(self.painted, count, rng)
        timesteps = _timesteps(count, PAINTED_TIMESTEPS, rng)
        z = noised(rows["shown"].float(), noise_like(rows["shown"].float(), rng), timesteps, alphas_cumprod())
        moved = slice(max(1, count // 3))
        states = self.text(rows["ids"][moved]).last_hidden_state
        z[moved], earlier = student_step(student, z[moved], timesteps[moved], states, rng)
        timesteps[moved] = earlier
        return Batch(z, timesteps, rows["ids"], rows["latents"].float())

    def _drawn(self, count: int, rng: torch.Generator) -> Batch:
        rows = rows_of(self.drawn, count, rng)
        shown = rows["bootstrapped"].float()
        timesteps = torch.where(
            rows["caption_complete"],
            _timesteps(count, BOOTSTRAPPED_TIMESTEPS, rng),
            _timesteps(count, DRAWN_TIMESTEPS, rng),
        )
        z = noised(shown, noise_like(shown, rng), timesteps, alphas_cumprod())
        return Batch(z, timesteps, rows["ids"], rows["latents"].float())

    def _hard(self, count: int, rng: torch.Generator) -> Batch:
        rows = rows_of(self.hard, count, rng)
        latents = rows["latents"].float()
        first = uniform(count, rng) < FIRST_SHARE
        timesteps = torch.where(first, TRAIN_STEPS - 1, _timesteps(count, HARD_TIMESTEPS, rng))
        hidden = (timesteps >= HIDDEN_FROM)[:, None, None, None] & rows["regions"]
        z = noised(torch.where(hidden, 0.0, latents), noise_like(latents, rng), timesteps, alphas_cumprod())
        return Batch(z, timesteps, rows["ids"], latents)

    @torch.no_grad()
    def _kept(self, count: int, rng: torch.Generator) -> Batch:
        """Return points of the former student's samples, of prompts alone or of regions on white."""
        choose = random.Random(int(torch.randint(2**31, (), generator=rng, device=rng.device)))  # noqa: S311
        alone = choose.random() < 0.5
        ids = rows_of(self.drawn if alone else self.painted, count, rng)["ids"]
        white, states = self.white, self.text(ids).last_hidden_state
        regions = torch.stack([random_region(choose) for _ in range(count)])[:, None].to(white.device) | alone
        estimate = torch.where(regions, 0.0, white)
        for index in choose.choice(INDICES)[: choose.randint(1, 5)]:
            timesteps = torch.full((count,), timestep_of(index), device=white.device)
            z = noised(estimate, noise_like(estimate, rng), timesteps, alphas_cumprod())
            z = z.contiguous(memory_format=torch.channels_last)
            wanted = consistency(self.before, z, timesteps, states)
            estimate = torch.where(regions, wanted, white)
        return Batch(z, timesteps, ids, wanted)


def rows_of(data: dict[str, Tensor], count: int, rng: torch.Generator) -> dict[str, Tensor]:
    """Return `count` random rows of tensors that are as long as their "ids"."""
    rows = torch.randint(len(data["ids"]), (count,), generator=rng, device=rng.device)
    return {name: tensor[rows] for name, tensor in data.items()}


def _timesteps(count: int, limits: tuple[int, int], rng: torch.Generator) -> Tensor:
    return torch.randint(*limits, (count,), generator=rng, device=rng.device)


def hard_lessons(codec: Codec, count: int, seed: int) -> tuple[dict[str, Tensor], list[str]]:
    """Draw and encode pictures of what few steps get wrong; return latents and regions, and the captions."""
    rng = random.Random(seed)  # noqa: S311 - a world is drawn, not a secret
    latents, regions, captions = [], [], []
    for _ in range(count):
        region = random_region(rng)
        sides = [int(region.any(axis).sum()) / len(region) for axis in (0, 1)]
        picture = draw_hard(rng, min(sides) / 2 * rng.uniform(0.85, 0.98))
        latents.append(codec.encode(np.asarray(picture.image)[None])[0])
        regions.append(region if picture.alone else torch.ones_like(region))
        captions.append(picture.caption)
    tensors = {"latents": torch.stack(latents).half().contiguous(), "regions": torch.stack(regions)[:, None]}
    return tensors, captions


@dataclass(frozen=True)
class LateParts:
    """What lessons are made with besides the student: tokenizer, text encoder and autoencoder."""

    tokenizer: CLIPTokenizer
    text: nn.Module
    codec: Codec

    def states(self, words: Sequence[str]) -> Tensor:
        """Return the states (N, 77, C) of prompts."""
        device = next(self.text.parameters()).device
        states: Tensor = self.text(self.ids(words).to(device)).last_hidden_state
        return states

    def ids(self, words: Sequence[str]) -> Tensor:
        """Return the token ids (N, 77) of prompts."""
        return token_ids(self.tokenizer, list(words))


def make_lessons(
    student: UNet2DConditionModel, parts: LateParts, config: Config
) -> dict[str, dict[str, Tensor]]:
    """Return painted and hard lessons: read from the stage's folder, or made and stored there."""

    def paint() -> tuple[dict[str, Tensor], list[str]]:
        noise = torch.Generator().manual_seed(config.seed)
        rng = random.Random(config.seed)  # noqa: S311 - lessons, not secrets
        painter = Painter(student, parts.states, parts.codec, rng, noise)
        return encode_lessons(painter, config.late_things, config.late_lessons)

    def draw() -> tuple[dict[str, Tensor], list[str]]:
        return hard_lessons(parts.codec, config.late_hard, config.seed)

    lessons = {}
    for name, make in (("painted", paint), ("hard", draw)):
        path = config.stage("late") / f"{name}.safetensors"
        if not path.exists():
            tensors, captions = make()
            with replacing(path) as temporary:
                save_file(tensors | {"ids": parts.ids(captions)}, temporary)
        lessons[name] = {key: tensor.to(student.device) for key, tensor in load_file(path).items()}
    return lessons


def late_lessons(
    student: UNet2DConditionModel, parts: LateParts, drawn: dict[str, Tensor], config: Config
) -> Lessons:
    """Return the lessons of a student, which has to keep what it paints on white, or of a prompt alone."""
    made = make_lessons(student, parts, config)
    white = parts.codec.encode(np.full((1, SIZE, SIZE, 3), 255, np.uint8)).to(student.device)
    return Lessons(
        painted=made["painted"],
        drawn=pictures_by_kind(drawn)["bootstrapped"],
        hard=made["hard"],
        before=student,
        text=parts.text,
        white=white,
    )


def teach_late_steps(
    student: UNet2DConditionModel,
    parts: LateParts,
    drawn: dict[str, Tensor],
    config: Config,
    folder: Path,
) -> UNet2DConditionModel:
    """Train a student's adapter on lessons of late steps; return the moving average.

    `drawn` are encoded pictures. What the student paints on white, or of a prompt alone, is kept as it is.
    """
    before = student.requires_grad_(False).eval()
    lessons = late_lessons(before, parts, drawn, config)
    device = before.device
    learner, average = learner_beside(before, config.late_ema, compiles=config.compile)

    def loss(module: UNet2DConditionModel, step: int) -> Tensor:
        rng = torch.Generator(device).manual_seed(config.seed * 13_000_027 + step)
        z, timesteps, ids, targets = lessons.batch(average.module, Counts.of(config.late.batch), rng)
        states = parts.text(ids).last_hidden_state
        z = z.contiguous(memory_format=torch.channels_last)
        return huber(consistency(module, z, timesteps, states) - targets)

    return train(learner, loss, budget=config.late, folder=folder, average=average)
