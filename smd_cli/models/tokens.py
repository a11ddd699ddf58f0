"""Prompts to token numbers, cut to the text encoder's length with a warning."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from smd_cli.errors import AssetError
from smd_cli.models.components import summary

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tokenizer:
    """CLIP's tokenizer at the text encoder's length (77 tokens, two of which mark start and end)."""

    clip: CLIPTokenizer
    length: int

    @classmethod
    def load(cls, folder: Path, length: int) -> "Tokenizer":
        """Read a tokenizer folder: tokenizer.json, or vocab.json and merges.txt.

        Raises:
            AssetError: it is not there or cannot be read.
        """
        try:
            return cls(CLIPTokenizer.from_pretrained(folder, local_files_only=True), length)
        except Exception as error:  # the tokenizers library raises nothing narrower
            raise AssetError(f"{folder}: no readable tokenizer ({summary(error)})") from error

    def __call__(self, prompts: list[str]) -> Tensor:
        """Return token numbers (N, length), padded; what is too long is cut, with a warning in the log."""
        for prompt in prompts:
            if lost := self.lost_words(prompt):
                _log.warning("prompt is longer than %d tokens; cut off: %r", self.length, lost)
        encoded = self.clip(prompts, padding="max_length", max_length=self.length, truncation=True)
        return torch.tensor(encoded.input_ids)

    def lost_words(self, prompt: str) -> str:
        """Return the end of a prompt that does not fit; '' where all of it does."""
        spans = self.clip(prompt, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        room = self.length - 2
        return prompt[spans[room][0] :] if len(spans) > room else ""
