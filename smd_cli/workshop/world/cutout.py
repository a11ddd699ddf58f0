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
    """
    missing = (1 - covered[..., None]) * (255 - ground.astype(np.float32))
    return (picture - missing).clip(0, 255).astype(np.uint8)


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
