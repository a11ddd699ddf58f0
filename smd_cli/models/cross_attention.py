"""Cross-attention whose keys and values are cached.

A prompt is the same at every step, in every tile and every frame, and so are the keys and values that each
layer of a UNet makes of it: they are made once for a table of prompts and looked up by its rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smd_cli.models.conditioning import Conditioning


class CachedCrossAttention:
    """A processor of one of diffusers' attention layers.

    `cached` (N, L, 2·D) are keys, then values; `bias` (N, 1, 1, L) is added to the logits.
    """

    def __init__(self) -> None:
        self.cached: Tensor | None = None
        self.bias: Tensor | None = None

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
        projected = self.project(attention, encoder_hidden_states) if self.cached is None else self.cached
        query, key, value = (
            heads.unflatten(-1, (attention.heads, -1)).transpose(1, 2)
            for heads in (attention.to_q(hidden_states), *projected.chunk(2, dim=-1))
        )
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=self.bias)
        to_output, dropout = attention.to_out
        output: Tensor = dropout(to_output(found.transpose(1, 2).flatten(2)))
        return output


class CrossAttentionCache:
    """The cross-attention layers of a UNet, in order, and the processors that hold their keys and values.

    One evaluation at a time can use it: threads wait for each other.
    """

    def __init__(self, unet: nn.Module) -> None:
        self._layers = [
            (module, CachedCrossAttention())
            for name, module in unet.named_modules()
            if name.endswith("attn2")
        ]
        for attention, processor in self._layers:
            attention.set_processor(processor)
        self._in_use = Lock()

    def project(self, embeds: Tensor) -> tuple[Tensor, ...]:
        """Make the keys and values of prompts (N, L, E) for each layer."""
        return tuple(processor.project(attention, embeds) for attention, processor in self._layers)

    @contextmanager
    def use(self, conditioning: Conditioning) -> Iterator[None]:
        """Let the layers take the prompts' keys, values and counts from `conditioning`, where it has them."""
        cached = conditioning.keys or (None,) * len(self._layers)
        bias = conditioning.attention_bias
        with self._in_use:
            for (_, processor), of_layer in zip(self._layers, cached, strict=True):
                processor.cached, processor.bias = of_layer, bias
            try:
                yield
            finally:
                for _, processor in self._layers:
                    processor.cached = processor.bias = None
