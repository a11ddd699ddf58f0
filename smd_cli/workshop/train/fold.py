"""Guidance folded into a student (Meng et al., arXiv 2210.03142, section 3.1): it sees what it would guided.

A student of few steps learns the middle of all the ends that its noise may lead to, and colours that lie
between the prompted one and others. Its own guidance takes them apart again; folded in, that costs nothing.
"""

import copy
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from smd_cli.workshop.train.adapter import thaw_adapter
from smd_cli.workshop.train.config import Config
from smd_cli.workshop.train.consistency import consistency, sampled_on, seen_through
from smd_cli.workshop.train.distill import huber
from smd_cli.workshop.train.loop import MovingAverage, train
from smd_cli.workshop.train.paths import Paths
from smd_cli.workshop.train.unet import compile_unet


@torch.no_grad()
def guided_consistency(
    unet: nn.Module, z: Tensor, timesteps: Tensor, states: tuple[Tensor, Tensor], scale: float
) -> Tensor:
    """Return what a UNet sees from (z, t) under guidance; `states`, each (N, 77, C): prompts', empty ones."""
    both = unet(
        z.repeat(2, 1, 1, 1),
        timesteps.repeat(2),
        encoder_hidden_states=torch.cat(states),
        return_dict=False,
    )[0].float()
    said, unsaid = both.chunk(2)
    return seen_through(z, unsaid.lerp(said, scale), timesteps)


def fold_guidance(
    student: UNet2DConditionModel,
    text: nn.Module,
    paths: Paths,
    empty_ids: Tensor,
    config: Config,
    folder: Path,
) -> UNet2DConditionModel:
    """Teach a student's adapter to see without guidance what the student sees under `config.fold_scale`.

    Half of each batch lies on the paths that the student has learned from, half is a step of its own further
    on. Returns the moving average.
    """
    guide = student.requires_grad_(False).eval()
    learner = thaw_adapter(copy.deepcopy(student))
    average = MovingAverage(learner, config.distill_ema)
    if config.compile:
        compile_unet(guide)
        compile_unet(learner)

    def loss(module: UNet2DConditionModel, step: int) -> Tensor:
        rng = torch.Generator(empty_ids.device).manual_seed(config.seed * 11_000_003 + step)
        z, timesteps, ids, _ = paths.batch(config.fold.batch, rng)
        states = text(ids).last_hidden_state
        unsaid = text(empty_ids[None]).last_hidden_state.expand_as(states)
        own = slice(config.fold.batch // 2)
        z[own], timesteps[own] = sampled_on(average.module, z[own], timesteps[own], states[own], rng)
        z = z.contiguous(memory_format=torch.channels_last)
        wanted = guided_consistency(guide, z, timesteps, (states, unsaid), config.fold_scale)
        return huber(consistency(module, z, timesteps, states) - wanted)

    return train(learner, loss, budget=config.fold, folder=folder, average=average)
