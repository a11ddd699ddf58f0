"""The autoencoder: 8x, four channels, learned on crops of drawn pictures."""

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from torch import Tensor
from torch.nn import functional as F

from smd_cli.workshop.train.config import Budget, Config
from smd_cli.workshop.train.drawing import draw_pictures
from smd_cli.workshop.train.loop import MovingAverage, train

WIDTH = 32
LATENT_NOISE = {"autoencoder": 0.08, "decoder": 0.02}
"""What the decoder must forgive; with 0.02 in both, a longer training lost composition (docs/flatland.md)."""
LATENT_PENALTY = 2e-3
MIXED = 4.0
"""What the colours of mixtures weigh beside a reconstruction."""
OVERDONE = (0.8, 1.3)
"""How far from another picture a UNet may paint, against the way that is right; guidance overdoes it."""
COARSE = ((1, 0.12), (2, 0.12), (4, 0.12))
"""Noise of (cells a side, spread) that the decoder forgives besides, where the latents' spread is 1."""


def build(scaling_factor: float = 1.0) -> AutoencoderTiny:
    """Return an untrained autoencoder of the AutoencoderTiny kind, 32 channels wide."""
    widths = (WIDTH,) * 4
    return AutoencoderTiny(
        encoder_block_out_channels=widths, decoder_block_out_channels=widths, scaling_factor=scaling_factor
    )


def picture_pool(config: Config) -> np.ndarray:
    """Draw the pictures that crops are taken from: (pool, 256, 256, 3) uint8."""
    first = config.seed + 10_000_000
    return np.stack([np.asarray(p.image) for p in draw_pictures(range(first, first + config.pool))])


def crops(pool: np.ndarray, rng: np.random.Generator, count: int, size: int) -> Tensor:
    """Return (count, 3, size, size) crops in [-1, 1]; of two candidates the busier one is mostly taken."""
    taken = []
    for _ in range(count):
        picture = pool[rng.integers(len(pool))]
        corners = rng.integers(0, picture.shape[0] - size + 1, (2, 2))
        pair = [picture[y : y + size, x : x + size] for y, x in corners]
        busier = int(pair[1][::4, ::4].std() > pair[0][::4, ::4].std())
        taken.append(pair[busier] if rng.random() < 0.75 else pair[1 - busier])
    batch = torch.from_numpy(np.stack(taken)).permute(0, 3, 1, 2)
    return (batch.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def partners(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return what crops (N, 3, H, W) are mixed with, and how much of it (N, 1, H, W) goes in.

    Another crop or, half the time, one colour, which half of the time is white: regions are bootstrapped on
    those. Shares are even, or change from side to side as a blurred mask does.
    """

    def chances(*shape: int) -> Tensor:
        return pixels.new_empty(len(pixels), *shape).uniform_()

    colors = torch.where(chances(1, 1, 1) < 0.5, 2 * chances(3, 1, 1) - 1, 1.0).expand_as(pixels)
    others = torch.where(chances(1, 1, 1) < 0.5, colors, pixels.roll(1, 0))
    ramps = F.interpolate(chances(1, 2, 2), pixels.shape[-2:], mode="bilinear", align_corners=True)
    shares = torch.where(chances(1, 1, 1) < 0.5, chances(1, 1, 1), ramps)
    return others.contiguous(memory_format=torch.channels_last), shares


def mixed_loss(model: AutoencoderTiny, pixels: Tensor, latents: Tensor) -> Tensor:
    """Return how far off the colours of mixed latents (N, 4, h, w) are, in means over a latent's 8 px.

    The program averages latents of views, masks and bootstrapped regions, and a few-step sampler's first
    pictures are averages: between two latents has to lie what lies between their pictures.
    """
    others, shares = partners(pixels)
    mixed = latents.lerp(model.encoder(others), F.avg_pool2d(shares, 8).to(latents.dtype))
    mixed = mixed + LATENT_NOISE["autoencoder"] * torch.randn_like(mixed)
    shown, wanted = model.decoder(mixed).float(), pixels.lerp(others, shares)
    error = F.avg_pool2d(shown, 8) - F.avg_pool2d(wanted, 8)
    return error.square().mean() + 0.25 * error.abs().mean()


def miscolored(latents: Tensor) -> Tensor:
    """Return latents (N, 4, h, w) as a UNet gets their colours wrong: too much or too little, and in patches.

    The latents of a colour are not surrounded by those of like ones: a third beyond green lies dark blue.
    """
    amount = latents.new_empty(len(latents), 1, 1, 1).uniform_(*OVERDONE)
    other = latents.mean(dim=(2, 3), keepdim=True).roll(1, 0) * torch.randint_like(amount, 2)
    wrong = other + amount * (latents - other)
    for cells, spread in COARSE:
        noise = torch.randn(*latents.shape[:2], cells, cells, device=latents.device)
        patches = spread * latents.std() * noise
        wrong = wrong + F.interpolate(patches, latents.shape[-2:], mode="bilinear")
    return wrong


def reconstruction_loss(model: AutoencoderTiny, pixels: Tensor, noise: float, *, frozen: bool) -> Tensor:
    """L1 + L2 + edges, with noise on the latents so that the decoder forgives the sampler's errors.

    Where the encoder is `frozen`, the decoder learns to forgive wrong colours too; where not, both learn what
    mixtures look like.
    """
    latents = model.encoder(pixels)
    noisy = (miscolored(latents.float()) if frozen else latents) + noise * torch.randn_like(latents)
    output = model.decoder(noisy).float()
    edges = sum(F.l1_loss(torch.diff(output, dim=axis), torch.diff(pixels, dim=axis)) for axis in (2, 3))
    penalty = LATENT_PENALTY * latents.float().square().mean()
    loss: Tensor = F.l1_loss(output, pixels) + 2 * F.mse_loss(output, pixels) + edges + penalty
    return loss if frozen else loss + MIXED * mixed_loss(model, pixels, latents)


def train_autoencoder(pool: np.ndarray, config: Config) -> AutoencoderTiny:
    """Train (or resume) the autoencoder on a picture pool; its scaling factor makes the latents' spread 1."""
    torch.manual_seed(config.seed)
    model = build().to(config.device, memory_format=torch.channels_last)
    trained = _reconstruct(model, pool, config, "autoencoder")
    pixels = torch.from_numpy(pool[:256]).permute(0, 3, 1, 2).to(config.device) / 127.5 - 1
    with torch.no_grad():
        spread = float(trained.encode(pixels).latents.std())
    trained.register_to_config(scaling_factor=round(1 / spread, 4))
    return trained


def polish_decoder(autoencoder: AutoencoderTiny, pool: np.ndarray, config: Config) -> AutoencoderTiny:
    """Train (or resume) the decoder further; the encoder, whose latents the UNet has learned, stays."""
    autoencoder.requires_grad_(True).encoder.requires_grad_(False)
    return _reconstruct(autoencoder, pool, config, "decoder")


def _reconstruct(model: AutoencoderTiny, pool: np.ndarray, config: Config, stage: str) -> AutoencoderTiny:
    budget: Budget = getattr(config, stage)

    def loss(module: AutoencoderTiny, step: int) -> Tensor:
        rng = np.random.default_rng((config.seed, budget.steps, step))
        pixels = crops(pool, rng, budget.batch, config.crop).to(config.device)
        return reconstruction_loss(module, pixels, LATENT_NOISE[stage], frozen=stage == "decoder")

    average = MovingAverage(model, config.ema)
    return train(model, loss, budget=budget, folder=config.stage(stage), average=average)
