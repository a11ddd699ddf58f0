"""A tiny random captioner, as transformers saves BLIP."""

from pathlib import Path

import torch
from transformers.models.blip.configuration_blip import BlipConfig
from transformers.models.blip.modeling_blip import BlipForConditionalGeneration

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "the",
    "house",
    "lake",
    "mountain",
    "sky",
    "with",
    "in",
    "front",
    "of",
    "red",
    "blue",
    "green",
    "##s",
    "##side",
    "tree",
    "road",
    "'",
    ".",
    ",",
    "snow",
    "and",
    "boat",
]
DEC = len(WORDS)
SIDE = 32


def make_folder(folder: Path) -> Path:
    """Weights are large enough that pictures show in captions."""
    config = BlipConfig(
        text_config={
            "vocab_size": DEC + 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 64,
            "bos_token_id": DEC,
            "sep_token_id": WORDS.index("[SEP]"),
            "pad_token_id": 0,
        },
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": SIDE,
            "patch_size": 8,
        },
    )
    torch.manual_seed(3)
    model = BlipForConditionalGeneration(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.6 if "word_embeddings" in name else 0.3)
        bias = model.text_decoder.cls.predictions.bias
        bias[[*range(5), DEC, DEC + 1]] = -30.0
        bias[WORDS.index("[SEP]")] = 1.0  # captions end, and none at once
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join([*WORDS, "[DEC]", "[ENC]"]) + "\n")
    return folder
