"""CLIP's text encoder (Radford et al., 2103.00020): its class, what its config may say. Knows no torch."""

from dataclasses import replace

from smd_cli.models.allowed import (
    FRACTION,
    HEADS,
    LAYERS,
    NULL,
    TOKEN,
    VOCABULARY_SIZE,
    WIDTH,
    KnownKeys,
    divides,
    either,
    many,
    whole,
    word,
)
from smd_cli.models.network_class import TRANSFORMERS_NOTES, NetworkClass


def _clip_spellings(name: str) -> tuple[str, ...]:
    start = "text_model."
    return name.removeprefix(start), start + name


CLIP_TEXT = NetworkClass(
    "transformers.models.clip.modeling_clip",
    "CLIPTextModel",
    KnownKeys(
        {
            "vocab_size": VOCABULARY_SIZE,
            "hidden_size": WIDTH,
            "intermediate_size": WIDTH,
            "projection_dim": either(whole(0, 2**16), NULL),
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "max_position_embeddings": whole(3, 2**16),
            "hidden_act": word("quick_gelu", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu"),
            "layer_norm_eps": FRACTION,
            "attention_dropout": FRACTION,
            "pad_token_id": either(TOKEN, NULL),
            "bos_token_id": either(TOKEN, NULL),
            "eos_token_id": either(TOKEN, many(TOKEN, 1, 16), NULL),
        },
        (divides("num_attention_heads", "hidden_size"),),
        TRANSFORMERS_NOTES,
    ),
    _clip_spellings,
    "convert_open_clip_checkpoint",
)
"""CLIP's text encoder, published with and without `text_model.` before its names, and under OpenCLIP's."""

CLIP_TEXT_PROJECTED = replace(
    CLIP_TEXT,
    name="CLIPTextModelWithProjection",
    known=replace(CLIP_TEXT.known, keys={**CLIP_TEXT.known.keys, "projection_dim": WIDTH}),
)
"""The same with the projection that makes one vector of a whole prompt."""
