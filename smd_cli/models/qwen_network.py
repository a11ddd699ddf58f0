"""Qwen3 (2505.09388) as a text encoder: its class, and what its config may say. Knows no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from smd_cli.models.allowed import (
    FLAG,
    FRACTION,
    HEADS,
    LAYERS,
    NULL,
    OFF,
    TOKEN,
    VOCABULARY_SIZE,
    WIDTH,
    Allowed,
    KnownKeys,
    divides,
    either,
    many,
    real,
    whole,
    word,
)
from smd_cli.models.configs import Config
from smd_cli.models.family import Component, Tokens
from smd_cli.models.network_class import TRANSFORMERS_NOTES, NetworkClass

_THETA = real(1, 1e9)


def _is_plain_rope(value: Any) -> bool:  # noqa: ANN401 - whatever a config holds
    return (
        isinstance(value, dict)
        and value.keys() <= {"rope_theta", "rope_type"}
        and value.get("rope_type", "default") == "default"
        and _THETA.holds(value.get("rope_theta"))
    )


_PLAIN_ROPE = Allowed(
    "an object of rope_type default and rope_theta, a number from 1 to 1e+09", _is_plain_rope
)


def _lists_its_layers(config: Config) -> str:
    layers, listed = config.get("num_hidden_layers"), config.get("layer_types")
    if layers is None or listed is None or len(listed) == layers:
        return ""
    return f"layer_types is a list of {len(listed)}, but num_hidden_layers is {layers}"


def _knows_its_padding(config: Config) -> str:
    tokens, padding = config.get("vocab_size"), config.get("pad_token_id")
    if tokens is None or padding is None or padding < tokens:
        return ""
    return f"pad_token_id is {padding}, none of {tokens} tokens (vocab_size)"


def _spellings(name: str) -> tuple[str, ...]:
    return (name.removeprefix("model."),)


QWEN3 = NetworkClass(
    "transformers.models.qwen3.modeling_qwen3",
    "Qwen3Model",
    KnownKeys(
        {
            "vocab_size": VOCABULARY_SIZE,
            "hidden_size": WIDTH,
            "intermediate_size": WIDTH,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": either(HEADS, NULL),
            "head_dim": WIDTH,
            "hidden_act": word("silu"),
            "max_position_embeddings": whole(1, 2**24),
            "rms_norm_eps": FRACTION,
            "rope_theta": _THETA,
            "rope_parameters": either(_PLAIN_ROPE, NULL),
            "rope_scaling": NULL,
            "attention_bias": FLAG,
            "attention_dropout": FRACTION,
            "use_sliding_window": OFF,
            "layer_types": either(many(word("full_attention"), 1, 256), NULL),
            "pad_token_id": either(TOKEN, NULL),
            "bos_token_id": either(TOKEN, NULL),
            "eos_token_id": either(TOKEN, many(TOKEN, 1, 16), NULL),
        },
        (divides("num_key_value_heads", "num_attention_heads"), _lists_its_layers, _knows_its_padding),
        TRANSFORMERS_NOTES | {"sliding_window", "max_window_layers"},  # which only that window would use
    ),
    _spellings,
)
"""Qwen3 without its head, which guesses the next word; published with it, and `model.` before other names."""


def qwen3_to(layer: int) -> NetworkClass:
    """Return Qwen3 up to the layer of that number, counted from 1: what follows is neither read nor computed.

    A layer below 0 counts from the last, -1.
    """
    return replace(QWEN3, trim=_ends_with(layer))


def qwen3_component(network: NetworkClass) -> Component:
    """Return the text encoder of a family, Qwen3 as `qwen3_to` makes it."""
    return Component(
        "model",
        "text_encoders.qwen3_4b.transformer.",
        network,
        tokenizer="tokenizer",
        read_tokens=read_qwen_tokens,
    )


def _ends_with(layer: int) -> Callable[[Any], None]:
    def trim(network: Any) -> None:  # noqa: ANN401 - transformers has no types
        from torch import nn

        kept = layer if layer > 0 else len(network.layers) + layer + 1
        del network.layers[kept:]
        network.config.num_hidden_layers = kept
        network.norm = nn.Identity()  # belongs to the last of all layers

    return trim


def read_qwen_tokens(folder: Path) -> Tokens:
    """Read the tokens of a folder of Qwen's tokenizer, and warn of another template. Raises AssetError."""
    from smd_cli.models.qwen_tokenizer import (
        read_qwen_tokenizer,
        warn_of_other_template,
    )  # imports tokenizers

    warn_of_other_template(folder)
    return read_qwen_tokenizer(folder).files
