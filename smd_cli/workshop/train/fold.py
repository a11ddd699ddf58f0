"""Guidance distillation of the student (Meng et al., arXiv 2210.03142, section 3.1).

A few-step student learns the mean of all pictures that its noise may lead to, with colours between the
prompted one and others. Its own classifier-free guidance separates them again; distilled into the adapter,
guidance costs no second evaluation.
"""

from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from smd_cli.workshop.train.adapter import learner_beside
from smd_cli.workshop.train.config import Config
from smd_cli.workshop.train.consistency import consistency, consistency_of_noise, student_step
from smd_cli.workshop.train.distill import huber
from smd_cli.workshop.train.loop import train
from smd_cli.workshop.train.paths import Paths


@torch.no_grad()
def guided_consistency(
    unet: nn.Module, z: Tensor, timesteps: Tensor, states: tuple[Tensor, Tensor], scale: float
) -> Tensor:
    """Return the consistency function under guidance; `states` (N, 77, C) each: prompts', empty prompt's."""
    both = unet(
        z.repeat(2, 1, 1, 1),
        timesteps.repeat(2),
        encoder_hidden_states=torch.cat(states),
        return_dict=False,
    )[0].float()
    prompted, empty = both.chunk(2)
    return consistency_of_noise(z, empty.lerp(prompted, scale), timesteps)


def fold_guidance(
    student: UNet2DConditionModel,
    text: nn.Module,
    paths: Paths,
    empty_ids: Tensor,
    config: Config,
    folder: Path,
) -> UNet2DConditionModel:
    """Train a student's adapter to predict without guidance what it predicts at guidance `config.fold_scale`.

    Half of each batch are points of the paths that the student was trained on; half are one step of the
    student further. Return the moving average.
    """
    guide = student.requires_grad_(False).eval()
    learner, average = learner_beside(guide, config.distill_ema, compiles=config.compile)

    def loss(module: UNet2DConditionModel, step: int) -> Tensor:
        rng = torch.Generator(empty_ids.device).manual_seed(config.seed * 11_000_003 + step)
        z, timesteps, ids, _ = paths.batch(config.fold.batch, rng)
        states = text(ids).last_hidden_state
        empty = text(empty_ids[None]).last_hidden_state.expand_as(states)
        stepped = slice(config.fold.batch // 2)
        z[stepped], timesteps[stepped] = student_step(
            average.module, z[stepped], timesteps[stepped], states[stepped], rng
        )
        z = z.contiguous(memory_format=torch.channels_last)
        wanted = guided_consistency(guide, z, timesteps, (states, empty), config.fold_scale)
        return huber(consistency(module, z, timesteps, states) - wanted)

    return train(learner, loss, budget=config.fold, folder=folder, average=average)
