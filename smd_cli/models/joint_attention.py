"""Joint attention of pictures and prompts, whose vectors count as often as `Conditioning` says."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smd_cli.models.conditioning import Conditioning

Attention = Any  # diffusers has no types


class CountedJointAttention:
    """A processor of diffusers' joint attention layers; what is `now` attended to is each thread's own."""

    def __init__(self, now: "_Counts") -> None:
        self.now = now

    def __call__(
        self, attention: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor, **_: object
    ) -> tuple[Tensor, Tensor]:
        """Let pictures (N, T, C) and prompts (N, L, C) attend to both."""
        of_picture = _heads(attention, hidden_states, ("to_q", "to_k", "to_v"), ("norm_q", "norm_k"))
        of_prompt = _heads(
            attention,
            encoder_hidden_states,
            ("add_q_proj", "add_k_proj", "add_v_proj"),
            ("norm_added_q", "norm_added_k"),
        )
        query, key, value = (torch.cat(pair, dim=2) for pair in zip(of_picture, of_prompt, strict=True))
        tokens, bias = hidden_states.shape[1], self.now.bias
        mask = None if bias is None else F.pad(bias, (tokens, 0))
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)
        picture, prompt = found[:, :tokens], found[:, tokens:]
        to_output, dropout = attention.to_out
        return dropout(to_output(picture)), prompt if attention.context_pre_only else attention.to_add_out(
            prompt
        )


def _heads(
    attention: Attention, states: Tensor, layers: tuple[str, ...], norms: tuple[str, str]
) -> list[Tensor]:
    """Make queries, keys and values (N, heads, T, D), the first two normalised where the model does so."""
    made = [
        getattr(attention, name)(states).unflatten(-1, (attention.heads, -1)).transpose(1, 2)
        for name in layers
    ]
    for place, name in enumerate(norms):
        if (norm := getattr(attention, name)) is not None:
            made[place] = norm(made[place])
    return made


class _Counts(local):
    """What this thread's evaluation adds to the logits of a prompt's vectors, (N, 1, 1, L)."""

    bias: Tensor | None = None


class JointAttention:
    """The joint attention layers of a transformer."""

    def __init__(self, transformer: nn.Module) -> None:
        self._now = _Counts()
        for name, module in transformer.named_modules():
            if name.endswith(".attn"):
                module.set_processor(CountedJointAttention(self._now))

    @contextmanager
    def use(self, conditioning: Conditioning) -> Iterator[None]:
        """Let the layers count the vectors of `conditioning` as it says."""
        self._now.bias = conditioning.attention_bias
        try:
            yield
        finally:
            self._now.bias = None
