"""Latent consistency distillation (Luo et al., arXiv 2310.04378) into a LoRA, as LCM-LoRA does (2311.05556).

With it fused, four or five steps at guidance 1 do what many guided steps of the base do.
"""

import copy
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from smd_cli.flatland.train.adapter import adapt, load_adapter
from smd_cli.flatland.train.config import Config
from smd_cli.flatland.train.loop import MovingAverage, train
from smd_cli.flatland.train.paths import walk_paths
from smd_cli.flatland.train.unet import Generator, alphas_cumprod, cleaned, noised
from smd_cli.models.assets import LCM_LORA

SIGMA_DATA = 0.5
TIMESTEP_SCALING = 10.0
HUBER = 1e-3


def boundary(timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """Return c_skip and c_out (N, 1, 1, 1): at timestep 0 the consistency function is the identity."""
    scaled = (timesteps * TIMESTEP_SCALING)[:, None, None, None].float()
    spread = scaled.square() + SIGMA_DATA**2
    return SIGMA_DATA**2 / spread, scaled / spread.sqrt()


def consistency(unet: nn.Module, z: Tensor, timesteps: Tensor, states: Tensor) -> Tensor:
    """Return f(z, t) = c_skip z + c_out x̂(z, t) of a noise-predicting UNet, float32."""
    noise = unet(z, timesteps, encoder_hidden_states=states, return_dict=False)[0].float()
    c_skip, c_out = boundary(timesteps)
    return c_skip * z + c_out * cleaned(z, noise, timesteps, alphas_cumprod())


@torch.no_grad()
def sampled_on(
    unet: nn.Module, z: Tensor, timesteps: Tensor, states: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Take a step as a few-step sampler does: the picture seen from (z, t), noised anew, at any earlier t.

    What is seen in one step from much noise is fainter than any point of a path. A student that has not met
    it takes it for what is to be, and things vanish.
    """
    earlier = (torch.rand(timesteps.shape, generator=rng) * timesteps).long()
    noise = torch.randn(z.shape, generator=rng)
    return noised(consistency(unet, z, timesteps, states), noise, earlier, alphas_cumprod()), earlier


def distill(
    teacher: Generator, data: dict[str, Tensor], empty_ids: Tensor, config: Config, folder: Path
) -> UNet2DConditionModel:
    """Teach an adapter of the teacher's UNet to see, from anywhere on a guided path, the picture at its end.

    Half of each batch has left its path by a step of the student's own, and is to see the same end.
    Where the training goes on from an exported model, so does the adapter.
    Returns the moving average of the adapted UNet; `adapter_of` takes the adapter from it.
    """
    teacher = teacher.requires_grad_(False).eval()
    teacher.unet.to(memory_format=torch.channels_last)
    student = adapt(copy.deepcopy(teacher.unet), config.rank, config.seed)
    if config.base is not None and (config.base / LCM_LORA).exists():
        load_adapter(student, config.base / LCM_LORA)
    average = MovingAverage(student, config.distill_ema)
    paths = walk_paths(teacher, data, empty_ids, config, folder / "paths")

    def loss(module: UNet2DConditionModel, step: int) -> Tensor:
        rng = torch.Generator().manual_seed(config.seed * 9_000_011 + step)
        z, timesteps, ids, ends = paths.batch(config.distill.batch, rng)
        states = teacher.text(ids).last_hidden_state
        own = slice(config.distill.batch // 2)
        z[own], timesteps[own] = sampled_on(average.module, z[own], timesteps[own], states[own], rng)
        z = z.contiguous(memory_format=torch.channels_last)
        error = consistency(module, z, timesteps, states) - ends
        huber: Tensor = ((error.square() + HUBER**2).sqrt() - HUBER).mean()
        return huber

    return train(student, loss, budget=config.distill, folder=folder, average=average)
