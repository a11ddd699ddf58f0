"""Latent consistency distillation (Luo et al., arXiv 2310.04378) into a LoRA, as LCM-LoRA does (2311.05556).

With it fused, four or five steps at guidance 1 do what many guided steps of the base do.
"""

import copy
from functools import cache
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from smd_cli.models.assets import LCM_LORA
from smd_cli.workshop.train.adapter import adapt, load_adapter
from smd_cli.workshop.train.config import Config
from smd_cli.workshop.train.consistency import consistency, sampled_on
from smd_cli.workshop.train.loop import MovingAverage, train
from smd_cli.workshop.train.paths import Paths, Walker
from smd_cli.workshop.train.unet import Generator, compile_unet

HUBER = 1e-3


def huber(error: Tensor) -> Tensor:
    """Return the mean of errors, squared below `HUBER`, plain above (Song and Dhariwal, arXiv 2310.14189)."""
    mean: Tensor = ((error.square() + HUBER**2).sqrt() - HUBER).mean()
    return mean


def distill(
    teacher: Generator, data: dict[str, Tensor], empty_ids: Tensor, config: Config, folder: Path
) -> UNet2DConditionModel:
    """Teach an adapter of the teacher's UNet to see, from anywhere on a guided path, the picture at its end.

    Paths are walked in `config.rounds` rounds: those that start where the student leads follow what it has
    learned. A quarter of each batch has left its path by a step of the student's own, and is to see the
    same end. Where the training goes on from an exported model, so does the adapter.
    Returns the moving average of the adapted UNet; `adapter_of` takes the adapter from it.
    """
    teacher = teacher.requires_grad_(False).eval()
    teacher.unet.to(memory_format=torch.channels_last)
    student = adapt(copy.deepcopy(teacher.unet), config.rank, config.seed)
    if config.base is not None and (config.base / LCM_LORA).exists():
        load_adapter(student, config.base / LCM_LORA)
    average = MovingAverage(student, config.distill_ema)
    if config.compile:
        compile_unet(teacher.unet)
        compile_unet(student)
    walker = Walker(teacher, average.module, data, empty_ids, config)

    @cache
    def paths_of(number: int) -> Paths:
        # Not under the loop's autocast, in which half-precision points do not join.
        with torch.autocast(empty_ids.device.type, enabled=False):
            return walker.walk(folder / "paths", config.paths * (number + 1) // config.rounds)

    def loss(module: UNet2DConditionModel, step: int) -> Tensor:
        rng = torch.Generator(empty_ids.device).manual_seed(config.seed * 9_000_011 + step)
        paths = paths_of(step * config.rounds // config.distill.steps)
        z, timesteps, ids, ends = paths.batch(config.distill.batch, rng)
        states = teacher.text(ids).last_hidden_state
        own = slice(config.distill.batch // 4)
        z[own], timesteps[own] = sampled_on(average.module, z[own], timesteps[own], states[own], rng)
        z = z.contiguous(memory_format=torch.channels_last)
        return huber(consistency(module, z, timesteps, states) - ends)

    return train(student, loss, budget=config.distill, folder=folder, average=average)
