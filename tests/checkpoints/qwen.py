"""A small random Qwen3 and its tokenizer, as the text encoders of several families are published."""

import json
from pathlib import Path

import torch
from transformers.models.qwen3.modeling_qwen3 import Qwen3Config, Qwen3ForCausalLM

HIDDEN = 16

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}"
)
"""What Qwen3's template does with messages of users."""

MERGES = ("h o", "ho u", "s e", "hou se", "Ġ house", "r e", "Ġ re", "Ġre d", "Ċ Ċ", "u se", "use r")
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
ADDED = ("<think>", "</think>")


def bytes_as_letters() -> list[str]:
    """The letters that stand for bytes in vocabularies of bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [*map(chr, printable), *(chr(256 + shift) for shift in range(256 - len(printable)))]


def vocabulary() -> dict[str, int]:
    """Tokens and their numbers, without those that are added."""
    return {word: at for at, word in enumerate([*bytes_as_letters(), *(m.replace(" ", "") for m in MERGES)])}


def write_tokenizer(folder: Path) -> Path:
    """The published form of Qwen's: vocab.json and merges.txt, with the added tokens in the config."""
    folder.mkdir(parents=True)
    words = vocabulary()
    (folder / "vocab.json").write_text(json.dumps(words))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES, ""]))
    added = {
        str(len(words) + at): {
            "content": token, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
            "special": token in SPECIAL,
        }
        for at, token in enumerate((*SPECIAL, *ADDED))
    }  # fmt: skip
    config = {
        "added_tokens_decoder": added, "bos_token": None, "chat_template": TEMPLATE,
        "eos_token": "<|im_end|>",
        "model_max_length": 131072, "pad_token": "<|endoftext|>", "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def make_encoder(layers: int, **changes: object) -> Qwen3ForCausalLM:
    """A Qwen3 of so many layers whose states depend on every token."""
    config = Qwen3Config(**{
        "vocab_size": len(vocabulary()) + len(SPECIAL) + len(ADDED) + 3, "hidden_size": HIDDEN,
        "intermediate_size": 32, "num_hidden_layers": layers, "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8, "max_position_embeddings": 1024, "initializer_range": 0.3, "tie_word_embeddings": True,
        "rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}, **changes,
    })  # fmt: skip
    return Qwen3ForCausalLM(config).eval()


def write_encoder(folder: Path, layers: int, *, seed: int = 0, shard: str | int = "50GB") -> Path:
    """An encoder's folder, in shards of a size where one is given."""
    torch.manual_seed(seed)
    make_encoder(layers).save_pretrained(folder, max_shard_size=shard)
    return folder
