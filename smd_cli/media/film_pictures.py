"""A decoded frame of a film as a picture: upright, of square pixels, on white."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

from PIL import Image

from smd_cli.media.images import check_size
from smd_cli.media.pixels import on_white

if TYPE_CHECKING:
    from av import VideoFrame
    from av.buffer import Buffer

_TURNS: Mapping[tuple[int, ...], Image.Transpose] = {
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}
"""What a display matrix asks for: where it takes (1, 0) and (0, 1), with y downwards."""


def frame_picture(frame: VideoFrame, aspect: Fraction | None, path: Path) -> Image.Image:
    """Return a frame as RGB, upright; `aspect` is the width of its pixels over their height.

    Raises AssetError: it is larger than any picture may be.
    """
    width, height = frame.width, frame.height
    if aspect and aspect > 1:
        width = round(width * aspect)
    elif aspect:
        height = round(height / aspect)
    check_size(path, (width, height))
    channels = "rgba" if any(part.is_alpha for part in frame.format.components) else "rgb24"
    pixels = frame.to_ndarray(format=channels, width=width, height=height, interpolation="BICUBIC")
    image, turn = on_white(Image.fromarray(pixels)), _turn(frame)
    return image if turn is None else image.transpose(turn)


def _turn(frame: VideoFrame) -> Image.Transpose | None:
    """Return how a frame is to be turned or mirrored; None: it is upright, or turned by no quarter."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return None
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(cast("Buffer", matrix)))
    most = max(map(abs, (a, b, c, d))) or 1
    return _TURNS.get(tuple(round(value / most) for value in (a, b, c, d)))
