"""A coarse copy of a picture's latents, small enough to record, and how similar two of them are.

Another device, precision or version of torch moves the pixels of a few-step model here and there by many
levels; what the picture is of, and so the mean of its latents over small squares, stays. Knows no torch.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from hashlib import sha256
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from smd_cli.media.recipe import LATENT_VALUES

if TYPE_CHECKING:
    from torch import Tensor

_TEXT = re.compile(r"([1-9][0-9]{0,3})x([1-9][0-9]{0,3})x([1-9][0-9]{0,3}):([A-Za-z0-9+/]+={0,2})")
_TYPE = np.dtype("<f2")


def latent_digest(latents: Tensor) -> str:
    """Return the SHA-256 of latents (1, C, h, w), float32 on the CPU.

    They are taken in little-endian order, channel by channel, row by row.
    """
    return sha256(latents.numpy().astype("<f4").tobytes()).hexdigest()


def coarse_text(latents: NDArray[np.float32]) -> str:
    """Return the coarse copy of latents (C, h, w): `4x16x12:` and float16 in base64, in order.

    It holds means over the smallest squares that make LATENT_VALUES at most; of a model of more channels than
    that, one a channel.
    """
    channels, height, width = latents.shape
    side = next(
        side
        for side in range(1, max(height, width) + 1)
        if channels * ceil(height / side) * ceil(width / side) <= LATENT_VALUES or side >= max(height, width)
    )
    means = _means(_means(latents.astype(np.float64), side, axis=1), side, axis=2)
    data = means.astype(_TYPE)
    return f"{'x'.join(map(str, data.shape))}:{b64encode(data.tobytes()).decode()}"


def cosine_similarity(recorded: str, now: str) -> float:
    """Return the cosine of the angle between two coarse copies, from -1 to 1; 1: they are alike.

    Raises ValueError: one is no coarse copy, or they are of different shapes.
    """
    if recorded == now:
        return 1.0
    one, other = _values(recorded), _values(now)
    if one.shape != other.shape:
        raise ValueError(f"latents of {_shape(one)} cannot be compared with {_shape(other)}")
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.vdot(one, other)) / lengths if lengths else 0.0


def _means(values: NDArray[np.float64], side: int, axis: int) -> NDArray[np.float64]:
    """Return the means of every `side` values along an axis; the last one is of what is left."""
    starts = np.arange(0, values.shape[axis], side)
    counts = np.diff(starts, append=values.shape[axis])
    sums = np.add.reduceat(values, starts, axis=axis)
    return np.asarray(sums / counts.reshape([-1 if each == axis else 1 for each in range(values.ndim)]))


def _values(text: str) -> NDArray[np.float64]:
    """Read a coarse copy. Raises ValueError: it is damaged."""
    found = _TEXT.fullmatch(text)
    try:
        if found:
            data = np.frombuffer(b64decode(found[4], validate=True), _TYPE)
            values = data.reshape(tuple(map(int, found.groups()[:3]))).astype(np.float64)
            if np.isfinite(values).all():
                return np.asarray(values)
    except ValueError:  # of padding, or another number of values
        pass
    raise ValueError("the coarse copy of the latents is damaged")


def _shape(values: NDArray[np.float64]) -> str:
    return "x".join(map(str, values.shape))
