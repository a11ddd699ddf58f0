"""A text encoder of transformers: chunks of prompts, each encoded by itself, with weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import pi, tan
from typing import Any, NamedTuple

import torch
from torch import Tensor

from smd_cli.models.chunks import Chunk
from smd_cli.models.tokens import Tokenizer

FAINTEST = 1e-5
"""The least weight that the formula can take, in place of 0."""

EMPTY = Chunk((), ())


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
class TextEncoder(ABC):
    """A text encoder and its tokenizer.

    Attributes:
        tokenizer: its own, at its length.
        network: of transformers.
        device: where it computes.
    """

    tokenizer: Tokenizer
    network: Any  # transformers has no types
    device: torch.device

    @abstractmethod
    def encode_attending(self, chunks: Sequence[Chunk], attended: Tensor | None = None) -> Encoded:
        """Encode M chunks without their weights, which may attend to some of their tokens (M, T) only."""

    def encode(self, chunks: Sequence[Chunk]) -> Encoded:
        """Encode M chunks, each by itself."""
        plain = self.encode_attending(chunks)
        if all(weight == 1 for chunk in chunks for weight in chunk.weights):
            return plain
        each = [Encoded(*tensors) for tensors in zip(*plain, strict=True)]
        return Encoded.stacked(
            [
                self._weighted(one, chunk) if any(weight != 1 for weight in chunk.weights) else one
                for one, chunk in zip(each, chunks, strict=True)
            ]
        )

    def _weighted(self, plain: Encoded, chunk: Chunk) -> Encoded:
        """Weight the states of a chunk's tokens, as the library compel does.

        A token's states are scaled as seen from those of an empty prompt. That alone hardly weakens anything,
        because the tokens behind, and the end token above all, know the words too; so the result is averaged
        with the states of the chunk in which the encoder may not attend to words of a weight w below 1. Their
        share in the mean is tan((1 - w) pi/2) to 1: nothing at 1, half of it at 0.5, all of it at 0. So is
        the chunk's own vector, which no scaling reaches.
        """
        begin = self.tokenizer.begin
        faint = [run for run in _runs(chunk.weights, begin) if run[0] < 1]
        chunks = [EMPTY, *[chunk] * len(faint)]
        attended = torch.ones(len(chunks), self.tokenizer.chunks.length, dtype=torch.long)
        for row, (_, start, end) in zip(attended[1:], faint, strict=True):
            row[start:end] = 0
        encoded = self.encode_attending(chunks, attended)
        empty = encoded.states[0].float()
        factors = torch.ones(len(empty), 1, device=empty.device)
        factors[begin : begin + len(chunk.weights), 0] = torch.tensor(chunk.weights, device=empty.device)
        states = torch.cat([plain.states[None], encoded.states[1:]]).float()
        scaled = torch.where(factors == 1, states, empty + (states - empty) * factors)
        pooled = torch.cat([plain.pooled[None], encoded.pooled[1:]])
        shares = torch.tensor([1.0] + [tan((1 - max(weight, FAINTEST)) * pi / 2) for weight, *_ in faint])
        return Encoded(scaled, pooled).mean((shares / shares.sum()).to(empty.device)).to(plain)


def _runs(weights: Sequence[float], at: int) -> list[tuple[float, int, int]]:
    """Return each run of equal weights, from `at` on: weight, first place, and the one behind the last."""
    runs = []
    for weight, run in groupby(weights):
        count = len(list(run))
        runs.append((weight, at, at + count))
        at += count
    return runs
