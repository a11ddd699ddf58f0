"""Prompts through Qwen3: the states of some of its layers, in the middle of a conversation."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from smd_cli.models.qwen_tokenizer import QwenTokenizer
from smd_cli.prompt_text import has_weights

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class QwenEncoder:
    """Qwen3 as a text encoder.

    Attributes:
        network: transformers' Qwen3Model, which ends with the last of `layers`.
        tokenizer: its tokenizer.
        layers: whose states are taken, in the order in which they are laid side by side; counted from 1.
        length: tokens that are read of a prompt at most, those of its conversation included.
        thinks: whether the answer, which begins where the prompt ends, may have thoughts.
    """

    network: Any
    tokenizer: QwenTokenizer
    layers: tuple[int, ...]
    length: int
    thinks: bool

    def encode(self, prompts: Sequence[str], *, fill: bool) -> tuple[Tensor, Tensor]:
        """Encode N prompts.

        Args:
            prompts: as users write them; weights have no effect, which is logged.
            fill: fill up each prompt to `length` tokens; else to the longest of them.

        Returns:
            The states (N, L, K·D) of K layers, and which of them are a prompt's own rather than of what fills
            it up, (N, L) of bools.
        """
        rows = [self._tokens(prompt) for prompt in prompts]
        length = self.length if fill else max(map(len, rows))
        padded = [row + [self.tokenizer.padding] * (length - len(row)) for row in rows]
        own = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
        device = self.network.device
        states = self.network(
            torch.tensor(padded, device=device), own.to(device), output_hidden_states=True, use_cache=False
        ).hidden_states
        return torch.cat([states[layer] for layer in self.layers], dim=-1), own.bool().to(device)

    def _tokens(self, prompt: str) -> list[int]:
        """Return the tokens of a prompt, as many as are read."""
        tokens = self.tokenizer.tokens(prompt, thinks=self.thinks)
        if has_weights(prompt):
            _log.warning(
                "%r: this model's text encoder knows no weights; its words all count 1", _short(prompt)
            )
        if len(tokens) > self.length:
            _log.warning(
                "%r: cut to %d tokens of its %d, which are all that this model reads",
                _short(prompt), self.length, len(tokens),
            )  # fmt: skip
        return tokens[: self.length]


_SHOWN = 40  # characters of a prompt that a warning shows


def _short(prompt: str) -> str:
    return prompt if len(prompt) <= _SHOWN else prompt[: _SHOWN - 1] + "…"
