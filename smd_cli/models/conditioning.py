"""Encoded prompts, as rows of one table that the core indexes without seeing."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar, overload

import torch
from torch import Tensor
from torch.nn.functional import pad

Text = TypeVar("Text", bound=Hashable)
Weights = Sequence[tuple[Text, float]]
"""A prompt: texts, each once, and their weights, which sum to 1. Most prompts are one text."""


@dataclass(frozen=True)
class _Rows(Sequence[Tensor]):
    """Rows (M,) of each of several tensors, which are copied one at a time: all of them are large."""

    tensors: Sequence[Tensor]
    at: Tensor

    def __len__(self) -> int:
        return len(self.tensors)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | Sequence[Tensor]:
        if isinstance(index, slice):
            return _Rows(self.tensors[index], self.at)
        return self.tensors[index][self.at]


@dataclass(frozen=True)
class Conditioning:
    """N encoded prompts.

    Attributes:
        embeds: (N, L, D), a vector a token; L is that of the longest prompt, and what others lack is 0.
        pooled: (N, P), a vector a prompt, for the families that take one.
        keys: the keys and values (N, L, K) that each cross-attention layer makes of them, once prepared.
        counts: (N, L), how much each vector counts in attention: 0 beyond a prompt's end, so that no prompt
            depends on the length of another, 1 within it; in a mix of texts of several lengths, the share of
            those that are that long. None: all count 1.
        loras: (N, A), on the CPU, the weight that each of a model's local LoRAs has for each prompt. None: 0.
    """

    embeds: Tensor
    pooled: Tensor | None = None
    keys: Sequence[Tensor] | None = None
    counts: Tensor | None = None
    loras: Tensor | None = None

    def __len__(self) -> int:
        return len(self.embeds)

    def rows(self, index: Tensor | Sequence[int]) -> "Conditioning":
        """Return the rows at `index` (M,), repeats allowed."""
        at = torch.as_tensor(index, device=self.embeds.device)
        pooled = None if self.pooled is None else self.pooled[at]
        keys = None if self.keys is None else _Rows(self.keys, at)
        counts = None if self.counts is None else self.counts[at]
        loras = None if self.loras is None else self.loras[at.cpu()]
        return Conditioning(self.embeds[at], pooled, keys, counts, loras)

    @staticmethod
    def joined(parts: Sequence["Conditioning"]) -> "Conditioning":
        """Concatenate encoded prompts."""
        pooled = [part.pooled for part in parts if part.pooled is not None]
        length = max(part.embeds.shape[1] for part in parts)
        padded = [_padded(part, length) for part in parts]
        counts = None
        if any(part.counts is not None for part in padded):
            counts = torch.cat([part.all_counts for part in padded])
        embeds = torch.cat([part.embeds for part in padded])
        return Conditioning(embeds, torch.cat(pooled) if pooled else None, counts=counts)

    def mixed(self, weights: Tensor) -> "Conditioning":
        """Return M weighted sums of the N rows; `weights` is (M, N). Rows have no say beyond their ends."""
        embeds, counts = self.embeds.float(), None
        at = weights.to(embeds.device)
        if self.counts is None:
            embeds = torch.einsum("mn,nld->mld", at, embeds)
        else:
            counts = at @ self.counts
            embeds = torch.einsum("mn,nl,nld->mld", at, self.counts, embeds)
            embeds = embeds / torch.where(counts > 0, counts, 1.0)[..., None]
        pooled = None if self.pooled is None else (at @ self.pooled.float()).to(self.pooled)
        return Conditioning(embeds.to(self.embeds), pooled, counts=counts)

    @property
    def all_counts(self) -> Tensor:
        """Return the counts (N, L), in float32."""
        if self.counts is not None:
            return self.counts
        return self.embeds.new_ones(self.embeds.shape[:2], dtype=torch.float32)

    @property
    def attention_bias(self) -> Tensor | None:
        """Return what counts add to the logits of attention, (N, 1, 1, L), or None where all count alike."""
        return None if self.counts is None else self.counts.log()[:, None, None].to(self.embeds.dtype)


def _padded(part: Conditioning, length: int) -> Conditioning:
    """Return encoded prompts at a length, with vectors at the end that do not count."""
    missing = length - part.embeds.shape[1]
    if missing == 0:
        return part
    counts = pad(part.all_counts, (0, missing))
    return Conditioning(pad(part.embeds, (0, 0, 0, missing)), part.pooled, counts=counts)


def prompt_table(
    encode: Callable[[list[Text]], Conditioning], prompts: Sequence[Weights[Text]]
) -> Conditioning:
    """Encode prompts, a row for each: a text, or a weighted mix of several. Each text is encoded once."""
    mixes = [dict(prompt) for prompt in prompts]
    texts = list(dict.fromkeys(text for mix in mixes for text in mix))
    weights = torch.tensor([[mix.get(text, 0.0) for text in texts] for mix in mixes])
    return encode(texts).mixed(weights)
