"""What splits prompts for CLIP text encoders, to count their tokens without a model. Knows no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smd_cli.models.configs import read_config

if TYPE_CHECKING:
    from smd_cli.models.assets import Assets
    from smd_cli.models.chunks import Splitter

CLIP_LENGTH = 77
"""How many tokens a CLIP text encoder reads whose config does not say it."""


def clip_splitter(assets: Assets) -> Splitter:
    """Read what splits prompts for a model's first text encoder; it does not number learned words' tokens.

    Raises AssetError: there is no readable tokenizer.
    """
    from smd_cli.models.chunks import Splitter, Vocabulary
    from smd_cli.models.clip_tokenizer import read_clip_tokenizer

    component = "text_encoder"
    length = read_config(assets.configs / component).get("max_position_embeddings", CLIP_LENGTH)
    learned = {each.token: (0,) * each.count(component) for each in assets.textual_inversions}
    clip = read_clip_tokenizer(assets.configs / str(assets.family.components[component].tokenizer))
    return Splitter(Vocabulary(clip.tokenizer, learned), length)
