"""Joint attention of pictures and prompts, with a bias that says how much each attends to what."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Attention = Any  # diffusers has no types


class BiasedJointAttention:
    """A processor of diffusers' joint attention layers; what is added `now` is each thread's own."""

    def __init__(self, now: "_Bias") -> None:
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
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=self.now.bias)
        found, tokens = found.transpose(1, 2).flatten(2), hidden_states.shape[1]
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


class _Bias(local):
    """What this thread's evaluation adds to the logits, (N, 1, 1 or T + L, T + L)."""

    bias: Tensor | None = None


class JointAttention:
    """The joint attention layers of a transformer."""

    def __init__(self, transformer: nn.Module) -> None:
        self._now = _Bias()
        for name, module in transformer.named_modules():
            if name.endswith(".attn"):
                module.set_processor(BiasedJointAttention(self._now))

    @contextmanager
    def use(self, bias: Tensor | None) -> Iterator[None]:
        """Let the layers add a bias (N, 1, 1 or T + L, T + L) to their logits: the picture's tokens first."""
        self._now.bias = bias
        try:
            yield
        finally:
            self._now.bias = None
