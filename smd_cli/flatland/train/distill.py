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
from smd_cli.flatland.train.unet import (
    TRAIN_STEPS,
    Generator,
    alphas_cumprod,
    batch_of,
    noise_like,
    noised,
    noisy_timesteps,
)
from smd_cli.models.assets import LCM_LORA

SIGMA_DATA = 0.5
TIMESTEP_SCALING = 10.0
HUBER = 1e-3


def boundary(timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """Return c_skip and c_out (N, 1, 1, 1): at timestep 0 the consistency function is the identity."""
    scaled = (timesteps.clamp(min=0) * TIMESTEP_SCALING)[:, None, None, None].float()
    spread = scaled.square() + SIGMA_DATA**2
    return SIGMA_DATA**2 / spread, scaled / spread.sqrt()


def _split(alphas: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """Return α and σ (N, 1, 1, 1) of timesteps; before the first one there is no noise."""
    alpha = torch.where(timesteps >= 0, alphas[timesteps.clamp(min=0)], torch.ones(()))[:, None, None, None]
    return alpha.sqrt(), (1 - alpha).sqrt()


class Consistency:
    """The consistency function f(z, t) = c_skip z + c_out x̂(z, t) of a noise-predicting UNet."""

    def __init__(self, alphas: Tensor) -> None:
        self.alphas = alphas

    def clean(self, z: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return x̂ = (z − σ ε) / α."""
        alpha, sigma = _split(self.alphas, timesteps)
        return (z - sigma * noise) / alpha

    def __call__(self, unet: nn.Module, z: Tensor, timesteps: Tensor, states: Tensor) -> Tensor:
        """Return f(z, t), float32."""
        noise = unet(z, timesteps.clamp(min=0), encoder_hidden_states=states, return_dict=False)[0].float()
        c_skip, c_out = boundary(timesteps)
        return c_skip * z + c_out * self.clean(z, noise, timesteps)


def distill(
    teacher: Generator, data: dict[str, Tensor], empty_ids: Tensor, config: Config, folder: Path
) -> UNet2DConditionModel:
    """Distil the guided teacher's DDIM steps of 20 timesteps into an adapter of its UNet.

    Where the training goes on from an exported model, so does the adapter.
    Returns the moving average of the adapted UNet; `adapter_of` takes the adapter from it.
    """
    teacher = teacher.requires_grad_(False).eval()
    teacher.unet.to(memory_format=torch.channels_last)
    student = adapt(copy.deepcopy(teacher.unet), config.rank, config.seed)
    if config.base is not None and (config.base / LCM_LORA).exists():
        load_adapter(student, config.base / LCM_LORA)
    average = MovingAverage(student, config.distill_ema)
    alphas = alphas_cumprod()
    consistency = Consistency(alphas)
    empty = teacher.text(empty_ids[None]).last_hidden_state

    @torch.no_grad()
    def teacher_step(z: Tensor, start: Tensor, end: Tensor, states: Tensor) -> Tensor:
        both = torch.cat([states, empty.expand_as(states)])
        named, unnamed = (
            teacher.unet(z.repeat(2, 1, 1, 1), start.repeat(2), both, return_dict=False)[0].float().chunk(2)
        )
        noise = unnamed + config.guidance * (named - unnamed)
        alpha, sigma = _split(alphas, end)
        stepped: Tensor = alpha * consistency.clean(z, noise, start) + sigma * noise
        return stepped

    def loss(module: UNet2DConditionModel, step: int) -> Tensor:
        latents, ids, rng = batch_of(data, config.distill.batch, config.seed * 9_000_011 + step)
        skip = config.distill_skip
        start = (noisy_timesteps(len(ids), TRAIN_STEPS // skip, rng) + 1) * skip - 1
        states = teacher.text(ids).last_hidden_state
        z = noised(latents, noise_like(latents, config.coarse_noise, rng), start, alphas)
        with torch.no_grad():
            target = consistency(
                average.module, teacher_step(z, start, start - skip, states), start - skip, states
            )
        error = consistency(module, z, start, states) - target
        huber: Tensor = ((error.square() + HUBER**2).sqrt() - HUBER).mean()
        return huber

    return train(student, loss, budget=config.distill, folder=folder, average=average)
