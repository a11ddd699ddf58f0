"""Prompts to the token numbers that a CLIP text encoder reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from smd_cli.errors import AssetError
from smd_cli.models.chunks import Chunk, Splitter, Vocabulary
from smd_cli.models.components import summary


@dataclass(frozen=True)
class Tokenizer:
    """CLIP's tokenizer at the text encoder's length.

    Attributes:
        clip: as transformers reads it.
        chunks: splits prompts into chunks of its tokens.
    """

    clip: CLIPTokenizer
    chunks: Splitter

    @classmethod
    def load(cls, folder: Path, length: int, learned: Mapping[str, tuple[int, ...]]) -> "Tokenizer":
        """Read a tokenizer folder: tokenizer.json, or vocab.json and merges.txt; `learned`: the vocabulary's.

        Raises:
            AssetError: it is not there or cannot be read.
        """
        try:
            clip = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # the tokenizers library raises nothing narrower
            raise AssetError(f"{folder}: no readable tokenizer ({summary(error)})") from error
        return cls(clip, Splitter(Vocabulary.of(clip.backend_tokenizer, learned), length))

    def rows(self, chunks: Sequence[Chunk]) -> Tensor:
        """Return the token numbers (N, T) of chunks, at the encoder's length: start, tokens, end, padding."""
        start, end, padding = self.clip.bos_token_id, self.clip.eos_token_id, self.clip.pad_token_id
        rows = [[start, *chunk.tokens, end] for chunk in chunks]
        return torch.tensor([row + [padding] * (self.chunks.length - len(row)) for row in rows])
