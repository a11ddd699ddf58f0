"""Prompts to the token numbers that a CLIP text encoder reads."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import tokenizers
import torch
from torch import Tensor
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from smd_cli.errors import AssetError
from smd_cli.models.chunks import Chunk, split_prompt
from smd_cli.models.components import summary


@dataclass(frozen=True)
class Tokenizer:
    """CLIP's tokenizer at the text encoder's length.

    Attributes:
        clip: as transformers reads it.
        words: what it makes of texts, whole, without marks of start and end.
        length: how many tokens the text encoder reads at a time: 77, two of which mark start and end.
    """

    clip: CLIPTokenizer
    words: tokenizers.Tokenizer
    length: int

    @classmethod
    def load(cls, folder: Path, length: int) -> "Tokenizer":
        """Read a tokenizer folder: tokenizer.json, or vocab.json and merges.txt.

        Raises:
            AssetError: it is not there or cannot be read.
        """
        try:
            clip = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # the tokenizers library raises nothing narrower
            raise AssetError(f"{folder}: no readable tokenizer ({summary(error)})") from error
        words = deepcopy(clip.backend_tokenizer)  # whose settings each call of `clip` changes
        words.no_truncation()
        words.no_padding()
        return cls(clip, words, length)

    def chunks(self, prompt: str) -> tuple[Chunk, ...]:
        """Return the chunks of a prompt, one at least."""
        return split_prompt(prompt, self.words, self.length)

    def rows(self, chunks: Sequence[Chunk]) -> Tensor:
        """Return the token numbers (N, length) of chunks: start, tokens, end, and padding."""
        start, end, padding = self.clip.bos_token_id, self.clip.eos_token_id, self.clip.pad_token_id
        rows = [[start, *chunk.tokens, end] for chunk in chunks]
        return torch.tensor([row + [padding] * (self.length - len(row)) for row in rows])
