"""Coupled views for transformers in which a picture and its prompts attend to one another, as one sequence.

A row's sequence holds the tokens of its picture and those of all its R prompts. A token of the picture
attends to all of the picture and to each prompt as much as it has of that; a token of a prompt attends to its
own prompt and to all of the picture, as it does where that prompt is alone, and to no other prompt. So one
layer makes of a prompt, and of a token that has one prompt alone, what it would make in a view of that prompt
alone; and what stands in several prompts alike counts once.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from math import prod

import torch
from torch import Tensor
from torch.nn.functional import pad

from smd_cli.core.coupling import Coupling
from smd_cli.core.guidance import ModelInput
from smd_cli.models.conditioning import Conditioning

Predict = Callable[[ModelInput, Conditioning], Tensor]


def by_prompts(predict: Predict, asked: ModelInput, conditioning: Conditioning) -> Tensor:
    """Predict for the rows that have the same number of prompts together: their sequences are as long.

    `predict` gets N rows with R prompts each, N·R in all, and no coupling where R is 1. So rows with one
    prompt are computed as if there were no others.
    """
    if asked.coupling is None:
        return predict(asked, conditioning)
    alike: dict[int, list[int]] = {}
    for row, prompts in groupby(asked.coupling.rows):
        alike.setdefault(len(list(prompts)), []).append(row)
    output = torch.empty_like(asked.latents)
    for count, rows in alike.items():
        part = asked.at(rows)
        if count == 1:
            part = replace(part, coupling=None)
        output[rows] = predict(part, conditioning.rows(asked.pairs(rows)))
    return output


def in_rows(of_prompts: Tensor, rows: int) -> Tensor:
    """Lay the tokens of prompts (N·R, L, ...) behind one another in their N `rows`, (N, R·L, ...)."""
    return of_prompts.reshape(rows, -1, *of_prompts.shape[2:])


def joint_bias(
    coupling: Coupling | None,
    conditioning: Conditioning,
    size: tuple[int, int],
    *,
    prompts_first: bool = False,
) -> Tensor | None:
    """Return what is added to the logits of N rows whose pictures have so many tokens by side.

    That is (N, 1, 1, S), of the prompts' counts alone, where none is coupled, and None where all count alike.
    A sequence begins with the tokens of its picture, or with `prompts_first`.
    """
    if coupling is not None:
        counts, dtype = conditioning.all_counts, conditioning.embeds.dtype
        return coupled_bias(coupling, counts, size, dtype, prompts_first=prompts_first)
    of_prompts, tokens = conditioning.attention_bias, prod(size)
    return None if of_prompts is None else pad(of_prompts, (0, tokens) if prompts_first else (tokens, 0))


def coupled_bias(
    coupling: Coupling,
    counts: Tensor,
    size: tuple[int, int],
    dtype: torch.dtype,
    *,
    fillers: int = 0,
    prompts_first: bool = False,
) -> Tensor:
    """Return what is added to the logits of N coupled rows, (N, 1, S, S): from tokens to tokens.

    S are the tokens of the picture, `size` of them by side, then `fillers`, which have as much of a prompt as
    the picture has on average, then the tokens of R prompts, each of which counts as `counts` (N·R, L) says;
    or these first. Shares are added as logarithms: as a token attends, they sum to one.
    """
    shares = coupling.shares_at(size).flatten(1).to(counts)  # (N·R, T)
    shares = torch.cat([shares, shares.mean(1, keepdim=True).expand(-1, fillers)], dim=1)
    rows, tokens, length = coupling.rows[-1] + 1, shares.shape[1], counts.shape[1]
    logs = counts.log().view(rows, -1, length)  # (N, R, L)
    prompts, text = logs.shape[1], logs[0].numel()
    picture_at, text_at = slice(tokens), slice(tokens, None)
    if prompts_first:
        picture_at, text_at = slice(text, None), slice(text)
    to_prompts = shares.log().view(rows, prompts, tokens).transpose(1, 2)[..., None] + logs[:, None]
    own = torch.eye(prompts, device=logs.device).log()[:, None, :, None] + logs[:, None, None]
    bias = counts.new_zeros(rows, 1, tokens + text, tokens + text, dtype=dtype)
    # filled in place: it is large
    bias[:, 0, picture_at, text_at].view(*to_prompts.shape).copy_(to_prompts)
    bias[:, 0, text_at, text_at].view(rows, prompts, length, prompts, length).copy_(own)
    return bias
