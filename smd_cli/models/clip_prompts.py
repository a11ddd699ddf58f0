"""Prompts through a CLIP text encoder: in chunks, with weights."""

from collections.abc import Callable, Sequence
from itertools import groupby
from math import pi, tan

import torch
from torch import Tensor

from smd_cli.models.chunks import Chunk
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.tokens import Tokenizer

Encode = Callable[[Tensor, Tensor | None], Tensor]
"""A text encoder: token numbers (M, T), and which of them it may attend to (M, T), to states (M, T, D)."""

FAINTEST = 1e-5
"""The least weight that the formula can take, in place of 0."""


def encode_prompts(prompts: Sequence[str], tokenizer: Tokenizer, encode: Encode) -> Conditioning:
    """Encode N prompts to N rows; the chunks of a prompt are encoded one by one and follow one another."""
    chunked = [tokenizer.chunks(prompt) for prompt in prompts]
    chunks = [chunk for of_prompt in chunked for chunk in of_prompt]
    states = encode(tokenizer.rows(chunks), None)
    weighted = [
        _weighted(state, chunk, tokenizer, encode) if any(weight != 1 for weight in chunk.weights) else state
        for state, chunk in zip(states, chunks, strict=True)
    ]
    of_each = torch.split(torch.stack(weighted), [len(of_prompt) for of_prompt in chunked])
    return Conditioning.joined([Conditioning(of_prompt.flatten(0, 1)[None]) for of_prompt in of_each])


def _weighted(states: Tensor, chunk: Chunk, tokenizer: Tokenizer, encode: Encode) -> Tensor:
    """Weight the states (T, D) of a chunk's tokens, as the library compel does.

    A token's states are scaled as seen from those of an empty prompt. That alone hardly weakens anything,
    because the tokens behind, and the end token above all, know the words too; so the result is averaged with
    the states of the chunk in which the encoder may not attend to words of a weight w below 1. Their share
    in the mean is tan((1 - w) pi/2) to 1: nothing at 1, half of it at 0.5, all of it at 0.
    """
    faint = [run for run in _runs(chunk.weights) if run[0] < 1]
    rows = tokenizer.rows([Chunk((), ()), *[chunk] * len(faint)])
    attended = torch.ones_like(rows)
    for row, (_, start, end) in zip(attended[1:], faint, strict=True):
        row[start:end] = 0
    empty, *without = encode(rows, attended).float()
    factors = torch.ones(len(empty), 1, device=empty.device)
    factors[1 : 1 + len(chunk.weights), 0] = torch.tensor(chunk.weights, device=empty.device)
    scaled = [
        torch.where(factors == 1, each, empty + (each - empty) * factors)
        for each in (states.float(), *without)
    ]
    shares = torch.tensor([1.0] + [tan((1 - max(weight, FAINTEST)) * pi / 2) for weight, *_ in faint])
    mean = torch.einsum("k,ktd->td", (shares / shares.sum()).to(empty.device), torch.stack(scaled))
    return mean.to(states)


def _runs(weights: Sequence[float]) -> list[tuple[float, int, int]]:
    """Return each run of equal weights: the weight, its first place in a row, and the one behind its last."""
    runs, at = [], 1  # behind the start token
    for weight, run in groupby(weights):
        count = len(list(run))
        runs.append((weight, at, at + count))
        at += count
    return runs
