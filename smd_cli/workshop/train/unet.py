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
from smd_cli.workshop.train.shown import Lesson, chances, draw_timesteps, noise_like, what_shows
from smd_cli.workshop.train.text import WIDTH

TRAIN_STEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012
SHIFT = 4.0
"""The signal-to-noise ratio at each timestep, as a factor of that in SD1.5."""


def training_betas() -> Tensor:
    """Return β (1000,) of SD1.5's scaled-linear schedule, shifted for smaller latents.

    Under the same noise 32x32 latents show less than 64x64 ones, for there are fewer to average over: the
    ratio has to be that of their areas higher (Hoogeboom et al., arXiv 2301.11093, section 3.1). Else a
    few-step sampler takes most of its steps where nothing of a region can be told, and they undo one another.
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
    """Return an untrained UNet of 10.9 M parameters for 32x32 latents; attention from 16x16 down."""
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
    """Let a UNet attend in the way that trains fastest on a device, in place.

    On a CPU plain matrix products are a fifth faster than fused attention, whose backward is slow there.
    """
    unet.set_attn_processor(AttnProcessor() if device == "cpu" else AttnProcessor2_0())
    return unet


class Generator(nn.Module):
    """A UNet and the text encoder that steers it."""

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
    """Compile a UNet in place, with upsampling that repeats pixels.

    What torch 2.13 compiles for a CPU from `interpolate` under bf16 autocast passes no gradient back: all
    that lies below the outermost level, and the text encoder, would learn nothing.
    """
    for module in unet.modules():
        if isinstance(module, Upsample2D):
            module.forward = partial(_repeated, module.conv)
    unet.compile()


def _repeated(conv: nn.Module, states: Tensor, output_size: tuple[int, int] | None = None) -> Tensor:
    """Return conv(states, every pixel twice in both directions); sizes here are never odd."""
    upsampled: Tensor = conv(states.repeat_interleave(2, 2).repeat_interleave(2, 3))
    return upsampled


def weights_at(timesteps: Tensor, alphas: Tensor) -> tuple[Tensor, Tensor]:
    """Return √ᾱ and √(1−ᾱ) (N, 1, 1, 1), what a picture and its noise weigh; below timestep 0 is no noise."""
    known = alphas.to(timesteps.device)[timesteps.clamp(min=0)]
    alpha = torch.where(timesteps >= 0, known, 1.0)[:, None, None, None]
    return alpha.sqrt(), (1 - alpha).sqrt()


def noised(latents: Tensor, noise: Tensor, timesteps: Tensor, alphas: Tensor) -> Tensor:
    """Return √ᾱ x + √(1−ᾱ) n."""
    alpha, sigma = weights_at(timesteps, alphas)
    return alpha * latents + sigma * noise


def cleaned(z: Tensor, noise: Tensor, timesteps: Tensor, alphas: Tensor) -> Tensor:
    """Return (z − √(1−ᾱ) n) / √ᾱ, the latents that `noised` would have made z of."""
    alpha, sigma = weights_at(timesteps, alphas)
    return (z - sigma * noise) / alpha


def shown_noised(
    latents: Tensor, shown: Tensor, noise: Tensor, timesteps: Tensor, alphas: Tensor
) -> tuple[Tensor, Tensor]:
    """Return √ᾱ s + √(1−ᾱ) n for what is shown, s, and the noise that leads from there to the latents."""
    alpha, sigma = weights_at(timesteps, alphas)
    return alpha * shown + sigma * noise, noise - alpha / sigma * (latents - shown)


def loss_weight(snr: Tensor, most: float) -> Tensor:
    """Return the weight of an error in the noise at signal-to-noise ratios (N,).

    Where the picture shows, that of Hang et al. (arXiv 2303.09556). Where it hardly does, errors in the noise
    are small however wrong the picture is that they imply, and a few-step sampler commits itself there to
    what only the prompt can tell: so they weigh more, by the root of what would weigh pictures alike.
    """
    return snr.clamp(max=most) / snr * (1 + 1 / snr).sqrt()


def batch_of(data: dict[str, Tensor], count: int, seed: int) -> tuple[Lesson, torch.Generator]:
    """Return `count` lessons, latents float32, and the generator that chose them."""
    place = data["ids"].device
    generator = torch.Generator(place).manual_seed(seed)
    rows = torch.randint(len(data["ids"]), (count,), generator=generator, device=place)
    latents, seen = (
        data[name][rows].float().contiguous(memory_format=torch.channels_last) for name in ("latents", "seen")
    )
    return Lesson(latents, seen, data["ids"][rows], data["told"][rows], data["boxes"][rows]), generator


def train_unet(
    generator: Generator,
    data: dict[str, Tensor],
    empty_ids: Tensor,
    config: Config,
    *,
    budget: Budget,
    folder: Path,
) -> Generator:
    """Train (or resume) on noise prediction, each level of noise weighed by `loss_weight`.

    `empty_ids` (77,) stands in for a share of the captions, so that guidance has an unconditional half.
    """
    alphas = alphas_cumprod().to(empty_ids.device)
    model = generator
    model.unet.to(memory_format=torch.channels_last)
    average = MovingAverage(model, config.ema)
    if config.compile:
        compile_unet(model.unet)

    def loss(module: Generator, step: int) -> Tensor:
        lesson, rng = batch_of(data, budget.batch, config.seed * 7_000_003 + step)
        dropped = chances(budget.batch, rng) < config.empty_captions
        ids = torch.where(dropped[:, None], empty_ids, lesson.ids)
        timesteps = draw_timesteps(lesson.told, TRAIN_STEPS, rng)
        noise = noise_like(lesson.latents, rng)
        shown = what_shows(lesson, timesteps, rng)
        z, wanted = shown_noised(lesson.latents, shown, noise, timesteps, alphas)
        predicted = module(z, timesteps, ids).float()
        weight = loss_weight(alphas[timesteps] / (1 - alphas[timesteps]), config.min_snr)
        error: Tensor = (weight * (predicted - wanted).square().mean(dim=(1, 2, 3))).mean()
        return error

    return train(model, loss, budget=budget, folder=folder, average=average)
