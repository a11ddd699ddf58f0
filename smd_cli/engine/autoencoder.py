"""Pictures to latents and back, by tiles with blended seams where they are large."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from smd_cli.core.tiling import Box, Tiling, tile_canvas
from smd_cli.engine.device import exclusive
from smd_cli.engine.encoder import Encoder
from smd_cli.engine.finite import infinity_as_nan
from smd_cli.models.backbone import Backbone
from smd_cli.models.facts import ModelFacts
from smd_cli.models.thrifty import memory_of

WHOLE = 1024 * 1024  # px: what is no larger goes through the autoencoder at once, unless memory is low
TILE = 512  # px
OVERLAP = 0.25  # of a tile


class _Piece(NamedTuple):
    """One tile: where it is read, where its result belongs, and with what weight (1, 1, h, w)."""

    source: Box
    target: Box
    weight: Tensor


def whole_pixels(memory: str) -> int:
    """Return how many pixels go through the autoencoder at once, of a picture that is no larger."""
    return TILE**2 if memory == "low" else WHOLE


def encode(encoder: Encoder, pixels: Tensor, *, wrap: bool = False, memory: str = "high") -> Tensor:
    """Encode pixels (1, 3, H, W) in [-1, 1] into scaled latents (1, C, h, w); `wrap` closes them sideways.

    `memory` is that which the model has been loaded for.
    """
    facts = encoder.facts
    height, width = (side // facts.downscale for side in pixels.shape[-2:])
    if not wrap and height * width * facts.downscale**2 <= whole_pixels(memory):
        with exclusive(pixels.device):
            return encoder.encode_image(pixels)
    tiling = _tiles(facts, height, width, wrap=wrap)
    pieces = (
        _Piece(_scaled(box, facts.downscale), box, weight[None, None])
        for box, weight in zip(tiling.boxes, tiling.weights.to(pixels.device), strict=True)
    )
    shape = (1, facts.latent_channels, height, width)
    return _by_pieces(pixels, shape, pieces, encoder.encode_image)


def decode(backbone: Backbone, latents: Tensor, *, wrap: bool = False, precise: bool = False) -> Tensor:
    """Decode scaled latents (1, C, h, w) into pixels (1, 3, H, W) in [-1, 1]; `wrap` closes them sideways.

    `precise` decodes in float32 whatever the model's dtype. What is not finite is NaN in the pixels.
    """

    def convert(part: Tensor) -> Tensor:
        part = infinity_as_nan(part)
        pixels = backbone.decode(part, precise=True) if precise else backbone.decode(part)
        return infinity_as_nan(pixels).clamp(-1, 1)

    downscale = backbone.facts.downscale
    height, width = latents.shape[-2:]
    if not wrap and height * width * downscale**2 <= whole_pixels(memory_of(backbone)):
        with exclusive(latents.device):
            return convert(latents)
    tiling = _tiles(backbone.facts, height, width, wrap=wrap)
    pieces = (
        _Piece(box, _scaled(box, downscale), _enlarged(weight, downscale))
        for box, weight in zip(tiling.boxes, tiling.weights.to(latents.device), strict=True)
    )
    return _by_pieces(latents, (1, 3, height * downscale, width * downscale), pieces, convert)


def _tiles(facts: ModelFacts, height: int, width: int, *, wrap: bool) -> Tiling:
    tile = TILE // facts.downscale
    return tile_canvas(height, width, min(tile, width) if wrap else tile, overlap=OVERLAP, wrap=wrap)


def _enlarged(weight: Tensor, factor: int) -> Tensor:
    """Enlarge weights (h, w) of latents to those of their pixels, (1, 1, H, W)."""
    return F.interpolate(weight[None, None], scale_factor=factor, mode="bilinear")


def _scaled(box: Box, factor: int) -> Box:
    return Box(*(edge * factor for edge in box))


def _by_pieces(
    source: Tensor, shape: tuple[int, ...], pieces: Iterable[_Piece], convert: Callable[[Tensor], Tensor]
) -> Tensor:
    """Convert a picture piece by piece into `shape` (1, C, H, W); the weights of what overlaps sum to 1."""
    total = torch.zeros(shape, device=source.device)
    for piece in pieces:
        with exclusive(source.device):
            converted = convert(piece.source.of(source))
        piece.target.add(total, piece.weight * converted.float())
    return total
