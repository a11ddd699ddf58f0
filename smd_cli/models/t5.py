"""Prompts through T5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from smd_cli.models.chunks import Chunk, Splitter, Vocabulary
from smd_cli.models.t5_tokenizer import read_t5_tokenizer
from smd_cli.models.text_encoder import Encoded, TextEncoder
from smd_cli.models.tokens import Tokenizer


@dataclass(frozen=True)
class T5Encoder(TextEncoder):
    """T5's encoder, transformers' T5EncoderModel, which attends to what fills a chunk up as well."""

    @classmethod
    def of(cls, network: Any, device: torch.device, folder: Path, length: int) -> T5Encoder:  # noqa: ANN401
        """Make one of a network and a tokenizer's folder, of chunks of so many tokens.

        Raises AssetError: the tokenizer cannot be read.
        """
        marks = read_t5_tokenizer(folder)
        return cls(Tokenizer(marks, Splitter(Vocabulary(marks.tokenizer), length, marks=1)), network, device)

    def encode_attending(self, chunks: Sequence[Chunk], attended: Tensor | None = None) -> Encoded:
        """Encode chunks that may attend to some of their tokens (M, T) only."""
        mask = None if attended is None else attended.to(self.device)
        states: Tensor = self.network(self.tokenizer.rows(chunks).to(self.device), mask).last_hidden_state
        return Encoded(states, states.new_empty(len(chunks), 0))
