"""A small random T5 encoder and its tokenizer, as Stable Diffusion 3 is published with one."""

import json
from pathlib import Path

import torch
from transformers.models.t5.modeling_t5 import T5Config, T5EncoderModel

WIDTH = 48

WORDS = (
    "▁a",
    "▁red",
    "▁house",
    "▁snow",
    "▁blue",
    "▁circle",
    "ing",
    "▁the",
    "▁in",
    "▁sun",
    "set",
    "▁st",
    "ar",
)
SPECIAL = ("<pad>", "</s>", "<unk>")


def pieces() -> list[tuple[str, float]]:
    """A vocabulary with scores: special tokens, the space, letters, and whole words, which are likelier."""
    letters = [chr(number) for number in range(33, 127)]
    return [
        *((token, 0.0) for token in SPECIAL),
        ("▁", -3.0),
        *((word, -2.0 - 0.01 * place) for place, word in enumerate(WORDS)),
        *((letter, -6.0 - 0.01 * place) for place, letter in enumerate(letters)),
    ]


def write_tokenizer(folder: Path) -> Path:
    """The published form: tokenizer.json, with the special tokens in the config."""
    folder.mkdir(parents=True)
    vocabulary = pieces()
    added = [
        {"id": number, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for number, token in (*enumerate(SPECIAL), (len(vocabulary), "<extra_id_0>"))
    ]  # fmt: skip
    content = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "post_processor": None, "decoder": None,
        "model": {"type": "Unigram", "unk_id": 2, "vocab": vocabulary, "byte_fallback": False},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(content))
    config = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "extra_ids": 1,
              "additional_special_tokens": ["<extra_id_0>"], "model_max_length": 512,
              "tokenizer_class": "T5Tokenizer"}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def make_encoder(**changes: object) -> T5EncoderModel:
    """An encoder whose states depend on every token and its place."""
    config = T5Config(**{
        "vocab_size": len(pieces()) + 4, "d_model": WIDTH, "d_kv": 8, "d_ff": 64, "num_layers": 2,
        "num_heads": 4, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False,
        "initializer_factor": 2.0, **changes,
    })  # fmt: skip
    return T5EncoderModel(config).eval()


def write_encoder(folder: Path, *, seed: int = 0) -> Path:
    """An encoder's folder."""
    torch.manual_seed(seed)
    make_encoder().save_pretrained(folder)
    return folder
