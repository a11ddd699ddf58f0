"""How much memory a render takes, estimated from the configs and headers of a model's files.

The factors were fitted to peaks measured on the embedded model and on a KL autoencoder of full size;
docs/results.md compares estimates with peaks.
"""

from math import prod

import torch

from smd_cli.engine.autoencoder import TILE, WHOLE
from smd_cli.engine.layout import Layout
from smd_cli.models.assets import Assets
from smd_cli.models.facts import read_config
from smd_cli.models.weights import read_shapes

PROGRAM = 460 * 2**20  # bytes of the libraries themselves, on the CPU
ACTIVATIONS = 24  # maps of the UNet's first width that one evaluation holds at its widest
DECODER_MAPS = {"AutoencoderTiny": 4, "AutoencoderKL": 10}  # maps of the decoder's last width
CANVAS_MAPS = 12  # latents, accumulators and noise, of the size of the canvas, float32


def row_bytes(layout: Layout, assets: Assets, dtype: torch.dtype) -> int:
    """Return the bytes of one model evaluation beyond the weights."""
    widths = read_config(assets.parts["unet"].config)["block_out_channels"]
    box = layout.regions.tiling.boxes[0]
    pixels = (box.bottom - box.top) * (box.right - box.left)
    return int(ACTIVATIONS * widths[0] * pixels * dtype.itemsize)


def estimate(layout: Layout, assets: Assets, dtype: torch.dtype, batch: int) -> int:
    """Return the bytes that a render is expected to hold at its peak, on the CPU."""
    files = {part.weights for part in assets.parts.values()}
    weights = sum(prod(shape) for path in files for shape in read_shapes(path).values()) * dtype.itemsize
    latents = prod(layout.shape[-2:])
    pixels = latents * assets.facts.downscale**2
    canvas = 4 * CANVAS_MAPS * prod(layout.shape) + 4 * layout.regions.masks.numel()
    planes = 4 * pixels * (2 * len(layout.soft.regions) + 6)  # masks while they are blurred; pictures
    rows = batch * layout.guidance.rows_per_view(0) * row_bytes(layout, assets, dtype)
    return int(PROGRAM + weights + canvas + planes + max(rows, _decoder_bytes(pixels, assets, dtype)))


def _decoder_bytes(pixels: int, assets: Assets, dtype: torch.dtype) -> int:
    """Return the bytes of decoding, of the whole picture or of one tile."""
    config = read_config(assets.parts["vae"].config)
    widths = config.get("decoder_block_out_channels") or config["block_out_channels"]
    at_once = pixels if pixels <= WHOLE else TILE**2
    return int(DECODER_MAPS[config["_class_name"]] * min(widths) * at_once * dtype.itemsize)
