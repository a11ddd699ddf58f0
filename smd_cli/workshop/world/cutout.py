"""Things on white, cut out and laid over another ground: what a picture would show without the white."""

import numpy as np
import torch
from torch.nn import functional as F

GROUND_FROM = 226
"""From this level of its darkest channel on, a pixel that is connected with the border is ground."""

FRINGE = 3
"""Width, px, of the blend between a thing and the white around it."""

OPAQUE, CLEAR = 190, 240
"""In the fringe, a pixel whose darkest channel has the first level is thing, with the second ground."""

SOLID = 0.35
"""From this coverage on a pixel is part of something."""

SPECK = 11
"""Width, px, below which what stands alone is a speck."""


def coverage(picture: np.ndarray) -> np.ndarray:
    """Return how much of each pixel a thing on white covers, (H, W) float32, for pixels (H, W, 3) uint8.

    White inside a thing, such as an owl's eyes, is covered. What is as pale as the white is not found: clouds
    or white hair.
    """
    darkest = picture.min(axis=2)
    ground = connected_with_border(darkest >= GROUND_FROM)
    near = F.max_pool2d(torch.from_numpy(ground)[None].float(), 2 * FRINGE + 1, 1, FRINGE)[0].numpy() > 0
    blend = ((CLEAR - darkest.astype(np.float32)) / (CLEAR - OPAQUE)).clip(0, 1)
    return np.where(near, blend, np.float32(1))


def laid_over(picture: np.ndarray, covered: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Return a thing on white with a ground in place of the white: pixels (H, W, 3) uint8, all three.

    A pixel that shows a share a of a thing and 1 - a of white loses what the white has more than the ground.
    Where nothing is covered there is the ground, however white what is laid over it.
    """
    share = covered[..., None]
    missing = (1 - share) * (255 - ground.astype(np.float32))
    return np.where(share > 0, (picture - missing).clip(0, 255), ground).astype(np.uint8)


def without_specks(covered: np.ndarray) -> np.ndarray:
    """Return a coverage (H, W) without what is not connected with anything as wide as `SPECK`.

    A picture of nothing but specks stays as it is.
    """
    all_of = torch.from_numpy(covered)[None]
    solid = (all_of > SOLID).float()
    found = -F.max_pool2d(-solid, SPECK, 1, SPECK // 2)
    if not found.any():
        return covered
    before = torch.zeros_like(found)
    while not torch.equal(found, before):
        before, found = found, F.max_pool2d(found, SPECK, 1, SPECK // 2) * solid
    kept: np.ndarray = (all_of * F.max_pool2d(found, 2 * FRINGE + 1, 1, FRINGE))[0].numpy()
    return kept


def connected_with_border(mask: np.ndarray) -> np.ndarray:
    """Return the part of a mask (H, W) bool that is connected with its border through itself."""
    found = mask.copy()
    found[1:-1, 1:-1] = False
    before = -1
    while found.sum() > before:
        before = found.sum()
        for view, allowed in ((found, mask), (found.T, mask.T)):
            _sweep(view, allowed)
            _sweep(view[::-1], allowed[::-1])
    return found


def _sweep(found: np.ndarray, allowed: np.ndarray) -> None:
    """Spread `found` from each row to the next, within `allowed`, in place."""
    for above, below, free in zip(found, found[1:], allowed[1:], strict=False):
        below |= above & free
