"""Encoded prompts, as rows of one table that the core indexes without seeing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Weights = Sequence[tuple[str, float]]
"""A prompt: texts, each once, and their weights, which sum to 1. Most prompts are one text."""


@dataclass(frozen=True)
class Conditioning:
    """N encoded prompts.

    Attributes:
        embeds: (N, L, D), a vector a token.
        pooled: (N, P), a vector a prompt, for the families that take one.
        keys: the keys and values (N, L, K) that each cross-attention layer makes of them, once prepared.
    """

    embeds: Tensor
    pooled: Tensor | None = None
    keys: tuple[Tensor, ...] | None = None

    def __len__(self) -> int:
        return len(self.embeds)

    def rows(self, index: Tensor | Sequence[int]) -> "Conditioning":
        """Return the rows at `index` (M,), repeats allowed."""
        at = torch.as_tensor(index, device=self.embeds.device)
        pooled = None if self.pooled is None else self.pooled[at]
        keys = None if self.keys is None else tuple(of_layer[at] for of_layer in self.keys)
        return Conditioning(self.embeds[at], pooled, keys)

    @staticmethod
    def joined(parts: Sequence["Conditioning"]) -> "Conditioning":
        """Concatenate encoded prompts."""
        pooled = [part.pooled for part in parts if part.pooled is not None]
        return Conditioning(torch.cat([part.embeds for part in parts]), torch.cat(pooled) if pooled else None)

    def mixed(self, weights: Tensor) -> "Conditioning":
        """Return M weighted sums of the N rows; `weights` is (M, N)."""
        embeds = torch.einsum("mn,nld->mld", weights.to(self.embeds.device), self.embeds.float())
        if self.pooled is None:
            return Conditioning(embeds.to(self.embeds))
        pooled = weights.to(self.pooled.device) @ self.pooled.float()
        return Conditioning(embeds.to(self.embeds), pooled.to(self.pooled))


def prompt_table(encode: Callable[[list[str]], Conditioning], prompts: Sequence[Weights]) -> Conditioning:
    """Encode prompts, a row for each: a text, or a weighted mix of several. Each text is encoded once."""
    mixes = [dict(prompt) for prompt in prompts]
    texts = list(dict.fromkeys(text for mix in mixes for text in mix))
    weights = torch.tensor([[mix.get(text, 0.0) for text in texts] for mix in mixes])
    return encode(texts).mixed(weights)
