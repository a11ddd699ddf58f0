"""Structural similarity, against scikit-image and against the formula window by window."""

import numpy as np
import pytest
from PIL import Image

from smd_cli.app.verification.ssim import ssim

SCIKIT_IMAGE = [
    ((40, 60, 3), 0.495426860170),
    ((11, 11, 3), 0.541588096428),
    ((530, 24, 3), 0.505850311734),
    ((33, 20, 1), 0.481804928746),
]


def waves(height: int, width: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture of waves, and the same with noise."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [127 + 80 * np.sin(x / (5 + each)) * np.cos(y / (7 - each)) for each in range(channels)]
    clean = np.stack(planes, -1)
    noisy = clean + (np.arange(clean.size).reshape(clean.shape) * 7919 % 101 - 50) * 0.7
    return tuple(np.clip(each, 0, 255).astype(np.uint8).squeeze() for each in (clean, noisy))


def by_definition(one: np.ndarray, other: np.ndarray) -> float:
    """Equation 13, for every window of 11x11 px of a picture of one channel."""
    reach = np.arange(11) - 5
    weights = np.exp(-(reach[:, None] ** 2 + reach[None, :] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    found = []
    for top in range(one.shape[0] - 10):
        for left in range(one.shape[1] - 10):
            x, y = (each[top : top + 11, left : left + 11].astype(float) for each in (one, other))
            mx, my = (weights * x).sum(), (weights * y).sum()
            vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
            cov = (weights * (x - mx) * (y - my)).sum()
            found.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return float(np.mean(found))


@pytest.mark.parametrize(("size", "expected"), SCIKIT_IMAGE)
def test_it_is_what_scikit_image_finds(size, expected):
    """`structural_similarity` of 0.26.0, with gaussian weights, sigma 1.5 and no sample covariance."""
    one, other = map(Image.fromarray, waves(*size))
    assert ssim(one, other) == pytest.approx(expected, abs=1e-9)


def test_it_is_the_formula():
    one, other = waves(19, 26, 1)
    assert ssim(*map(Image.fromarray, (one, other))) == pytest.approx(by_definition(one, other), abs=1e-9)


def test_equal_pictures_are_alike_and_opposite_ones_are_not():
    one = Image.fromarray(waves(40, 30, 3)[0])
    assert ssim(one, one) == pytest.approx(1)
    assert ssim(one, one.point(lambda level: 255 - level)) < 0


@pytest.mark.parametrize("size", [(1, 1), (8, 40), (40, 5)])
def test_pictures_that_are_smaller_than_a_window_have_a_similarity(size):
    one = Image.linear_gradient("L").resize(size).convert("RGB")
    assert ssim(one, one) == pytest.approx(1)
    assert ssim(one, one.point(lambda level: level // 2)) < 1


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match="cannot be compared"):
        ssim(Image.new("RGB", (8, 8)), Image.new("RGB", (8, 9)))
