"""The model as the core sees it, and classifier-free guidance around it."""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor


class Predict(Protocol):
    """One evaluation of the model for N independent rows."""

    def __call__(self, latents: Tensor, timesteps: Tensor, prompts: Tensor) -> Tensor:
        """Predict for latents (N, C, h, w) at timesteps (N,) under prompts (N,); return (N, C, h, w).

        `prompts` are rows of a conditioning table: 0..P-1 the regions' positives in order, P..2P-1 their
        negatives.
        """
        ...


@dataclass(frozen=True)
class Guidance:
    """How far predictions are pushed away from the negative prompt (Ho and Salimans, arXiv 2207.12598)."""

    kind: Literal["none", "full"] = "none"
    scale: float = 1.0

    @property
    def rows_per_view(self) -> int:
        """Model rows that one view takes; a scale of 1 cancels the negative, which is then left out."""
        return 2 if self.kind == "full" and self.scale != 1 else 1


def guided(
    predict: Predict, guidance: Guidance, latents: Tensor, timesteps: Tensor, prompts: tuple[Tensor, Tensor]
) -> Tensor:
    """Predict for latents (N, C, h, w) at timesteps (N,) under positive and negative prompts, (N,) each."""
    positive, negative = prompts
    if guidance.rows_per_view == 1:
        return predict(latents, timesteps, positive)
    both = predict(latents.repeat(2, 1, 1, 1), timesteps.repeat(2), torch.cat([positive, negative]))
    toward, away = both.chunk(2)
    return away + guidance.scale * (toward - away)
