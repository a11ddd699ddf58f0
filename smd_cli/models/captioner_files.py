"""The files of a captioner: BLIP (Li et al., 2201.12086), which says what a picture shows. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smd_cli.errors import AssetError
from smd_cli.models.allowed import (
    FRACTION,
    HEADS,
    LAYERS,
    TOKEN,
    VOCABULARY_SIZE,
    WIDTH,
    KnownKeys,
    divides,
    whole,
    word,
)
from smd_cli.models.choice import network_weights
from smd_cli.models.configs import CONFIG, VOCABULARIES, read_config, read_json
from smd_cli.models.files import Files
from smd_cli.models.network_class import TRANSFORMERS_NOTES, NetworkClass, read_network_config
from smd_cli.models.networks import ComponentFiles
from smd_cli.models.sources import open_files
from smd_cli.models.weights import read_shapes
from smd_cli.regular_files import MAX_VOCABULARY, read_text, why_unread

CAPTIONER = "blip"
"""The `model_type` in a captioner's config."""

TOKENIZER, VOCABULARY = VOCABULARIES

_LONGEST = 100
"""Of the words of a caption."""

LEAST_TOKENS, MOST_TOKENS = 5, 40
"""Of a caption; published captioners were trained on captions of about ten words."""

_ACTIVATION = word("gelu", "gelu_new", "quick_gelu", "relu", "silu")
_HEADS = divides("num_attention_heads", "hidden_size")
_NETWORK = {
    "hidden_size": WIDTH,
    "intermediate_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "hidden_act": _ACTIVATION,
    "layer_norm_eps": FRACTION,
}

BLIP = NetworkClass(
    "transformers.models.blip.modeling_blip",
    "BlipForConditionalGeneration",
    KnownKeys({}, notes=TRANSFORMERS_NOTES),
    nested={
        "text_config": KnownKeys(
            {
                **_NETWORK,
                "vocab_size": VOCABULARY_SIZE,
                "max_position_embeddings": whole(MOST_TOKENS + 1, 2**16),
                "bos_token_id": TOKEN,
                "sep_token_id": TOKEN,
                "pad_token_id": TOKEN,
            },
            (_HEADS,),
        ),
        "vision_config": KnownKeys(
            {**_NETWORK, "image_size": whole(8, 2**11), "patch_size": whole(1, 2**10)},
            (_HEADS, divides("patch_size", "image_size")),
        ),
    },
    attention="eager",  # the only kind that the class has
)
"""A vision transformer, and a text decoder that attends to what it sees."""


@dataclass(frozen=True)
class CaptionerFiles:
    """A captioner on this disk, looked at.

    Attributes:
        reference: as the scene or the program names it.
        network: its config and weights.
        side: of the square picture that it sees, px.
        vocabulary: tokens by their numbers.
    """

    reference: str
    network: ComponentFiles
    side: int
    vocabulary: dict[int, str]


def find_captioner(reference: str, *, offline: bool) -> CaptionerFiles:
    """Find a captioner's files, fetch what is missing unless `offline`, and check them.

    Raises AssetError: not to be had, no captioner, or damaged.
    """
    files = open_files(reference, offline=offline)
    if files.file or CONFIG not in files:
        raise AssetError(f"{reference}: no captioner: a folder with {CONFIG}, weights and a vocabulary")
    (path,) = files.get(CONFIG)
    kind = read_config(path.parent).get("model_type")
    if kind != CAPTIONER:
        raise AssetError(
            f"{path}: describes {kind!s:.40}, no captioner of the kind that is known, {CAPTIONER}"
        )
    config = read_network_config(path.parent, BLIP)
    weights = files.get(*network_weights(files, "model"))
    for each in weights:
        read_shapes(each)
    network = ComponentFiles(path.parent, tuple(weights))
    side = int(config["vision_config"].get("image_size", _PUBLISHED_SIDE))
    return CaptionerFiles(reference, network, side, _vocabulary(files))


_PUBLISHED_SIDE = 384  # what the class of the library takes where a config does not say it


def _vocabulary(files: Files) -> dict[int, str]:
    """Read the tokens. Raises AssetError: there are none, they cannot be read, or no words are among them."""
    path, words = _words(files)
    if not words or not all(0 <= number < 2**31 for number in words):
        raise AssetError(f"{path}: holds no vocabulary of words and their numbers")
    for token in words.values():
        if len(token) > _LONGEST or not token.isprintable():
            raise AssetError(f"{path}: {token!a:.60} is no word of a caption")
    return words


def _words(files: Files) -> tuple[Path, dict[int, str]]:
    """Return a vocabulary's file and its tokens by their numbers. Raises AssetError."""
    if TOKENIZER in files:
        (path,) = files.get(TOKENIZER)
        model = read_json(path, MAX_VOCABULARY).get("model")
        words = model.get("vocab") if isinstance(model, dict) else None
        if not isinstance(words, dict) or not all(type(number) is int for number in words.values()):
            raise AssetError(f"{path}: holds no vocabulary of words and their numbers")
        return path, {number: str(token) for token, number in words.items()}
    if VOCABULARY not in files:
        raise AssetError(f"{files.reference}: lacks a vocabulary ({TOKENIZER} or {VOCABULARY})")
    (path,) = files.get(VOCABULARY)
    try:
        return path, dict(enumerate(read_text(path, MAX_VOCABULARY).splitlines()))
    except (OSError, ValueError) as error:
        reason = why_unread(error) if isinstance(error, OSError) else "no text"
        raise AssetError(f"{path}: {reason}") from error
