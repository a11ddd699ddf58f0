"""Encoded prompts, as rows of one table that the core indexes without seeing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Conditioning:
    """N encoded prompts.

    Attributes:
        embeds: (N, L, D), a vector a token.
        pooled: (N, P), a vector a prompt, for the families that take one.
    """

    embeds: Tensor
    pooled: Tensor | None = None

    def __len__(self) -> int:
        return len(self.embeds)

    def rows(self, index: Tensor | Sequence[int]) -> "Conditioning":
        """The rows at `index` (M,), repeats allowed."""
        at = torch.as_tensor(index, device=self.embeds.device)
        return Conditioning(self.embeds[at], None if self.pooled is None else self.pooled[at])

    def lerp(self, other: "Conditioning", weight: Tensor) -> "Conditioning":
        """Towards `other` by `weight` (N,): 0 keeps this, 1 gives `other`."""
        weight = weight.to(self.embeds)
        embeds = self.embeds.lerp(other.embeds, weight[:, None, None])
        if self.pooled is None or other.pooled is None:
            return Conditioning(embeds)
        return Conditioning(embeds, self.pooled.lerp(other.pooled, weight[:, None].to(self.pooled)))


@dataclass(frozen=True)
class Prompt:
    """What to show and what to avoid."""

    positive: str
    negative: str = ""


def prompt_table(
    encode: Callable[[list[str]], Conditioning],
    regions: Sequence[Prompt],
    background: Prompt,
    strengths: Sequence[float],
) -> Conditioning:
    """Table (2P rows) of P regions: rows 0..P-1 their positive prompts, rows P..2P-1 their negatives.

    Each row lies between the background's prompt and its region's: lerp(background, region, strength), for
    the negatives too (Lee et al., 2403.09055, prompt strength). A text that occurs twice is encoded once.
    """
    texts = [prompt.positive for prompt in regions] + [prompt.negative for prompt in regions]
    behind = [background.positive] * len(regions) + [background.negative] * len(regions)
    unique = list(dict.fromkeys([*texts, *behind]))
    encoded = encode(unique)
    own, base = (encoded.rows([unique.index(text) for text in column]) for column in (texts, behind))
    return base.lerp(own, torch.tensor([*strengths, *strengths]))
