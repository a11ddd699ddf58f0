"""Prompts to the token numbers that a CLIP text encoder reads."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from smd_cli.errors import AssetError
from smd_cli.models.chunks import Chunk, Vocabulary, split_prompt
from smd_cli.models.components import summary


@dataclass(frozen=True)
class Tokenizer:
    """CLIP's tokenizer at the text encoder's length.

    Attributes:
        clip: as transformers reads it.
        vocabulary: what it makes of words, without marks of start and end, and learned words.
        length: how many tokens the text encoder reads at a time: 77, two of which mark start and end.
    """

    clip: CLIPTokenizer
    vocabulary: Vocabulary
    length: int

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
        words = deepcopy(clip.backend_tokenizer)  # whose settings each call of `clip` changes
        words.no_truncation()
        words.no_padding()
        return cls(clip, Vocabulary(words, learned), length)

    def chunks(self, prompt: str) -> tuple[Chunk, ...]:
        """Return the chunks of a prompt, one at least."""
        return split_prompt(prompt, self.vocabulary, self.length)

    def rows(self, chunks: Sequence[Chunk]) -> Tensor:
        """Return the token numbers (N, length) of chunks: start, tokens, end, and padding."""
        start, end, padding = self.clip.bos_token_id, self.clip.eos_token_id, self.clip.pad_token_id
        rows = [[start, *chunk.tokens, end] for chunk in chunks]
        return torch.tensor([row + [padding] * (self.length - len(row)) for row in rows])
