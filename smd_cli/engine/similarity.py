"""The stochastic similarity filter: input frames that hardly differ are skipped, by chance.

Kodaira et al., arXiv 2312.12491, section 3.4: the more a frame is like the last one that passed, the likelier
it is skipped. Chance keeps slow changes from being missed for ever. Published is the cosine between the two
frames' values, which does not see brightness: a frame times any number is wholly like it.
"""

import random
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from smd_cli.scene.stream_section import Measure, Similarity

_BLACK_TO_WHITE = 2.0  # of values in [-1, 1]


def rms_likeness(one: Tensor, other: Tensor) -> float:
    """Return 1 less the root mean square of two frames' differences: 0 for black and white."""
    return 1 - float((one - other).square().mean().sqrt()) / _BLACK_TO_WHITE


def cosine_likeness(one: Tensor, other: Tensor) -> float:
    """Return the cosine of the angle between two frames' values."""
    return float(torch.cosine_similarity(one.flatten(), other.flatten(), dim=0))


_MEASURES: Mapping[Measure, Callable[[Tensor, Tensor], float]] = {
    "rms": rms_likeness,
    "cosine": cosine_likeness,
}


class SimilarityFilter:
    """Decides, frame by frame, which ones pass; `seed` and the frames decide alone.

    A frame whose likeness to the last one that passed is the threshold or less always passes, and so does the
    one after `max_skip` skipped ones.
    """

    def __init__(self, settings: Similarity, seed: int) -> None:
        self._settings = settings
        self._likeness = _MEASURES[settings.measure]
        self._random = random.Random(seed)  # noqa: S311 - chance that can be repeated
        self._last: Tensor | None = None
        self._skipped = 0

    def passes(self, pixels: Tensor, *, anyway: bool = False) -> bool:
        """Tell whether a frame (..., H, W) in [-1, 1] is worth painting; `anyway`: whatever it shows."""
        chance = self._random.random()  # one draw a frame, whatever becomes of it
        if self._last is not None and self._skipped < self._settings.max_skip and not anyway:
            threshold = self._settings.threshold
            if chance < (self._likeness(self._last, pixels) - threshold) / (1 - threshold):
                self._skipped += 1
                return False
        self._last, self._skipped = pixels, 0
        return True
