"""Prompts through Qwen3: the states of some of its layers, in the middle of a conversation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from smd_cli.models.qwen_tokenizer import QwenReading


@dataclass(frozen=True)
class QwenEncoder:
    """Qwen3 as a text encoder.

    Attributes:
        network: transformers' Qwen3Model, which ends with the last of `layers`.
        reading: its tokenizer, and how many tokens it reads.
        layers: whose states are taken, in the order in which they are laid side by side; counted from 1, or
            below 0 from the last, -1.
        device: where it computes, wherever its weights lie meanwhile.
    """

    network: Any
    reading: QwenReading
    layers: tuple[int, ...]
    device: torch.device

    def encode(self, prompts: Sequence[str], *, fill: bool) -> tuple[Tensor, Tensor]:
        """Encode N prompts; `QwenReading.notes` has what is not read as they say.

        Args:
            prompts: as users write them.
            fill: fill up each prompt to the reading's length; else to the longest of them.

        Returns:
            The states (N, L, K·D) of K layers, and which of them are a prompt's own rather than of what fills
            it up, (N, L) of bools.
        """
        rows = [self.reading.tokens(prompt) for prompt in prompts]
        length = self.reading.length if fill else max(map(len, rows))
        padding = self.reading.tokenizer.padding
        tokens = torch.tensor([row + [padding] * (length - len(row)) for row in rows])
        own = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows]).to(self.device)
        states = self.network(
            tokens.to(self.device), own, output_hidden_states=True, use_cache=False
        ).hidden_states
        return torch.cat([states[layer] for layer in self.layers], dim=-1), own.bool()
