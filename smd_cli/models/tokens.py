"""Prompts to the token numbers that a text encoder reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from smd_cli.models.chunks import Chunk, Splitter, Vocabulary
from smd_cli.models.clip_tokenizer import ClipTokenizer, read_clip_tokenizer
from smd_cli.models.t5_tokenizer import T5Tokenizer


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer at the text encoder's length.

    Attributes:
        own: as its folder has it.
        chunks: splits prompts into chunks of its tokens.
    """

    own: ClipTokenizer | T5Tokenizer
    chunks: Splitter

    @classmethod
    def load(cls, folder: Path, length: int, learned: Mapping[str, tuple[int, ...]]) -> "Tokenizer":
        """Read a folder of CLIP's; `learned`: the vocabulary's. Raises as `read_clip_tokenizer`."""
        clip = read_clip_tokenizer(folder)
        return cls(clip, Splitter(Vocabulary(clip.tokenizer, learned), length))

    def rows(self, chunks: Sequence[Chunk]) -> Tensor:
        """Return the token numbers (N, T) of chunks, at the encoder's length: start, tokens, end, padding."""
        start = [] if self.own.start is None else [self.own.start]
        rows = [[*start, *chunk.tokens, self.own.end] for chunk in chunks]
        return torch.tensor([row + [self.own.padding] * (self.chunks.length - len(row)) for row in rows])

    @property
    def begin(self) -> int:
        """Return the place in a row at which a chunk's own tokens begin."""
        return 0 if self.own.start is None else 1
