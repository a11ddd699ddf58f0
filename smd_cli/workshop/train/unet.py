"""The UNet and its text encoder, trained together to predict noise on stored latents."""

from functools import cache, partial
from pathlib import Path

import torch
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from transformers import CLIPTextModel

from smd_cli.workshop.train.config import Budget, Config
from smd_cli.workshop.train.loop import MovingAverage, train
from smd_cli.workshop.train.text import WIDTH
from smd_cli.workshop.train.visibility import (
    PictureBatch,
    draw_timesteps,
    noise_like,
    uniform,
    visible_latents,
)

TRAIN_STEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012
SHIFT = 4.0
"""Factor by which the signal-to-noise ratio is higher than SD1.5's at every timestep."""


def training_betas() -> Tensor:
    """Return β (1000,) of SD1.5's scaled-linear schedule, shifted for smaller latents.

    At the same noise level 32x32 latents carry less of a picture than 64x64 ones, since fewer of them
    average the noise out. So the signal-to-noise ratio is raised by the ratio of the areas (Hoogeboom et
    al., arXiv 2301.11093, section 3.1). Otherwise a few-step sampler takes most of its steps at levels where
    regions cannot be made out, and the steps overwrite one another's results.
    """
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, TRAIN_STEPS, dtype=torch.float64) ** 2
    alphas = (1 - betas).cumprod(0)
    shifted = SHIFT * alphas / (1 + (SHIFT - 1) * alphas)
    return 1 - shifted / torch.cat([torch.ones(1), shifted[:-1]])


@cache
def alphas_cumprod() -> Tensor:
    """Return ᾱ (1000,) of the training schedule."""
    return (1 - training_betas()).cumprod(0).float()


def build() -> UNet2DConditionModel:
    """Return an untrained UNet of 10.9 M parameters for 32x32 latents, with attention at 16x16 and below."""
    return UNet2DConditionModel(
        sample_size=32,
        block_out_channels=(64, 128, 192),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=32,
    )


def quick_attention(unet: UNet2DConditionModel, device: str) -> UNet2DConditionModel:
    """Choose the attention implementation that trains fastest on a device, in device.

    On a CPU plain matrix products are a fifth faster than fused attention, whose backward pass is slow there.
    """
    unet.set_attn_processor(AttnProcessor() if device == "cpu" else AttnProcessor2_0())
    return unet


class ConditionedUNet(nn.Module):
    """A UNet with the text encoder that conditions it."""

    def __init__(self, unet: UNet2DConditionModel, text: CLIPTextModel) -> None:
        super().__init__()
        self.unet = unet
        self.text = text

    def forward(self, latents: Tensor, timesteps: Tensor, ids: Tensor) -> Tensor:
        """Return the predicted noise (N, 4, h, w) for token ids (N, 77)."""
        states = self.text(ids).last_hidden_state
        noise: Tensor = self.unet(latents, timesteps, encoder_hidden_states=states, return_dict=False)[0]
        return noise


def compile_unet(unet: UNet2DConditionModel) -> None:
    """Compile a UNet in device, with upsampling by repeated pixels instead of `interpolate`.

    Compiled by torch 2.13 for a CPU under bf16 autocast, `interpolate` passes no gradient back: everything
    below the outermost level, and the text encoder, would not be trained.
    """
    for module in unet.modules():
        if isinstance(module, Upsample2D):
            module.forward = partial(_repeated, module.conv)
    unet.compile()


def _repeated(conv: nn.Module, states: Tensor, output_size: tuple[int, int] | None = None) -> Tensor:
    """Return conv(states upsampled by 2, nearest neighbour); sizes here are never odd."""
    upsampled: Tensor = conv(states.repeat_interleave(2, 2).repeat_interleave(2, 3))
    return upsampled


def alpha_sigma(timesteps: Tensor, alphas: Tensor) -> tuple[Tensor, Tensor]:
    """Return √ᾱ and √(1−ᾱ), (N, 1, 1, 1) each, the weights of picture and noise; 1 and 0 below timestep 0."""
    known = alphas.to(timesteps.device)[timesteps.clamp(min=0)]
    alpha = torch.where(timesteps >= 0, known, 1.0)[:, None, None, None]
    return alpha.sqrt(), (1 - alpha).sqrt()


def noised(latents: Tensor, noise: Tensor, timesteps: Tensor, alphas: Tensor) -> Tensor:
    """Return √ᾱ x + √(1−ᾱ) n."""
    alpha, sigma = alpha_sigma(timesteps, alphas)
    return alpha * latents + sigma * noise


def cleaned(z: Tensor, noise: Tensor, timesteps: Tensor, alphas: Tensor) -> Tensor:
    """Return (z − √(1−ᾱ) n) / √ᾱ, the latents that `noised` turns into z."""
    alpha, sigma = alpha_sigma(timesteps, alphas)
    return (z - sigma * noise) / alpha


def noised_with_target(
    latents: Tensor, shown: Tensor, noise: Tensor, timesteps: Tensor, alphas: Tensor
) -> tuple[Tensor, Tensor]:
    """Return z = √ᾱ s + √(1−ᾱ) n for visible latents s, and the noise that leads from z to `latents`."""
    alpha, sigma = alpha_sigma(timesteps, alphas)
    return alpha * shown + sigma * noise, noise - alpha / sigma * (latents - shown)


def loss_weight(snr: Tensor, most: float) -> Tensor:
    """Return the weight of the noise prediction's error at signal-to-noise ratios (N,).

    At high ratios it is the min-SNR weight of Hang et al. (arXiv 2303.09556), with `most` as the limit. At
    low ratios a small error in the noise is a large one in the picture, and a few-step sampler decides there
    what only the prompt determines: so the weight rises again, with the square root of what would weigh
    errors in the picture equally.
    """
    return snr.clamp(max=most) / snr * (1 + 1 / snr).sqrt()


def draw_batch(data: dict[str, Tensor], count: int, seed: int) -> tuple[PictureBatch, torch.Generator]:
    """Return `count` random pictures, latents in float32, and the random generator after the draw."""
    device = data["ids"].device
    generator = torch.Generator(device).manual_seed(seed)
    rows = torch.randint(len(data["ids"]), (count,), generator=generator, device=device)
    latents, bootstrapped = (
        data[name][rows].float().contiguous(memory_format=torch.channels_last)
        for name in ("latents", "bootstrapped")
    )
    return PictureBatch(
        latents, bootstrapped, data["ids"][rows], data["caption_complete"][rows], data["boxes"][rows]
    ), generator


def train_unet(
    model: ConditionedUNet,
    data: dict[str, Tensor],
    empty_ids: Tensor,
    config: Config,
    *,
    budget: Budget,
    folder: Path,
) -> ConditionedUNet:
    """Train (or resume) UNet and text encoder on noise prediction, weighted by `loss_weight`.

    A share of the captions is replaced by `empty_ids` (77,), to train the unconditional half of guidance.
    """
    alphas = alphas_cumprod().to(empty_ids.device)
    model.unet.to(memory_format=torch.channels_last)
    average = MovingAverage(model, config.ema)
    if config.compile:
        compile_unet(model.unet)

    def loss(module: ConditionedUNet, step: int) -> Tensor:
        batch, rng = draw_batch(data, budget.batch, config.seed * 7_000_003 + step)
        dropped = uniform(budget.batch, rng) < config.empty_captions
        ids = torch.where(dropped[:, None], empty_ids, batch.ids)
        timesteps = draw_timesteps(batch.caption_complete, TRAIN_STEPS, rng)
        noise = noise_like(batch.latents, rng)
        shown = visible_latents(batch, timesteps, rng)
        z, wanted = noised_with_target(batch.latents, shown, noise, timesteps, alphas)
        predicted = module(z, timesteps, ids).float()
        weight = loss_weight(alphas[timesteps] / (1 - alphas[timesteps]), config.min_snr)
        error: Tensor = (weight * (predicted - wanted).square().mean(dim=(1, 2, 3))).mean()
        return error

    return train(model, loss, budget=budget, folder=folder, average=average)
