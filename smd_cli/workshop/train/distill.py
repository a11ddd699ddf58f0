"""Latent consistency distillation (Luo et al., arXiv 2310.04378) into a LoRA, as LCM-LoRA does (2311.05556).

With the LoRA fused, four or five steps at guidance 1 replace many guided steps of the base model.
"""

import copy
from functools import cache
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from smd_cli.models.lora_choice import LCM_LORA
from smd_cli.workshop.train.adapter import adapt, load_adapter
from smd_cli.workshop.train.config import Config
from smd_cli.workshop.train.consistency import consistency, student_step
from smd_cli.workshop.train.loop import MovingAverage, train
from smd_cli.workshop.train.paths import Paths, Walker
from smd_cli.workshop.train.unet import ConditionedUNet, compile_unet

HUBER = 1e-3


def huber(error: Tensor) -> Tensor:
    """Return the mean pseudo-Huber loss (Song and Dhariwal, arXiv 2310.14189): quadratic below `HUBER`."""
    mean: Tensor = ((error.square() + HUBER**2).sqrt() - HUBER).mean()
    return mean


def distill(
    teacher: ConditionedUNet, data: dict[str, Tensor], empty_ids: Tensor, config: Config, folder: Path
) -> UNet2DConditionModel:
    """Train an adapter of the teacher's UNet to predict, from any point of a guided path, the path's end.

    Paths are computed in `config.rounds` rounds, so that later paths that start with the student's own steps
    use what it has learned by then. A quarter of each batch is moved off its path by one step of the
    student, with the same end as its target. Where the training continues from an exported model, the
    adapter continues from that model's. Return the moving average of the adapted UNet; `adapter_of` extracts
    the adapter.
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
        # without the training loop's autocast, under which half-precision points cannot be concatenated
        with torch.autocast(empty_ids.device.type, enabled=False):
            return walker.walk(folder / "paths", config.paths * (number + 1) // config.rounds)

    def loss(module: UNet2DConditionModel, step: int) -> Tensor:
        rng = torch.Generator(empty_ids.device).manual_seed(config.seed * 9_000_011 + step)
        paths = paths_of(step * config.rounds // config.distill.steps)
        z, timesteps, ids, ends = paths.batch(config.distill.batch, rng)
        states = teacher.text(ids).last_hidden_state
        if moved := config.distill.batch // 4:
            z[:moved], timesteps[:moved] = student_step(
                average.module, z[:moved], timesteps[:moved], states[:moved], rng
            )
        z = z.contiguous(memory_format=torch.channels_last)
        return huber(consistency(module, z, timesteps, states) - ends)

    return train(student, loss, budget=config.distill, folder=folder, average=average)
