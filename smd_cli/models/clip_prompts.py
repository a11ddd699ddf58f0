"""Prompts through CLIP text encoders: in chunks, with weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from math import pi, tan
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from smd_cli.models.assets import Assets
from smd_cli.models.chunks import Chunk
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.learned_words import learn_words
from smd_cli.models.tokens import Tokenizer

FAINTEST = 1e-5
"""The least weight that the formula can take, in place of 0."""

EMPTY = Chunk((), ())

Layer = Literal["last", "last but one"]
"""What is read of a text encoder: its last layer's states, normalised, or those before it, as they are."""


class Encoded(NamedTuple):
    """Chunks as an encoder knows them: a vector a token (M, T, D), and one a chunk (M, P), P 0 for none."""

    states: Tensor
    pooled: Tensor

    @staticmethod
    def stacked(each: Sequence[Encoded]) -> Encoded:
        """Put single chunks, (T, D) and (P,), together."""
        return Encoded(*(torch.stack(tensors) for tensors in zip(*each, strict=True)))

    def mean(self, shares: Tensor) -> Encoded:
        """Return the mean of M chunks, (T, D) and (P,), in float32; `shares` (M,) sum to 1."""
        states = torch.einsum("m,mtd->td", shares, self.states.float())
        return Encoded(states, shares @ self.pooled.float())

    def to(self, other: Encoded) -> Encoded:
        """Return it in the dtype of another."""
        return Encoded(self.states.to(other.states), self.pooled.to(other.pooled))


@dataclass(frozen=True)
class ClipEncoder:
    """A text encoder of CLIP and its tokenizer.

    Attributes:
        tokenizer: its own, at its length.
        network: transformers' CLIPTextModel, or CLIPTextModelWithProjection, which has a vector a chunk too:
            what it projects at the end of the text.
        device: where it computes.
        layer: what is read of it.
    """

    tokenizer: Tokenizer
    network: Any  # transformers has no types
    device: torch.device
    layer: Layer = "last"

    @classmethod
    def of(
        cls,
        networks: Mapping[str, Any],
        assets: Assets,
        component: str,
        device: torch.device,
        layer: Layer = "last",
    ) -> ClipEncoder:
        """Make that of a component from a model's networks; its network learns the words of the assets.

        Raises AssetError: the tokenizer or a textual inversion cannot be read.
        """
        network = networks[component]
        learned = learn_words(network, component, assets.textual_inversions)
        folder = assets.configs / str(assets.family.components[component].tokenizer)
        length = network.config.max_position_embeddings
        return cls(Tokenizer.load(folder, length, learned), network, device, layer)

    def encode(self, chunks: Sequence[Chunk]) -> Encoded:
        """Encode M chunks, each by itself."""
        plain = self._encode(chunks)
        if all(weight == 1 for chunk in chunks for weight in chunk.weights):
            return plain
        each = [Encoded(*tensors) for tensors in zip(*plain, strict=True)]
        return Encoded.stacked(
            [
                self._weighted(one, chunk) if any(weight != 1 for weight in chunk.weights) else one
                for one, chunk in zip(each, chunks, strict=True)
            ]
        )

    def _encode(self, chunks: Sequence[Chunk], attended: Tensor | None = None) -> Encoded:
        """Encode chunks that may attend to some of their tokens (M, T) only."""
        mask = None if attended is None else attended.to(self.device)
        found = self.network(self.tokenizer.rows(chunks).to(self.device), mask, output_hidden_states=True)
        last: Tensor = found.last_hidden_state
        states = last if self.layer == "last" else found.hidden_states[-2]
        if not hasattr(self.network, "text_projection"):
            return Encoded(states, states.new_empty(len(chunks), 0))
        # transformers may look for the end where the largest number is, which is a learned word's
        ends = torch.tensor([1 + len(chunk.tokens) for chunk in chunks], device=self.device)
        ended = last[torch.arange(len(chunks), device=self.device), ends]
        return Encoded(states, self.network.text_projection(ended))

    def _weighted(self, plain: Encoded, chunk: Chunk) -> Encoded:
        """Weight the states of a chunk's tokens, as the library compel does.

        A token's states are scaled as seen from those of an empty prompt. That alone hardly weakens anything,
        because the tokens behind, and the end token above all, know the words too; so the result is averaged
        with the states of the chunk in which the encoder may not attend to words of a weight w below 1. Their
        share in the mean is tan((1 - w) pi/2) to 1: nothing at 1, half of it at 0.5, all of it at 0. So is
        the chunk's own vector, which no scaling reaches.
        """
        faint = [run for run in _runs(chunk.weights) if run[0] < 1]
        chunks = [EMPTY, *[chunk] * len(faint)]
        attended = torch.ones(len(chunks), self.tokenizer.chunks.length, dtype=torch.long)
        for row, (_, start, end) in zip(attended[1:], faint, strict=True):
            row[start:end] = 0
        encoded = self._encode(chunks, attended)
        empty = encoded.states[0].float()
        factors = torch.ones(len(empty), 1, device=empty.device)
        factors[1 : 1 + len(chunk.weights), 0] = torch.tensor(chunk.weights, device=empty.device)
        states = torch.cat([plain.states[None], encoded.states[1:]]).float()
        scaled = torch.where(factors == 1, states, empty + (states - empty) * factors)
        pooled = torch.cat([plain.pooled[None], encoded.pooled[1:]])
        shares = torch.tensor([1.0] + [tan((1 - max(weight, FAINTEST)) * pi / 2) for weight, *_ in faint])
        return Encoded(scaled, pooled).mean((shares / shares.sum()).to(empty.device)).to(plain)


def encode_prompts(prompts: Sequence[str], encoders: Sequence[ClipEncoder]) -> Conditioning:
    """Encode N prompts to N rows; what several encoders make of them lies side by side.

    The chunks of a prompt follow one another; its pooled vector is that of the first.
    """
    chunked = [_as_many([encoder.tokenizer.chunks(prompt) for encoder in encoders]) for prompt in prompts]
    counts = [len(of_prompt[0]) for of_prompt in chunked]
    encoded = [
        encoder.encode([chunk for of_prompt in chunked for chunk in of_prompt[place]])
        for place, encoder in enumerate(encoders)
    ]
    states = torch.cat([each.states for each in encoded], dim=-1)
    pooled = torch.cat([each.pooled for each in encoded], dim=-1)
    rows = [Conditioning(of_prompt.flatten(0, 1)[None]) for of_prompt in torch.split(states, counts)]
    firsts = [0, *accumulate(counts[:-1])]
    return replace(Conditioning.joined(rows), pooled=pooled[firsts] if pooled.shape[1] else None)


def _as_many(of_encoders: Sequence[tuple[Chunk, ...]]) -> list[tuple[Chunk, ...]]:
    """Return the chunks of a prompt for each encoder, empty ones where others have more."""
    most = max(map(len, of_encoders))
    return [chunks + (EMPTY,) * (most - len(chunks)) for chunks in of_encoders]


def _runs(weights: Sequence[float]) -> list[tuple[float, int, int]]:
    """Return each run of equal weights: the weight, its first place in a row, and the one behind its last."""
    runs, at = [], 1  # behind the start token
    for weight, run in groupby(weights):
        count = len(list(run))
        runs.append((weight, at, at + count))
        at += count
    return runs
