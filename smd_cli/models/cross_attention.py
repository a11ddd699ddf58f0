"""Cross-attention whose keys and values are cached.

A prompt is the same at every step, in every tile and every frame, and so are the keys and values that each
layer of a UNet makes of it: they are made once for a table of prompts and looked up by its rows.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import local
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from smd_cli.core.coupling import Coupling
from smd_cli.models.conditioning import Conditioning

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel


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
        found = self.now.attend(query, key, value)
        to_output, dropout = attention.to_out
        output: Tensor = dropout(to_output(found.transpose(1, 2).flatten(2)))
        return output


class _Attended(local):
    """What the evaluation that runs in this thread attends to.

    `keys` are keys and values of each layer, in order; `bias` (M, 1, 1, L) is added to the logits; `coupled`
    says which of the M prompts each of the N rows has, None: each its own.
    """

    keys: Sequence[Tensor] | None = None
    bias: Tensor | None = None
    coupled: "_Coupled | None" = None

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend from rows (N, heads, T, D) to prompts (M, heads, L, D)."""
        if self.coupled is None:
            return F.scaled_dot_product_attention(query, key, value, attn_mask=self.bias)
        shares = self.coupled.shares(query.shape[2])
        found = torch.zeros_like(query)
        for pairs, rows in self.coupled.ranks:
            bias = None if self.bias is None else self.bias[pairs]
            of_prompt = F.scaled_dot_product_attention(query[rows], key[pairs], value[pairs], attn_mask=bias)
            found.index_add_(0, rows, shares[pairs, None, :, None] * of_prompt)
        return found


class _Coupled:
    """A coupling as layers need it.

    `like` are latents (N, C, h, w) on their device, in their dtype; `rounds_up` tells how the convolutions
    that halve them treat odd sides.
    """

    def __init__(self, coupling: Coupling, like: Tensor, *, rounds_up: bool) -> None:
        self.ranks = [
            tuple(torch.tensor(places, device=like.device) for places in rank) for rank in coupling.ranks()
        ]
        self._coupling, self._like, self._rounds_up = coupling, like, rounds_up
        self._shares: dict[int, Tensor] = {}

    def shares(self, tokens: int) -> Tensor:
        """Return the shares (M, T) at a layer of so many tokens, which sees the latents made smaller."""
        if tokens not in self._shares:
            coupling = self._coupling
            while coupling.shares[0].numel() > tokens:
                coupling = coupling.halved(rounds_up=self._rounds_up)
            self._shares[tokens] = coupling.shares.flatten(1).to(self._like)
        return self._shares[tokens]


class CrossAttentionCache:
    """The cross-attention layers of a UNet, in order, and the keys and values that they are given.

    Each thread has its own: evaluations can run side by side.
    """

    def __init__(self, unet: "UNet2DConditionModel") -> None:
        self._now = _Attended()
        self._rounds_up = unet.config.downsample_padding > 0
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
    def use(self, conditioning: Conditioning, coupling: Coupling | None, latents: Tensor) -> Iterator[None]:
        """Let the layers take the prompts' keys, values and counts from `conditioning`, where it has them.

        `coupling` says which prompts each of the `latents` (N, C, h, w) has, where some have several.
        """
        now = self._now
        now.keys, now.bias = conditioning.keys, conditioning.attention_bias
        now.coupled = None if coupling is None else _Coupled(coupling, latents, rounds_up=self._rounds_up)
        try:
            yield
        finally:
            now.keys = now.bias = now.coupled = None
