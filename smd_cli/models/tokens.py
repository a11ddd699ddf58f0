"""Prompts to the token numbers that a CLIP text encoder reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from smd_cli.models.chunks import Chunk, Splitter, Vocabulary
from smd_cli.models.clip_tokenizer import ClipTokenizer, read_clip_tokenizer


@dataclass(frozen=True)
class Tokenizer:
    """CLIP's tokenizer at the text encoder's length.

    Attributes:
        clip: as its folder has it.
        chunks: splits prompts into chunks of its tokens.
    """

    clip: ClipTokenizer
    chunks: Splitter

    @classmethod
    def load(cls, folder: Path, length: int, learned: Mapping[str, tuple[int, ...]]) -> "Tokenizer":
        """Read a tokenizer folder; `learned`: the vocabulary's. Raises as `read_clip_tokenizer`."""
        clip = read_clip_tokenizer(folder)
        return cls(clip, Splitter(Vocabulary(clip.tokenizer, learned), length))

    def rows(self, chunks: Sequence[Chunk]) -> Tensor:
        """Return the token numbers (N, T) of chunks, at the encoder's length: start, tokens, end, padding."""
        rows = [[self.clip.start, *chunk.tokens, self.clip.end] for chunk in chunks]
        return torch.tensor([row + [self.clip.padding] * (self.chunks.length - len(row)) for row in rows])
