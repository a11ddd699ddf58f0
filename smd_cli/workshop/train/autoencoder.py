"""The autoencoder: 8x downscaling, four latent channels, trained on crops of drawn pictures."""

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
"""Standard deviation of the noise added to latents by stage, so that the decoder tolerates errors.

With 0.02 in both stages, a UNet trained longer lost the composition of its pictures (docs/flatland-log.md).
"""
LATENT_PENALTY = 2e-3
MIXED_WEIGHT = 4.0
"""Weight of `mixed_loss` relative to the reconstruction loss."""
COLOR_SCALE = (0.8, 1.3)
"""Range of the factor by which `miscolored` scales the distance to another picture; guidance overshoots 1."""
COARSE_NOISE = ((1, 0.12), (2, 0.12), (4, 0.12))
"""Coarse noise that `miscolored` adds: (cells per side, standard deviation relative to the latents')."""


def build(scaling_factor: float = 1.0) -> AutoencoderTiny:
    """Return an untrained AutoencoderTiny that is 32 channels wide."""
    widths = (WIDTH,) * 4
    return AutoencoderTiny(
        encoder_block_out_channels=widths, decoder_block_out_channels=widths, scaling_factor=scaling_factor
    )


def picture_pool(config: Config) -> np.ndarray:
    """Draw the pictures that crops are cut from: (pool, 256, 256, 3) uint8."""
    first = config.seed + 10_000_000
    return np.stack([np.asarray(p.image) for p in draw_pictures(range(first, first + config.pool))])


def crops(pool: np.ndarray, rng: np.random.Generator, count: int, size: int) -> Tensor:
    """Return random crops (count, 3, size, size) in [-1, 1]; each is mostly the busier of two candidates."""
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
    """Return what to mix crops (N, 3, H, W) with, and its share in the mixture (N, 1, H, W).

    The partner is another crop or, half the time, a plain colour, which half the time is white, since regions
    are bootstrapped on plain colours. Shares are constant, or change smoothly as a blurred mask does.
    """

    def uniform(*shape: int) -> Tensor:
        return pixels.new_empty(len(pixels), *shape).uniform_()

    colors = torch.where(uniform(1, 1, 1) < 0.5, 2 * uniform(3, 1, 1) - 1, 1.0).expand_as(pixels)
    others = torch.where(uniform(1, 1, 1) < 0.5, colors, pixels.roll(1, 0))
    ramps = F.interpolate(uniform(1, 2, 2), pixels.shape[-2:], mode="bilinear", align_corners=True)
    shares = torch.where(uniform(1, 1, 1) < 0.5, uniform(1, 1, 1), ramps)
    return others.contiguous(memory_format=torch.channels_last), shares


def mixed_loss(model: AutoencoderTiny, pixels: Tensor, latents: Tensor) -> Tensor:
    """Return the colour error of mixed latents (N, 4, h, w), on means over the 8x8 px of each latent cell.

    The program averages latents of views, masks and bootstrapped regions, and a few-step sampler's first
    estimates are averages too: the mean of two latents has to decode to the mean of their pictures.
    """
    others, shares = partners(pixels)
    mixed = latents.lerp(model.encoder(others), F.avg_pool2d(shares, 8).to(latents.dtype))
    mixed = mixed + LATENT_NOISE["autoencoder"] * torch.randn_like(mixed)
    shown, wanted = model.decoder(mixed).float(), pixels.lerp(others, shares)
    error = F.avg_pool2d(shown, 8) - F.avg_pool2d(wanted, 8)
    return error.square().mean() + 0.25 * error.abs().mean()


def miscolored(latents: Tensor) -> Tensor:
    """Return latents (N, 4, h, w) with the colour errors of a UNet: over- or undershooting, and in patches.

    Nearby latents are not always similar colours: overshooting green by a third gives dark blue.
    """
    amount = latents.new_empty(len(latents), 1, 1, 1).uniform_(*COLOR_SCALE)
    other = latents.mean(dim=(2, 3), keepdim=True).roll(1, 0) * torch.randint_like(amount, 2)
    wrong = other + amount * (latents - other)
    for cells, spread in COARSE_NOISE:
        noise = torch.randn(*latents.shape[:2], cells, cells, device=latents.device)
        patches = spread * latents.std() * noise
        wrong = wrong + F.interpolate(patches, latents.shape[-2:], mode="bilinear")
    return wrong


def reconstruction_loss(model: AutoencoderTiny, pixels: Tensor, noise: float, *, frozen: bool) -> Tensor:
    """Return L1 + L2 + edge loss, with noise on the latents so that the decoder tolerates a sampler's errors.

    With a `frozen` encoder, the decoder also learns to tolerate `miscolored` latents; otherwise both networks
    also minimise `mixed_loss`.
    """
    latents = model.encoder(pixels)
    noisy = (miscolored(latents.float()) if frozen else latents) + noise * torch.randn_like(latents)
    output = model.decoder(noisy).float()
    edges = sum(F.l1_loss(torch.diff(output, dim=axis), torch.diff(pixels, dim=axis)) for axis in (2, 3))
    penalty = LATENT_PENALTY * latents.float().square().mean()
    loss: Tensor = F.l1_loss(output, pixels) + 2 * F.mse_loss(output, pixels) + edges + penalty
    return loss if frozen else loss + MIXED_WEIGHT * mixed_loss(model, pixels, latents)


def train_autoencoder(pool: np.ndarray, config: Config) -> AutoencoderTiny:
    """Train (or resume) the autoencoder; its scaling factor gives the latents a standard deviation of 1."""
    torch.manual_seed(config.seed)
    model = build().to(config.device, memory_format=torch.channels_last)
    trained = _reconstruct(model, pool, config, "autoencoder")
    pixels = torch.from_numpy(pool[:256]).permute(0, 3, 1, 2).to(config.device) / 127.5 - 1
    with torch.no_grad():
        spread = float(trained.encode(pixels).latents.std())
    trained.register_to_config(scaling_factor=round(1 / spread, 4))
    return trained


def polish_decoder(autoencoder: AutoencoderTiny, pool: np.ndarray, config: Config) -> AutoencoderTiny:
    """Train (or resume) the decoder further; the encoder stays frozen: the UNet has learned its latents."""
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
