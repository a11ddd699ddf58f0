"""How much memory a render takes, estimated from the configs and headers of a model's files.

Factors, here and of families and autoencoders, were fitted to measured peaks: those of the embedded model and
of a KL autoencoder of full size. docs/results.md compares estimates with peaks.
"""

from math import prod

import torch

from smd_cli.engine.autoencoder import TILE, WHOLE
from smd_cli.engine.layout import Layout
from smd_cli.models.assets import Assets
from smd_cli.models.configs import read_config
from smd_cli.models.vae import autoencoder_of
from smd_cli.models.weights import read_shapes

PROGRAM = 460 * 2**20  # bytes of the libraries themselves, on the CPU
CANVAS_MAPS = 12  # latents, accumulators and noise, of the size of the canvas, float32


def row_bytes(layout: Layout, assets: Assets, dtype: torch.dtype) -> int:
    """Return the bytes of one model evaluation beyond the weights."""
    family = assets.family
    denoiser = read_config(assets.components[family.denoiser].config)
    box = layout.regions.tiling.boxes[0]
    pixels = (box.bottom - box.top) * (box.right - box.left)
    return family.evaluation_elements(denoiser, pixels) * dtype.itemsize


def estimate(layout: Layout, assets: Assets, dtype: torch.dtype, batch: int) -> int:
    """Return the bytes that a render is expected to hold at its peak, on the CPU."""
    shapes = (shape for path in assets.weights for shape in read_shapes(path).values())
    weights = sum(map(prod, shapes)) * dtype.itemsize
    latents = prod(layout.shape[-2:])
    pixels = latents * assets.facts.downscale**2
    canvas = 4 * CANVAS_MAPS * prod(layout.shape) + 4 * layout.regions.masks.numel()
    planes = 4 * (2 * layout.soft_pixels + 6 * pixels)  # masks while they are blurred; pictures
    rows = batch * layout.guidance.rows_per_view(0) * row_bytes(layout, assets, dtype)
    return int(PROGRAM + weights + canvas + planes + max(rows, _decoder_bytes(pixels, assets, dtype)))


def _decoder_bytes(pixels: int, assets: Assets, dtype: torch.dtype) -> int:
    """Return the bytes of decoding, of the whole picture or of one tile."""
    family = assets.family
    folder = assets.components[family.autoencoder].config
    config = read_config(folder)
    autoencoder = autoencoder_of(config, family.autoencoders, folder)
    at_once = pixels if pixels <= WHOLE else TILE**2
    return autoencoder.decoder_elements(config, at_once) * dtype.itemsize
