"""The stochastic similarity filter: input frames that hardly differ are skipped, by chance.

Kodaira et al., arXiv 2312.12491, section 3.4: the nearer a frame is to the last one that passed, the likelier
it is skipped. Chance keeps slow changes from being missed for ever.
"""

import random

import torch
from torch import Tensor


class SimilarityFilter:
    """Decides, frame by frame, which ones pass; `seed` and the frames decide alone.

    A frame whose cosine similarity to the last one that passed is `threshold` or less always passes, and so
    does the one after `max_skip` skipped ones.
    """

    def __init__(self, threshold: float, max_skip: int, seed: int) -> None:
        self.threshold = threshold
        self.max_skip = max_skip
        self._random = random.Random(seed)  # noqa: S311 - chance that can be repeated
        self._last: Tensor | None = None
        self._skipped = 0

    def passes(self, pixels: Tensor, *, anyway: bool = False) -> bool:
        """Tell whether a frame (..., H, W) in [-1, 1] is worth painting; `anyway`: whatever it shows."""
        chance = self._random.random()  # one draw a frame, whatever becomes of it
        if self._last is not None and self._skipped < self.max_skip and not anyway:
            similarity = float(torch.cosine_similarity(self._last.flatten(), pixels.flatten(), dim=0))
            if chance < (similarity - self.threshold) / (1 - self.threshold):
                self._skipped += 1
                return False
        self._last, self._skipped = pixels, 0
        return True
