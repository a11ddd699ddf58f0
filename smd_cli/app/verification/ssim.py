"""The structural similarity of pictures. Knows no torch.

Source: Wang, Bovik, Sheikh and Simoncelli, Image quality assessment: from error visibility to structural
similarity, IEEE Transactions on Image Processing 13(4), 2004.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

_WINDOW = 11  # px; section III.B
_SIGMA = 1.5
_C1, _C2 = ((k * 255) ** 2 for k in (0.01, 0.03))
_ROWS = 256  # of a band: pictures of a hundred megapixels have to fit


def ssim(one: Image.Image, other: Image.Image) -> float:
    """Return the mean structural similarity of two pictures over all channels, from -1 to 1 (equal).

    Windows lie inside the picture; along a side that is shorter than one, they are as long as that.

    Raises ValueError: their sizes or modes differ.
    """
    if (one.size, one.mode) != (other.size, other.mode):
        raise ValueError(f"{one.mode} {one.size} cannot be compared with {other.mode} {other.size}")
    before, after = (np.atleast_3d(np.asarray(each)) for each in (one, other))
    height = before.shape[0] - len(_window(before.shape[0])) + 1  # of the map
    total = np.float64(0)
    for top in range(0, height, _ROWS):
        rows = min(_ROWS, height - top)
        band = slice(top, top + rows + len(_window(before.shape[0])) - 1)
        total += _map(before[band].astype(np.float64), after[band].astype(np.float64)).mean() * rows
    return float(total / height)


def _map(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the similarity of each pair of windows, equation 13."""
    mean_x, mean_y = _blurred(x), _blurred(y)
    variance_x, variance_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    similar = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return np.asarray(similar / ((mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2)))


def _blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weighted means over the windows (rows, columns, channels) that lie inside."""
    for axis in (0, 1):
        window = _window(values.shape[axis])
        values = np.asarray(sliding_window_view(values, len(window), axis) @ window)
    return values


def _window(side: int) -> NDArray[np.float64]:
    """Return the weights of a window along a side of a picture, px."""
    length = min(_WINDOW, side)
    weights = np.exp(-((np.arange(length) - (length - 1) / 2) ** 2) / (2 * _SIGMA**2))
    return np.asarray(weights / weights.sum())
