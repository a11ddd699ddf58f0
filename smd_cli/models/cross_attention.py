"""Cross-attention whose keys and values are cached.

A prompt is the same at every step, in every tile and every frame, and so are the keys and values that each
layer of a UNet makes of it: they are made once for a table of prompts and looked up by its rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smd_cli.models.conditioning import Conditioning


class CachedCrossAttention:
    """A processor of one of diffusers' attention layers.

    What a thread attends to is `now`: the keys, then values (N, L, 2·D) of its `place` among the layers.
    """

    def __init__(self, now: "_Attended", place: int) -> None:
        self.now = now
        self.place = place

    def project(self, attention: Any, embeds: Tensor) -> Tensor:  # noqa: ANN401 - diffusers has no types
        """Make the keys and values of prompts (N, L, E)."""
        return torch.cat([attention.to_k(embeds), attention.to_v(embeds)], dim=-1)

    def __call__(
        self,
        attention: Any,  # noqa: ANN401
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        **_: object,
    ) -> Tensor:
        """Attend from latents (N, T, C) to prompts (N, L, E)."""
        projected = (
            self.now.keys[self.place] if self.now.keys else self.project(attention, encoder_hidden_states)
        )
        query, key, value = (
            heads.unflatten(-1, (attention.heads, -1)).transpose(1, 2)
            for heads in (attention.to_q(hidden_states), *projected.chunk(2, dim=-1))
        )
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=self.now.bias)
        to_output, dropout = attention.to_out
        output: Tensor = dropout(to_output(found.transpose(1, 2).flatten(2)))
        return output


class _Attended(local):
    """What the evaluation that runs in this thread attends to.

    `keys` are keys and values of each layer, in order; `bias` (N, 1, 1, L) is added to the logits.
    """

    keys: tuple[Tensor, ...] | None = None
    bias: Tensor | None = None


class CrossAttentionCache:
    """The cross-attention layers of a UNet, in order, and the keys and values that they are given.

    Each thread has its own: evaluations can run side by side.
    """

    def __init__(self, unet: nn.Module) -> None:
        self._now = _Attended()
        modules = [module for name, module in unet.named_modules() if name.endswith("attn2")]
        self._layers = [
            (module, CachedCrossAttention(self._now, place)) for place, module in enumerate(modules)
        ]
        for attention, processor in self._layers:
            attention.set_processor(processor)

    def project(self, embeds: Tensor) -> tuple[Tensor, ...]:
        """Make the keys and values of prompts (N, L, E) for each layer."""
        return tuple(processor.project(attention, embeds) for attention, processor in self._layers)

    @contextmanager
    def use(self, conditioning: Conditioning) -> Iterator[None]:
        """Let the layers take the prompts' keys, values and counts from `conditioning`, where it has them."""
        self._now.keys, self._now.bias = conditioning.keys, conditioning.attention_bias
        try:
            yield
        finally:
            self._now.keys = self._now.bias = None
