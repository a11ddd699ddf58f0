"""CLIP's tokenizer as small as it can be: a token a byte, and those that mark start and end."""

import json
from pathlib import Path

TOKENS = 514
"""How many there are, the last two those marks."""


def write_tokenizer(folder: Path, padding: str = "<|endoftext|>") -> None:
    """The published checkpoints' form: vocab.json and merges.txt; here with no merges at all."""
    folder.mkdir(parents=True)
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    bytes_ = [*map(chr, printable), *(chr(256 + shift) for shift in range(256 - len(printable)))]
    words = [*bytes_, *(byte + "</w>" for byte in bytes_), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "pad_token": padding})
    )
